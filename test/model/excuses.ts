// Rows that may be missing without a gap, by design (docs/concepts.md): nobody looked, by somebody's own word.
import { DATABASE } from './process-options.ts';
import type { Row, Transaction } from './server-state.ts';
import type { PretendedServer } from './server.ts';
import type { ModelStore } from './store.ts';

type Rows = ReadonlyMap<number, { readonly row: Row; readonly transaction: Transaction }>;

export class Excuses {
  readonly #server: PretendedServer;
  /** All rows by their ids, and those that are in the log. */
  readonly #rows: Rows;
  readonly #isLogged: (id: number) => boolean;
  readonly #isStrict: boolean;
  /** By then the catalog had been looked at. */
  #lookedBy = 0;
  #follows: string | undefined;
  readonly #excused = new Set<number>();
  /** Nobody knows how the publication was between these: the looks went with the store. */
  readonly #blind: { readonly after: number; to: number }[] = [];

  constructor(
    server: PretendedServer,
    rows: {
      readonly all: Rows;
      readonly isLogged: (id: number) => boolean;
      readonly isStrict: boolean;
    },
  ) {
    this.#server = server;
    this.#rows = rows.all;
    this.#isLogged = rows.isLogged;
    this.#isStrict = rows.isStrict;
  }

  looked(store: ModelStore): void {
    this.#excuseUnread();
    this.#lookedBy = this.#server.world.commits;
    const last = this.#blind.at(-1);
    const { publications } = this.#server.state;
    // A publication that is narrow when it is seen for the first time is as somebody wants it.
    const isNarrow = publications.values().some(({ publishes }) => !publishes.includes('insert'));
    // One at a server that is not proved yet is not kept.
    const isKept = store.looks.newest(DATABASE) !== undefined;
    if (last?.to === Infinity && isKept && !isNarrow) last.to = this.#lookedBy;
  }

  /** Somebody follows another publication from now on: what was not read yet is what that one published, by their word. */
  followsAnother(publication: string, before: string): void {
    this.#follows = publication;
    // What the one before lost between the last look and now nobody looks for any more (see the known fault in found.test.ts).
    if (this.#isStrict) return;
    for (const { row, transaction } of this.#rows.values()) {
      const isSent = transaction.published[before]?.includes(row.id) === true;
      if (transaction.number > this.#lookedBy && !isSent) this.#excused.add(row.id);
    }
  }

  #excuseUnread(): void {
    if (this.#follows === undefined) return;
    for (const { row, transaction } of this.#rows.values()) {
      const isPublished = transaction.published[this.#follows]?.includes(row.id) === true;
      if (!isPublished && !this.#isLogged(row.id)) this.#excused.add(row.id);
    }
    this.#follows = undefined;
  }

  looksGone(): void {
    if (this.#blind.at(-1)?.to !== Infinity) this.#blind.push({ after: this.#lookedBy, to: Infinity });
  }

  /** Was it not published, and may nobody know of it? Deleting the store does that. */
  has({ number, published }: Transaction, { id }: Row): boolean {
    if (this.#excused.has(id)) return true;
    const isPublished = Object.values(published).every((ids) => ids?.includes(id) === true);
    return !isPublished && this.#blind.some(({ after, to }) => number > after && number <= to);
  }
}
