// A backfill as the API, `tailrace backfill`, the status and scripts see it, whether the service runs or only its store is there.
import {
  givesWayOf,
  workersOf,
  type Backfill,
  type BackfillState,
  type BackfillTableStatus,
} from '../../core/backfill.ts';
import { progressOf } from '../../core/backfill-progress.ts';
import { formatTableName } from '../../core/selection.ts';

export type BackfillDocument = {
  readonly id: string;
  readonly sinks: readonly string[];
  readonly state: BackfillState;
  readonly reason: string | null;
  /** What keeps it from going on by itself. */
  readonly held_by: string | null;
  readonly initial: boolean;
  /** Looked at, wanted or not. */
  readonly rows: number;
  /** Let into the log: what its sinks get. */
  readonly rows_appended: number;
  readonly rows_dropped: number;
  readonly rows_read_again: number;
  readonly bytes: number;
  /** By the planner's statistics; null: not known. */
  readonly estimated_rows: number | null;
  readonly rows_per_second: number | null;
  readonly seconds_left: number | null;
  readonly query_timeout_ms: number;
  readonly workers: number;
  readonly max_rows_per_second: number | null;
  /** Do live changes go first? */
  readonly gives_way: boolean;
  /** Rows a second that it reads while it gives way to these; null: it need not, or nobody knows yet. */
  readonly pace_rows_per_second: number | null;
  /** ISO 8601. */
  readonly created_at: string;
  readonly ended_at: string | null;
  /** Null: not known yet, which there are. */
  readonly tables: readonly BackfillTableDocument[] | null;
};

export type BackfillTableDocument = {
  /** `schema.table`. */
  readonly table: string;
  readonly where: string | null;
  readonly sort_column: string | null;
  readonly start_position: string | null;
  /** How many rows are asked for by their keys; null: all are. */
  readonly keys: number | null;
  /** How many keys that somebody has are looked for: those that the table does not have come as deletes; null: none. */
  readonly looked_for: number | null;
  readonly rows: number;
  readonly rows_appended: number;
  readonly rows_dropped: number;
  readonly rows_read_again: number;
  readonly bytes: number;
  readonly estimated_rows: number | null;
  readonly restarts: number;
  readonly started_at: string | null;
  readonly ended_at: string | null;
  readonly failure: string | null;
  readonly notes: readonly string[];
};

export function backfillDocument(backfill: Backfill): BackfillDocument {
  const progress = progressOf(backfill);
  return {
    id: backfill.id,
    sinks: backfill.sinks,
    state: backfill.state,
    reason: backfill.reason ?? null,
    held_by: backfill.heldBy ?? null,
    initial: backfill.initial,
    rows: progress.scanned,
    rows_appended: progress.appended,
    rows_dropped: progress.dropped,
    rows_read_again: progress.readAgain,
    bytes: progress.bytes,
    estimated_rows: progress.estimatedRows ?? null,
    rows_per_second: progress.rowsPerSecond ?? null,
    seconds_left: progress.secondsLeft ?? null,
    query_timeout_ms: backfill.limits.queryTimeoutMs,
    workers: workersOf(backfill.limits),
    max_rows_per_second: backfill.limits.maxRowsPerSecond ?? null,
    gives_way: givesWayOf(backfill.limits),
    pace_rows_per_second: backfill.pace ?? null,
    created_at: backfill.createdAt,
    ended_at: backfill.endedAt ?? null,
    tables: backfill.tables?.map(tableDocument) ?? null,
  };
}

const tableDocument = (table: BackfillTableStatus): BackfillTableDocument => ({
  table: formatTableName(table),
  where: table.where ?? null,
  sort_column: table.sort?.column ?? null,
  start_position: table.sort?.from ?? null,
  keys: table.keyCount ?? null,
  looked_for: table.goneCount ?? null,
  rows: table.progress.scanned,
  rows_appended: table.progress.appended,
  rows_dropped: table.progress.dropped,
  rows_read_again: table.progress.readAgain,
  bytes: table.progress.bytes,
  estimated_rows: table.progress.estimatedRows ?? null,
  restarts: table.progress.restarts,
  started_at: table.progress.startedAt ?? null,
  ended_at: table.progress.endedAt ?? null,
  failure: table.progress.failure ?? null,
  notes: table.progress.notes,
});
