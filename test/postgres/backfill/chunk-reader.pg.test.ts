// Chunks of real tables: every row once whatever the key is, and of each what the stream would send.
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { PGOUTPUT } from '../../../src/pgoutput/bytes.ts';
import { decodeRelation } from '../../../src/pgoutput/messages.ts';
import type { Chunk } from '../../../src/postgres/backfill/chunk-reader.ts';
import type { ChunkRange } from '../../../src/postgres/backfill/chunk-sql.ts';
import { leavesOf, readBackfillTable } from '../../../src/postgres/backfill/table.ts';
import {
  goneKeysOf,
  openReading,
  readChunks,
  readWhole,
  rowsOf,
  WHOLE,
  type TestReading,
} from '../../support/backfill.ts';
import { serverVersion } from '../../support/database-settings.ts';
import { createTestDatabase, waitFor, type TestDatabase } from '../../support/postgres.ts';

let database: TestDatabase;
let reading: TestReading;
beforeAll(async () => {
  database = await createTestDatabase();
  await sql('create publication everything for all tables');
  reading = await openReading(database, { publication: 'everything' });
});
afterEach(async () => {
  await sql('drop schema if exists public, s, "My ""Schema" cascade; create schema public');
});
afterAll(async () => {
  await reading.close();
  await database.drop();
});

const sql = (text: string) => database.client.query(text);
const count = async (table: string): Promise<number> =>
  (await database.client.query<{ n: number }>(`select count(*)::int as n from ${table}`)).rows[0]!.n;

async function readAll(table: string, how: Parameters<TestReading['reader']>[1] = {}) {
  const found = await reading.table(table);
  const chunks = await readChunks(reading.reader(found, how));
  return { table: found, chunks, rows: chunks.flatMap((chunk) => rowsOf(chunk, found)) };
}

/** It would have the whole table scanned by several workers at once. */
const ODD_PLANNER = [
  'enable_tidscan = off',
  'parallel_setup_cost = 0',
  'parallel_tuple_cost = 0',
  'min_parallel_table_scan_size = 0',
  'max_parallel_workers_per_gather = 4',
];

/** One row a chunk: every value of the key is a boundary once. */
const ROW_BY_ROW = { limits: { maxRows: 1 } };

