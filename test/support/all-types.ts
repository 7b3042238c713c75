// One table of every kind of type, and what a message must say of its rows: the text that a decoder makes of each value must be
// the stored value to Postgres.
import type { Client } from 'pg';
import { expect } from 'vitest';

/** JSON in which whole numbers that a double does not have exactly are BigInts. */
export function parseExactly(text: string): unknown {
  const reviver = (_: string, value: unknown, context?: { readonly source?: string }): unknown =>
    typeof value === 'number' && !Number.isSafeInteger(value) && /^-?\d+$/.test(context?.source ?? '')
      ? BigInt(context!.source!)
      : value;
  return JSON.parse(text, reviver);
}

const COLUMNS: Readonly<Record<string, readonly [type: string, ...values: readonly (string | null)[]]>> = {
  bool: ['bool', 't', 'f', null],
  int2: ['int2', '-32768', '32767', null],
  int4: ['int4', '-2147483648', '2147483647', null],
  int8: ['int8', '-9223372036854775808', '9007199254740993', null],
  oid: ['oid', '4294967295', '0', null],
  float4: ['float4', '1.1', 'NaN', '-Infinity'],
  float8: ['float8', '5e-324', '1.7976931348623157e308', 'Infinity'],
  numeric: ['numeric', '12345678901234567890.123456789', '-0.00000000000000000001', '100'],
  price: ['numeric(10,2)', '99999999.99', '-0.01', '-128'],
  whole: ['numeric(20)', '99999999999999999999', '-129', '0'],
  domain: ['exact', '-1.5', '12345.678', null],
  money: ['money', '$1,234.56', '-$0.05', '$0.00'],
  text: ['text', 'h\u00e9 "q" \\ \n\u{1f600}', '', null],
  varchar: ['varchar(5)', 'abc', '', null],
  char: ['char(3)', 'a', '', null],
  name: ['name', 'a name', '', null],
  internal: ['"char"', 'x', '', null],
  citext: ['citext', 'CiT', '', null],
  date: ['date', '2026-01-02', '1969-12-31', '0044-03-15 BC'],
  forever: ['date', 'infinity', '-infinity', '12345-01-01'],
  time: ['time', '03:04:05.000001', '24:00:00', '00:00:00'],
  time3: ['time(3)', '03:04:05.1', '23:59:59.999', null],
  timetz: ['timetz', '03:04:05.123456+05:30', '23:59:59-12', null],
  timestamp: [
    'timestamp',
    '2026-01-02 03:04:05.123456',
    '1969-12-31 23:59:59.999999',
    '0044-03-15 12:00:00 BC',
  ],
  moments: ['timestamp', 'infinity', '-infinity', '12345-01-01 01:02:03.4'],
  timestamp3: ['timestamp(3)', '2026-01-02 03:04:05.12', '1969-12-31 23:59:59.999', null],
  timestamptz: ['timestamptz', '2026-01-02 03:04:05.123456+02', '-infinity', '0044-03-15 12:00:00+00 BC'],
  timestamptz0: ['timestamptz(0)', '2026-01-02 03:04:05+00', 'infinity', '12345-01-01 01:02:03+00'],
  interval: ['interval', '1 year 2 mons 3 days 04:05:06.789', '-1 mons +2 days -00:00:00.000001', '00:00:00'],
  bytea: ['bytea', '\\xdeadbeef00', '\\x', null],
  uuid: ['uuid', 'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11', null, null],
  json: ['json', '{"a": 1}', '"x"', null],
  jsonb: ['jsonb', '{"b": [1, 2.50]}', '9007199254740993', null],
  xml: ['xml', '<a>&amp;</a>', null, null],
  inet: ['inet', '10.0.0.1/24', '::1', null],
  cidr: ['cidr', '10.0.0.0/8', null, null],
  macaddr: ['macaddr', '08:00:2b:01:02:03', null, null],
  macaddr8: ['macaddr8', '08:00:2b:01:02:03:04:05', null, null],
  bit: ['bit', '1', '0', null],
  bit12: ['bit(12)', '100000000001', '000000000000', null],
  varbit: ['varbit', '1', '101010101', null],
  point: ['point', '(1.5,-2)', '(1e-20,0)', null],
  box: ['box', '(3,4),(1,2)', null, null],
  range: ['int4range', '[1,10)', 'empty', null],
  tsrange: ['tsrange', '["2026-01-01 00:00:00",infinity)', null, null],
  tsvector: ['tsvector', "'a':1 'b c':2A", '', null],
  lsn: ['pg_lsn', '16/B374D848', null, null],
  mood: ['mood', 'so so', 'ok', null],
  pair: ['pair', '(1,"x y")', '(,)', null],
  hstore: ['hstore', '"a"=>"1", "b q"=>NULL', '', null],
  ltree: ['ltree', 'Top.Science', '', null],
  ints: ['int[]', '{1,NULL,3}', '{{1,2},{3,4}}', '{}'],
  bigints: ['int8[]', '{9007199254740993}', '{}', null],
  texts: ['text[]', '{a,NULL,"b,c","NULL"}', '{}', null],
  prices: ['numeric(10,2)[]', '{1.50,NULL,-99.99}', '{}', null],
  dates: ['date[]', '{2026-01-02,infinity}', '{}', null],
  moods: ['mood[]', '{ok,"so so",NULL}', '{}', null],
  byteas: ['bytea[]', '{"\\\\xdead"}', '{}', null],
};

