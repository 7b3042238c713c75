// Which Relation message is in force behind a transaction that was spooled: the one that the server sent last, not the one read last.
//
// A spool is read back at its commit, with relations from long before that. Where the server has described a table anew meanwhile (a
// publication's column list was altered, which locks nobody out), it takes that for known and does not send it again.

/** A Relation message, as the connection counts them. */
export type Described = { readonly number: number; readonly message: Buffer };

/** Bounded as the relations in force are: one message a relation. */
export class RelationOrder {
  readonly #inForce = new Map<number, Described>();
  #number = 0;

  /** A number for a Relation message that has come: they count up. */
  next(): number {
    return ++this.#number;
  }

  /** It has come outside of transactions in progress, and is in force. */
  came(id: number, message: Buffer): void {
    this.#inForce.set(id, { number: this.next(), message });
  }

  /**
   * A spool was read back, with these as its last ones by relation. Answers what has to be in force again behind it: what the server
   * sent later.
   */
  readBack(last: ReadonlyMap<number, Described>): readonly Buffer[] {
    const again: Buffer[] = [];
    for (const [id, described] of last) {
      const later = this.#inForce.get(id);
      if (later === undefined || later.number < described.number) this.#inForce.set(id, described);
      else if (!later.message.equals(described.message)) again.push(later.message);
    }
    return again;
  }
}