describe('every row comes once, in the order of its key (C203, C204)', () => {
  const numbers = [`'NaN'`, '0', '-1.5', '1e20', '1.0', '-0.001'];
  test.each<[key: string, columns: string, values: readonly string[], before?: string]>([
    ['bool', 'k bool', ['false', 'true']],
    ['int2', 'k int2', ['-32768', '0', '32767']],
    ['int8', 'k int8', ['-9223372036854775808', '-1', '9223372036854775807']],
    ['numeric', 'k numeric', numbers],
    ['numeric with a scale', 'k numeric(30, 4)', numbers],
    ['float8', 'k float8', [...numbers, `'-Infinity'`, `'Infinity'`, '0.1', '1e-300']],
    ['float4', 'k float4', [`'NaN'`, '0.1', '3.4e38']],
    [
      'text in C',
      'k text collate "C"',
      [`''`, `' '`, `'A'`, `'a'`, `'_'`, `'ä'`, `'\\'`, `'\\N'`, `E'a\\tb\\nc'`, `'it''s'`],
    ],
    ['text in an ICU collation', 'k text collate "de-x-icu"', [`'Ä'`, `'a'`, `'z'`, `'B'`, `'ö'`, `''`]],
    [
      'text in a nondeterministic collation',
      'k text collate loose',
      [`'a'`, `'B'`, `'c'`, `'Ä'`],
      `create collation loose (provider = icu, locale = 'und-u-ks-level2', deterministic = false)`,
    ],
    ['char(n)', 'k char(5)', [`'a'`, `'a b'`, `''`, `'abcde'`]],
    ['"char"', 'k "char"', [`'a'`, `'Z'`]],
    ['name', 'k name', [`'x'`, `'Y'`]],
    ['bit', 'k bit(3)', [`B'101'`, `B'000'`]],
    ['varbit', 'k varbit', [`B''`, `B'1'`, `B'0000000000001'`]],
    ['uuid', 'k uuid', [`'00000000-0000-0000-0000-000000000000'`, `'ffffffff-ffff-ffff-ffff-ffffffffffff'`]],
    ['macaddr', 'k macaddr', [`'08:00:2b:01:02:03'`, `'00:00:00:00:00:00'`]],
    ['inet', 'k inet', [`'10.0.0.1'`, `'10.0.0.0/8'`, `'::1'`]],
    ['oid', 'k oid', ['0', '4294967295', '7']],
    ['date', 'k date', [`'-infinity'`, `'0044-03-15 BC'`, `'2026-01-01'`, `'infinity'`]],
    ['timestamp', 'k timestamp', [`'-infinity'`, `'2026-01-01 00:00:00.000001'`, `'infinity'`]],
    ['timestamptz', 'k timestamptz', [`'2026-01-01 00:00:00.000001+05'`, `'0001-01-01 BC'`, `'infinity'`]],
    ['interval', 'k interval', [`'1 mon -3 days 04:05:06.5'`, `'-1 year'`, `'0'`]],
    ['bytea', 'k bytea', [String.raw`'\x'`, String.raw`'\x00ff5c'`, String.raw`'\x0a09'`]],
    [
      'an enum, by its own order',
      'k mood',
      [`'z'`, `'a b'`, `'N,"'`, `'NULL'`],
      `create type mood as enum ('z', 'a b', 'N,"', 'NULL')`,
    ],
    ['an array', 'k int[]', [`'{}'`, `'{1,NULL}'`, `'{{1,2},{3,4}}'`]],
    ['a range', 'k int4range', [`'empty'`, `'[1,5)'`, `'(,)'`]],
    [
      'a composite type',
      'k pair',
      [`'(1,a)'`, `'(1,"b c")'`, `'(,)'`],
      'create type pair as (a int, b text)',
    ],
    [
      'a type of an extension that is like text, in an order of its own',
      'k citext',
      [`'a'`, `'B'`, `'c'`, `'D'`, `'_'`, `'aB'`],
      'create extension citext schema public',
    ],
    [
      'a type of an extension that is like nothing else, in another schema',
      'k s.ltree',
      [`'b'`, `'a.b'`, `'a'`, `'a.B'`],
      'create schema s; create extension ltree schema s',
    ],
    [
      'a domain over a domain, with a rule that old rows break',
      'k strict',
      ['1', '5'],
      'create domain base as int; create domain strict as base',
    ],
  ])('%s', async (_, columns, values, before) => {
    if (before !== undefined) await sql(before);
    await sql(`create table t (v text, ${columns}, primary key (k))`);
    for (const [i, value] of values.entries()) await sql(`insert into t values ('v${i}', ${value})`);
    if (columns.includes('strict')) await sql('alter domain strict add check (value > 3) not valid');
    const { rows, table } = await readAll('t', ROW_BY_ROW);
    expect(table.key).toHaveLength(1);
    const inOrder = await reading.client.query<{ v: string }>('select v from public.t order by k');
    expect(rows.map(({ v }) => v)).toEqual(inOrder.rows.map(({ v }) => v));
  });

  test('a key whose columns are ordered by operators of several schemas, also where its rows are read once more', async () => {
    await sql(`create extension citext schema public; create table t (v text, n int, k citext, m int, primary key (n, k, m));
      insert into t select n || k || m, n, k, m from generate_series(1, 2) n, unnest(array['a', 'B', 'c', 'D']) k, generate_series(1, 2) m`);
    const { rows, table } = await readAll('t', ROW_BY_ROW);
    const inOrder = (await sql('select v from t order by n, k, m')).rows as { v: string }[];
    expect(rows.map(({ v }) => v)).toEqual(inOrder.map(({ v }) => v));
    const again: ChunkRange = {
      by: 'rows',
      keys: [
        ['2', 'B', '1'],
        ['1', 'd', '2'],
        ['3', 'B', '1'],
      ],
    };
    const outcome = await reading.reader(table).read(again);
    if (outcome.kind !== 'chunk') throw new Error(outcome.kind);
    expect(rowsOf(outcome.chunk, table).map(({ v }) => v)).toEqual(['1D2', '2B1']);
    const [absent] = await readWhole(reading.reader(table), { ...again, by: 'absent' });
    expect(goneKeysOf(absent!, table)).toEqual([['3', 'B', '1']]);
  });

  test('a key of several columns of mixed types, not in the order of the columns, with quoted names in a quoted schema (C205)', async () => {
    await sql(`create schema "My ""Schema"; create type "My ""Schema"."Mood" as enum ('z', 'a')`);
    await sql(
      `create table "My ""Schema"."Täble" (v text, "Id" int, "from" "My ""Schema"."Mood", name text collate "C", primary key (name, "from", "Id"))`,
    );
    await sql(
      `insert into "My ""Schema"."Täble" select 'v' || n, n % 3, (array['z', 'a'])[1 + n % 2]::"My ""Schema"."Mood", 'name''' || n / 6 from generate_series(0, 59) n`,
    );
    const [oid] = (await leavesOf(reading.client, { schema: 'My "Schema', table: 'Täble' }))!;
    const table = (await readBackfillTable(reading.client, oid!, reading.context))!;
    expect(table.key.map(({ name }) => name)).toEqual(['name', 'from', 'Id']);
    const chunks = await readChunks(reading.reader(table, { limits: { maxRows: 7 } }));
    const inOrder = await sql(`select v from "My ""Schema"."Täble" order by name, "from", "Id"`);
    expect(chunks.flatMap((chunk) => rowsOf(chunk, table)).map(({ v }) => v)).toEqual(
      inOrder.rows.map(({ v }) => v),
    );
  });

  test('chunks that were cut ahead hold every row once, whatever comes and goes in them before they are read', async () => {
    await sql('create table t (id int primary key, v text)');
    await sql(`insert into t select i * 2, 'v' from generate_series(1, 200) i`);
    const table = await reading.table('t');
    const reader = reading.reader(table, { limits: { maxRows: 16 } });
    const ranges = await reader.cutAll();
    expect(ranges).toHaveLength(13);
    // The rows that ranges end with, whole ranges, and far more rows than one may hold.
    await sql(`delete from t where id % 32 = 0; delete from t where id between 100 and 180;
      insert into t select i * 2 + 1, 'new' from generate_series(0, 40) i; insert into t select i, 'end' from generate_series(500, 600) i`);
    const chunks: Chunk[] = [];
    for (const range of ranges.toReversed()) chunks.unshift(...(await readWhole(reader, range)));
    const inOrder = await sql('select id::text, v from t order by t.id');
    expect(chunks.flatMap((chunk) => rowsOf(chunk, table))).toEqual(inOrder.rows);
    expect(Math.max(...chunks.map(({ scanned }) => scanned))).toBe(16);
  });

  test('rows are read once more by their keys, and those that are gone are not there', async () => {
    await sql('create table t (name text, id int, v text, primary key (name, id))');
    await sql(`insert into t select 'n''' || n / 10, n, 'v' || n from generate_series(0, 99) n`);
    const table = await reading.table('t');
    const reader = reading.reader(table);
    const numbers = [7, 42, 99, 100, ...Array.from({ length: 20 }, (_, i) => 50 + i)];
    const keys = numbers.map((n) => [`n'${Math.floor(n / 10)}`, String(n)]);
    const [chunk] = await readWhole(reader, { by: 'rows', keys });
    const found = rowsOf(chunk!, table).map(({ v }) => v!);
    expect(found.toSorted()).toEqual(
      numbers
        .filter((n) => n < 100)
        .map((n) => `v${n}`)
        .toSorted(),
    );
  });

  test('of keys that somebody has those that no row has come as rows with a key alone', async () => {
    await sql(
      'create schema s; create extension ltree schema s; create table t (v text, k s.ltree primary key)',
    );
    await sql(`insert into t select 'v', ('a.' || n)::s.ltree from generate_series(1, 20) n`);
    const table = await reading.table('t');
    const keys = Array.from({ length: 30 }, (_, i) => [`a.${i + 1}`]);
    const [chunk] = await readWhole(reading.reader(table), { by: 'absent', keys });
    expect(goneKeysOf(chunk!, table)).toEqual(keys.slice(20));
    const all = await readWhole(reading.reader(table), { by: 'absent', keys: keys.slice(0, 20) });
    expect(all.map(({ rows }) => rows.count)).toEqual([0]);
  });

  test('a table without a primary key is read by a unique index that knows no NULL, and by no other one', async () => {
    await sql('create table t (a int not null, b int, c text not null, unique (b))');
    await sql('create unique index on t (c text_pattern_ops); create unique index on t (a) where a > 0');
    expect((await reading.table('t')).key).toEqual([]);
    await sql('create unique index on t (a) include (b)');
    expect((await reading.table('t')).key).toEqual([{ name: 'a', type: 'pg_catalog.int4' }]);
  });

  test('an index over a column that may have NULLs in spite of its NOT NULL is none to read by', async ({
    skip,
  }) => {
    if ((await serverVersion(database.client)) < 180_000) skip('NOT NULL has no NOT VALID');
    await sql('create table t (v text, k int unique)');
    await sql(
      `insert into t values ('1', 1), ('none', null), ('2', 2); alter table t add constraint filled not null k not valid`,
    );
    const { rows } = await readAll('t', ROW_BY_ROW);
    expect(rows.map(({ v }) => v)).toEqual(['1', 'none', '2']);
    await sql('truncate t; alter table t validate constraint filled');
    expect((await reading.table('t')).key).toEqual([{ name: 'k', type: 'pg_catalog.int4' }]);
  });

  test('the key that the stream tells old rows by is the one to read by', async () => {
    await sql('create table t (a int primary key, b int not null unique)');
    expect((await reading.table('t')).key).toEqual([{ name: 'a', type: 'pg_catalog.int4' }]);
    await sql('alter table t replica identity using index t_b_key');
    expect((await reading.table('t')).key).toEqual([{ name: 'b', type: 'pg_catalog.int4' }]);
  });

  test('a table without any key is read by its pages, each row with its place', async () => {
    await sql(
      `create table t (n int, pad text); insert into t select n, repeat('x', 500) from generate_series(1, 500) n`,
    );
    await sql(
      'alter table t replica identity full; delete from t where n % 3 = 0; insert into t values (1, null), (1, null)',
    );
    const { rows, chunks } = await readAll('t', { limits: { maxRows: 3, maxBytes: 2000 } });
    expect(rows).toHaveLength(await count('t'));
    expect(new Set(chunks.flatMap(({ places }) => places)).size).toBe(rows.length);
    expect(chunks.length).toBeGreaterThan(5);
  });

  test('rows of pages come in order, whatever planner a database has', async () => {
    await sql(
      `create table t (n int, pad text); insert into t select n, repeat('x', 1000) from generate_series(1, 9000) n; analyze t`,
    );
    for (const setting of ODD_PLANNER) await sql(`alter database ${database.name} set ${setting}`);
    const odd = await openReading(database, { publication: 'everything' });
    const table = await odd.table('t');
    const places = (
      await readChunks(odd.reader(table, { limits: { maxBytes: 1e9, targetMs: 60_000 } }))
    ).flatMap((chunk) => chunk.places.map((place) => Number(place.slice(1, place.indexOf(',')))));
    expect(places).toHaveLength(9000);
    expect(places).toEqual(places.toSorted((a, b) => a - b));
    await odd.close();
    for (const setting of ODD_PLANNER)
      await sql(`alter database ${database.name} reset ${setting.split(' ')[0]!}`);
  });

  test('an empty table is read at once, with a key or without one', async () => {
    await sql('create table keyed (id int primary key); create table bare (id int)');
    expect((await readAll('keyed')).chunks).toMatchObject([{ scanned: 0, rest: undefined }]);
    expect((await readAll('bare')).chunks).toMatchObject([{ scanned: 0, rest: undefined }]);
  });

  test('rows in the order of an index of any size come in chunks that are bounded by their bytes', async () => {
    await sql(`create table t (id int primary key, pad text); alter table t alter pad set storage external`);
    await sql(`insert into t select n, repeat('x', 300000) from generate_series(1, 30) n`);
    const { chunks, rows } = await readAll('t', { limits: { maxBytes: 1_000_000 } });
    expect(rows.map(({ id }) => Number(id))).toEqual(Array.from({ length: 30 }, (_, i) => i + 1));
    for (const chunk of chunks) expect(chunk.rows.bytes.length).toBeLessThan(1_700_000);
    expect(rows.every(({ pad }) => pad?.length === 300_000)).toBe(true);
  });
});

