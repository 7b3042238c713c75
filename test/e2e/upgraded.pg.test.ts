// The recipes by which a database moves to a new cluster, word for word: pg_upgrade, and dump and restore, by the tools of a Postgres that is
// installed on this machine (the binaries from npm have none of them).
import { execFile } from 'node:child_process';
import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { promisify } from 'node:util';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { EmbeddedPostgres } from '../../src/cli/demo/embedded-postgres.ts';
import { serverOwner } from '../../src/cli/demo/postgres-binaries.ts';
import { startCli } from '../support/cli.ts';
import { pageBlocks } from '../support/page.ts';
import { createWorkDirectory, FAKE_AWS, startService, type ServiceProcess } from '../support/service.ts';
import { startSqsRecorder, type SqsRecorder } from '../support/sqs-recorder.ts';
import { ask, serverVersion, startPrimary, testInstallation } from '../support/standby.ts';
import { waitFor } from '../support/wait.ts';

const PAGE = 'docs/operations.md';
const DATABASE = 'shop';
const PATIENCE_MS = 120_000;

/** Where Debian and Ubuntu put each version. */
const INSTALLED = '/usr/lib/postgresql';

type Tools = { readonly major: number; readonly installation: string };

/** Those of the newest version that has them all. */
function findTools(): Tools | undefined {
  const needed = ['initdb', 'postgres', 'psql', 'pg_dump', 'pg_dumpall', 'pg_restore', 'pg_upgrade'];
  const versions = existsSync(INSTALLED) ? readdirSync(INSTALLED).map(Number) : [];
  const [major] = versions
    .filter((version) => needed.every((tool) => existsSync(join(INSTALLED, String(version), 'bin', tool))))
    .toSorted((a, b) => b - a);
  return major === undefined ? undefined : { major, installation: join(INSTALLED, String(major)) };
}
const tools = findTools();

const servers: EmbeddedPostgres[] = [];
let recorder: SqsRecorder;
let service: ServiceProcess | undefined;
let directory: ReturnType<typeof createWorkDirectory>;
beforeEach(async () => {
  recorder = await startSqsRecorder({ createMissing: true });
  directory = createWorkDirectory();
});
afterEach(async ({ task }) => {
  await service?.end(task);
  service = undefined;
  await recorder.stop();
  for (const server of servers.splice(0)) {
    await server.stop('immediate').catch(() => undefined);
    await server.remove();
  }
  directory.remove();
});

/** `wal_level` stands in its file: pg_upgrade starts it without our flags. */
async function startCluster(installed: { readonly installation?: string }): Promise<EmbeddedPostgres> {
  const server = await startPrimary({ wal_level: 'logical' }, installed);
  servers.push(server);
  return server;
}

/** With a role that may no more than is needed. */
async function fill(server: EmbeddedPostgres): Promise<void> {
  await ask(server, `create database ${DATABASE}`);
  for (const statement of [
    `create role tailrace login replication password 'change-me'`,
    `grant create on database ${DATABASE} to tailrace`,
    'create table orders (id int primary key, note text)',
    'alter table orders owner to tailrace',
  ])
    await ask(server, statement, DATABASE);
}

const insert = (server: EmbeddedPostgres, from: number, to: number): Promise<unknown> =>
  ask(server, `insert into orders select generate_series(${from}, ${to})`, DATABASE);

const configOf = ({ port }: EmbeddedPostgres): string => `
databases:
  - name: shop
    hostname: 127.0.0.1
    port: ${port}
    database: ${DATABASE}
    username: tailrace
    password: change-me
    slot: { name: tailrace, create_if_not_exists: true }
    publication: { name: tailrace, create_if_not_exists: true }
sinks:
  - name: orders
    database: shop
    source: { include_tables: [public.orders] }
    destination: { type: sqs, queue_name: orders.fifo, create_if_not_exists: true, region: us-east-1, emulator_base_url: "${recorder.url}" }
api: { listen: "127.0.0.1:0" }
metrics: { listen: off }
`;

/** The recipe of the page, between these two words of it. */
const recipe = (): string => {
  const page = readFileSync(resolve(import.meta.dirname, '../..', PAGE), 'utf8');
  return page.slice(page.indexOf('## Moving to another server'), page.indexOf('**Blue/green'));
};

/** As it is printed. */
function printed(pattern: RegExp): string {
  const [found] = pattern.exec(recipe()) ?? [];
  if (found === undefined) throw new Error(`the page does not say ${String(pattern)}`);
  return found;
}

async function tailrace(command: string): Promise<{ readonly code: number; readonly said: string }> {
  const [name, ...argv] = command.split(' ');
  expect(name).toBe('tailrace');
  const run = startCli(argv, { cwd: directory.path, env: { ...FAKE_AWS, TAILRACE_DATA_DIR: 'data' } });
  return { code: await run.code, said: run.stdout() + run.stderr() };
}

