import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { builtInArray } from '../../src/postgres/values-builtin.ts';
import { openChangeReader, parse, renderValue, type ChangeReader } from '../support/decode.ts';
import { createTestDatabase, type TestDatabase } from '../support/postgres.ts';

// What Postgres stores, sent through a slot and our decoder, must be what Postgres itself says of the stored row.

let database: TestDatabase;
let reader: ChangeReader;
let serverVersion = 0;

beforeAll(async () => {
  database = await createTestDatabase();
  await database.client.query('create extension hstore; create extension citext;');
  await database.client.query(`
    create type mood as enum ('ok', 'so "so", NULL', 'NULL', '{}');
    create domain positive as int check (value > 0);
    create domain very_positive as positive;
    create domain words as text[];
    create domain document as jsonb;
    create type pair as (a int, "b ""c""" text, d text[]);
    create type nest as (p pair, ps pair[], m mood, n very_positive, j document);`);
  reader = await openChangeReader(database);
  const { rows } = await database.client.query<{ version: string }>(
    `select current_setting('server_version_num') as version`,
  );
  serverVersion = Number(rows[0]!.version);
});
afterAll(() => database.drop());

const pad = (value: number, width: number): string => String(value).padStart(width, '0');

/** Characters that quoting rules are about come up more often than by chance. */
const text = fc
  .array(
    fc.oneof(
      fc.constantFrom('"', '\\', ',', '{', '}', '(', ')', ';', ' ', '\t', '\n', "'", 'NULL', '\ufffe', '\uffff', '😀'),
      fc.string({ unit: 'binary', minLength: 1, maxLength: 1 }).filter((unit) => unit !== '\0'),
    ),
    { maxLength: 20 },
  )
  .map((units) => units.join(''));

const time = fc
  .tuple(fc.nat(23), fc.nat(59), fc.nat(59), fc.nat(999_999))
  .map(([h, m, s, us]) => `${pad(h, 2)}:${pad(m, 2)}:${pad(s, 2)}.${pad(us, 6)}`);
const date = fc
  .tuple(fc.integer({ min: 1, max: 11_000 }), fc.integer({ min: 1, max: 12 }), fc.integer({ min: 1, max: 28 }))
  .map(([y, m, d]) => `${pad(y, 4)}-${pad(m, 2)}-${pad(d, 2)}`);
const era = fc.constantFrom('', '', '', ' BC').map((text) => text);
const instant = (zone: string): fc.Arbitrary<string> =>
  fc.tuple(date, time, era).map(([date, time, era]) => `${date} ${time}${zone}${era}`);
const number = fc.oneof(
  fc.double().map((value) => (Object.is(value, -0) ? '-0' : String(value))),
  fc.constantFrom('NaN', 'Infinity', '-Infinity', '-0', '5e-324', '1e22', '1.1'),
);
const digits = (maxLength: number): fc.Arbitrary<string> =>
  fc.array(fc.nat(9), { minLength: 1, maxLength }).map((list) => list.join(''));
const numeric = fc.oneof(
  fc.tuple(fc.constantFrom('', '-'), digits(60), digits(60)).map(([sign, a, b]) => `${sign}${a}.${b}`),
  digits(2000),
  fc.constantFrom('NaN', '1.10', '1e-20', '1e300', '0'),
);
const hex = (length: number): fc.Arbitrary<string> =>
  fc.uint8Array({ minLength: length, maxLength: length }).map((bytes) => Buffer.from(bytes).toString('hex'));

