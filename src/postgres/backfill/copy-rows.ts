// Lines of COPY's text format as the rows that the stream would have sent, framed as the log holds them: in one pass over the bytes, nothing
// decoded. Hot: once for every byte that a backfill reads (bench: backfill).
// https://www.postgresql.org/docs/current/sql-copy.html#SQL-COPY-FILE-FORMATS
import { ByteWriter } from '../../core/byte-writer.ts';
import { COLUMN, TUPLE } from '../../pgoutput/bytes.ts';
import { appendFrame, FRAME, FRAME_HEADER_BYTES } from '../../pgoutput/frames.ts';

const TAB = 0x09;
const NEWLINE = 0x0a;
/** No byte that ends a field is above it. */
const LAST_CONTROL = 0x0d;
const BACKSLASH = 0x5c;
const NULL_LETTER = 0x4e; // N
const TRUE = 0x74; // t
const ZERO = 0x30;

/** What a letter behind a backslash stands for; any other stands for itself. */
const ESCAPED = Uint8Array.from({ length: 256 }, (_, byte) => byte);
for (const [letter, byte] of Object.entries({ b: 0x08, f: 0x0c, n: 0x0a, r: 0x0d, t: 0x09, v: 0x0b }))
  ESCAPED[letter.charCodeAt(0)] = byte;

/** Type, the relation's id, the tuple's letter, the number of columns. */
const ROW_HEADER_BYTES = 8;
/** A column's kind and its length. */
const COLUMN_HEADER_BYTES = 5;

/**
 * Fields of a line before those of the row: whether it is wanted, where rows may not be; how many bytes of it were left out because it is
 * too large, where rows may be; and what it is known by.
 */
export type Leading = { readonly wanted: boolean; readonly sized: boolean; readonly key: number };

/** `key`: the numbers of the columns that are kept of a row that is too large. */
export type CopiedRelation = {
  readonly id: number;
  readonly columns: number;
  readonly key: readonly number[];
};

/** Rows, each a frame: its length, and from `starts[i]` to `ends[i]` what it says. */
export type ChunkRows = {
  readonly bytes: Buffer;
  readonly count: number;
  readonly starts: Int32Array;
  readonly ends: Int32Array;
  /** By their numbers, those that are larger than a row may be, and their sizes: of these the key is here alone. */
  readonly tooLarge?: ReadonlyMap<number, number>;
};

export class CopyRows {
  readonly #relation: CopiedRelation;
  readonly #leading: Leading;
  readonly #maxRowBytes: number;
  readonly #tooLarge = new Map<number, number>();
  readonly #writer: ByteWriter;
  #starts = new Int32Array(1024);
  #ends = new Int32Array(1024);
  #count = 0;
  /** What the line that was begun last is known by, and the one before it. */
  #key = new KnownBy();
  #before = new KnownBy();
  /** Of the line that was begun last: where its row begins. */
  #at = 0;
  /** How many bytes were left out of it. */
  #leftOut = 0;

  /** `maxRowBytes`: of a row, as a message · `spare`: to write into. */
  constructor(
    relation: CopiedRelation,
    leading: Leading,
    { maxRowBytes, spare }: { readonly maxRowBytes: number; readonly spare?: Buffer | undefined },
  ) {
    this.#writer = new ByteWriter(spare);
    this.#relation = relation;
    this.#leading = leading;
    this.#maxRowBytes = maxRowBytes;
  }

  get bytes(): number {
    return this.#writer.length;
  }

  /** Reads what comes before the row in `bytes[start, …)`, a line: `row` goes on there. Answers whether the row is wanted. */
  begin(bytes: Uint8Array, start: number): boolean {
    const { wanted, sized, key } = this.#leading;
    let at = wanted ? start + 2 : start;
    this.#leftOut = 0;
    if (sized) {
      for (; bytes[at] !== TAB; at++) this.#leftOut = this.#leftOut * 10 + bytes[at]! - ZERO;
      at++;
    }
    const before = this.#before;
    this.#before = this.#key;
    this.#key = before;
    this.#at = before.take(bytes, at, key);
    return !wanted || bytes[start] === TRUE;
  }

  /** What the line is known by that was begun last. */
  get key(): readonly string[] {
    return this.#key.texts;
  }

  /** The same of the line before it. */
  get keyBefore(): readonly string[] {
    return this.#before.texts;
  }

