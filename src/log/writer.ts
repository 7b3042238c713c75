// The log's one writer: appends blocks, makes them durable in groups, rolls and retires segments.
import type { Lsn } from '../core/lsn.ts';
import type { BlockContext, LogIdentity } from './format.ts';
import type { LogSettings } from './settings.ts';
import type { LogSignals } from './signals.ts';

/** The history a block's transactions belong to (architecture: epochs). */
export type History = { readonly epoch: number; readonly timeline: number };

export type LogOptions = {
  readonly directory: string;
  readonly identity: LogIdentity;
  readonly settings: LogSettings;
  readonly signals: LogSignals;
  /** What `index` depends on (publications, origin, …). */
  readonly streamOptions: Readonly<Record<string, string>>;
  /** Of Tailrace, for the segment headers. */
  readonly version: string;
  /** Frames (R, e, Y) of every relation in force now: the opening of the next segment. */
  readonly prologue: () => Buffer;
};

/** What `openLog` found. */
export type Recovered = {
  /** A new log: nothing was there. */
  readonly created: boolean;
  readonly lastCommitLsn: Lsn;
  readonly lastEndLsn: Lsn;
  readonly epoch: number;
  readonly timeline: number;
  /** Bytes cut off: an unfinished transaction, a torn write. Postgres sends them again. */
  readonly cutBytes: number;
  /** Something known to be durable was bad and is cut: the caller proves that the slot covers it, or declares a gap. */
  readonly damaged: boolean;
  /** The numbering of row events inside a transaction may differ from before. Stays true until `remember`. */
  readonly streamOptionsChanged: boolean;
  /** The flush position last remembered; zero when there is none. */
  readonly flushed: Lsn;
};

export interface LogWriter {
  readonly recovered: Recovered;
  /** The context at the log's end: last LSNs; in a transaction its commit LSN, xid and next row index. */
  readonly context: BlockContext;
  readonly writtenEnd: number;
  /** `log.max_bytes`, resolved. */
  readonly maxBytes: number;
  /**
   * Writes `frames[0, length)`, whole frames, to the page cache, and wakes the readers. `frames` is free again
   * afterwards. An epoch's change abandons a transaction in progress. Throws TailraceError; the writer is over then.
   */
  append(frames: Buffer, length: number, history: History): void;
  /** Makes durable all that is appended; calls share one fdatasync. Resolves to the durable end. */
  sync(): Promise<number>;
  /** Stores the flush position durably (invariant 1), with the history, which is the last append's by default. */
  remember(state: { flushed: Lsn; history?: History }): Promise<void>;
  /** Deletes segments that nobody needs (everything below `settledOffset` is settled). Resolves to the bytes kept. */
  retain(settledOffset: number, nowMs: number): Promise<number>;
  /** Bytes on disk. */
  bytes(): number;
  close(): Promise<void>;
}

/** Recovers the log in `directory`, or makes one. */
export function openLog(_options: LogOptions): Promise<LogWriter> {
  throw new Error('being written');
}
