// Takes rows beyond the limit into a log block: an `o` frame for the row, and its bytes, as they come, as `p` frames.
import type { ByteWriter } from '../../core/byte-writer.ts';
import { appendFrame, FRAME, FRAME_HEADER_BYTES } from '../../pgoutput/frames.ts';

const PIECE_BYTES = 1024 * 1024;
const OVERSIZE_FRAME_BYTES = 14;

export type OversizeRow = { readonly type: number; readonly relationId: number; readonly totalBytes: number };

/** Rows are known by their number in the transaction. */
export class OversizeRows {
  readonly #writer: ByteWriter;
  /** Of the message that is coming: bytes seen, and how many of them do not go into the log. */
  #coming = { seen: 0, skipBytes: 0 };
  /** Bytes of the last row that are taken; its number. */
  #taken = { index: -1, bytes: 0 };
  /** The same, as the log has it. */
  #logged = { index: -1, bytes: 0 };

  constructor(writer: ByteWriter) {
    this.#writer = writer;
  }

  /** A message begins, of which nothing is logged: unless `begin` or `goOn` follow. */
  leaveOut(): void {
    this.#coming = { seen: 0, skipBytes: Number.POSITIVE_INFINITY };
  }

  /** It is a row that the log does not have. */
  begin(index: number, row: OversizeRow): void {
    const frame = oversizeFrame(row);
    appendFrame(this.#writer, frame, 0, frame.length);
    this.#coming.skipBytes = 0;
    this.#taken = { index, bytes: 0 };
  }

  /** It is the last row that the log has: where the connection was lost in the middle of it, its pieces go on where they ended. */
  goOn(index: number): void {
    if (this.#logged.index !== index) return;
    this.#coming.skipBytes = this.#logged.bytes;
    this.#taken = { ...this.#logged };
  }

  /** The next bytes of the message. */
  take(bytes: Buffer, start: number, end: number): void {
    const coming = this.#coming;
    const from = start + Math.min(end - start, Math.max(0, coming.skipBytes - coming.seen));
    coming.seen += end - start;
    for (let at = from; at < end; at += PIECE_BYTES) {
      const to = Math.min(end, at + PIECE_BYTES);
      this.#appendPiece(bytes, at, to);
      this.#taken.bytes += to - at;
    }
  }

  #appendPiece(bytes: Buffer, start: number, end: number): void {
    const writer = this.#writer;
    writer.reserve(FRAME_HEADER_BYTES + 1 + end - start);
    writer.buffer.writeUInt32BE(1 + end - start, writer.length);
    writer.length += FRAME_HEADER_BYTES;
    writer.byte(FRAME.piece);
    writer.bytes(bytes, start, end);
  }

  /** What was taken is in the log. */
  appended(): void {
    this.#logged = { ...this.#taken };
  }
}

/** The frame that tells of the row. */
export function oversizeFrame({ type, relationId, totalBytes }: OversizeRow): Buffer {
  const frame = Buffer.alloc(OVERSIZE_FRAME_BYTES);
  frame[0] = FRAME.oversize;
  frame[1] = type;
  frame.writeUInt32BE(relationId, 2);
  frame.writeBigUInt64BE(BigInt(totalBytes), 6);
  return frame;
}
