// Positions as ranges: what was added is there, whatever order it came in and however much of it is in memory.
import * as fc from 'fast-check';
import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, test } from 'vitest';
import { toLsn } from '../../src/core/lsn.ts';
import { PositionRanges } from '../../src/store/ledger/position-ranges.ts';

const directory = mkdtempSync(join(tmpdir(), 'tailrace-ranges-'));
afterAll(() => rmSync(directory, { recursive: true }));

test('ranges in any order, overlapping or not, hold exactly what was added', () => {
  const range = fc.record({
    epoch: fc.nat(2),
    // On both sides of 32 bits, and far above what a double can count.
    commit: fc.constantFrom(5n, 6n, 2n ** 32n - 1n, 2n ** 32n, 2n ** 63n + 1n, 2n ** 63n + 2n),
    first: fc.nat(12),
    count: fc.nat(4),
  });
  fc.assert(
    fc.property(fc.array(range, { maxLength: 40 }), (added) => {
      const ranges = new PositionRanges(join(directory, 'unused'));
      const wanted = new Set<string>();
      for (const { epoch, commit, first, count } of added) {
        ranges.add({ epoch, commitLsn: toLsn(commit), first, last: first + count });
        for (let index = first; index <= first + count; index++) wanted.add(`${epoch}:${commit}:${index}`);
      }
      for (const epoch of [0, 1, 2]) {
        for (const commit of [5n, 6n, 7n, 2n ** 32n - 1n, 2n ** 32n, 2n ** 63n + 1n, 2n ** 63n + 2n]) {
          for (let index = 0; index <= 17; index++) {
            const held = ranges.has(epoch, toLsn(commit), index);
            expect(held, `${epoch}:${commit}:${index}`).toBe(wanted.has(`${epoch}:${commit}:${index}`));
          }
        }
      }
      expect(ranges.isEmpty).toBe(added.length === 0);
    }),
  );
});

test('more than memory may take goes to a file without a name, and is known all the same', () => {
  const ranges = new PositionRanges(join(directory, 'spilled'));
  const COUNT = 1_200_000;
  const commitAt = (number: number) => toLsn(BigInt(number) * 8n + 2n ** 40n);
  // Nearly in order, as deliveries are: every 1,000th comes 5,000 later.
  const late: number[] = [];
  for (let number = 0; number < COUNT; number++) {
    if (number % 1000 === 17) late.push(number);
    else ranges.add({ epoch: 1, commitLsn: commitAt(number), first: 0, last: 0 });
    if (late.length > 5) ranges.add({ epoch: 1, commitLsn: commitAt(late.shift()!), first: 0, last: 0 });
  }
  const missing = new Set(late);
  expect(readdirSync(directory)).toEqual([]);
  for (let number = 0; number < COUNT; number += 7) {
    if (ranges.has(1, commitAt(number), 0) === missing.has(number)) throw new Error(`wrong at ${number}`);
  }
  for (const number of late) expect(ranges.has(1, commitAt(number), 0)).toBe(false);
  const other = [ranges.has(1, commitAt(5), 1), ranges.has(0, commitAt(5), 0), ranges.has(2, commitAt(5), 0)];
  expect(other).toEqual([false, false, false]);
  expect(ranges.has(1, toLsn(commitAt(5) + 1n), 0)).toBe(false);
  // Back again, as after a restart of the log's writer.
  expect(ranges.has(1, commitAt(COUNT - 3), 0)).toBe(true);
  expect(ranges.has(1, commitAt(700_001), 0)).toBe(true);
  expect(ranges.bytesInMemory).toBeLessThan(13 * 1024 * 1024);
  ranges.close();
});
