// The values that the list of cases names, each through a real slot as the format `tailrace` sends it: exactly these texts.
import { afterAll, beforeAll, expect, test } from 'vitest';
import { serverVersion } from '../support/database-settings.ts';
import { openChangeReader, type ChangeReader } from '../support/decode.ts';
import { createTestDatabase, type TestDatabase } from '../support/postgres.ts';

let database: TestDatabase;
let reader: ChangeReader;
let version: number;
let tables = 0;

beforeAll(async () => {
  database = await createTestDatabase();
  version = await serverVersion(database.client);
  await database.client.query(`create domain cents as money; create domain steps as int check (value > 0);
    create extension citext; create extension hstore; create extension ltree; create extension cube;
    create type odd as enum ('a b', 'c,d', 'e"f', 'NULL')`);
  reader = await openChangeReader(database);
});
afterAll(() => database.drop());

/** SQL expressions, each with the JSON that the column becomes; `since` as in 14. */
type ValueCase = {
  readonly title: string;
  readonly type: string;
  readonly values: Readonly<Record<string, string>>;
  readonly since?: number;
};

const quoted = (text: string): string => JSON.stringify(text);

const CASES: readonly ValueCase[] = [
  { title: 'int2 (C001)', type: 'int2', values: { '-32768': '-32768', '32767': '32767' } },
  {
    title: 'int8 (C001, C002)',
    type: 'int8',
    values: {
      '-9223372036854775808': '-9223372036854775808',
      '9007199254740993': '9007199254740993',
      '9007199254740993 + 1': '9007199254740994',
    },
  },
  { title: 'oid (C003)', type: 'oid', values: { '4294967295': '4294967295' } },
  {
    title: 'xid8 (C003)',
    type: 'xid8',
    values: { "'18446744073709551615'": quoted('18446744073709551615') },
  },
  { title: 'regclass (C003)', type: 'regclass', values: { "'pg_class'": quoted('pg_class') } },
  {
    title: 'float4 (C004, C005)',
    type: 'float4',
    values: { '1.1': '1.1', "'3.4028235e+38'": '3.4028235e+38', "'NaN'": quoted('NaN'), "'-0'": '-0' },
  },
  {
    title: 'float8 (C004, C005)',
    type: 'float8',
    values: {
      "'5e-324'": '5e-324',
      "'1e22'": '1e+22',
      '123456789.12345679': '123456789.12345679',
      "'-Infinity'": quoted('-Infinity'),
    },
  },
  {
    title: 'numeric (C006, C008)',
    type: 'numeric',
    values: {
      '1.10': quoted('1.10'),
      '1e-20': quoted('0.00000000000000000001'),
      '1e30': quoted(`1${'0'.repeat(30)}`),
      "'NaN'": quoted('NaN'),
    },
  },
  {
    title: 'numeric of a negative scale (C007)',
    type: 'numeric(4,-2)',
    since: 15,
    values: { '123456': quoted('123500') },
  },
  {
    title: 'money (C009)',
    type: 'money',
    values: {
      '(-1234.5)::money': quoted('-$1,234.50'),
      "'92233720368547758.07'": quoted('$92,233,720,368,547,758.07'),
      '0::money': quoted('$0.00'),
    },
  },
  {
    title: 'a domain over money (C009, C044)',
    type: 'cents',
    values: { '(-0.01)::money': quoted('-$0.01') },
  },
  { title: 'bool (C010)', type: 'bool', values: { true: 'true', false: 'false', null: 'null' } },
  {
    title: 'text (C011)',
    type: 'text',
    values: {
      "''": '""',
      null: 'null',
      [String.raw`E'\\N \t"'`]: quoted('\\N \t"'),
      "' é😀 '": quoted(' é😀 '),
    },
  },
  { title: 'bpchar (C012)', type: 'char(4)', values: { "'a'": quoted('a   '), "''": quoted('    ') } },
  { title: 'bpchar in an array (C012)', type: 'char(3)[]', values: { "'{a}'": '["a  "]' } },
  { title: 'citext (C013)', type: 'citext', values: { "'CaSe'": quoted('CaSe') } },
  {
    title: 'date (C015)',
    type: 'date',
    values: {
      "'0044-03-15 BC'": quoted('0044-03-15 BC'),
      "'5874897-12-31'": quoted('5874897-12-31'),
      "'-infinity'": quoted('-infinity'),
    },
  },
  {
    title: 'time (C016)',
    type: 'time',
    values: { "'24:00:00'": quoted('24:00:00'), "'00:00:00.000001'": quoted('00:00:00.000001') },
  },
  {
    title: 'time to the millisecond (C016)',
    type: 'time(3)',
    values: { "'23:59:59.9995'": quoted('24:00:00') },
  },
  {
    title: 'timetz (C017)',
    type: 'timetz',
    values: {
      "'24:00:00+02'": quoted('24:00:00+02'),
      "'13:00:00.123456-07:30'": quoted('13:00:00.123456-07:30'),
      "'13:00:00+15:59:59'": quoted('13:00:00+15:59:59'),
    },
  },
  {
    title: 'uuid (C021)',
    type: 'uuid',
    values: { "'FFFFFFFF-FFFF-FFFF-FFFF-FFFFFFFFFFFF'": quoted('ffffffff-ffff-ffff-ffff-ffffffffffff') },
  },
  {
    title: 'jsonb (C023)',
    type: 'jsonb',
    values: { [`'{"bb":1E5,"a":-0,"a":1.0}'`]: '{"a": 1.0, "bb": 100000}', "'null'": 'null' },
  },
  {
    title: 'tsquery (C028)',
    type: 'tsquery',
    values: { "'fat & cat'": quoted("'fat' & 'cat'") },
  },
  {
    title: 'txid_snapshot (C028)',
    type: 'txid_snapshot',
    values: { "'10:20:10,14'": quoted('10:20:10,14') },
  },
  {
    title: 'inet (C029)',
    type: 'inet',
    values: {
      "'10.0.0.1/8'": quoted('10.0.0.1/8'),
      "'192.168.0.1'": quoted('192.168.0.1'),
      "'::1/128'": quoted('::1'),
    },
  },
  {
    title: 'macaddr (C029)',
    type: 'macaddr',
    values: { "'08-00-2b-01-02-03'": quoted('08:00:2b:01:02:03') },
  },
  { title: 'varbit (C030)', type: 'varbit', values: { "B'00101'": quoted('00101'), "B''": '""' } },
  { title: 'box (C031)', type: 'box', values: { "'((1,2),(3,4))'": quoted('(3,4),(1,2)') } },
  {
    title: 'open and closed paths (C031)',
    type: 'path',
    values: { "'[(1,2),(3,4)]'": quoted('[(1,2),(3,4)]'), "'((1,2),(3,4))'": quoted('((1,2),(3,4))') },
  },
  { title: 'line (C031)', type: 'line', values: { "'{1,2,3}'": quoted('{1,2,3}') } },
  {
    title: 'int4range (C032)',
    type: 'int4range',
    values: { "'[1,5]'": quoted('[1,6)'), "'empty'": quoted('empty'), "'(,)'": quoted('(,)') },
  },
  {
    title: 'tstzrange (C032)',
    type: 'tstzrange',
    values: {
      "'[2020-01-01 00:00:00+00,)'": quoted('["2020-01-01 00:00:00+00",)'),
      "'[-infinity,infinity]'": quoted('[-infinity,infinity]'),
    },
  },
  {
    title: 'int4multirange (C033)',
    type: 'int4multirange',
    since: 14,
    values: { "'{}'": quoted('{}'), "'{[1,3),[5,8)}'": quoted('{[1,3),[5,8)}') },
  },
  { title: 'ltree (C034)', type: 'ltree', values: { "'a.b.c'": quoted('a.b.c') } },
  { title: 'cube (C034)', type: 'cube', values: { "'(1,2),(3,4)'": quoted('(1, 2),(3, 4)') } },
  { title: 'int2vector (C035)', type: 'int2vector', values: { "'1 2 3'": quoted('1 2 3') } },
  {
    title: 'text[] (C036, C037, C038)',
    type: 'text[]',
    values: {
      "'{}'": '[]',
      [`'{""}'`]: '[""]',
      "'{NULL}'": '[null]',
      null: 'null',
      [`'{"NULL","null",NULL}'`]: '["NULL","null",null]',
      [`array['a,b','{',E'"\\\\',' x ']`]: JSON.stringify(['a,b', '{', '"\\', ' x ']),
    },
  },
  {
    title: 'int[] of three dimensions and of other bounds (C039, C040)',
    type: 'int[]',
    values: {
      "'{{{1,2},{3,4}},{{5,6},{7,NULL}}}'": '[[[1,2],[3,4]],[[5,6],[7,null]]]',
      "'[-2:-1][5:6]={{1,2},{3,4}}'": '[[1,2],[3,4]]',
    },
  },
  {
    title: 'box[] (C041)',
    type: 'box[]',
    values: { "'{(3,4),(1,2);(7,8),(5,6)}'": '["(3,4),(1,2)","(7,8),(5,6)"]' },
  },
  {
    title: 'bytea[] (C042)',
    type: 'bytea[]',
    values: { [String.raw`array['\x00ff'::bytea,'\x']`]: String.raw`["\\x00ff","\\x"]` },
  },
  {
    title: 'an enum of odd labels (C043)',
    type: 'odd[]',
    values: { [`array['a b','c,d','e"f','NULL']::odd[]`]: JSON.stringify(['a b', 'c,d', 'e"f', 'NULL']) },
  },
  { title: 'a domain over int (C044)', type: 'steps', values: { '7': '7' } },
];

test.each(CASES)('$title', async ({ type, values, since = 0 }) => {
  if (version < since * 10_000) return;
  const table = `v${++tables}`;
  const rows = Object.keys(values).map((expression, i) => `(${i}, ${expression})`);
  await database.client.query(
    `create table ${table} (id int primary key, v ${type}); insert into ${table} values ${rows.join()}`,
  );
  const sent = await reader.read({ format: 'tailrace' });
  expect(sent.map((change) => /"record":\{"id":\d+,"v":(.*?)\},"changes"/s.exec(change.text)?.[1])).toEqual(
    Object.values(values),
  );
});
