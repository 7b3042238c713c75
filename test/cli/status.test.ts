import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, expect, test } from 'vitest';
import { startHttp } from '../../src/api/server.ts';
import { formatBytes } from '../../src/cli/status-table.ts';
import type { ServiceStatus } from '../../src/core/status.ts';
import { createLogger } from '../../src/telemetry/logger.ts';
import { startCli } from '../support/cli.ts';
import { testControl } from '../support/control.ts';
import {
  backfillStatus,
  databaseStatus,
  gap,
  serviceStatus,
  serviceThatIs,
  sinkStatus,
} from '../support/status.ts';
import { waitFor } from '../support/wait.ts';

const cleanups: (() => Promise<unknown>)[] = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0)) await cleanup();
});

async function serve(
  status: ServiceStatus | (() => ServiceStatus),
  { host = '127.0.0.1', tokens = [] as string[] } = {},
): Promise<string> {
  const servers = await startHttp({
    settings: { api: { listen: { host, port: 0, explicit: true }, tokens }, metrics: { listen: 'off' } },
    status: typeof status === 'function' ? status : () => status,
    control: testControl(),
    metricsText: async () => '',
    streams: { find: () => undefined },
    logger: createLogger({ level: 'error', destination: { write: () => undefined } }),
  });
  cleanups.push(() => servers.close());
  return servers.apiUrl!.replace('0.0.0.0', '127.0.0.1');
}

test('status shows databases and sinks with their lag, and ends with 0', async () => {
  const url = await serve(serviceStatus());
  const cli = startCli(['status', '--url', url]);
  expect(await cli.code).toBe(0);
  expect(cli.stdout()).toMatch(
    /shop +healthy +streaming +tailrace +auto \(delivered\) +1\/0 +0\/E0 +4\.0 kB/,
  );
  expect(cli.stdout()).toMatch(/shop\/users +healthy +running +sqs +90 +300 B +1\.5 s/);
});

test('a backfill that runs is shown with its rate and the time left, and what it waits for', async () => {
  const backfills = [
    backfillStatus({ heldBy: 'the log is full' }),
    backfillStatus({ pace: 4321 }),
    backfillStatus({
      id: 'second',
      state: 'waiting',
      progress: { scanned: 0, appended: 0, dropped: 0, readAgain: 0, bytes: 0 },
    }),
  ];
  const url = await serve(serviceStatus({ databases: [databaseStatus({ backfills })] }));
  const cli = startCli(['status', '--url', url]);
  expect(await cli.code).toBe(0);
  expect(cli.stdout()).toContain(
    'backfill k7x2m9p4qa for users reads: 1,200 rows of about 5,000, 300/s, 12.7 s left; it waits: the log is full\n',
  );
  expect(cli.stdout()).toContain('12.7 s left; it gives way to live changes: 4,321 rows/s\n');
  expect(cli.stdout()).toContain('backfill second for users waits: 0 rows\n');
});

test('what is not well is named with its cure, and a halted service ends with 1', async () => {
  const url = await serve(
    serviceStatus({
      status: 'halted',
      databases: [
        databaseStatus({
          health: 'halted',
          reason: 'slot "tailrace" is gone',
          cure: 'make it again',
          gaps: [gap({ from: '0/1', to: '0/9', reason: 'slot recreated' })],
        }),
      ],
      sinks: [sinkStatus({ blockedGroups: ['public.users:7'] })],
    }),
  );
  const cli = startCli(['status', '--url', url]);
  expect(await cli.code).toBe(1);
  for (const text of [
    'slot "tailrace" is gone',
    'cure: make it again',
    'gap 3: changes written between 0/1 and 0/9',
    'public.users:7',
  ]) {
    expect(cli.stdout()).toContain(text);
  }
});

test('--json prints the document as it came', async () => {
  const url = await serve(serviceStatus());
  const cli = startCli(['status', '--url', url, '--json']);
  expect(await cli.code).toBe(0);
  expect(JSON.parse(cli.stdout())).toMatchObject({ status: 'healthy', sinks: [{ name: 'users' }] });
});

test('without --url the address comes from the configuration', async () => {
  const url = await serve(serviceStatus());
  const directory = await mkdtemp(join(tmpdir(), 'tailrace-test-'));
  cleanups.push(() => rm(directory, { recursive: true, force: true }));
  await writeFile(
    join(directory, 'tailrace.yaml'),
    `
databases:
  - { name: shop, hostname: 127.0.0.1, database: shop, slot: { name: t }, publication: { name: t } }
sinks: []
api: { listen: "${new URL(url).host}" }
`,
  );
  const cli = startCli(['status'], { cwd: directory });
  expect([await cli.code, cli.stderr()]).toEqual([0, '']);
});

