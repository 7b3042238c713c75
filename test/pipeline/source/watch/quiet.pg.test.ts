// Captured tables are silent while others write a lot: Postgres may forget it all the same, also where we may write nothing.
import { afterEach, beforeEach, expect, test } from 'vitest';
import { databaseSettings, serverVersion } from '../../../support/database-settings.ts';
import { createTestDatabase, type TestDatabase } from '../../../support/postgres.ts';
import {
  createSourceDirectory,
  startTestSource,
  type SourceDirectory,
  type TestSource,
} from '../../../support/source.ts';
import { waitFor } from '../../../support/wait.ts';

/** A gigabyte where there is time for it. */
const MEGABYTES = Number(process.env['TAILRACE_TEST_QUIET_MB'] ?? 64);
const MIB = 1024 * 1024;
/** How far what Postgres may forget may be behind the WAL's end, a minute after the writing. */
const BEHIND = 16 * MIB;

let database: TestDatabase;
let other: TestDatabase;
let directory: SourceDirectory;
let source: TestSource;
let role: string;

beforeEach(async () => {
  [database, other] = [await createTestDatabase(), await createTestDatabase()];
  directory = createSourceDirectory();
  role = `quiet_${database.name}`;
  await database.client.query('create table items (id int primary key); create table noise (text text)');
  await database.client.query(`create publication pub_${database.name} for table items`);
  await database.client.query(`create role ${role} login replication password 'quiet'`);
  await database.client.query(
    `do $$ declare f regprocedure; begin
       for f in select oid::regprocedure from pg_proc where proname = 'pg_logical_emit_message' loop
         execute format('revoke execute on function %s from public', f);
       end loop; end $$`,
  );
});
afterEach(async () => {
  await source.stop();
  directory.remove();
  await database.client.query(`drop role ${role}`);
  await database.drop();
  await other.drop();
});

async function start(username: string): Promise<void> {
  const settings = databaseSettings(database, {
    ...(username === 'postgres' ? {} : { username, password: 'quiet' }),
    publication: { createIfNotExists: false },
    receiveTimeoutMs: 9_000,
  });
  source = startTestSource(settings, directory);
  source.ended.catch(() => undefined);
  await source.ready;
}

/** Half of it in another database, half in a table that nobody captures. */
async function writeElsewhere(): Promise<void> {
  for (let written = 0; written < MEGABYTES; written += 16) {
    await other.client.query(
      `select count(pg_logical_emit_message(false, 'noise', repeat('x', ${MIB}))) from generate_series(1, 8)`,
    );
    await database.client.query(
      `insert into noise select string_agg(md5((i * random())::text), '') from generate_series(1, 262144) i group by i % 4096`,
    );
  }
}

async function behind(): Promise<number> {
  const { rows } = await database.client.query<{ behind: string }>(
    `select pg_current_wal_lsn() - confirmed_flush_lsn as behind from pg_replication_slots where slot_name = $1`,
    [`slot_${database.name}`],
  );
  return Number(rows[0]!.behind);
}

/** Markers of ours in the WAL, as another slot decodes them. */
async function markers(): Promise<number> {
  const { rows } = await database.client.query<{ markers: number }>(
    `select count(*)::int as markers from pg_logical_slot_peek_binary_changes('peek_${database.name}', null, null,
       'proto_version', '1', 'publication_names', 'pub_${database.name}', 'messages', 'true')
     where encode(data, 'escape') like '%tailrace:proof%'`,
  );
  return rows[0]!.markers;
}

test.each(['a role that may write nothing', 'a role that may write markers'])('%s', async (who) => {
  const mayWrite = who.endsWith('markers') && (await serverVersion(database.client)) >= 140_000;
  await start(who.endsWith('nothing') ? role : 'postgres');
  const { rows: before } = await database.client.query<{ lsn: string }>(
    'select pg_current_wal_lsn()::text as lsn',
  );
  await writeElsewhere();
  const { rows: written } = await database.client.query<{ bytes: string }>(
    'select pg_current_wal_lsn() - $1::pg_lsn as bytes',
    [before[0]!.lsn],
  );
  expect(Number(written[0]!.bytes)).toBeGreaterThan(BEHIND * 2);
  await waitFor(async () => (await behind()) < BEHIND, 'Postgres to be told what it may forget');
  await waitFor(() => source.status().health === 'healthy', 'all to be well');
  expect(source.status()).toMatchObject({ changes: 0, reconnects: 0, stallsHealed: 0 });
  if ((await serverVersion(database.client)) < 140_000) return;
  await database.client.query(
    `select pg_create_logical_replication_slot('peek_${database.name}', 'pgoutput')`,
  );
  // The second is written once the first has come back and is flushed.
  await waitFor(async () => {
    await database.client.query(
      `insert into noise select repeat(md5(i::text), 100) from generate_series(1, 1000) i`,
    );
    return mayWrite ? (await markers()) >= 2 : (await behind()) < BEHIND;
  }, 'markers to come and go');
  expect((await markers()) > 0).toBe(mayWrite);
  expect((await source.read()).types).not.toContain('M');
});
