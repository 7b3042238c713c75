// Backfills: what one is asked to read, what has become of it, and how far it is. Pure.
import type { TableName } from './selection.ts';

/**
 * waiting: nobody reads yet · running: it is being read · paused: somebody wants it so, and it goes on when they want that ·
 * completed, cancelled: for good, but that what was read of a history that is lost is read again · failed: the reason says what has to be mended before it is resumed.
 */
export type BackfillState = 'waiting' | 'running' | 'paused' | 'completed' | 'cancelled' | 'failed';

/** What each state may become. */
const NEXT: Readonly<Record<BackfillState, readonly BackfillState[]>> = {
  waiting: ['running', 'paused', 'cancelled', 'failed'],
  running: ['waiting', 'paused', 'completed', 'cancelled', 'failed'],
  paused: ['waiting', 'cancelled'],
  failed: ['waiting', 'cancelled'],
  completed: [],
  cancelled: [],
};

export const BACKFILL_STATES = Object.keys(NEXT) as readonly BackfillState[];

/** The states out of which it may come into this one. */
export const statesBefore = (state: BackfillState): readonly BackfillState[] =>
  BACKFILL_STATES.filter((before) => NEXT[before].includes(state));

/** Nothing follows. */
export const isOver = (state: BackfillState): boolean => NEXT[state].length === 0;

/** Connections that one backfill reads by, unless it says otherwise, and at most. */
export const DEFAULT_BACKFILL_WORKERS = 4;
export const MAX_BACKFILL_WORKERS = 16;

export type BackfillLimits = {
  /** No statement takes longer: chunks become as small as that needs. */
  readonly queryTimeoutMs: number;
  /** Chunks of a table that are read at once, each over a connection of its own. Undefined: as many as by default. */
  readonly workers?: number;
  readonly maxRowsPerSecond?: number;
  /** False: it is read at full speed, however long live changes take meanwhile. */
  readonly givesWay?: boolean;
};

export const workersOf = ({ workers = DEFAULT_BACKFILL_WORKERS }: BackfillLimits): number => workers;

export const givesWayOf = ({ givesWay = true }: BackfillLimits): boolean => givesWay;

/** Rows that one backfill may name by their keys: they are kept in the store. */
export const MAX_BACKFILL_KEYS = 100_000;

/** Which rows of a table. All conditions hold; none: all its rows. */
export type BackfillTableRequest = TableName & {
  /** The user's SQL, over the row's columns. */
  readonly where?: string;
  /** Rows whose column is at or above `from`, as Postgres text. The key orders the work all the same. */
  readonly sort?: { readonly column: string; readonly from?: string };
  /** These rows alone, each as the texts of its key, in the order of the key's columns. */
  readonly keys?: readonly (readonly string[])[];
  /** Keys that somebody has, as Postgres writes them: those that the table does not have are sent as deletes, behind its rows. */
  readonly gone?: readonly (readonly string[])[];
};

export type BackfillRequest = {
  readonly database: string;
  /** Whom the rows are for, by name: all of this database. */
  readonly sinks: readonly string[];
  /** Undefined: all that these sinks take, as the publication carries them when it begins. */
  readonly tables?: readonly BackfillTableRequest[];
  readonly limits: BackfillLimits;
};

/** How far the reading of one table is. Counts are of rows, since its backfill was asked for. */
export type TableProgress = {
  /** Where the reading goes on, as who reads it writes it down; undefined: at its beginning. */
  readonly cursor?: unknown;
  /** Looked at, wanted or not. */
  readonly scanned: number;
  /** Let into the log. */
  readonly appended: number;
  /** Left out, because the stream brought what is newer. */
  readonly dropped: number;
  /** Read once more. */
  readonly readAgain: number;
  /** Of the rows that were let in. */
  readonly bytes: number;
  /** How often it began anew: its rows had moved. */
  readonly restarts: number;
  /** How long it was read, pauses left out. */
  readonly activeMs: number;
  /** By the planner's statistics; undefined: it has none. */
  readonly estimatedRows?: number;
  /** ISO 8601. */
  readonly startedAt?: string;
  /** ISO 8601. Undefined: there is more to read. */
  readonly endedAt?: string;
  /** Why it ended before all was read. */
  readonly failure?: string;
  /** What is worth knowing: each once. */
  readonly notes: readonly string[];
};

/** One table of a backfill. Its keys stay in the store. */
export type BackfillTableStatus = Omit<BackfillTableRequest, 'keys' | 'gone'> & {
  readonly keyCount?: number;
  readonly goneCount?: number;
  readonly progress: TableProgress;
};

export type Backfill = Omit<BackfillRequest, 'tables'> & {
  /** Unlike that of any other, also of one in a data directory that was lost: keys of messages are made of it. */
  readonly id: string;
  /** A sink's first one, made because its configuration says so; else somebody asked for it. */
  readonly initial: boolean;
  readonly state: BackfillState;
  /** Why it is in this state, for people. */
  readonly reason?: string;
  /** What keeps it from going on by itself, for people; it goes on when that has passed. */
  readonly heldBy?: string;
  /** Rows a second that it reads while it gives way to live changes; undefined: it need not, or nobody knows yet. */
  readonly pace?: number;
  /** In the order in which they are read. Undefined: not known yet, which tables there are. */
  readonly tables?: readonly BackfillTableStatus[];
  /** ISO 8601. */
  readonly createdAt: string;
  /** ISO 8601. */
  readonly endedAt?: string;
};

export const NO_PROGRESS: TableProgress = {
  scanned: 0,
  appended: 0,
  dropped: 0,
  readAgain: 0,
  bytes: 0,
  restarts: 0,
  activeMs: 0,
  notes: [],
};
