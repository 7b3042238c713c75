// Changes are read from a standby: what only the primary takes is done there, and the standby may be promoted, restarted or lost.
import { join } from 'node:path';
import { afterEach, beforeEach, expect, inject, onTestFinished, test } from 'vitest';
import type { EmbeddedPostgres } from '../../src/cli/demo/embedded-postgres.ts';
import { STANDBYS_DECODE } from '../../src/postgres/versions.ts';
import { startCli } from '../support/cli.ts';
import { configText } from '../support/config.ts';
import { connect } from '../support/postgres.ts';
import { createWorkDirectory, FAKE_AWS, startService, type ServiceProcess } from '../support/service.ts';
import { startSqsRecorder, type SqsRecorder } from '../support/sqs-recorder.ts';
import {
  ask,
  killServer,
  serverVersion,
  startPrimary,
  startStandby,
  waitForReplay,
  type Standby,
} from '../support/standby.ts';
import { waitFor } from '../support/wait.ts';
import type { ChangeMessage } from '../support/workload.ts';

const SLOT = 'tailrace';
const MIB = 1024 * 1024;

let primary: EmbeddedPostgres;
let standbys: Standby[];
let version: number;
let recorder: SqsRecorder;
let directory: ReturnType<typeof createWorkDirectory>;
let service: ServiceProcess | undefined;

beforeEach(async () => {
  primary = await startPrimary();
  standbys = [];
  version = await serverVersion(primary);
  recorder = await startSqsRecorder({ createMissing: false });
  directory = createWorkDirectory();
  await ask(primary, 'create table item (id int primary key)');
}, 240_000);
afterEach(async ({ task }) => {
  await service?.end(task);
  await recorder.stop();
  directory.remove();
  for (const standby of standbys) await standby.remove();
  await primary.remove();
}, 240_000);

async function addStandby(name: string): Promise<Standby> {
  const standby = await startStandby(primary, { name });
  standbys.push(standby);
  return standby;
}

async function read(
  from: readonly EmbeddedPostgres[],
  {
    username = 'postgres',
    create = true,
    extra = `primary: { hostname: 127.0.0.1, port: ${primary.port}, ssl: false }`,
  }: { readonly username?: string; readonly create?: boolean; readonly extra?: string } = {},
): Promise<ServiceProcess> {
  const config = configText({
    database: { name: 'postgres', host: '127.0.0.1', port: from.map(({ port }) => port).join(',') },
    endpoint: recorder.url,
    sinks: [{ tables: [], source: '{ include_tables: ["public.item", "public.lat*"] }' }],
    publication: 'refresh_interval: 500ms',
    databaseExtra: extra,
  })
    .replace('hostname: 127.0.0.1', `hostname: ${from.map(() => '127.0.0.1').join(',')}`)
    .replace(/name: postgres\n( +)create_if/, `name: ${SLOT}\n$1create_if`)
    .replaceAll(/(username|password): postgres/g, `$1: ${username}`)
    // The database's own two; the queue is made in any case.
    .replace(/create_if_not_exists: true/, `create_if_not_exists: ${create}`)
    .replace(/, create_if_not_exists: true/, `, create_if_not_exists: ${create}`);
  service = startService({ config, directory: directory.path });
  await service.ready();
  return service;
}

const delivered = (): number[] =>
  recorder.messages.map(({ body }) => Number((JSON.parse(body) as ChangeMessage).record['id']));

async function deliveredOnce(expected: readonly number[]): Promise<void> {
  await waitFor(() => new Set(delivered()).size >= expected.length, 'every change', 120_000);
  expect(delivered().toSorted((a, b) => a - b)).toEqual(expected);
}

async function idsOf(server: EmbeddedPostgres): Promise<readonly number[]> {
  return (await ask(server, `select coalesce(json_agg(id order by id), '[]') from item`)) as number[];
}

const databaseHealth = async () => (await service!.health()).databases[0]!;

const healthy = () =>
  waitFor(async () => (await databaseHealth()).status === 'healthy' || undefined, 'health', 120_000);

