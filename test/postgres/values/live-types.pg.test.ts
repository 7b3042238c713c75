import * as fc from 'fast-check';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { parse } from '../../support/decode.ts';
import { openStoredValues, type StoredValues } from '../../support/stored-values.ts';

// Types that only this database has: the stream names them by OID, the catalog tells what they are made of.

let stored: StoredValues;

beforeAll(async () => {
  stored = await openStoredValues(`
    create extension hstore;
    create type mood as enum ('ok', 'so "so", NULL', 'NULL', '{}');
    create domain positive as int check (value > 0);
    create domain very_positive as positive;
    create domain words as text[];
    create domain document as jsonb;
    create type pair as (a int, "b ""c""" text, d text[]);
    create type nest as (p pair, ps pair[], m mood, n very_positive, j document);`);
});
afterAll(() => stored.database.drop());

const asJsonb = { sent: 'j::jsonb', stored: 'to_jsonb(v)' };

test('an enum is its label, whatever that looks like (C043)', async () => {
  const labels = fc.constantFrom('ok', 'so "so", NULL', 'NULL', '{}');
  await expect(stored.checkTexts('mood', labels, asJsonb)).resolves.toBeUndefined();
  const arrays = fc.constantFrom('{}', String.raw`{ok,"so \"so\", NULL","NULL",NULL,"{}"}`);
  await expect(stored.checkTexts('mood[]', arrays, asJsonb)).resolves.toBeUndefined();
});

test('an enum label added and used at once is sent (C043)', async () => {
  const { client } = stored.database;
  await client.query('create table feelings (id int primary key, m mood, ms mood[])');
  await client.query(`alter type mood add value 'new, label'`);
  await client.query(
    `insert into feelings values (1, 'new, label', array['new, label', 'NULL', null]::mood[])`,
  );
  const [change] = await stored.reader.read();
  expect(parse(change!).record).toEqual({ id: 1, m: 'new, label', ms: ['new, label', 'NULL', null] });
});

test.each([
  ['positive', ['1', '2147483647']],
  ['very_positive', ['1']],
  ['positive[]', ['{1,NULL,2}', '{{1},{2}}', '{}']],
  ['words', ['{a,NULL,"b c"}', '{}']],
  ['document', ['{"a": [1.0, null]}', '"text"', 'null']],
])('a domain is its base type: %s (C044)', async (type, texts) => {
  await expect(stored.checkTexts(type, fc.constantFrom(...texts), asJsonb)).resolves.toBeUndefined();
});

test('an array of domains over arrays keeps both levels (C044)', async () => {
  await expect(
    stored.checkTexts('words[]', fc.constantFrom('{"{a,b}","{}",NULL}'), {
      sent: 'j::jsonb',
      stored: '(select jsonb_agg(to_jsonb(w)) from unnest(v) w)',
    }),
  ).resolves.toBeUndefined();
});

test('a composite is an object by attribute, NULL and empty text apart (C045)', async () => {
  await expect(stored.checkParts('pair', 'row(a, b, array[c, d])::pair')).resolves.toBeUndefined();
});

test.each([
  ['pair[]', 'array[row(a, b, array[c, d]), null, row(null, null, null)]::pair[]'],
  [
    'nest',
    `row(row(a, b, array[c]), array[row(a, c, array[b, d]), null]::pair[], 'so "so", NULL', 3,
         jsonb_build_array(b, c, d))::nest`,
  ],
  ['nest[]', `array[row(row(a, d, '{}'), '{}', 'NULL', null, null)]::nest[]`],
])('composites nest in arrays and in composites: %s (C045)', async (type, expression) => {
  await expect(stored.checkParts(type, expression)).resolves.toBeUndefined();
});

test.each([
  ['hstore', `hstore(coalesce(b, ''), c) || hstore('k', d)`, 'hstore_to_jsonb(v)'],
  [
    'hstore[]',
    `array[hstore(coalesce(b, ''), c), null, '']`,
    '(select jsonb_agg(hstore_to_jsonb(h)) from unnest(v) h)',
  ],
])('%s is an object of texts and nulls (C027)', async (type, expression, document) => {
  await expect(stored.checkParts(type, expression, document)).resolves.toBeUndefined();
});

test('a composite changed before its rows are read is text, never a wrong object', async () => {
  await stored.database.client.query(`create type shifting as (a int, b text);
    create table shifts (id int primary key, v shifting); insert into shifts values (1, '(1,x)');
    alter type shifting add attribute c int;`);
  const [change] = await stored.reader.read();
  expect(parse(change!).record['v']).toBe('(1,x)');
});

test('a type dropped before its rows are read is text (C046)', async () => {
  await stored.database.client.query(`create type passing as enum ('a');
    create table passed (id int primary key, m passing); insert into passed values (1, 'a');
    drop table passed; drop type passing;`);
  const [change] = await stored.reader.read();
  expect(parse(change!).record).toEqual({ id: 1, m: 'a' });
});
