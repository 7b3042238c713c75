// Lanes that follow the destination, over a simulated clock and queueing model.
import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { LaneLimit, type LaneBounds } from '../../../src/pipeline/delivery/lane-limit.ts';
import { BATCH, Clock, Destination, rateOf, Sender } from '../../support/closed-loop.ts';

/** One sender that has begun at 0. */
function route(options: {
  rttMs: number;
  localMs?: number;
  serviceMs?: number;
  bounds?: LaneBounds;
  seed?: number;
}): { clock: Clock; destination: Destination; sender: Sender } {
  const clock = new Clock();
  const destination = new Destination(clock, options);
  const sender = new Sender(clock, destination, options);
  sender.go();
  return { clock, destination, sender };
}

/** Messages a millisecond of a sender with all the lanes there may be: more is not to be had. */
const bestRate = (options: Parameters<typeof route>[0]): number => {
  const { clock, sender } = route({ ...options, bounds: { first: 512, most: 512 } });
  return rateOf(clock, sender, 1000, 3000);
};

/** Answers one window of a limit whose lanes are all in use: each request takes so long, and so many are answered a millisecond. */
function oneWindow(
  limit: LaneLimit,
  fromMs: number,
  { tookMs, perMs, isWanted = true }: { tookMs: number; perMs: number; isWanted?: boolean },
): number {
  // Long enough for one that has been found, after an answer time in which nothing counts.
  const answers = Math.ceil(perMs * (tookMs + Math.max(60, tookMs))) + limit.lanes;
  for (let i = 0; i < answers; i++) {
    limit.answered({ nowMs: fromMs + i / perMs, tookMs, messages: BATCH, isWanted });
  }
  return fromMs + answers / perMs;
}

