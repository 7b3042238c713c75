// Tables of every shape of key, for backfills that run beside writers: each row has a number `n`, and its key is made of that.

export type KeyShape = {
  readonly name: string;
  /** As SQL names it; no two have the same without their schemas. */
  readonly table: string;
  /** Types, schemas and collations that it needs. */
  readonly before?: string;
  /** The key's columns, as CREATE TABLE has them, and what follows them there. */
  readonly columns: string;
  /** Of the row with a number, `i` in SQL: the values of these columns, in order. */
  readonly key: readonly string[];
  /** Names of these columns. */
  readonly names: readonly string[];
  /** Other bytes for the same key: a change of the key that no index sees. */
  readonly alike?: string;
  /** Partitions, replica identity. */
  readonly after?: string;
  /** Without rows, and nobody writes any. */
  readonly isEmpty?: true;
};

/** As many rows as each has; other numbers, to this one's double, are keys that rows move to. */
export const SHAPE_ROWS = 200;

const keyed = (name: string, type: string, key: string, more: Partial<KeyShape> = {}): KeyShape => ({
  name,
  table: `by_${name.toLowerCase().replaceAll(/\W+/g, '_')}`,
  columns: `k ${type} primary key`,
  key: [key],
  names: ['k'],
  ...more,
});

const BARE = { columns: 'k int', key: ['i'], names: ['k'] };
const full = (table: string): string => `alter table ${table} replica identity full`;
const LABELS = `select string_agg(quote_literal('label ' || i), ', ' order by md5(i::text)) from generate_series(1, ${2 * SHAPE_ROWS}) i`;

export const KEY_SHAPES: readonly KeyShape[] = [
  keyed('int', 'int', 'i'),
  keyed('bigint', 'bigint', '(i - 200) * 9223372036854775::bigint'),
  keyed('enum', 'mood', `('label ' || i)::mood`, {
    before: `do $$ begin execute format('create type mood as enum (%s)', (${LABELS})); end $$`,
  }),
  keyed('uuid', 'uuid', 'md5(i::text)::uuid'),
  keyed('text in C', 'text collate "C"', `chr(32 + i % 90) || i || E'\\\\\\t\\n''ä'`),
  keyed('text in the default collation', 'text', `chr(1 + i % 127) || 'Ä' || i`),
  keyed('text in an ICU collation', 'text collate "de-x-icu"', `chr(192 + i % 60) || i`),
  keyed('text in a nondeterministic collation', 'text collate loose', `chr(65 + i % 26) || 'ä' || i`, {
    before: `create collation loose (provider = icu, locale = 'und-u-ks-level2', deterministic = false)`,
    alike: `case when k = lower(k) collate "C" then upper(k) else lower(k) end`,
  }),
  keyed('varchar and char', 'varchar(20)', `'v' || i`, {
    columns: 'k varchar(20), c char(8), primary key (c, k)',
    key: [`'v' || i`, `'c' || i % 7`],
    names: ['k', 'c'],
  }),
  keyed('numeric', 'numeric', `(i || (array['', '.50', '.0', 'e20'])[1 + i % 4])::numeric`, {
    alike: 'case scale(k) when 3 then trim_scale(k) else round(k, 3) end',
  }),
  keyed('float8', 'float8', `case i when 1 then 'NaN' when 2 then '-Infinity' else sqrt(i) end`),
  keyed('timestamptz', 'timestamptz', `timestamptz '2026-03-29 00:00:00.000001+00' + i * interval '7 min'`),
  keyed('timestamp and date', 'timestamp', `timestamp '0001-01-01 BC' + i * interval '1 y'`, {
    columns: 'k timestamp, d date, primary key (d, k)',
    key: [
      `timestamp '0001-01-01 BC' + i * interval '1 y'`,
      `case when i % 9 = 0 then 'infinity' else date '2026-01-01' + i % 5 end`,
    ],
    names: ['k', 'd'],
  }),
  keyed('interval', 'interval', `i * interval '1 mon -3 days 04:05:06.5'`),
  keyed('bytea', 'bytea', String.raw`'\x00ff5c09'::bytea || int4send(i)`),
  keyed('inet', 'inet', `inet '10.0.0.0/8' + i`),
  keyed('bool and int', 'bool', 'i % 2 = 0', {
    columns: 'k bool, m int, primary key (k, m)',
    key: ['i % 2 = 0', 'i'],
    names: ['k', 'm'],
  }),
  keyed('array', 'int[]', 'array[i % 3, null, i]'),
  keyed('range', 'int4range', 'int4range(i, i * 2)'),
  keyed('composite type', 'pair', `row(i, 'a "b" ' || i)::pair`, {
    before: 'create type pair as (a int, b text)',
  }),
  keyed('domain', 'code', `'C' || i`, {
    before: `create domain letters as text collate "C" check (value <> ''); create domain code as letters`,
  }),
  keyed('domain over numeric', 'amount', 'i / 4.0', { before: 'create domain amount as numeric(12, 3)' }),
  {
    name: 'quoted names of mixed case in a schema of such a name, several types, not in the order of the columns',
    table: '"Zwei ""Räume"."Täble x"',
    before: `create schema "Zwei ""Räume"; create type "Zwei ""Räume"."Mood" as enum ('z', 'a b')`,
    columns: `"Id" int, "from" "Zwei ""Räume"."Mood", "uuid" uuid, name text collate "de-x-icu", "At" timestamptz, "Sum" numeric, primary key (name, "from", "At", "Sum", "Id", "uuid")`,
    key: [
      'i',
      `(array['z', 'a b'])[1 + i % 2]::"Zwei ""Räume"."Mood"`,
      'md5(i::text)::uuid',
      `'n''' || i / 6`,
      `timestamptz 'epoch' + i / 3 * interval '1 s'`,
      '(i / 2)::numeric',
    ],
    names: ['"Id"', '"from"', '"uuid"', 'name', '"At"', '"Sum"'],
  },
  {
    name: 'a key that old rows are known by, and that is not the primary one',
    table: 'by_index',
    columns: 'id int primary key, k text collate "C" not null, m int not null',
    key: ['i', `'k' || i % 10`, 'i'],
    names: ['id', 'k', 'm'],
    after: 'create unique index u on by_index (k, m); alter table by_index replica identity using index u',
  },
  keyed('int and full', 'int', 'i', { after: full('by_int_and_full') }),
  { name: 'no key', table: 'bare', ...BARE, after: full('bare') },
  {
    name: 'no key, large values',
    table: 'bare_large',
    ...BARE,
    after: `${full('bare_large')}; alter table bare_large alter note set storage external`,
  },
  {
    name: 'partitioned by hash',
    table: 'by_hash',
    columns: 'k uuid, primary key (k)) partition by hash (k',
    key: ['md5(i::text)::uuid'],
    names: ['k'],
    after: `create table by_hash_0 partition of by_hash for values with (modulus 3, remainder 0);
      create table by_hash_1 partition of by_hash for values with (modulus 3, remainder 1);
      create table by_hash_2 partition of by_hash for values with (modulus 3, remainder 2)`,
  },
  {
    name: 'partitioned twice, columns in another order',
    table: 'by_list',
    columns: 'k text, m int, primary key (k, m)) partition by list (k',
    key: [`'k' || i % 3`, 'i'],
    names: ['k', 'm'],
    after: `create table by_list_0 partition of by_list for values in ('k0') partition by range (m);
      create table by_list_00 partition of by_list_0 for values from (0) to (100);
      create table by_list_01 partition of by_list_0 default;
      create table by_list_1 (m int not null, gone text, k text not null, big text, note text, v int, n int, primary key (k, m));
      alter table by_list_1 drop gone; alter table by_list attach partition by_list_1 for values in ('k1');
      create table by_list_rest partition of by_list default`,
  },
  {
    name: 'partitioned without a key',
    table: 'bare_parts',
    columns: 'k int) partition by range (k',
    key: ['i'],
    names: ['k'],
    after: `create table bare_parts_1 partition of bare_parts for values from (0) to (150);
      create table bare_parts_2 partition of bare_parts default; ${full('bare_parts')}; ${full('bare_parts_1')}; ${full('bare_parts_2')}`,
  },
  keyed('empty', 'int', 'i', { isEmpty: true }),
  { name: 'empty, no key', table: 'empty_bare', ...BARE, isEmpty: true, after: full('empty_bare') },
];

