// Transactions that are streamed while they are in progress give the log that they give when they are read at their commits.
import type { Client } from 'pg';
import { afterEach, beforeEach, expect, onTestFailed, test } from 'vitest';
import { existsSync, mkdirSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseLsn } from '../../../../src/core/lsn.ts';
import { INTERNAL_ERROR } from '../../../../src/postgres/connection/fault.ts';
import { STREAMS_IN_PROGRESS } from '../../../../src/postgres/versions.ts';
import { databaseSettings, serverVersion } from '../../../support/database-settings.ts';
import { connect, createTestDatabase, waitFor, type TestDatabase } from '../../../support/postgres.ts';
import { startTestServer } from '../../../support/server.ts';
import {
  createSourceDirectory,
  startTestSource,
  type Logged,
  type SourceDirectory,
  type TestSource,
} from '../../../support/source.ts';
import { randomTables, randomTransactions, seededChance } from '../../../support/random-transactions.ts';

const MIB = 1024 * 1024;

let database: TestDatabase;
let client: Client;
let version: number;
let ends: (() => unknown)[];

beforeEach(async ({ skip }) => {
  ends = [];
  database = await createTestDatabase();
  client = database.client;
  version = await serverVersion(client);
  if (version < STREAMS_IN_PROGRESS) skip();
  await client.query(`create table items (id int primary key, note text);
    create table others (a int, b text, c text); alter table others replica identity full;
    alter table items alter note set storage external`);
});
afterEach(async () => {
  for (const end of ends.toReversed()) await end();
  await database.drop();
});

/** What the server decodes with, in walsenders that start from now on. */
const decodesWith = (setting: string) => client.query(`alter database ${database.name} set ${setting}`);

async function start(
  name: string,
  slot: Parameters<typeof databaseSettings>[1] = {},
  directory: SourceDirectory = newDirectory(),
): Promise<TestSource> {
  const settings = databaseSettings(database, {
    ...slot,
    slot: { name: `${name}_${database.name}`, ack: 'durable', ...slot.slot },
  });
  const source = startTestSource(settings, directory);
  source.ended.catch(() => undefined);
  ends.push(() => source.stop());
  await source.ready;
  return source;
}

function newDirectory(): SourceDirectory {
  const directory = createSourceDirectory();
  ends.push(() => directory.remove());
  return directory;
}

const SMALL_MEMORY = "logical_decoding_work_mem = '64kB'";
/** Every change is sent at once (17 and newer). */
const IMMEDIATE = "debug_logical_replication_streaming = 'immediate'";
const STREAMING = { slot: { streaming: { maxSpooledBytes: 64 * MIB } } };

async function session(): Promise<Client> {
  const other = await connect(database.url);
  ends.push(() => other.end());
  return other;
}

let markers = 0;

/** Waits until everything committed so far is in the logs. */
async function logged(...sources: readonly TestSource[]): Promise<Logged[]> {
  const note = `marker ${++markers}`;
  await client.query('insert into items values (-1, $1)', [note]);
  const { rows } = await client.query<{ lsn: string }>('select pg_current_wal_insert_lsn() as lsn');
  await client.query('delete from items where id = -1');
  const reached = parseLsn(rows[0]!.lsn)!;
  const isThere = (source: TestSource) => parseLsn(source.status().loggedEnd)! > reached;
  await waitFor(() => sources.every(isThere), 'the logs to have everything');
  return Promise.all(sources.map((source) => source.read()));
}

/** Everything of a log that numbers rows or makes messages of them: relations may stand in it more than once. */
const contentOf = ({ rows, types, commits, pieceBytes }: Logged) => ({
  rows: rows.map(({ relation, ...row }) => ({
    ...row,
    names: relation.columns.map(({ name }) => name),
    key: relation.key,
    identity: relation.replicaIdentity,
  })),
  // Before Postgres 15 transactions without a row come too, as a Begin and a Commit.
  types: types.replaceAll(/[ReYO]/g, '').replaceAll('BC', ''),
  commits: commits.filter((commit) => rows.some(({ commitLsn }) => commitLsn === commit.commitLsn)),
  pieceBytes,
});

const spoolFiles = ({ path }: SourceDirectory): string[] => {
  const spool = join(path, 'log', 'spool');
  return existsSync(spool) ? readdirSync(spool) : [];
};

/** More than is decoded in memory. */
const many = (from: number, note = 'x') =>
  `insert into items select i, repeat('${note}', 200) from generate_series(${from}, ${from + 999}) i`;
const idsOf = ({ rows }: Logged): number[] =>
  rows.filter(({ values }) => Number(values[0]) >= 0).map(({ values }) => Number(values[0]));
const range = (from: number, count: number) => Array.from({ length: count }, (_, i) => from + i);

const spools = (source: TestSource) =>
  waitFor(() => source.status().spooledBytes > 0, 'a transaction to be spooled');