describe('lanes', () => {
  test('of a destination that throttles are fewer at once, by the share that it says', () => {
    const limit = new LaneLimit({ first: 8, most: 512 });
    for (let nowMs = 0; limit.lanes < 64;) {
      nowMs = oneWindow(limit, nowMs, { tookMs: 20, perMs: limit.lanes / 20 });
    }
    const { lanes } = limit;
    limit.throttled(0.5, 10_000);
    expect(limit.lanes).toBe(lanes / 2);
    limit.throttled(1, 10_001);
    expect(limit.lanes).toBe(lanes / 2);
    limit.throttled(0.01, 10_002);
    expect(limit.lanes).toBe(8);
  });

  test('are searched anew where a destination throttles, and not where it has said so before', () => {
    const answerMs = 20;
    const perMs = 0.4;
    const most = (share: number): number => {
      const limit = new LaneLimit({ first: 8, most: 512 });
      let nowMs = 0;
      const answer = (): void =>
        limit.answered({ nowMs: (nowMs += 1 / perMs), tookMs: answerMs, messages: BATCH, isWanted: true });
      while (limit.lanes < 16) answer();
      // Twice as many have brought no more.
      while (limit.lanes > 8) answer();
      limit.throttled(share, nowMs);
      const untilMs = nowMs + 6 * answerMs;
      let lanes = 0;
      while (nowMs < untilMs) {
        answer();
        lanes = Math.max(lanes, limit.lanes);
      }
      return lanes;
    };
    expect(most(1)).toBe(8);
    expect(most(0.9)).toBe(16);
  });

  test('are not added where answers take many times the shortest, though more get through', () => {
    const limit = new LaneLimit({ first: 8, most: 512 });
    let nowMs = oneWindow(limit, 0, { tookMs: 5, perMs: 1 });
    const { lanes } = limit;
    for (let i = 2; i < 10; i++) {
      nowMs = oneWindow(limit, nowMs, { tookMs: 100, perMs: i });
      expect(limit.lanes).toBeLessThanOrEqual(lanes);
    }
  });
  test.each([0.2, 1, 5, 20, 50])(
    'at %d ms bring nine tenths of what can be had, within a second or twenty answers',
    (rttMs) => {
      const foundMs = Math.max(1000, 20 * rttMs);
      const { clock, sender } = route({ rttMs });
      expect(rateOf(clock, sender, foundMs, foundMs + 2000)).toBeGreaterThan(0.9 * bestRate({ rttMs }));
    },
  );

  test('stay few where one answer takes no time', () => {
    const { clock, sender } = route({ rttMs: 0.2 });
    clock.runUntil(5000);
    expect(sender.limit.lanes).toBeLessThanOrEqual(10);
  });

  test('bring what can be had, and not many times the lanes that it needs, whatever the way, the work and the destination', () => {
    fc.assert(
      fc.property(
        fc.record({
          rttMs: fc.double({ min: 0.2, max: 60, noNaN: true }),
          localMs: fc.double({ min: 0.05, max: 1, noNaN: true }),
          serviceMs: fc.double({ min: 0, max: 3, noNaN: true }),
          seed: fc.integer({ min: 1, max: 1_000_000 }),
        }),
        (options) => {
          const { clock, sender } = route(options);
          const rate = rateOf(clock, sender, 2500, 7500);
          const best = bestRate(options);
          expect(rate).toBeGreaterThan(0.85 * best);
          // Little's law: those that are on their way at once, at best.
          const needed = Math.max(8, (best / 10) * (options.rttMs + options.localMs + options.serviceMs));
          expect(sender.limit.lanes).toBeLessThan(4 * needed + 8);
        },
      ),
      { numRuns: 30 },
    );
  });

  test('do not swing by more than a step up and a step down, once found', () => {
    const { clock, sender } = route({ rttMs: 20, serviceMs: 0.5 });
    clock.runUntil(5000);
    const seen: number[] = [];
    const rates: number[] = [];
    for (let at = 5000; at < 25_000; at += 500) {
      rates.push(rateOf(clock, sender, at, at + 500));
      seen.push(sender.limit.lanes);
    }
    expect(Math.max(...seen) / Math.min(...seen)).toBeLessThan(2.5);
    expect(Math.min(...rates)).toBeGreaterThan(0.8 * Math.max(...rates));
  });

  test('follow a way that becomes longer, and one that becomes shorter', () => {
    const { clock, sender } = route({ rttMs: 5 });
    clock.runUntil(3000);
    const near = sender.limit.lanes;
    sender.rttMs = 40;
    expect(rateOf(clock, sender, 6000, 8000)).toBeGreaterThan(0.85 * bestRate({ rttMs: 40 }));
    expect(sender.limit.lanes).toBeGreaterThan(2 * near);
    sender.rttMs = 5;
    expect(rateOf(clock, sender, 20_000, 22_000)).toBeGreaterThan(0.85 * bestRate({ rttMs: 5 }));
  });

  test('become fewer where the destination becomes slower, so that requests do not wait there', () => {
    const { clock, destination, sender } = route({ rttMs: 20, localMs: 0.02, serviceMs: 0.1 });
    clock.runUntil(3000);
    const fast = sender.limit.lanes;
    destination.serviceMs = 2;
    expect(rateOf(clock, sender, 10_000, 14_000)).toBeGreaterThan(0.9 * 5);
    expect(sender.limit.lanes).toBeLessThan(fast / 2);
  });

  test('of two routes to one destination become alike, whoever began', () => {
    const clock = new Clock();
    const destination = new Destination(clock, { serviceMs: 0.2 });
    const [first, second] = [1, 2].map(
      (seed) => new Sender(clock, destination, { rttMs: 10, localMs: 0.01, seed }),
    ) as [Sender, Sender];
    first.go();
    clock.runUntil(2500);
    second.go();
    clock.runUntil(15_000);
    const before = [first.delivered, second.delivered];
    clock.runUntil(30_000);
    const shares = [first.delivered - before[0]!, second.delivered - before[1]!];
    expect(Math.max(...shares) / Math.min(...shares)).toBeLessThan(2);
    expect(shares[0]! + shares[1]!).toBeGreaterThan(0.9 * 50 * 15_000);
  });

  test('are not added for what has nothing to send', () => {
    const { clock, sender } = route({ rttMs: 20 });
    sender.supply = 0;
    const feed = (): void => {
      sender.supply = 4;
      sender.go();
      clock.at(clock.now + 20, feed);
    };
    feed();
    clock.runUntil(5000);
    expect(sender.limit.lanes).toBeLessThanOrEqual(32);
    expect(sender.limit.isLimiting).toBe(false);
  });

  test('are never fewer than the first nor more than the most, and stay where these are the same', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 16 }),
        fc.integer({ min: 1, max: 64 }),
        fc.array(
          fc.record({
            tookMs: fc.double({ min: 0.1, max: 500, noNaN: true }),
            stepMs: fc.double({ min: 0, max: 50, noNaN: true }),
            isWanted: fc.boolean(),
            share: fc.constantFrom(1, 1, 1, 0.5, 0.9),
          }),
          { maxLength: 500 },
        ),
        (first, most, answers) => {
          const limit = new LaneLimit({ first, most });
          let nowMs = 0;
          for (const { tookMs, stepMs, isWanted, share } of answers) {
            nowMs += stepMs;
            const before = limit.lanes;
            if (share < 1) limit.throttled(share, nowMs);
            else limit.answered({ nowMs, tookMs, messages: 10, isWanted });
            expect(limit.lanes).toBeGreaterThanOrEqual(Math.min(first, most));
            expect(limit.lanes).toBeLessThanOrEqual(most);
            expect(limit.lanes).toBeLessThanOrEqual(share < 1 ? before : Math.max(before * 2, most));
            expect(first < most || limit.lanes === most).toBe(true);
          }
        },
      ),
    );
  });
});