test('beyond loopback the token of TAILRACE_TOKEN opens the whole status; without it there are words only', async () => {
  const url = await serve(serviceStatus(), { host: '0.0.0.0', tokens: ['open-sesame'] });
  const open = startCli(['status', '--url', url], { env: { TAILRACE_TOKEN: 'open-sesame' } });
  expect(await open.code).toBe(0);
  expect(open.stdout()).toContain('shop/users');
  const closed = startCli(['status', '--url', url]);
  expect(await closed.code).toBe(0);
  expect(closed.stdout()).toBe('healthy\n');
  expect(closed.stderr()).toContain('TAILRACE_TOKEN');
  const wrong = startCli(['status', '--url', url], { env: { TAILRACE_TOKEN: 'guess' } });
  expect(await wrong.code).toBe(1);
  expect(wrong.stderr()).toContain('the token was refused');
  expect(wrong.stderr()).not.toContain('guess');
  for (const [token, fault] of [
    ['open-sesame\n', 'it ends with a line break'],
    ['open\nsesame', 'it has a line break inside'],
    ['ópen-sesame', 'U+00F3'],
  ] as const) {
    const odd = startCli(['status', '--url', url], { env: { TAILRACE_TOKEN: token } });
    expect([await odd.code, odd.stderr()]).toEqual([2, expect.stringContaining(fault)]);
    expect(odd.stderr()).not.toContain('sesame');
  }
});

test('an address where nobody answers, or somebody else, ends with 1 and says so', async () => {
  const stranger = createServer((_request, response) => response.end('<html>'));
  await new Promise<void>((done) => stranger.listen(0, '127.0.0.1', done));
  const url = `http://127.0.0.1:${(stranger.address() as AddressInfo).port}`;
  const other = startCli(['status', '--url', url]);
  expect(await other.code).toBe(1);
  expect(other.stderr()).toContain('not a status');
  stranger.closeAllConnections();
  await new Promise((done) => stranger.close(done));
  const nobody = startCli(['status', '--url', url]);
  expect(await nobody.code).toBe(1);
  expect(nobody.stderr()).toContain(`${url}: no service answers`);
});

const PAUSED = serviceStatus({ sinks: [sinkStatus({ state: 'paused' }), sinkStatus({ deadLetters: 2 })] });

/** Nobody listens there. */
async function silentUrl(): Promise<string> {
  const server = createServer();
  await new Promise<void>((done) => server.listen(0, '127.0.0.1', done));
  const { port } = server.address() as AddressInfo;
  await new Promise((done) => server.close(done));
  return `http://127.0.0.1:${port}`;
}

test('--check ends with 0, 1, 2 or 3 as a monitoring plugin does, and its first line says why', async () => {
  const stranger = createServer((_request, response) => response.end('<html>'));
  await new Promise<void>((done) => stranger.listen(0, '127.0.0.1', done));
  cleanups.push(() => new Promise((done) => stranger.close(done)));
  const cases: readonly [url: string, from: string, code: number, first: RegExp][] = [
    [await serve(serviceStatus()), 'degraded', 0, /^tailrace healthy: 1 database, 1 sink$/],
    [await serve(PAUSED), 'degraded', 1, /^tailrace degraded: sink shop\/users: paused.* \(and 1 more\)$/],
    [await serve(PAUSED), 'halted', 0, /^tailrace degraded: /],
    [await serve(serviceThatIs('halted')), 'halted', 2, /^tailrace halted: database shop: why$/],
    [await silentUrl(), 'halted', 2, /^tailrace unknown: .*no service answers/],
    [`http://127.0.0.1:${(stranger.address() as AddressInfo).port}`, 'degraded', 3, /not a status/],
  ];
  for (const [url, from, code, first] of cases) {
    const cli = startCli(['status', '--url', url, '--check', from]);
    expect([url, await cli.code]).toEqual([url, code]);
    expect(cli.stdout().split('\n')[0]).toMatch(first);
    expect(cli.stderr()).toBe('');
  }
});