/** `immediate`: every change is sent at once (17 and newer); else a transaction is streamed whenever it holds 64 kB of changes. */
for (const how of ['immediate', 'by memory'] as const) {
  test(`random transactions give the same log with streaming and without it: ${how} (C124, C125)`, async ({
    skip,
  }) => {
    const seed = Number(process.env['SEED'] ?? Math.floor(Math.random() * 1e9));
    if (how === 'by memory') await decodesWith(SMALL_MEMORY);
    else {
      if (version < 170_000) skip();
      await decodesWith(IMMEDIATE);
    }
    const sessions = [await session(), await session(), await session()];
    await client.query(randomTables(sessions.length));
    const streaming = await start('streaming', STREAMING);
    const whole = await start('whole');
    onTestFailed(() => {
      const said = [streaming, whole].map((source) => ({
        status: source.status(),
        lines: source.lines.slice(-20),
      }));
      console.error(JSON.stringify({ seed, said }, undefined, 1));
    });
    const [transactions, rowBytes] = how === 'immediate' ? [15, 20] : [25, 2_000];
    await randomTransactions({ sessions, chance: seededChance(seed), transactions, rowBytes });
    const [got, expected] = (await logged(streaming, whole)).map(contentOf);
    expect(got, `seed ${seed}`).toEqual(expected);
    // The server fails now and then in a way of its own while it decodes what is in progress.
    const failures = streaming.lines.filter((line) => 'code' in line && line.code === INTERNAL_ERROR).length;
    expect(streaming.status().streamedTransactions > 5 || failures > 0, `seed ${seed}`).toBe(true);
    expect(whole.status().streamedTransactions).toBe(0);
    expect(streaming.status()).toMatchObject({ reconnects: failures, spooledBytes: 0 });
  });
}

test('one in progress holds nothing up; rolled back, it has never been (C126)', async () => {
  await decodesWith(SMALL_MEMORY);
  const directory = newDirectory();
  const source = await start('streaming', STREAMING, directory);
  const other = await session();
  await other.query('begin');
  await other.query(many(0));
  await spools(source);
  expect(spoolFiles(directory)).toHaveLength(1);
  await client.query("insert into items values (5000, 'meanwhile')");
  const { rows } = await client.query<{ lsn: string }>('select pg_current_wal_insert_lsn() as lsn');
  await client.query('create table elsewhere ()');
  const slot = `streaming_${database.name}`;
  await waitFor(async () => {
    const confirmed = await client.query<{ is: boolean }>(
      'select confirmed_flush_lsn >= $1 as is from pg_replication_slots where slot_name = $2',
      [rows[0]!.lsn, slot],
    );
    return confirmed.rows[0]!.is;
  }, 'the flush to pass what is in progress');
  await other.query('rollback');
  const [log] = await logged(source);
  expect(idsOf(log!)).toEqual([5000]);
  expect(source.status()).toMatchObject({ spooledBytes: 0, streamedTransactions: 0, reconnects: 0 });
  expect(spoolFiles(directory)).toEqual([]);
});

test('one that is in progress while the source stops or loses its connection comes once, and nothing of before is left', async () => {
  await decodesWith(SMALL_MEMORY);
  const directory = newDirectory();
  const first = await start('streaming', STREAMING, directory);
  const other = await session();
  await other.query('begin');
  await other.query(many(0));
  await spools(first);
  await first.stop();
  expect(spoolFiles(directory)).toEqual([]);
  // As a process that was killed leaves it.
  mkdirSync(join(directory.path, 'log', 'spool'), { recursive: true });
  writeFileSync(join(directory.path, 'log', 'spool', '17'), 'left over');
  const second = await start('streaming', STREAMING, directory);
  expect(spoolFiles(directory)).not.toContain('17');
  await other.query(many(1000));
  await spools(second);
  await client.query(
    'select pg_terminate_backend(active_pid) from pg_replication_slots where slot_name = $1',
    [`streaming_${database.name}`],
  );
  await waitFor(() => second.status().reconnects === 1, 'the source to connect again');
  await other.query(many(2000));
  await other.query('commit');
  const [log] = await logged(second);
  expect(idsOf(log!)).toEqual(range(0, 3000));
  expect(second.status()).toMatchObject({ streamedTransactions: 1, spooledBytes: 0 });
});

test('where they would take more than they may, each is read at its commit until that has come', async () => {
  await decodesWith(SMALL_MEMORY);
  const directory = newDirectory();
  const source = await start('streaming', { slot: { streaming: { maxSpooledBytes: 300_000 } } }, directory);
  await client.query(`begin; ${many(0)}; ${many(1000)}; commit`);
  const [log] = await logged(source);
  expect(idsOf(log!)).toEqual(range(0, 2000));
  expect(source.status()).toMatchObject({ streamedTransactions: 0, reconnects: 1, spooledBytes: 0 });
  expect(source.lines.filter(({ msg }) => msg.includes('300000 bytes'))).toHaveLength(1);
  expect(source.status().notes.filter((note) => note.startsWith('slot.streaming'))).toHaveLength(1);
  expect(spoolFiles(directory)).toEqual([]);
  await client.query(
    'select pg_terminate_backend(active_pid) from pg_replication_slots where slot_name = $1',
    [`streaming_${database.name}`],
  );
  await waitFor(() => source.status().reconnects === 2, 'the source to connect again');
  await client.query(many(2000));
  expect(idsOf((await logged(source))[0]!)).toEqual(range(0, 3000));
  expect(source.status()).toMatchObject({ streamedTransactions: 1, reconnects: 2 });
  expect(source.status().notes.filter((note) => note.startsWith('slot.streaming'))).toEqual([]);
});

