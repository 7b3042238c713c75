// How late live changes are beside a backfill, compared with what they take while nothing is read. Pure.
//
// Compared, not looked at: a destination that takes its time takes it while nothing is read, too, and a server's clock may be anything.

/**
 * Changes count as late above a percentile at rest by a share of what they vary by up to there, and by no less than a noise that nobody
 * minds; as many as are above it at rest are none too many. The 99th is what is cared for, with little tolerance: a pace that swings around
 * where it is kept lets it rise by some times as much (giving-way.test.ts). What is rare may be met at rest too often or not at all: the
 * 90th is surer.
 */
const LEVELS = [
  { beyond: 0.01, tolerance: 0.1, weight: 1 },
  { beyond: 0.1, tolerance: 0.2, weight: 0.2 },
] as const;
const LEAST_TOLERANCE_MS = 0.5;
/** Samples at rest that are kept, for how long, and how few of them say something. Many: what is rare is to be among them as often as it comes. */
const MOST_KEPT = 8_000;
const KEPT_MS = 120_000;
const FEWEST = 10;
/** Of a window, so many say half of what many would. */
const HALF_SURE = 4;

type Rest = { readonly latencies: readonly number[]; readonly atMs: number };

/** How many are late; and by how much more that is than it would be at rest: −0.01 where none is, up to 1; few say less. */
export type Late = { readonly share: number; readonly excess: number };

/** Of the changes of one sink, or of those on their way into the log. */
export class Lateness {
  #rests: readonly Rest[] = [];
  #baseline: { readonly count: number; readonly limitsMs: readonly number[] } | undefined;
  #isKnown = false;

  /** Milliseconds that changes took while nothing was read; older ones are forgotten. */
  rested(latencies: readonly number[], nowMs: number): void {
    this.#rests = [...this.#rests.filter(({ atMs }) => nowMs - atMs < KEPT_MS), { latencies, atMs: nowMs }];
    this.#isKnown = false;
  }

  /** Undefined: nobody knows. */
  of(latencies: readonly number[], nowMs: number): Late | undefined {
    if (!this.#isKnown) this.#learn(nowMs);
    const count = latencies.length;
    if (this.#baseline === undefined || count === 0) return undefined;
    const { limitsMs, count: known } = this.#baseline;
    const shares = limitsMs.map((limitMs) => latencies.filter((ms) => ms > limitMs).length / count);
    const excess = Math.max(...shares.map((share, i) => (share - LEVELS[i]!.beyond) * LEVELS[i]!.weight));
    // Of few samples at rest the highest one is exceeded that often by chance.
    return { share: shares[0]!, excess: (excess - 1 / known) * (count / (count + HALF_SURE)) };
  }

  #learn(nowMs: number): void {
    this.#isKnown = true;
    let left = MOST_KEPT;
    this.#rests = this.#rests
      .toReversed()
      .filter(({ latencies, atMs }) => nowMs - atMs < KEPT_MS && (left -= latencies.length) > 0)
      .toReversed();
    const known = Float64Array.from(this.#rests.flatMap(({ latencies }) => latencies)).sort();
    this.#baseline = known.length < FEWEST ? undefined : { count: known.length, limitsMs: limitsOf(known) };
  }
}

function limitsOf(sorted: Float64Array): readonly number[] {
  const at = (share: number): number => sorted[Math.floor(share * sorted.length)]!;
  const low = at(0.01);
  return LEVELS.map(({ beyond, tolerance }) => {
    const high = at(1 - beyond);
    return high + Math.max(LEAST_TOLERANCE_MS, tolerance * (high - low));
  });
}
