// Messages whose time ran out, on their way through the core (retry, attempts, dead letters): they come back in a moment,
// and what is later waits for them that long.

/** Those that became dead letters do not come back. */
const MAX_WAY_MS = 100;

export class Returns {
  readonly #ids = new Set<string>();
  #all: PromiseWithResolvers<void> | undefined;
  #timer: NodeJS.Timeout | undefined;

  leave(ids: Iterable<string>): void {
    for (const id of ids) this.#ids.add(id);
    if (this.#ids.size === 0) return;
    this.#all ??= Promise.withResolvers();
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.close(), MAX_WAY_MS);
  }

  comeBack(id: string): void {
    if (this.#ids.delete(id) && this.#ids.size === 0) this.close();
  }

  /** Resolves when all are back, or do not come; undefined: none is on its way. */
  get all(): Promise<void> | undefined {
    return this.#all?.promise;
  }

  /** Nothing is waited for any more. */
  close(): void {
    clearTimeout(this.#timer);
    this.#ids.clear();
    this.#all?.resolve();
    this.#all = undefined;
  }
}
