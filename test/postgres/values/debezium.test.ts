import { expect, test } from 'vitest';
import { ByteWriter } from '../../../src/core/byte-writer.ts';
import type { TypeCatalog, TypeInfo } from '../../../src/core/change.ts';
import type { DebeziumValues } from '../../../src/core/render.ts';
import { debeziumFormat } from '../../../src/formats/debezium/debezium.ts';
import { blockOf, debeziumOptions, valuesOf } from '../../../src/formats/debezium/options.ts';
import { compileColumn } from '../../../src/postgres/values/values.ts';

// What Debezium 3.6.1.Final wrote for these texts, read from its own output where its documentation leaves it open.

const TYPES: TypeCatalog = new Map<number, TypeInfo>([
  [20_001, { kind: 'base', name: 'hstore' }],
  [20_002, { kind: 'base', name: 'vector' }],
  [20_003, { kind: 'base', name: 'sparsevec' }],
  [20_004, { kind: 'base', name: 'geometry' }],
  [20_005, { kind: 'domain', name: 'exact', base: 1700, modifier: ((8 << 16) | 3) + 4 }],
  [20_006, { kind: 'array', name: '_hstore', element: 20_001, delimiter: ',' }],
  [20_007, { kind: 'enum', name: 'mood' }],
  [20_008, { kind: 'domain', name: 'cycle', base: 20_008 }],
]);

type Column = { readonly type: number; readonly modifier?: number };

const formOf = ({ type, modifier = -1 }: Column, values: Partial<DebeziumValues>) =>
  compileColumn({ type, typeModifier: modifier }, TYPES, {
    ...debeziumFormat.values,
    zonelessTimestampZ: false,
    debezium: { ...valuesOf(blockOf(debeziumOptions.parse({}))), ...values },
  });

function written(column: Column, text: string, values: Partial<DebeziumValues> = {}): string {
  // Neighbours on both sides: a renderer that reads beyond its range is found out.
  const bytes = Buffer.from(`9${text}9`);
  const writer = new ByteWriter(1);
  formOf(column, values).render(bytes, 1, bytes.length - 2, writer);
  return writer.buffer.toString('utf8', 0, writer.length);
}

const numeric = (precision: number, scale: number): Column => ({
  type: 1700,
  modifier: ((precision << 16) | (scale & 0x7ff)) + 4,
});
const NUMERIC = { type: 1700 };
const MONEY = { type: 790 };
const DATE = { type: 1082 };
const TIME = { type: 1083 };
const TIMETZ = { type: 1266 };
const TIMESTAMP = { type: 1114 };
const TIMESTAMPTZ = { type: 1184 };
const INTERVAL = { type: 1186 };
const BYTEA = { type: 17 };
const VARBIT = { type: 1562 };

test.each([
  ['99.50', 'Jt4='],
  ['0.00', 'AA=='],
  ['-99999999.99', '/av0HAE='],
  ['127.99', 'Mf8='],
  ['-128.00', 'zgA='],
  ['-0.01', '/w=='],
  ['90071992547409.93', Buffer.from('20000000000001', 'hex').toString('base64')],
  ['-123456789012345678901.23', twos(-12345678901234567890123n)],
])('numeric(30,2) %s is the bytes of its digits', (text, base64) => {
  expect(written(numeric(30, 2), text)).toBe(`"${base64}"`);
});

/** By another way than the code's. */
function twos(value: bigint): string {
  const bits = 80n;
  return Buffer.from(BigInt.asUintN(Number(bits), value).toString(16).padStart(20, '0'), 'hex').toString(
    'base64',
  );
}

test('a scale below 0 counts hundreds, and a domain has the scale of its base', () => {
  expect(written(numeric(5, -2), '12300')).toBe('"ew=="');
  expect(written(numeric(5, -2), '-100')).toBe('"/w=="');
  expect(written({ type: 20_005 }, '-1.500')).toBe('"+iQ="');
});

test.each([
  ['123.4500', 2, 'MDk='],
  ['0.000', 0, 'AA=='],
  ['100000000000000000000', 0, 'BWvHXi1jEAAA'],
  ['-12345678901234567890.123456789', 9, '2BvkzblBNk6Rxn7r'],
  ['-128', 0, 'gA=='],
])(
  'numeric without a scale, %s, says it beside the bytes, without zeros at the end',
  (text, scale, value) => {
    expect(written(NUMERIC, text)).toBe(`{"scale":${scale},"value":"${value}"}`);
  },
);

