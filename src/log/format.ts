// The bytes of a segment file: its header, the blocks' headers, and the context each block starts in.
//
// Segment file `<start offset, 20 digits>.log`, all numbers big endian:
//
//   file header    magic "TRLOG\0", format version u16, JSON length u32, JSON CRC-32 u32, JSON (SegmentHeader).
//                  This shape never changes, so that any version can say which version wrote a file.
//   block          the prologue: relations and types in force here
//   block …        frames, in the order of the stream
//
// Block: header of BLOCK_HEADER_BYTES, then the payload, which is whole frames (frames.ts).
//
//    0  magic "TRBK"                    36  commit LSN u64      ┐ of the transaction in progress,
//    4  CRC-32 of the header from 8 on  44  commit time i64, µs │ else 0
//    8  payload bytes u32               52  xid u32             │
//   12  CRC-32 of the payload           56  index u32           ┘
//   16  flags u32                       60  last commit LSN u64
//   20  epoch u32                       68  last end LSN u64
//   24  timeline u32                    76  epoch of the last row event before u32
//   28  offset of the block u64         80  … its commit LSN u64
//                                       88  … its index + 1 u32
//
// A transaction that does not end in the block where it begins, begins at that block's start: cutting an
// unfinished transaction off is cutting between blocks.
import { crc32 } from 'node:zlib';
import { TailraceError } from '../core/errors.ts';
import type { LogBirth, LogIdentity } from '../core/log-life.ts';
import { formatLsn, parseLsn, toLsn, ZERO_LSN, type Lsn } from '../core/lsn.ts';
import { ORIGIN, type Position } from '../core/position.ts';

/** Where the stream stands between two frames: all that a reader needs to begin there. */
export type BlockContext = {
  readonly inTransaction: boolean;
  readonly epoch: number;
  readonly timeline: number;
  /** Of the transaction in progress; zeros outside of one. */
  readonly commitLsn: Lsn;
  /** Microseconds since 1970-01-01T00:00:00Z. */
  readonly commitTimeUs: bigint;
  readonly xid: number;
  /** The transaction in progress has had a logical message: what that says holds for the rows after it. */
  readonly marked: boolean;
  /** Number of the transaction's next row event; outside of one, of the next row of a backfill behind the last. */
  readonly index: number;
  /** Commit LSN of the last whole transaction logged before. */
  readonly lastCommitLsn: Lsn;
  /** End LSN of the last whole transaction logged before: `previousEndLsn` of the one in progress. */
  readonly lastEndLsn: Lsn;
  /** Position of the last row event before this place. */
  readonly before: Position;
};

/** The context at the very start of a log. */
export const INITIAL_CONTEXT: BlockContext = {
  inTransaction: false,
  epoch: 0,
  timeline: 0,
  commitLsn: ZERO_LSN,
  commitTimeUs: 0n,
  xid: 0,
  marked: false,
  index: 0,
  lastCommitLsn: ZERO_LSN,
  lastEndLsn: ZERO_LSN,
  before: ORIGIN,
};

export type { LogBirth, LogIdentity } from '../core/log-life.ts';

/** A birth in JSON. */
export type StoredBirth = {
  readonly life: string;
  readonly beganAt?: string;
  readonly adoptedEpoch?: number;
};

export const storeBirth = ({ life, beganAt, adoptedEpoch }: LogBirth): StoredBirth => ({
  life,
  ...(beganAt !== undefined && { beganAt: formatLsn(beganAt) }),
  ...(adoptedEpoch !== undefined && { adoptedEpoch }),
});
export const recallBirth = ({ life, beganAt, adoptedEpoch }: StoredBirth): LogBirth => ({
  life,
  beganAt: beganAt === undefined ? undefined : parseLsn(beganAt),
  adoptedEpoch,
});

/** What a segment file says of itself. */
export type SegmentHeader = {
  readonly identity: LogIdentity;
  /** Undefined: format version 1 wrote it. */
  readonly birth?: StoredBirth;
  /** Logical offset of the file's first byte. */
  readonly startOffset: number;
  /** Where the segment before ends: what is missing between the two was cut off by a recovery. */
  readonly previousEnd: number;
  /** Version of Tailrace that made the file. */
  readonly createdBy: string;
};

/** 4: there are rows of backfills. 2: a log has a birth. 3: an enrichment says whose partition a relation is, and which columns are generated. */
export const FORMAT_VERSION = 4;

const FILE_MAGIC = Buffer.from('TRLOG\0', 'latin1');
/** Before the JSON: magic, version, length, CRC. */
export const FILE_HEADER_FIXED_BYTES = 16;
/** No header is longer; a length above it is damage. */
export const MAX_FILE_HEADER_BYTES = 4096;

export const segmentFileName = (startOffset: number): string =>
  `${String(startOffset).padStart(20, '0')}.log`;

/** The start offset in a segment's file name; undefined: not a segment. */
export function parseSegmentFileName(name: string): number | undefined {
  return /^\d{20}\.log$/.test(name) ? Number(name.slice(0, 20)) : undefined;
}

export function encodeFileHeader(header: SegmentHeader): Buffer {
  const json = Buffer.from(JSON.stringify(header));
  const bytes = Buffer.alloc(FILE_HEADER_FIXED_BYTES + json.length);
  FILE_MAGIC.copy(bytes, 0);
  bytes.writeUInt16BE(FORMAT_VERSION, 6);
  bytes.writeUInt32BE(json.length, 8);
  bytes.writeUInt32BE(crc32(json), 12);
  json.copy(bytes, FILE_HEADER_FIXED_BYTES);
  return bytes;
}