/** Every tenth row has a value that updates of others leave out. */
const values = ({ key }: KeyShape, numbers: string, version: number): string =>
  `select i, ${version}, 'n' || i, case when i % 10 = 0 then repeat(md5(i::text), 100) end, ${key.join(', ')} from ${numbers}`;

export const makeKeyShape = (shape: KeyShape): string => {
  const { table, before = '', columns, after = '', isEmpty } = shape;
  return `${before}; create table ${table} (n int, v int, note text, big text, ${columns}); ${after};
    ${isEmpty === true ? '' : `alter table ${table} alter big set storage external; ${insert(shape, `generate_series(1, ${SHAPE_ROWS}) i`, 0)}`}`;
};

const insert = (shape: KeyShape, numbers: string, version: number): string =>
  `insert into ${shape.table} (n, v, note, big, ${shape.names.join(', ')}) ${values(shape, numbers, version)}`;

/** The writes of one transaction, the `version`th: updates, one of a key, a delete, and rows that come (again). */
export function writesOf(shape: KeyShape, version: number): string {
  const { table, names, key, alike } = shape;
  const number = (step: number): number => ((version * 7919 * step) % SHAPE_ROWS) + 1;
  const to = number(4) + SHAPE_ROWS;
  const absent = (n: number): string => `not exists (select from ${table} where n = ${n})`;
  return `begin; update ${table} set v = ${version} where n between ${number(1)} and ${number(1) + 2};
    ${alike === undefined ? '' : `update ${table} set k = ${alike}, v = ${version} where n between ${number(2)} and ${number(2) + 9};`}
    delete from ${table} where n = ${number(3)};
    update ${table} set (n, v, ${names.join(', ')}) = (select i, ${version}, ${key.join(', ')} from (select ${to} as i) s)
      where n = ${number(4)} and ${absent(to)};
    ${insert(shape, `(select ${number(5)} as i where ${absent(number(5))}) s`, version)}; commit`;
}