test('what is no number has a word in the other modes, and is null in bytes', () => {
  expect(written(NUMERIC, 'NaN')).toBe('null');
  expect(written(numeric(5, 2), 'NaN')).toBe('null');
  const words = ['NaN', 'Infinity', '-Infinity'];
  expect(words.map((text) => written(NUMERIC, text, { decimal: 'string' }))).toEqual([
    '"NAN"',
    '"POSITIVE_INFINITY"',
    '"NEGATIVE_INFINITY"',
  ]);
  expect(words.map((text) => written(NUMERIC, text, { decimal: 'double' }))).toEqual(
    words.map((word) => `"${word}"`),
  );
  expect(written(NUMERIC, '-1.500', { decimal: 'string' })).toBe('"-1.500"');
  expect(written(NUMERIC, '-1.500', { decimal: 'double' })).toBe('-1.5');
});

test.each([
  ['$1,234.56', 'AeJA', '1234.56'],
  ['-$0.05', '+w==', '-0.05'],
  ['-$1,000,000.00', '+gofAA==', '-1000000.00'],
  ['1.234,56 €', 'AeJA', '1234.56'],
])('money %s is its digits', (text, base64, plain) => {
  expect(written(MONEY, text)).toBe(`"${base64}"`);
  expect(written(MONEY, text, { decimal: 'string' })).toBe(`"${plain}"`);
  expect(written(MONEY, text, { decimal: 'double' })).toBe(String(Number(plain)));
});

test.each([
  [DATE, '2026-01-02', '20455', '"2026-01-02Z"'],
  [DATE, '1969-12-31', '-1', '"1969-12-31Z"'],
  [DATE, '0044-03-15 BC', '-735160', '"-0043-03-15Z"'],
  [DATE, '4713-01-01 BC', '-2440550', '"-4712-01-01Z"'],
  [DATE, '12345-01-01', '3789391', '"+12345-01-01Z"'],
  [DATE, 'infinity', '2147483647', '"infinity"'],
  [DATE, '-infinity', '-2147483648', '"-infinity"'],
  [TIME, '03:04:05.123456', '11045123456', '"03:04:05.123456Z"'],
  [TIME, '24:00:00', '86400000000', '"24:00:00Z"'],
  [{ ...TIME, modifier: 3 }, '03:04:05.1', '11045100', '"03:04:05.1Z"'],
  [TIMESTAMP, '2026-01-02 03:04:05.123456', '1767323045123456', '"2026-01-02T03:04:05.123456Z"'],
  [TIMESTAMP, '1969-12-31 23:59:59.999999', '-1', '"1969-12-31T23:59:59.999999Z"'],
  [TIMESTAMP, '1969-12-31 23:59:58.75', '-1250000', '"1969-12-31T23:59:58.75Z"'],
  [TIMESTAMP, '0044-03-15 12:00:00 BC', '-63517780800000000', '"-0043-03-15T12:00:00Z"'],
  [TIMESTAMP, '12345-01-01 01:02:03.4', '327403386123400000', '"+12345-01-01T01:02:03.4Z"'],
  [TIMESTAMP, '1970-01-01 00:00:00', '0', '"1970-01-01T00:00:00Z"'],
  [TIMESTAMP, 'infinity', '9223372036825200000', '"infinity"'],
  [{ ...TIMESTAMP, modifier: 3 }, '2026-01-02 03:04:05.12', '1767323045120', '"2026-01-02T03:04:05.12Z"'],
  [{ ...TIMESTAMP, modifier: 0 }, '1969-12-31 23:59:59', '-1000', '"1969-12-31T23:59:59Z"'],
  [{ ...TIMESTAMP, modifier: 3 }, '-infinity', '-9223372036832400', '"-infinity"'],
])('a column %j: %s is %s, or %s', (column, text, adaptive, iso) => {
  expect(written(column, text)).toBe(adaptive);
  expect(written(column, text, { time: 'isostring' })).toBe(iso);
});

