// Which route a row has by a sink's templates, what it is called, and what is wrong with a row that has none.
import { expect, onTestFinished, test } from 'vitest';
import { sinkDefinition } from '../../../src/sinks/registry.ts';
import type { RouteByRow, RouteInput, RowValues } from '../../../src/sinks/sink.ts';
import { silent } from '../../support/messages.ts';

const AWS = { region: 'eu-west-1', emulator_base_url: 'http://127.0.0.1:9' };
const INSERT = { schema: 'public', table: 'orders', action: 'insert' } as const;

async function byRow(
  destination: { readonly type: string } & Record<string, unknown>,
  input: RouteInput = INSERT,
): Promise<RouteByRow | undefined> {
  const definition = sinkDefinition(destination.type)!;
  const sink = await definition.create(definition.config.parse(destination), {
    name: 's',
    rewinds: 0,
    logger: silent,
  });
  onTestFinished(() => sink.close());
  return sink.routeByRow!(input);
}

type Columns = Readonly<Record<string, string | null>>;
const row = (columns: Columns, old: Columns = {}): RowValues => ({
  text: (name) => columns[name],
  old: (name) => old[name],
});

const queue = (queue_name: string, more = {}) => byRow({ type: 'sqs', queue_name, ...AWS, ...more });

test('row, old and meta stand for their values, and a default for one that is NULL or not there', async () => {
  const by = (await queue('${meta.table}-${row.a:-none}-${old.b:-none}-x'))!;
  expect(by.idOf(row({ a: 'one' }, { b: 'two' }))).toBe('orders-one-two-x');
  expect(by.idOf(row({ a: null }))).toBe('orders-none-none-x');
  expect(by.idOf(undefined)).toBe('orders-none-none-x');
  expect(by.columns).toEqual(['a', 'b']);
});

test('without a template the table decides', async () => {
  expect(await queue('orders.fifo')).toBeUndefined();
  expect(await byRow({ type: 'webhook', url: 'http://localhost/in' })).toBeUndefined();
});

test('a place of its own goes before a template around it', async () => {
  const places = { delete: { queue_name: 'deleted' }, tables: { 'public.a': { queue_name: 'a-${row.x}' } } };
  const destination = { type: 'sqs', queue_name: 'q-${row.x}', ...places, ...AWS };
  expect((await byRow(destination))!.idOf(row({ x: '1' }))).toBe('q-1');
  expect((await byRow(destination, { ...INSERT, table: 'a' }))!.idOf(row({ x: '1' }))).toBe('a-1');
  expect(await byRow(destination, { ...INSERT, action: 'delete' })).toBeUndefined();
});

test.each([
  [
    'NULL',
    row({ region: null }),
    'ROUTE_VALUE_NULL',
    /queue_name: row\.region is NULL; give it a default: \$\{row\.region:-other\}/,
  ],
  ['not sent', row({}), 'ROUTE_VALUE_ABSENT', /row\.region was not sent by Postgres/],
  ['not known', undefined, 'ROUTE_VALUE_ABSENT', /row\.region is not known of this change/],
  ['no name', row({ region: 'a/b' }), 'ROUTE_VALUE_UNFIT', /row\.region.* letters, digits/],
] as const)(
  'a value that is %s is a fault, which keeps what is known of the route',
  async (_, values, code, hint) => {
    const by = (await queue('${meta.table}-${row.region}.fifo'))!;
    const fault = by.idOf(values);
    expect(fault).toMatchObject({ id: 'orders-${row.region}.fifo', code });
    expect((fault as { hint: string }).hint).toMatch(hint);
  },
);

test('a name that is too long as a whole is a fault where it would be opened', async () => {
  const by = (await queue('a-queue-with-a-long-name-${row.a}'))!;
  const id = by.idOf(row({ a: 'x'.repeat(64) }));
  expect(by.open(id as string)).toMatchObject({ code: 'ROUTE_VALUE_UNFIT', hint: /at most 80/ });
});

test('what a letter lacked for its route it may have now, by a default', async () => {
  const lacking = (await queue('o-${row.a}-${row.b}'))!.idOf(row({ a: 'x', b: null })) as { id: string };
  expect(lacking.id).toBe('o-x-${row.b}');
  const again = async (template: string, id: string) =>
    (await queue(template))!.idAgain!(id, 'ROUTE_VALUE_NULL');
  expect(await again('o-${row.a}-${row.b:-y}', lacking.id)).toBe('o-x-y');
  expect(await again('o-${row.a}-${row.b}', 'o-1-2')).toBe('o-1-2');
});

