// Since when a value has not moved: what every question for a stall begins with. Pure.

/** Told of a value now and again; answers for how long it has been the same. */
export class Still<Value> {
  #value: Value | undefined;
  #sinceMs: number | undefined;

  forMs(value: Value, nowMs: number): number {
    if (this.#sinceMs === undefined || value !== this.#value) {
      this.#value = value;
      this.#sinceMs = nowMs;
    }
    return nowMs - this.#sinceMs;
  }
}
