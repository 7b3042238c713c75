// Up to where a log is let go: what each server has of a timeline, histories that part, and boundaries that wait.
import { describe, expect, test } from 'vitest';
import {
  behindBytes,
  Boundaries,
  hasOf,
  isReplayed,
  type Boundary,
  type ReplayPoint,
} from '../../src/core/barrier.ts';
import { toLsn } from '../../src/core/lsn.ts';

const at = (offset: number, endLsn: bigint, { timeline = 1, epoch = 0 } = {}): Boundary => ({
  offset,
  endLsn: toLsn(endLsn),
  epoch,
  timeline,
});
const point = (
  lsn: bigint,
  timeline = 1,
  switches: readonly (readonly [number, bigint])[] = [],
): ReplayPoint => ({
  timeline,
  lsn: toLsn(lsn),
  switches: switches.map(([left, switchLsn]) => ({ timeline: left, switchLsn: toLsn(switchLsn) })),
});

describe('a server', () => {
  test('has of its own timeline what it has replayed', () => {
    expect(hasOf(point(300n), 1)).toBe(300n);
  });

  test('has of an older timeline no more than up to where it left that, however far it is by now', () => {
    expect(hasOf(point(900n, 2, [[1, 300n]]), 1)).toBe(300n);
    expect(hasOf(point(200n, 2, [[1, 300n]]), 1)).toBe(200n);
  });

  test('has nothing of a timeline that it has not come to, or that it did not come through', () => {
    expect(hasOf(point(900n), 2)).toBe(0n);
    expect(hasOf(point(900n, 3, [[1, 300n]]), 2)).toBe(0n);
  });
});

describe('a commit is replayed', () => {
  test('once its record is, to the last byte', () => {
    expect(isReplayed(at(10, 300n), point(299n), [])).toBe(false);
    expect(isReplayed(at(10, 300n), point(300n), [])).toBe(true);
  });

  test('also where it is lost: nobody is to have what is not delivered', () => {
    const partings = [{ epoch: 1, lsn: toLsn(200n) }];
    const promoted = point(500n, 2, [[1, 200n]]);
    expect(isReplayed(at(10, 300n), promoted, [])).toBe(false);
    expect(isReplayed(at(10, 300n), promoted, partings)).toBe(true);
    expect(isReplayed(at(10, 300n, { epoch: 1, timeline: 2 }), point(250n, 2, [[1, 200n]]), partings)).toBe(
      false,
    );
  });
});

describe('what waits', () => {
  const waiting = (...boundaries: Boundary[]): Boundaries => {
    const all = new Boundaries();
    for (const boundary of boundaries) all.add(boundary);
    return all;
  };

  test('is let go up to what every server has', () => {
    const all = waiting(at(10, 100n), at(20, 200n), at(30, 300n));
    expect(all.release([point(250n), point(150n)], [])?.offset).toBe(10);
    expect(all.release([point(250n), point(150n)], [])).toBeUndefined();
    expect(all.release([point(999n), point(300n)], [])?.offset).toBe(30);
    expect(all.size).toBe(0);
  });

  test('is let go at once where nobody is waited for', () => {
    expect(waiting(at(10, 100n), at(20, 200n)).release([], [])?.offset).toBe(20);
  });

  test('stays bounded, and is let go to the last byte all the same', () => {
    const all = new Boundaries();
    for (let i = 1; i <= 50_000; i++) all.add(at(i, BigInt(i)));
    expect(all.size).toBeLessThanOrEqual(10_000);
    const released = all.release([point(25_000n)], [])!.offset;
    expect(released).toBeGreaterThan(24_000);
    expect(released).toBeLessThanOrEqual(25_000);
    expect(all.release([point(50_000n)], [])?.offset).toBe(50_000);
  });

  test('of a log that was cut is forgotten', () => {
    const all = waiting(at(10, 100n), at(20, 200n), at(15, 150n));
    expect(all.release([point(150n)], [])?.offset).toBe(15);
    expect(all.size).toBe(0);
  });

  test('tells how far behind a server is', () => {
    expect(behindBytes(at(10, 300n), point(100n))).toBe(200);
    expect(behindBytes(at(10, 300n), point(400n))).toBe(0);
  });
});
