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

// What a consumer makes of Debezium's messages who knows nothing but the schema types of its documentation, against the stored row.
// https://debezium.io/documentation/reference/3.6/connectors/postgresql.html#postgresql-data-types

type Row = Readonly<Record<string, unknown>>;

let database: TestDatabase;
let reader: ChangeReader;

beforeAll(async () => {
  database = await createTestDatabase();
  await database.client.query(CREATE_ALL_TYPES);
  reader = await openChangeReader(database);
});
afterAll(() => database.drop());

async function rowsSent(debezium: object): Promise<Row[]> {
  await database.client.query('truncate all_types');
  await insertAllTypes(database.client);
  const changes = await reader.read({ format: 'debezium', options: { debezium } });
  return changes.flatMap(({ text }) => {
    const { op, after } = parseExactly(text) as { op: string; after: Row };
    return op === 'c' ? [after] : [];
  });
}

/** https://kafka.apache.org/41/javadoc/org/apache/kafka/connect/data/Decimal.html */
function decimal(base64: string, scale: number): string {
  const bytes = Buffer.from(base64, 'base64');
  const value = BigInt.asIntN(bytes.length * 8, BigInt(`0x${bytes.toString('hex')}`));
  const digits = String(value < 0n ? -value : value).padStart(scale + 1, '0');
  const point = digits.length - scale;
  return `${value < 0n ? '-' : ''}${digits.slice(0, point)}.${digits.slice(point)}`;
}

/** A count since the epoch, in two parts, as older servers take no more than 2^31 of a unit. */
function span(count: string, unitsASecond: number): string {
  const microseconds = BigInt(count) * BigInt(1_000_000 / unitsASecond);
  const day = 86_400_000_000n;
  return `interval '${microseconds / day} days ${decimalPoint(microseconds % day)} seconds'`;
}

const decimalPoint = (microseconds: bigint): string =>
  `${microseconds < 0n ? '-' : ''}${String(microseconds < 0n ? -microseconds : microseconds)
    .padStart(7, '0')
    .replace(/(?=\d{6}$)/, '.')}`;

const moment = (count: string, unitsASecond: number): string =>
  `timestamp 'epoch' + ${span(count, unitsASecond)}`;

/** The literal type and the semantic type decide; of an array its elements'. */
function decode({ type, value }: SentValue): string {
  const element = /^(.*)\[\]$/.exec(type)?.[1];
  if (element !== undefined) return decodeArray(element, value as unknown[]);
  const text = textOf(value);
  switch (type) {
    case 'numeric': {
      const { scale, value: unscaled } = value as { scale: number; value: string };
      return quoted(decimal(unscaled, scale));
    }
    case 'numeric(10,2)':
      return quoted(decimal(text, 2));
    case 'money':
      return `${quoted(decimal(text, 2))}::numeric`;
    case 'numeric(20)':
      return quoted(decimal(text, 0));
    case 'exact':
      return quoted(decimal(text, 3));
    case 'date':
      if (text === '2147483647') return `'infinity'`;
      return text === '-2147483648' ? `'-infinity'` : `date 'epoch' + (${text})`;
    case 'time':
      return text === '86400000000' ? `'24:00'` : span(text, 1_000_000);
    case 'time(3)':
      return span(text, 1000);
    case 'timestamp':
      if (text === '9223372036825200000') return `'infinity'`;
      return text === '-9223372036832400000' ? `'-infinity'` : moment(text, 1_000_000);
    case 'timestamp(3)':
      return moment(text, 1000);
    case 'timestamptz':
    case 'timestamptz(0)':
      return zoned(text);
    case 'interval':
      return typeof value === 'number' ? span(text, 1_000_000) : quoted(text);
    case 'bytea':
      return `decode('${text}', 'base64')`;
    case 'bit':
      return `'${text === 'true' ? 1 : 0}'`;
    case 'bit(12)':
    case 'varbit': {
      const hex = Buffer.from(text, 'base64').reverse().toString('hex');
      return `'${BigInt(`0x0${hex}`)
        .toString(2)
        .padStart(type === 'bit(12)' ? 12 : 1, '0')}'`;
    }
    case 'point': {
      const { x, y } = value as { x: number; y: number };
      return `point(${x}, ${y})`;
    }
    case 'hstore':
      return `coalesce((select hstore(array_agg(key), array_agg(value)) from json_each_text(${quoted(text)})), '')`;
    default:
      return quoted(text);
  }
}

/** Years of ISO 8601 have a sign where they have not four digits, and count from a year 0, which is 1 BC. */
function zoned(text: string): string {
  const match = /^([-+]?\d+)(-\d\d-\d\d)T(.*)Z$/.exec(text);
  if (match === null) return quoted(text);
  const year = Number(match[1]);
  const digits = String(year <= 0 ? 1 - year : year).padStart(4, '0');
  return quoted(`${digits}${match[2]} ${match[3]}+00${year <= 0 ? ' BC' : ''}`);
}

function decodeArray(type: string, values: readonly unknown[]): string {
  const elements = values.map((value): string => {
    if (value === null) return 'null';
    return Array.isArray(value)
      ? decodeArray(type, value)
      : `(${decode({ name: '', type, value })})::${type}`;
  });
  return `array[${elements.join(', ')}]::${type}[]`;
}

test('a consumer that reads the documented schema types has each row as it is stored', async () => {
  const rows = await rowsSent({});
  // A year and its days are one number of microseconds, and an offset is 0: the same moment, another text.
  await expect(expectStored(database.client, rows, decode, ['interval', 'timetz'])).resolves.toBeUndefined();
  expect(rows.map(({ timetz }) => timetz)).toEqual(['21:34:05.123456Z', '11:59:59Z', null]);
  expect(rows.map(({ interval }) => interval)).toEqual([37_091_106_789_000, -2_457_000_000_001, 0]);
});

test('decimals and intervals as strings are exact, whatever the column says of its scale', async () => {
  const rows = await rowsSent({ 'decimal.handling.mode': 'string', 'interval.handling.mode': 'string' });
  const asText = (sent: SentValue): string =>
    /^(numeric.*|exact)$/.test(sent.type) || sent.type === 'money'
      ? Array.isArray(sent.value)
        ? `array[${sent.value.map((value) => (value === null ? 'null' : quoted(textOf(value)))).join(', ')}]::numeric[]`
        : `${quoted(textOf(sent.value))}::numeric`
      : decode(sent);
  await expect(expectStored(database.client, rows, asText, ['timetz'])).resolves.toBeUndefined();
});
