// How the stream of one connection joins the log: under which history it is written, and what of it is compared.
import type { Lsn } from '../../core/lsn.ts';
import type { TimelineHistory } from '../../core/timeline.ts';
import type { BeginComparison } from './history/begins.ts';

/** What comes again is compared with the log, up to its end. */
export type Comparing = {
  readonly begins: BeginComparison;
  /** Told once all of the log has come; throws when the histories part. */
  done(partedAt: Lsn | undefined): void;
};

/** How the stream of one connection joins the log. */
export type Joint = {
  readonly epoch: number;
  readonly history: TimelineHistory;
  readonly comparing?: Comparing | undefined;
};
