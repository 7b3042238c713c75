// What one sink has settled: a cursor, and above it everything up to a head but for the holes between, in an append-only
// file with checksums (ledger/format.ts).
//
// Between two compactions a record names what settles. Compaction names what has not: that is bounded by the sink's memory
// (max_parked, max_buffered), however long one message holds the cursor back and however much settles above it.
import { closeSync, ftruncateSync } from 'node:fs';
import type { SettledPart } from '../core/change.ts';
import { TailraceError } from '../core/errors.ts';
import type { LogLife } from '../core/log-life.ts';
import type { Lsn } from '../core/lsn.ts';
import { comparePositions, type Position } from '../core/position.ts';
import { shortageOf } from '../core/shortages.ts';
import { copyOf, encodeFile, startingAt, type LedgerSnapshot, type SettledChange } from './ledger/anew.ts';
import { LEDGER_FILES, replaceFile, writeFully, type LedgerFiles } from './ledger/files.ts';
import {
  CURSOR_BYTES,
  endRecord,
  PART_RECORD,
  RANGE_BYTES,
  RANGES_HEADER_BYTES,
  RECORD,
  RECORD_HEADER_BYTES,
  writeCursor,
  type Cursor,
  type LedgerIdentity,
} from './ledger/format.ts';
import type { StoredLedger } from './ledger/replay.ts';
import { Restored } from './ledger/restored.ts';

export type { LedgerSnapshot, SettledChange } from './ledger/anew.ts';
export type { Cursor, LedgerIdentity } from './ledger/format.ts';
export { highestEpochIn, readLedger, type LedgerOwner, type StoredLedger } from './ledger/replay.ts';

/**
 * The file is made anew when it has grown to this size, or to several times what it was then. Made anew it has some hundred
 * bytes and `HOLE_BYTES` for each unsettled message: with 100,000 parked ones 2 MB, so 8 MB and what one second settles
 * are the most that a ledger is (docs/operations.md).
 */
const COMPACT_BYTES = 1024 * 1024;
const COMPACT_FACTOR = 4;
const WRITE_BUFFER_BYTES = 64 * 1024;
const PREFIX_BYTES = 1 + CURSOR_BYTES;

/** Invariant 2: the cursor never moves back and never passes an unsettled change. */
export class Ledger {
  readonly #file: string;
  readonly #identity: LedgerIdentity;
  readonly #files: LedgerFiles;
  /** What the last process had settled; undefined once nobody can ask for it any more. */
  #restored: Restored | undefined;
  readonly #restoredEnd: Position;
  #fd: number;
  /** End of the last whole record in the file: the next one is written there, whatever a failed write left behind it. */
  #size: number;
  #syncedSize: number;
  /** When it was last compacted. Of what the last process left, all may be due. */
  #baseSize = 0;
  #buffer = Buffer.allocUnsafe(WRITE_BUFFER_BYTES);
  #length = 0;
  /** After a failed sync nobody knows what the disk has: the ledger is over, and read again by who opens it next. */
  #failure: TailraceError | undefined;

  /** The file is durable up to `size`. */
  constructor(
    file: string,
    identity: LedgerIdentity,
    opened: { fd: number; size: number; restored: Restored | undefined; end: Position },
    files: LedgerFiles,
  ) {
    this.#file = file;
    this.#identity = identity;
    this.#files = files;
    this.#restored = opened.restored;
    this.#restoredEnd = opened.end;
    this.#fd = opened.fd;
    this.#size = opened.size;
    this.#syncedSize = opened.size;
  }

  /** Was this change settled before the restart? Only of use while reading up to where the last process had read. */
  wasSettled(epoch: number, commitLsn: Lsn, index: number): boolean {
    return this.#restored?.has(epoch, commitLsn, index) === true;
  }

  /** Was this part of it settled before the restart? */
  wasPartSettled(part: SettledPart, epoch: number, commitLsn: Lsn, index: number): boolean {
    return this.#restored?.hasPart(part, epoch, commitLsn, index) === true;
  }

