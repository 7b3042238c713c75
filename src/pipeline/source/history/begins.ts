// Compares the transactions that a server sends again with those in the log: the first that differs or is missing is where the
// histories part. Pure.
import { minLsn, toLsn, ZERO_LSN, type Lsn } from '../../../core/lsn.ts';

export type Begin = { readonly commitLsn: Lsn; readonly commitTimeUs: bigint; readonly xid: number };

/** With the time: a server that went back to an earlier state gives place and id to another transaction. */
export const isSameTransaction = (a: Begin, b: Begin): boolean =>
  a.commitLsn === b.commitLsn && a.xid === b.xid && a.commitTimeUs === b.commitTimeUs;

/** The server has another transaction than the log, or none, at `at`. */
export type PartedBegins = {
  readonly at: Lsn;
  /** What was committed below it is common to both, and nothing else; undefined: there was nothing in common that could tell. */
  readonly lsn: Lsn | undefined;
};

/** Of the transactions since the last common one, so many are known by their ids. A history that parts gives out ids anew at once. */
const MAX_ALONE = 1000;

/**
 * A difference counts only if it lasts up to the log's end: two histories that have a later transaction in common (place, id
 * and time) have all before it in common, whatever the server skipped.
 */
export class BeginComparison {
  readonly #logged: Iterator<Begin>;
  readonly #lastCommitLsn: Lsn;
  readonly #mayMiss: boolean;
  readonly #wholeAfter: Lsn | undefined;
  #next: Begin | undefined;
  #partedAt: Lsn | undefined;
  /** Where publications differ: by id, transactions that only the server sent, or only the log has, since the last common one. */
  readonly #alone = new Map<number, Lsn>();
  /** The last transaction that both have; undefined: none has come yet. */
  #common: Lsn | undefined;
  #hasMissed = false;

  /**
   * `logged`: of the log, from where the server begins; `lastCommitLsn`: of its last whole transaction; `mayMiss`: another
   * publication than before may leave transactions out; `wholeAfter`: the log has retained all that was committed above it.
   */
  constructor(
    logged: Iterable<Begin>,
    lastCommitLsn: Lsn,
    {
      mayMiss = false,
      wholeAfter,
    }: { readonly mayMiss?: boolean; readonly wholeAfter?: Lsn | undefined } = {},
  ) {
    this.#logged = logged[Symbol.iterator]();
    this.#lastCommitLsn = lastCommitLsn;
    this.#mayMiss = mayMiss;
    this.#wholeAfter = wholeAfter;
    this.#advance();
  }

  /** A transaction comes; one behind the log's end says that all of the log has come. */
  came(begin: Begin): void {
    if (begin.commitLsn > this.#lastCommitLsn) return;
    while (this.#next !== undefined && this.#next.commitLsn < begin.commitLsn) this.#isMissing(this.#next);
    const { commitLsn, commitTimeUs, xid } = this.#next ?? begin;
    if (this.#next === undefined || begin.commitLsn < commitLsn) {
      if (this.#mayMiss) this.#isAlone(begin);
      // What the log held before may be retired.
      else if (this.#wholeAfter !== undefined && begin.commitLsn > this.#wholeAfter)
        this.#partedAt ??= begin.commitLsn;
      return;
    }
    if (begin.xid === xid && begin.commitTimeUs === commitTimeUs) {
      this.#partedAt = undefined;
      this.#alone.clear();
      this.#common = commitLsn;
      this.#hasMissed = false;
      this.#advance();
    } else {
      this.#differs(this.#next);
    }
  }

  /** Everything up to the log's end has come. Answers where the histories part; undefined: they do not. */
  end(): PartedBegins | undefined {
    while (this.#next !== undefined) this.#isMissing(this.#next);
    this.close();
    if (this.#partedAt === undefined) return undefined;
    // Of what another publication leaves out it is not known whether the server has it. Without anything in common, the slot may
    // have been made behind the place where the histories part.
    const isKnown = !this.#mayMiss && this.#common !== undefined;
    return { at: this.#partedAt, lsn: isKnown ? toLsn(this.#common! + 1n) : undefined };
  }

  /** Has the server sent the transaction that the log ends with? */
  get hasAll(): boolean {
    return this.#common === this.#lastCommitLsn;
  }

  /** Lets go of the log's files. */
  close(): void {
    this.#logged.return?.();
  }

  /**
   * At the end: what was left out, perhaps rightly, was the last that the log holds, so nothing shows that the server has it.
   * Answers the last transaction that both are known to have, zero for none; undefined: the histories are one up to the log's end.
   */
  get unprovedAfter(): Lsn | undefined {
    return this.#hasMissed ? (this.#common ?? ZERO_LSN) : undefined;
  }

  #isMissing(begin: Begin): void {
    if (!this.#mayMiss) return this.#differs(begin);
    this.#isAlone(begin);
    this.#hasMissed = true;
    this.#advance();
  }

  /** No history has two transactions of one id. */
  #isAlone({ xid, commitLsn }: Begin): void {
    const other = this.#alone.get(xid);
    if (other !== undefined && other !== commitLsn) this.#partedAt ??= minLsn(other, commitLsn);
    else if (this.#alone.size < MAX_ALONE) this.#alone.set(xid, commitLsn);
  }

  #differs({ commitLsn }: Begin): void {
    this.#partedAt ??= commitLsn;
    this.#advance();
  }

  #advance(): void {
    const { done, value } = this.#logged.next() as IteratorResult<Begin, undefined>;
    this.#next =
      done === true || value === undefined || value.commitLsn > this.#lastCommitLsn ? undefined : value;
  }
}