/** Everything that the old server has is delivered, and Tailrace is stopped. */
async function drainOld(old: EmbeddedPostgres, arrived: ReadonlyMap<number, number>): Promise<void> {
  service = startService({ directory: directory.path, config: configOf(old) });
  await service.ready();
  await insert(old, 1, 100);
  const url = await service.apiUrl();
  expect(await tailrace(`${printed(/tailrace drain/)} --url ${url}`)).toMatchObject({ code: 0 });
  expect(arrived.size).toBe(100);
  await service.stop();
}

/** Steps 3 and 4 of the page; then the application writes again. How often a row came at most, and how the database is. */
async function goOn(server: EmbeddedPostgres, arrived: ReadonlyMap<number, number>): Promise<unknown> {
  expect(await ask(server, 'select count(*)::int from orders', DATABASE)).toBe(100);
  await ask(server, printed(/SELECT pg_create_logical_replication_slot[^`]*;/), DATABASE);
  writeFileSync(join(directory.path, 'tailrace.yaml'), configOf(server));
  expect(await tailrace(printed(/tailrace doctor/))).toMatchObject({ code: 0 });
  const adopt = printed(/tailrace databases adopt NAME --nothing-missing --yes/).replace('NAME', 'shop');
  expect(await tailrace(adopt)).toMatchObject({
    code: 0,
    said: expect.stringContaining('no gap is declared') as string,
  });
  await insert(server, 101, 200);
  service = startService({ directory: directory.path, config: configOf(server) });
  await service.ready();
  await waitFor(() => arrived.size === 200, 'what was written on the new server', PATIENCE_MS);
  const [database] = (await service.health()).databases;
  return { most: Math.max(...arrived.values()), status: database?.status, gaps: database?.gaps };
}
const WELL = { most: 1, status: 'healthy', gaps: [] };

function countArrivals(): ReadonlyMap<number, number> {
  const arrived = new Map<number, number>();
  recorder.onMessage = ({ body }) => {
    const { id } = (JSON.parse(body) as { record: { id: number } }).record;
    arrived.set(id, (arrived.get(id) ?? 0) + 1);
  };
  return arrived;
}

describe.skipIf(tools === undefined)('with the tools of a Postgres that is installed here', () => {
  const { major, installation } = tools ?? { major: 0, installation: '' };
  const PATH = `${join(installation, 'bin')}:${process.env['PATH'] ?? ''}`;

  /** Of the run's version, where the tools read that. */
  async function startReadable(): Promise<EmbeddedPostgres> {
    const server = await startCluster(testInstallation());
    if ((await serverVersion(server)) < (major + 1) * 10_000) return server;
    return startCluster({ installation });
  }

  test('a dump that is restored into a new cluster, as the page says it: nothing is missing, and nothing comes twice', async () => {
    const arrived = countArrivals();
    const old = await startReadable();
    await fill(old);
    await drainOld(old, arrived);
    const made = await startCluster({ installation });
    const block = pageBlocks(PAGE).find(({ role }) => role === 'dump-and-restore');
    await promisify(execFile)('sh', ['-ec', block?.text ?? 'exit 1'], {
      cwd: directory.path,
      env: { PATH, OLD: old.url(DATABASE), NEW: made.url() },
    });
    await old.stop('fast');
    expect(await goOn(made, arrived)).toEqual(WELL);
  }, 300_000);

  test('a cluster that pg_upgrade has made: nothing is missing, and nothing comes twice (C193)', async () => {
    const arrived = countArrivals();
    const old = await startCluster({ installation });
    await fill(old);
    await drainOld(old, arrived);
    await old.stop('fast');
    const made = await startCluster({ installation });
    await made.stop('fast');
    await upgrade(old, made);
    await made.start();
    expect(await goOn(made, arrived)).toEqual(WELL);
  }, 300_000);

  async function upgrade(old: EmbeddedPostgres, made: EmbeddedPostgres): Promise<void> {
    const owner = serverOwner();
    const bin = join(installation, 'bin');
    // Its sockets and logs lie where it works: a place that is the servers' own.
    const work = dirname(made.directory);
    await promisify(execFile)(
      join(bin, 'pg_upgrade'),
      ['--old-bindir', bin, '--new-bindir', bin, '--old-datadir', old.directory]
        .concat(['--new-datadir', made.directory, '--username', 'postgres', '--socketdir', work])
        .concat(['--old-port', String(old.port), '--new-port', String(made.port)]),
      { cwd: work, env: { PATH, PGPASSWORD: 'postgres' }, ...owner },
    );
  }
});
