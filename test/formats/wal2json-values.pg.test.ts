import { afterAll, beforeAll, expect, test } from 'vitest';
import {
  CREATE_ALL_TYPES,
  expectStored,
  insertAllTypes,
  parseExactly,
  quoted,
  textOf,
  type SentValue,
} from '../support/all-types.ts';
import { openChangeReader, type ChangeReader } from '../support/decode.ts';
import { createTestDatabase, type TestDatabase } from '../support/postgres.ts';

// What a consumer makes of wal2json's messages, against the stored row and the server's own names of types.
// https://github.com/eulerto/wal2json#readme

type Columns = readonly { readonly name: string; readonly type: string; readonly value: unknown }[];

let database: TestDatabase;
let reader: ChangeReader;

beforeAll(async () => {
  database = await createTestDatabase();
  await database.client.query(CREATE_ALL_TYPES);
  reader = await openChangeReader(database);
});
afterAll(() => database.drop());

async function columnsSent(wal2json: object): Promise<Columns[]> {
  await database.client.query('truncate all_types');
  await insertAllTypes(database.client);
  const changes = await reader.read({ format: 'wal2json', options: { wal2json } });
  return changes.flatMap(({ text }) => {
    const { action, columns } = parseExactly(text) as { action: string; columns: Columns };
    return action === 'I' ? [columns] : [];
  });
}

const rowOf = (columns: Columns): Record<string, unknown> =>
  Object.fromEntries(columns.map(({ name, value }) => [name, value]));

const decode = ({ type, value }: SentValue): string =>
  quoted(type === 'bytea' ? `\\x${textOf(value)}` : textOf(value));

test('every value is the stored one, and every type has the name that the server gives it', async () => {
  const sent = await columnsSent({});
  // NaN and Infinity are null, and a double has not every digit of a numeric.
  const rows = sent.map(rowOf);
  await expect(
    expectStored(database.client, rows, decode, ['float4', 'float8', 'numeric']),
  ).resolves.toBeUndefined();
  const { rows: types } = await database.client.query<{ name: string; type: string }>(
    `select attname as name, format_type(atttypid, atttypmod) as type from pg_attribute
     where attrelid = 'all_types'::regclass and attnum > 0 order by attnum`,
  );
  expect(sent[0]!.map(({ name, type }) => ({ name, type }))).toEqual(
    types.map(({ name, type }) => ({ name, type: type === '"char"' ? 'char' : type })),
  );
});

test('numbers as texts are exact, and types without modifiers are what the server calls them then', async () => {
  const sent = await columnsSent({ 'numeric-data-types-as-string': true, 'include-typmod': false });
  await expect(expectStored(database.client, sent.map(rowOf), decode)).resolves.toBeUndefined();
  const types = new Map(sent[0]!.map(({ name, type }) => [name, type]));
  const names = ['price', 'varchar', 'char', 'time3', 'timestamp3', 'prices', 'bit12', 'domain', 'moods'];
  expect(names.map((name) => types.get(name))).toEqual([
    'numeric',
    'character varying',
    'character',
    'time without time zone',
    'timestamp without time zone',
    'numeric[]',
    'bit',
    'exact',
    'mood[]',
  ]);
});
