// How late live changes are beside a backfill, compared with what they take while nothing is read. Pure.
//
// Compared, not looked at: a destination that takes its time takes it while nothing is read, too, and a server's clock may be anything.

/**
 * Changes count as late above a level by a share of what they vary by up to there, and by no less than a noise that nobody minds; as many
 * as are above it at rest are none too many. The 99th percentile is what is cared for, with little tolerance: a pace that swings around
 * where it is kept lets it rise by some times as much (giving-way.test.ts). What is rare may be met at rest too often or not at all: the
 * 90th is surer.
 */
export const LEVELS = [
  { beyond: 0.01, tolerance: 0.1, weight: 1 },
  { beyond: 0.1, tolerance: 0.2, weight: 0.2 },
] as const;
const LEAST_TOLERANCE_MS = 0.5;
/**
 * No window counts for more than so much too many, beside what is read and at rest: where everything stands still for a moment all that
 * come in it are late, and at rest they would hide what is late otherwise.
 */
export const MOST_EXCESS = 0.04;
/** Samples at rest that are kept, for how long, and how few of them say something. Many: what is rare is to be among them as often as it comes. */
const MOST_KEPT = 12_000;
const KEPT_MS = 120_000;
const FEWEST = 10;
/** Standard errors that a level at rest may be mistaken by: less, and a pace sinks where nothing is late (giving-way.test.ts). */
const SURE = 1.5;
/** However few they are: what is late in every window is to be seen. */
const MOST_UNSURE = MOST_EXCESS / 4;
/** Of a window, so many say half of what many would. */
const HALF_SURE = 4;

/** Sorted. */
type Rest = { readonly latencies: Float64Array; readonly atMs: number };

/** A level as it is at rest; `unsure`: by so much more may be late there by chance. */
type Limit = { readonly ms: number; readonly unsure: number };

/** Of the changes of one sink, or of those on their way into the log. */
export class Lateness {
  #rests: readonly Rest[] = [];
  #limits: readonly Limit[] | undefined;
  #isKnown = false;

  /** Milliseconds that changes took in a window in which nothing was read; older ones are forgotten. */
  rested(latencies: readonly number[], nowMs: number): void {
    const rest = { latencies: Float64Array.from(latencies).sort(), atMs: nowMs };
    this.#rests = [...this.#rests.filter(({ atMs }) => nowMs - atMs < KEPT_MS), rest];
    this.#isKnown = false;
  }

  /**
   * By how much more changes of a window are late than at rest, of each level: a little below 0 where none is, up to 0.04; few say less.
   * Undefined: nobody knows.
   */
  excess(latencies: readonly number[], nowMs: number): readonly number[] | undefined {
    if (!this.#isKnown) this.#learn(nowMs);
    const count = latencies.length;
    if (this.#limits === undefined || count === 0) return undefined;
    return this.#limits.map(({ ms: limitMs, unsure }, i) => {
      const share = latencies.filter((ms) => ms > limitMs).length / count;
      return (excessOf(share, LEVELS[i]!) - unsure) * (count / (count + HALF_SURE));
    });
  }

  #learn(nowMs: number): void {
    this.#isKnown = true;
    let left = MOST_KEPT;
    this.#rests = this.#rests
      .toReversed()
      .filter(({ latencies, atMs }) => nowMs - atMs < KEPT_MS && (left -= latencies.length) > 0)
      .toReversed();
    const rests = this.#rests.map(({ latencies }) => latencies);
    const all = Float64Array.from(rests.flatMap((latencies) => [...latencies])).sort();
    this.#limits = all.length < FEWEST ? undefined : LEVELS.map((level) => limitOf(rests, all, level));
  }
}

type Level = (typeof LEVELS)[number];

const excessOf = (share: number, { beyond, weight }: Level): number =>
  Math.min(MOST_EXCESS, (share - beyond) * weight);

/** The lowest of all samples above which no more of them are than that, on the average of the windows. */
function limitOf(rests: readonly Float64Array[], all: Float64Array, level: Level): Limit {
  const excesses = (ms: number): readonly number[] =>
    rests.map((latencies) => excessOf(above(latencies, ms) / latencies.length, level));
  const isEnough = (i: number): boolean => excesses(all[i]!).reduce((sum, excess) => sum + excess, 0) <= 0;
  const high = all[firstIndex(all.length - 1, isEnough)]!;
  const low = all[Math.floor(0.01 * all.length)]!;
  const squares = excesses(high).reduce((sum, excess) => sum + excess ** 2, 0);
  return {
    ms: high + Math.max(LEAST_TOLERANCE_MS, level.tolerance * (high - low)),
    unsure: Math.min(MOST_UNSURE, (SURE * Math.sqrt(squares)) / rests.length + level.weight / all.length),
  };
}

const above = (sorted: Float64Array, ms: number): number =>
  sorted.length - firstIndex(sorted.length, (i) => sorted[i]! > ms);

/** The first index below `end` of which it holds, as it does of all behind that; else `end`. */
function firstIndex(end: number, holds: (index: number) => boolean): number {
  let [from, to] = [0, end];
  while (from < to) {
    const middle = (from + to) >>> 1;
    if (holds(middle)) to = middle;
    else from = middle + 1;
  }
  return from;
}
