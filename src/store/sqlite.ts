// The rare things, in one SQLite file: what is remembered of sinks, dead letters, what was skipped, which tables joined,
// gaps, looks, renumbered transactions, partings, moves to another server, slots on standbys, shapes of tables, backfills,
// rewinds of rows.
import { statSync } from 'node:fs';
import { DatabaseSync } from 'node:sqlite';
import { TailraceError } from '../core/errors.ts';
import { prepareSqliteFile } from '../data-directory/files.ts';
import { Backfills } from './backfills.ts';
import { DeadLetters } from './dead-letters.ts';
import { requireSound, storeCure } from './errors.ts';
import { Gaps } from './gaps.ts';
import { Handovers } from './handovers.ts';
import { Looks } from './looks.ts';
import { PartingRecords } from './partings.ts';
import { Renumbered } from './renumbered.ts';
import { RowRewinds } from './row-rewinds.ts';
import { migrate } from './schema.ts';
import { SinkRecords } from './sink-records.ts';
import { SkippedTransactions } from './skipped-transactions.ts';
import { StandbySlots } from './standby-slots.ts';
import { StreamedTables } from './streamed-tables.ts';
import { UsedShapes } from './used-shapes.ts';

const BUSY_TIMEOUT_MS = 10_000;
/** Read in a moment. */
const MAX_CHECKED_BYTES = 64 * 1024 * 1024;
/** Of a thread that delivers, all sinks wait with the one that writes; of one that reads, the replies to Postgres do. */
export const SHORT_BUSY_TIMEOUT_MS = 1000;

export type Store = {
  /** There was nothing in it before. */
  readonly isNew: boolean;
  readonly sinks: SinkRecords;
  readonly deadLetters: DeadLetters;
  readonly skipped: SkippedTransactions;
  readonly streamedTables: StreamedTables;
  readonly gaps: Gaps;
  readonly looks: Looks;
  readonly renumbered: Renumbered;
  readonly partings: PartingRecords;
  readonly handovers: Handovers;
  readonly standbySlots: StandbySlots;
  readonly usedShapes: UsedShapes;
  readonly backfills: Backfills;
  readonly rowRewinds: RowRewinds;
  close(): void;
};

/**
 * Opens the store's file, making it or migrating it. Several threads may have it open. `busyTimeoutMs`: how long a write waits
 * for others, and its thread with it; opening and migrating wait longer. `check`: its structure is looked through, unless that would
 * take long: what is damaged is found when it is needed then. Throws STORE_UNUSABLE, STORE_VERSION.
 */
export function openStore(
  file: string,
  {
    busyTimeoutMs = BUSY_TIMEOUT_MS,
    check = false,
  }: { readonly busyTimeoutMs?: number; readonly check?: boolean } = {},
): Store {
  let db: DatabaseSync | undefined;
  let isNew: boolean;
  try {
    prepareSqliteFile(file);
    db = new DatabaseSync(file, { timeout: BUSY_TIMEOUT_MS });
    // A dead letter is durable before its change counts as settled (architecture §6).
    db.exec('pragma journal_mode = wal; pragma synchronous = full');
    if (check && statSync(file).size <= MAX_CHECKED_BYTES) requireSound(db);
    isNew = migrate(db, file);
    db.exec(`pragma busy_timeout = ${busyTimeoutMs}`);
  } catch (cause) {
    db?.close();
    if (cause instanceof TailraceError) throw cause;
    throw new TailraceError(`the store ${file} cannot be opened: ${(cause as Error).message}`, {
      code: 'STORE_UNUSABLE',
      kind: 'fatal',
      hint: storeCure(cause),
      cause,
    });
  }
  return {
    isNew,
    sinks: new SinkRecords(db),
    deadLetters: new DeadLetters(db),
    skipped: new SkippedTransactions(db),
    streamedTables: new StreamedTables(db),
    gaps: new Gaps(db),
    looks: new Looks(db),
    renumbered: new Renumbered(db),
    partings: new PartingRecords(db),
    handovers: new Handovers(db),
    standbySlots: new StandbySlots(db),
    usedShapes: new UsedShapes(db),
    backfills: new Backfills(db),
    rowRewinds: new RowRewinds(db),
    close: () => db.close(),
  };
}
