// Transactions that are streamed while they are in progress give the log that they give when they are read at their commits.
import type { Client } from 'pg';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { parseLsn } from '../../../../src/core/lsn.ts';
import { databaseSettings, serverVersion } from '../../../support/database-settings.ts';
import { connect, createTestDatabase, waitFor, type TestDatabase } from '../../../support/postgres.ts';
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

beforeEach(async () => {
  database = await createTestDatabase();
  client = database.client;
  version = await serverVersion(client);
  ends = [];
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
): Promise<TestSource & { readonly directory: string }> {
  const settings = databaseSettings(database, {
    ...slot,
    slot: { name: `${name}_${database.name}`, ack: 'durable', ...slot.slot },
  });
  const source = startTestSource(settings, directory);
  source.ended.catch(() => undefined);
  ends.push(() => source.stop());
  await source.ready;
  return { ...source, directory: directory.path };
}

function newDirectory(): SourceDirectory {
  const directory = createSourceDirectory();
  ends.push(() => directory.remove());
  return directory;
}

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
  types: types.replaceAll(/[ReYO]/g, ''),
  commits,
  pieceBytes,
});

const spoolOf = (source: { readonly directory: string }) => join(source.directory, 'log', 'spool');

/** `immediate`: every change is sent at once (17 and newer); else a transaction is streamed whenever it holds 64 kB of changes. */
for (const how of ['immediate', 'by memory'] as const) {
  test(`random transactions give the same log with streaming and without it: ${how}`, async ({ skip }) => {
    const seed = Number(process.env['SEED'] ?? Math.floor(Math.random() * 1e9));
    if (how === 'by memory') await decodesWith("logical_decoding_work_mem = '64kB'");
    else if (version < 170_000) return skip();
    else await decodesWith("debug_logical_replication_streaming = 'immediate'");
    const sessions = [await session(), await session(), await session()];
    await client.query(randomTables(sessions.length));
    const streaming = await start('streaming', STREAMING);
    const whole = await start('whole');
    const [transactions, rowBytes] = how === 'immediate' ? [40, 20] : [25, 3_000];
    const t0=Date.now();
    await randomTransactions({ sessions, chance: seededChance(seed), transactions, rowBytes });
    console.log('written', Date.now()-t0);
    const [got, expected] = (await logged(streaming, whole)).map(contentOf);
    console.log('logged', Date.now()-t0, got!.rows.length, streaming.status().streamedTransactions);
    expect(got, `seed ${seed}`).toEqual(expected);
    expect(streaming.status().streamedTransactions, `seed ${seed}`).toBeGreaterThan(5);
    expect(whole.status().streamedTransactions).toBe(0);
    expect(streaming.status()).toMatchObject({ reconnects: 0, spooledBytes: 0 });
  });
}