export const CREATE_ALL_TYPES = `create extension citext; create extension hstore; create extension ltree;
  create type mood as enum ('so so', 'ok'); create type pair as (a int, b text); create domain exact as numeric(8,3);
  create table all_types (id int primary key, ${Object.entries(COLUMNS)
    .map(([name, [type]]) => `"${name}" ${type}`)
    .join(', ')})`;

const ROWS = 3;

/** Writes its rows, from 1 on. */
export async function insertAllTypes(client: Client): Promise<void> {
  for (let row = 1; row <= ROWS; row++) {
    const values = Object.values(COLUMNS).map((column) => column[row]);
    const parameters = Object.values(COLUMNS).map(([type], i) => `$${i + 2}::text::${type}`);
    await client.query(`insert into all_types values ($1, ${parameters.join(', ')})`, [row, ...values]);
  }
}

/** One value of a row: the column's name and type as SQL writes it, and what the message has for it. */
export type SentValue = { readonly name: string; readonly type: string; readonly value: unknown };

/**
 * Compares rows with what was sent of them. `decode`: SQL (an expression over nothing) that makes the value again from what the
 * message has; null in the message is NULL. `except`: names of columns that the message cannot tell, all of which must differ.
 */
export async function expectStored(
  client: Client,
  rows: readonly Readonly<Record<string, unknown>>[],
  decode: (sent: SentValue) => string,
  except: readonly string[] = [],
): Promise<void> {
  expect(rows.map(({ id }) => Number(id))).toEqual([1, 2, 3]);
  for (const row of rows) expect(Object.keys(row)).toEqual(['id', ...Object.keys(COLUMNS)]);
  const faults: unknown[] = [];
  for (const row of rows) {
    const compared = Object.entries(COLUMNS).map(([name, [type]]) => {
      const value = row[name];
      const sent = value === null ? 'null' : decode({ name, type, value });
      return `select '${name}' as name, (${sent})::${type}::text as sent, "${name}"::text as stored from all_types where id = ${Number(row['id'])}`;
    });
    const { rows: found } = await client.query<{ name: string; sent: unknown; stored: unknown }>(
      compared.join(' union all '),
    );
    faults.push(...found.filter(({ sent, stored }) => sent !== stored));
  }
  const names = new Set(faults.map((fault) => (fault as { name: string }).name));
  expect(faults.filter((fault) => !except.includes((fault as { name: string }).name))).toEqual([]);
  expect([...names].toSorted()).toEqual([...except].toSorted());
}

export const quoted = (text: string): string => `'${text.replaceAll("'", "''")}'`;

/** A scalar as text. */
export const textOf = (value: unknown): string =>
  typeof value === 'string' ? value : typeof value === 'bigint' ? value.toString() : JSON.stringify(value);
