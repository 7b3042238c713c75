// Whatever a row holds, in every field that rows decide: what comes out stays within its bounds, or is a fault that does not repeat it.
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import * as fc from 'fast-check';
import { expect, onTestFinished, test } from 'vitest';
import { sinkDefinition, sinkDefinitions } from '../../../src/sinks/registry.ts';
import type { Route, RouteFault, RowValues, Sink } from '../../../src/sinks/sink.ts';
import { message, patient, silent } from '../../support/messages.ts';

const INPUT = { schema: 'public', table: 'orders', action: 'insert' } as const;
const AWS = { region: 'eu-west-1', emulator_base_url: 'http://127.0.0.1:9' };
const ARN = 'arn:aws:sns:eu-west-1:123456789012:';
const URL_BASE = 'https://sqs.eu-west-1.amazonaws.com/123456789012/';

async function sinkTo(destination: { readonly type: string } & Record<string, unknown>): Promise<Sink> {
  const definition = sinkDefinition(destination.type)!;
  const sink = await definition.create(definition.config.parse(destination), {
    name: 'fuzz',
    rewinds: 0,
    logger: silent,
  });
  onTestFinished(() => sink.close());
  return sink;
}

const rowOf = (value: string | null | undefined): RowValues => ({ text: () => value, old: () => value });

/** As the core asks for it. */
function routeOf(sink: Sink, row: RowValues): Route | RouteFault {
  const by = sink.routeByRow!(INPUT)!;
  const id = by.idOf(row);
  return typeof id === 'string' ? by.open(id) : id;
}

const isRoute = (found: Route | RouteFault): found is Route => 'limits' in found;

/** Postgres has no NUL in a text, and no half of a character. */
const values = fc.oneof(
  fc.string({ unit: 'binary', maxLength: 300 }).filter((text) => text.isWellFormed()),
  fc.string({ maxLength: 80 }),
  fc.stringMatching(/^[A-Za-z0-9_-]{1,70}$/),
  fc.constantFrom(
    'x'.repeat(10_000),
    '../../etc/passwd',
    '..',
    '.',
    '',
    '%2e%2e',
    '%2F',
    'a/b',
    'a?b#c',
    'x\r\nHost: evil',
    'x\nb',
    '\u{1F600}',
    'ĊĊ',
    'users.fifo',
    `${ARN}other`,
    'https://evil.example/1/q',
    '${row.secret}',
    '$&$1',
    '__proto__',
    ' padded ',
    '@evil.example',
    '\\evil',
  ),
);

/** What is wrong is told with the key, and without the value. */
function expectFault(fault: RouteFault, value: string, key: string): void {
  expect(fault.code).toMatch(/^ROUTE_/);
  expect(fault.hint).toContain(`${key}: `);
  // What is as short, or of the template itself, may stand there by chance.
  const mayStand = value.length <= 4 || value.includes('${');
  expect(!mayStand && `${fault.id} ${fault.hint}`.includes(value)).toBe(false);
}

test.each([
  ['sqs', 'queue_name', 'orders-${row.region}.fifo', /^orders-[A-Za-z0-9_-]{1,64}\.fifo$/, 80],
  [
    'sqs',
    'queue_url',
    `${URL_BASE}orders-\${row.region}`,
    /^https:\/\/sqs\.eu-west-1\.amazonaws\.com\/123456789012\/orders-[A-Za-z0-9_-]{1,64}$/,
    200,
  ],
  ['sns', 'topic_name', 'orders-${row.region}', /^orders-[A-Za-z0-9_-]{1,64}$/, 256],
  [
    'sns',
    'topic_arn',
    `${ARN}orders-\${row.region}`,
    /^arn:aws:sns:eu-west-1:123456789012:orders-[A-Za-z0-9_-]{1,64}$/,
    300,
  ],
] as const)('a value in %s %s stays within the name around it', async (type, key, template, bounds, most) => {
  const sink = await sinkTo({ type, [key]: template, ...AWS });
  let routes = 0;
  fc.assert(
    fc.property(values, (value) => {
      const found = routeOf(sink, rowOf(value));
      if (!isRoute(found)) return expectFault(found, value, key);
      routes++;
      expect(found.id).toMatch(bounds);
      expect(found.id.length).toBeLessThanOrEqual(most);
      expect(found.id).toBe(template.replace('${row.region}', () => value));
    }),
    { numRuns: 500 },
  );
  expect(routes).toBeGreaterThan(0);
});

