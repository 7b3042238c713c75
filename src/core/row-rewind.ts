// Rewinds of rows: the changes of some rows that a sink is sent again from the log, and how far that is. Pure.
import type { Position } from './position.ts';
import type { TableName } from './selection.ts';

/** Which rows. */
export type FollowedRequest = TableName & {
  /** Names of the columns that rows are told apart by. */
  readonly key: readonly string[];
  /** Each row by the texts of its key, as Postgres writes them. */
  readonly keys: readonly (readonly string[])[];
};

/** running: also while its sink does not run, or others of it go first · failed: the reason says why not all came again. */
export type RowRewindState = 'running' | 'completed' | 'failed' | 'cancelled';

export type RowRewind = {
  /** Unlike that of any other in this store: deduplication ids are made of it. */
  readonly id: number;
  readonly database: string;
  readonly sink: string;
  readonly request: FollowedRequest;
  readonly state: RowRewindState;
  readonly reason?: string;
  /** What the log had when it was asked for. */
  readonly rows: number;
  readonly changes: number;
  /** Sent, and settled. */
  readonly sent: number;
  /** All before it is settled; undefined: nothing is. */
  readonly place?: Position;
  /** ISO 8601. */
  readonly askedAt: string;
  readonly endedAt?: string;
};

/** As the status of a sink shows the one under way. */
export type RowRewindStatus = {
  readonly id: number;
  /** `schema.table`. */
  readonly table: string;
  readonly rows: number;
  /** That the log had when it was asked for: what came since, and is sent again with them, is not among them. */
  readonly changes: number;
  readonly sent: number;
};
