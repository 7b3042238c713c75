// The bytes of a sink's ledger. All numbers are big endian.
//
// file   = magic "TRLEDGER" · u32 format version · u32 identity length · identity JSON · u32 CRC-32 of the JSON · records
// record = u32 payload length · u32 CRC-32 of the payload · payload
// payload, by its first byte:
//   R  ranges:   u32 epoch · u32 count · count × range   these are settled
//   D  deletes:  as ranges                             of these changes the delete half is settled (`key_changes: split`)
//   I  inserts:  as ranges                             of these changes the insert half is settled
//   T  schemas:  as ranges                             of these rows what tells of a changed schema before them (`ddl: events`)
//   G  begins:   as ranges                             of these row events what begins their transactions
//   W  rows:     as ranges                             of these row events the row itself, where what begins its transaction is not
//   P  prefix:   cursor                                  everything before the cursor is settled
//   H  holes:    cursor · position head · u32 count · count × (u32 epoch · range)
//                everything before `head` is settled except those listed; the first record of a file made anew, followed by
//                what is settled of the listed changes by part
// range    = u64 commit LSN · u32 first index · u32 last index
// cursor   = position · u64 end LSN · u32 timeline (0: not known)
// position = u32 epoch · u64 commit LSN · u32 index
//
// Version 1 had no CRC behind its identity, and other records, which a file of version 2 may still hold:
//   S  settled:  u32 epoch · u32 count · count × (u64 commit LSN · u32 index)
//   C  cursor:   position · u64 end LSN
//   B  base:     position · u64 end LSN · position head · u32 count · count × position
import { crc32 } from 'node:zlib';
import type { SettledPart } from '../../core/change.ts';
import { TailraceError } from '../../core/errors.ts';
import type { LogLife } from '../../core/log-life.ts';
import { toLsn, type Lsn } from '../../core/lsn.ts';
import type { Position } from '../../core/position.ts';
import { refusalCure } from '../../data-directory/files.ts';

export const FORMAT_VERSION = 2;
const MAGIC = Buffer.from('TRLEDGER');
const FIXED_HEADER_BYTES = MAGIC.length + 8;
/** No header is longer; what says so is damaged. */
export const MAX_HEADER_BYTES = 64 * 1024;
export const RECORD_HEADER_BYTES = 8;

export const RECORD = {
  ranges: 0x52,
  deletes: 0x44,
  inserts: 0x49,
  schemas: 0x54,
  begins: 0x47,
  rows: 0x57,
  prefix: 0x50,
  holes: 0x48,
  /** Of version 1. */
  settled1: 0x53,
  cursor1: 0x43,
  base1: 0x42,
} as const;

/** A change may be several messages: each is settled by itself. */
export const PART_RECORD: Readonly<Record<SettledPart, number>> = {
  delete: RECORD.deletes,
  insert: RECORD.inserts,
  schema: RECORD.schemas,
  begin: RECORD.begins,
  row: RECORD.rows,
};

export const RANGES_HEADER_BYTES = 9;
export const POSITION_BYTES = 16;
export const RANGE_BYTES = 16;
/** An unsettled range in a base. */
export const HOLE_BYTES = 4 + RANGE_BYTES;
export const CURSOR1_BYTES = POSITION_BYTES + 8;
export const CURSOR_BYTES = CURSOR1_BYTES + 4;

/** Whose ledger it is, and of which log; undefined: it was written before logs had a life of their own. */
export type LedgerIdentity = {
  readonly database: string;
  readonly sink: string;
  readonly log: LogLife | undefined;
};

/** Everything before `position` is settled, and everything committed before `endLsn`. */
export type Cursor = {
  readonly position: Position;
  readonly endLsn: Lsn;
  /** That `endLsn` is on, where it is known. */
  readonly timeline?: number | undefined;
};

export function encodeHeader({ database, sink, log }: LedgerIdentity): Buffer {
  const json = Buffer.from(JSON.stringify({ database, sink, log }));
  const header = Buffer.alloc(FIXED_HEADER_BYTES + json.length + 4);
  MAGIC.copy(header);
  header.writeUInt32BE(FORMAT_VERSION, MAGIC.length);
  header.writeUInt32BE(json.length, MAGIC.length + 4);
  json.copy(header, FIXED_HEADER_BYTES);
  header.writeUInt32BE(crc32(json), FIXED_HEADER_BYTES + json.length);
  return header;
}

/**
 * Reads the header in a file's first bytes. `unfinished`: the file ends inside it, as after a crash or a power cut while it
 * was made. Throws LEDGER_DAMAGED, LEDGER_VERSION.
 */