test('a time precision mode fixes the unit, cut off towards the past', () => {
  const modes = ['adaptive_time_microseconds', 'connect', 'microseconds', 'nanoseconds'] as const;
  const units = (column: Column, text: string) => modes.map((time) => written(column, text, { time }));
  expect(units({ ...TIME, modifier: 3 }, '03:04:05.1')).toEqual([
    '11045100000',
    '11045100',
    '11045100000',
    '11045100000000',
  ]);
  expect(units({ ...TIMESTAMP, modifier: 3 }, '1969-12-31 23:59:59.9999')).toEqual([
    '-1',
    '-1',
    '-100',
    '-100000',
  ]);
  expect(units(TIMESTAMP, '9999-12-31 23:59:59.999999').at(-1)).toBe('253402300799999999000');
  expect(units(TIMESTAMP, 'infinity')).toEqual([
    '9223372036825200000',
    '9223372036825200',
    '9223372036825200000',
    '9223372036854775807',
  ]);
});

test.each([
  [{ ...TIMESTAMPTZ }, '2026-01-02 01:04:05.1+00', '2026-01-02T01:04:05.100000Z'],
  [{ ...TIMESTAMPTZ, modifier: 3 }, '2026-01-02 01:04:05.1+00', '2026-01-02T01:04:05.100Z'],
  [{ ...TIMESTAMPTZ, modifier: 0 }, '2026-01-02 01:04:05+00', '2026-01-02T01:04:05Z'],
  [{ ...TIMESTAMPTZ }, '0044-03-15 12:00:00+00 BC', '-0043-03-15T12:00:00.000000Z'],
  [{ ...TIMESTAMPTZ }, '12345-01-01 01:02:03.4+00', '+12345-01-01T01:02:03.400000Z'],
  [{ ...TIMESTAMPTZ }, '-infinity', '-infinity'],
  [TIMETZ, '03:04:05.1+02', '01:04:05.1Z'],
  [TIMETZ, '23:00:00-05:30', '04:30:00Z'],
  [TIMETZ, '03:04:05.000001+05:45', '21:19:05.000001Z'],
  [TIMETZ, '24:00:00+00', '00:00:00Z'],
])('with a time zone, %j: %s is %s in every mode', (column, text, expected) => {
  for (const time of ['adaptive', 'isostring', 'connect'] as const)
    expect(written(column, text, { time })).toBe(`"${expected}"`);
});

test.each([
  ['P1Y2M3DT4H5M6.789S', '37091106789000', 'P1Y2M3DT4H5M6.789S'],
  ['P-1M2DT-0.5S', '-2457000500000', 'P0Y-1M2DT0H0M-0.5S'],
  ['P-1Y-2M3DT-4H-5M-6.789S', '-36572706789000', 'P-1Y-2M3DT-4H-5M-6.789S'],
  ['PT0S', '0', 'P0Y0M0DT0H0M0S'],
  ['P178956970Y', '9223372036854775807', 'P178956970Y0M0DT0H0M0S'],
  ['-infinity', '-9223372036854775808', '-infinity'],
])('interval %s is %s microseconds, or %s', (text, microseconds, iso) => {
  expect(written(INTERVAL, text)).toBe(microseconds);
  expect(written(INTERVAL, text, { interval: 'string' })).toBe(`"${iso}"`);
});

test('bytea is base64 in two alphabets, or hex', () => {
  const forms = (text: string) =>
    (['bytes', 'base64', 'base64-url-safe', 'hex'] as const).map((binary) =>
      written(BYTEA, text, { binary }),
    );
  expect(forms(String.raw`\xff`)).toEqual(['"/w=="', '"/w=="', '"_w=="', '"ff"']);
  expect(forms(String.raw`\x`)).toEqual(['""', '""', '""', '""']);
});

test('bits are the bytes of their number, the least first; a single one is true or false', () => {
  expect(written({ type: 1560, modifier: 1 }, '1')).toBe('true');
  expect(written({ type: 1562, modifier: 1 }, '0')).toBe('false');
  const texts = ['101', '000000000001', '101010101010', '000', '1111111100000000000000001', ''];
  expect(texts.map((text) => written(VARBIT, text))).toEqual([
    '"BQ=="',
    '"AQ=="',
    '"qgo="',
    '""',
    '"AQD+AQ=="',
    '""',
  ]);
});