test('of a row that is larger than rows may be the key comes alone, with its size, counted by the server where it stores much', async () => {
  await sql(
    String.raw`create domain bytes as bytea; create table t (id int primary key, a text, b bytea, c int[], d bytes);
    insert into t select n, 'small' from generate_series(1, 6) n;
    update t set a = repeat(E'\\\n', 50000) where id = 2; update t set b = decode(repeat('00', 50000), 'hex') where id = 3;
    update t set c = array_fill(123456, array[20000]) where id = 4; update t set a = repeat('x', 60000), d = decode(repeat('ff', 10000), 'hex') where id = 5`,
  );
  const table = await reading.table('t');
  expect(table.large).toEqual(['a', 'b', 'c', 'd']);
  const limits = { maxRowBytes: 65_536 };
  const read = async (largeBytes: number, where?: string) => {
    const reader = reading.reader(
      { ...table, largeBytes },
      { limits, ...(where !== undefined && { where }) },
    );
    const [chunk] = await readChunks(reader);
    const ids = rowsOf(chunk!, table).map(({ id, a }) => [id, a]);
    return { ids, tooLarge: [...chunk!.rows.tooLarge!] };
  };
  const counted = await read(table.largeBytes);
  expect(counted.ids).toEqual(
    ['1', '2', '3', '4', '5', '6'].map((id) => [id, '16'.includes(id) ? 'small' : null]),
  );
  expect(counted.tooLarge).toEqual([
    [1, 100_000 + 22],
    [2, 100_002 + 31],
    [3, 140_001 + 31],
    [4, 60_000 + 20_002 + 26],
  ]);
  expect(await read(0)).toEqual(counted);
  expect((await read(table.largeBytes, 'id <> 3')).tooLarge.map(([at]) => at)).toEqual([1, 2, 3]);
});

