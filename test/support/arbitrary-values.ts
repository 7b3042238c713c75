// Random Postgres values as text, one generator a type, for tests that send them through a server.
import * as fc from 'fast-check';

export const orNull = (values: fc.Arbitrary<string>): fc.Arbitrary<string | null> =>
  fc.option(values, { freq: 8 });

/** Characters that quoting rules are about come up more often than by chance. */
const specialCharacter = fc.oneof(
  fc.constantFrom(...Array.from('"\\,;{}() \t\n\'')),
  fc.constantFrom('NULL', '\ufffe', '\uffff', '😀'),
);
export const text = fc
  .array(
    fc.oneof(
      specialCharacter,
      fc.string({ unit: 'binary', minLength: 1, maxLength: 1 }).filter((unit) => unit !== '\0'),
    ),
    { maxLength: 20 },
  )
  .map((units) => units.join(''));

/** One element as Postgres reads it in the text of an array. */
export const quoteElement = (element: string | null): string =>
  element === null ? 'NULL' : `"${element.replaceAll(/["\\]/g, String.raw`\$&`)}"`;

const digits = (maxLength: number): fc.Arbitrary<string> =>
  fc.array(fc.nat(9), { minLength: 1, maxLength }).map((list) => list.join(''));
export const numeric = fc.oneof(
  fc.tuple(fc.constantFrom('', '-'), digits(60), digits(60)).map(([sign, a, b]) => `${sign}${a}.${b}`),
  digits(2000),
  fc.constantFrom('NaN', '1.10', '1e-20', '1e300', '0'),
);
const float = fc.oneof(
  fc.double().map((value) => (Object.is(value, -0) ? '-0' : String(value))),
  fc.constantFrom('NaN', 'Infinity', '-Infinity', '-0', '5e-324', '1e22', '1.1'),
);
/** Postgres refuses what a float4 cannot hold. */
const isFloat4 = (text: string): boolean => {
  const size = Math.abs(Number(text));
  return !Number.isFinite(size) || size === 0 || (size < 3.4e38 && size > 1.2e-38);
};

const pad = (value: number, width: number): string => String(value).padStart(width, '0');
const time = fc
  .tuple(fc.nat(23), fc.nat(59), fc.nat(59), fc.nat(999_999))
  .map(([h, m, s, us]) => `${pad(h, 2)}:${pad(m, 2)}:${pad(s, 2)}.${pad(us, 6)}`);
const date = (maxYear: number): fc.Arbitrary<string> =>
  fc
    .tuple(
      fc.integer({ min: 1, max: maxYear }),
      fc.integer({ min: 1, max: 12 }),
      fc.integer({ min: 1, max: 28 }),
    )
    .map(([y, m, d]) => `${pad(y, 4)}-${pad(m, 2)}-${pad(d, 2)}`);
/** Dates begin in 4713 BC. https://www.postgresql.org/docs/current/datatype-datetime.html */
const OLDEST_YEAR = 4712;
const LATE_YEAR = 11_000;
const instant = (zone: string): fc.Arbitrary<string> =>
  fc.oneof(
    fc.tuple(date(LATE_YEAR), time).map(([date, time]) => `${date} ${time}${zone}`),
    fc.tuple(date(OLDEST_YEAR), time).map(([date, time]) => `${date} ${time}${zone} BC`),
  );

const hex = (length: number): fc.Arbitrary<string> =>
  fc.uint8Array({ minLength: length, maxLength: length }).map((bytes) => Buffer.from(bytes).toString('hex'));

export const SCALARS: Readonly<Record<string, fc.Arbitrary<string>>> = {
  int2: fc.integer({ min: -32_768, max: 32_767 }).map(String),
  int4: fc.integer().map(String),
  int8: fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n }).map(String),
  oid: fc.nat(2 ** 31 - 1).map((value) => String(value * 2)),
  numeric,
  float4: float.filter(isFloat4),
  float8: float,
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
    date(LATE_YEAR),
    date(OLDEST_YEAR).map((date) => `${date} BC`),
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
  money: fc.integer().map((amount) => `${amount}.01`),
  pg_lsn: hex(4).map((half) => `16/${half}`),
  point: fc.constantFrom('(1.5,-0)', '(NaN,Infinity)', '(1e300,5e-324)'),
  box: fc.constantFrom('(1,2),(3,4)', '(5,6),(7,8)'),
  path: fc.constantFrom('[(1,2),(3,4)]', '((1,2),(3,4))'),
  int4range: fc.constantFrom('[1,5]', 'empty', '(,)', '(1,)'),
  tstzrange: fc.constantFrom('["2020-01-01 00:00:00+00",)', '[-infinity,infinity]', '(,)'),
  tsvector: fc.constantFrom('a fat cat', String.raw`'it''s' 'a \\ b':3A`, ''),
  jsonpath: fc.constantFrom('$."a"[*]', '$.x ? (@ > 1)'),
  xml: fc.constantFrom('<a b="c">&amp; é</a>', 'text'),
  int2vector: fc.constantFrom('1 2 3', ''),
  regclass: fc.constantFrom('pg_class', 'pg_catalog.pg_type'),
};
