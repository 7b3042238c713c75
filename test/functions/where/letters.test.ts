// Case maps written short, and read again as they were.
import { createHash } from 'node:crypto';
import * as fc from 'fast-check';
import { expect, test } from 'vitest';
import { tableLetters } from '../../../src/functions/where/letters/letters.ts';
import { differences, readRuns, writeRuns } from '../../../src/functions/where/letters/runs.ts';
import { LOWER, UPPER } from '../../../src/functions/where/letters/unicode.ts';

const codes = fc.nat({ max: 0x3ffff });
const maps = fc.array(fc.tuple(codes, codes), { maxLength: 60 }).map((pairs) => new Map(pairs));

test('a case map that is written is read as it was, whatever lies beside what', () => {
  const isKept = (map: ReadonlyMap<number, number>): void => expect(readRuns(writeRuns(map))).toEqual(map);
  fc.assert(
    fc.property(maps, (map) => {
      isKept(map);
    }),
  );
  const dense = fc
    .array(fc.nat({ max: 40 }), { maxLength: 40 })
    .map((found) => new Map(found.map((code) => [code, code + 1])));
  fc.assert(
    fc.property(dense, (map) => {
      isKept(map);
    }),
  );
});

test('the differences from another map make it this one', () => {
  fc.assert(
    fc.property(maps, maps, (map, base) => {
      const made = new Map([...base, ...differences(map, base)]);
      for (const code of new Set([...map.keys(), ...base.keys()]))
        expect(made.get(code) ?? code).toBe(map.get(code) ?? code);
    }),
  );
});

test('the table that logs are written against stays as it is: another one would judge old changes anew', () => {
  expect([readRuns(LOWER).size, readRuns(UPPER).size]).toEqual([1461, 1452]);
  expect(
    createHash('sha256')
      .update(LOWER + UPPER)
      .digest('hex'),
  ).toMatch(/^be019d5407b76529/);
  expect(tableLetters({ lower: '', upper: '' }).lower('ÀÉΣЖ𐐀ẞ')).toBe('àéσж𐐨ß');
  expect(tableLetters({ lower: '', upper: '' }).upper('àéςжßﬁ')).toBe('ÀÉΣЖßﬁ');
});
