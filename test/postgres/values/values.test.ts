import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { ByteWriter } from '../../../src/core/byte-writer.ts';
import { jsonText, writeJsonDocument, writeJsonString } from '../../../src/core/json.ts';
import { TYPE } from '../../../src/postgres/values/builtin.ts';
import { renderValue } from '../../support/decode.ts';

const TEXT = 25;

type Case = readonly [text: string, json: string];
describe('numbers', () => {
  test.each<Case>([
    ['-32768', '-32768'],
    ['9223372036854775807', '9223372036854775807'],
    ['9007199254740993', '9007199254740993'],
  ])('integer %s keeps every digit (C001)', (text, json) => {
    expect(renderValue(TYPE.int8, text)).toBe(json);
  });

  test('oid is an unsigned number; xid8 and regclass are text (C003)', () => {
    expect(renderValue(TYPE.oid, '4294967295')).toBe('4294967295');
    expect(renderValue(5069, '18446744073709551615')).toBe('"18446744073709551615"');
    expect(renderValue(2205, 'pg_class')).toBe('"pg_class"');
  });

  test.each<Case>([
    ['1.1', '1.1'],
    ['3.4028235e+38', '3.4028235e+38'],
    ['5e-324', '5e-324'],
    ['1e+22', '1e+22'],
    ['-0', '-0'],
    ['NaN', '"NaN"'],
    ['Infinity', '"Infinity"'],
    ['-Infinity', '"-Infinity"'],
  ])('float %s is a number, or a string where JSON has no number (C004, C005)', (text, json) => {
    expect(renderValue(TYPE.float8, text)).toBe(json);
  });

  const LONG = '12345678901234567890123456789012345678901234567890.123456789012345678901234567890';

  test.each<Case>([
    [LONG, `"${LONG}"`],
    ['199.990', '"199.990"'],
    ['0.00000000000000000001', '"0.00000000000000000001"'],
    ['NaN', '"NaN"'],
    ['-Infinity', '"-Infinity"'],
  ])('numeric %s is exact text (C006, C007, C008)', (text, json) => {
    expect(renderValue(TYPE.numeric, text)).toBe(json);
  });

  test.each<Case>([
    [LONG, LONG],
    ['1.10', '1.10'],
    ['NaN', '"NaN"'],
    ['Infinity', '"Infinity"'],
  ])('numeric %s as a number has the same digits', (text, json) => {
    expect(renderValue(TYPE.numeric, text, { numeric: 'number' })).toBe(json);
  });

  test.each<Case>([
    ['199.990', '199.99'],
    ['100', '100'],
    ['100.00', '100'],
    ['-0.50', '-0.5'],
    ['0', '0'],
    ['0.000', '0'],
    ['999999999999999', '999999999999999'],
    ['9007199254740993', '9007199254740992'],
    [LONG, '1.2345678901234567e+49'],
    ['NaN', 'null'],
    ['Infinity', 'null'],
    ['-Infinity', 'null'],
    [`1${'0'.repeat(400)}`, 'null'],
    [`0.${'0'.repeat(400)}1`, '0'],
  ])('numeric %s as a float is a double or null', (text, json) => {
    expect(renderValue(TYPE.numeric, text, { numeric: 'float' })).toBe(json);
  });

  test('numeric as a float is the nearest double, whatever its length', () => {
    const digits = fc.stringMatching(/^(0|[1-9][0-9]{0,20})(\.[0-9]{1,20})?$/);
    fc.assert(
      fc.property(fc.boolean(), digits, (negative, unsigned) => {
        // numeric has no negative zero.
        const text = negative && Number(unsigned) !== 0 ? `-${unsigned}` : unsigned;
        expect(JSON.parse(renderValue(TYPE.numeric, text, { numeric: 'float' }))).toBe(Number(text));
      }),
    );
  });
});

