// A growing byte buffer that renderers append to. Hot file: plain loops on purpose (bench/micro).

const INITIAL_BYTES = 64 * 1024;

/** Bytes that are appended again and again. `escapes`: how many of them the encoding has put in (core/encoding.ts). */
export type Literal = { readonly bytes: Buffer; readonly escapes: number };

/**
 * Bytes [0, `length`) of `buffer` are what was written. Call `reserve(n)` before writing n bytes by hand;
 * `buffer` may be another object afterwards.
 */
export class ByteWriter {
  buffer: Buffer;
  length = 0;
  /** Bytes among them that are there because of the encoding: without them it would be the plain JSON. */
  escapes = 0;

  /** `initial`: so many bytes to begin with, or a buffer that nobody else needs. */
  constructor(initial: number | Buffer = INITIAL_BYTES) {
    this.buffer = typeof initial === 'number' ? Buffer.allocUnsafeSlow(initial) : initial;
  }

  /** Makes room for `byteCount` more bytes. */
  reserve(byteCount: number): void {
    const needed = this.length + byteCount;
    if (needed <= this.buffer.length) return;
    const grown = Buffer.allocUnsafeSlow(Math.max(needed, this.buffer.length * 2));
    this.buffer.copy(grown, 0, 0, this.length);
    this.buffer = grown;
  }

  byte(value: number): void {
    this.reserve(1);
    this.buffer[this.length++] = value;
  }

  /** Appends `source[start, end)`. */
  bytes(source: Buffer, start = 0, end: number = source.length): void {
    const count = end - start;
    this.reserve(count);
    const target = this.buffer;
    let at = this.length;
    if (count <= SHORT_COPY) {
      for (let i = start; i < end; i++) target[at++] = source[i]!;
    } else {
      source.copy(target, at, start, end);
      at += count;
    }
    this.length = at;
  }

  /** Appends a constant: whole arrays are copied several times faster than parts of them. */
  literal({ bytes, escapes }: Literal): void {
    const end = this.length + bytes.length;
    if (end > this.buffer.length) this.reserve(bytes.length);
    this.buffer.set(bytes, this.length);
    this.length = end;
    this.escapes += escapes;
  }

  /** Appends `text` as UTF-8. */
  text(text: string): void {
    this.reserve(text.length * 3);
    this.length += this.buffer.write(text, this.length);
  }

  /** Appends the decimal digits of a whole number from 0 to 2^53. */
  integer(value: number): void {
    if (value < BILLION) return this.paddedInteger(value, digitsOf(value));
    const high = Math.floor(value / BILLION);
    this.paddedInteger(high, digitsOf(high));
    this.paddedInteger(value - high * BILLION, BILLION_DIGITS);
  }

  /** The same of a number below 10^9, with zeros in front up to `digits`, at most 9. */
  paddedInteger(value: number, digits: number): void {
    this.reserve(digits);
    const { buffer, length } = this;
    let rest = value | 0;
    for (let at = length + digits - 1; at >= length; at--) {
      const next = (rest / 10) | 0;
      buffer[at] = 0x30 + rest - next * 10;
      rest = next;
    }
    this.length = length + digits;
  }

  /** Appends text whose characters are all below U+0100, one byte each. */
  latin1(text: string): void {
    const { length } = text;
    this.reserve(length);
    const { buffer } = this;
    let at = this.length;
    if (length <= SHORT_COPY) for (let i = 0; i < length; i++) buffer[at++] = text.charCodeAt(i);
    else at += buffer.write(text, at, 'latin1');
    this.length = at;
  }

  /** Forgets everything behind a place that was `length` and `escapes` before. */
  truncate(length: number, escapes: number): void {
    this.length = length;
    this.escapes = escapes;
  }

  reset(): void {
    this.truncate(0, 0);
  }
}

/** Below this many bytes a loop is faster than a native copy. */
const SHORT_COPY = 48;
const BILLION_DIGITS = 9;
const BILLION = 1_000_000_000;

/** Of a whole number below 10^9. */
function digitsOf(value: number): number {
  if (value < 10) return 1;
  if (value < 100) return 2;
  if (value < 1000) return 3;
  if (value < 10_000) return 4;
  if (value < 100_000) return 5;
  if (value < 1_000_000) return 6;
  if (value < 10_000_000) return 7;
  return value < 100_000_000 ? 8 : 9;
}
