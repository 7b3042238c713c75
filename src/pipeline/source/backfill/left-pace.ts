// The pace that live changes of one kind leave a backfill: it falls by how many of them are late, and rises slowly while few are. Pure.
import { Lateness, LEVELS, MOST_EXCESS } from './lateness.ts';

/** No pace is slower, whatever live changes take: a backfill always ends. Rows a second. */
export const SLOWEST = 500;
/** The first one, where nothing is known. */
export const FIRST = 2_000;
/**
 * Of lateness, what the logarithm of the pace falls by; it rises by as much of what is missing to it. So it settles where, on the average,
 * as many changes are late as at rest, however much they vary.
 */
const GAIN = 10;
/** Where changes stay late, twice as much after every second window, up to so many times. */
const MOST_DOUBLINGS = 3;
/** Until changes are late for the first time the pace is looked for. */
const FIRST_RISE = Math.LN2;

export class LeftPace {
  readonly #lateness = new Lateness();
  /** Of each level: the slowest holds. */
  #paces: readonly number[] = LEVELS.map(() => FIRST);
  /** Of each level, windows in a row in which far too many changes were late. */
  #late: readonly number[] = LEVELS.map(() => 0);
  #wasLate = false;

  get rowsPerSecond(): number {
    return Math.min(...this.#paces);
  }

  /** Milliseconds that changes took in a window in which nothing was read. */
  rested(latencies: readonly number[], nowMs: number): void {
    this.#lateness.rested(latencies, nowMs);
  }

  /** While rows were read. `most`: no pace is higher. */
  judge(latencies: readonly number[], most: number, nowMs: number): void {
    const excess = this.#lateness.excess(latencies, nowMs);
    if (excess === undefined) return;
    this.#wasLate ||= excess.some((late) => late > 0);
    this.#paces = this.#paces.map((pace, i) => {
      const late = excess[i]!;
      if (late > 0) {
        const fall = GAIN * late * 2 ** Math.min(MOST_DOUBLINGS, Math.floor(this.#late[i]! / 2));
        return Math.max(SLOWEST, Math.min(pace, most) * Math.exp(-fall));
      }
      const rise = this.#wasLate ? -GAIN * late : FIRST_RISE;
      return Math.min(Math.max(most, pace), pace * Math.exp(rise));
    });
    this.#late = this.#late.map((windows, i) => (excess[i]! > MOST_EXCESS / 2 ? windows + 1 : 0));
  }
}
