import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { ByteWriter } from '../../src/core/byte-writer.ts';
import type { TypeCatalog } from '../../src/core/change.ts';
import { jsonText, writeJsonDocument, writeJsonString } from '../../src/core/json.ts';
import { TYPE } from '../../src/postgres/values-builtin.ts';
import { renderValue } from '../support/decode.ts';

const TEXT = 25;

type Case = readonly [text: string, json: string];
const rendersAs =
  (type: number, options: Parameters<typeof renderValue>[2] = {}) =>
  (text: string, json: string): void => {
    expect(renderValue(type, text, options)).toBe(json);
    JSON.parse(json);
  };

describe('numbers', () => {
  test.each<Case>([
    ['-32768', '-32768'],
    ['9223372036854775807', '9223372036854775807'],
    ['9007199254740993', '9007199254740993'],
  ])('integer %s keeps every digit (C001)', rendersAs(TYPE.int8));

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
  ])('float %s is a number, or a string where JSON has no number (C004, C005)', rendersAs(TYPE.float8));

  const LONG = '12345678901234567890123456789012345678901234567890.123456789012345678901234567890';

  test.each<Case>([
    [LONG, `"${LONG}"`],
    ['199.990', '"199.990"'],
    ['0.00000000000000000001', '"0.00000000000000000001"'],
    ['NaN', '"NaN"'],
    ['-Infinity', '"-Infinity"'],
  ])('numeric %s is exact text (C006, C007, C008)', rendersAs(TYPE.numeric));

  test.each<Case>([
    [LONG, LONG],
    ['1.10', '1.10'],
    ['NaN', '"NaN"'],
    ['Infinity', '"Infinity"'],
  ])('numeric %s as a number has the same digits', rendersAs(TYPE.numeric, { numeric: 'number' }));

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
  ])('numeric %s as a float is a double or null', rendersAs(TYPE.numeric, { numeric: 'float' }));

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
    const edges = fc.constantFrom('\ufffe', '\uffff', '\ufffd', '\uf000', '\u001f', '\u007f', '"', '\\', '😀');
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
    [1186, 'P1Y2M-3DT-4H-5M-6.789S'],
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
    ['2026-01-02 03:04:05.1+00', '"2026-01-02T03:04:05.1Z"'],
    ['2026-01-02 03:04:05+00', '"2026-01-02T03:04:05Z"'],
    ['0001-12-31 23:59:59.999999+00', '"0001-12-31T23:59:59.999999Z"'],
    ['9999-12-31 23:59:59.999999+00', '"9999-12-31T23:59:59.999999Z"'],
    ['0001-12-31 23:59:59.999999+00 BC', '"0001-12-31 23:59:59.999999+00 BC"'],
    ['10022-02-03 09:13:14+00', '"10022-02-03 09:13:14+00"'],
    ['294276-12-31 23:59:59.999999+00', '"294276-12-31 23:59:59.999999+00"'],
    ['infinity', '"infinity"'],
    ['-infinity', '"-infinity"'],
  ])('timestamptz %s (C019)', rendersAs(TYPE.timestamptz));

  const zoneless: readonly (readonly [string, string, string])[] = [
    ['2026-01-02 03:04:05.123456', '"2026-01-02T03:04:05.123456"', '"2026-01-02T03:04:05.123456Z"'],
    ['1883-11-18 12:00:00', '"1883-11-18T12:00:00"', '"1883-11-18T12:00:00Z"'],
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
    expect(renderValue(1185, '{infinity,"2019-12-31 19:00:00+00",NULL}')).toBe(
      '["infinity","2019-12-31T19:00:00Z",null]',
    );
  });
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