describe('texts', () => {
  test('booleans are true and false (C010)', () => {
    expect([renderValue(TYPE.bool, 't'), renderValue(TYPE.bool, 'f')]).toEqual(['true', 'false']);
  });

  test('any text is the same after JSON decoding, and holds nothing that SQS refuses (C011, C225)', () => {
    // Postgres stores any character but U+0000; the ones at the edges come up more often than by chance.
    const edges = fc.constantFrom(
      '\ufffe',
      '\uffff',
      '\ufffd',
      '\uf000',
      '\u001f',
      '\u007f',
      '"',
      '\\',
      '😀',
    );
    const unit = fc.oneof(edges, fc.string({ unit: 'binary', minLength: 1, maxLength: 1 }));
    fc.assert(
      fc.property(fc.array(unit), (units) => {
        const text = units.join('');
        const json = renderValue(TEXT, text);
        expect(JSON.parse(json)).toBe(text);
        // oxlint-disable-next-line no-control-regex -- the characters that must not be there
        expect(json).not.toMatch(/[\u0000-\u001f\ufffe\uffff]/);
        expect(jsonText(text)).not.toMatch(/[\ufffe\uffff]/);
        expect(JSON.parse(jsonText(text))).toBe(text);
      }),
    );
  });

  test('a text that ends inside a character is not read beyond its end', () => {
    const writer = new ByteWriter();
    writeJsonString(Buffer.from([0xef, 0xbf, 0xbe]), 0, 2, writer);
    expect([...writer.buffer.subarray(0, writer.length)]).toEqual([0x22, 0xef, 0xbf, 0x22]);
  });

  test('a text of a megabyte without and with escapes is exact', () => {
    for (const text of ['x'.repeat(1 << 20), '"\n'.repeat(1 << 19), '名'.repeat(1 << 18)]) {
      expect(JSON.parse(renderValue(TEXT, text)) === text).toBe(true);
    }
  });

  test('char(n) keeps its padding, also in arrays (C012)', () => {
    expect(renderValue(1042, 'a   ')).toBe('"a   "');
    expect(renderValue(1014, '{"a  ",NULL}')).toBe('["a  ",null]');
  });

  test('"char" with a high byte, raw before Postgres 15, is octal text (C013)', () => {
    expect(renderValue(TYPE.char, Buffer.from([0xe9]))).toBe(String.raw`"\\351"`);
    expect(renderValue(TYPE.char, String.raw`\351`)).toBe(String.raw`"\\351"`);
    expect(renderValue(TYPE.char, 'a')).toBe('"a"');
    expect(renderValue(TYPE.char, '')).toBe('""');
  });

  test('bytea is hex text or base64, and empty is not null (C014)', () => {
    expect(renderValue(TYPE.bytea, String.raw`\xdeadbeef00`)).toBe(String.raw`"\\xdeadbeef00"`);
    expect(renderValue(TYPE.bytea, String.raw`\x`)).toBe(String.raw`"\\x"`);
    expect(renderValue(TYPE.bytea, String.raw`\xdeadbeef00`, { bytea: 'base64' })).toBe('"3q2+7wA="');
    expect(renderValue(TYPE.bytea, String.raw`\x`, { bytea: 'base64' })).toBe('""');
    expect(renderValue(1001, String.raw`{"\\x00ff","\\x"}`, { bytea: 'base64' })).toBe('["AP8=",""]');
  });

  test.each([
    [1082, '0044-03-15 BC'],
    [1082, 'infinity'],
    [1083, '24:00:00'],
    [1266, '13:00:00.123456-07:30'],
    [2950, '00000000-0000-0000-0000-000000000000'],
    [790, '-$1,234.50'],
    [869, '10.0.0.1/8'],
    [1560, '00101'],
    [600, '(1.5,-0)'],
    [3904, '[1,6)'],
    [4451, '{[1,3),[5,8)}'],
    [3614, "'a' 'cat'"],
    [3220, '16/B374D848'],
    [22, '1 2 3'],
    [30, '1 2 3'],
    [9999, 'of a type nobody knows'],
  ])('type %i keeps Postgres text: %s (C009, C015–C017, C020, C021, C028–C035)', (type, text) => {
    expect(renderValue(type, text)).toBe(JSON.stringify(text));
  });
});