export type DecodedFileHeader = {
  readonly header: SegmentHeader;
  readonly byteLength: number;
  /** In which the file was written. */
  readonly version: number;
};

/** Reads a file header from the file's first bytes; undefined: damaged. Throws LOG_VERSION when a later version wrote it. */
export function decodeFileHeader(bytes: Buffer, path: string): DecodedFileHeader | undefined {
  if (bytes.length < FILE_HEADER_FIXED_BYTES || !bytes.subarray(0, 6).equals(FILE_MAGIC)) return undefined;
  const byteLength = FILE_HEADER_FIXED_BYTES + bytes.readUInt32BE(8);
  // No length: the power went while it was written, and nothing has the checksum of the zeros that stand there.
  if (byteLength === FILE_HEADER_FIXED_BYTES || byteLength > bytes.length) return undefined;
  const json = bytes.subarray(FILE_HEADER_FIXED_BYTES, byteLength);
  if (crc32(json) !== bytes.readUInt32BE(12)) return undefined;
  const header = JSON.parse(json.toString()) as SegmentHeader;
  const version = bytes.readUInt16BE(6);
  if (version > FORMAT_VERSION) {
    throw new TailraceError(
      `${path} was written by Tailrace ${header.createdBy} in log format ${version}; this version reads up to format ${FORMAT_VERSION}`,
      {
        code: 'LOG_VERSION',
        kind: 'fatal',
        hint: `run Tailrace ${header.createdBy} or later, or let it \`drain\` the log first`,
      },
    );
  }
  return { header, byteLength, version };
}

const BLOCK_MAGIC = 0x5452424b; // TRBK
export const BLOCK_HEADER_BYTES = 92;
const IN_TRANSACTION = 1;
const PROLOGUE = 2;
const MARKED = 4;

export type BlockHeader = {
  readonly payloadBytes: number;
  readonly payloadCrc: number;
  readonly prologue: boolean;
  readonly context: BlockContext;
};

/** Writes the header of the block at logical offset `offset` into `target`; `payload` is what follows it. */
export function encodeBlockHeader(
  target: Buffer,
  block: { offset: number; payload: Buffer; prologue: boolean; context: BlockContext },
): void {
  const { context, payload } = block;
  target.writeUInt32BE(BLOCK_MAGIC, 0);
  target.writeUInt32BE(payload.length, 8);
  target.writeUInt32BE(crc32(payload), 12);
  const flags =
    (context.inTransaction ? IN_TRANSACTION : 0) |
    (block.prologue ? PROLOGUE : 0) |
    (context.marked ? MARKED : 0);
  target.writeUInt32BE(flags, 16);
  target.writeUInt32BE(context.epoch, 20);
  target.writeUInt32BE(context.timeline, 24);
  target.writeBigUInt64BE(BigInt(block.offset), 28);
  target.writeBigUInt64BE(context.commitLsn, 36);
  target.writeBigInt64BE(context.commitTimeUs, 44);
  target.writeUInt32BE(context.xid, 52);
  target.writeUInt32BE(context.index, 56);
  target.writeBigUInt64BE(context.lastCommitLsn, 60);
  target.writeBigUInt64BE(context.lastEndLsn, 68);
  target.writeUInt32BE(context.before.epoch, 76);
  target.writeBigUInt64BE(context.before.commitLsn, 80);
  target.writeUInt32BE(context.before.index + 1, 88);
  target.writeUInt32BE(crc32(target.subarray(8, BLOCK_HEADER_BYTES)), 4);
}

/** Reads the header at `at`, which must be that of the block at logical offset `offset`; undefined: it is not. */
export function decodeBlockHeader(bytes: Buffer, at: number, offset: number): BlockHeader | undefined {
  if (bytes.readUInt32BE(at) !== BLOCK_MAGIC) return undefined;
  if (crc32(bytes.subarray(at + 8, at + BLOCK_HEADER_BYTES)) !== bytes.readUInt32BE(at + 4)) return undefined;
  if (Number(bytes.readBigUInt64BE(at + 28)) !== offset) return undefined;
  const flags = bytes.readUInt32BE(at + 16);
  return {
    payloadBytes: bytes.readUInt32BE(at + 8),
    payloadCrc: bytes.readUInt32BE(at + 12),
    prologue: (flags & PROLOGUE) !== 0,
    context: {
      inTransaction: (flags & IN_TRANSACTION) !== 0,
      epoch: bytes.readUInt32BE(at + 20),
      timeline: bytes.readUInt32BE(at + 24),
      commitLsn: lsnAt(bytes, at + 36),
      commitTimeUs: bytes.readBigInt64BE(at + 44),
      xid: bytes.readUInt32BE(at + 52),
      marked: (flags & MARKED) !== 0,
      index: bytes.readUInt32BE(at + 56),
      lastCommitLsn: lsnAt(bytes, at + 60),
      lastEndLsn: lsnAt(bytes, at + 68),
      before: {
        epoch: bytes.readUInt32BE(at + 76),
        commitLsn: lsnAt(bytes, at + 80),
        index: bytes.readUInt32BE(at + 88) - 1,
      },
    },
  };
}

const lsnAt = (bytes: Buffer, at: number): Lsn => toLsn(bytes.readBigUInt64BE(at));
