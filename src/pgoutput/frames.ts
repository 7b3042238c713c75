// Frames: how messages stand in the log, a length (u32, big endian) and that many bytes, the first of them the type.
import type { ByteWriter } from '../core/byte-writer.ts';
import { PGOUTPUT } from './bytes.ts';

/** The length in front of every frame. */
export const FRAME_HEADER_BYTES = 4;

/**
 * First byte of a frame. Capitals are pgoutput's messages, kept as they came; small letters are ours.
 */
export const FRAME = {
  // One by one: an object that is put together from another one is slow to look into (bench/micro/walk.ts).
  begin: PGOUTPUT.begin,
  commit: PGOUTPUT.commit,
  origin: PGOUTPUT.origin,
  relation: PGOUTPUT.relation,
  type: PGOUTPUT.type,
  insert: PGOUTPUT.insert,
  update: PGOUTPUT.update,
  delete: PGOUTPUT.delete,
  truncate: PGOUTPUT.truncate,
  logicalMessage: PGOUTPUT.logicalMessage,
  /** `e` + JSON: what the catalog said of the relation in the frame before. */
  enrichment: 0x65,
  /** `o` + type of the row message (u8) + relation id (u32) + its length (u64): a row too large to be kept whole. */
  oversize: 0x6f,
  /** `p` + bytes: a piece of the oversize row before. */
  piece: 0x70,
  /** `b`: rows that a backfill has read follow (reads.ts). */
  reads: 0x62,
  /** `r`: one of them, like an Insert message; like a Delete message where the table does not have the row. */
  read: 0x72,
} as const;

/** Appends `source[start, end)`, a message with its type byte, as one frame. */
export function appendFrame(writer: ByteWriter, source: Buffer, start: number, end: number): void {
  const byteCount = end - start;
  writer.reserve(FRAME_HEADER_BYTES + byteCount);
  const { buffer, length } = writer;
  buffer[length] = byteCount >>> 24;
  buffer[length + 1] = byteCount >>> 16;
  buffer[length + 2] = byteCount >>> 8;
  buffer[length + 3] = byteCount;
  writer.length = length + FRAME_HEADER_BYTES;
  writer.bytes(source, start, end);
}

/** Is this a frame that says how later rows read (relations, types)? */
export const describesRelations = (type: number): boolean =>
  type === FRAME.relation || type === FRAME.enrichment || type === FRAME.type;

/** Length of the frame at `at`, its own header included. */
export const frameBytes = (buffer: Buffer, at: number): number =>
  FRAME_HEADER_BYTES + buffer.readUInt32BE(at);
