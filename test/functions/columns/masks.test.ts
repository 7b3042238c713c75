// What masks tell of a value, and what they never tell.
import { createHmac } from 'node:crypto';
import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { ByteWriter } from '../../../src/core/byte-writer.ts';
import { compileMasks, emailOf, HIDDEN, type Mask } from '../../../src/functions/columns/masks.ts';
import type { MaskRule } from '../../../src/functions/columns/rules.ts';

const KEY = 'a key of sixteen characters';

const maskOf = (rule: MaskRule, key: string | undefined = KEY): Mask =>
  compileMasks({ mask: new Map([['c', rule]]) }, key).get('c')!;

/** A value amid others: what reads beyond it is found out. */
function told(mask: Mask, value: string): { text: string | null; json: unknown } {
  const bytes = Buffer.from(`<<${value}>>`);
  const length = Buffer.byteLength(value);
  const writer = new ByteWriter(1);
  mask.render(bytes, 2, length, writer);
  const json = writer.buffer.toString('utf8', 0, writer.length);
  return { text: mask.textOf(bytes, 2, length), json: JSON.parse(json) };
}

const RULES: readonly MaskRule[] = [
  { kind: 'redact' },
  { kind: 'null' },
  { kind: 'hash' },
  { kind: 'email' },
  { kind: 'last', count: 4 },
];

const anyText = fc.string({ unit: 'binary' });

describe.each(RULES)('the mask $kind', (rule) => {
  test('is one JSON value in the message, and the same text elsewhere', () => {
    const mask = maskOf(rule);
    fc.assert(
      fc.property(anyText, (value) => {
        const { text, json } = told(mask, value);
        expect(json).toBe(text);
      }),
    );
  });
});

test('redact and null tell nothing, of no value', () => {
  fc.assert(
    fc.property(anyText, (value) => {
      expect(told(maskOf({ kind: 'redact' }), value).text).toBe(HIDDEN);
      expect(told(maskOf({ kind: 'null' }), value).text).toBeNull();
    }),
  );
});

test("hash is the HMAC-SHA-256 of Postgres' text in hexadecimal digits", () => {
  fc.assert(
    fc.property(anyText, (value) => {
      const expected = createHmac('sha256', KEY).update(value).digest('hex');
      expect(told(maskOf({ kind: 'hash' }), value).text).toBe(expected);
    }),
  );
  const other = maskOf({ kind: 'hash' }, 'another key of 16 characters');
  expect(told(other, 'x').text).not.toBe(told(maskOf({ kind: 'hash' }), 'x').text);
});

test('of a value that has no more characters than are shown, last shows none', () => {
  const lastOf = (text: string, count: number) => told(maskOf({ kind: 'last', count }), text).text;
  const anyCharacters = fc.array(fc.string({ unit: 'binary', minLength: 1, maxLength: 1 }));
  fc.assert(
    fc.property(anyCharacters, fc.integer({ min: 1, max: 8 }), (characters, count) => {
      const shown = characters.length > count ? characters.slice(-count).join('') : '';
      expect(lastOf(characters.join(''), count)).toBe(`${HIDDEN}${shown}`);
    }),
  );
  expect(lastOf('4111111111111234', 4)).toBe('***1234');
  expect(lastOf('1234', 4)).toBe('***');
  expect(lastOf('a😀b😀', 2)).toBe('***b😀');
});

test('of an address its domain is told, and the first letter of a longer name', () => {
  expect(emailOf('alice@example.com')).toBe('a***@example.com');
  expect(emailOf('a@example.com')).toBe('***@example.com');
  expect(emailOf('"odd@name"@münchen.example')).toBe('"***@münchen.example');
});

test.each([
  '',
  'alice',
  '@example.com',
  'alice@',
  'call me @ my secret number',
  'a@b c',
  `a@${'x'.repeat(300)}`,
  'a@-',
  'a@b@',
])('what is no address is hidden as a whole: %j', (text) => {
  expect(emailOf(text)).toBe(HIDDEN);
});

test('an address never tells more of its name than one character', () => {
  fc.assert(
    fc.property(fc.string({ minLength: 2 }), (name) => {
      const [first] = name;
      expect([HIDDEN, `${first}${HIDDEN}@example.com`]).toContain(emailOf(`${name}@example.com`));
    }),
  );
});

test('any mask has a digest where there is a key: the same for the same value, another for another', () => {
  for (const rule of RULES) {
    const { digestOf } = maskOf(rule);
    const digest = (text: string): string => digestOf!(Buffer.from(text), 0, Buffer.byteLength(text));
    fc.assert(
      fc.property(anyText, anyText, (a, b) => {
        expect(digest(a) === digest(b)).toBe(Buffer.from(a).equals(Buffer.from(b)));
      }),
    );
    expect(digest('x')).toMatch(/^[0-9a-f]{64}$/);
  }
  expect(
    compileMasks({ mask: new Map([['c', { kind: 'redact' }]]) }, undefined).get('c')!.digestOf,
  ).toBeUndefined();
});
