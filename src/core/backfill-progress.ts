// How far a backfill is, over all its tables: rows, bytes, rate, and the time that it still takes, as far as anybody can know. Pure.
import type { Backfill, BackfillTableStatus } from './backfill.ts';

/** Counts as `TableProgress` has them. */
export type BackfillProgress = {
  readonly scanned: number;
  readonly appended: number;
  readonly dropped: number;
  readonly readAgain: number;
  readonly bytes: number;
  /** How many rows there are to look at. Undefined: of one of its tables nobody knows. */
  readonly estimatedRows?: number;
  /** Looked at in a second, pauses left out. Undefined: nothing has been read yet. */
  readonly rowsPerSecond?: number;
  /** Undefined: it does not run, or nobody knows; more rows may have come than there were. */
  readonly secondsLeft?: number;
};

export function progressOf({ state, tables = [] }: Pick<Backfill, 'state' | 'tables'>): BackfillProgress {
  const sum = (count: (table: BackfillTableStatus) => number): number =>
    tables.reduce((total, table) => total + count(table), 0);
  const counts = {
    scanned: sum(({ progress }) => progress.scanned),
    appended: sum(({ progress }) => progress.appended),
    dropped: sum(({ progress }) => progress.dropped),
    readAgain: sum(({ progress }) => progress.readAgain),
    bytes: sum(({ progress }) => progress.bytes),
  };
  const activeMs = sum(({ progress }) => progress.activeMs);
  const expected = tables.map(rowsOf);
  const isKnown = tables.length > 0 && !expected.includes(undefined);
  const estimatedRows = isKnown ? expected.reduce<number>((total, rows) => total + rows!, 0) : undefined;
  const rowsPerSecond = activeMs > 0 && counts.scanned > 0 ? counts.scanned / (activeMs / 1000) : undefined;
  const left = estimatedRows === undefined ? 0 : estimatedRows - counts.scanned;
  return {
    ...counts,
    ...(estimatedRows === undefined ? {} : { estimatedRows }),
    ...(rowsPerSecond === undefined ? {} : { rowsPerSecond }),
    ...(state === 'running' && rowsPerSecond !== undefined && left > 0
      ? { secondsLeft: left / rowsPerSecond }
      : {}),
  };
}

/** A backfill that may still read a row. `tailrace backfill show` has its tables. */
export type BackfillStatus = Pick<
  Backfill,
  'id' | 'sinks' | 'initial' | 'state' | 'reason' | 'heldBy' | 'pace' | 'createdAt'
> & { readonly progress: BackfillProgress };

/** What the status tells of it. */
export function backfillStatus(backfill: Backfill): BackfillStatus {
  const { limits: _limits, tables: _tables, database: _database, endedAt: _endedAt, ...told } = backfill;
  return { ...told, progress: progressOf(backfill) };
}

/** Of a table that has been read it is known how many there were. */
const rowsOf = ({ keyCount, progress }: BackfillTableStatus): number | undefined =>
  progress.endedAt === undefined ? (keyCount ?? progress.estimatedRows) : progress.scanned;
