// Whose changes a backfill gives way to, and in which turns its chunks come then. Time is pretended.
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { LOG_LATENCIES, LogSignals } from '../../../../src/log/signals.ts';
import { SLOWEST } from '../../../../src/pipeline/source/backfill/left-pace.ts';
import { LiveFirst } from '../../../../src/pipeline/source/backfill/live-first.ts';

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

const NAMES = ['live', 'rows'];
const ROW_BYTES = 100;

function made() {
  const signals = new LogSignals();
  const sinkSlots = new Map(NAMES.map((name, slot) => [name, slot]));
  for (const slot of sinkSlots.values()) signals.setDelivering(slot, true);
  const log = { writtenEnd: 0 };
  /** `liveDelivers`: the other sink takes what is in the log at once. */
  const world = { isCaughtUp: true, liveDelivers: true };
  let changes = 0;
  const liveFirst = new LiveFirst({
    signals,
    sinkSlots,
    log,
    changes: () => changes,
    nowMs: () => Date.now(),
    isCaughtUp: () => world.isCaughtUp,
  });
  const stop = new AbortController();
  const counts = { chunks: 0, rows: 0, atOnce: 0, most: 0 };
  return {
    liveFirst,
    signals,
    world,
    log,
    counts,
    stop,
    /** Changes come, ten a step of ten milliseconds, and take so long: with each sink, and into the log. */
    live: (latencies: { readonly live?: number; readonly rows?: number; readonly log?: number }) =>
      setInterval(() => {
        changes += 10;
        if (world.liveDelivers) signals.publishAnswered(0, log.writtenEnd);
        for (let i = 0; i < 10; i++) {
          if (latencies.live !== undefined) signals.latencies.add(0, latencies.live);
          if (latencies.rows !== undefined) signals.latencies.add(1, latencies.rows);
          if (latencies.log !== undefined) signals.latencies.add(LOG_LATENCIES, latencies.log);
        }
      }, 10),
    /** Reads as a backfill does, whose chunks take so long; `isDelivered`: its sink takes them at once. */
    read: async (isDelivered = true, tookMs: (rows: number) => number = () => 1): Promise<void> => {
      while (!stop.signal.aborted) {
        if (
          await liveFirst.turn(stop.signal).then(
            () => false,
            () => true,
          )
        )
          return;
        counts.chunks++;
        counts.most = Math.max(counts.most, ++counts.atOnce);
        const rows = Math.min(liveFirst.mostRows, 20_000);
        const ms = tookMs(rows);
        await new Promise((next) => setTimeout(next, ms));
        counts.atOnce--;
        counts.rows += rows;
        log.writtenEnd += rows * ROW_BYTES;
        if (isDelivered) signals.publishAnswered(1, log.writtenEnd);
        liveFirst.ended({ rows, bytes: rows * ROW_BYTES, tookMs: ms });
      }
    },
  };
}

type Made = ReturnType<typeof made>;

/** Rows that are read in so many milliseconds. */
async function rowsIn(one: Made, ms: number): Promise<number> {
  const before = one.counts.rows;
  await vi.advanceTimersByTimeAsync(ms);
  return one.counts.rows - before;
}

async function ended({ stop }: Made, ...readers: readonly Promise<void>[]): Promise<void> {
  stop.abort();
  await vi.advanceTimersByTimeAsync(1_000);
  await Promise.all(readers);
}

test('without live changes chunks are as large as they may be, and nobody waits longer than it takes to see that', async () => {
  const one = made();
  one.liveFirst.begin(['rows']);
  const reader = one.read();
  expect(await rowsIn(one, 1_000)).toBeGreaterThan(1_000_000);
  expect(one.liveFirst.pace).toBeUndefined();
  expect(one.liveFirst.mostRows).toBe(Infinity);
  await ended(one, reader);
});