describe('timestamps', () => {
  test.each<Case>([
    ['2026-01-02 03:04:05.1+00', '"2026-01-02T03:04:05.100000Z"'],
    ['2026-01-02 03:04:05+00', '"2026-01-02T03:04:05.000000Z"'],
    ['0001-12-31 23:59:59.999999+00', '"0001-12-31T23:59:59.999999Z"'],
    ['9999-12-31 23:59:59.999999+00', '"9999-12-31T23:59:59.999999Z"'],
    ['0001-12-31 23:59:59.999999+00 BC', '"0001-12-31 23:59:59.999999+00 BC"'],
    ['10022-02-03 09:13:14+00', '"10022-02-03 09:13:14+00"'],
    ['294276-12-31 23:59:59.999999+00', '"294276-12-31 23:59:59.999999+00"'],
    ['infinity', '"infinity"'],
    ['-infinity', '"-infinity"'],
  ])('timestamptz %s (C019)', (text, json) => {
    expect(renderValue(TYPE.timestamptz, text)).toBe(json);
  });

  const zoneless: readonly (readonly [string, string, string])[] = [
    ['2026-01-02 03:04:05.123456', '"2026-01-02T03:04:05.123456"', '"2026-01-02T03:04:05.123456Z"'],
    ['1883-11-18 12:00:00', '"1883-11-18T12:00:00.000000"', '"1883-11-18T12:00:00.000000Z"'],
    ['4713-01-01 00:00:00 BC', '"4713-01-01 00:00:00 BC"', '"4713-01-01 00:00:00 BC"'],
    ['294276-12-31 23:59:59', '"294276-12-31 23:59:59"', '"294276-12-31 23:59:59"'],
    ['-infinity', '"-infinity"', '"-infinity"'],
  ];
  test.each(zoneless)(
    'timestamp %s gets no zone, and a Z where the format says so (C018)',
    (text, plain, withZ) => {
      expect(renderValue(TYPE.timestamp, text)).toBe(plain);
      expect(renderValue(TYPE.timestamp, text, { zonelessTimestampZ: true })).toBe(withZ);
    },
  );

  test('elements of an array follow the same rules (C042)', () => {
    const values = '{infinity,"2019-12-31 19:00:00+00",NULL}';
    expect(renderValue(1185, values)).toBe('["infinity","2019-12-31T19:00:00.000000Z",null]');
    expect(renderValue(1185, values, { timestampDigits: 'as_needed' })).toBe(
      '["infinity","2019-12-31T19:00:00Z",null]',
    );
    expect(renderValue(1115, '{"2019-12-31 19:00:00.05"}')).toBe('["2019-12-31T19:00:00.050000"]');
  });

  test('have six digits of a second, or as many as are needed', () => {
    for (const digits of ['', '.1', '.12', '.123', '.1234', '.12345', '.123456']) {
      const text = `2026-01-02 03:04:05${digits}`;
      const needed = `"2026-01-02T03:04:05${digits}Z"`;
      const six = `"2026-01-02T03:04:05.${digits.slice(1).padEnd(6, '0')}Z"`;
      expect(renderValue(TYPE.timestamptz, `${text}+00`)).toBe(six);
      expect(renderValue(TYPE.timestamptz, `${text}+00`, { timestampDigits: 'as_needed' })).toBe(needed);
      const zoneless = { zonelessTimestampZ: true };
      expect(renderValue(TYPE.timestamp, text, zoneless)).toBe(six);
      expect(renderValue(TYPE.timestamp, text, { ...zoneless, timestampDigits: 'as_needed' })).toBe(needed);
    }
  });
});

