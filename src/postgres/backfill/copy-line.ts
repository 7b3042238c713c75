// One line of COPY's text format as the row that the stream would have sent: the bytes of its columns, nothing decoded. Hot.
// https://www.postgresql.org/docs/current/sql-copy.html#SQL-COPY-FILE-FORMATS
import type { ByteWriter } from '../../core/byte-writer.ts';
import { COLUMN, PGOUTPUT, TUPLE } from '../../pgoutput/bytes.ts';

const TAB = 0x09;
const NEWLINE = 0x0a;
const BACKSLASH = 0x5c;
const NULL_LETTER = 0x4e; // N

/** What a letter behind a backslash stands for; any other stands for itself. */
const ESCAPED: Readonly<Record<number, number>> = {
  0x62: 0x08, // \b
  0x66: 0x0c, // \f
  0x6e: 0x0a, // \n
  0x72: 0x0d, // \r
  0x74: 0x09, // \t
  0x76: 0x0b, // \v
};

/** Type, relation, the tuple's letter, and how many columns follow. */
const INSERT_HEAD_BYTES = 8;
const FIRST_BYTES = 4096;
const EMPTY = Buffer.alloc(0);

/** Scratch: the fields of the line that was split last. */
export class CopyLine {
  bytes: Buffer = EMPTY;
  count = 0;
  readonly starts: Int32Array;
  /** -1: NULL. */
  readonly lengths: Int32Array;
  #unescaped = Buffer.alloc(FIRST_BYTES);

  constructor(maxFields: number) {
    this.starts = new Int32Array(maxFields);
    this.lengths = new Int32Array(maxFields);
  }

  /** Splits a whole line, its newline included or not. Valid until the next one, and not longer than `line`. */
  split(line: Buffer): void {
    const end = line.length > 0 && line[line.length - 1] === NEWLINE ? line.length - 1 : line.length;
    if (line.indexOf(BACKSLASH) === -1) this.#splitPlain(line, end);
    else this.#splitEscaped(line, end);
  }

  /** One character a byte. */
  text(field: number): string | null {
    const length = this.lengths[field]!;
    if (length < 0) return null;
    const start = this.starts[field]!;
    return this.bytes.toString('latin1', start, start + length);
  }

  /** Of the fields from `first` on, as an Insert message. */
  insertBytes(first: number): number {
    let bytes = INSERT_HEAD_BYTES;
    for (let field = first; field < this.count; field++)
      bytes += 1 + (this.lengths[field]! < 0 ? 0 : 4 + this.lengths[field]!);
    return bytes;
  }

  /** The next lines are as short as others. */
  forget(): void {
    this.bytes = EMPTY;
    this.#unescaped = Buffer.alloc(FIRST_BYTES);
  }

  /** Appends the fields from `first` on as an Insert message of the relation; `isKept`: others, by their number there, become NULL. */
  writeInsert(
    writer: ByteWriter,
    relationId: number,
    first: number,
    isKept?: (column: number) => boolean,
  ): void {
    const count = this.count - first;
    writer.reserve(INSERT_HEAD_BYTES);
    const head = writer.buffer;
    let at = writer.length;
    head[at++] = PGOUTPUT.insert;
    at = head.writeUInt32BE(relationId, at);
    head[at++] = TUPLE.new;
    writer.length = head.writeUInt16BE(count, at);
    for (let field = first; field < this.count; field++) {
      const length = this.lengths[field]!;
      writer.reserve(5);
      if (length < 0 || isKept?.(field - first) === false) {
        writer.buffer[writer.length++] = COLUMN.null;
        continue;
      }
      writer.buffer[writer.length++] = COLUMN.text;
      writer.length = writer.buffer.writeUInt32BE(length, writer.length);
      const start = this.starts[field]!;
      writer.bytes(this.bytes, start, start + length);
    }
  }

  #splitPlain(line: Buffer, end: number): void {
    this.bytes = line;
    let count = 0;
    let start = 0;
    for (let at = 0; at <= end; at++) {
      if (at < end && line[at] !== TAB) continue;
      this.starts[count] = start;
      this.lengths[count++] = at - start;
      start = at + 1;
    }
    this.count = count;
  }

  #splitEscaped(line: Buffer, end: number): void {
    if (this.#unescaped.length < end)
      this.#unescaped = Buffer.alloc(Math.max(end, this.#unescaped.length * 2));
    const target = this.#unescaped;
    let count = 0;
    let start = 0;
    let to = 0;
    let isNull = false;
    for (let at = 0; at <= end; at++) {
      const byte = line[at];
      if (at === end || byte === TAB) {
        this.starts[count] = start;
        this.lengths[count++] = isNull ? -1 : to - start;
        start = to;
        isNull = false;
      } else if (byte === BACKSLASH) {
        const next = line[++at]!;
        // \N is a NULL only as the whole of a field: COPY writes no other letter that way.
        if (next === NULL_LETTER) isNull = true;
        else target[to++] = ESCAPED[next] ?? next;
      } else target[to++] = byte!;
    }
    this.bytes = target;
    this.count = count;
  }
}
