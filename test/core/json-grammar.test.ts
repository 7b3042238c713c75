import * as fc from 'fast-check';
import { expect, test } from 'vitest';
import { isJson } from '../../src/core/json-grammar.ts';

/** Neighbours on both sides that would make JSON of much: a reader beyond the range is found out. */
function asked(text: string): boolean {
  const value = Buffer.from(text);
  return isJson(Buffer.concat([Buffer.from('["9'), value, Buffer.from('9"]')]), 3, 3 + value.length);
}

function parses(text: string): boolean {
  try {
    JSON.parse(text);
    return true;
  } catch {
    return false;
  }
}

test.each([
  '0',
  '-0',
  '1',
  '-12.50',
  '1e5',
  '1E+05',
  '0.1e-7',
  'true',
  'false',
  'null',
  '""',
  '"a"',
  ' 1 ',
  '\n{}\t',

  '[]',
  '[ ]',
  '{}',
  '{ }',
  '[1]',
  '[1,[2],{}]',
  '{"a":1}',
  ' { "a" : [ 1 , { } ] , "b" : "\\u00aF\\n" } ',
])('%j is one', (text) => {
  expect(parses(text)).toBe(true);
  expect(asked(text)).toBe(true);
});

test.each([
  '',
  ' ',
  '-',
  '+1',
  '01',
  '-01',
  '1.',
  '.5',
  '1.e5',
  '1e',
  '1e+',
  '0x1',
  '1,2',
  '1 2',
  '1"',
  'NaN',
  'Infinity',

  'tru',
  'truex',
  'nul',
  'True',
  '"',
  '"a',
  '"a""b"',
  '"\n"',
  String.raw`"\x"`,
  String.raw`"\u00g0"`,
  '"\\',

  '[',
  ']',
  '[1',
  '[1,]',
  '[,1]',
  '[1}',
  '{',
  '{]',
  '{1:2}',
  '{"a"}',
  '{"a":}',
  '{"a":1,}',
  '{"a":1 "b":2}',

  '{"a" 1}',
  '[]]',
  '{}{}',
  '"a":1',
  '1],"x":[2',
  '","injected":true,"',
])('%j is none', (text) => {
  expect(parses(text)).toBe(false);
  expect(asked(text)).toBe(false);
});

test('it says of any text what a parser says', () => {
  const pieces = fc
    .array(
      fc.oneof(
        fc.constantFrom(
          ...Array.from('[]{},:"\\-+.0123456789eEutfn \t\n'),
          'true',
          'null',
          '\\u00e9',
          '"a":',
          '1e5',
        ),
        fc.json({ maxDepth: 2 }),
      ),
      { maxLength: 8 },
    )
    .map((list) => list.join(''));
  const broken = fc
    .tuple(fc.json(), fc.nat(), fc.constantFrom('', '"', ',', ']', '}', '\\', '0', ' '))
    .map(
      ([json, at, put]) =>
        `${json.slice(0, at % (json.length + 1))}${put}${json.slice((at % (json.length + 1)) + 1)}`,
    );
  fc.assert(
    fc.property(fc.oneof(pieces, broken, fc.json()), (text) => {
      expect(asked(text)).toBe(parses(text));
    }),
    { numRuns: 3000 },
  );
});

test('a document may nest as deep as it is long', () => {
  const deep = 100_000;
  expect(asked('['.repeat(deep) + ']'.repeat(deep))).toBe(true);
  expect(asked('['.repeat(deep) + ']'.repeat(deep - 1))).toBe(false);
});