const SCALARS: Readonly<Record<string, fc.Arbitrary<string>>> = {
  int2: fc.integer({ min: -32_768, max: 32_767 }).map(String),
  int4: fc.integer().map(String),
  int8: fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n }).map(String),
  oid: fc.nat(2 ** 31 - 1).map((value) => String(value * 2)),
  numeric,
  float4: number.filter((value) => !Number.isFinite(Number(value)) || isFloat4(Number(value))),
  float8: number,
  bool: fc.boolean().map(String),
  text,
  varchar: text,
  citext: text,
  'char(5)': fc.constantFrom('', 'a', 'é😀', 'a"b\\'),
  name: fc.constantFrom('', 'a"b', 'x'.repeat(63)),
  '"char"': fc.constantFrom('', 'a', '"', '\\', ',', ' '),
  bytea: fc.uint8Array().map((bytes) => `\\x${Buffer.from(bytes).toString('hex')}`),
  uuid: fc.uuid(),
  date: fc.oneof(
    fc.tuple(date, era).map(([date, era]) => date + era),
    fc.constantFrom('infinity', '-infinity', '5874897-12-31', '4713-01-01 BC'),
  ),
  time: fc.oneof(time, fc.constantFrom('24:00:00', '00:00:00.000001')),
  timetz: fc.oneof(
    time.map((time) => `${time}-07:30`),
    fc.constantFrom('24:00:00+02', '13:00:00+15:59:59'),
  ),
  timestamp: fc.oneof(instant(''), fc.constantFrom('infinity', '-infinity', '294276-12-31 23:59:59.999999')),
  timestamptz: fc.oneof(
    instant('+00'),
    instant('-07:30'),
    fc.constantFrom('infinity', '-infinity', '0001-12-31 23:59:59.999999+00 BC', '10022-02-03 12:13:14+03'),
  ),
  interval: fc.oneof(
    fc
      .tuple(fc.integer({ min: -3000, max: 3000 }), fc.integer(), time)
      .map(([months, days, time]) => `${months} mons ${days} days -${time}`),
    fc.constantFrom('0', '-178000000 years', '100 hours 0.5 secs', '-1 day +02:03:00'),
  ),
  inet: fc.oneof(fc.ipV4(), fc.ipV6(), fc.constantFrom('10.0.0.1/8', '::1/128')),
  cidr: fc.ipV4(),
  macaddr: hex(6),
  macaddr8: hex(8),
  varbit: fc.array(fc.constantFrom('0', '1')).map((bits) => bits.join('')),
  money: fc.integer().map((cents) => `${cents}.01`),
  pg_lsn: hex(4).map((half) => `16/${half}`),
  point: fc.constantFrom('(1.5,-0)', '(NaN,Infinity)', '(1e300,5e-324)'),
  box: fc.constantFrom('(1,2),(3,4)', '(5,6),(7,8)'),
  path: fc.constantFrom('[(1,2),(3,4)]', '((1,2),(3,4))'),
  int4range: fc.constantFrom('[1,5]', 'empty', '(,)', '(1,'.concat(')')),
  tstzrange: fc.constantFrom('["2020-01-01 00:00:00+00",)', '[-infinity,infinity]', '(,)'),
  tsvector: fc.constantFrom('a fat cat', "'it''s' 'a \\\\ b':3A", ''),
  jsonpath: fc.constantFrom('$."a"[*]', '$.x ? (@ > 1)'),
  xml: fc.constantFrom('<a b="c">&amp; é</a>', 'text'),
  int2vector: fc.constantFrom('1 2 3', ''),
  regclass: fc.constantFrom('pg_class', 'pg_catalog.pg_type'),
  mood: fc.constantFrom('ok', 'so "so", NULL', 'NULL', '{}'),
  positive: fc.integer({ min: 1 }).map(String),
  very_positive: fc.integer({ min: 1 }).map(String),
};

/** Does the double survive as a float4 (else Postgres refuses it as out of range)? */
const isFloat4 = (value: number): boolean =>
  value === 0 || (Math.abs(value) < 3.4e38 && Math.abs(value) > 1.2e-38);

let tables = 0;

/**
 * Inserts random values into a table of one column `v` of `type` and compares what was sent with what is stored.
 * `sent` is an SQL expression over `j` (the column as json) that must not be distinct from `stored` (over `v`).
 */
async function checkColumn(
  type: string,
  values: fc.Arbitrary<string | null>,
  expressions: { readonly sent: string; readonly stored: string },
): Promise<void> {
  const { client } = database;
  const table = `values_${++tables}`;
  await client.query(`create table ${table} (id serial primary key, v ${type})`);
  await fc.assert(
    fc.asyncProperty(fc.array(values, { minLength: 1, maxLength: 60 }), async (sample) => {
      await client.query(`insert into ${table} (v) select x::${type} from unnest($1::text[]) x`, [sample]);
      const messages = (await reader.read()).map((change) => change.text);
      expect(messages).toHaveLength(sample.length);
      const { rows } = await client.query(
        `with sent as (select m::json -> 'record' as r from unnest($1::text[]) m)
         select count(*)::int as compared,
                count(*) filter (where s.sent is distinct from s.stored)::int as different,
                (array_agg(json_build_array(s.j, s.text)) filter (where s.sent is distinct from s.stored))[1] as example
         from (select j, v::text as text, ${expressions.sent} as sent, ${expressions.stored} as stored
               from ${table}, lateral (select r -> 'v' as j from sent where (r ->> 'id')::int = id) s) s`,
        [messages],
      );
      expect(rows).toEqual([{ compared: sample.length, different: 0, example: null }]);
    }),
    { numRuns: 4 },
  );
}

