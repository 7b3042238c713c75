// What rows have named: what was found of it is kept longer than its route is open, or each opening would ask for it.

/** The one used least recently is let go of for another. */
const MAX_KNOWN = 10_000;

export class KnownRoutes<Known> {
  readonly #known = new Map<string, Known>();
  #parts = 0;

  /** A beginning of ids for one who keeps other things here than others do by the same ids. */
  nextPart(): string {
    return `${this.#parts++} `;
  }

  get(id: string): Known | undefined {
    const known = this.#known.get(id);
    if (known === undefined) return undefined;
    this.#known.delete(id);
    this.#known.set(id, known);
    return known;
  }

  keep(id: string, known: Known): Known {
    this.#known.set(id, known);
    if (this.#known.size > MAX_KNOWN) this.#known.delete(this.#known.keys().next().value!);
    return known;
  }
}
