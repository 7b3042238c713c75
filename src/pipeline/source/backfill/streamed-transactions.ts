// Which transactions the stream has brought that a snapshot may not see yet. Pure.
//
// A commit is streamed as soon as its record is written, and visible only when the server has told it to everybody: it may wait for a
// synchronous standby meanwhile, for hours. What a snapshot read then is older than what the stream has brought.
import { sees, type Snapshot } from '../../../postgres/backfill/snapshot.ts';

const FIRST_LENGTH = 1024;

/** Of a chunk; `ended`: its snapshot has been looked at. */
export type Statement = { ended(): void };

/** Four bytes a transaction, until a snapshot has seen it. */
export class StreamedTransactions {
  #xids = new Uint32Array(FIRST_LENGTH);
  #count = 0;
  /** How many had been brought before `#xids[0]`. */
  #dropped = 0;
  /** Running when this began to be kept: any of them may have been streamed before that. */
  readonly #suspects: Set<number>;
  /** Those that are under way. */
  readonly #statements = new Set<Statement>();
  /** What has been shown, but perhaps not to the statements in `#older`; and what has been shown since. */
  #shown: Snapshot | undefined;
  #older: Set<Statement> = new Set();
  #shownSince: Snapshot | undefined;

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

  /** A statement begins, whose snapshot nobody knows yet: what it may not see is not forgotten until it has ended. */
  statementBegins(): Statement {
    const statement: Statement = { ended: () => this.#statementEnded(statement) };
    this.#statements.add(statement);
    return statement;
  }

  #statementEnded(statement: Statement): void {
    this.#statements.delete(statement);
    if (this.#older.delete(statement)) this.#forget();
  }

  /** Forgets those that this snapshot sees, as every later one does; a statement that was begun before may have an earlier one. */
  shown(snapshot: Snapshot): void {
    this.#shownSince = snapshot;
    this.#forget();
  }

  #forget(): void {
    while (this.#older.size === 0) {
      if (this.#shown !== undefined) this.#drop(this.#shown);
      this.#shown = this.#shownSince;
      this.#shownSince = undefined;
      if (this.#shown === undefined) return;
      this.#older = new Set(this.#statements);
    }
  }

  #drop(snapshot: Snapshot): void {
    for (const xid of this.#suspects) if (sees(snapshot, xid)) this.#suspects.delete(xid);
    // In order, so that a number goes on to mean the same: behind one that is not seen all stay.
    let seen = 0;
    while (seen < this.#count && sees(snapshot, this.#xids[seen]!)) seen++;
    if (seen === 0) return;
    this.#xids.copyWithin(0, seen, this.#count);
    this.#count -= seen;
    this.#dropped += seen;
  }

  /** Does the snapshot, of a statement that has not ended here, see all that had been brought when there were `count`? */
  areSeenBy(snapshot: Snapshot, count: number): boolean {
    for (const xid of this.#suspects) if (!sees(snapshot, xid)) return false;
    const end = Math.min(this.#count, count - this.#dropped);
    for (let i = 0; i < end; i++) if (!sees(snapshot, this.#xids[i]!)) return false;
    return true;
  }
}