describe('a chunk reads what the stream would send', () => {
  test('values have the text that the stream gives them (C047)', async () => {
    await sql(
      `create table t (id int primary key, at timestamptz, span interval, bytes bytea, padded char(4), flag bool, ip inet)`,
    );
    await sql(`set timezone to 'Asia/Kolkata'`);
    await sql(
      String.raw`insert into t values (1, '2026-01-02 03:04:05+00', '1 mon', '\xdead', 'a', true, '10.0.0.1'); insert into t values (2)`,
    );
    const { rows } = await readAll('t');
    const empty = { at: null, span: null, bytes: null, padded: null, flag: null, ip: null };
    expect(rows).toEqual([
      {
        id: '1',
        at: '2026-01-02 03:04:05+00',
        span: 'P1M',
        bytes: String.raw`\xdead`,
        padded: 'a   ',
        flag: 't',
        ip: '10.0.0.1',
      },
      { id: '2', ...empty },
    ]);
  });

  test('rows of children are not those of their parent', async () => {
    await sql('create table parent (id int primary key); create table child () inherits (parent)');
    await sql('insert into parent values (1); insert into child values (2)');
    expect((await readAll('parent')).rows).toEqual([{ id: '1' }]);
  });

  test('generated columns come where the publication sends them, and dropped ones never', async () => {
    await sql(
      'create table t (id int primary key, gone int, twice int generated always as (id * 2) stored); alter table t drop gone',
    );
    await sql('insert into t values (1)');
    expect((await readAll('t')).rows).toEqual([{ id: '1' }]);
    if ((await serverVersion(database.client)) < 180_000) return;
    await sql('alter publication everything set (publish_generated_columns = stored)');
    expect((await readAll('t')).rows).toEqual([{ id: '1', twice: '2' }]);
    await sql('alter publication everything set (publish_generated_columns = none)');
  });

  test('the columns and rows that the publication chooses, and of these the ones that the filter wants (C214)', async () => {
    if ((await serverVersion(database.client)) < 150_000) return;
    await sql('create table t (id int primary key, wanted text, secret text, n int)');
    await sql(`insert into t select n, 'w' || n, 'secret', n % 10 from generate_series(1, 100) n`);
    await sql('create publication chosen for table t (id, wanted) where (id > 50)');
    const chosen = await openReading(database, { publication: 'chosen' });
    const table = await chosen.table('t');
    const wanted = await readChunks(chosen.reader(table));
    expect(wanted.flatMap((chunk) => rowsOf(chunk, table))).toEqual(
      Array.from({ length: 50 }, (_, i) => ({ id: String(i + 51), wanted: `w${i + 51}` })),
    );
    const filtered = await readChunks(
      chosen.reader(table, {
        where: `n = 3 or secret is null -- ours`,
        limits: { maxRows: 9, targetMs: 600_000 },
      }),
    );
    expect(filtered.flatMap((chunk) => rowsOf(chunk, table)).map(({ id }) => id)).toEqual([
      '53',
      '63',
      '73',
      '83',
      '93',
    ]);
    const bySystemColumns = await readChunks(
      chosen.reader(table, {
        where: `r.xmin::text <> '' and tableoid = 'public.t'::regclass and r.ctid is not null`,
      }),
    );
    expect(bySystemColumns.flatMap((chunk) => rowsOf(chunk, table))).toHaveLength(50);
    // A chunk is a range of the key, whatever of it is wanted.
    expect(filtered.map(({ scanned }) => scanned)).toEqual([...Array.from({ length: 11 }, () => 9), 1]);
    await chosen.close();
  });

  test('a filter that names no column is asked of each row all the same', async () => {
    await sql('create table t (id int primary key); create table bare (id int)');
    await sql('insert into t select generate_series(1, 200); insert into bare select * from t');
    for (const table of ['t', 'bare']) {
      const { rows } = await readAll(table, { where: 'random() < 0.5' });
      expect(rows.length).toBeGreaterThan(0);
      expect(rows.length).toBeLessThan(200);
    }
  });

  test('no filter where the publication carries the whole schema of the table, as the stream knows none then', async ({
    skip,
  }) => {
    if ((await serverVersion(database.client)) < 150_000) skip('publications have no schemas');
    await sql('create table t (id int primary key); insert into t select generate_series(1, 10)');
    await sql('create publication doubly for tables in schema public, table t where (id > 5)');
    const doubly = await openReading(database, { publication: 'doubly' });
    const table = await doubly.table('t');
    expect((await readChunks(doubly.reader(table))).flatMap((chunk) => rowsOf(chunk, table))).toHaveLength(
      10,
    );
    await doubly.close();
    await sql('drop publication doubly');
  });

  test.each([
    ['create table t (v int, id int primary key)', [false, true]],
    ['create table t (v int, id int primary key deferrable)', [false, false]],
    ['create table t (v int, id int primary key); alter table t replica identity nothing', [false, false]],
    [
      'create table t (v int, id int primary key deferrable); alter table t replica identity full',
      [true, true],
    ],
    [
      'create table t (v int not null, id int primary key); create unique index u on t (v) include (id); alter table t replica identity using index u',
      [true, false],
    ],
  ])('columns are part of the identity where they are in the stream: %s', async (statements, identity) => {
    await sql(statements);
    const slot = `identity_${database.name}`;
    await sql(`select pg_create_logical_replication_slot('${slot}', 'pgoutput', true)`);
    await sql('insert into t values (1, 1)');
    const { rows } = await database.client.query<{ data: Buffer }>(
      `select data from pg_logical_slot_get_binary_changes('${slot}', null, null, 'proto_version', '1', 'publication_names', 'everything')`,
    );
    await sql(`select pg_drop_replication_slot('${slot}')`);
    const relation = rows.map(({ data }) => data).find((data) => data[0] === PGOUTPUT.relation)!;
    const streamed = decodeRelation(relation, 0, relation.length);
    expect((await reading.table('t')).relation).toEqual(streamed);
    expect(streamed.columns.map((column) => column.identity)).toEqual(identity);
  });

  test('partitions are read one by one, under the name that the publication gives their rows', async () => {
    await sql('create table root (id int, v text, primary key (id)) partition by range (id)');
    await sql('create table low partition of root for values from (0) to (10)');
    await sql(
      'create table high (v text, id int primary key); alter table root attach partition high for values from (10) to (20)',
    );
    await sql(`insert into root values (1, 'one'), (11, 'eleven')`);
    const leaves = (await leavesOf(reading.client, { schema: 'public', table: 'root' }))!;
    const low = await reading.table('low');
    const high = await reading.table('high');
    expect(leaves).toEqual([low.oid, high.oid]);
    expect([high.relation.id, high.relation.columns.map(({ name }) => name)]).toEqual([
      high.oid,
      ['v', 'id'],
    ]);
    await sql('create publication above for table root with (publish_via_partition_root)');
    const above = await openReading(database, { publication: 'above' });
    const table = await above.table('high');
    expect([table.relation.table, table.relation.columns.map(({ name }) => name)]).toEqual([
      'root',
      ['id', 'v'],
    ]);
    const [chunk] = await readChunks(above.reader(table));
    expect(rowsOf(chunk!, table)).toEqual([{ id: '11', v: 'eleven' }]);
    await above.close();
  });

  test('a table that is not published is refused', async () => {
    await sql('create table t (id int primary key); create publication nothing');
    const nothing = await openReading(database, { publication: 'nothing' });
    await expect(nothing.table('t')).rejects.toMatchObject({ code: 'TABLE_NOT_PUBLISHED' });
    await nothing.close();
  });
});

