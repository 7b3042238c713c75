// Queues and topics that rows have named: what was found of them is kept longer than their routes are open, or each opening would ask for it.

/** The one used least recently is let go of for another. */
const MAX_KNOWN = 10_000;

export class KnownRoutes<Known> {
  readonly #make: (id: string) => Known;
  readonly #known = new Map<string, Known>();

  constructor(make: (id: string) => Known) {
    this.#make = make;
  }

  get(id: string): Known {
    const known = this.#known.get(id) ?? this.#make(id);
    this.#known.delete(id);
    this.#known.set(id, known);
    if (this.#known.size > MAX_KNOWN) this.#known.delete(this.#known.keys().next().value!);
    return known;
  }
}
