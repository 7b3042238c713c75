import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { TypeCatalog } from '../../../src/core/change.ts';
import { TYPE } from '../../../src/postgres/values/builtin.ts';
import { renderValue } from '../../support/decode.ts';

const TEXT = 25;

type Case = readonly [text: string, json: string];

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
  ])('%s (C036–C040)', (text, json) => {
    expect(renderValue(1009, text)).toBe(json);
  });

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

  test.each([
    '',
    '1',
    '{',
    '}',
    '{1',
    '{1,}',
    '{,1}',
    '{1}}',
    '{1}x',
    '{"a',
    '{"a\\',
    '[0:1]',
    '{1;2',
    '{{1}',
  ])('a text that is no array is rendered as text: %s', (text) => {
    expect(renderValue(1007, text)).toBe(JSON.stringify(text));
  });
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
    [
      String.raw`(1,"x,""y""\\z (p)","{so,""so so""}")`,
      String.raw`"te\"xt":"x,\"y\"\\z (p)","rest":["so","so so"]}`,
    ],
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
    const piece = fc.constantFrom(
      '{',
      '}',
      '(',
      ')',
      '[',
      ']',
      '"',
      '\\',
      ',',
      'NULL',
      '=>',
      ' ',
      '1',
      'x',
      '',
    );
    const nested = fc.constantFrom(1009, 1020, 20_001, 20_010, 20_011, 20_012, 20_020, 20_021, 20_022);
    fc.assert(
      fc.property(nested, fc.array(piece), (type, pieces) => {
        const json = render(type, pieces.join(''));
        expect(() => JSON.parse(json) as unknown).not.toThrow();
      }),
      { numRuns: 2000 },
    );
  });
});
