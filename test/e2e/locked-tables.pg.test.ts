// Tables that somebody has for himself for long (VACUUM FULL, a schema change that waits, an index that is built), end to end: the
// others go on, and what has to wait says for whom.
import type { Client } from 'pg';
import { expect, onTestFinished, test } from 'vitest';
import { endToEnd } from '../support/end-to-end.ts';
import { connect } from '../support/postgres.ts';
import { waitFor } from '../support/wait.ts';
import type { ChangeMessage } from '../support/workload.ts';

const world = endToEnd();

const sql = (text: string) => world.database.client.query(text);
const arrived = (): string[] =>
  world.recorder.messages.map(({ body }) => {
    const { action, record, metadata } = JSON.parse(body) as ChangeMessage;
    return `${metadata.table_name} ${action} ${String(record['id'])}`;
  });
const receive = (...expected: readonly string[]): Promise<unknown> =>
  waitFor(
    () => expected.every((text) => arrived().includes(text)),
    `${expected.join(', ')} among ${arrived().join(', ')}`,
  );
const status = async () => (await world.service.health()).databases[0]!;
const config = (): string =>
  world.config({
    publication: 'refresh_interval: 100ms',
    sinks: [{ tables: [], source: '{ include_schemas: [public] }' }],
  });

/** In a transaction of its own, which is open until it is told otherwise. */
async function hold(statement: string): Promise<Client> {
  const client = await connect(world.database.url);
  onTestFinished(() => client.end());
  await client.query(`begin; ${statement}`);
  return client;
}

const noneWaits = async (): Promise<void> => {
  const { rows } = await sql(
    `select left(query, 300) as query from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'`,
  );
  expect(rows).toEqual([]);
};

test('while somebody has a table for himself, the others are read, over a reconnect and a restart, and tables join', async () => {
  await sql(`create table held (id int primary key); create table t (id int primary key)`);
  await world.start({ config: config() });
  await sql('insert into t values (1); insert into held values (1)');
  await receive('t insert 1', 'held insert 1');
  const holder = await hold('lock table held in access exclusive mode');

  await sql('create table joined (id int primary key)');
  await waitFor(async () => (await status()).tables === 3, 'the new table to join');
  await sql('insert into joined values (2); insert into t values (2)');
  await receive('joined insert 2', 't insert 2');
  await noneWaits();

  await sql(`select pg_terminate_backend(pid) from pg_stat_activity
    where datname = current_database() and application_name like 'tailrace%'`);
  await sql('insert into t values (3)');
  await receive('t insert 3');

  expect(await world.service.stop()).toBe(0);
  await world.start({ config: config() });
  await sql('insert into t values (4)');
  await receive('t insert 4');
  await noneWaits();
  expect(await status()).toMatchObject({ status: 'healthy', gaps: [], tables: 3 });

  await holder.query('insert into held values (5); commit');
  await receive('held insert 5');
});

test('a publication that cannot be made while a table is held says by whom, keeps nobody from the other tables, and is made after the cure', async () => {
  await sql(`create table a (id int primary key); create table b (id int primary key)`);
  // As VACUUM and CREATE INDEX CONCURRENTLY have it.
  const holder = await hold('lock table b in share update exclusive mode');
  holder.on('error', () => undefined);
  const { rows } = await holder.query<{ pid: number }>('select pg_backend_pid() as pid');
  world.launch({ config: config() });
  const { reason, cure } = await waitFor(
    async () => (await status()).troubles.find(({ reason }) => reason.includes('cannot be made')),
    'the status to say what it waits for',
  );
  expect(reason).toContain(`table public.b is held by process ${rows[0]!.pid} (idle in transaction since 2`);
  // Others come to the other table meanwhile.
  await sql(`set lock_timeout = '60s'`);
  await sql('vacuum a');
  await sql(/SELECT pg_terminate_backend\(\d+\);/.exec(cure!)![0]);
  await world.service.ready();
  await sql('insert into b values (1)');
  await receive('b insert 1');
});
