// The log's one writer: appends blocks, makes them durable in groups, remembers the flush position, retires segments.
import { statfsSync, statSync, unlinkSync } from 'node:fs';
import { join } from 'node:path';
import { setImmediate } from 'node:timers/promises';
import { steadyMs } from '../core/clock.ts';
import { TailraceError } from '../core/errors.ts';
import { minLsn, ZERO_LSN, type Lsn } from '../core/lsn.ts';
import { MAX_PARTINGS, partedEnd, withParting, type Partings } from '../core/partings.ts';
import { makeDirectorySync } from '../data-directory/directory.ts';
import { beginLife, laterHistory, type History } from './birth.ts';
import { FILE_DEVICE, type LogDevice } from './device.ts';
import { abandonTransaction, advance, partedEndOf } from './context.ts';
import { fileError, readsNumbered, syncError, stateDamaged, tooManyPartings } from './errors.ts';
import type { BlockContext, LogBirth, LogIdentity } from './format.ts';
import {
  holdsTransactions,
  recoverSegments,
  surveySegments,
  type Hole,
  type RecoveredSegments,
} from './recovery.ts';
import { readHeldRows, type HeldRows } from './held-rows.ts';
import { expiredSegments } from './retention.ts';
import { SegmentChain } from './segment-chain.ts';
import { listSegments, readSegmentContext } from './segments.ts';
import type { LogSettings } from './settings.ts';
import type { LogSignals } from './signals.ts';
import { digestStreamOptions, EMPTY_STATE, STATE_FILE, StateFile, type LogState } from './state-file.ts';

export type { History } from './birth.ts';

export type LogOptions = {
  readonly directory: string;
  readonly identity: LogIdentity;
  readonly settings: LogSettings;
  readonly signals: LogSignals;
  /** What `index` depends on (publications, origin, …). */
  readonly streamOptions: Readonly<Record<string, string>>;
  /** Of Tailrace, for the segment headers. */
  readonly version: string;
  /** Of a log that is made now: every transaction committed at or above this will be in it. */
  readonly beganAt?: Lsn | undefined;
  /** The highest epoch that a ledger or the store knows of this database: the log goes on above it. None: -1. */
  readonly knownEpoch?: number;
  /** Frames (R, e, Y) of every relation in force now: the opening of the next segment. */
  readonly prologue: () => Buffer;
  /** The disk; tests make it fail. */
  readonly device?: LogDevice;
};

/** What `openLog` found. */
export type Recovered = {
  /** A new log: nothing was ever logged or flushed here. */
  readonly created: boolean;
  readonly lastCommitLsn: Lsn;
  readonly lastEndLsn: Lsn;
  readonly epoch: number;
  readonly timeline: number;
  /** Bytes cut off: an unfinished transaction, a torn write. Postgres sends them again. */
  readonly cutBytes: number;
  /** Nothing was remembered of a log that is there: its state file is missing, or empty. */
  readonly stateLost: boolean;
  /** Something known to be durable was bad and is cut: the caller proves that the slot covers it, or declares a gap. */
  readonly damaged: boolean;
  /** What is missing in the middle: files that somebody removed, or that the disk has cut. */
  readonly holes: readonly Hole[];
  /** Less of it is left than others know of: an older copy of itself, or one whose last epoch is lost to damage. */
  readonly behind: boolean;
  /** The numbering of row events inside a transaction may differ from before. Stays true until `remember`. */
  readonly streamOptionsChanged: boolean;
  /** The flush position last remembered; zero when there is none. */
  readonly flushed: Lsn;
  /** The last one that rested on deliveries alone: nothing up to it is needed any more. */
  readonly settled: Lsn;
};

