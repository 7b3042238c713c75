import * as fc from 'fast-check';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { orNull, SCALARS } from '../support/arbitrary-values.ts';
import { parse } from '../support/decode.ts';
import { openStoredValues, type StoredValues } from '../support/stored-values.ts';

// The forms that Sequin gives to values, against what Postgres says of the stored row.

let stored: StoredValues;

beforeAll(async () => {
  stored = await openStoredValues(
    `create extension hstore;
     create type pair as (a int, b text, c text[]);
     create domain positive as int check (value > 0);
     create type spell as (during interval, since timestamptz);`,
    { format: 'sequin' },
  );
});
afterAll(() => stored.database.drop());

test('an interval is its months, days and microseconds, to the last digit (C020)', async () => {
  const intervals = fc.oneof(
    SCALARS['interval']!,
    fc.constantFrom(
      '178956970 years 6 mons 2147483647 days 2562047788:00:54.775806',
      '-178956970 years -7 mons -2147483647 days -2562047788:00:54.775806',
      '-0.000001 seconds',
    ),
  );
  await expect(
    stored.checkTexts('interval', orNull(intervals), {
      // Only ±infinity, of Postgres 17 and newer, is a text.
      sent: `case json_typeof(j) when 'string' then interval_send((j #>> '{}')::interval) else
               interval_send(make_interval(months => (j ->> 'months')::int, days => (j ->> 'days')::int)
               + ((j ->> 'microseconds') || ' microseconds')::interval) end`,
      stored: 'interval_send(v)',
    }),
  ).resolves.toBeUndefined();
});

test.each([
  ['pair', `row(a, b, array[c, d])::pair`],
  ['hstore', `hstore(coalesce(b, ''), c) || hstore('k', d)`],
])("a value of type %s is Postgres' text", async (type, expression) => {
  await expect(stored.checkParts(type, expression, 'to_jsonb(v::text)')).resolves.toBeUndefined();
});

test.each([
  ['pair[]', 'array[row(a, b, array[c]), null, row(null, null, null)]::pair[]'],
  ['hstore[]', `array[hstore(coalesce(b, ''), c), null, '']`],
])("an array of type %s holds Postgres' texts", async (type, expression) => {
  await expect(
    stored.checkParts(
      type,
      expression,
      '(select jsonb_agg(to_jsonb(v[i]::text) order by i) from generate_subscripts(v, 1) i)',
    ),
  ).resolves.toBeUndefined();
});

test('timestamps have six digits wherever they stand, in changes too', async () => {
  const { client } = stored.database;
  await client.query(`create table times (id int primary key, a timestamp, b timestamptz, c timestamp[], d timestamptz[], e date, f time);
    alter table times replica identity full;
    insert into times values (1, '2026-01-02 03:04:05', '2026-01-02 03:04:05.1+02', '{"2026-01-02 03:04:05.12"}',
      '{"2026-01-02 03:04:05.123+00",NULL,infinity}', '2026-01-02', '03:04:05.1');
    update times set a = null, b = null, c = null, d = null;`);
  const [insert, update] = (await stored.reader.read({ format: 'sequin' })).map(parse);
  const times = {
    a: '2026-01-02T03:04:05.000000',
    b: '2026-01-02T01:04:05.100000Z',
    c: ['2026-01-02T03:04:05.120000'],
    d: ['2026-01-02T03:04:05.123000Z', null, 'infinity'],
  };
  expect(insert!.record).toEqual({ id: 1, ...times, e: '2026-01-02', f: '03:04:05.1' });
  expect(update!.changes).toEqual(times);
});

test('timestamps in microseconds are so in the record and in changes, and the commit time stays a text', async () => {
  const { client } = stored.database;
  await client.query(`create table moments (id int primary key, a timestamp, b timestamptz[]);
    alter table moments replica identity full;
    insert into moments values (1, '2026-01-02 03:04:05.5', '{"2026-01-02 03:04:05+02",NULL}');
    update moments set a = null, b = null;`);
  const values = { timestamps: 'unix_microsecond' } as const;
  const [insert, update] = (await stored.reader.read({ format: 'sequin', values })).map(parse);
  const sent = { a: 1_767_323_045_500_000, b: [1_767_315_845_000_000, null] };
  expect(insert!.record).toEqual({ id: 1, ...sent });
  expect(update!.changes).toEqual(sent);
  expect(insert!.metadata['commit_timestamp']).toMatch(/^\d{4}-/);
});

test('the same row in both formats: the envelope is one, the richer forms are objects', async () => {
  const { client } = stored.database;
  await client.query(
    `create table things (id positive primary key, took interval, took_all interval[], p pair, h hstore, s spell);`,
  );
  const insert = `insert into things values (7, '1 year 2 mons 3 days 04:05:06.789', '{1 day,NULL}', row(1, 'x', '{y}'), 'k=>1',
    row('1 hour', '2026-01-02 03:04:05+00'))`;
  await client.query(insert);
  const [sequin] = (await stored.reader.read({ format: 'sequin' })).map(parse);
  expect(sequin!.record).toEqual({
    id: 7,
    took: { months: 14, days: 3, microseconds: 14_706_789_000 },
    took_all: [{ months: 0, days: 1, microseconds: 0 }, null],
    p: '(1,x,{y})',
    h: '"k"=>"1"',
    s: '(PT1H,"2026-01-02 03:04:05+00")',
  });
  await client.query(`delete from things; ${insert}`);
  const [, tailrace] = (await stored.reader.read({ format: 'tailrace' })).map(parse);
  expect(tailrace!.record).toEqual({
    id: 7,
    took: 'P1Y2M3DT4H5M6.789S',
    took_all: ['P1D', null],
    p: { a: 1, b: 'x', c: ['y'] },
    h: { k: '1' },
    s: { during: 'PT1H', since: '2026-01-02T03:04:05.000000Z' },
  });
  expect(Object.keys(tailrace!)).toEqual(Object.keys(sequin!));
  expect(Object.keys(tailrace!.metadata)).toEqual(Object.keys(sequin!.metadata));
  expect(sequin!.metadata).toMatchObject({ record_pks: ['7'], enrichment: null });
});

test('what Sequin invents can be asked for: deletes name every column, unchanged values a text', async () => {
  const { client } = stored.database;
  await client.query(`create table asked (id int primary key, k int, big text); alter table asked alter big set storage external;
    insert into asked values (1, 1, repeat('x', 5000)); update asked set k = 2; delete from asked`);
  const values = { absent: 'null', unchanged: 'text' } as const;
  const [, update, deleted] = (await stored.reader.read({ format: 'sequin', values })).map(parse);
  expect(update).toMatchObject({ record: { id: 1, k: 2, big: 'unchanged_toast' }, changes: {} });
  expect(update!.metadata['unchanged_columns']).toEqual(['big']);
  expect(deleted!.record).toEqual({ id: 1, k: null, big: null });
  expect(deleted!.metadata['record_pks']).toEqual(['1']);
});
