// The pace of a backfill beside live changes, over a pretended machine: what is read keeps it busy, and changes queue behind that.
import { expect, test } from 'vitest';
import { GivingWay, type Seen } from '../../../../src/pipeline/source/backfill/giving-way.ts';
import { FIRST, SLOWEST } from '../../../../src/pipeline/source/backfill/left-pace.ts';
import { seededRandom } from '../../../support/workload.ts';

const STEP_MS = 50;
/** As fast as chunks can be read. */
const READ_ROWS = 400_000;
const SINK = 0;

type Machine = {
  /** Rows a second that keep it fully busy. */
  capacity: number;
  /** A second. */
  changes: number;
  /** What one takes where nothing else is there. */
  readonly aloneMs: (chance: () => number) => number;
};

/** Half take a millisecond, one in a hundred eight: what was seen on a small machine that has other things to do. */
const NOISY = (chance: () => number): number => {
  // https://en.wikipedia.org/wiki/Box%E2%80%93Muller_transform
  const normal = Math.sqrt(-2 * Math.log(1 - chance())) * Math.cos(2 * Math.PI * chance());
  return 1.2 * Math.exp(0.8 * normal);
};
/** Changes of one transaction come together. */
const OF_A_TRANSACTION = 5;

class Simulation {
  readonly giving = new GivingWay(0);
  readonly machine: Machine;
  readonly #chance: () => number;
  nowMs = 0;
  rows = 0;
  /** Of what was read and is not worked off. */
  #backlog = 0;
  /** Of each step. */
  readonly paces: number[] = [];
  readonly whileReading: number[] = [];
  readonly atRest: number[] = [];

  constructor(machine: Partial<Machine> = {}, seed = 1) {
    this.machine = { capacity: 40_000, changes: 1_000, aloneMs: NOISY, ...machine };
    this.#chance = seededRandom(seed);
  }

  run(seconds: number): void {
    for (let step = 0; step < (seconds * 1000) / STEP_MS; step++) this.#step();
  }

  #step(): void {
    const { capacity, changes } = this.machine;
    const rowsPerSecond = this.giving.rowsPerSecond;
    // As who asks it does it: what waits to be delivered is bounded (live-first.ts).
    const isAhead = rowsPerSecond < Infinity && this.#backlog > rowsPerSecond / 10;
    const rows = (Math.min(READ_ROWS, isAhead ? SLOWEST : rowsPerSecond) * STEP_MS) / 1000;
    const busy = Math.min(1, (rows / STEP_MS) * (1000 / capacity));
    this.#backlog = Math.max(0, this.#backlog + rows - (capacity * STEP_MS) / 1000);
    const waitMs = (this.#backlog * 1000) / capacity;
    const latencies: number[] = [];
    const count = Math.round((changes * STEP_MS) / 1000);
    while (latencies.length < count) {
      // Behind what is in hand at that moment, as often as something is.
      const behindMs = this.#chance() < busy ? -Math.log(1 - this.#chance()) * 4 : 0;
      const ms = this.machine.aloneMs(this.#chance) + behindMs + waitMs;
      latencies.push(...Array<number>(Math.min(OF_A_TRANSACTION, count - latencies.length)).fill(ms));
    }
    this.nowMs += STEP_MS;
    this.rows += rows;
    this.paces.push(this.giving.pace);
    (rowsPerSecond === 0 ? this.atRest : this.whileReading).push(...latencies);
    const seen: Seen = {
      latencies: new Map([[SINK, latencies]]),
      isLive: latencies.length > 0,
      rows,
      delivered: this.#backlog === 0 ? 'by all' : 'no',
    };
    this.giving.step(this.nowMs, seen);
  }
}

const p99 = (values: readonly number[]): number =>
  values.toSorted((a, b) => a - b)[Math.floor(values.length * 0.99)]!;
const median = (values: readonly number[]): number =>
  values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)]!;
