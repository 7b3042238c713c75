// Cuts the bytes of a replication socket into messages: whole batches at a time, no object per row. Hot (bench/micro).
//
// Backend message:  type u8 | length u32, itself included | content
// CopyData 'd':     'w' | WAL start u64 | WAL end u64 | clock i64 | one pgoutput message
//                   'k' | WAL end u64 | clock i64 | reply requested u8
// https://www.postgresql.org/docs/current/protocol-replication.html
import { toLsn, ZERO_LSN, type Lsn } from '../../core/lsn.ts';
import { HEADER_BYTES, lengthFault, MAX_OTHER_BYTES } from '../connection/framing.ts';

/** 'w' and three 64-bit numbers in front of the pgoutput message. */
export const XLOG_DATA_BYTES = 25;
const KEEPALIVE_BYTES = 18;
/** Behind the type of each message in a part of a transaction in progress. */
export const XID_BYTES = 4;
/**
 * Of a message that comes in pieces, the first piece has at least so much, or all of it: the type and relation id of a row, the
 * prefix of a logical message that is ours.
 */
const FIRST_PIECE_BYTES = 128;

const INITIAL_BYTES = 512 * 1024;
/** A buffer that one large message has made larger than this is given back. */
const KEEP_BYTES = 4 * 1024 * 1024;
const INITIAL_MESSAGES = 4096;

const COPY_DATA = 0x64; // d
const XLOG_DATA = 0x77; // w
const KEEPALIVE = 0x6b; // k

/** What a range of a batch is. */
export const RANGE = { whole: 0, first: 1, next: 2, last: 3 } as const;

/** Messages `bytes[starts[i], ends[i])`, i < `count`, in order. Scratch: valid until the next `take`. */
export type StreamBatch = {
  bytes: Buffer;
  count: number;
  starts: Int32Array;
  ends: Int32Array;
  /** RANGE: whole messages, or the pieces of one longer than the limit. */
  kinds: Uint8Array;
  /** Length of the message whose first piece is in this batch. */
  oversizeBytes: number;
};

/**
 * Where in the WAL the row stands whose message is whole in a batch, and begins at `bytes[start]`. Zero for what does not end
 * the output of a change, as Relation messages do not.
 */
export const walStartOf = (bytes: Buffer, start: number): Lsn =>
  toLsn(bytes.readBigUInt64BE(start - XLOG_DATA_BYTES + 1));

/** The same of bytes that may have nothing in front of them. */
export const walStartIn = (bytes: Buffer, start: number): Lsn =>
  start < XLOG_DATA_BYTES - 1 ? ZERO_LSN : walStartOf(bytes, start);

/** Where the first byte of the copy data is whose message, or its first piece, begins at `start`. */
export const copyDataStart = (start: number): number => start - XLOG_DATA_BYTES - HEADER_BYTES;

/** Takes the four bytes behind the type out of the message that begins at `start`: answers where it begins now. `walStartOf` still holds. */
export function withoutXid(bytes: Buffer, start: number): number {
  const walStart = start - XLOG_DATA_BYTES + 1;
  // From the end: the two places overlap.
  for (let i = 7; i >= 0; i--) bytes[walStart + XID_BYTES + i] = bytes[walStart + i]!;
  bytes[start + XID_BYTES] = bytes[start]!;
  return start + XID_BYTES;
}

/** A message of the backend that is not copy data: its type byte and content, copied. */
export type ControlMessage = { readonly type: number; readonly content: Buffer };

/** Invariant: `#filling[0, #length)` begins at a message boundary, or inside the pieces of a long one. */
export class ReplicationInput {
  readonly #maxMessageBytes: number;
  #filling: Buffer = Buffer.allocUnsafeSlow(INITIAL_BYTES);
  #spare: Buffer = Buffer.allocUnsafeSlow(INITIAL_BYTES);
  #length = 0;
  /** Bytes that must be there before `take` has anything to say. */
  #needed = HEADER_BYTES;
  /** What is still to come of a long message. */
  #remaining = 0;
  readonly #batch: StreamBatch;
  /** WAL end of the last keepalive taken. */
  walEnd: Lsn = ZERO_LSN;
  /** A keepalive taken asked for a reply; whoever replies clears it. */
  replyRequested = false;
  /** Other messages taken, in order; whoever handles them clears the list. */
  readonly control: ControlMessage[] = [];
  /** What came that is no message of a server: nothing behind it is taken. */
  broken: string | undefined;