describe('intervals', () => {
  const parts = (months: number, days: number, microseconds: string): string =>
    `{"months":${months},"days":${days},"microseconds":${microseconds}}`;

  test.each<Case>([
    ['PT0S', parts(0, 0, '0')],
    ['P1Y2M-3DT-4H-5M-6.789S', parts(14, -3, '-14706789000')],
    ['P-1Y-2M3DT4H5M6S', parts(-14, 3, '14706000000')],
    ['P1M', parts(1, 0, '0')],
    ['PT1M', parts(0, 0, '60000000')],
    ['P2Y', parts(24, 0, '0')],
    ['PT-0.5S', parts(0, 0, '-500000')],
    ['PT0.000001S', parts(0, 0, '1')],
    ['PT100H', parts(0, 0, '360000000000')],
    // The ends of what Postgres keeps: more digits than a double has.
    ['P178956970Y7M2147483647DT2562047788H54.775807S', parts(2147483647, 2147483647, '9223372036854775807')],
    [
      'P-178956970Y-8M-2147483648DT-2562047788H-54.775808S',
      parts(-2147483648, -2147483648, '-9223372036854775808'),
    ],
  ])('%s is a duration, or its months, days and microseconds (C020)', (text, object) => {
    expect(renderValue(TYPE.interval, text)).toBe(JSON.stringify(text));
    expect(renderValue(TYPE.interval, text, { interval: 'object' })).toBe(object);
    expect(renderValue(1187, `{${text},NULL}`, { interval: 'object' })).toBe(`[${object},null]`);
  });

  test.each(['infinity', '-infinity', '1 year 2 mons', 'P', 'PT', '', 'P1W', 'PT1.1234567S'])(
    'what is no duration, like %j, is text',
    (text) => {
      expect(renderValue(TYPE.interval, text, { interval: 'object' })).toBe(JSON.stringify(text));
    },
  );
});

describe('json', () => {
  const DOCUMENT = String.raw` { "a" : 1.0 , "a" : 2, "big": 123456789012345678901234567890, "f": 1e400, "u":"\u00e9\ud83d\ude00", "z":"\u0000" } `;

  test('the document is embedded token by token (C022)', () => {
    expect(renderValue(TYPE.json, DOCUMENT)).toBe(DOCUMENT);
  });

  test.each(['"str"', '1', '1.10', 'true', 'null', '[]', '{}', String.raw`{"\uDeAd":"x"}`])(
    'the document %s is itself (C025, C026)',
    (document) => {
      expect(renderValue(TYPE.jsonb, document)).toBe(document);
    },
  );

  test('as a string it is the text, so that JSON null differs from SQL NULL (C024)', () => {
    expect(JSON.parse(renderValue(TYPE.json, DOCUMENT, { json: 'string' }))).toBe(DOCUMENT);
    expect(renderValue(TYPE.jsonb, 'null', { json: 'string' })).toBe('"null"');
  });

  test('characters that SQS refuses become escapes and nothing else changes (C225)', () => {
    fc.assert(
      fc.property(fc.json(), (json) => {
        const document = json.replaceAll('""', '"\ufffe 名\uffff\\n"');
        const rendered = renderValue(TYPE.json, document);
        expect(rendered).not.toMatch(/[\ufffe\uffff]/);
        expect(JSON.parse(rendered)).toEqual(JSON.parse(document));
      }),
    );
    const writer = new ByteWriter();
    writeJsonDocument(Buffer.from('"\ufffe\uffff"'), 0, 8, writer);
    expect(writer.buffer.toString('utf8', 0, writer.length)).toBe(String.raw`"\ufffe\uffff"`);
  });
});

test.each([
  ['2026-01-02 03:04:05.123456', '1767323045123456'],
  ['1969-12-31 23:59:59.999999', '-1'],
  ['1970-01-01 00:00:00', '0'],
  ['294276-12-31 23:59:59.999999', '9224318015999999999'],
  ['4714-11-24 00:00:00 BC', '-210866803200000000'],
  ['infinity', '"infinity"'],
])('with timestamps in microseconds %s is %s, with a zone or not, also in arrays', (text, expected) => {
  const options = { timestamps: 'unix_microsecond' } as const;
  const zoned = /^\d/.test(text) ? text.replace(/( BC)?$/, '+00$1') : text;
  expect(renderValue(TYPE.timestamp, text, options)).toBe(expected);
  expect(renderValue(TYPE.timestamptz, zoned, options)).toBe(expected);
  expect(renderValue(1115, `{"${text}",NULL}`, options)).toBe(`[${expected},null]`);
});

test('dates and times of day stay texts beside timestamps in microseconds', () => {
  const options = { timestamps: 'unix_microsecond' } as const;
  expect(renderValue(TYPE.date, '2026-01-02', options)).toBe('"2026-01-02"');
  expect(renderValue(TYPE.time, '03:04:05', options)).toBe('"03:04:05"');
});