export interface LogWriter {
  readonly recovered: Recovered;
  readonly birth: LogBirth;
  /** The context at the log's end: last LSNs; in a transaction its commit LSN, xid and next row index. */
  readonly context: BlockContext;
  readonly writtenEnd: number;
  /** `log.max_bytes`, resolved. */
  readonly maxBytes: number;
  /** Where the histories in the log parted. */
  readonly partings: Partings;
  /**
   * Writes `frames[0, length)`, whole frames, to the page cache, and wakes the readers. `frames` is free again
   * afterwards. An epoch's change abandons a transaction in progress. Throws TailraceError; the writer is over then, unless it
   * is something that passes (`mend: 'retry'`: a full disk, no descriptor free): `context` says what it has of the frames.
   */
  append(frames: Buffer, length: number, history: History): void;
  /** The number of the next row of a backfill, behind the last whole transaction: none is given out twice, whatever a power cut takes. */
  readonly readIndex: number;
  /** Are so many numbers from `readIndex` on remembered as given out? Before that, none of them may be appended. */
  hasNumbers(count: number): boolean;
  /** Remembers them as given out, durably. Throws LOG_READS_NUMBERED where there are no more. */
  reserveNumbers(count: number): Promise<void>;
  /**
   * What the log has of the transaction that it ends within, and what crashes have cut off of such ones: rows of them may be delivered. Reads
   * that transaction; nothing may be appended meanwhile. Throws LOG_CORRUPT.
   */
  held(): Promise<readonly HeldRows[]>;
  /** Makes durable all that is appended; calls share one fdatasync. Resolves to the durable end. */
  sync(): Promise<number>;
  /** Stores the flush position durably (invariant 1), with the history, which is the last append's by default. */
  remember(state: { flushed: Lsn; settled?: Lsn; history?: History }): Promise<void>;
  /**
   * The log goes on in another history, which has in common with it what was committed below `lsn`: remembered durably, with what
   * servers of that history were told, before anything of it is appended. The log's end is the parting from then on. Throws
   * LOG_PARTINGS when there are too many.
   */
  part(parting: { lsn: Lsn; flushed: Lsn; history: History }): Promise<void>;
  /** Deletes segments that nobody needs (everything below `settledOffset` is settled). Resolves to the bytes kept. */
  retain(settledOffset: number, nowMs: number): Promise<number>;
  /** Bytes on disk. */
  bytes(): number;
  close(): Promise<void>;
}

/** The state file may lag behind the durable end by this much: it is a lower bound. */
const STATE_INTERVAL_MS = 1000;
const DEFAULT_MAX_BYTES = 10 * 1024 ** 3;
/** Numbers that are remembered at once. */
const NUMBERS_AT_ONCE = 65_536;
/** What a position can hold, and the one behind it (format.ts). */
const MAX_NUMBER = 0xffff_fff0;

/** Recovers the log in `directory`, or makes one. Throws TailraceError. One writer a directory: see lock.ts. */
export async function openLog(options: LogOptions): Promise<LogWriter> {
  const { directory, identity, signals, version } = options;
  let state: StateFile | undefined;
  let writer: Writer | undefined;
  try {
    makeDirectorySync(directory);
    state = new StateFile(join(directory, STATE_FILE), version);
    const known = {
      directory,
      identity,
      birth: state.found?.birth,
      durableEnd: state.found?.durableEnd ?? 0,
    };
    // It was durable before the first transaction was logged. With none, a crash may have torn the first that was ever written.
    if (state.isDamaged && holdsTransactions(surveySegments(known)))
      throw stateDamaged(join(directory, STATE_FILE));
    const found = recoverSegments({ ...known, minimumEnd: signals.writtenEnd() });
    writer = new Writer(options, state, found);
    await writer.start();
    return writer;
  } catch (error) {
    // On a full disk, or without a free descriptor, it is tried again and again.
    writer?.abandon();
    state?.close();
    throw error instanceof TailraceError ? error : fileError(error, directory, 'open the change log in');
  }
}

class Writer implements LogWriter {
  readonly recovered: Recovered;
  readonly birth: LogBirth;
  readonly maxBytes: number;
  readonly #options: LogOptions;
  readonly #state: StateFile;
  readonly #streamOptions: string;
  readonly #chain: SegmentChain;
  #context: BlockContext;
  #durableEnd = 0;
  #remembered: LogState;
  readonly #cutOff: readonly HeldRows[];
  /** Before the log was opened, rows of backfills had numbers below this. */
  readonly #readsFrom: number;
  /** Those below it are durably remembered. */
  #numbersBelow: number;
  #notedAtMs = -Infinity;
  /** The sync begun last, and the one that waits behind it for everyone who asks meanwhile. */
  #lastSync: Promise<unknown> = Promise.resolve();
  #nextSync: Promise<number> | undefined;
  #failure: TailraceError | undefined;