describe('arrays', () => {
  test.each<Case>([
    ['{}', '[]'],
    ['{""}', '[""]'],
    ['{NULL}', '[null]'],
    ['{"NULL","null",NULL,null}', '["NULL","null",null,"null"]'],
    [
      String.raw`{"a,b","{c}","\"d\"","\\e"," f ","g${'\t'}h",😀}`,
      String.raw`["a,b","{c}","\"d\"","\\e"," f ","g\th","😀"]`,
    ],
    ['{{a,b},{c,NULL}}', '[["a","b"],["c",null]]'],
    ['[0:1]={x,y}', '["x","y"]'],
    ['[-2:-1][5:6]={{a,b},{c,d}}', '[["a","b"],["c","d"]]'],
  ])('%s (C036–C040)', rendersAs(1009));

  test('six dimensions keep their shape (C039)', () => {
    expect(renderValue(1007, '{{{{{{1,2}}}},{{{{3,4}}}}}}')).toBe('[[[[[[1,2]]]],[[[[3,4]]]]]]');
  });

  test('box[] is split at its own delimiter (C041)', () => {
    expect(renderValue(1020, '{(3,4),(1,2);(7,8),(5,6)}')).toBe('["(3,4),(1,2)","(7,8),(5,6)"]');
  });

  test('elements follow the rules of their type (C042)', () => {
    expect(renderValue(3807, String.raw`{"{\"a\": \"b,c\"}","null","[1, 2]",NULL,"\"s\""}`)).toBe(
      '[{"a": "b,c"},null,[1, 2],null,"s"]',
    );
    expect(renderValue(1000, '{t,f,NULL}')).toBe('[true,false,null]');
    expect(renderValue(1022, '{NaN,-0,1.5}')).toBe('["NaN",-0,1.5]');
    expect(renderValue(1231, '{1.10,NaN}', { numeric: 'number' })).toBe('[1.10,"NaN"]');
    expect(renderValue(1006, '{"1 2",3}')).toBe('["1 2","3"]');
  });

  test('any array of texts is read back from the text that Postgres writes for it', () => {
    const quote = (element: string | null): string =>
      element === null ? 'NULL' : `"${element.replaceAll(/["\\]/g, String.raw`\$&`)}"`;
    fc.assert(
      fc.property(
        fc.array(fc.option(fc.string({ unit: 'binary' })), { minLength: 1 }),
        fc.boolean(),
        (elements, nested) => {
          const text = `{${elements.map(quote).join(',')}}`;
          const [array, expected] = nested ? [`{${text},${text}}`, [elements, elements]] : [text, elements];
          expect(JSON.parse(renderValue(1009, array))).toEqual(expected);
        },
      ),
    );
  });

  test.each(['', '1', '{', '}', '{1', '{1,}', '{,1}', '{1}}', '{1}x', '{"a', '{"a\\', '[0:1]', '{1;2', '{{1}'])(
    'a text that is no array is rendered as text: %s',
    (text) => {
      expect(renderValue(1007, text)).toBe(JSON.stringify(text));
    },
  );
});

