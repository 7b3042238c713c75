// Partitions that come and go while the source runs: what is logged of whose they are, and what servers before 15 do not take note of.
import { afterEach, beforeEach, expect, test } from 'vitest';
import { databaseSettings, serverVersion } from '../../support/database-settings.ts';
import { createTestDatabase, waitFor, type TestDatabase } from '../../support/postgres.ts';
import {
  createSourceDirectory,
  startTestSource,
  type SourceDirectory,
  type TestSource,
} from '../../support/source.ts';

/** From here on the server takes note of partitions while it streams. */
const TELLS = 150_000;

let database: TestDatabase;
let directory: SourceDirectory;
let source: TestSource;
let version: number;

beforeEach(async () => {
  database = await createTestDatabase();
  directory = createSourceDirectory();
  version = await serverVersion(database.client);
  await sql(`create table ev (id int primary key, note text) partition by range (id);
    create table ev1 partition of ev for values from (0) to (100);
    create table ev2 partition of ev for values from (100) to (200)`);
});
afterEach(async () => {
  await source.stop();
  directory.remove();
  await database.drop();
});

const sql = (text: string) => database.client.query(text);

async function start(): Promise<void> {
  source = startTestSource(databaseSettings(database), directory, {
    selections: [{ includeTables: [{ schema: ['public'], table: ['ev'] }] }],
  });
  source.ended.catch(() => undefined);
  await source.ready;
}

/** `table id` of the rows logged, each under its own name. */
const logged = async (): Promise<string[]> =>
  (await source.read()).rows.map(({ table, values }) => `${table} ${values[0]}`);
const hasLogged = (row: string): Promise<unknown> =>
  waitFor(async () => (await logged()).includes(row), `${row} in the log`);
/** What was logged last of whose partition a table is: the names of what is above it. */
const above = async (table: string): Promise<string[]> =>
  (await source.read()).relations
    .findLast((relation) => relation.table === table)!
    .ancestors?.map((ancestor) => ancestor.table) ?? [];
const looks = async (): Promise<void> => {
  // A table of nobody's: it is only there to be told of.
  await sql(
    `create table probe (id int primary key); alter publication pub_${database.name} add table probe`,
  );
  await sql('insert into probe values (1)');
  await hasLogged('probe 1');
};

test('a partition is logged with what is above it, from its root down', async () => {
  await sql(`create table mid partition of ev for values from (200) to (300) partition by range (id);
    create table low partition of mid for values from (200) to (250)`);
  await start();
  await sql(`insert into ev values (1), (201)`);
  await hasLogged('low 201');
  expect(await above('ev1')).toEqual(['ev']);
  expect(await above('low')).toEqual(['ev', 'mid']);
});

test('a table that had rows before it was attached is streamed, or that is a gap of its root', async () => {
  await sql('create table later (id int primary key, note text)');
  await start();
  await sql('insert into later values (201)');
  await sql('insert into ev values (1)');
  await hasLogged('ev1 1');
  await sql(
    'alter table ev attach partition later for values from (200) to (300); insert into later values (202)',
  );
  const isOld = version < TELLS;
  if (isOld) {
    await waitFor(() => source.status().reconnects > 0, 'the stream to begin anew');
    await waitFor(() => source.status().state === 'streaming', 'the stream');
  } else await hasLogged('later 202');
  await sql('insert into later values (203)');
  await hasLogged('later 203');
  expect(await above('later')).toEqual(['ev']);
  const gap = {
    cause: 'partition_unseen',
    tables: [
      { schema: 'public', table: 'ev' },
      { schema: 'public', table: 'later' },
    ],
    halts: true,
  };
  expect(source.status()).toMatchObject({ gaps: isOld ? [gap] : [], reconnects: isOld ? 1 : 0 });
});

test('a partition that is made with its root, or attached before anything was written to it, is no gap', async () => {
  await start();
  await sql(`create table ev3 partition of ev for values from (200) to (300);
    create table ev4 (like ev including all); alter table ev attach partition ev4 for values from (300) to (400)`);
  await sql('insert into ev values (201)');
  await hasLogged('ev3 201');
  await looks();
  await sql('insert into ev values (301)');
  await hasLogged('ev4 301');
  expect(await above('ev4')).toEqual(['ev']);
  expect(source.status()).toMatchObject({ gaps: [], reconnects: 0 });
});

test('a partition that was detached is not its root’s any more, and a stream that goes on with it begins anew', async () => {
  await start();
  await sql('insert into ev values (1), (101)');
  await hasLogged('ev2 101');
  await sql('alter table ev detach partition ev1');
  await sql('insert into ev1 values (2); insert into ev values (102)');
  await hasLogged('ev2 102');
  if (version < TELLS) {
    await waitFor(() => source.status().reconnects > 0, 'the stream to begin anew');
    await waitFor(() => source.status().state === 'streaming', 'the stream');
  }
  await sql('insert into ev1 values (3); insert into ev values (103)');
  await hasLogged('ev2 103');
  expect(await logged()).not.toContain('ev1 3');
  // What came of it meanwhile came as nobody's.
  expect(await above('ev1')).toEqual(version < TELLS ? [] : ['ev']);
  expect(source.status().gaps).toEqual([]);
});

test('the names above a partition are logged again when they change', async () => {
  await start();
  await sql('insert into ev values (1)');
  await hasLogged('ev1 1');
  await sql('alter table ev rename to renamed');
  let id = 2;
  await waitFor(async () => {
    await sql(`insert into renamed values (${id++ % 90}) on conflict do nothing`);
    return (await above('ev1'))[0] === 'renamed';
  }, 'the new name');
  expect((await source.read()).relations.filter(({ table }) => table === 'ev1').length).toBeGreaterThan(1);
});