const SEEDS = Array.from({ length: 10 }, (_, i) => i + 1);

test('where nothing live comes a backfill reads at full speed at once', () => {
  const quiet = new Simulation({ changes: 0 });
  quiet.run(0.2);
  expect(quiet.giving.pace).toBe(Infinity);
});

test('beside live changes it begins slowly', () => {
  const busy = new Simulation();
  busy.run(0.5);
  expect(busy.giving.pace).toBeLessThan(10_000);
});

test.each(SEEDS)('on a machine with room its pace rises until it bounds nothing (%i)', (seed) => {
  const roomy = new Simulation({ capacity: 100_000_000 }, seed);
  roomy.run(60);
  roomy.paces.length = 0;
  roomy.run(60);
  expect(median(roomy.paces)).toBeGreaterThan(READ_ROWS / 4);
});

test.each(SEEDS)('changes take about as long as at rest, and what they leave is read (%i)', (seed) => {
  const one = new Simulation({ capacity: 200_000 }, seed);
  one.run(20);
  one.whileReading.length = 0;
  const { rows } = one;
  one.run(120);
  expect(p99(one.whileReading)).toBeLessThan(p99(one.atRest) * 1.4);
  expect(median(one.whileReading)).toBeLessThan(median(one.atRest) * 1.2);
  expect((one.rows - rows) / 120).toBeGreaterThan(1.5 * SLOWEST);
});

test.each(SEEDS)(
  'when changes become late the pace falls within two windows and what is on its way (%i)',
  (seed) => {
    const one = new Simulation({ capacity: 100_000_000 }, seed);
    one.run(60);
    while (one.giving.pace < READ_ROWS / 2) one.run(1);
    while (one.giving.rowsPerSecond === 0) one.run(STEP_MS / 1000);
    const before = one.giving.pace;
    one.machine.capacity = 100_000;
    // A rest may come between.
    one.run(1.3);
    expect(one.giving.pace).toBeLessThan(before / 2);
    one.run(5);
    expect(one.giving.pace).toBeLessThan(READ_ROWS / 2);
  },
);

test.each(SEEDS)(
  'when live changes end it reads at full speed within two seconds, and when they come again it gives way at once (%i)',
  (seed) => {
    const one = new Simulation({}, seed);
    one.run(20);
    one.machine.changes = 0;
    one.run(2);
    expect(one.giving.pace).toBe(Infinity);
    one.machine.changes = 1_000;
    one.run(0.2);
    expect(one.giving.pace).toBeLessThan(READ_ROWS / 4);
  },
);

test.each(SEEDS)('no pace is below the slowest, so that it always ends (%i)', (seed) => {
  const hopeless = new Simulation({ capacity: 100 }, seed);
  hopeless.run(60);
  expect(Math.min(...hopeless.paces)).toBeGreaterThanOrEqual(SLOWEST);
  expect(hopeless.rows).toBeGreaterThan(60 * SLOWEST * 0.7);
});

test.each(SEEDS)(
  'it does not swing: nine tenths of the time it is within a factor of five of its median (%i)',
  (seed) => {
    const one = new Simulation({}, seed);
    one.run(20);
    one.paces.length = 0;
    one.run(120);
    const middle = median(one.paces);
    const near = one.paces.filter((pace) => pace > middle / 5 && pace < middle * 5);
    expect(near.length / one.paces.length).toBeGreaterThan(0.9);
  },
);

test.each(SEEDS)('changes that vary widely by themselves do not hold it back (%i)', (seed) => {
  let stallsUntilMs = 0;
  const clock = { nowMs: 0 };
  const wild = new Simulation(
    {
      capacity: 100_000_000,
      // Now and then everything stands still for some milliseconds: then all that come together are late.
      aloneMs: (chance) => {
        if (chance() < 0.0005) stallsUntilMs = clock.nowMs + 10;
        return NOISY(chance) + (clock.nowMs < stallsUntilMs ? 20 : 0);
      },
    },
    seed,
  );
  for (let step = 0; step < 60_000 / STEP_MS; step++) {
    clock.nowMs = wild.nowMs;
    wild.run(STEP_MS / 1000);
  }
  expect(median(wild.paces.slice(-600))).toBeGreaterThan(4 * SLOWEST);
});

