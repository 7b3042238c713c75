// How fast rows may be read. Pure: the clock is an argument.

/** A chunk is at most what may be read in this time. */
const CHUNK_SHARE_MS = 500;

/** Rows of one chunk, where so many may be read a second. */
export const maxChunkRows = (rowsPerSecond: number | undefined, maxRows: number): number =>
  rowsPerSecond === undefined
    ? maxRows
    : Math.max(1, Math.min(maxRows, Math.floor((rowsPerSecond * CHUNK_SHARE_MS) / 1000)));

/** Nobody knows how many rows a page has before it is read. */
const ROWS_OF_A_PAGE = 100;

/** Pages of one chunk, where no key tells rows apart. */
export const maxChunkPages = (maxRows: number): number => Math.max(1, Math.floor(maxRows / ROWS_OF_A_PAGE));

/** How fast rows are read is told over the last of these, and what has begun of the next; not before so long. */
const SPAN_MS = 5_000;
const LEAST_TOLD_MS = 1_000;

/** How fast rows have been read lately; whatever kept them from that is in it. */
export class ReadRate {
  #before = { rows: 0, ms: 0 };
  #span: { rows: number; readonly sinceMs: number } | undefined;

  /** `isTold`: else what is told begins anew with what is read later. */
  hasRead(rows: number, nowMs: number, isTold: boolean): void {
    if (!isTold || this.#span === undefined) {
      this.#before = { rows: 0, ms: 0 };
      this.#span = { rows: 0, sinceMs: nowMs };
      return;
    }
    this.#span.rows += rows;
    const ms = nowMs - this.#span.sinceMs;
    if (ms < SPAN_MS) return;
    this.#before = { rows: this.#span.rows, ms };
    this.#span = { rows: 0, sinceMs: nowMs };
  }

  /** Undefined: nobody knows yet. */
  perSecond(nowMs: number): number | undefined {
    if (this.#span === undefined) return undefined;
    const ms = this.#before.ms + nowMs - this.#span.sinceMs;
    return ms < LEAST_TOLD_MS ? undefined : ((this.#before.rows + this.#span.rows) * 1000) / ms;
  }
}

export class Pace {
  readonly #rowsPerSecond: number | undefined;
  /** From when on the next chunk may be read. */
  #nextAtMs = 0;

  constructor(rowsPerSecond: number | undefined) {
    this.#rowsPerSecond = rowsPerSecond;
  }

  /** For how long to wait. */
  waitMs(nowMs: number): number {
    return Math.max(0, this.#nextAtMs - nowMs);
  }

  /** What was not read in time is not made good later. */
  hasRead(rows: number, nowMs: number): void {
    if (this.#rowsPerSecond === undefined) return;
    this.#nextAtMs = Math.max(this.#nextAtMs, nowMs) + (rows * 1000) / this.#rowsPerSecond;
  }
}
