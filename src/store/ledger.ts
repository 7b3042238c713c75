// What one sink has settled: a cursor and the settled changes above it, in an append-only file with checksums.
//
// file   = magic "TRLEDGER" · u32 format version · u32 identity length · identity JSON · records
// record = u32 payload length · u32 CRC-32 of the payload · payload
// payload, by its first byte:
//   S  settled:  u32 epoch · u32 count · count × (u64 commit LSN · u32 index)
//   C  cursor:   position · u64 end LSN                  everything before the position is settled
//   B  base:     position · u64 end LSN · position head · u32 count · count × position
//                everything before `head` is settled except those listed; written when the file is made anew
// position = u32 epoch · u64 commit LSN · u32 index
import {
  closeSync,
  fdatasync,
  fsyncSync,
  openSync,
  readFileSync,
  renameSync,
  truncateSync,
  writeSync,
} from 'node:fs';
import { dirname } from 'node:path';
import { promisify } from 'node:util';
import { crc32 } from 'node:zlib';
import { TailraceError } from '../core/errors.ts';
import { toLsn, type Lsn } from '../core/lsn.ts';
import { comparePositions, ORIGIN, type Position } from '../core/position.ts';

const MAGIC = Buffer.from('TRLEDGER');
const FORMAT_VERSION = 1;
const SETTLED = 0x53;
const CURSOR = 0x43;
const BASE = 0x42;
const POSITION_BYTES = 16;
const SETTLED_BYTES = 12;
const RECORD_HEADER_BYTES = 8;
/** The file is made anew when it has grown to this size, or to several times its base. */
const COMPACT_BYTES = 1024 * 1024;
const COMPACT_FACTOR = 4;
const WRITE_BUFFER_BYTES = 64 * 1024;

const syncData = promisify(fdatasync);

/** Whose ledger it is; another's is refused. */
export type LedgerIdentity = { readonly database: string; readonly sink: string };

/** Everything before `position` is settled; `endLsn` is the end of the last transaction wholly before it. */
export type Cursor = { readonly position: Position; readonly endLsn: Lsn };

/** The whole state at one moment: everything before `head` is settled, except `unsettled`. */
export type LedgerSnapshot = {
  readonly cursor: Cursor;
  readonly head: Position;
  readonly unsettled: Iterable<Position>;
};

/** Invariant 2: the cursor never moves back and never passes an unsettled change. */
export class Ledger {
  /** Undefined: this sink is new. */
  readonly restored: Cursor | undefined;
  readonly #file: string;
  readonly #identity: LedgerIdentity;
  readonly #restored: Restored;
  #fd: number;
  #size: number;
  #baseSize: number;
  #buffer = Buffer.allocUnsafe(WRITE_BUFFER_BYTES);
  #length = 0;

  constructor(
    file: string,
    identity: LedgerIdentity,
    opened: { fd: number; size: number; restored: Restored; cursor: Cursor | undefined },
  ) {
    this.#file = file;
    this.#identity = identity;
    this.#fd = opened.fd;
    this.#size = opened.size;
    this.#baseSize = opened.size;
    this.#restored = opened.restored;
    this.restored = opened.cursor;
  }

  /** Was this change settled before the restart? Only of use while reading up to where the last process had read. */
  wasSettled(epoch: number, commitLsn: Lsn, index: number): boolean {
    const { head, unsettled, settled } = this.#restored;
    if (settled.get(commitLsn)?.has(settledKey(epoch, index)) === true) return true;
    if (!isBefore(epoch, commitLsn, index, head)) return false;
    return unsettled.get(commitLsn)?.has(settledKey(epoch, index)) !== true;
  }