const slotsOf = (server: EmbeddedPostgres): Promise<unknown> =>
  ask(server, `select count(*)::int from pg_replication_slots where slot_type = 'logical'`);

/** Writes one row after the other until it is told to stop, or the server goes. */
function startWriter(server: EmbeddedPostgres, from: number) {
  let stopped = false;
  let written = 0;
  const insert = async (): Promise<void> => {
    const client = await connect(server.url());
    try {
      for (let id = from; !stopped; id++) {
        await client.query('insert into item values ($1)', [id]);
        written++;
      }
    } finally {
      await client.end().catch(() => undefined);
    }
  };
  const ended = insert().catch(() => undefined);
  return {
    written: () => written,
    stop: () => {
      stopped = true;
      return ended;
    },
  };
}

test('a standby is read from; the publication is made and kept on the primary; when the standby is promoted the stream goes on', async ({
  skip,
}) => {
  if (version < STANDBYS_DECODE) skip();
  const standby = await addStandby('standby_a');
  await read([standby]);
  expect([await slotsOf(primary), await slotsOf(standby)]).toEqual([0, 1]);
  await ask(primary, 'insert into item select generate_series(1, 100)');
  await deliveredOnce(await idsOf(primary));
  await ask(primary, 'create table later (id int primary key)');
  await waitFor(
    async () => (await databaseHealth()).joinedTables.some(({ table }) => table === 'later'),
    'the table to join',
  );
  await ask(primary, 'insert into later values (-1)');
  await waitFor(() => delivered().includes(-1), 'its row');
  await healthy();

  await service!.kill();
  await ask(primary, 'insert into item select generate_series(101, 200)');
  await read([standby]);
  await deliveredOnce([-1, ...(await idsOf(primary))]);
  // Until it has replayed what it had before, it has less than we do.
  await standby.stop();
  await ask(primary, 'insert into item select generate_series(201, 300)');
  await standby.start();
  await deliveredOnce([-1, ...(await idsOf(primary))]);

  const before = startWriter(primary, 1_000);
  await waitFor(() => before.written() > 100, 'changes to flow');
  const connected = (await databaseHealth()).reconnects;
  await killServer(primary);
  await before.stop();
  await standby.promote();
  const after = startWriter(standby, 1_000_000);
  await waitFor(() => delivered().some((id) => id >= 1_000_000), 'changes of the promoted standby');
  // By now the log holds changes of a timeline that it did not know of when they came.
  const said = service!.log;
  await waitFor(() => said.some(({ code }) => code === 'STANDBY_PROMOTED') || undefined, 'it to be noticed');
  await waitFor(async () => {
    const { state, reconnects } = await databaseHealth();
    return (state === 'streaming' && reconnects > connected) || undefined;
  }, 'the stream in its new history');
  const written = after.written();
  await waitFor(() => after.written() > written + 100, 'more of them');
  await after.stop();
  await deliveredOnce([-1, ...(await idsOf(standby))]);
  expect((await databaseHealth()).gaps).toEqual([]);
  expect(said.filter(({ msg }) => msg?.includes('parts from'))).toEqual([]);
}, 400_000);

test('when a standby that is read from is lost the next one goes on from the slot that is kept there', async ({
  skip,
}) => {
  if (version < STANDBYS_DECODE) skip();
  const [first, second] = [await addStandby('standby_a'), await addStandby('standby_b')];
  await read([first, second]);
  const health = await waitFor(
    async () => {
      const { standbys: others = [], host } = await databaseHealth();
      return others.some(({ ready }) => ready) ? { others, host } : undefined;
    },
    'the slot on the other one',
    120_000,
  );
  expect(health.host).toBe(`127.0.0.1:${first.port}`);
  const before = startWriter(primary, 1);
  await waitFor(() => delivered().length > 50, 'changes to flow');
  await killServer(first);
  const count = before.written();
  await waitFor(() => before.written() > count + 100, 'more changes');
  await before.stop();
  await deliveredOnce(await idsOf(primary));
  // What it says of itself comes twice a second.
  await waitFor(
    async () => (await databaseHealth()).host === `127.0.0.1:${second.port}`,
    'it to say where it reads',
  );
  expect((await databaseHealth()).gaps).toEqual([]);
}, 400_000);

