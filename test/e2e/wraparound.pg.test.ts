// Transaction ids of 32 bits wrap around while the service reads, end to end: on a real server that has few of them left.
import type { Client } from 'pg';
import { expect, onTestFinished, test } from 'vitest';
import { configText } from '../support/config.ts';
import { connect, createTestDatabase } from '../support/postgres.ts';
import { startTestServer } from '../support/server.ts';
import { createWorkDirectory, startService } from '../support/service.ts';
import { startSqsRecorder } from '../support/sqs-recorder.ts';
import { setNextXid } from '../support/transaction-ids.ts';
import { waitFor } from '../support/wait.ts';
import type { ChangeMessage } from '../support/workload.ts';

const XIDS = 1n << 32n;
/** Half of all ids are past, from wherever one looks: they are moved on in steps, and every row is frozen before each. */
const STEPS = [XIDS / 3n, (XIDS / 3n) * 2n];
/** So many are left when the service starts, at most. */
const LEFT = 120n;

const rowOf = (change: string): string => change.replace(/ \w+ /, ' ');

type Server = Awaited<ReturnType<typeof startTestServer>>;

async function moveOn(server: Server, next: bigint): Promise<void> {
  const admin = await connect(server.url());
  await admin.query('alter database template0 allow_connections true');
  const { rows } = await admin.query<{ datname: string }>('select datname from pg_database');
  for (const { datname } of rows) {
    const client = await connect(server.url(datname));
    await client.query('vacuum freeze');
    await client.end();
  }
  await admin.end();
  await server.stop();
  while (!setNextXid(server.directory, next)) {
    await server.start();
    await server.stop();
  }
  await server.start();
}

const nextXid = async (client: Client): Promise<bigint> => {
  const { rows } = await client.query<{ next: string }>(
    'select pg_snapshot_xmax(pg_current_snapshot())::text as next',
  );
  return BigInt(rows[0]!.next);
};

test('ids of transactions that wrap around part no history and lose no change: over schemas that change, tables that join, and restarts of both sides', async () => {
  const server = await startTestServer({ settings: { autovacuum: 'off' } });
  onTestFinished(() => server.remove());
  for (const step of [...STEPS, XIDS - LEFT]) await moveOn(server, step);
  const database = await createTestDatabase(server.url());
  const recorder = await startSqsRecorder({ createMissing: false });
  const directory = createWorkDirectory();
  onTestFinished(async () => {
    await recorder.stop();
    directory.remove();
  });
  let { client } = database;
  await client.query(`
    create type mood as enum ('low', 'high'); create type place as (city text, zip int);
    create table t (id int primary key, v text);
    create table f (id int primary key, v text); alter table f replica identity full;
    create table slow (id int primary key); create table c (id int primary key, m mood, p place);
    create table ev (id int primary key) partition by range (id);
    create table ev0 partition of ev for values from (0) to (100)`);
  const options = {
    config: configText({
      database,
      endpoint: recorder.url,
      publication: 'refresh_interval: 100ms',
      sinks: [{ tables: [], source: '{ include_schemas: [public] }' }],
    }),
    directory: directory.path,
  };
  let service = startService(options);
  onTestFinished(({ task }) => service.end(task));
  await service.ready();
  expect(await nextXid(client)).toBeLessThan(XIDS);

  const expected: string[] = [];
  const write = async (table: string, action: 'insert' | 'update' | 'delete', id: number): Promise<void> => {
    const sql = {
      insert: `insert into ${table} (id) values (${id})`,
      update: `update ${table} set v = 'v${id}' where id = ${id}`,
      delete: `delete from ${table} where id = ${id}`,
    };
    await client.query(sql[action]);
    expected.push(`${table} ${action} ${id}`);
  };
  const arrived = (): string[] =>
    recorder.messages
      .map(({ body }) => JSON.parse(body) as ChangeMessage)
      .map(({ action, record, metadata }) => `${metadata.table_name} ${action} ${String(record['id'])}`);
  const allArrived = (): Promise<unknown> =>
    waitFor(
      () => recorder.messages.length >= expected.length,
      `${expected.length} changes, there were ${recorder.messages.length}`,
    );

  const long = await connect(database.url);
  await long.query(`begin; insert into slow values (1000)`);
  let round = 0;
  while ((await nextXid(client)) < XIDS + LEFT) {
    round++;
    for (const table of ['t', 'f']) {
      await write(table, 'insert', round);
      await write(table, 'update', round);
      if (round % 2 === 0) await write(table, 'delete', round);
    }
    await client.query(`insert into c (id, m, p.city) values (${round}, 'high', 'x')`);
    expected.push(`c insert ${round}`);
    await write('ev', 'insert', round);
    if (round % 5 === 0) {
      await client.query(`alter table t add column c${round} int; alter type mood add value 'm${round}'`);
      await client.query(
        `alter type place add attribute a${round} int; create table n${round} (id int primary key)`,
      );
      await waitFor(async () => {
        const { rowCount } = await client.query(
          `select from pg_publication_tables where tablename = 'n${round}'`,
        );
        return rowCount === 1;
      }, 'the new table to join');
      await write(`n${round}`, 'insert', round);
    }
    if (round % 7 === 0) {
      await service.kill();
      service = startService(options);
    }
  }
  await long.query('commit');
  expected.push('slow insert 1000');
  await long.end();
  await allArrived();

  // On the other side, the last transaction of the log is one whose id is small.
  for (const mode of ['fast', 'immediate'] as const) {
    await client.end();
    await server.stop(mode);
    await server.start();
    client = await connect(database.url);
    await service.kill();
    service = startService(options);
    await write('t', 'insert', mode === 'fast' ? 2000 : 2001);
    await allArrived();
  }
  // Of each row in order; which row is first is the lanes' affair.
  const byRow = (all: readonly string[]): string[] =>
    all.toSorted((a, b) => rowOf(a).localeCompare(rowOf(b), 'en'));
  expect(byRow(arrived())).toEqual(byRow(expected));
  const { gaps, lostHistories } = (await service.health()).databases[0]!;
  expect({ gaps, partings: lostHistories?.partings }).toEqual({ gaps: [], partings: 0 });
  await client.end();
});
