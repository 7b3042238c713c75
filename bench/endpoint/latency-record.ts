// Every latency of a measurement, kept as it is: quantiles of the whole, not of a sample.

export type LatencyFigures = {
  readonly count: number;
  readonly p50: number;
  readonly p99: number;
  readonly max: number;
  /** Milliseconds at each of `QUANTILES`. */
  readonly distribution: readonly number[];
};

/** Where the distribution is told: dense where the tail is. */
export const QUANTILES: readonly number[] = [
  0, 0.01, 0.05, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95, 0.98, 0.99, 0.995, 0.998, 0.999, 0.9995, 1,
];

const FIRST_SAMPLES = 4096;

export class LatencyRecord {
  #samples = new Float64Array(FIRST_SAMPLES);
  #count = 0;

  add(ms: number): void {
    if (this.#count === this.#samples.length) {
      const larger = new Float64Array(this.#samples.length * 2);
      larger.set(this.#samples);
      this.#samples = larger;
    }
    this.#samples[this.#count++] = ms;
  }

  figures(): LatencyFigures | undefined {
    if (this.#count === 0) return undefined;
    const sorted = this.#samples.slice(0, this.#count).sort();
    const at = (quantile: number): number => sorted[Math.max(0, Math.ceil(quantile * sorted.length) - 1)]!;
    return {
      count: this.#count,
      p50: at(0.5),
      p99: at(0.99),
      max: at(1),
      distribution: QUANTILES.map(at),
    };
  }
}