  /** Is there nothing left to ask `wasSettled` for, from this position on? */
  isPastRestored(position: Position): boolean {
    return comparePositions(position, this.#restored.end) > 0;
  }

  /** Records changes as settled. They are written with the next `write`. All are of one epoch. */
  settle(changes: readonly { readonly transaction: SettledTransaction; readonly index: number }[]): void {
    let from = 0;
    while (from < changes.length) {
      const epoch = changes[from]!.transaction.epoch;
      let to = from + 1;
      while (to < changes.length && changes[to]!.transaction.epoch === epoch) to++;
      const payload = this.#begin(9 + (to - from) * SETTLED_BYTES);
      let at = payload;
      this.#buffer[at] = SETTLED;
      this.#buffer.writeUInt32BE(epoch, at + 1);
      this.#buffer.writeUInt32BE(to - from, at + 5);
      at += 9;
      for (let i = from; i < to; i++, at += SETTLED_BYTES) {
        this.#buffer.writeBigUInt64BE(changes[i]!.transaction.commitLsn, at);
        this.#buffer.writeUInt32BE(changes[i]!.index, at + 8);
      }
      this.#end(payload, at);
      from = to;
    }
  }

  /** Records that everything before the cursor is settled. Written with the next `write`. */
  advance(cursor: Cursor): void {
    const payload = this.#begin(1 + POSITION_BYTES + 8);
    this.#buffer[payload] = CURSOR;
    writePosition(this.#buffer, cursor.position, payload + 1);
    this.#buffer.writeBigUInt64BE(cursor.endLsn, payload + 1 + POSITION_BYTES);
    this.#end(payload, payload + 1 + POSITION_BYTES + 8);
  }

  /** Hands everything recorded to the operating system: it survives `kill -9`, not yet a power cut. */
  write(): void {
    if (this.#length === 0) return;
    writeAll(this.#fd, this.#buffer.subarray(0, this.#length));
    this.#size += this.#length;
    this.#length = 0;
  }

  /** Writes and waits until the disk has it. */
  async sync(): Promise<void> {
    this.write();
    await syncData(this.#fd);
  }

  /** Has the file grown enough to be made anew? */
  wantsCompaction(): boolean {
    return this.#size > Math.max(COMPACT_BYTES, this.#baseSize * COMPACT_FACTOR);
  }

  /** Makes the file anew from the whole state. Atomic: a crash leaves the old file or the new one. */
  compact(snapshot: LedgerSnapshot): void {
    this.write();
    const { fd, size } = replaceFile(this.#file, encodeFile(this.#identity, snapshot));
    closeSync(this.#fd);
    this.#fd = fd;
    this.#size = size;
    this.#baseSize = size;
  }

  close(): void {
    this.write();
    closeSync(this.#fd);
  }

  /** Makes room for a record; returns where its payload starts. */
  #begin(payloadBytes: number): number {
    const needed = RECORD_HEADER_BYTES + payloadBytes;
    if (this.#length + needed > this.#buffer.length) this.write();
    if (needed > this.#buffer.length) this.#buffer = Buffer.allocUnsafe(needed);
    return this.#length + RECORD_HEADER_BYTES;
  }

  #end(payload: number, end: number): void {
    const start = payload - RECORD_HEADER_BYTES;
    this.#buffer.writeUInt32BE(end - payload, start);
    this.#buffer.writeUInt32BE(crc32(this.#buffer.subarray(payload, end)), start + 4);
    this.#length = end;
  }
}

type SettledTransaction = { readonly epoch: number; readonly commitLsn: Lsn };

/** By commit LSN, the changes of that transaction as `settledKey`. */
type PositionSet = Map<Lsn, Set<number>>;

type Restored = {
  head: Position;
  unsettled: PositionSet;
  settled: PositionSet;
  /** No record speaks of anything beyond this. */
  end: Position;
};

/** Index and epoch in one number: an index has 32 bits, epochs are few. */
const settledKey = (epoch: number, index: number): number => epoch * 2 ** 32 + index;

function isBefore(epoch: number, commitLsn: Lsn, index: number, other: Position): boolean {
  if (epoch !== other.epoch) return epoch < other.epoch;
  if (commitLsn !== other.commitLsn) return commitLsn < other.commitLsn;
  return index < other.index;
}

function add(set: PositionSet, commitLsn: Lsn, key: number): void {
  const keys = set.get(commitLsn);
  if (keys === undefined) set.set(commitLsn, new Set([key]));
  else keys.add(key);
}

/** Opens a sink's ledger, or makes a new one. A tail that was cut by a crash is dropped: those changes may repeat. */
export function openLedger(file: string, identity: LedgerIdentity): Ledger {
  let bytes: Buffer;
  try {
    bytes = readFileSync(file);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
    const restored = { head: ORIGIN, unsettled: new Map(), settled: new Map(), end: ORIGIN };
    const fd = openSync(file, 'wx', 0o600);
    const header = encodeHeader(identity);
    writeAll(fd, header);
    fsyncSync(fd);
    syncDirectory(dirname(file));
    return new Ledger(file, identity, { fd, size: header.length, restored, cursor: undefined });
  }
  const start = checkHeader(file, bytes, identity);
  const { restored, cursor, end } = replay(bytes, start);
  if (end < bytes.length) truncateSync(file, end);
  const fd = openSync(file, 'a');
  return new Ledger(file, identity, { fd, size: end, restored, cursor });
}

/** Makes a sink's ledger anew at a cursor, with nothing settled above it (a rewind). Atomic. Nobody may have it open. */
export function resetLedger(file: string, identity: LedgerIdentity, cursor: Cursor): void {
  const snapshot = { cursor, head: cursor.position, unsettled: [] };
  closeSync(replaceFile(file, encodeFile(identity, snapshot)).fd);
}

/** A crash leaves the old file or the new one. */
function replaceFile(file: string, bytes: Buffer): { fd: number; size: number } {
  const temporary = `${file}.new`;
  const fd = openSync(temporary, 'w', 0o600);
  writeAll(fd, bytes);
  fsyncSync(fd);
  renameSync(temporary, file);
  syncDirectory(dirname(file));
  return { fd, size: bytes.length };
}

function replay(
  bytes: Buffer,
  start: number,
): { restored: Restored; cursor: Cursor | undefined; end: number } {
  const restored: Restored = { head: ORIGIN, unsettled: new Map(), settled: new Map(), end: ORIGIN };
  let cursor: Cursor | undefined;
  let at = start;
  const reach = (position: Position): void => {
    if (comparePositions(position, restored.end) > 0) restored.end = position;
  };
  while (at + RECORD_HEADER_BYTES <= bytes.length) {
    const length = bytes.readUInt32BE(at);
    const payload = at + RECORD_HEADER_BYTES;
    const end = payload + length;
    if (length === 0 || end > bytes.length) break;
    if (crc32(bytes.subarray(payload, end)) !== bytes.readUInt32BE(at + 4)) break;
    const kind = bytes[payload];
    if (kind === SETTLED) {
      const epoch = bytes.readUInt32BE(payload + 1);
      for (let entry = payload + 9; entry < end; entry += SETTLED_BYTES) {
        const commitLsn = toLsn(bytes.readBigUInt64BE(entry));
        const index = bytes.readUInt32BE(entry + 8);
        add(restored.settled, commitLsn, settledKey(epoch, index));
        reach({ epoch, commitLsn, index });
      }
    } else {
      cursor = {
        position: readPosition(bytes, payload + 1),
        endLsn: toLsn(bytes.readBigUInt64BE(payload + 1 + POSITION_BYTES)),
      };
      if (comparePositions(cursor.position, restored.head) > 0) restored.head = cursor.position;
      if (kind === BASE) {
        const headAt = payload + 1 + POSITION_BYTES + 8;
        restored.head = readPosition(bytes, headAt);
        for (let entry = headAt + POSITION_BYTES + 4; entry < end; entry += POSITION_BYTES) {
          const { epoch, commitLsn, index } = readPosition(bytes, entry);
          add(restored.unsettled, commitLsn, settledKey(epoch, index));
        }
      } else {
        dropBefore(restored.unsettled, cursor.position);
        dropBefore(restored.settled, cursor.position);
      }
      reach(restored.head);
    }
    at = end;
  }
  return { restored, cursor, end: at };
}

/** Forgets whole transactions that lie before the cursor. Within one epoch only: another's LSNs say nothing. */
function dropBefore(set: PositionSet, position: Position): void {
  for (const [commitLsn, keys] of set) {
    if (commitLsn >= position.commitLsn) continue;
    for (const key of keys) if (Math.floor(key / 2 ** 32) === position.epoch) keys.delete(key);
    if (keys.size === 0) set.delete(commitLsn);
  }
}

function encodeHeader(identity: LedgerIdentity): Buffer {
  const json = Buffer.from(JSON.stringify({ database: identity.database, sink: identity.sink }));
  const header = Buffer.alloc(MAGIC.length + 8);
  MAGIC.copy(header);
  header.writeUInt32BE(FORMAT_VERSION, MAGIC.length);
  header.writeUInt32BE(json.length, MAGIC.length + 4);
  return Buffer.concat([header, json]);
}

/** Returns where the records start. */
function checkHeader(file: string, bytes: Buffer, identity: LedgerIdentity): number {
  const headerBytes = MAGIC.length + 8;
  if (bytes.length < headerBytes || !bytes.subarray(0, MAGIC.length).equals(MAGIC)) {
    throw new TailraceError(`${file} is not a ledger`, {
      code: 'LEDGER_DAMAGED',
      kind: 'fatal',
      hint: 'restore the data directory, or delete this file: the sink then starts as a new one',
    });
  }
  const version = bytes.readUInt32BE(MAGIC.length);
  if (version > FORMAT_VERSION) {
    throw new TailraceError(
      `${file} has format version ${version}, newer than ${FORMAT_VERSION}, the newest known here`,
      {
        code: 'LEDGER_VERSION',
        kind: 'fatal',
        hint: 'run the version of Tailrace that wrote it, or a newer one',
      },
    );
  }
  const end = headerBytes + bytes.readUInt32BE(MAGIC.length + 4);
  const found = JSON.parse(bytes.toString('utf8', headerBytes, end)) as LedgerIdentity;
  if (found.database !== identity.database || found.sink !== identity.sink) {
    throw new TailraceError(`${file} belongs to sink "${found.sink}" of database "${found.database}"`, {
      code: 'LEDGER_IDENTITY',
      kind: 'fatal',
      hint: 'every service needs a data directory of its own',
    });
  }
  return end;
}

function encodeFile(identity: LedgerIdentity, snapshot: LedgerSnapshot): Buffer {
  const unsettled = [...snapshot.unsettled];
  const fixed = 1 + POSITION_BYTES + 8 + POSITION_BYTES + 4;
  const payload = Buffer.allocUnsafe(fixed + unsettled.length * POSITION_BYTES);
  payload[0] = BASE;
  writePosition(payload, snapshot.cursor.position, 1);
  payload.writeBigUInt64BE(snapshot.cursor.endLsn, 1 + POSITION_BYTES);
  writePosition(payload, snapshot.head, 1 + POSITION_BYTES + 8);
  payload.writeUInt32BE(unsettled.length, fixed - 4);
  unsettled.forEach((position, i) => writePosition(payload, position, fixed + i * POSITION_BYTES));
  const record = Buffer.allocUnsafe(RECORD_HEADER_BYTES);
  record.writeUInt32BE(payload.length, 0);
  record.writeUInt32BE(crc32(payload), 4);
  return Buffer.concat([encodeHeader(identity), record, payload]);
}

function writePosition(buffer: Buffer, position: Position, at: number): void {
  buffer.writeUInt32BE(position.epoch, at);
  buffer.writeBigUInt64BE(position.commitLsn, at + 4);
  // An index of -1 (before the first change) is written as 0: both mean that nothing of the transaction is settled.
  buffer.writeUInt32BE(Math.max(0, position.index), at + 12);
}

const readPosition = (buffer: Buffer, at: number): Position => ({
  epoch: buffer.readUInt32BE(at),
  commitLsn: toLsn(buffer.readBigUInt64BE(at + 4)),
  index: buffer.readUInt32BE(at + 12),
});

function writeAll(fd: number, bytes: Buffer): void {
  let at = 0;
  while (at < bytes.length) at += writeSync(fd, bytes, at);
}

function syncDirectory(directory: string): void {
  const fd = openSync(directory, 'r');
  try {
    fsyncSync(fd);
  } finally {
    closeSync(fd);
  }
}