  constructor(maxMessageBytes: number) {
    this.#maxMessageBytes = maxMessageBytes;
    this.#batch = {
      bytes: this.#filling,
      count: 0,
      starts: new Int32Array(INITIAL_MESSAGES),
      ends: new Int32Array(INITIAL_MESSAGES),
      kinds: new Uint8Array(INITIAL_MESSAGES),
      oversizeBytes: 0,
    };
  }

  /** Bytes pushed and not yet taken. */
  get buffered(): number {
    return this.#length;
  }

  /** Has `take` something to say? */
  get ready(): boolean {
    return this.#length >= this.#needed;
  }

  push(chunk: Uint8Array): void {
    const length = this.#length + chunk.length;
    if (length > this.#filling.length) {
      const grown = Buffer.allocUnsafeSlow(Math.max(length, this.#needed, this.#filling.length * 2));
      grown.set(this.#filling.subarray(0, this.#length));
      this.#filling = grown;
    }
    this.#filling.set(chunk, this.#length);
    this.#length = length;
    if (this.#needed === HEADER_BYTES) this.#needed = this.#neededAt(0);
  }

  /** Everything complete so far. The batch before is overwritten. */
  take(): StreamBatch {
    const batch = this.#batch;
    const bytes = this.#filling;
    batch.bytes = bytes;
    batch.count = 0;
    let at = this.#remaining > 0 ? this.#takePiece(0) : 0;
    while (this.#remaining === 0 && at + HEADER_BYTES <= this.#length) {
      const next = at + 1 + uint32At(bytes, at + 1);
      if (bytes[at] === COPY_DATA && bytes[at + HEADER_BYTES] === XLOG_DATA) {
        if (next <= this.#length) {
          const start = at + HEADER_BYTES + XLOG_DATA_BYTES;
          // Not one that ends before its own start, either.
          if ((next - start) >>> 0 <= this.#maxMessageBytes) {
            this.#add(start, next, RANGE.whole);
            at = next;
            continue;
          }
        }
        if (this.#length - at < this.#neededAt(at)) break;
        at = this.#takeFirstPiece(at, next);
      } else {
        if (next > this.#length || this.#faultAt(at) !== undefined) break;
        this.#takeOther(at, next);
        at = next;
      }
    }
    this.#swap(at);
    return batch;
  }

  /** Bytes of the message at `at` that must be there before it can be taken. */
  #neededAt(at: number): number {
    if (this.#remaining > 0) return 1;
    if (this.#length - at < HEADER_BYTES) return HEADER_BYTES;
    this.broken = this.#faultAt(at);
    if (this.broken !== undefined) return Infinity;
    const total = 1 + uint32At(this.#filling, at + 1);
    const long = total - HEADER_BYTES - XLOG_DATA_BYTES > this.#maxMessageBytes;
    return long ? Math.min(total, HEADER_BYTES + XLOG_DATA_BYTES + FIRST_PIECE_BYTES) : total;
  }

  /** Words for what cannot be a message, as far as it is here. */
  #faultAt(at: number): string | undefined {
    const bytes = this.#filling;
    const type = bytes[at]!;
    const length = uint32At(bytes, at + 1);
    if (type !== COPY_DATA) return lengthFault(type, length, MAX_OTHER_BYTES);
    if (length <= 4) return lengthFault(type, 0, MAX_OTHER_BYTES);
    // What kind of data it is comes with the next byte.
    if (this.#length - at <= HEADER_BYTES) return undefined;
    const isData = bytes[at + HEADER_BYTES] === XLOG_DATA;
    return lengthFault(
      type,
      isData && length < 4 + XLOG_DATA_BYTES ? 0 : length,
      isData ? Infinity : MAX_OTHER_BYTES,
    );
  }

  #takeFirstPiece(at: number, next: number): number {
    const start = at + HEADER_BYTES + XLOG_DATA_BYTES;
    this.#batch.oversizeBytes = next - start;
    const end = Math.min(next, this.#length);
    this.#remaining = next - end;
    this.#add(start, end, RANGE.first);
    // All of it is here: an empty last piece closes it.
    if (this.#remaining === 0) this.#add(end, end, RANGE.last);
    return end;
  }

  #takePiece(at: number): number {
    const end = Math.min(at + this.#remaining, this.#length);
    this.#remaining -= end - at;
    this.#add(at, end, this.#remaining === 0 ? RANGE.last : RANGE.next);
    return end;
  }

  #takeOther(at: number, next: number): void {
    const bytes = this.#filling;
    const type = bytes[at]!;
    const content = at + HEADER_BYTES;
    if (type !== COPY_DATA) {
      this.control.push({ type, content: Buffer.from(bytes.subarray(content, next)) });
    } else if (bytes[content] === KEEPALIVE && next - content >= KEEPALIVE_BYTES) {
      this.walEnd = toLsn(bytes.readBigUInt64BE(content + 1));
      if (bytes[content + 17] === 1) this.replyRequested = true;
    }
  }

  #add(start: number, end: number, kind: number): void {
    const batch = this.#batch;
    const { count } = batch;
    if (count === batch.starts.length) grow(batch);
    batch.starts[count] = start;
    batch.ends[count] = end;
    batch.kinds[count] = kind;
    batch.count = count + 1;
  }

  /** What is left moves to the other buffer, so that reading goes on while the batch is used. */
  #swap(taken: number): void {
    const rest = this.#length - taken;
    this.#length = rest;
    const used = this.#filling;
    if (this.#spare.length < rest || (this.#spare.length > KEEP_BYTES && rest < INITIAL_BYTES)) {
      this.#spare = Buffer.allocUnsafeSlow(Math.max(rest, INITIAL_BYTES));
    }
    this.#spare.set(used.subarray(taken, taken + rest));
    this.#filling = this.#spare;
    this.#spare = used;
    this.#needed = this.#neededAt(0);
  }
}

const uint32At = (bytes: Buffer, at: number): number =>
  ((bytes[at]! << 24) | (bytes[at + 1]! << 16) | (bytes[at + 2]! << 8) | bytes[at + 3]!) >>> 0;

function grow(batch: StreamBatch): void {
  const size = batch.starts.length * 2;
  const { starts, ends, kinds } = batch;
  batch.starts = new Int32Array(size);
  batch.ends = new Int32Array(size);
  batch.kinds = new Uint8Array(size);
  batch.starts.set(starts);
  batch.ends.set(ends);
  batch.kinds.set(kinds);
}