test('changes of another sink that become late make it slower; when they end it reads as before', async () => {
  const one = made();
  const beforeReading = one.live({ live: 2, log: 1 });
  await vi.advanceTimersByTimeAsync(500);
  one.liveFirst.begin(['rows']);
  const reader = one.read();
  const fast = await rowsIn(one, 10_000);
  expect(fast).toBeGreaterThan(100_000);
  clearInterval(beforeReading);
  // They are late as long as rows come.
  let seen = one.counts.rows;
  const late = setInterval(() => {
    const isRead = one.counts.rows > seen;
    seen = one.counts.rows;
    for (let i = 0; i < 50; i++) one.signals.latencies.add(0, isRead ? 40 : 2);
  }, 50);
  const changing = one.live({ log: 1 });
  await vi.advanceTimersByTimeAsync(5_000);
  expect(await rowsIn(one, 5_000)).toBeLessThan(5 * 1.5 * SLOWEST);
  expect(one.liveFirst.pace).toBeLessThan(1.5 * SLOWEST);
  clearInterval(late);
  clearInterval(changing);
  await vi.advanceTimersByTimeAsync(2_000);
  expect(one.liveFirst.pace).toBeUndefined();
  expect(await rowsIn(one, 1_000)).toBeGreaterThan(1_000_000);
  await ended(one, reader);
});

test.each([
  [1_000, true],
  [120_000, false],
])('after a pause of %i ms the pace is known: %s', async (pauseMs, isKnown) => {
  const one = made();
  const changing = one.live({ live: 2, log: 1 });
  const end = one.liveFirst.begin(['rows']);
  const reader = one.read();
  await vi.advanceTimersByTimeAsync(20_000);
  const { pace } = one.liveFirst;
  expect(pace).toBeGreaterThan(10 * SLOWEST);
  end();
  await vi.advanceTimersByTimeAsync(pauseMs);
  one.liveFirst.begin(['rows']);
  await vi.advanceTimersByTimeAsync(100);
  expect((one.liveFirst.pace ?? 0) > pace! / 2).toBe(isKnown);
  clearInterval(changing);
  await ended(one, reader);
});

test('what was read at full speed is not made up for when live changes begin', async () => {
  const one = made();
  one.liveFirst.begin(['rows']);
  const reader = one.read();
  await vi.advanceTimersByTimeAsync(1_000);
  const changing = one.live({ live: 2, log: 1 });
  await vi.advanceTimersByTimeAsync(1_000);
  // A chunk of full speed is 20,000 rows: ten seconds at the first pace.
  expect(one.liveFirst.pace).toBeDefined();
  expect(await rowsIn(one, 2_000)).toBeGreaterThan(1_000);
  clearInterval(changing);
  await ended(one, reader);
});

test('changes of the sink that gets the rows may wait for them', async () => {
  const one = made();
  const changing = one.live({ live: 2, log: 1 });
  one.liveFirst.begin(['rows']);
  const reader = one.read();
  await vi.advanceTimersByTimeAsync(3_000);
  const waiting = one.live({ rows: 5_000 });
  expect(await rowsIn(one, 10_000)).toBeGreaterThan(100_000);
  clearInterval(changing);
  clearInterval(waiting);
  await ended(one, reader);
});

test('where all sinks get the rows, changes that come late into the log make it slower', async () => {
  const one = made();
  const changing = one.live({ log: 1 });
  one.liveFirst.begin([]);
  const reader = one.read();
  await vi.advanceTimersByTimeAsync(5_000);
  clearInterval(changing);
  let seen = one.counts.rows;
  const alive = one.live({});
  const late = setInterval(() => {
    const isRead = one.counts.rows > seen;
    seen = one.counts.rows;
    for (let i = 0; i < 10; i++) one.signals.latencies.add(LOG_LATENCIES, isRead ? 30 : 1);
  }, 50);
  await vi.advanceTimersByTimeAsync(5_000);
  expect(one.liveFirst.pace).toBeLessThan(1.5 * SLOWEST);
  clearInterval(alive);
  clearInterval(late);
  await ended(one, reader);
});

test('at a pace what its sinks have not taken is bounded; one that takes nothing leaves it its slowest', async () => {
  const one = made();
  const changing = one.live({ live: 2, log: 1 });
  one.liveFirst.begin(['rows']);
  const reader = one.read(false);
  await vi.advanceTimersByTimeAsync(5_000);
  const before = one.log.writtenEnd;
  const rows = await rowsIn(one, 20_000);
  expect(rows).toBeGreaterThan(20 * SLOWEST * 0.5);
  expect(rows).toBeLessThan(20 * SLOWEST);
  expect(before).toBeLessThan(1_000_000);
  clearInterval(changing);
  await ended(one, reader);
});