test.each([
  ['ROUTE_VALUE_NULL', 'ROUTE_VALUE_NULL', /^queue_name: row\.b was NULL and has no default/],
  ['ROUTE_VALUE_ABSENT', 'ROUTE_VALUE_ABSENT', /^queue_name: row\.b was not sent and has no default/],
  ['ROUTE_VALUE_UNFIT', 'ROUTE_VALUE_UNFIT', /^queue_name: row\.b did not fit and has no default/],
  ['ROUTE_NOT_ALLOWED', 'ROUTE_NOT_ALLOWED', /^queue_name: row\.b was not in allowed and has no default/],
  ['ROUTE_UNKNOWN', 'ROUTE_VALUE_ABSENT', /^queue_name: row\.b is not known any more and has no default/],
])('a letter of %s that has no default yet says so, by its key and column', async (was, code, hint) => {
  const fault = (await queue('o-${row.a}-${row.b}'))!.idAgain!('o-x-${row.b}', was);
  expect(fault).toEqual({ id: 'o-x-${row.b}', code, hint: expect.stringMatching(hint) });
  expect((fault as { hint: string }).hint).toMatch(
    /give it one, \$\{row\.b:-other\}, and replay the letter again$/,
  );
});

test('a letter that lacks what is no part of the template any more has an unknown route', async () => {
  const again = async (template: string, id: string) =>
    (await queue(template))!.idAgain!(id, 'ROUTE_VALUE_NULL');
  const unknown = {
    code: 'ROUTE_UNKNOWN',
    hint: expect.stringMatching(/^queue_name: its template does not/),
  };
  expect(await again('o-${row.zone:-eu}', 'o-${row.region}')).toMatchObject(unknown);
  expect(await again('o-${row.zone}', 'o-${row.region}')).toMatchObject(unknown);
  expect(await again('new-${row.region}', 'old-${row.region}')).toMatchObject(unknown);
  expect(await again('o-${row.a:-x}-${row.region}', 'o-${row.a}-${row.zone}')).toMatchObject(unknown);
  // Also where a default completes it.
  expect((await queue('new-${row.region:-eu}'))!.open('old-eu')).toMatchObject({ code: 'ROUTE_UNKNOWN' });
});

test('a letter of a webhook names the header whose value it lacks', async () => {
  const destination = {
    type: 'webhook',
    url: 'https://example.com/in',
    http_endpoint_path: '/t/${row.a}',
    headers: { 'x-tenant': 't-${row.c}' },
  };
  const by = (await byRow(destination))!;
  const lacking = by.idOf(row({ a: 'x', c: null })) as { id: string; code: string };
  expect(lacking.code).toBe('ROUTE_VALUE_NULL');
  expect(by.idAgain!(lacking.id, lacking.code)).toMatchObject({
    id: lacking.id,
    code: 'ROUTE_VALUE_NULL',
    hint: expect.stringMatching(/^headers: row\.c was NULL/),
  });
  const other = (await byRow({ ...destination, headers: { 'x-tenant': 't-${row.d}' } }))!;
  expect(other.idAgain!(lacking.id, lacking.code)).toMatchObject({ code: 'ROUTE_UNKNOWN' });
});

test('an empty text is a value: it does not take the default', async () => {
  const by = (await byRow({
    type: 'webhook',
    url: 'http://localhost',
    http_endpoint_path: '/t/${row.a:-x}',
  }))!;
  expect(by.idOf(row({ a: '' }))).toMatchObject({ code: 'ROUTE_VALUE_UNFIT' });
  expect(by.idOf(row({ a: null }))).toBe('http://localhost/t/x');
  const header = { 'x-a': 'a${row.a:-none}' };
  const headers = (await byRow({ type: 'webhook', url: 'http://localhost', headers: header }))!;
  const sent = headers.open(headers.idOf(row({ a: '' })) as string);
  expect(sent).toMatchObject({ target: { headers: { 'x-a': 'a' } } });
});

test('a route that the template does not give any more is not opened for a letter', async () => {
  const by = (await queue('new-${row.a}'))!;
  expect(by.open('old-x')).toMatchObject({ code: 'ROUTE_UNKNOWN' });
  expect(by.open('new-x')).toMatchObject({ id: 'new-x' });
});