describe('what happens to a table between its chunks is told', () => {
  const altering: readonly [string, string][] = [
    ['a column', 'alter table t add column more int'],
    ['a type in a column', `alter type pair rename attribute a to b`],
    ['the publication', `alter publication everything set (publish = 'insert, delete')`],
    ['a type inside a type in a column, in an array', 'alter type inner_pair add attribute c int'],
    [
      'what is above it',
      'create table root (id int, p pair) partition by range (id); alter table root attach partition t default',
    ],
    [
      'its schema',
      'create schema s; alter table t set schema s; create table t (id int primary key, p pair)',
    ],
    [
      'the name of its schema',
      'alter schema public rename to s; create schema public; create table public.t (id int primary key, p text)',
    ],
    ['an index', 'create index on t (id)'],
    ['the name', 'alter table t rename to u; create table t (id int primary key, p pair)'],
  ];
  test.each(altering)('%s', async (_, statement) => {
    await sql(
      'create type inner_pair as (b int); create type pair as (a int, more inner_pair[]); create table t (id int primary key, p pair); insert into t select generate_series(1, 10)',
    );
    const table = await reading.table('t');
    const reader = reading.reader(table, ROW_BY_ROW);
    const first = await reader.read(WHOLE);
    expect(first.kind).toBe('chunk');
    await sql(statement);
    expect(await reader.read(WHOLE)).toEqual({ kind: 'altered' });
  });

  test('an entry of the publication for its schema, by which no filter holds', async ({ skip }) => {
    if ((await serverVersion(database.client)) < 150_000) skip('publications have no schemas');
    await sql('create table t (id int primary key); insert into t select generate_series(1, 10)');
    await sql('create publication partly for table t where (id > 5)');
    const partly = await openReading(database, { publication: 'partly' });
    for (const [verb, count] of [
      ['add', 5],
      ['drop', 10],
    ] as const) {
      const table = await partly.table('t');
      const reader = partly.reader(table);
      const [chunk] = await readChunks(reader);
      expect(rowsOf(chunk!, table)).toHaveLength(count);
      await sql(`alter publication partly ${verb} tables in schema public`);
      expect(await reader.read(WHOLE)).toEqual({ kind: 'altered' });
    }
    await partly.close();
    await sql('drop publication partly');
  });

  test('the table above a partition', async () => {
    await sql(
      'create table root (id int primary key) partition by range (id); create table t partition of root default; insert into t values (1)',
    );
    const reader = reading.reader(await reading.table('t'));
    expect((await reader.read(WHOLE)).kind).toBe('chunk');
    await sql('alter table root rename to trunk');
    expect(await reader.read(WHOLE)).toEqual({ kind: 'altered' });
  });

  test('a type in a column, while its rows are being read', async () => {
    await sql(
      'create type pair as (a int); create table t (id int primary key, p pair); insert into t values (1), (2); select pg_advisory_lock(7)',
    );
    const waits = 'case when pg_advisory_xact_lock_shared(7)::text is not null then true end';
    const reader = reading.reader(await reading.table('t'), { where: waits });
    const read = reader.read(WHOLE);
    await waitFor(
      async () => (await count(`pg_locks where locktype = 'advisory' and not granted`)) > 0,
      'the chunk to be on its way',
    );
    await sql('alter type pair rename attribute a to b');
    await sql('select pg_advisory_unlock(7)');
    expect(await read).toEqual({ kind: 'altered' });
  });

  test('a rewrite of a table that is read by its pages', async () => {
    await sql('create table t (id int); insert into t select generate_series(1, 10)');
    const reader = reading.reader(await reading.table('t'));
    const { range } = await reader.cut(undefined);
    await sql('vacuum full t');
    expect(await reader.read(range)).toEqual({ kind: 'altered' });
  });

  test('a table that is dropped', async () => {
    await sql('create table t (id int primary key)');
    const reader = reading.reader(await reading.table('t'));
    await sql('drop table t');
    await expect(reader.read(WHOLE)).rejects.toMatchObject({
      code: 'TABLE_GONE',
    });
  });
});

