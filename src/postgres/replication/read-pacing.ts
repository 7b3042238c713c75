// When to let the kernel's buffer fill before the next read, and when a silent socket is dead: pure rules.

/** A read of at least this much is worth its wake-up. */
const SMALL_READ_BYTES = 16 * 1024;
/** This many reads within one window mean load. */
const BUSY_READS = 32;
const WINDOW_MS = 4;
/** A rest that gathered less than this was not worth it: the load is over. */
const WORTHWHILE_BYTES = 4 * 1024;

export const REST_MS = 1;

/**
 * The walsender writes each row with its own send(): a reader that takes every wake-up spends 5 µs of CPU a row on
 * reads alone. Under load it rests for a millisecond after a small read; an idle stream never waits.
 */
export class ReadPacing {
  #busy = false;
  #windowStart = 0;
  #reads = 0;
  #bytesSinceRest = 0;

  /** Told of each read; answers whether to rest before the next one. */
  shouldRest(byteCount: number, nowMs: number): boolean {
    this.#bytesSinceRest += byteCount;
    if (this.#busy) {
      if (byteCount >= SMALL_READ_BYTES) return false;
      this.#busy = this.#bytesSinceRest >= WORTHWHILE_BYTES;
      this.#bytesSinceRest = 0;
      this.#reads = 0;
      return this.#busy;
    }
    if (nowMs - this.#windowStart > WINDOW_MS) {
      this.#windowStart = nowMs;
      this.#reads = 0;
    }
    this.#reads++;
    this.#busy = this.#reads >= BUSY_READS;
    if (this.#busy) this.#bytesSinceRest = 0;
    return this.#busy;
  }
}

export const isSilent = (silentForMs: number, limitMs: number): boolean => silentForMs > limitMs;

export type SilenceInput = {
  readonly silentForMs: number;
  /** Since we asked the server to say something; undefined: not asked since it last spoke. */
  readonly askedForMs: number | undefined;
  readonly limitMs: number;
};

/**
 * Half of the limit in silence: ask for a sign of life. Dead only after the limit, and half of it after the question:
 * a process that was itself stopped for a while has heard nothing either, and asks first.
 */
export function judgeSilence({ silentForMs, askedForMs, limitMs }: SilenceInput): 'alive' | 'ask' | 'dead' {
  if (!isSilent(silentForMs, limitMs / 2)) return 'alive';
  if (askedForMs === undefined) return 'ask';
  return isSilent(silentForMs, limitMs) && isSilent(askedForMs, limitMs / 2) ? 'dead' : 'alive';
}