test('logical messages come where they were written, also where a savepoint beside them is undone', async () => {
  await decodesWith(SMALL_MEMORY);
  const streaming = await start('streaming', STREAMING);
  const whole = await start('whole');
  const say = "select pg_logical_emit_message(true, 'test', 'said')";
  await client.query(`begin; ${say}; ${many(0)}; ${say}; ${many(1000)}; commit`);
  await waitFor(() => streaming.status().changes === 2000, 'the first to be logged');
  expect(streaming.status()).toMatchObject({ streamedTransactions: 1, reconnects: 0 });
  await client.query(
    `begin; ${many(2000)}; savepoint s; ${say}; ${many(3000)}; rollback to s; ${say}; ${many(4000)}; commit`,
  );
  const [got, expected] = (await logged(streaming, whole)).map(contentOf);
  expect(got).toEqual(expected);
  expect(streaming.status().reconnects).toBe(1);
});

test('tables are described as the server did last, whatever a transaction that began before then was told', async ({
  skip,
}) => {
  if (version < 150_000) skip();
  await decodesWith(SMALL_MEMORY);
  const publication = `pub_${database.name}`;
  await client.query('create table wide (id int primary key, a text, b text)');
  await client.query(`create publication ${publication} for table items, wide`);
  const streaming = await start('streaming', STREAMING);
  const other = await session();
  await other.query('begin');
  await other.query(`insert into wide select i, 'a', 'b' from generate_series(1, 10) i`);
  // What is left to be sent at the commit is of another table.
  await other.query(many(0));
  await spools(streaming);
  await client.query(`alter publication ${publication} set table items, wide (id, a)`);
  await client.query("insert into wide values (2000, 'a', 'b')");
  await other.query('commit');
  await client.query("insert into wide values (2001, 'a', 'b')");
  const [log] = await logged(streaming);
  const wide = log!.rows.filter(({ table }) => table === 'wide');
  // Its own rows, as they were described while it was in progress; then all that follow, as they are described now.
  expect(wide.map(({ columns }) => columns)).toEqual([2, ...Array<number>(10).fill(3), 2]);
  expect(wide.map(({ values }) => values.length)).toEqual(wide.map(({ columns }) => columns));
  expect(wide.map(({ values }) => Number(values[0]))).toEqual([2000, ...range(1, 10), 2001]);
  expect(streaming.status()).toMatchObject({ streamedTransactions: 1, reconnects: 0 });
});

test('composites are proved as ever, and texts of other encodings read', async () => {
  const latin = await createTestDatabase(undefined, 'LATIN1');
  await client.end();
  await database.drop();
  database = latin;
  client = latin.client;
  await client.query(`create type pair as (first int, second text);
    create table items (id int primary key, note text, p pair)`);
  await decodesWith(SMALL_MEMORY);
  const streaming = await start('streaming', STREAMING);
  const whole = await start('whole');
  await client.query(
    `insert into items select i, repeat('\u00e9', 200), row(i, 'x')::pair from generate_series(1, 1000) i`,
  );
  const [got, expected] = await logged(streaming, whole);
  expect(contentOf(got!)).toEqual(contentOf(expected!));
  expect([...got!.relations.at(-1)!.types.values()].map(({ kind }) => kind)).toContain('composite');
  expect(streaming.status()).toMatchObject({ streamedTransactions: 1, unprovedShapes: 0 });
});

test('prepared transactions come once, at COMMIT PREPARED, and not at all where they are rolled back (C129)', async () => {
  const server = await startTestServer({ settings: { max_prepared_transactions: '5' } });
  const usual = database;
  try {
    database = await createTestDatabase(server.url());
    client = database.client;
    await client.query('create table items (id int primary key, note text)');
    await decodesWith(SMALL_MEMORY);
    const streaming = await start('streaming', STREAMING);
    const whole = await start('whole');
    for (const [id, end] of [
      ['kept', 'commit'],
      ['gone', 'rollback'],
    ] as const) {
      await client.query(`begin; ${many(id === 'kept' ? 0 : 1000)}; prepare transaction '${id}'`);
      await spools(streaming);
      await client.query(`insert into items values (${id === 'kept' ? 5000 : 6000}, 'meanwhile')`);
      await logged(streaming);
      await client.query(`${end} prepared '${id}'`);
    }
    const [got, expected] = (await logged(streaming, whole)).map(contentOf);
    expect(got).toEqual(expected);
    expect(got!.rows.map(({ values }) => Number(values[0])).filter((id) => id >= 0)).toEqual([
      5000,
      ...range(0, 1000),
      6000,
    ]);
    expect(streaming.status()).toMatchObject({ streamedTransactions: 1, spooledBytes: 0, reconnects: 0 });
    for (const end of ends.splice(0).toReversed()) await end();
  } finally {
    await client.end();
    await server.remove();
    database = usual;
    client = usual.client;
  }
});