describe('a table that cannot be read is refused with its cure', () => {
  const ROLE = `Reader ${process.pid}`;
  afterEach(async () => {
    await sql(`drop owned by "${ROLE}"; drop role "${ROLE}"`);
  });

  test('no right to read it, and then a policy that hides rows (C173)', async () => {
    await sql(
      `create role "${ROLE}" login password 'postgres'; create schema s; create table s.t (id int primary key); insert into s.t values (1)`,
    );
    const mine = await openReading(database, { publication: 'everything', username: ROLE });
    const [oid] = (await leavesOf(mine.client, { schema: 's', table: 't' }))!;
    const refusalOf = async (): Promise<{ code: string; hint: string }> => {
      const table = (await readBackfillTable(mine.client, oid!, mine.context))!;
      return (await readChunks(mine.reader(table)).then(
        () => ({ code: 'none', hint: '' }),
        (error: unknown) => error,
      )) as { code: string; hint: string };
    };
    const unreadable = await refusalOf();
    expect(unreadable.code).toBe('TABLE_UNREADABLE');
    await sql(unreadable.hint);
    expect((await refusalOf()).code).toBe('none');
    await sql('alter table s.t enable row level security');
    const hidden = await refusalOf();
    expect(hidden.code).toBe('ROW_SECURITY');
    await sql(hidden.hint.slice(hidden.hint.indexOf('ALTER ROLE')));
    expect((await refusalOf()).code).toBe('none');
    await mine.close();
  });

  test('a filter that Postgres refuses, with its own words', async () => {
    await sql(
      `create role "${ROLE}"; create table t (id int primary key, v text); insert into t values (1, 'one')`,
    );
    const table = await reading.table('t');
    await expect(readChunks(reading.reader(table, { where: 'nothing > 3' }))).rejects.toMatchObject({
      code: 'FILTER_REFUSED',
      message: expect.stringContaining('nothing') as string,
    });
    await expect(readChunks(reading.reader(table, { where: 'v::int > 3' }))).rejects.toMatchObject({
      code: 'FILTER_REFUSED',
    });
  });
});

