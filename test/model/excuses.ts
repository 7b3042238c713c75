// Rows that may be missing without a gap, by somebody's own word (docs/concepts.md).
import type { Row, Transaction } from './server-state.ts';

type Rows = ReadonlyMap<number, { readonly row: Row; readonly transaction: Transaction }>;

export class Excuses {
  /** All rows by their ids, and those that are in the log. */
  readonly #rows: Rows;
  readonly #isLogged: (id: number) => boolean;
  #follows: string | undefined;
  readonly #excused = new Set<number>();

  constructor({ all, isLogged }: { readonly all: Rows; readonly isLogged: (id: number) => boolean }) {
    this.#rows = all;
    this.#isLogged = isLogged;
  }

  looked(): void {
    this.#excuseUnread();
  }

  /** Somebody follows another publication from now on: what was not read yet is what that one published, by their word. */
  followsAnother(publication: string): void {
    this.#follows = publication;
  }

  #excuseUnread(): void {
    if (this.#follows === undefined) return;
    for (const { row, transaction } of this.#rows.values()) {
      const isPublished = transaction.published[this.#follows]?.includes(row.id) === true;
      if (!isPublished && !this.#isLogged(row.id)) this.#excused.add(row.id);
    }
    this.#follows = undefined;
  }

  has({ id }: Row): boolean {
    return this.#excused.has(id);
  }
}