test('a point is its coordinates and well-known binary', () => {
  expect(written({ type: 600 }, '(1.5,-2)')).toBe(
    '{"x":1.5,"y":-2,"wkb":"AQEAAAAAAAAAAAD4PwAAAAAAAADA","srid":null}',
  );
  expect(written({ type: 600 }, '(Infinity,NaN)')).toBe(
    '{"x":"Infinity","y":"NaN","wkb":"AQEAAAAAAAAAAADwfwAAAAAAAPh/","srid":null}',
  );
});

test("extensions' types are known by name", () => {
  const text = String.raw`"a"=>"1", "b"=>NULL, "q\"uo"=>"b\\s, x"`;
  const map = String.raw`{"a":"1","b":null,"q\"uo":"b\\s, x"}`;
  expect(written({ type: 20_001 }, text)).toBe(JSON.stringify(map));
  expect(written({ type: 20_001 }, text, { hstore: 'map' })).toBe(map);
  expect(written({ type: 20_006 }, '{"\\"a\\"=>\\"1\\"",NULL}')).toBe(String.raw`["{\"a\":\"1\"}",null]`);
  expect(written({ type: 20_002 }, '[1,2.5]')).toBe('[1,2.5]');
  expect(written({ type: 20_003 }, '{1:1.5,3:-2e-05}/5')).toBe(
    '{"dimensions":5,"vector":[[1,1.5],[3,-2e-05]]}',
  );
  expect(written({ type: 20_003 }, '{}/5')).toBe('{"dimensions":5,"vector":[]}');
  const ewkb = '0101000020E6100000000000000000F03F0000000000000040';
  expect(written({ type: 20_004 }, ewkb)).toBe(
    `{"wkb":"${Buffer.from(ewkb, 'hex').toString('base64')}","srid":4326}`,
  );
});

test('what Debezium leaves out or cannot read is not lost: it is text, or what its elements are', () => {
  expect(written({ type: 718 }, '<(1,2),3>')).toBe('"<(1,2),3>"');
  expect(written({ type: 1187 }, '{"P1D"}')).toBe('[86400000000]');
  expect(written({ type: 1007 }, '{{1,2},{3,4}}')).toBe('[[1,2],[3,4]]');
  expect(written({ type: 20_008 }, 'x')).toBe('"x"');
});

test('json is a string of the document', () => {
  expect(written({ type: 3802 }, '{"b": [1, 2]}')).toBe(String.raw`"{\"b\": [1, 2]}"`);
});

const PLACEHOLDER = '__debezium_unavailable_value';
const BASE64 = Buffer.from(PLACEHOLDER).toString('base64');
const HSTORE = `{"${PLACEHOLDER}":"${PLACEHOLDER}"}`;

test.each([
  ['text', 25, `"${PLACEHOLDER}"`],
  ['an enum', 20_007, `"${PLACEHOLDER}"`],
  ['bytea', 17, `"${BASE64}"`],
  ['bytea[]', 1001, `["${BASE64}"]`],
  ['hstore', 20_001, JSON.stringify(HSTORE)],
  ['hstore[]', 20_006, `[${JSON.stringify(HSTORE)}]`],
  ['text[]', 1009, `["${PLACEHOLDER}"]`],
  ['int8[]', 1016, JSON.stringify([...Buffer.from(PLACEHOLDER)])],
  ['uuid[]', 2951, '["b68a35a7-17ad-35b3-af2a-ae46edb4545a"]'],
  // Debezium has null here, which says that the value is gone.
  ['numeric', 1700, `"${PLACEHOLDER}"`],
])('an unchanged value of type %s that was not sent has the placeholder', (_, type, expected) => {
  expect(formOf({ type }, {}).unchanged).toBe(expected);
});

test('a placeholder may be bytes', () => {
  const unavailable = 'hex:6162';
  expect(formOf({ type: 25 }, { unavailable }).unchanged).toBe('"ab"');
  expect(formOf(BYTEA, { unavailable }).unchanged).toBe('"YWI="');
  expect(formOf(BYTEA, { unavailable, binary: 'hex' }).unchanged).toBe('"ab"');
  expect(formOf({ type: 1007 }, { unavailable: 'hex:DEAD' }).unchanged).toBe('[-34,-83]');
});
