// What one sink has received, and what its ledger has of it.

export class Received {
  readonly #ids = new Set<number>();
  /** Rows that may come again, once: something has happened since they came. */
  #mayRepeat = new Set<number>();
  /** Rows that may come again until the ledger has them. */
  readonly #unwritten = new Set<number>();
  /** Rows by the keys that they came with first. */
  readonly #byIdempotencyKey = new Map<string, number>();
  /** By key, the highest first delivery. */
  readonly #latest = new Map<string, number>();
  /** Answered and in the ledger, and of those what the disk has. */
  #written = new Set<number>();
  #durable = new Set<number>();
  /** The disk has it that they are settled, or had it in a ledger before this one. */
  #settled = new Set<number>();

  #isAtItsBeginning = false;

  /** It takes its place for the first time. */
  begins(): void {
    this.#isAtItsBeginning = true;
  }

  /** Has nothing happened since then that lets it begin elsewhere? */
  get isAtItsBeginning(): boolean {
    return this.#isAtItsBeginning;
  }

  has(id: number): boolean {
    return this.#ids.has(id);
  }

  isSettled(id: number): boolean {
    return this.#settled.has(id);
  }

  /** A queue that removes duplicates takes one row of a key. Answers what is wrong with that; undefined: nothing. */
  swallowed(id: number, idempotencyKey: string): string | undefined {
    const other = this.#byIdempotencyKey.get(idempotencyKey) ?? id;
    this.#byIdempotencyKey.set(idempotencyKey, other);
    return other === id ? undefined : `row ${id} came with the key of row ${other}: ${idempotencyKey}`;
  }

  /** A row is delivered. Answers what is wrong with that; undefined: nothing. `mayRepeat`, `mayBeLate`: that is explained. */
  delivered(
    id: number,
    key: string,
    explained: { readonly mayRepeat: boolean; readonly mayBeLate: () => boolean },
  ): string | undefined {
    const isUnwritten = this.#unwritten.has(id);
    this.#unwritten.add(id);
    if (this.#ids.has(id)) {
      const mayRepeat = isUnwritten || explained.mayRepeat || this.#mayRepeat.delete(id);
      return mayRepeat ? undefined : `row ${id} came again though its ledger had it`;
    }
    this.#ids.add(id);
    const latest = this.#latest.get(key) ?? 0;
    this.#latest.set(key, Math.max(id, latest));
    return id < latest && !explained.mayBeLate() ? `row ${id} came after row ${latest} of ${key}` : undefined;
  }

  written(ids: readonly number[]): void {
    for (const id of ids) {
      this.#written.add(id);
      this.#unwritten.delete(id);
    }
  }

  synced(): void {
    this.#durable = new Set(this.#written);
    for (const id of this.#written) this.#settled.add(id);
  }

  /** It may begin at an earlier place, with a new ledger: what came may come again. What it has settled is settled. */
  mayAllRepeat(): void {
    this.#mayRepeat = new Set(this.#ids);
    this.#isAtItsBeginning = false;
    this.#latest.clear();
    this.#written = new Set();
    this.#durable = new Set();
  }

  /** What the ledger says is not to be relied on. */
  ledgerGone(): void {
    this.mayAllRepeat();
    this.#settled = new Set();
  }

  /** The power went: the ledger has what was synced. */
  ledgerCut(): void {
    this.#written = new Set(this.#durable);
    this.#mayRepeat = new Set([...this.#ids].filter((id) => !this.#durable.has(id)));
  }
}