test.each([
  ['a list', ['eu.fifo', 'us.fifo'], ['eu.fifo', 'us.fifo']],
  ['a pattern', 'orders-*.fifo', ['orders-eu.fifo', 'orders-.fifo']],
] as const)('a whole name from the row is one that %s allows', async (_, allowed, names) => {
  const sink = await sinkTo({ type: 'sqs', queue_name: '${row.queue}', allowed, ...AWS });
  for (const name of names) expect(routeOf(sink, rowOf(name))).toMatchObject({ id: name });
  fc.assert(
    fc.property(values, (value) => {
      const found = routeOf(sink, rowOf(value));
      if (!isRoute(found)) return expectFault(found, value, 'queue_name');
      expect(found.id).toMatch(/^(?:eu|us|orders-[A-Za-z0-9_-]*)\.fifo$/);
    }),
    { numRuns: 500 },
  );
});

type Seen = { readonly url: string; readonly names: readonly string[]; readonly tenant: string | undefined };

/** Takes everything, and remembers what a server makes of each request. */
async function startServer(): Promise<{ url: string; seen: Seen[] }> {
  const seen: Seen[] = [];
  const server: Server = createServer((request, response) => {
    const { rawHeaders, url = '', headers } = request;
    const names = rawHeaders.filter((_header, i) => i % 2 === 0).map((name) => name.toLowerCase());
    seen.push({ url, names, tenant: headers['x-tenant'] as string | undefined });
    request.resume().on('end', () => response.end());
  });
  await new Promise<void>((done) => server.listen(0, '127.0.0.1', done));
  onTestFinished(() => void server.close());
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, seen };
}

test('a value in a path is one segment at the wire, and one in a query is one parameter', async () => {
  const { url, seen } = await startServer();
  const sink = await sinkTo({
    type: 'webhook',
    url: `${url}/in`,
    http_endpoint_path: '/t/${row.tenant}/orders?t=${row.tenant}&z=1',
  });
  await fc.assert(
    fc.asyncProperty(values, async (value) => {
      const found = routeOf(sink, rowOf(value));
      if (!isRoute(found)) return expectFault(found, value, 'http_endpoint_path');
      const before = seen.length;
      expect(await sink.deliver([message()], patient, found)).toEqual(['delivered']);
      expect(seen).toHaveLength(before + 1);
      const { pathname, searchParams } = new URL(seen.at(-1)!.url, url);
      expect(pathname.split('/').map(decodeURIComponent)).toEqual(['', 'in', 't', value, 'orders']);
      expect([...searchParams]).toEqual([
        ['t', value],
        ['z', '1'],
      ]);
    }),
    { numRuns: 200 },
  );
  expect(seen.length).toBeGreaterThan(20);
});

test('a value in a header is its own text at the wire, and no other header', async () => {
  const { url, seen } = await startServer();
  const sink = await sinkTo({
    type: 'webhook',
    url,
    headers: { 'x-tenant': 't:${row.tenant}', 'x-fixed': 'yes' },
  });
  const plain = await sinkTo({ type: 'webhook', url, headers: { 'x-tenant': 't', 'x-fixed': 'yes' } });
  await plain.deliver([message()], patient, plain.routeOf(INPUT)!);
  const { names } = seen[0]!;
  await fc.assert(
    fc.asyncProperty(values, async (value) => {
      const found = routeOf(sink, rowOf(value));
      if (!isRoute(found)) return expectFault(found, value, 'headers');
      expect(await sink.deliver([message()], patient, found)).toEqual(['delivered']);
      expect(seen.at(-1)!.names.toSorted()).toEqual(names.toSorted());
      expect(seen.at(-1)!.tenant).toBe(`t:${value}`);
    }),
    { numRuns: 200 },
  );
  expect(seen.length).toBeGreaterThan(20);
});

test('every field that a sink declares routable is one of its keys, and one of those above', () => {
  const declared = sinkDefinitions.flatMap(({ type, routing }) =>
    Object.keys(routing?.shape ?? {}).map((key) => `${type} ${key}`),
  );
  expect(declared.toSorted()).toEqual([
    'sns topic_arn',
    'sns topic_name',
    'sqs queue_name',
    'sqs queue_url',
    'webhook headers',
    'webhook http_endpoint_path',
  ]);
});