test('captured tables that are quiet hold no WAL back on a standby, with no right to write anywhere', async ({
  skip,
}) => {
  if (version < STANDBYS_DECODE) skip();
  await ask(primary, `create role reader login replication password 'reader'`);
  await ask(primary, 'grant select on item to reader');
  await ask(primary, 'create table later (id int primary key)');
  await ask(primary, 'create publication postgres for table item, later');
  await ask(primary, 'create table noise (text text)');
  const standby = await addStandby('standby_a');
  const making = ask(standby, `select pg_create_logical_replication_slot('${SLOT}', 'pgoutput')`);
  await waitFor(async () => {
    await ask(primary, 'select pg_log_standby_snapshot()');
    return (await ask(standby, 'select confirmed_flush_lsn is not null from pg_replication_slots')) === true;
  }, 'the slot');
  await making;
  await read([standby], { username: 'reader', create: false });
  await ask(primary, `insert into noise select repeat('x', 1000) from generate_series(1, 60000)`);
  await waitForReplay(primary, standby);
  const behind = (): Promise<unknown> =>
    ask(
      standby,
      `select pg_wal_lsn_diff(pg_last_wal_replay_lsn(), confirmed_flush_lsn)::int8::float8 from pg_replication_slots`,
    );
  await waitFor(async () => Number(await behind()) < 16 * MIB, 'the slot to come along', 60_000);
  await ask(primary, 'insert into item values (1)');
  await deliveredOnce([1]);
  expect((await databaseHealth()).gaps).toEqual([]);
}, 400_000);

const says = (said: string) =>
  waitFor(
    async () => JSON.stringify(await databaseHealth()).includes(said) || undefined,
    `the health to say: ${said}`,
  );

test('nothing is delivered that a standby of the barrier has not replayed, over a restart and a failover; one that stands still is passed over where that is wanted', async () => {
  await ask(primary, 'create table later (id int primary key)');
  const standby = await addStandby('standby_a');
  const barrier = `barrier: 127.0.0.1:${standby.port}\non_gap: resume`;
  const hosts = [primary, standby];
  const held = `changes wait until they are replayed by 127.0.0.1:${standby.port}`;
  await read(hosts, { extra: barrier });
  await ask(primary, 'insert into item select generate_series(1, 100)');
  await deliveredOnce(await idsOf(primary));

  await ask(standby, 'select pg_wal_replay_pause()');
  await ask(primary, 'insert into item select generate_series(101, 200)');
  await says(held);
  expect(await service!.stop()).toBe(0);
  await read(hosts, { extra: barrier });
  await says(held);
  expect(delivered()).toHaveLength(100);
  await ask(standby, 'select pg_wal_replay_resume()');
  await deliveredOnce(await idsOf(primary));
  await waitFor(
    async () => !JSON.stringify(await databaseHealth()).includes('barrier') || undefined,
    'no word of it',
  );

  expect(await service!.stop()).toBe(0);
  await read(hosts, { extra: `${barrier}\nbarrier_timeout: 1s` });
  await ask(standby, 'select pg_wal_replay_pause()');
  await ask(primary, 'insert into item values (201)');
  await says('changes are delivered that are not replayed yet by');
  await deliveredOnce(await idsOf(primary));
  await ask(standby, 'select pg_wal_replay_resume()');
  await waitFor(
    async () => !JSON.stringify(await databaseHealth()).includes('barrier') || undefined,
    'no word of it',
  );

  expect(await service!.stop()).toBe(0);
  await read(hosts, { extra: barrier });
  // What the old primary alone has is nobody's: the standby never gets it.
  await standby.stop();
  await ask(primary, 'insert into item select generate_series(1001, 1200)');
  await says(held);
  await killServer(primary);
  await standby.start();
  await standby.promote();
  // Where nothing has kept the slot for it, what is written before it is made there is a gap.
  await waitFor(async () => {
    const { host, state } = await databaseHealth();
    return (host === `127.0.0.1:${standby.port}` && state === 'streaming') || undefined;
  }, 'the new primary to be followed');
  await ask(standby, 'insert into item select generate_series(2001, 2100)');
  await waitFor(() => delivered().includes(2100), 'changes of the new primary');
  await deliveredOnce(await idsOf(standby));
  const url = `${await service!.apiUrl()}/api/databases/shop/orphans`;
  expect(await (await fetch(url)).json()).toMatchObject({ orphans: [] });
}, 400_000);

