// How the stream of one connection joins the log: under which history it is written, and what of it is compared.
import type { Lsn } from '../../core/lsn.ts';
import type { TimelineHistory } from '../../core/timeline.ts';
import type { BeginComparison, PartedBegins } from './history/begins.ts';

/** What comes again is compared with the log, up to its end. */
export type Comparing = {
  readonly begins: BeginComparison;
  /** All that the server has of the log has come when it has sent everything before this. */
  readonly until: Lsn;
  /** Told once all of the log has come; throws when the histories part. */
  done(parted: PartedBegins | undefined): void;
};

/** How the stream of one connection joins the log. */
export type Joint = {
  readonly epoch: number;
  readonly history: TimelineHistory;
  readonly comparing?: Comparing | undefined;
  /** The histories part at the log's end: what is unfinished there the server does not have. Answers what to throw. */
  readonly endParts?: ((held: Lsn, got: Lsn) => Error) | undefined;
};