test('at a small pace one chunk is read at a time, whoever asks', async () => {
  const one = made();
  const changing = one.live({ live: 2, log: 1 });
  one.liveFirst.begin(['rows']);
  one.liveFirst.begin(['rows']);
  const readers = [one.read(), one.read(), one.read()];
  await vi.advanceTimersByTimeAsync(1_300);
  expect(one.counts.chunks).toBeGreaterThan(0);
  expect(one.counts.most).toBe(1);
  clearInterval(changing);
  await ended(one, ...readers);
});

describe('however long an answer takes, what live changes leave is read', () => {
  const four = (one: Made, tookMs: (rows: number) => number): readonly Promise<void>[] =>
    Array.from({ length: 4 }, () => one.read(true, tookMs));

  test.each([1, 10, 20, 24, 30, 50, 100, 200, 300])(
    'where they are never late, a chunk of %i ms does not keep the pace from rising',
    async (ms) => {
      const one = made();
      const changing = one.live({ live: 2, log: 1 });
      one.liveFirst.begin(['rows']);
      const readers = four(one, () => ms);
      await vi.advanceTimersByTimeAsync(20_000);
      expect(await rowsIn(one, 10_000)).toBeGreaterThan(10 * 20 * SLOWEST);
      clearInterval(changing);
      await ended(one, ...readers);
    },
  );

  test.each([1, 10, 24, 30, 50, 100, 200, 300])(
    'where they are late as long as anything is read, a chunk of %i ms leaves it its slowest',
    async (ms) => {
      const one = made();
      const alive = one.live({ log: 1 });
      let seen = one.counts.rows;
      const late = setInterval(() => {
        const isRead = one.counts.rows > seen;
        seen = one.counts.rows;
        for (let i = 0; i < 50; i++) one.signals.latencies.add(0, isRead ? 40 : 2);
      }, 50);
      one.liveFirst.begin(['rows']);
      const readers = four(one, () => ms);
      await vi.advanceTimersByTimeAsync(10_000);
      const rows = await rowsIn(one, 20_000);
      expect(rows).toBeGreaterThan(20 * SLOWEST * 0.6);
      expect(rows).toBeLessThan(20 * SLOWEST * 1.5);
      clearInterval(alive);
      clearInterval(late);
      await ended(one, ...readers);
    },
  );

  test('rows that take a millisecond each are read over several connections, in chunks that do not grow on', async () => {
    const one = made();
    const changing = one.live({ live: 2, log: 1 });
    one.liveFirst.begin(['rows']);
    const readers = four(one, (rows) => rows);
    await vi.advanceTimersByTimeAsync(10_000);
    expect(await rowsIn(one, 20_000)).toBeGreaterThan(20 * SLOWEST);
    expect(one.liveFirst.mostRows).toBeLessThan(1_000);
    clearInterval(changing);
    await ended(one, ...readers);
  });

  test('one answer that took long makes no chunk larger, nor do those of what was read at full speed', async () => {
    const one = made();
    one.liveFirst.begin(['rows']);
    let chunks = 0;
    const reader = one.read(true, (rows) => (rows === 20_000 || ++chunks % 3 === 0 ? 300 : 1));
    await vi.advanceTimersByTimeAsync(3_000);
    const changing = one.live({ live: 2, log: 1 });
    const seen: number[] = [];
    for (let i = 0; i < 200; i++) {
      await vi.advanceTimersByTimeAsync(50);
      const { pace, mostRows } = one.liveFirst;
      if (pace !== undefined) seen.push(mostRows / Math.max(50, pace * 0.012));
    }
    expect(seen.length).toBeGreaterThan(100);
    expect(Math.max(...seen)).toBeLessThanOrEqual(1);
    clearInterval(changing);
    await ended(one, reader);
  });
});

