// Which transactions the stream has brought that a snapshot may not see yet. Pure.
//
// A commit is streamed as soon as its record is written, and visible only when the server has told it to everybody: it may wait for a
// synchronous standby meanwhile, for hours. What a snapshot read then is older than what the stream has brought.
import { sees, type Snapshot } from '../../../postgres/backfill/snapshot.ts';

const FIRST_LENGTH = 1024;

/** Four bytes a transaction, until a snapshot has seen it. */
export class StreamedTransactions {
  #xids = new Uint32Array(FIRST_LENGTH);
  #count = 0;
  /** How many had been brought before `#xids[0]`. */
  #dropped = 0;
  /** Running when this began to be kept: any of them may have been streamed before that. */
  readonly #suspects: Set<number>;

  /**
   * `atStart`: taken once every transaction that comes is kept. `begun`: no id at or above it was given out by then, 64 bits wide
   * (postgres/look.ts): those between have not ended either, and a snapshot does not name them.
   */
  constructor(atStart: Snapshot, begun: bigint) {
    this.#suspects = new Set(atStart.running);
    for (let xid = atStart.xmax; xid < begun; xid++) this.#suspects.add(Number(BigInt.asUintN(32, xid)));
  }

  /** The suspects among these had not been committed after every transaction was kept, or are no transactions of this database. */
  cleared(xids: readonly number[]): void {
    for (const xid of xids) this.#suspects.delete(xid);
  }

  /** Does one of the suspects have to be cleared, or to end, before a snapshot is believed? */
  get hasSuspects(): boolean {
    return this.#suspects.size > 0;
  }

  /** Their count so far: what was brought before has a smaller number. */
  get count(): number {
    return this.#dropped + this.#count;
  }

  /** How many are kept. */
  get kept(): number {
    return this.#count;
  }

  /** A transaction begins to come. */
  came(xid: number): void {
    if (this.#count === this.#xids.length) {
      const longer = new Uint32Array(this.#count * 2);
      longer.set(this.#xids);
      this.#xids = longer;
    }
    this.#xids[this.#count++] = xid;
    // It comes now: so it had not come before.
    if (this.#suspects.size > 0) this.#suspects.delete(xid);
  }

  /** Forgets those that this snapshot, and so every later one, sees. */
  shown(snapshot: Snapshot): void {
    for (const xid of this.#suspects) if (sees(snapshot, xid)) this.#suspects.delete(xid);
    // In order, so that a number goes on to mean the same: behind one that is not seen all stay.
    let seen = 0;
    while (seen < this.#count && sees(snapshot, this.#xids[seen]!)) seen++;
    if (seen === 0) return;
    this.#xids.copyWithin(0, seen, this.#count);
    this.#count -= seen;
    this.#dropped += seen;
  }

  /** Does the snapshot see all that had been brought when there were `count`? */
  areSeenBy(snapshot: Snapshot, count: number): boolean {
    for (const xid of this.#suspects) if (!sees(snapshot, xid)) return false;
    const end = Math.min(this.#count, count - this.#dropped);
    for (let i = 0; i < end; i++) if (!sees(snapshot, this.#xids[i]!)) return false;
    return true;
  }
}