test('a host of the barrier that is of another cluster is refused by name, whatever WAL it has: nothing is delivered until it is taken out', async () => {
  const other = new URL(inject('postgresUrl'));
  const client = await connect(other.href);
  onTestFinished(() => client.end());
  // To the next segment: further than anything that is written here.
  await client.query('create temporary table t (); select pg_switch_wal()');
  await read([primary], { extra: `barrier: ${other.host}` });
  await ask(primary, 'insert into item select generate_series(1, 10)');
  await says(`${other.host} is of another cluster`);
  const { status, cure } = await databaseHealth();
  expect(status).toBe('degraded');
  expect(cure).toContain('take it out of databases[].barrier');
  const doctor = startCli(['doctor', '-c', join(directory.path, 'tailrace.yaml')], { env: FAKE_AWS });
  expect(await doctor.code).toBe(1);
  expect(doctor.stdout()).toContain(`✗ barrier ${other.host}: ${other.host} is of another cluster`);
  // It was asked again and again meanwhile.
  expect(delivered()).toEqual([]);
  const { rows } = await client.query('select pg_current_wal_lsn() >= $1::pg_lsn as ahead', [
    await ask(primary, 'select pg_current_wal_lsn()'),
  ]);
  expect(rows).toEqual([{ ahead: true }]);
  expect(await service!.stop()).toBe(0);
  await read([primary], { extra: '' });
  await deliveredOnce(await idsOf(primary));
}, 200_000);

test('a standby that replays nothing is told with its cause, and the cure of a paused one resumes it', async ({
  skip,
}) => {
  if (version < STANDBYS_DECODE) skip();
  const standby = await addStandby('standby_a');
  await ask(primary, 'create table lat (id int primary key)');
  await waitForReplay(primary, standby);
  await read([standby], {
    extra: `connection: { receive_timeout: 3s }
primary: { hostname: 127.0.0.1, port: ${primary.port}, ssl: false }`,
  });
  const trouble = (text: string) =>
    waitFor(
      async () => (await databaseHealth()).troubles.find(({ reason }) => reason.includes(text)),
      `trouble: ${text}`,
      120_000,
    );
  await ask(standby, 'select pg_wal_replay_pause()');
  await ask(primary, 'insert into item values (1)');
  const { cure } = await trouble('has its replay paused');
  await ask(standby, /SELECT pg_wal_replay_resume\(\)/.exec(cure!)![0]);
  await deliveredOnce([1]);
  await healthy();

  await ask(standby, 'alter system set max_standby_streaming_delay = -1');
  await ask(standby, 'select pg_reload_conf()');
  const reader = await connect(standby.url());
  await reader.query('begin; select from item');
  await ask(primary, 'alter table item add column v int');
  await ask(primary, 'insert into item values (2)');
  await trouble('does not replay what it has received');
  await reader.end();
  await deliveredOnce([1, 2]);
  await healthy();

  const conninfo = await ask(standby, 'show primary_conninfo');
  const connectsTo = async (text: unknown): Promise<void> => {
    await ask(standby, `alter system set primary_conninfo = '${String(text).replaceAll("'", "''")}'`);
    await ask(standby, 'select pg_reload_conf()');
  };
  await connectsTo('host=127.0.0.1 port=1');
  await ask(primary, 'insert into item values (3)');
  await trouble('receives nothing from its primary');
  await connectsTo(conninfo);
  await deliveredOnce([1, 2, 3]);
  await healthy();
  expect((await databaseHealth()).gaps).toEqual([]);
});