const orNull = (values: fc.Arbitrary<string>): fc.Arbitrary<string | null> => fc.option(values, { freq: 8 });

describe('a value sent casts back to the value stored', () => {
  test.each(Object.keys(SCALARS))('%s', async (type) => {
    // Compared as text: -0 and 0, 1.0 and 1.00 are equal but not the same.
    await checkColumn(type, orNull(SCALARS[type]!), {
      sent: `(j #>> '{}')::${type}::text`,
      stored: 'v::text',
    });
  });

  test('numeric infinities (C008, Postgres 14 and newer)', async (context) => {
    if (serverVersion < 140_000) context.skip();
    await checkColumn('numeric', fc.constantFrom('Infinity', '-Infinity'), {
      sent: `(j #>> '{}')::numeric`,
      stored: 'v',
    });
  });

  test('multiranges and their arrays (C033, Postgres 14 and newer)', async (context) => {
    if (serverVersion < 140_000) context.skip();
    await checkColumn('int4multirange', fc.constantFrom('{}', '{[1,3),[5,8)}'), {
      sent: `(j #>> '{}')::int4multirange`,
      stored: 'v',
    });
    await checkColumn('int4multirange[]', fc.constantFrom('{}', '{"{[1,3),[5,8)}",NULL,"{}"}'), {
      sent: `array(select x::int4multirange from json_array_elements_text(j) x)`,
      stored: 'v',
    });
  });

  test('numeric at its limits (C007)', async () => {
    const limits = [`${'9'.repeat(131_072)}`, `0.${'0'.repeat(16_382)}1`];
    await checkColumn('numeric', fc.constantFrom(...limits), {
      sent: `(j #>> '{}')::numeric::text`,
      stored: 'v::text',
    });
  });

  test('json token by token, jsonb as a document (C022, C023, C025)', async () => {
    const documents = fc.oneof(
      fc.json(),
      fc.constantFrom('"str"', '1.10', 'null', ' { "a" : 1.0 , "a" : 2, "f": 1e400 } ', '"\ufffe\uffff"'),
    );
    const isStorable = (json: string): boolean => !/\\u(0000|d[89ab]..|d[c-f]..)/i.test(json);
    const storable = documents.filter(isStorable);
    await checkColumn('json', orNull(storable), {
      sent: `coalesce(nullif(j::text, ''), 'null')`,
      stored: `replace(replace(coalesce(v::text, 'null'), U&'\\FFFE', '\\ufffe'), U&'\\FFFF', '\\uffff')`,
    });
    await checkColumn('jsonb', orNull(storable), { sent: 'j::jsonb', stored: `coalesce(v, 'null')` });
  });
});

