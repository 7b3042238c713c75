// How many dead letters a filter may make of what Postgres did not send: a few are an accident, many are a table that is set up wrongly.

export const MAX_ABSENT_LETTERS = 1000;
const WINDOW_MS = 60_000;

export class AbsentRate {
  /** When the last ones came, as a ring. */
  readonly #times = new Float64Array(MAX_ABSENT_LETTERS).fill(-Infinity);
  #next = 0;
  readonly #nowMs: () => number;

  constructor(nowMs: () => number) {
    this.#nowMs = nowMs;
  }

  /** May another one be made? Then it counts. */
  takes(): boolean {
    const now = this.#nowMs();
    if (now - this.#times[this.#next]! < WINDOW_MS) return false;
    this.#times[this.#next] = now;
    this.#next = (this.#next + 1) % MAX_ABSENT_LETTERS;
    return true;
  }
}
