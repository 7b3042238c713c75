import * as fc from 'fast-check';
import { expect, test } from 'vitest';
import { toLsn } from '../../src/core/lsn.ts';
import {
  inPresent,
  isLost,
  lastParted,
  partedEnd,
  presentCursor,
  withParting,
  type Parting,
  type Partings,
} from '../../src/core/partings.ts';

const lsn = (value: number) => toLsn(BigInt(value));
const at = (epoch: number, commitLsn: number) => ({ epoch, commitLsn: lsn(commitLsn) });
const parting = (epoch: number, value: number): Parting => ({ epoch, lsn: lsn(value) });

test('lost is what was committed at a parting or above, in an epoch before it', () => {
  const partings = [parting(2, 400)];
  expect([at(0, 399), at(1, 399), at(2, 400), at(3, 900)].some((it) => isLost(partings, it))).toBe(false);
  expect([at(0, 400), at(1, 900)].every((it) => isLost(partings, it))).toBe(true);
  expect(isLost([], at(0, 900))).toBe(false);
});

test('what was had in a lost history is had in the present one up to the first parting below it', () => {
  const partings = [parting(1, 400), parting(3, 700)];
  expect([0, 1, 2, 3].map((epoch) => inPresent(partings, epoch, lsn(900)))).toEqual([400n, 700n, 700n, 900n]);
  const cursor = { position: { ...at(1, 800), index: 3 }, endLsn: lsn(816), timeline: 1 };
  expect(presentCursor(partings, cursor)).toEqual({ ...cursor, endLsn: 700n });
  expect(presentCursor([], cursor)).toBe(cursor);
});

test('a log that goes on behind a parting ends there, with no transaction of its own at it', () => {
  const end = { lastCommitLsn: lsn(900), lastEndLsn: lsn(916) };
  expect(partedEnd(end, parting(1, 400))).toEqual({ lastCommitLsn: 399n, lastEndLsn: 400n });
  expect(partedEnd(end, parting(1, 1000))).toEqual(end);
  expect(partedEnd(end, parting(1, 0))).toEqual({ lastCommitLsn: 0n, lastEndLsn: 0n });
});

test('property: the partings that are left out say nothing that those kept do not', () => {
  fc.assert(
    fc.property(fc.array(fc.nat(20), { maxLength: 8 }), fc.nat(9), fc.nat(20), (lsns, epoch, commitLsn) => {
      const all: Partings = lsns.map((value, i) => parting(i + 1, value));
      const kept = all.reduce<Partings>((before, next) => withParting(before, next), []);
      expect(isLost(kept, at(epoch, commitLsn))).toBe(isLost(all, at(epoch, commitLsn)));
      expect(inPresent(kept, epoch, lsn(commitLsn))).toBe(inPresent(all, epoch, lsn(commitLsn)));
      expect(lastParted(kept)).toBe(lsns.length);
    }),
    { numRuns: 1_000 },
  );
});