describe('arrays', () => {
  const quote = (element: string | null): string =>
    element === null ? 'NULL' : `"${element.replaceAll(/["\\]/g, String.raw`\$&`)}"`;
  const arrayOf = (elements: fc.Arbitrary<string>, delimiter = ','): fc.Arbitrary<string> =>
    fc.array(orNull(elements), { maxLength: 8 }).map((list) => `{${list.map(quote).join(delimiter)}}`);

  test.each(Object.keys(SCALARS))('of %s cast back element by element', async (type) => {
    const delimiter = type === 'box' ? ';' : ',';
    await checkColumn(`${type}[]`, orNull(arrayOf(SCALARS[type]!, delimiter)), {
      // A NULL column is JSON null, which has no elements to take apart.
      sent: `case when j::text = 'null' then null
             else array(select x::${type} from json_array_elements_text(j) x)::text end`,
      stored: 'v::text',
    });
  });

  test('of any shape are what Postgres itself makes of them (C036–C040)', async () => {
    const shaped = fc
      .tuple(fc.integer({ min: 1, max: 3 }), fc.integer({ min: 1, max: 3 }), fc.infiniteStream(orNull(text)))
      .map(([rows, columns, elements]) => {
        const next = (): string => quote(elements.next().value as string | null);
        const row = (): string => `{${Array.from({ length: columns }, next).join(',')}}`;
        return `{${Array.from({ length: rows }, row).join(',')}}`;
      });
    const values = fc.oneof(
      shaped,
      fc.constantFrom('{}', '{""}', '{NULL}', '{"NULL",null,NULL}', '[0:1]={x,y}', '[-2:-1][5:6]={{a,b},{c,d}}'),
    );
    await checkColumn('text[]', values, { sent: 'j::jsonb', stored: 'to_jsonb(v)' });
    await checkColumn('int[]', fc.constantFrom('{{{{{{1,2}}}},{{{{3,4}}}}}}', '{{1},{NULL}}'), {
      sent: 'j::jsonb',
      stored: 'to_jsonb(v)',
    });
  });

  test('of documents embed them (C042)', async () => {
    const values = fc.constantFrom(
      String.raw`{"{\"a\": \"b,c\"}","null","[1, 2]",NULL,"\"s\"","1.10"}`,
      '{{"{}"},{"[]"}}',
    );
    await checkColumn('jsonb[]', values, { sent: 'j::jsonb', stored: 'to_jsonb(v)' });
  });

  test('are known for every built-in type, with its delimiter', async () => {
    const { rows } = await database.client.query<{ oid: number; element: number; delimiter: string }>(
      `select a.oid::int, e.oid::int as element, e.typdelim as delimiter
       from pg_type a join pg_type e on e.oid = a.typelem
       where a.oid < 10000 and a.typlen = -1 and a.typcategory = 'A'
         and a.typtype = 'b' and e.typtype <> 'c' and e.typname <> 'cstring'`,
    );
    expect(rows.length).toBeGreaterThan(60);
    for (const { oid, element, delimiter } of rows) {
      expect({ oid, array: builtInArray(oid) }).toEqual({ oid, array: { element, delimiter } });
      expect(renderValue(oid, '{}')).toBe('[]');
    }
  });
});

