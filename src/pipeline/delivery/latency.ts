// Commit-to-accepted latency over the last minute: a sample of fixed size, quantiles when asked.

const SAMPLES = 2048;
const WINDOW_MS = 60_000;

export type LatencyQuantiles = { readonly p50: number; readonly p99: number; readonly max: number };

/** Keeps the newest samples, at most `SAMPLES` of them. */
export class LatencyWindow {
  readonly #at = new Float64Array(SAMPLES);
  readonly #value = new Float64Array(SAMPLES);
  #next = 0;
  #count = 0;

  add(nowMs: number, latencyMs: number): void {
    this.#at[this.#next] = nowMs;
    this.#value[this.#next] = latencyMs;
    this.#next = (this.#next + 1) % SAMPLES;
    if (this.#count < SAMPLES) this.#count++;
  }

  /** Milliseconds; undefined when nothing was delivered in the last minute. */
  quantiles(nowMs: number): LatencyQuantiles | undefined {
    let count = 0;
    for (let i = 0; i < this.#count; i++) {
      if (nowMs - this.#at[i]! <= WINDOW_MS) IN_ORDER[count++] = this.#value[i]!;
    }
    if (count === 0) return undefined;
    IN_ORDER.subarray(0, count).sort();
    const at = (share: number): number => IN_ORDER[Math.min(count - 1, Math.floor(count * share))]!;
    return { p50: at(0.5), p99: at(0.99), max: IN_ORDER[count - 1]! };
  }
}

/** Asked twice a second of every sink. */
const IN_ORDER = new Float64Array(SAMPLES);
