import * as fc from 'fast-check';
import { expect, test } from 'vitest';
import { deduplicationSuffix, fifoId } from '../../../src/sinks/aws/ids.ts';

const VALID = /^[\x21-\x7e]{1,128}$/;

/** Texts of every sort: empty, long, blanks, any Unicode, and what a hash looks like. */
const text = fc.oneof(
  fc.string({ unit: 'binary', maxLength: 200 }),
  fc.string({ unit: 'grapheme', maxLength: 20 }),
  fc.string({ minLength: 120, maxLength: 140 }),
  fc.string().map(fifoId),
);

test('any group gets an id that SQS takes, always the same one (C226)', () => {
  fc.assert(
    fc.property(text, (group) => {
      expect(fifoId(group)).toMatch(VALID);
      expect(fifoId(group)).toBe(fifoId(group));
    }),
  );
});

test('two groups never share an id (C226)', () => {
  fc.assert(
    fc.property(fc.uniqueArray(text, { minLength: 2, maxLength: 20 }), (groups) => {
      expect(new Set(groups.map(fifoId)).size).toBe(groups.length);
    }),
  );
});

test('a group that is the hash of another one is hashed itself', () => {
  const hashed = fifoId('größe');
  expect(fifoId(hashed)).not.toBe(hashed);
});

test('a group that SQS takes stays readable; one of 129 characters is hashed, not cut (C226)', () => {
  expect(fifoId('public.users:1')).toBe('public.users:1');
  expect(fifoId('x'.repeat(128))).toBe('x'.repeat(128));
  expect(fifoId('x'.repeat(129))).not.toBe(fifoId('x'.repeat(130)));
});

test('sinks and rewinds have deduplication ids of their own', () => {
  const suffixes = [
    deduplicationSuffix('users', 0),
    deduplicationSuffix('users', 1),
    deduplicationSuffix('users', 2),
    deduplicationSuffix('orders', 0),
  ];
  expect(new Set(suffixes).size).toBe(4);
  expect(suffixes[2]).toMatch(/:r2$/);
});
