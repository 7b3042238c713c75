// Walks the blocks of one segment file, a large read at a time, checking every checksum.
import { closeSync, constants, readSync } from 'node:fs';
import { crc32 } from 'node:zlib';
import { openFile } from '../data-directory/files.ts';
import { corruptError } from './errors.ts';
import { BLOCK_HEADER_BYTES, decodeBlockHeader, type BlockContext, type SegmentHeader } from './format.ts';
import { readFileHeader, type SegmentFile } from './segments.ts';

/** Bytes asked for in one read; the buffer grows further only for a larger block. */
const READ_BYTES = 1 << 20;
/** The buffer while no more is there: of the many that wait at a log's end. */
const MIN_BUFFER_BYTES = 1 << 16;

const NOTHING = Buffer.alloc(0);

export type RawBlock = {
  readonly buffer: Buffer;
  /** The payload is `buffer[start, end)`. */
  readonly start: number;
  readonly end: number;
  /** Logical offset of the block's header. */
  readonly blockStart: number;
  readonly blockEnd: number;
  readonly context: BlockContext;
  readonly prologue: boolean;
};

/** The buffer of a block is written over by the next call of `next` or `seek`. */
export class BlockCursor {
  readonly path: string;
  readonly header: SegmentHeader;
  readonly startOffset: number;
  readonly #fd: number;
  #buffer: Buffer = NOTHING;
  #from = 0;
  #to = 0;
  /** Logical offset of `#buffer[#from]`: where the next block begins. */
  #offset: number;

  /** Stands before the prologue. Throws LOG_CORRUPT, LOG_VERSION, or ENOENT as it is. */
  constructor(segment: Pick<SegmentFile, 'path' | 'startOffset'>) {
    this.path = segment.path;
    this.startOffset = segment.startOffset;
    this.#fd = openFile(segment.path, constants.O_RDONLY);
    try {
      const decoded = readFileHeader(this.#fd, segment.path);
      if (decoded === undefined || decoded.header.startOffset !== segment.startOffset) {
        throw corruptError(segment.path, segment.startOffset, 'the file header is bad');
      }
      this.header = decoded.header;
      this.#offset = segment.startOffset + decoded.byteLength;
    } catch (error) {
      closeSync(this.#fd);
      throw error;
    }
  }

  get offset(): number {
    return this.#offset;
  }

  /** Would `next` have to read the file? */
  get isDrained(): boolean {
    const available = this.#to - this.#from;
    if (available < BLOCK_HEADER_BYTES) return true;
    return available < BLOCK_HEADER_BYTES + this.#buffer.readUInt32BE(this.#from + 8);
  }

  /** Goes to the block at a logical offset of this segment. */
  seek(offset: number): void {
    this.#from = this.#to = 0;
    this.#offset = offset;
  }

  /** Goes on at the logical offset `end`, behind blocks that somebody else has read: without the buffer, where what it holds is over. */
  pass(end: number): void {
    const next = this.#from + (end - this.#offset);
    if (next > this.#to) {
      this.#buffer = NOTHING;
      this.seek(end);
    } else {
      this.#from = next;
      this.#offset = end;
    }
  }

  /**
   * The next block; nothing at or above the logical offset `limit` is read. 'end': no byte is left;
   * 'bad': what is there is not a whole, sound block.
   */
  next(limit: number): RawBlock | 'end' | 'bad' {
    this.#fill(BLOCK_HEADER_BYTES, limit);
    const available = this.#to - this.#from;
    if (available === 0) return 'end';
    if (available < BLOCK_HEADER_BYTES) return 'bad';
    const header = decodeBlockHeader(this.#buffer, this.#from, this.#offset);
    if (header === undefined) return 'bad';
    const blockBytes = BLOCK_HEADER_BYTES + header.payloadBytes;
    this.#fill(blockBytes, limit);
    if (this.#to - this.#from < blockBytes) return 'bad';
    const start = this.#from + BLOCK_HEADER_BYTES;
    const end = this.#from + blockBytes;
    const buffer = this.#buffer;
    if (crc32(buffer.subarray(start, end)) !== header.payloadCrc) return 'bad';
    const blockStart = this.#offset;
    this.#from = end;
    this.#offset = blockStart + blockBytes;
    const { context, prologue } = header;
    return { buffer, start, end, blockStart, blockEnd: this.#offset, context, prologue };
  }

  close(): void {
    closeSync(this.#fd);
  }

  /** For one read of what is left, and no less than there is; one that grew for a large block is given back. */
  #roomFor(left: number): number {
    const room = left <= MIN_BUFFER_BYTES ? MIN_BUFFER_BYTES : READ_BYTES;
    return Math.min(READ_BYTES, Math.max(this.#buffer.length, room));
  }

  /** Reads on until `needed` bytes are in the buffer, or none are left below `limit`. */
  #fill(needed: number, limit: number): void {
    const available = this.#to - this.#from;
    if (available >= needed) return;
    const capacity = Math.max(needed, this.#roomFor(limit - this.#offset));
    // A buffer that grew for one large block is given back (invariant 8).
    const target = this.#buffer.length === capacity ? this.#buffer : Buffer.allocUnsafeSlow(capacity);
    this.#buffer.copy(target, 0, this.#from, this.#to);
    this.#buffer = target;
    this.#from = 0;
    this.#to = available;
    while (this.#to < needed) {
      const position = this.#offset + this.#to - this.startOffset;
      const wanted = Math.min(capacity - this.#to, limit - this.startOffset - position);
      if (wanted <= 0) return;
      const count = readSync(this.#fd, target, this.#to, wanted, position);
      if (count === 0) return;
      this.#to += count;
    }
  }
}
