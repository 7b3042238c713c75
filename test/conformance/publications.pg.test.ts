// What a source reads through publications that somebody else made, case by case: column lists, row filters, schemas, roots, rights.
import { afterEach, beforeEach, expect, test } from 'vitest';
import { databaseSettings, serverVersion } from '../support/database-settings.ts';
import { createTestDatabase, type TestDatabase } from '../support/postgres.ts';
import {
  createSourceDirectory,
  startTestSource,
  type LoggedRow,
  type TestSource,
} from '../support/source.ts';
import { waitFor } from '../support/wait.ts';

let database: TestDatabase;
let directory: ReturnType<typeof createSourceDirectory>;
let source: TestSource | undefined;

beforeEach(async () => {
  database = await createTestDatabase();
  directory = createSourceDirectory();
});
afterEach(async () => {
  await source?.stop();
  source = undefined;
  directory.remove();
  await database.drop();
});

const sql = (text: string) => database.client.query(text);
const since = async (version: number): Promise<boolean> =>
  (await serverVersion(database.client)) >= version * 10_000;

/** A source on the publication that `of` describes; what it carries must be there already. */
async function start(of: string, changes: Parameters<typeof databaseSettings>[1] = {}): Promise<TestSource> {
  const settings = databaseSettings(database, changes);
  await sql(`create publication ${settings.publication.name} ${of}`);
  source = startTestSource(settings, directory);
  source.ended.catch(() => undefined);
  await source.ready;
  return source;
}

const text = ({ action, table, relation, values }: LoggedRow): string =>
  [table, action, ...values.map((value, i) => `${relation.columns[i]?.name}=${value}`)].join(' ');

/** The rows in the log, as soon as there are `count`. */
const rows = (count: number): Promise<string[]> =>
  waitFor(async () => {
    const logged = (await source!.read()).rows;
    return logged.length >= count && logged.map(text);
  }, `${count} rows`);

test('a column list leaves the others out, also while it changes, and an update of them is one (C097, C098)', async (context) => {
  context.skip(!(await since(15)), 'column lists are of 15 and newer');
  await sql('create table cl (id int primary key, a text, secret text)');
  await start('for table cl (id, a)');
  await sql(`insert into cl values (1, 'a', 's'); update cl set secret = 't'`);
  await rows(2);
  await sql(`alter publication pub_${database.name} set table cl (id, secret)`);
  await sql(`update cl set a = 'b'`);
  expect(await rows(3)).toEqual(['cl insert id=1 a=a', 'cl update id=1 a=a', 'cl update id=1 secret=t']);
});

test('a row filter makes an insert of what enters and a delete of what leaves (C100)', async (context) => {
  context.skip(!(await since(15)), 'row filters are of 15 and newer');
  await sql('create table rf (id int primary key, a int); alter table rf replica identity full');
  await start('for table rf where (a > 10)');
  await sql('insert into rf values (1, 5), (2, 20)');
  await sql('update rf set a = 15 where id = 1');
  await sql('update rf set a = 16 where id = 1');
  await sql('update rf set a = 3 where id = 1');
  await sql('delete from rf where id = 1');
  await sql('delete from rf where id = 2');
  expect(await rows(5)).toEqual([
    'rf insert id=2 a=20',
    'rf insert id=1 a=15',
    'rf update id=1 a=16',
    'rf delete id=1 a=16',
    'rf delete id=2 a=20',
  ]);
});

test('of a publication that keeps actions to itself they do not come, and that is noted (C087, C101)', async () => {
  await sql('create table su (id int primary key, a int)');
  await start(`for table su with (publish = 'update')`);
  await sql('insert into su values (1, 1); update su set a = 2; delete from su; truncate su');
  await sql('insert into su values (2, 1); update su set a = 3');
  expect(await rows(2)).toEqual(['su update id=1 a=2', 'su update id=2 a=3']);
  expect(source!.status().warnings.join()).toContain('publish');
});

test('tables that are made in a published schema come at once (C103)', async (context) => {
  context.skip(!(await since(15)), 'schemas are published from 15 on');
  await sql('create schema app; create table outside (id int primary key)');
  await start('for tables in schema app');
  await sql(
    'create table app.made (id int primary key); insert into app.made values (1); insert into outside values (1)',
  );
  await sql('insert into app.made values (2)');
  expect(await rows(2)).toEqual(['made insert id=1', 'made insert id=2']);
});

test('under a root the rows of every partition have its columns, whatever was described last (C090)', async () => {
  await sql(`create table ro (id int primary key, note text) partition by range (id);
    create table ro1 partition of ro for values from (0) to (10);
    create table ro2 (note text, id int primary key); alter table ro attach partition ro2 for values from (10) to (20);
    create table beside (id int primary key)`);
  await start('for table ro, beside with (publish_via_partition_root)');
  await sql(
    `insert into ro values (1, 'a'), (11, 'b'); insert into beside values (5); update ro set note = 'c' where id = 11`,
  );
  expect(await rows(4)).toEqual([
    'ro insert id=1 note=a',
    'ro insert id=11 note=b',
    'beside insert id=5',
    'ro update id=11 note=c',
  ]);
});

test('a large transaction of a table that is not published neither ends the connection nor holds others up (C123)', async () => {
  await sql('create table noise (id int); create table quiet (id int primary key)');
  await sql(`alter database ${database.name} set wal_sender_timeout = '2s'`);
  await start('for table quiet', { receiveTimeoutMs: 2000 });
  await sql('insert into noise select generate_series(1, 300000)');
  await sql('insert into quiet values (1)');
  expect(await rows(1)).toEqual(['quiet insert id=1']);
  expect(source!.status().reconnects).toBe(0);
});

test('a role that may read no table streams them all the same (C172)', async () => {
  const role = `reader_${database.name}`;
  await sql(
    `create role ${role} login replication password 'postgres'; create table st (id int primary key, n numeric[])`,
  );
  try {
    await start('for table st', { username: role });
    await sql(`insert into st values (1, '{1.50}')`);
    expect(await rows(1)).toEqual(['st insert id=1 n={1.50}']);
    await source!.stop();
  } finally {
    await sql(`drop role ${role}`);
  }
});
