// A database that moves to another cluster: drained, adopted, and nothing missing; and not drained, with a gap.
import { readFileSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { afterEach, expect, test } from 'vitest';
import type { EmbeddedPostgres } from '../../src/cli/demo/embedded-postgres.ts';
import { startCli } from '../support/cli.ts';
import { configText } from '../support/config.ts';
import { createWorkDirectory, startService, type ServiceProcess } from '../support/service.ts';
import { startSqsRecorder, type SqsRecorder } from '../support/sqs-recorder.ts';
import { ask, startPrimary } from '../support/standby.ts';
import { waitFor } from '../support/wait.ts';

const DATABASE = 'postgres';
const PATIENCE_MS = 120_000;

const servers: EmbeddedPostgres[] = [];
let recorder: SqsRecorder | undefined;
let service: ServiceProcess | undefined;
afterEach(async ({ task }) => {
  await service?.end(task);
  await recorder?.stop();
  for (const server of servers.splice(0)) {
    await server.stop('immediate').catch(() => undefined);
    await server.remove();
  }
});

/** With the table, empty. */
async function startCluster(): Promise<EmbeddedPostgres> {
  const server = await startPrimary();
  servers.push(server);
  await ask(server, 'create table t (id int primary key)');
  return server;
}

/** What the page says for the new server, run as it is printed, but for the names that are the reader's own. */
async function makeAsDocumented(server: EmbeddedPostgres): Promise<void> {
  const page = readFileSync(resolve(import.meta.dirname, '../../docs/operations.md'), 'utf8');
  const recipe = page.slice(page.indexOf('## Moving to another server'));
  for (const statement of [/CREATE PUBLICATION [^`]*;/, /SELECT pg_create_logical_replication_slot[^`]*;/]) {
    const printed = statement.exec(recipe)?.[0];
    if (printed === undefined) throw new Error(`the page does not say ${String(statement)}`);
    await ask(server, printed.replace('tailrace', DATABASE).replace('…', 't'));
  }
}

/** A green server: it has the rows of the blue one by logical replication, and no slot of ours. */
async function replicate(blue: EmbeddedPostgres, green: EmbeddedPostgres): Promise<void> {
  const { hostname, port, username, password } = new URL(blue.url());
  await ask(blue, 'create publication green for table t');
  await ask(
    green,
    `create subscription green connection 'host=${hostname} port=${port} user=${username} password=${password} dbname=postgres' publication green`,
  );
}

const rows = (server: EmbeddedPostgres): Promise<unknown> => ask(server, 'select count(*)::int from t');

const insert = (server: EmbeddedPostgres, from: number, to: number): Promise<unknown> =>
  ask(server, `insert into t select generate_series(${from}, ${to})`);

test('a drained database goes on at another cluster without a gap; one that was not drained, with a gap that halts until it is accepted', async () => {
  const first = await startCluster();
  await makeAsDocumented(first);
  recorder = await startSqsRecorder({ createMissing: true });
  const directory = createWorkDirectory();
  const arrived = new Map<number, number>();
  recorder.onMessage = ({ body }) => {
    const { id } = (JSON.parse(body) as { record: { id: number } }).record;
    arrived.set(id, (arrived.get(id) ?? 0) + 1);
  };
  const has = (from: number, to: number): Promise<unknown> =>
    waitFor(
      () =>
        Array.from({ length: to - from + 1 }, (_, i) => from + i).every((id) => arrived.has(id)) || undefined,
      `${from} to ${to}`,
      PATIENCE_MS,
    );
  const configOf = ({ port }: EmbeddedPostgres): string =>
    configText({
      database: { name: DATABASE, host: '127.0.0.1', port },
      endpoint: recorder!.url,
      sinks: [{ name: 'users', queue: 'users', tables: ['t'] }],
    });
  const cli = async (...argv: string[]): Promise<{ code: number; stdout: string; stderr: string }> => {
    const run = startCli(argv, { cwd: directory.path });
    return { code: await run.code, stdout: run.stdout(), stderr: run.stderr() };
  };
  const adopt = (server: EmbeddedPostgres, ...options: string[]): ReturnType<typeof cli> => {
    const file = join(directory.path, 'tailrace.yaml');
    writeFileSync(file, configOf(server));
    return cli(
      'databases',
      'adopt',
      'shop',
      '-c',
      file,
      '--data-dir',
      join(directory.path, 'data'),
      ...options,
    );
  };
  const health = async () => (await service!.health()).databases[0]!;

  service = startService({ directory: directory.path, config: configOf(first) });
  await service.ready();
  await insert(first, 1, 100);
  await has(1, 100);
  const url = await service.apiUrl();
  expect(await cli('drain', '--url', url)).toMatchObject({
    code: 0,
    stdout: expect.stringContaining('database "shop" is drained') as string,
  });
  // Nothing is read any more, over a restart too, until that is taken back.
  await service.kill();
  service = startService({ directory: directory.path });
  await insert(first, 101, 110);
  await waitFor(async () => (await health()).state === 'drained' || undefined, 'the database to be drained');
  expect(arrived.size).toBe(100);
  await cli('drain', '--undo', '--url', await service.apiUrl());
  await has(101, 110);
  const second = await startCluster();
  await replicate(first, second);
  await waitFor(
    async () => (await rows(second)) === 110 || undefined,
    'green to have everything',
    PATIENCE_MS,
  );
  await cli('drain', '--database', 'shop', '--url', await service.apiUrl());
  expect(await adopt(first)).toMatchObject({ code: 1, stderr: expect.stringContaining('in use') as string });
  await service.stop();
  await ask(second, 'drop subscription green');
  await first.stop('fast');

  await makeAsDocumented(second);
  await insert(second, 201, 300);
  const asked = await adopt(second, '--nothing-missing');
  expect(asked).toMatchObject({
    code: 1,
    stdout: expect.stringContaining('nothing is changed yet') as string,
  });
  expect(await adopt(second, '--nothing-missing', '--yes')).toMatchObject({
    code: 0,
    stdout: expect.stringContaining('by your word') as string,
  });
  service = startService({ directory: directory.path, config: configOf(second) });
  await service.ready();
  await has(201, 300);
  expect(await health()).toMatchObject({ status: 'healthy', gaps: [] });
  expect([...arrived.values()].every((times) => times === 1)).toBe(true);

  // Back, without a drain: what only the second one has is missing.
  await service.stop();
  await first.start();
  await ask(first, `select pg_drop_replication_slot('${DATABASE}')`);
  service = startService({ directory: directory.path, config: configOf(first) });
  const refused = await waitFor(
    async () => {
      const database = await health();
      return database.status === 'halted' && database;
    },
    'the other cluster to be refused',
    PATIENCE_MS,
  );
  // Between its attempts it waits.
  expect(refused).toMatchObject({
    state: expect.stringMatching(/^(waiting|connecting)$/) as string,
    reason: expect.stringContaining('another database cluster') as string,
    cure: expect.stringContaining('tailrace databases adopt') as string,
  });
  // It is asked again and again, and nothing is made there.
  expect(await ask(first, 'select count(*)::int from pg_replication_slots')).toBe(0);
  expect(await service.stop()).toBe(0);
  expect(await adopt(first, '--nothing-missing')).toMatchObject({
    code: 1,
    stderr: expect.stringContaining('was not drained') as string,
  });
  expect((await adopt(first, '--yes')).code).toBe(0);
  service = startService({ directory: directory.path, config: configOf(first) });
  await service.ready();
  await insert(first, 401, 410);
  const gap = await waitFor(async () => (await health()).gaps[0], 'the gap', PATIENCE_MS);
  expect(gap).toMatchObject({ cause: 'place_lost', sink: 'users', halts: true });
  await fetch(`${await service.apiUrl()}/api/databases/shop/gaps/${gap.id}/accept`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: '{}',
  });
  await has(401, 410);
  directory.remove();
}, 600_000);
