// How long live changes took lately, as threads tell each other: for each sink, and for the log itself, the newest samples, one writer each.

/** Samples that are kept of each. */
export const LATENCIES_KEPT = 512;
/** How many have come, and a ring of them. */
const FIELDS = 1 + LATENCIES_KEPT;
const MAX_US = 2 ** 31 - 1;

/** What has come since somebody looked last: in milliseconds, oldest first, and the count to look from the next time. */
export type LatenciesSeen = { readonly latencies: readonly number[]; readonly count: number };

export class LiveLatencies {
  readonly #values: Int32Array<SharedArrayBuffer>;

  static bytesFor(places: number): number {
    return places * FIELDS * Int32Array.BYTES_PER_ELEMENT;
  }

  constructor(buffer: SharedArrayBuffer, offset: number, places: number) {
    this.#values = new Int32Array(buffer, offset, places * FIELDS);
  }

  /** Called by the place's writer only. Between two clocks: what counts is how samples differ. */
  add(place: number, latencyMs: number): void {
    const values = this.#values;
    const base = place * FIELDS;
    const count = values[base]! >>> 0;
    values[base + 1 + (count % LATENCIES_KEPT)] = Math.max(
      -MAX_US,
      Math.min(MAX_US, Math.round(latencyMs * 1000)),
    );
    // Who sees the count sees what was written before it.
    Atomics.store(values, base, (count + 1) | 0);
  }

  /** Those that came behind the first `seen`, the newest `LATENCIES_KEPT` of them. */
  since(place: number, seen: number): LatenciesSeen {
    const base = place * FIELDS;
    const count = Atomics.load(this.#values, base) >>> 0;
    const came = Math.min(LATENCIES_KEPT, (count - seen) >>> 0);
    const latencies = Array.from({ length: came }, (_, i) => {
      const number = (count - came + i) >>> 0;
      return Atomics.load(this.#values, base + 1 + (number % LATENCIES_KEPT)) / 1000;
    });
    return { latencies, count };
  }
}
