// The pace that live changes of one kind leave a backfill: it falls by how many of them are late, and rises slowly while few are. Pure.
import { Lateness } from './lateness.ts';

/** No pace is slower, whatever live changes take: a backfill always ends. Rows a second. */
export const SLOWEST = 500;
/** The first one, where nothing is known. */
export const FIRST = 2_000;
/**
 * Of lateness, what the logarithm of the pace falls by; it rises by as much of what is missing to it. So it settles where, on the average,
 * as many changes are late as at rest, however much they vary.
 */
const GAIN = 10;
/** At most: something that stands still for a moment makes many late at once. Where changes stay late, twice as much each time. */
const MOST_FALL = 0.35;
const MOST_FALLS = 3;
/** Until changes are late for the first time, and, less, where none at all was in so many judgements, the pace is looked for. */
const FIRST_RISE = Math.LN2;
const SEEKING_RISE = 0.35;
const ALL_IN_TIME = 6;

export class LeftPace {
  readonly #lateness = new Lateness();
  #rowsPerSecond = FIRST;
  /** Judgements in a row that found too many changes late, and that found none. */
  #late = 0;
  #inTime = 0;
  #wasLate = false;

  get rowsPerSecond(): number {
    return this.#rowsPerSecond;
  }

  /** Milliseconds that changes took while nothing was read. */
  rested(latencies: readonly number[], nowMs: number): void {
    this.#lateness.rested(latencies, nowMs);
  }

  /** While rows were read. `most`: no pace is higher. */
  judge(latencies: readonly number[], most: number, nowMs: number): void {
    const lateness = this.#lateness.of(latencies, nowMs);
    if (lateness === undefined) return;
    const { share, excess: late } = lateness;
    this.#inTime = share === 0 ? this.#inTime + 1 : 0;
    if (late > 0) {
      this.#wasLate = true;
      // After a fall, what was on its way says nothing of the new pace.
      if (this.#late % 2 === 0) this.#fall(late, most);
      this.#late++;
      return;
    }
    this.#late = 0;
    const rise = !this.#wasLate ? FIRST_RISE : this.#inTime >= ALL_IN_TIME ? SEEKING_RISE : -GAIN * late;
    this.#rowsPerSecond = Math.min(Math.max(most, this.#rowsPerSecond), this.#rowsPerSecond * Math.exp(rise));
  }

  #fall(late: number, most: number): void {
    const from = Math.min(this.#rowsPerSecond, most);
    const fall = Math.min(GAIN * late, MOST_FALL * 2 ** Math.min(this.#late / 2, MOST_FALLS));
    this.#rowsPerSecond = Math.max(SLOWEST, from * Math.exp(-fall));
  }
}