test('a route of a webhook is called by its path and by the row’s values, never by what the configuration keeps secret', async () => {
  const destination = {
    type: 'webhook',
    url: 'https://example.com/in?key=s3cret',
    http_endpoint_path: '/t/${row.a}?token=hidden&b=${row.b}',
    headers: { authorization: 'Bearer s3cret-${row.c}', 'x-fixed': 'f' },
  };
  const by = (await byRow(destination))!;
  const id = by.idOf(row({ a: 'a b', b: 'x,y&z', c: 'q' }));
  expect(id).toBe('https://example.com/in/t/a%20b#%3F=x%252Cy%2526z&authorization=q'.replaceAll('%25', '%'));
  const again = (await byRow(destination))!.open(id as string);
  expect(again).toMatchObject({
    id,
    target: {
      path: '/in/t/a%20b?key=s3cret&token=hidden&b=x%2Cy%26z',
      headers: { authorization: 'Bearer s3cret-q' },
    },
  });
  expect(by.open('https://evil.example/in/t/a#%3F=x&authorization=q')).toMatchObject({
    code: 'ROUTE_UNKNOWN',
  });
  expect(by.open('https://example.com/in/t/a')).toMatchObject({ code: 'ROUTE_UNKNOWN' });
  expect(by.open((id as string).replace('example', 'another'))).toMatchObject({ code: 'ROUTE_UNKNOWN' });
});

test('tables whose routes differ in headers alone have routes of their own', async () => {
  const destination = {
    type: 'webhook',
    url: 'https://example.com/in',
    headers: { 'x-table': 't-${meta.table}', 'x-both': '${meta.schema}.${row.a}' },
  };
  const [orders, users] = [
    (await byRow(destination))!,
    (await byRow(destination, { ...INSERT, table: 'users' }))!,
  ];
  const ids = [orders, users].map((by) => by.idOf(row({ a: 'x' })) as string);
  expect(new Set(ids).size).toBe(2);
  expect(users.open(ids[1]!)).toMatchObject({
    target: { headers: { 'x-table': 't-users', 'x-both': 'public.x' } },
  });
  expect(users.open(ids[0]!)).toMatchObject({ code: 'ROUTE_UNKNOWN' });
});

test('dots that a value makes a segment of with the text around it are a fault', async () => {
  const by = (await byRow({
    type: 'webhook',
    url: 'http://localhost',
    http_endpoint_path: '/a/.${row.x}/b',
  }))!;
  expect(by.open(by.idOf(row({ x: 'y' })) as string)).toMatchObject({ target: { path: '/a/.y/b' } });
  expect(by.idOf(row({ x: '.' }))).toMatchObject({ code: 'ROUTE_VALUE_UNFIT' });
  const twice = (await byRow({
    type: 'webhook',
    url: 'http://localhost',
    http_endpoint_path: '/%2e${row.x}/b',
  }))!;
  expect(twice.idOf(row({ x: '..' }))).toMatchObject({ code: 'ROUTE_VALUE_UNFIT' });
});

test('a table whose name does not fit where it stands is a fault of the configuration', async () => {
  await expect(
    byRow({ type: 'sqs', queue_name: 'q-${meta.table}', ...AWS }, { ...INSERT, table: 'a b' }),
  ).rejects.toThrow(/queue_name: "a b" does not fit as meta\.table/);
});

test('queues of a list are made and looked for at the start, others that rows name are not', async () => {
  const sqs = sinkDefinition('sqs')!;
  const notes = (more: object) =>
    sqs.notesOf!(
      sqs.config.parse({
        type: 'sqs',
        queue_name: 'q-${row.a}',
        create_if_not_exists: true,
        ...AWS,
        ...more,
      }),
    );
  expect(notes({}).join()).toMatch(/queue_name: what rows name by "q-\$\{row\.a\}" is not created/);
  expect(notes({ allowed: ['q-1'] })).toEqual([]);
});

test('a route that was opened is the same when it is opened again, and the same id is another route to another table', async () => {
  const definition = sinkDefinition('webhook')!;
  const destination = {
    type: 'webhook',
    url: 'https://example.com/in',
    headers: { 'x-table': 't-${meta.table}', 'x-row': '${row.a}' },
  };
  const sink = await definition.create(definition.config.parse(destination), {
    name: 's',
    rewinds: 0,
    logger: silent,
  });
  onTestFinished(() => sink.close());
  const [first, second] = ['a', 'b'].map((schema) => sink.routeByRow!({ ...INSERT, schema })!);
  const id = first!.idOf(row({ a: 'x' })) as string;
  expect(second!.idOf(row({ a: 'x' }))).toBe(id);
  const route = first!.open(id);
  expect(first!.open(id)).toBe(route);
  expect(second!.open(id)).not.toBe(route);
});
