// What the demo measures: of each piece of its work how many changes, how fast, and whether each came once and in order. Pure.
import type { Verdict } from './accounting.ts';

export type Quantiles = { readonly p50: number; readonly p99: number };

/** Samples of a whole run in bounded memory: beyond `SAMPLES` each has the same chance to be kept. */
export class LatencySample {
  readonly #values: number[] = [];
  readonly #random: () => number;
  #count = 0;

  constructor(random: () => number = Math.random) {
    this.#random = random;
  }

  add(latencyMs: number): void {
    this.#count++;
    if (this.#values.length < SAMPLES) this.#values.push(latencyMs);
    else {
      const at = Math.floor(this.#random() * this.#count);
      if (at < SAMPLES) this.#values[at] = latencyMs;
    }
  }

  quantiles(): Quantiles | undefined {
    if (this.#values.length === 0) return undefined;
    const sorted = this.#values.toSorted((a, b) => a - b);
    const at = (share: number): number =>
      sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))]!;
    return { p50: at(0.5), p99: at(0.99) };
  }
}

const SAMPLES = 100_000;

export type Figures = {
  readonly title: string;
  readonly rows: number;
  readonly perSecond: number | undefined;
  /** Commit to the queue, and to receive: milliseconds. */
  readonly queued: Quantiles | undefined;
  readonly received: Quantiles | undefined;
  readonly repeated: number;
  readonly outOfOrder: number;
  readonly lost: number;
  /** Never committed. */
  readonly unexpected: number;
};

/** From the verdicts before and after a piece of work, whose last message came `elapsedMs` after its begin. */
export const figuresOf = (work: {
  readonly title: string;
  readonly before: Verdict;
  readonly after: Verdict;
  readonly elapsedMs: number;
  readonly queued: Quantiles | undefined;
  readonly received: Quantiles | undefined;
}): Figures => {
  const { title, before, after, elapsedMs, queued, received } = work;
  const rows = after.committed - before.committed;
  return {
    title,
    rows,
    perSecond: elapsedMs > 0 ? (rows / elapsedMs) * 1000 : undefined,
    queued,
    received,
    repeated: after.duplicates - before.duplicates,
    outOfOrder: after.inversions - before.inversions,
    lost: after.outstanding,
    unexpected: after.unexpected - before.unexpected,
  };
};

/** Enough for a median and a 99th percentile that say something, and no more than some seconds. */
const MOST_STEADY = 500;

/** How many of the rows are written one at a time, and how many as fast as it goes. */
export function partsOf(rows: number): { readonly steady: number; readonly bulk: number } {
  const steady = Math.min(Math.ceil(rows / 2), MOST_STEADY);
  return { steady, bulk: rows - steady };
}