test('whoever waits for a turn is let go by its signal', async () => {
  const one = made();
  const changing = one.live({ live: 2 });
  one.liveFirst.begin(['rows']);
  const reader = one.read();
  await vi.advanceTimersByTimeAsync(300);
  const waiting = new AbortController();
  let outcome = 'waits';
  const turn = one.liveFirst.turn(waiting.signal).then(
    () => (outcome = 'has it'),
    () => (outcome = 'is let go'),
  );
  waiting.abort();
  await turn;
  expect(outcome).toBe('is let go');
  clearInterval(changing);
  await ended(one, reader);
});

/** Few changes of the other sink come for five seconds, and take so long at rest, and while rows are read; answers how the pace stands then. */
async function paceAfter(
  one: Made,
  { rest, reading = rest }: { readonly rest: number; readonly reading?: number },
): Promise<number | undefined> {
  let seen = one.counts.rows;
  const taking = setInterval(() => {
    const isRead = one.counts.rows > seen;
    seen = one.counts.rows;
    for (let i = 0; i < 5; i++) one.signals.latencies.add(0, isRead ? reading : rest);
  }, 50);
  await vi.advanceTimersByTimeAsync(5_000);
  clearInterval(taking);
  return one.liveFirst.pace;
}

describe('what changes took is no measure of what they take at rest', () => {
  test('before anything was read: an earlier connection may have read', async () => {
    const one = made();
    for (let i = 0; i < 500; i++) one.signals.latencies.add(0, 40);
    const changing = one.live({ log: 1 });
    one.liveFirst.begin(['rows']);
    const reader = one.read();
    await paceAfter(one, { rest: 2 });
    expect(await paceAfter(one, { rest: 2, reading: 30 })).toBe(SLOWEST);
    clearInterval(changing);
    await ended(one, reader);
  });

  test('while the stream makes up for what came before', async () => {
    const one = made();
    const changing = one.live({ log: 1 });
    one.liveFirst.begin(['rows']);
    const reader = one.read();
    // Now it has caught up, now it falls behind: also in the middle of a rest.
    const come = (latencyMs: number): void => {
      for (let n = 0; n < 5; n++) one.signals.latencies.add(0, latencyMs);
    };
    for (let i = 0; i < 30; i++) {
      one.world.isCaughtUp = false;
      come(60_000);
      await vi.advanceTimersByTimeAsync(170);
      come(60_000);
      one.world.isCaughtUp = true;
      await vi.advanceTimersByTimeAsync(170);
    }
    await paceAfter(one, { rest: 2 });
    expect(await paceAfter(one, { rest: 2, reading: 30 })).toBe(SLOWEST);
    clearInterval(changing);
    await ended(one, reader);
  });

  test('while their sink delivers what came before', async () => {
    const one = made();
    const changing = one.live({ log: 1 });
    // Another one ends in a rest, which has nothing to do with those of this one.
    const endsBefore = one.liveFirst.begin(['rows']);
    await vi.advanceTimersByTimeAsync(300);
    endsBefore();
    // A little at a time, and never all.
    one.world.liveDelivers = false;
    one.log.writtenEnd = 10_000;
    one.liveFirst.begin(['rows']);
    const reader = one.read();
    let answered = 0;
    const catchingUp = setInterval(() => one.signals.publishAnswered(0, ++answered), 50);
    await paceAfter(one, { rest: 60_000 });
    clearInterval(catchingUp);
    one.world.liveDelivers = true;
    await paceAfter(one, { rest: 2 });
    expect(await paceAfter(one, { rest: 2, reading: 30 })).toBe(SLOWEST);
    clearInterval(changing);
    await ended(one, reader);
  });
});

test('a sink that is paused, or that a fault has halted, keeps nobody from reading', async () => {
  const one = made();
  const changing = one.live({ live: 2, log: 1 });
  one.signals.setDelivering(1, false);
  one.liveFirst.begin([]);
  const reader = one.read(false);
  await vi.advanceTimersByTimeAsync(5_000);
  expect(await rowsIn(one, 10_000)).toBeGreaterThan(100_000);
  clearInterval(changing);
  await ended(one, reader);
});