  /** Is there nothing left to ask `wasSettled` for, from this position on? Then it is forgotten. */
  isPastRestored(position: Position): boolean {
    if (comparePositions(position, this.#restoredEnd) <= 0) return false;
    this.#restored?.close();
    this.#restored = undefined;
    return true;
  }

  /** Records changes as settled. They are written with the next `write`. */
  settle(changes: readonly SettledChange[]): void {
    for (let from = 0; from < changes.length;) from = this.#settleEpoch(RECORD.ranges, changes, from);
  }

  /** Records that of these changes one part is settled, and another is not. */
  settleParts(part: SettledPart, changes: readonly SettledChange[]): void {
    for (let from = 0; from < changes.length;) from = this.#settleEpoch(PART_RECORD[part], changes, from);
  }

  /** Those of one epoch, from number `from` on; answers where the next epoch begins. Hot (bench/micro/ledger.ts). */
  #settleEpoch(record: number, changes: readonly SettledChange[], from: number): number {
    const { epoch } = changes[from]!.transaction;
    const payload = this.#begin(RANGES_HEADER_BYTES + (changes.length - from) * RANGE_BYTES);
    const buffer = this.#buffer;
    let at = payload + RANGES_HEADER_BYTES;
    let last: SettledChange | undefined;
    let i = from;
    for (; i < changes.length; i++) {
      const change = changes[i]!;
      const { transaction, index } = change;
      if (last !== undefined && transaction === last.transaction && index === last.index + 1) {
        buffer.writeUInt32BE(index, at - 4);
      } else {
        if (transaction.epoch !== epoch) break;
        buffer.writeBigUInt64BE(transaction.commitLsn, at);
        buffer.writeUInt32BE(index, at + 8);
        buffer.writeUInt32BE(index, at + 12);
        at += RANGE_BYTES;
      }
      last = change;
    }
    buffer[payload] = record;
    buffer.writeUInt32BE(epoch, payload + 1);
    buffer.writeUInt32BE((at - payload - RANGES_HEADER_BYTES) / RANGE_BYTES, payload + 5);
    this.#end(payload, at);
    return i;
  }

  /** Records that everything before the cursor is settled. Written with the next `write`. */
  advance(cursor: Cursor): void {
    const payload = this.#begin(PREFIX_BYTES);
    this.#buffer[payload] = RECORD.prefix;
    writeCursor(this.#buffer, cursor, payload + 1);
    this.#end(payload, payload + PREFIX_BYTES);
  }

  /**
   * Hands everything recorded to the operating system: it survives `kill -9`, not yet a power cut. Throws
   * LEDGER_WRITE_FAILED; nothing is lost then, and the next `write` begins where this one did.
   */
  write(): void {
    this.#assertAlive();
    if (this.#length === 0) return;
    try {
      writeFully(this.#files, this.#fd, this.#buffer.subarray(0, this.#length), this.#size);
    } catch (error) {
      this.#cutTorn();
      throw writeFailed(error, this.#file);
    }
    this.#size += this.#length;
    this.#length = 0;
  }

  /** Is there anything that a power cut could take? */
  get isUnsynced(): boolean {
    return this.#length > 0 || this.#size > this.#syncedSize;
  }

  /** Writes and waits until the disk has it. Throws LEDGER_WRITE_FAILED, LEDGER_SYNC_FAILED. */
  async sync(): Promise<void> {
    this.write();
    const size = this.#size;
    try {
      await this.#files.syncData(this.#fd);
    } catch (error) {
      // https://wiki.postgresql.org/wiki/Fsync_Errors
      this.#failure = syncFailed(error, this.#file);
      throw this.#failure;
    }
    this.#syncedSize = size;
  }

  /** Has the file grown enough to be made anew? */
  wantsCompaction(): boolean {
    return this.#size > Math.max(COMPACT_BYTES, this.#baseSize * COMPACT_FACTOR);
  }

  /** Makes the file anew from the whole state. Atomic: a crash leaves the old file or the new one. */
  compact(snapshot: LedgerSnapshot): void {
    this.write();
    const made = madeAnew(this.#file, encodeFile(this.#identity, snapshot), this.#files);
    closeSync(this.#fd);
    this.#fd = made.fd;
    this.#size = made.size;
    this.#syncedSize = made.size;
    this.#baseSize = made.size;
  }

  /** Of the file, and of what was read from it at the start. */
  get sizes(): { readonly fileBytes: number; readonly restoredBytes: number } {
    return { fileBytes: this.#size, restoredBytes: this.#restored?.bytesInMemory ?? 0 };
  }

  /** What is recorded is written, unless the ledger is over. */
  close(): void {
    this.#restored?.close();
    this.#restored = undefined;
    try {
      if (this.#failure === undefined) this.write();
    } finally {
      this.#failure ??= new TailraceError('the ledger is closed', { code: 'LEDGER_CLOSED', kind: 'fatal' });
      closeSync(this.#fd);
    }
  }

  /** What a failed write left behind the last whole record would make everything after it unreadable. */
  #cutTorn(): void {
    try {
      ftruncateSync(this.#fd, this.#size);
    } catch {
      // The next write begins at the same place and is no shorter: it covers what was left.
    }
  }

  #assertAlive(): void {
    if (this.#failure !== undefined) throw this.#failure;
  }

  /** Makes room for a record; returns where its payload starts. */
  #begin(payloadBytes: number): number {
    const needed = RECORD_HEADER_BYTES + payloadBytes;
    if (this.#length + needed > this.#buffer.length) this.write();
    if (needed > this.#buffer.length) this.#buffer = Buffer.allocUnsafe(needed);
    return this.#length + RECORD_HEADER_BYTES;
  }

  #end(payload: number, end: number): void {
    endRecord(this.#buffer, payload, end);
    this.#length = end;
  }
}

/**
 * Takes a ledger that was read, for a sink of the log `log`. The file is made anew from what was read: of a page cache that
 * a failed sync left behind, only what is written again can be believed. A tail that a crash cut is dropped: those changes
 * may repeat.
 */
export function resumeLedger(
  stored: StoredLedger,
  log: LogLife | undefined,
  files: LedgerFiles = LEDGER_FILES,
): Ledger {
  const { file, restored } = stored;
  const identity = { ...stored.identity, log };
  const { fd, size } = madeAnew(file, copyOf(stored, identity), files);
  return new Ledger(file, identity, { fd, size, restored, end: restored.end }, files);
}

/** Makes a sink's ledger, durably and with its first cursor; everything before that counts as settled. Replaces what was there. */
export function createLedger(
  file: string,
  identity: LedgerIdentity,
  cursor: Cursor,
  files: LedgerFiles = LEDGER_FILES,
): Ledger {
  const { position } = cursor;
  const { fd, size } = madeAnew(file, encodeFile(identity, startingAt(cursor)), files);
  const restored = Restored.before(cursor, file);
  return new Ledger(file, identity, { fd, size, restored, end: position }, files);
}

/** Makes a sink's ledger anew at a cursor, with nothing settled above it (a rewind). Atomic. Nobody may have it open. */
export function resetLedger(
  file: string,
  identity: LedgerIdentity,
  cursor: Cursor,
  files: LedgerFiles = LEDGER_FILES,
): void {
  closeSync(madeAnew(file, encodeFile(identity, startingAt(cursor)), files).fd);
}

/** Throws LEDGER_WRITE_FAILED: the old file stands then. */
function madeAnew(file: string, chunks: Iterable<Buffer>, files: LedgerFiles): { fd: number; size: number } {
  try {
    return replaceFile(file, chunks, files);
  } catch (error) {
    throw writeFailed(error, file);
  }
}

const writeFailed = (cause: unknown, file: string): TailraceError =>
  new TailraceError(`${file} cannot be written: ${(cause as Error).message}`, {
    code: 'LEDGER_WRITE_FAILED',
    kind: 'retryable',
    cause,
    hint:
      shortageOf(cause)?.cure ??
      'free disk space, and let the user that runs Tailrace own the data directory: the sink goes on by itself',
  });

const syncFailed = (cause: unknown, file: string): TailraceError =>
  new TailraceError(`${file} could not be made durable: ${(cause as Error).message}`, {
    code: 'LEDGER_SYNC_FAILED',
    kind: 'retryable',
    cause,
    hint: 'check the disk (dmesg): the ledger is read and written again when the sink goes on',
  });
