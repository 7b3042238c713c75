import * as fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { builtInArray } from '../../../src/postgres/values/builtin.ts';
import { numeric, orNull, quoteElement, SCALARS, text } from '../../support/arbitrary-values.ts';
import { parse, renderValue } from '../../support/decode.ts';
import { openStoredValues, type StoredValues } from '../../support/stored-values.ts';

// What Postgres stores, sent through a slot and our decoder, must be what Postgres itself says of the stored row.

let stored: StoredValues;

beforeAll(async () => {
  stored = await openStoredValues('create extension citext');
});
afterAll(() => stored.database.drop());

describe('a value sent casts back to the value stored', () => {
  // Compared as texts: -0 and 0, 1.0 and 1.00 are equal but not the same.
  const asText = (type: string) => ({ sent: `(j #>> '{}')::${type}::text`, stored: 'v::text' });

  test.each(Object.keys(SCALARS))('%s', async (type) => {
    await expect(stored.checkTexts(type, orNull(SCALARS[type]!), asText(type))).resolves.toBeUndefined();
  });

  test('numeric at its limits (C007)', async () => {
    const limits = fc.constantFrom('9'.repeat(131_072), `0.${'0'.repeat(16_382)}1`);
    await expect(stored.checkTexts('numeric', limits, asText('numeric'))).resolves.toBeUndefined();
  });

  test('numeric infinities (C008, Postgres 14 and newer)', async (context) => {
    if (stored.serverVersion < 140_000) context.skip();
    const infinities = fc.constantFrom('Infinity', '-Infinity');
    await expect(stored.checkTexts('numeric', infinities, asText('numeric'))).resolves.toBeUndefined();
  });

  test('multiranges (C033, Postgres 14 and newer)', async (context) => {
    if (stored.serverVersion < 140_000) context.skip();
    const ranges = fc.constantFrom('{}', '{[1,3),[5,8)}');
    const type = 'int4multirange';
    await expect(stored.checkTexts(type, ranges, asText(type))).resolves.toBeUndefined();
  });

  test('json token by token, jsonb as a document (C022, C023, C025)', async () => {
    const isStorable = (json: string): boolean => !/\\u(0000|d[89a-f]..)/i.test(json);
    const documents = fc
      .oneof(
        fc.json(),
        fc.constantFrom('"str"', '1.10', 'null', '{ "a" : 1.0 , "a" : 2, "f": 1e400 }', '"\ufffe\uffff"'),
      )
      .filter(isStorable);
    await expect(
      stored.checkTexts('json', orNull(documents), {
        sent: 'j::text',
        stored: String.raw`replace(replace(coalesce(v::text, 'null'), U&'\FFFE', '\ufffe'), U&'\FFFF', '\uffff')`,
      }),
    ).resolves.toBeUndefined();
    await expect(
      stored.checkTexts('jsonb', orNull(documents), { sent: 'j::jsonb', stored: `coalesce(v, 'null')` }),
    ).resolves.toBeUndefined();
  });
});

describe('arrays', () => {
  const asJsonb = { sent: 'j::jsonb', stored: 'to_jsonb(v)' };

  test.each(Object.keys(SCALARS))('of %s cast back element by element', async (type) => {
    const delimiter = type === 'box' ? ';' : ',';
    const arrays = fc
      .array(orNull(SCALARS[type]!), { maxLength: 8 })
      .map((elements) => `{${elements.map(quoteElement).join(delimiter)}}`);
    // A NULL column is sent as JSON null, which has no elements to take apart.
    const sent = `case when j::text = 'null' then null
      else array(select x::${type} from json_array_elements_text(j) x)::text end`;
    await expect(
      stored.checkTexts(`${type}[]`, orNull(arrays), { sent, stored: 'v::text' }),
    ).resolves.toBeUndefined();
  });

  test('of any shape are what Postgres itself makes of them (C036–C040)', async () => {
    const side = fc.integer({ min: 1, max: 3 });
    const rectangle = fc
      .tuple(side, side, fc.infiniteStream(orNull(text)))
      .map(([height, width, elements]) => {
        const next = (): string => quoteElement(elements.next().value as string | null);
        const row = (): string => `{${Array.from({ length: width }, next).join(',')}}`;
        return `{${Array.from({ length: height }, row).join(',')}}`;
      });
    const special = fc.constantFrom(
      '{}',
      '{""}',
      '{NULL}',
      '{"NULL","null",NULL}',
      '[0:1]={x,y}',
      '[-2:-1][5:6]={{a,b},{c,d}}',
      '{{{{{{1,2}}}},{{{{3,NULL}}}}}}',
    );
    await expect(stored.checkTexts('text[]', fc.oneof(rectangle, special), asJsonb)).resolves.toBeUndefined();
  });

  test('of documents embed them (C042)', async () => {
    const arrays = fc.constantFrom(
      String.raw`{"{\"a\": \"b,c\"}","null","[1, 2]",NULL,"\"s\"","1.10"}`,
      '{{"{}"},{"[]"}}',
    );
    await expect(stored.checkTexts('jsonb[]', arrays, asJsonb)).resolves.toBeUndefined();
  });

  test('are known for every built-in type, with its delimiter', async () => {
    const { rows } = await stored.database.client.query<{ oid: number; element: number; delimiter: string }>(
      `select a.oid::int, e.oid::int as element, e.typdelim as delimiter
       from pg_type a join pg_type e on e.oid = a.typelem
       where a.oid < 10000 and a.typlen = -1 and a.typcategory = 'A' and a.typtype = 'b'
         and a.typname not in ('int2vector', 'oidvector') and e.typtype <> 'c' and e.typname <> 'cstring'`,
    );
    expect(rows.length).toBeGreaterThan(60);
    for (const { oid, element, delimiter } of rows) {
      expect({ oid, array: builtInArray(oid) }).toEqual({ oid, array: { element, delimiter } });
      expect(renderValue(oid, '{}')).toBe('[]');
    }
  });
});

describe('options', () => {
  test('bytea as base64 has the same bytes (C014)', async () => {
    const every = Buffer.from(Array.from({ length: 256 }, (_, i) => i));
    await stored.database.client.query('create table blobs (id int primary key, v bytea, vs bytea[])');
    await stored.database.client.query('insert into blobs values (1, $1, array[$1::bytea, $2::bytea])', [
      every,
      Buffer.alloc(0),
    ]);
    const [change] = await stored.reader.read({ values: { bytea: 'base64' } });
    const base64 = every.toString('base64');
    expect(parse(change!).record).toEqual({ id: 1, v: base64, vs: [base64, ''] });
  });

  test('numeric as a float is what Postgres casts to a double', async () => {
    const { client } = stored.database;
    await client.query('create table prices (id serial primary key, v numeric)');
    const sample = fc.sample(numeric, 300);
    await client.query('insert into prices (v) select x::numeric from unnest($1::text[]) x', [sample]);
    const changes = await stored.reader.read({ values: { numeric: 'float' } });
    const { rows } = await client.query<{ double: number | null }>(
      `select case when v <> 'NaN' and abs(v) < 1e308 then v::float8 end as double from prices order by id`,
    );
    expect(rows).toHaveLength(sample.length);
    expect(changes.map((change) => parse(change).record['v'])).toEqual(rows.map((row) => row.double));
  });
});
