// Compares the rows of a transaction that comes again with what was logged of it: of a publication that was altered while the transaction
// was open, the server may send others (docs/concepts.md).
import { ZERO_LSN, type Lsn } from '../../core/lsn.ts';
import type { HeldRows } from '../../log/held-rows.ts';
import { RowDigest } from '../../pgoutput/row-digest.ts';
import { walStartIn } from '../../postgres/replication/input.ts';
import { isSameTransaction, type Begin } from './history/begins.ts';

type Compared = { readonly held: HeldRows; readonly digest: RowDigest };

export class ResentRows {
  #left: readonly Compared[];
  /** Of the first row that has come; zero: it is not known. */
  writtenFrom: Lsn = ZERO_LSN;

  constructor(held: readonly HeldRows[]) {
    this.#left = held.map((rows) => ({ held: rows, digest: new RowDigest() }));
  }

  /** The message of the row event `index` comes. */
  add(bytes: Buffer, start: number, end: number, index: number): void {
    if (index === 0) this.writtenFrom = walStartIn(bytes, start);
    for (const { held, digest } of this.#left) if (index >= held.firstRow) digest.add(bytes, start, end);
  }

  /** So many row events have come: are they those that were logged, as far as that has come? */
  judge(rows: number): 'same' | 'differs' | 'goes on' {
    const reached = this.#left.filter(({ held }) => rows >= held.rows);
    if (reached.some(({ held, digest }) => rows > held.rows || digest.end() !== held.digest))
      return 'differs';
    if (reached.length > 0) this.#left = this.#left.filter(({ held }) => rows < held.rows);
    return this.#left.length === 0 ? 'same' : 'goes on';
  }
}

/** Undefined: nothing was logged of this transaction. */
export function resentRows(held: readonly HeldRows[], begin: Begin): ResentRows | undefined {
  const own = held.filter((rows) => isSameTransaction(rows, begin));
  return own.length === 0 ? undefined : new ResentRows(own);
}