test('a destination that takes its time does not hold it back, nor a server whose clock is another one', () => {
  for (const aloneMs of [400, -86_400_000]) {
    const slow = new Simulation({
      capacity: 100_000_000,
      aloneMs: (chance) => aloneMs + NOISY(chance) + 100 * chance(),
    });
    slow.run(60);
    slow.paces.length = 0;
    slow.run(60);
    expect(median(slow.paces)).toBeGreaterThan(READ_ROWS / 4);
  }
});

test('few live changes are enough to give way to', () => {
  const few = new Simulation({ capacity: SLOWEST, changes: 20 });
  few.run(60);
  expect(median(few.paces.slice(-400))).toBeLessThan(2 * SLOWEST);
});

test('a pace that was found is known after a pause, which begins with a rest', () => {
  const simulation = new Simulation({ capacity: 100_000_000 });
  simulation.run(60);
  expect(simulation.giving.pace).toBeGreaterThan(20 * FIRST);
  simulation.giving.resume(simulation.nowMs);
  expect(simulation.giving.rowsPerSecond).toBe(0);
  simulation.run(10);
  expect(simulation.giving.pace).toBeGreaterThan(10 * FIRST);
});

test.each(SEEDS)(
  'what stood still for a moment while nothing was read does not hide what is late otherwise (%i)',
  (seed) => {
    const clock = { nowMs: 0 };
    // As where a backfill begins: in one of the first windows everything waits.
    const one = new Simulation(
      { aloneMs: (chance) => NOISY(chance) + (clock.nowMs >= 300 && clock.nowMs < 450 ? 60 : 0) },
      seed,
    );
    for (let step = 0; step < 20_000 / STEP_MS; step++) {
      clock.nowMs = one.nowMs;
      one.run(STEP_MS / 1000);
    }
    // What it hid let the pace rise to 11,000 and more.
    expect(median(one.paces.slice(-200))).toBeLessThan(9_000);
  },
);

test('the rest after a pause is as long as the first one: what changes take may be another by then', () => {
  const giving = new GivingWay(0);
  let nowMs = 0;
  const step = (): void => {
    nowMs += STEP_MS;
    const latencies = new Map([[SINK, Array<number>(50).fill(2)]]);
    giving.step(nowMs, { latencies, isLive: true, rows: 1_000, delivered: 'by all' });
  };
  const restMs = (): number => {
    const sinceMs = nowMs;
    while (giving.rowsPerSecond === 0) step();
    return nowMs - sinceMs;
  };
  const first = restMs();
  while (giving.rowsPerSecond > 0) step();
  const next = restMs();
  expect(next).toBeLessThan(first);
  giving.resume(nowMs);
  expect(restMs()).toBeGreaterThan(next);
});

test('a rest before what was read is delivered is none, and says nothing of what changes take', () => {
  const giving = new GivingWay(0);
  let nowMs = 0;
  const spend = (ms: number, latencyMs: number, delivered: Seen['delivered']): void => {
    for (const endMs = nowMs + ms; nowMs < endMs;) {
      nowMs += STEP_MS;
      const latencies = new Map([[SINK, Array<number>(50).fill(latencyMs)]]);
      giving.step(nowMs, { latencies, isLive: true, rows: 1_000, delivered });
    }
  };
  spend(10_000, 30, 'no');
  expect(giving.pace).toBe(FIRST);
  spend(5_000, 2, 'by all');
  expect(giving.pace).toBeGreaterThan(FIRST);
  spend(20_000, 30, 'no');
  expect(giving.pace).toBe(SLOWEST);
});
