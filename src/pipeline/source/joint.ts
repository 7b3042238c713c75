// How the stream of one connection joins the log: under which history it is written, and what of it is compared.
import type { Lsn } from '../../core/lsn.ts';
import type { TimelineHistory } from '../../core/timeline.ts';
import type { HeldRows } from '../../log/held-rows.ts';
import type { BeginComparison, PartedBegins } from './history/begins.ts';

/** What comes again is compared with the log, up to its end. */
export type Comparing = {
  readonly begins: BeginComparison;
  /** All that the server has of the log has come when it has sent everything before this. */
  readonly until: Lsn;
  /** Told once all of the log has come; throws when the histories part. */
  done(parted: PartedBegins | undefined): void;
};

/** What was logged of transactions that will come again. */
export type Held = {
  readonly rows: readonly HeldRows[];
  /** One of them has come with other rows, or with none. On record when it returns; throws when it cannot be recorded. */
  differs(transaction: DifferingTransaction): void;
};

export type DifferingTransaction = {
  readonly xid: number;
  readonly commitLsn: Lsn;
  /** Of its first row that has come, where in the WAL that was written; zero: it is not known. */
  readonly writtenFrom: Lsn;
};

/** How the stream of one connection joins the log. */
export type Joint = {
  readonly epoch: number;
  readonly history: TimelineHistory;
  readonly comparing?: Comparing | undefined;
  readonly held?: Held | undefined;
  /** The histories part at the log's end: what is unfinished there the server does not have. Answers what to throw. */
  readonly endParts?: ((held: Lsn, got: Lsn) => Error) | undefined;
};