test('--check names every trouble with its cure, and is JSON with --json, of a silent service too', async () => {
  const url = await serve(PAUSED);
  const cli = startCli(['status', '--url', url, '--check']);
  expect(await cli.code).toBe(1);
  expect(cli.stdout()).toContain('cure: tailrace resume shop/users');
  expect(cli.stdout()).toContain('✗ sink shop/users: 2 dead letters kept');
  const json = startCli(['status', '--url', url, '--check', '--json']);
  expect(await json.code).toBe(1);
  expect(JSON.parse(json.stdout())).toMatchObject({
    status: 'degraded',
    sinks: [
      { status: 'degraded', troubles: [{ health: 'degraded', cure: 'tailrace resume shop/users' }] },
      {},
    ],
  });
  const silent = startCli(['status', '--url', await silentUrl(), '--check', '--json']);
  expect(await silent.code).toBe(2);
  expect(JSON.parse(silent.stdout())).toMatchObject({ ok: false, code: 'UNREACHABLE' });
});

test('--check needs no token: it counts what is not well then', async () => {
  const url = await serve(PAUSED, { host: '0.0.0.0', tokens: ['open-sesame'] });
  const cli = startCli(['status', '--url', url, '--check']);
  expect(await cli.code).toBe(1);
  expect(cli.stdout()).toBe('tailrace degraded: 2 of 3 (1 database, 2 sinks); a token shows which\n');
});

test('--watch draws over what it drew, goes on over a restart of the service, and an interrupt ends it with 0', async () => {
  let status = serviceStatus();
  const url = await serve(() => status);
  const cli = startCli(['status', '--url', url, '--watch', '--interval', '0.1'], {
    terminal: { isTTY: true, columns: 60, rows: 60 },
    env: { NO_COLOR: '1' },
  });
  await waitFor(
    () => cli.stdout().includes('SINK') || cli.stdout().includes('shop/users  healthy'),
    'a frame',
  );
  await cleanups.pop()!();
  await waitFor(() => cli.stdout().includes('no service answers'), 'the service to be missed');
  status = PAUSED;
  const again = await startHttp({
    settings: {
      api: { listen: { host: '127.0.0.1', port: Number(new URL(url).port), explicit: true }, tokens: [] },
      metrics: { listen: 'off' },
    },
    status: () => status,
    control: testControl(),
    metricsText: async () => '',
    streams: { find: () => undefined },
    logger: createLogger({ level: 'error', destination: { write: () => undefined } }),
  });
  cleanups.push(() => again.close());
  await waitFor(() => cli.stdout().includes('shop/users  degraded'), 'the service that is back');
  cli.interrupt();
  expect(await cli.code).toBe(0);
  expect(cli.exits).toEqual([]);
  const drawn = cli.stdout();
  // The screen is cleared once; then each frame is drawn from the top, and the cursor is given back.
  expect(drawn.split('\x1b[2J')).toHaveLength(2);
  expect(drawn.startsWith('\x1b[?25l\x1b[2J\x1b[H')).toBe(true);
  expect(drawn.endsWith('\x1b[J\x1b[?25h')).toBe(true);
});

test('--watch into a file or a pipe has no control characters; with --json it is a document a line', async () => {
  const url = await serve(serviceStatus());
  for (const json of [[], ['--json']]) {
    const cli = startCli(['status', '--url', url, '--watch', '--interval', '0.1', ...json]);
    const isSecond = (): boolean => cli.stdout().split(json.length > 0 ? '"ok":true' : 'DATABASE').length > 2;
    await waitFor(isSecond, 'a second look');
    cli.closeStdout();
    expect(await cli.code).toBe(0);
    expect(cli.stdout()).not.toContain('\x1b');
    const documents = json.length > 0 ? cli.stdout().trimEnd().split('\n') : [];
    expect(documents.filter((line) => (JSON.parse(line) as { ok: boolean }).ok)).toHaveLength(
      documents.length,
    );
  }
});

test('--watch ends at once where the token is refused: that does not pass', async () => {
  const url = await serve(serviceStatus(), { tokens: ['open-sesame'] });
  const cli = startCli(['status', '--url', url, '--watch'], { env: { TAILRACE_TOKEN: 'guess' } });
  expect(await cli.code).toBe(1);
  expect(cli.stderr()).toContain('the token was refused');
});

test('with --json what goes wrong is JSON too', async () => {
  const cli = startCli(['status', '--url', await silentUrl(), '--json']);
  expect(await cli.code).toBe(1);
  expect(JSON.parse(cli.stdout())).toMatchObject({
    ok: false,
    code: 'UNREACHABLE',
    hint: expect.stringContaining('run'),
  });
  expect(cli.stderr()).toBe('');
});

test('sizes are shown in units that a person reads', () => {
  const sizes = [0, 1023, 1024, 1536, 200 * 1024, 5 * 1024 ** 3].map(formatBytes);
  expect(sizes).toEqual(['0 B', '1023 B', '1.0 kB', '1.5 kB', '200 kB', '5.0 GB']);
});