  /** Appends the row of the line that was begun last, whose last byte, a newline, is at `end - 1`. */
  row(bytes: Uint8Array, end: number): void {
    const { id, columns } = this.#relation;
    const writer = this.#writer;
    writer.reserve(FRAME_HEADER_BYTES + ROW_HEADER_BYTES + columns * COLUMN_HEADER_BYTES + end - this.#at);
    const target = writer.buffer;
    const start = writer.length + FRAME_HEADER_BYTES;
    let to = start;
    target[to] = FRAME.read;
    writeUint32(target, id, to + 1);
    target[to + 5] = TUPLE.new;
    target[to + 6] = columns >>> 8;
    target[to + 7] = columns;
    to += ROW_HEADER_BYTES;
    let at = this.#at;
    for (let column = 0; column < columns; column++) {
      const from = to + COLUMN_HEADER_BYTES;
      let isNull = false;
      let next = from;
      for (;;) {
        const byte = bytes[at++]!;
        if (byte > LAST_CONTROL && byte !== BACKSLASH) target[next++] = byte;
        else if (byte === TAB || byte === NEWLINE) break;
        else if (byte === BACKSLASH) {
          const letter = bytes[at++]!;
          // \N is a NULL only as the whole of a field: COPY writes no other letter that way.
          if (letter === NULL_LETTER) isNull = true;
          else target[next++] = ESCAPED[letter]!;
        } else target[next++] = byte;
      }
      if (isNull) {
        target[to++] = COLUMN.null;
        continue;
      }
      target[to] = COLUMN.text;
      writeUint32(target, next - from, to + 1);
      to = next;
    }
    const size = to - start + this.#leftOut;
    if (size > this.#maxRowBytes) {
      this.#tooLarge.set(this.#count, size);
      to = this.#keepKey(start);
    }
    writeUint32(target, to - start, start - FRAME_HEADER_BYTES);
    writer.length = to;
    this.#note(start, to);
  }

  /** Of the row at `start` the key alone; answers where it ends then. */
  #keepKey(start: number): number {
    const { columns, key } = this.#relation;
    const { buffer } = this.#writer;
    let at = start + ROW_HEADER_BYTES;
    let to = at;
    for (let column = 0; column < columns; column++) {
      const isText = buffer[at] === COLUMN.text;
      const end = isText ? at + COLUMN_HEADER_BYTES + buffer.readUInt32BE(at + 1) : at + 1;
      if (isText && key.includes(column)) {
        buffer.copyWithin(to, at, end);
        to += end - at;
      } else buffer[to++] = COLUMN.null;
      at = end;
    }
    return to;
  }

  /** Appends what is a row's message already. */
  message(message: Buffer): void {
    const start = this.#writer.length + FRAME_HEADER_BYTES;
    appendFrame(this.#writer, message, 0, message.length);
    this.#note(start, this.#writer.length);
  }

  #note(start: number, end: number): void {
    if (this.#count === this.#starts.length) {
      this.#starts = longer(this.#starts);
      this.#ends = longer(this.#ends);
    }
    this.#starts[this.#count] = start;
    this.#ends[this.#count++] = end;
  }

  finish(): Required<ChunkRows> {
    const count = this.#count;
    return {
      bytes: this.#writer.buffer.subarray(0, this.#writer.length),
      count,
      starts: this.#starts.subarray(0, count),
      ends: this.#ends.subarray(0, count),
      tooLarge: this.#tooLarge,
    };
  }
}

/** The first fields of a line, kept while the line is gone: as text, one character a byte, only where somebody asks. */
class KnownBy {
  #bytes = Buffer.allocUnsafe(64);
  readonly #ends: number[] = [];

  /** Takes `count` fields from `start` on; answers where the next one begins. */
  take(bytes: Uint8Array, start: number, count: number): number {
    let at = start;
    let to = 0;
    for (let field = 0; field < count; at++) {
      let byte = bytes[at]!;
      if (byte === TAB || byte === NEWLINE) {
        this.#ends[field++] = to;
        continue;
      }
      if (byte === BACKSLASH) byte = ESCAPED[bytes[++at]!]!;
      if (to === this.#bytes.length) this.#bytes = Buffer.concat([this.#bytes], to * 2);
      this.#bytes[to++] = byte;
    }
    return at;
  }

  get texts(): readonly string[] {
    return this.#ends.map((end, i) => this.#bytes.toString('latin1', i === 0 ? 0 : this.#ends[i - 1], end));
  }
}

function writeUint32(target: Uint8Array, value: number, at: number): void {
  target[at] = value >>> 24;
  target[at + 1] = value >>> 16;
  target[at + 2] = value >>> 8;
  target[at + 3] = value;
}

function longer(array: Int32Array<ArrayBuffer>): Int32Array<ArrayBuffer> {
  const grown = new Int32Array(array.length * 2);
  grown.set(array);
  return grown;
}