describe('types of the database', () => {
  const types: TypeCatalog = new Map([
    [20_000, { kind: 'enum', name: 'mood' }],
    [20_001, { kind: 'array', name: '_mood', element: 20_000, delimiter: ',' }],
    [20_002, { kind: 'domain', name: 'positive', base: TYPE.int4 }],
    [20_003, { kind: 'domain', name: 'more_positive', base: 20_002 }],
    [20_004, { kind: 'array', name: '_positive', element: 20_002, delimiter: ',' }],
    [20_005, { kind: 'domain', name: 'document', base: TYPE.jsonb }],
    [20_006, { kind: 'domain', name: 'ints', base: 1007 }],
    [
      20_010,
      {
        kind: 'composite',
        name: 'pair',
        attributes: [
          { name: '__proto__', type: TYPE.int4 },
          { name: 'te"xt', type: TEXT },
          { name: 'rest', type: 1009 },
        ],
      },
    ],
    [20_011, { kind: 'array', name: '_pair', element: 20_010, delimiter: ',' }],
    [20_012, { kind: 'composite', name: 'box', attributes: [{ name: 'pairs', type: 20_011 }] }],
    [20_013, { kind: 'composite', name: 'empty', attributes: [] }],
    [20_020, { kind: 'base', name: 'hstore' }],
    [20_021, { kind: 'array', name: '_hstore', element: 20_020, delimiter: ',' }],
    [20_022, { kind: 'base', name: 'vector' }],
    [20_023, { kind: 'base', name: 'halfvec' }],
    [20_024, { kind: 'base', name: 'sparsevec' }],
    [20_025, { kind: 'base', name: 'citext' }],
    [20_030, { kind: 'domain', name: 'cycle', base: 20_030 }],
  ]);
  const render = (type: number, text: string): string => renderValue(type, text, { types });

  test('enums are their labels, whatever these look like (C043)', () => {
    expect(render(20_000, 'so "so", NULL')).toBe(String.raw`"so \"so\", NULL"`);
    expect(render(20_001, '{"NULL",NULL,ok}')).toBe('["NULL",null,"ok"]');
  });

  test('domains are their base type, also of domains, arrays and documents (C044)', () => {
    expect(render(20_003, '5')).toBe('5');
    expect(render(20_004, '{5,NULL}')).toBe('[5,null]');
    expect(render(20_005, '{"a": 1}')).toBe('{"a": 1}');
    expect(render(20_006, '{{1},{2}}')).toBe('[[1],[2]]');
  });

  test.each<Case>([
    [String.raw`(1,"x,""y""\\z (p)","{so,""so so""}")`, String.raw`"te\"xt":"x,\"y\"\\z (p)","rest":["so","so so"]}`],
    ['(1,,)', String.raw`"te\"xt":null,"rest":null}`],
    ['(1,"",{})', String.raw`"te\"xt":"","rest":[]}`],
  ])('composite %s (C045)', (text, rest) => {
    expect(render(20_010, text)).toBe(`{"__proto__":1,${rest}`);
  });

  test('composites hold arrays of composites that hold arrays (C045)', () => {
    const text = String.raw`("{""(1,\\""a,b\\"",\\""{\\""\\""x y\\""\\""}\\"")"",NULL}")`;
    expect(JSON.parse(render(20_012, text))).toEqual({
      pairs: [JSON.parse('{"__proto__":1,"te\\"xt":"a,b","rest":["x y"]}'), null],
    });
  });

  test('a composite without attributes is an empty object', () => {
    expect(render(20_013, '()')).toBe('{}');
  });

  test.each(['', '(', '(1)', '(1,2)', '(1,2,3,4)', '(1,"a,{})', '(1,a,{})x', '1,a,{}'])(
    'a composite of other attributes than the catalog says is text: %s',
    (text) => {
      expect(render(20_010, text)).toBe(JSON.stringify(text));
    },
  );

  test('hstore is an object in which null differs from "NULL" (C027)', () => {
    expect(render(20_020, String.raw`"a"=>"1", "b c"=>NULL, "q\""=>"v,=>", "n"=>"NULL"`)).toBe(
      String.raw`{"a":"1","b c":null,"q\"":"v,=>","n":"NULL"}`,
    );
    expect(render(20_020, '')).toBe('{}');
    expect(render(20_021, String.raw`{"\"a\"=>\"1\"",NULL}`)).toBe('[{"a":"1"},null]');
  });

  test.each(['a=>1', '"a"', '"a"=>', '"a"=>NUL', '"a"=>"1",', '"a"=>"1" "b"=>"2"', '"a"=>"1'])(
    'what is no hstore is text: %s',
    (text) => {
      expect(render(20_020, text)).toBe(JSON.stringify(text));
    },
  );

  test('vectors are arrays of numbers, other extension types text (C034)', () => {
    expect(render(20_022, '[1,-2.5,1e-05]')).toBe('[1,-2.5,1e-05]');
    expect(render(20_023, '[0.5]')).toBe('[0.5]');
    expect(render(20_024, '{1:1,3:2}/5')).toBe('"{1:1,3:2}/5"');
    expect(render(20_025, 'Straße')).toBe('"Straße"');
  });

  test.each(['[1,]', '[,1]', '[1-2]', '[01]', '[NaN]', '[1', '1,2', '[.]'])(
    'a type called vector whose text is no array of numbers is text: %s',
    (text) => {
      expect(render(20_022, text)).toBe(JSON.stringify(text));
    },
  );

  test('a cycle of types, which no sound catalog has, is text', () => {
    expect(render(20_030, 'x')).toBe('"x"');
  });

  test('no text of any length makes a renderer throw or write what is not JSON', () => {
    const piece = fc.constantFrom('{', '}', '(', ')', '[', ']', '"', '\\', ',', 'NULL', '=>', ' ', '1', 'x', '');
    const nested = fc.constantFrom(1009, 1020, 20_001, 20_010, 20_011, 20_012, 20_020, 20_021, 20_022);
    fc.assert(
      fc.property(nested, fc.array(piece), (type, pieces) => {
        JSON.parse(render(type, pieces.join('')));
      }),
      { numRuns: 2000 },
    );
  });
});