export function decodeHeader(
  bytes: Buffer,
  file: string,
): { readonly identity: LedgerIdentity; readonly byteLength: number } | 'unfinished' {
  // Zeros: the disk knew of the bytes and not yet what they are.
  if (bytes.every((byte) => byte === 0)) return 'unfinished';
  if (!bytes.subarray(0, MAGIC.length).equals(MAGIC.subarray(0, bytes.length))) throw damaged(file);
  if (bytes.length < FIXED_HEADER_BYTES) return 'unfinished';
  const version = bytes.readUInt32BE(MAGIC.length);
  if (version > FORMAT_VERSION) throw newerVersion(file, version);
  const jsonEnd = FIXED_HEADER_BYTES + bytes.readUInt32BE(MAGIC.length + 4);
  const byteLength = version === 1 ? jsonEnd : jsonEnd + 4;
  if (byteLength > MAX_HEADER_BYTES) throw damaged(file);
  if (byteLength > bytes.length) return 'unfinished';
  const json = bytes.subarray(FIXED_HEADER_BYTES, jsonEnd);
  if (version > 1 && crc32(json) !== bytes.readUInt32BE(jsonEnd)) throw damaged(file);
  try {
    const identity = JSON.parse(json.toString()) as Omit<LedgerIdentity, 'log'> & { log?: LogLife };
    return { identity: { log: undefined, ...identity }, byteLength };
  } catch {
    throw damaged(file);
  }
}

/** What a ledger cannot be read past: nothing of it may be believed. */
export const damaged = (file: string): TailraceError =>
  new TailraceError(`${file} is not a ledger, or is damaged`, {
    code: 'LEDGER_DAMAGED',
    kind: 'fatal',
    hint: 'check the disk; then restore this file, or delete it: the sink delivers again all that the change log still holds, and has a gap on record where that does not reach back to what it had settled',
  });

/** The file system does not give it: a directory or a loop of links in its place, no right to read it, a failing disk. */
export const unreadable = (file: string, cause: unknown): TailraceError =>
  new TailraceError(`${file} cannot be read: ${(cause as Error).message}`, {
    code: 'LEDGER_UNREADABLE',
    kind: 'fatal',
    cause,
    hint: `${refusalCure(cause) ?? 'check the disk, and let the user that runs Tailrace read the file'}; what cannot be read is restored, or moved away: the sink then delivers again all that the change log still holds, and has a gap on record where that does not reach back to what it had settled`,
  });

const newerVersion = (file: string, version: number): TailraceError =>
  new TailraceError(
    `${file} has format version ${version}, newer than ${FORMAT_VERSION}, the newest known here`,
    {
      code: 'LEDGER_VERSION',
      kind: 'fatal',
      hint: 'run the version of Tailrace that wrote it, or a newer one',
    },
  );

/** Writes the header of the record whose payload is `buffer[payload, end)`. */
export function endRecord(buffer: Buffer, payload: number, end: number): void {
  buffer.writeUInt32BE(end - payload, payload - RECORD_HEADER_BYTES);
  buffer.writeUInt32BE(crc32(buffer.subarray(payload, end)), payload - 4);
}

export function writeCursor(buffer: Buffer, { position, endLsn, timeline = 0 }: Cursor, at: number): void {
  writePosition(buffer, position, at);
  buffer.writeBigUInt64BE(endLsn, at + POSITION_BYTES);
  buffer.writeUInt32BE(timeline, at + CURSOR1_BYTES);
}

export function readCursor(buffer: Buffer, at: number, version: 1 | 2): Cursor {
  const timeline = version === 1 ? 0 : buffer.readUInt32BE(at + CURSOR1_BYTES);
  return {
    position: readPosition(buffer, at),
    endLsn: toLsn(buffer.readBigUInt64BE(at + POSITION_BYTES)),
    ...(timeline > 0 && { timeline }),
  };
}

export function writePosition(buffer: Buffer, position: Position, at: number): void {
  buffer.writeUInt32BE(position.epoch, at);
  buffer.writeBigUInt64BE(position.commitLsn, at + 4);
  // An index of -1 (before the first change) is written as 0: both mean that nothing of the transaction is settled.
  buffer.writeUInt32BE(Math.max(0, position.index), at + 12);
}

export const readPosition = (buffer: Buffer, at: number): Position => ({
  epoch: buffer.readUInt32BE(at),
  commitLsn: toLsn(buffer.readBigUInt64BE(at + 4)),
  index: buffer.readUInt32BE(at + 12),
});