test('nothing stays open between two chunks, and a chunk that waits too long is tried again (C209, C215)', async () => {
  await sql('create table t (id int primary key); insert into t select generate_series(1, 10)');
  const own = await openReading(database, { publication: 'everything' });
  await own.client.query('set statement_timeout = 300');
  const { rows: pids } = await own.client.query<{ pid: number }>('select pg_backend_pid() as pid');
  type Activity = { state: string; waits: string | null; since: string; backend_xmin: string | null };
  const activity = async (): Promise<Activity> => {
    const { rows } = await reading.client.query<Activity>(
      'select state, wait_event_type as waits, query_start::text as since, backend_xmin from pg_stat_activity where pid = $1',
      [pids[0]!.pid],
    );
    return rows[0]!;
  };
  const reader = own.reader(await own.table('t'));
  await sql('begin; lock table t in access exclusive mode');
  const waiting = reader.read(WHOLE);
  const begun = new Set<string>();
  await waitFor(async () => {
    const { waits, since } = await activity();
    if (waits === 'Lock') begun.add(since);
    return begun.size > 1;
  }, 'the chunk to be tried again');
  await sql('commit');
  const outcome = await waiting;
  if (outcome.kind !== 'chunk') throw new Error(outcome.kind);
  expect(outcome.chunk.scanned).toBe(10);
  expect(outcome.chunk.walBefore).toBeLessThanOrEqual(outcome.chunk.watermark);
  expect(await activity()).toMatchObject({ state: 'idle', backend_xmin: null });
  await own.close();
});