  constructor(options: LogOptions, state: StateFile, found: RecoveredSegments) {
    const { directory, identity, version, settings, prologue, device = FILE_DEVICE } = options;
    this.#options = options;
    this.#state = state;
    this.#streamOptions = digestStreamOptions(options.streamOptions);
    const remembered = state.found ?? EMPTY_STATE;
    const isNew = isUnused(found, remembered);
    const { birth, history, isBehind } = beginLife(
      {
        birth: found.birth,
        isUnused: isNew,
        history: laterHistory(found.context, remembered),
        cutTo: found.damaged ? found.context.epoch : undefined,
      },
      options,
    );
    this.birth = birth;
    this.#remembered = { ...remembered, birth };
    this.#cutOff = found.held;
    this.#readsFrom = remembered.readsBelow;
    this.#numbersBelow = remembered.readsBelow;
    const context = { ...partedEndOf(found.context, remembered.partings), ...history };
    this.#context = context;
    this.recovered = this.#describe(found, isBehind);
    this.#chain = new SegmentChain(
      { directory, identity, birth, version, segmentBytes: settings.segmentBytes, device, prologue },
      { ...found, context },
    );
    this.maxBytes = resolveMaxBytes(options, this.bytes());
  }

  #describe(found: RecoveredSegments, behind: boolean): Recovered {
    const { lastCommitLsn, lastEndLsn, epoch, timeline } = this.#context;
    const { flushed, settled, streamOptions } = this.#remembered;
    const created = isUnused(found, this.#remembered);
    return {
      created,
      lastCommitLsn,
      lastEndLsn,
      epoch,
      timeline,
      cutBytes: found.cutBytes,
      stateLost: !created && this.#state.found === undefined,
      damaged: found.damaged,
      holes: found.holes,
      behind,
      streamOptionsChanged: !created && streamOptions !== this.#streamOptions,
      flushed,
      settled,
    };
  }

  /** Makes durable what recovery did, then shows the log to the readers. */
  async start(): Promise<void> {
    await this.sync();
    // The log has its life before anybody can read from it.
    if (this.recovered.created) await this.remember({ flushed: ZERO_LSN });
    else if (this.#state.found?.birth === undefined) await this.#state.save(this.#remembered);
    this.#options.signals.publishFirstOffset(this.#chain.firstOffset);
    this.#options.signals.publishPartings(this.partings);
    this.#publish();
  }

  get context(): BlockContext {
    return this.#context;
  }

  get writtenEnd(): number {
    return this.#chain.end;
  }

  get partings(): Partings {
    return this.#remembered.partings;
  }

  append(frames: Buffer, length: number, history: History): void {
    this.#assertAlive();
    if (length === 0) return;
    const before =
      history.epoch === this.#context.epoch
        ? { ...this.#context, timeline: history.timeline }
        : abandonTransaction(this.#context, history);
    const { context: after, unfinishedBegin = 0 } = advance(before, frames, 0, length);
    try {
      if (unfinishedBegin > 0) {
        // An unfinished transaction begins at the start of a block (format.ts), so that it can be cut off.
        const between = advance(before, frames, 0, unfinishedBegin).context;
        this.#chain.append(frames.subarray(0, unfinishedBegin), before);
        this.#context = between;
        this.#chain.append(frames.subarray(unfinishedBegin, length), between);
      } else {
        this.#chain.append(frames.subarray(0, length), before);
      }
      this.#context = after;
    } catch (error) {
      throw this.#fail(fileError(error, this.#chain.path, 'write'));
    } finally {
      this.#publish();
    }
  }

  #publish(): void {
    const { epoch, lastCommitLsn, lastEndLsn } = this.#context;
    this.#options.signals.publishAppend({ writtenEnd: this.#chain.end, epoch, lastCommitLsn, lastEndLsn });
  }

  async held(): Promise<readonly HeldRows[]> {
    const { inTransaction, lastCommitLsn } = this.#context;
    const cutOff = this.#cutOff.filter(({ commitLsn }) => commitLsn > lastCommitLsn);
    if (!inTransaction) return cutOff;
    const reading = readHeldRows(listSegments(this.#options.directory), this.#chain.end);
    for (;;) {
      const step = reading.next();
      if (step.done === true) return step.value === undefined ? cutOff : [...cutOff, step.value];
      await setImmediate();
    }
  }

  sync(): Promise<number> {
    if (this.#nextSync === undefined) {
      const next = (): Promise<number> => {
        this.#nextSync = undefined;
        return this.#syncNow();
      };
      const sync = this.#lastSync.then(next, next);
      this.#nextSync = sync;
      this.#lastSync = sync;
    }
    return this.#nextSync;
  }

  async #syncNow(): Promise<number> {
    this.#assertAlive();
    const { end, path } = this.#chain;
    if (end === this.#durableEnd) return end;
    try {
      await this.#chain.sync();
    } catch (error) {
      throw this.#fail(syncError(error, path));
    }
    this.#durableEnd = end;
    this.#options.signals.publishDurable(end);
    this.#noteDurableEnd();
    return end;
  }

  #noteDurableEnd(): void {
    const nowMs = steadyMs();
    if (nowMs - this.#notedAtMs < STATE_INTERVAL_MS) return;
    this.#notedAtMs = nowMs;
    this.#remembered = { ...this.#remembered, durableEnd: this.#durableEnd };
    try {
      this.#state.note(this.#remembered);
    } catch (error) {
      this.#fail(error);
      // It is a lower bound: the one noted before holds while there is no room for another.
      if (this.#failure !== undefined) throw error;
    }
  }

  async remember(state: { flushed: Lsn; settled?: Lsn; history?: History }): Promise<void> {
    this.#assertAlive();
    const { epoch, timeline } = state.history ?? this.#context;
    this.#remembered = {
      durableEnd: this.#durableEnd,
      flushed: state.flushed,
      settled: state.settled ?? this.#remembered.settled,
      epoch,
      timeline,
      streamOptions: this.#streamOptions,
      birth: this.birth,
      partings: this.partings,
      readsBelow: this.#remembered.readsBelow,
    };
    await this.#save();
  }

  get readIndex(): number {
    const { inTransaction, index } = this.#context;
    return Math.max(this.#readsFrom, inTransaction ? 0 : index);
  }

  hasNumbers(count: number): boolean {
    return this.readIndex + count <= this.#numbersBelow;
  }

  async reserveNumbers(count: number): Promise<void> {
    this.#assertAlive();
    const wanted = this.readIndex + count;
    if (wanted > MAX_NUMBER) throw readsNumbered(this.#options.directory);
    const readsBelow = Math.min(MAX_NUMBER, wanted + NUMBERS_AT_ONCE);
    if (readsBelow > this.#remembered.readsBelow) this.#remembered = { ...this.#remembered, readsBelow };
    await this.#save();
    this.#numbersBelow = Math.max(this.#numbersBelow, readsBelow);
  }

  async part({ lsn, flushed, history }: { lsn: Lsn; flushed: Lsn; history: History }): Promise<void> {
    this.#assertAlive();
    const { directory, signals } = this.#options;
    const partings = withParting(this.#presentPartings(), { epoch: history.epoch, lsn });
    if (partings.length > MAX_PARTINGS) throw tooManyPartings(directory);
    // What is lost is remembered as part of what is durable: nobody may take it for what the power took.
    await this.sync();
    const { settled } = this.#remembered;
    this.#remembered = {
      ...this.#remembered,
      ...history,
      durableEnd: this.#durableEnd,
      flushed,
      settled: minLsn(settled, lsn),
      partings,
    };
    await this.#save();
    this.#context = partedEnd(abandonTransaction(this.#context, history), { epoch: history.epoch, lsn });
    signals.publishQuiet({ offset: this.#chain.end, lsn, timeline: history.timeline });
    this.#publish();
    signals.publishPartings(partings);
  }

  /** Where there are too many: without those before everything that is retained. */
  #presentPartings(): Partings {
    const { partings } = this.#remembered;
    if (partings.length < MAX_PARTINGS) return partings;
    const first = listSegments(this.#options.directory)[0];
    const firstEpoch = (first && readSegmentContext(first)?.epoch) ?? 0;
    return partings.filter(({ epoch }) => epoch > firstEpoch);
  }

  async #save(): Promise<void> {
    try {
      await this.#state.save(this.#remembered);
    } catch (error) {
      throw this.#fail(error);
    }
  }

  async retain(settledOffset: number, nowMs: number): Promise<number> {
    this.#assertAlive();
    const { settings, signals } = this.#options;
    const expired = expiredSegments(this.#chain.earlier, {
      settledOffset,
      writtenBeforeMs: nowMs - settings.retentionMs,
      excessBytes: this.bytes() - this.maxBytes,
      lastWriteMs: (segment) => statSync(segment.path).mtimeMs,
    });
    for (const segment of expired) {
      unlinkSync(segment.path);
      this.#chain.dropFirst();
      signals.publishFirstOffset(this.#chain.firstOffset);
    }
    return this.bytes();
  }

  bytes(): number {
    return this.#chain.bytes;
  }

  /** Lets go of the segments; nobody has had it. */
  abandon(): void {
    this.#chain.close();
  }

  async close(): Promise<void> {
    try {
      if (this.#failure === undefined) {
        await this.sync();
        await this.#state.save({ ...this.#remembered, durableEnd: this.#durableEnd });
      }
    } finally {
      this.#failure ??= new TailraceError('the change log is closed', {
        code: 'LOG_CLOSED',
        kind: 'fatal',
        mend: 'restart',
      });
      this.#chain.close();
      this.#state.close();
    }
  }

  #assertAlive(): void {
    if (this.#failure !== undefined) throw this.#failure;
  }

  /** Ends the writer: what is on the disk is unknown now, only recovery can tell. Where something was lacking, nothing was written. */
  #fail(error: unknown): unknown {
    if (error instanceof TailraceError && error.mend !== 'retry') this.#failure ??= error;
    return error;
  }
}

/** Was nothing ever logged or flushed here? */
const isUnused = (found: RecoveredSegments, state: LogState): boolean =>
  found.context.lastEndLsn === ZERO_LSN && state.flushed === ZERO_LSN && !found.damaged;

/** `log.max_bytes`; 0 stands for 10 GB, or half of the disk that is free or ours if that is less. */
function resolveMaxBytes({ directory, settings }: LogOptions, ownBytes: number): number {
  if (settings.maxBytes > 0) return settings.maxBytes;
  const disk = statfsSync(directory);
  return Math.min(DEFAULT_MAX_BYTES, Math.floor((disk.bavail * disk.bsize + ownBytes) / 2));
}