describe("types of the database's own", () => {
  const asJsonb = { sent: 'j::jsonb', stored: 'to_jsonb(v)' };
  /** Values from parts: Postgres puts its own quotes around them. */
  const parts = fc
    .tuple(orNull(fc.integer().map(String)), orNull(text), orNull(text), orNull(text))
    .map((list) => JSON.stringify(list));

  async function checkExpression(type: string, expression: string, stored = 'to_jsonb(v)'): Promise<void> {
    const { client } = database;
    const table = `parts_${++tables}`;
    await client.query(`create table ${table} (id serial primary key, v ${type})`);
    await fc.assert(
      fc.asyncProperty(fc.array(parts, { minLength: 1, maxLength: 40 }), async (sample) => {
        await client.query(
          `insert into ${table} (v) select ${expression}
           from unnest($1::text[]) s, lateral (select s::json ->> 0, s::json ->> 1, s::json ->> 2, s::json ->> 3) p (a, b, c, d)`,
          [sample],
        );
        const messages = (await reader.read()).map((change) => change.text);
        expect(messages).toHaveLength(sample.length);
        const { rows } = await client.query(
          `select r -> 'v' as sent, ${stored} as stored from ${table},
             lateral (select m::jsonb -> 'record' as r from unnest($1::text[]) m) s where (r ->> 'id')::int = id`,
          [messages],
        );
        expect(rows).toHaveLength(sample.length);
        for (const row of rows as { sent: unknown; stored: unknown }[]) expect(row.sent).toEqual(row.stored);
      }),
      { numRuns: 4 },
    );
  }

  test('a composite is an object by attribute, NULL and empty text apart (C045)', async () => {
    await checkExpression('pair', 'row(a, b, array[c, d])::pair');
  });

  test('composites nest in arrays and in composites (C045)', async () => {
    await checkExpression('pair[]', 'array[row(a, b, array[c, d]), null, row(null, null, null)]::pair[]');
    await checkExpression(
      'nest',
      `row(row(a, b, array[c]), array[row(a, c, array[b, d]), null]::pair[], 'so "so", NULL', 3,
           json_build_array(b, c, d)::jsonb)::nest`,
    );
    await checkExpression('nest[]', `array[row(row(a, d, '{}'), '{}', 'NULL', null, null)]::nest[]`);
  });

  test('hstore is an object of texts and nulls (C027)', async () => {
    await checkExpression('hstore', `hstore(coalesce(b, ''), c) || hstore('k', d)`, 'hstore_to_jsonb(v)');
    await checkExpression(
      'hstore[]',
      `array[hstore(coalesce(b, ''), c), null, '']`,
      '(select jsonb_agg(hstore_to_jsonb(h)) from unnest(v) h)',
    );
  });

  test('domains over arrays and documents are arrays and documents (C044)', async () => {
    await checkColumn('words', fc.constantFrom('{a,NULL,"b c"}', '{}'), asJsonb);
    await checkColumn('document', fc.constantFrom('{"a": [1.0, null]}', '"text"'), asJsonb);
    await checkColumn('positive[]', fc.constantFrom('{1,NULL,2}', '{{1},{2}}'), asJsonb);
    await checkColumn('words[]', fc.constantFrom('{"{a,b}","{}",NULL}'), {
      sent: 'j::jsonb',
      stored: '(select jsonb_agg(to_jsonb(w)) from unnest(v) w)',
    });
  });

  test('a composite changed in the meantime is text, never a wrong object', async () => {
    const { client } = database;
    await client.query(`create type shifting as (a int, b text);
      create table shifts (id int primary key, v shifting); insert into shifts values (1, '(1,x)');
      alter type shifting add attribute c int;`);
    const [change] = await reader.read();
    expect(parse(change!).record['v']).toBe('(1,x)');
  });

  test('a type dropped before its rows are read is text (C046)', async () => {
    await database.client.query(`create type passing as enum ('a');
      create table passed (id int primary key, m passing); insert into passed values (1, 'a');
      drop table passed; drop type passing;`);
    const [change] = await reader.read();
    expect(parse(change!).record).toEqual({ id: 1, m: 'a' });
  });

  test('an enum label added and used at once is sent (C043)', async () => {
    const { client } = database;
    await client.query('create table feelings (id int primary key, m mood, ms mood[])');
    await client.query(`alter type mood add value 'new, label'`);
    await client.query(`insert into feelings values (1, 'new, label', array['new, label', 'NULL', null]::mood[])`);
    const [change] = await reader.read();
    expect(parse(change!).record).toEqual({ id: 1, m: 'new, label', ms: ['new, label', 'NULL', null] });
  });
});

describe('options', () => {
  test('bytea as base64 has the same bytes (C014)', async () => {
    const { client } = database;
    await client.query('create table blobs (id int primary key, v bytea, vs bytea[])');
    const every = Buffer.from(Array.from({ length: 256 }, (_, i) => i));
    await client.query('insert into blobs values (1, $1, array[$1, $2])', [every, Buffer.alloc(0)]);
    const [change] = await reader.read({ values: { bytea: 'base64' } });
    const base64 = every.toString('base64');
    expect(parse(change!).record).toEqual({ id: 1, v: base64, vs: [base64, ''] });
  });

  test('numeric as a float is what Postgres casts to a double', async () => {
    const { client } = database;
    await client.query('create table prices (id serial primary key, v numeric)');
    await fc.assert(
      fc.asyncProperty(fc.array(numeric, { minLength: 1, maxLength: 60 }), async (sample) => {
        await client.query('insert into prices (v) select x::numeric from unnest($1::text[]) x', [sample]);
        const changes = await reader.read({ values: { numeric: 'float' } });
        const ids = changes.map((change) => parse(change).record['id']);
        const { rows } = await client.query<{ double: number }>(
          `select case when abs(v) < 1e308 then v::float8 else 'NaN' end as double
           from prices where id = any($1) order by id`,
          [ids],
        );
        const expected = rows.map(({ double }) => (Number.isNaN(double) ? null : double));
        expect(changes.map((change) => parse(change).record['v'])).toEqual(expected);
      }),
      { numRuns: 4 },
    );
  });
});
