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
import { databaseStatus, gap, serviceStatus, sinkStatus } from '../support/status.ts';

const cleanups: (() => Promise<unknown>)[] = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0)) await cleanup();
});

async function serve(
  status: ServiceStatus,
  { host = '127.0.0.1', tokens = [] as string[] } = {},
): Promise<string> {
  const servers = await startHttp({
    settings: { api: { listen: { host, port: 0, explicit: true }, tokens }, metrics: { listen: 'off' } },
    status: () => status,
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

test('sizes are shown in units that a person reads', () => {
  const sizes = [0, 1023, 1024, 1536, 200 * 1024, 5 * 1024 ** 3].map(formatBytes);
  expect(sizes).toEqual(['0 B', '1023 B', '1.0 kB', '1.5 kB', '200 kB', '5.0 GB']);
});
