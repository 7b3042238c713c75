// Lanes that follow the destination, over a simulated clock and queueing model.
import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { LaneLimit, type LaneBounds } from '../../../src/pipeline/delivery/lane-limit.ts';
import { BATCH, Clock, Destination, rateOf, Sender, Thread } from '../../support/closed-loop.ts';

/** One sender that has begun at 0. */
function route(options: {
  rttMs: number;
  localMs?: number;
  serviceMs?: number;
  bounds?: LaneBounds;
  seed?: number;
  spread?: number;
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
    const nowMs = fromMs + i / perMs;
    limit.answered({ nowMs, tookMs, isWanted, spareMs: nowMs });
  }
  return fromMs + answers / perMs;
}

describe('lanes', () => {
  test('of a destination that throttles are fewer at once, by the share that it says', () => {
    const limit = new LaneLimit({ first: 8, most: 512 });
    for (let nowMs = 0; limit.lanes < 64 && nowMs < 60_000;) {
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

  test('of a destination that has throttled are found again', () => {
    const { clock, sender } = route({ rttMs: 20 });
    clock.runUntil(2000);
    const found = sender.limit.lanes;
    sender.limit.throttled(0.1, clock.now);
    clock.runUntil(4000);
    expect(sender.limit.lanes).toBeGreaterThan(0.7 * found);
  });

  test.each([0.2, 1, 5, 20, 50])(
    'at %d ms bring nine tenths of what can be had, within a second or twenty answers',
    (rttMs) => {
      const foundMs = Math.max(1000, 20 * rttMs);
      const { clock, sender } = route({ rttMs });
      expect(rateOf(clock, sender, foundMs, foundMs + 2000)).toBeGreaterThan(0.9 * bestRate({ rttMs }));
    },
  );

  test('are some milliseconds of requests where one answer takes no time', () => {
    const { clock, sender } = route({ rttMs: 0.2 });
    clock.runUntil(5000);
    expect(sender.limit.answerMs).toBeLessThan(15);
    expect(sender.limit.lanes).toBeLessThanOrEqual(100);
  });

  test('are no more for a process that is still cold, once it is warm', () => {
    const { clock, sender } = route({ rttMs: 0.2, localMs: 3 });
    clock.runUntil(200);
    sender.localMs = 0.15;
    clock.runUntil(3000);
    expect(sender.limit.answerMs).toBeLessThan(15);
  });

  test('are as many where answers take very different times as where each takes the mean', () => {
    const [even, uneven] = [0, 0.9].map((spread) => {
      const { clock, sender } = route({ rttMs: 20, spread });
      return { rate: rateOf(clock, sender, 2000, 6000), lanes: sender.limit.lanes };
    });
    expect(uneven!.rate).toBeGreaterThan(0.9 * even!.rate);
    expect(uneven!.lanes).toBeGreaterThan(0.7 * even!.lanes);
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
          // Little's law: those that are on their way at once, at best; and what eight lanes let wait before that is known.
          const unqueuedMs = options.rttMs + 8 * (options.localMs + options.serviceMs);
          expect(sender.limit.lanes).toBeLessThan((best / BATCH) * (2 * unqueuedMs + 10) + 8);
        },
      ),
      { numRuns: 30 },
    );
  });

  test('once found swing only for a question: with a quarter of them, for a moment', () => {
    const { clock, sender } = route({ rttMs: 20, serviceMs: 0.5 });
    clock.runUntil(5000);
    const seen: number[] = [];
    const rates: number[] = [];
    for (let at = 5000; at < 25_000; at += 500) {
      rates.push(rateOf(clock, sender, at, at + 500));
      seen.push(sender.limit.lanes);
    }
    seen.sort((a, b) => a - b);
    expect(seen.at(-1)! / seen[0]!).toBeLessThan(5);
    expect(seen.at(-1)! / seen[4]!).toBeLessThan(1.2);
    expect(Math.min(...rates)).toBeGreaterThan(0.8 * Math.max(...rates));
  });

  test('stay where a way becomes longer, become more once that is certain, and fewer where it becomes shorter', () => {
    const { clock, sender } = route({ rttMs: 5 });
    clock.runUntil(3000);
    const near = sender.limit.lanes;
    sender.rttMs = 40;
    // Each of them carries a request in forty milliseconds.
    expect(rateOf(clock, sender, 3200, 5000)).toBeGreaterThan(0.7 * ((near * BATCH) / 40));
    expect(rateOf(clock, sender, 20_000, 22_000)).toBeGreaterThan(0.8 * bestRate({ rttMs: 40 }));
    expect(sender.limit.lanes).toBeGreaterThan(1.5 * near);
    sender.rttMs = 5;
    expect(rateOf(clock, sender, 30_000, 45_000)).toBeGreaterThan(0.85 * bestRate({ rttMs: 5 }));
    expect(sender.limit.lanes).toBeLessThan(1.5 * near);
  });

  test.each([
    [20, 30],
    [20, 40],
    [20, 45],
    [20, 80],
    [5, 14],
    [5, 20],
    [100, 200],
    [100, 220],
  ])('carry what can be had half a minute after a way of %i ms has become one of %i ms', (from, to) => {
    const { clock, sender } = route({ rttMs: from });
    clock.runUntil(12_000);
    sender.rttMs = to;
    expect(rateOf(clock, sender, 42_000, 44_000)).toBeGreaterThan(0.9 * bestRate({ rttMs: to }));
    expect(rateOf(clock, sender, 100_000, 102_000)).toBeGreaterThan(0.9 * bestRate({ rttMs: to }));
  });

  test('become fewer where the destination becomes slower, so that requests do not wait there', () => {
    const { clock, destination, sender } = route({ rttMs: 20, localMs: 0.02, serviceMs: 0.1 });
    clock.runUntil(3000);
    const fast = sender.limit.lanes;
    destination.serviceMs = 2;
    clock.runUntil(9000);
    expect(sender.limit.lanes).toBeLessThan(fast / 4);
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

  describe('of several routes of one process that begin together', () => {
    const lanesOf = (count: number, atMs: number): number => {
      const clock = new Clock();
      const destination = new Destination(clock, { serviceMs: 0.15 });
      const senders = Array.from(
        { length: count },
        (_, i) => new Sender(clock, destination, { rttMs: 1, localMs: 0.01, seed: i + 1 }),
      );
      for (const sender of senders) sender.go();
      clock.runUntil(atMs);
      return senders.reduce((sum, { limit }) => sum + limit.lanes, 0);
    };

    test('stay as many, of three, however long that goes on', () => {
      expect(lanesOf(3, 60_000)).toBeLessThan(1.2 * lanesOf(3, 4000));
    });

    test('are not ten times those of one, of ten: they have each other to wait for', () => {
      expect(lanesOf(10, 10_000)).toBeLessThan(7 * lanesOf(1, 10_000));
    });
  });

  describe('of a thread that has no time to spare', () => {
    /** Routes of one thread to destinations that are as near as each other, and serve as much as comes. */
    const begin = (count: number, options: { rttMs: number; localMs: number }) => {
      const clock = new Clock();
      const thread = new Thread();
      const senders = Array.from(
        { length: count },
        (_, i) => new Sender(clock, new Destination(clock, {}), { ...options, thread, seed: i + 1 }),
      );
      for (const sender of senders) sender.go();
      return { clock, senders };
    };
    const lanesAt = (atMs: number, ...asked: Parameters<typeof begin>): number => {
      const { clock, senders } = begin(...asked);
      clock.runUntil(atMs);
      return senders.reduce((sum, { limit }) => sum + limit.lanes, 0);
    };

    test.each([1, 3, 10])('are what it can keep busy, of %i routes, however long that goes on', (count) => {
      const options = { rttMs: 1, localMs: 0.1 };
      expect(lanesAt(3_000, count, options)).toBeLessThan(20 * Math.max(8, count));
      expect(lanesAt(60_000, count, options)).toBeLessThan(20 * Math.max(8, count));
    });

    test('double until requests have waited for each other, and come back by a tenth then', () => {
      const limit = new LaneLimit({ first: 8, most: 512 });
      let nowMs = 0;
      const answered = (tookMs: number): number => {
        const before = limit.lanes;
        for (let i = 0; i < 2000 && limit.lanes === before; i++)
          limit.answered({ nowMs: (nowMs += 1), tookMs, isWanted: true, spareMs: 0 });
        return limit.lanes / before;
      };
      expect(answered(20)).toBe(2);
      expect(answered(20)).toBe(2);
      expect(answered(60)).toBeLessThan(1);
      const back = answered(20);
      expect(back).toBeGreaterThan(1);
      expect(back).toBeLessThan(1.2);
    });

    test('are not taken from one that is far by those that are near: it has its share of the time', () => {
      const clock = new Clock();
      const thread = new Thread();
      const [far, ...near] = [50, 0.2, 0.2, 0.2, 0.2].map(
        (rttMs, i) =>
          new Sender(clock, new Destination(clock, {}), { rttMs, localMs: 0.1, thread, seed: i + 1 }),
      );
      for (const sender of near) sender.go();
      clock.runUntil(3000);
      far!.go();
      const rate = rateOf(clock, far!, 10_000, 40_000);
      expect(rate).toBeGreaterThan((0.5 * BATCH) / 0.1 / 5);
    });

    test.each([0.2, 5, 20, 50])('leave it none, at %d ms', (rttMs) => {
      const { clock, senders } = begin(4, { rttMs, localMs: 0.1 });
      clock.runUntil(Math.max(1000, 20 * rttMs));
      const before = senders.reduce((sum, { delivered }) => sum + delivered, 0);
      const fromMs = clock.now;
      clock.runUntil(fromMs + 8_000);
      const after = senders.reduce((sum, { delivered }) => sum + delivered, 0);
      expect(after - before).toBeGreaterThan(0.9 * BATCH * (8_000 / 0.1));
    });
  });

  test('are asked nothing where there are as many as there may be and nothing waits', () => {
    const { clock, sender } = route({ rttMs: 50, bounds: { first: 8, most: 64 } });
    clock.runUntil(2000);
    for (let at = 2000; at < 40_000; at += 50) {
      clock.runUntil(at);
      expect(sender.limit.lanes).toBe(64);
    }
  });

  test('that were fewer for a question are as many as before where nothing is to be sent any more', () => {
    const limit = new LaneLimit({ first: 8, most: 512 });
    let nowMs = 0;
    let before = 8;
    // A destination that takes one request a millisecond.
    const answer = (isWanted: boolean): void => {
      const tookMs = Math.max(20, limit.lanes);
      limit.answered({ nowMs: ++nowMs, tookMs, isWanted, spareMs: nowMs });
    };
    while (limit.lanes > before / 2 && nowMs < 100_000) {
      before = limit.lanes;
      answer(true);
    }
    expect(limit.lanes).toBeLessThan(before / 2);
    const untilMs = nowMs + 500;
    while (nowMs < untilMs) answer(false);
    expect(limit.lanes).toBe(before);
  });

  describe('where a destination lets requests hang beyond some', () => {
    const HANG_MS = 30_000;
    /** Doubled to 64 lanes, all in use since 0 ms, the others answered until then. */
    const hanging = (): LaneLimit => {
      const limit = new LaneLimit({ first: 8, most: 64 });
      let nowMs = 0;
      while (limit.lanes < 64) nowMs = oneWindow(limit, nowMs, { tookMs: 20, perMs: limit.lanes / 20 });
      limit.answered({ nowMs: HANG_MS - 20, tookMs: 20, isWanted: true, spareMs: HANG_MS });
      return limit;
    };

    test('are half as many, once for all that hung together', () => {
      const limit = hanging();
      limit.failed(0, HANG_MS);
      limit.failed(5, HANG_MS + 5);
      expect(limit.lanes).toBe(32);
      limit.answered({ nowMs: 2 * HANG_MS, tookMs: 20, isWanted: true, spareMs: 2 * HANG_MS });
      limit.failed(HANG_MS + 10, 2 * HANG_MS + 10);
      expect(limit.lanes).toBe(16);
    });

    test('come back step by step, not by doubling', () => {
      const limit = hanging();
      limit.failed(0, HANG_MS);
      let nowMs = HANG_MS;
      for (let i = 0; i < 5; i++) nowMs = oneWindow(limit, nowMs, { tookMs: 20, perMs: limit.lanes / 20 });
      expect(limit.lanes).toBeLessThan(64);
      for (let i = 0; i < 2000; i++) nowMs = oneWindow(limit, nowMs, { tookMs: 20, perMs: limit.lanes / 20 });
      expect(limit.lanes).toBe(64);
    });

    test('are as many as before where nobody was answered: the way was cut', () => {
      const limit = hanging();
      limit.failed(HANG_MS, 2 * HANG_MS);
      expect(limit.lanes).toBe(64);
    });

    test('are as many as before where a request failed at once', () => {
      const limit = hanging();
      limit.failed(HANG_MS - 100, HANG_MS);
      expect(limit.lanes).toBe(64);
    });
  });

  describe('where many requests fail at once, while others are answered,', () => {
    const TOOK_MS = 20;
    /** Each lane that is refused is used again soon; answers and refusals of `seconds`, and the lanes at the end of each. */
    function tried(seconds: number, answeredOf: (lanes: number) => number) {
      const limit = new LaneLimit({ first: 8, most: 640 });
      const lanes: number[] = [];
      let refusals = 0;
      let answers = 0;
      for (let nowMs = 0; nowMs < seconds * 1000; nowMs += TOOK_MS) {
        const startedMs = nowMs;
        const underWay = limit.lanes;
        const answered = Math.round(answeredOf(underWay));
        for (let i = 0; i < (underWay - answered) * 3; i++, refusals++)
          limit.failed(startedMs, startedMs + 1);
        for (let i = 0; i < answered; i++, answers++)
          limit.answered({ nowMs: startedMs + TOOK_MS, tookMs: TOOK_MS, isWanted: true, spareMs: nowMs });
        lanes.push(limit.lanes);
      }
      return { lanes, refusals, answers };
    }

    test('they come to about as many as are answered, and stay there', () => {
      for (const places of [12, 32, 100]) {
        const { lanes, answers, refusals } = tried(60, (underWay) => Math.min(underWay, places));
        const late = lanes.slice(-500);
        expect(Math.max(...late)).toBeLessThan(places * 1.6);
        expect(Math.min(...late)).toBeGreaterThan(places * 0.6);
        expect(answers).toBeGreaterThan(places * (60_000 / TOOK_MS) * 0.75);
        expect(refusals).toBeLessThan(answers);
      }
    });

    test('they are as many as the throughput needs where as large a share fails with fewer', () => {
      const { answers } = tried(60, (underWay) => underWay * 0.7);
      const untroubled = tried(60, (underWay) => underWay);
      expect(answers).toBeGreaterThan(untroubled.answers * 0.7 * 0.6);
    });

    test('they are not touched where few do', () => {
      const { lanes } = tried(10, (underWay) => underWay * 0.95);
      const untroubled = tried(10, (underWay) => underWay);
      expect(lanes.at(-1)).toBe(untroubled.lanes.at(-1));
    });
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
            isBusy: fc.boolean(),
            share: fc.constantFrom(1, 1, 1, 0.5, 0.9),
          }),
          { maxLength: 500 },
        ),
        (first, most, answers) => {
          const limit = new LaneLimit({ first, most });
          let nowMs = 0;
          for (const { tookMs, stepMs, isWanted, isBusy, share } of answers) {
            nowMs += stepMs;
            const before = limit.lanes;
            if (share < 1) limit.throttled(share, nowMs);
            else limit.answered({ nowMs, tookMs, isWanted, spareMs: isBusy ? 0 : nowMs });
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
