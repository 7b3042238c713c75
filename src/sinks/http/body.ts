// Reads the body of a reply as its bytes come: with a length, in chunks, or until the connection ends. Pure.
import { malformedReply, replyTooLong } from './errors.ts';

export type Framing =
  | { readonly kind: 'length'; readonly length: number }
  | { readonly kind: 'chunked' }
  | { readonly kind: 'until-close' };

export type BodyReader = {
  /** Takes what of `bytes` from `at` on is the body's: all of it until it is whole. Returns where it stopped. */
  take(bytes: Buffer, at: number): number;
  readonly isWhole: boolean;
  /** What was kept so far. */
  readonly bytes: Buffer;
};

type Limits = { readonly maxBytes: number; readonly keepsBody: boolean };

const NO_BYTES = Buffer.alloc(0);

export function bodyReader(framing: Framing, limits: Limits): BodyReader {
  const kept = new Kept(limits);
  switch (framing.kind) {
    case 'length':
      kept.checkLength(framing.length);
      return new SizedBody(kept, framing.length);
    case 'chunked':
      return new ChunkedBody(kept);
    case 'until-close':
      return new SizedBody(kept, Number.POSITIVE_INFINITY);
    default:
      return framing satisfies never;
  }
}

/** A copy of the bytes: what arrives is read into one buffer again and again. */
class Kept {
  readonly #limits: Limits;
  #buffer = NO_BYTES;
  #length = 0;

  constructor(limits: Limits) {
    this.#limits = limits;
  }

  checkLength(length: number): void {
    if (this.#limits.keepsBody && length > this.#limits.maxBytes) throw replyTooLong();
  }

  add(bytes: Buffer, start: number, end: number): void {
    if (!this.#limits.keepsBody) return;
    const length = this.#length + end - start;
    this.checkLength(length);
    if (length > this.#buffer.length) {
      // Chunks may be of one byte each: the room doubles.
      const roomier = Buffer.allocUnsafe(Math.max(length, this.#buffer.length * 2));
      this.#buffer.copy(roomier, 0, 0, this.#length);
      this.#buffer = roomier;
    }
    bytes.copy(this.#buffer, this.#length, start, end);
    this.#length = length;
  }

  get bytes(): Buffer {
    return this.#buffer.subarray(0, this.#length);
  }
}

class SizedBody implements BodyReader {
  readonly #kept: Kept;
  #left: number;

  constructor(kept: Kept, length: number) {
    this.#kept = kept;
    this.#left = length;
  }

  take(bytes: Buffer, at: number): number {
    const end = Math.min(bytes.length, at + this.#left);
    this.#kept.add(bytes, at, end);
    this.#left -= end - at;
    return end;
  }

  get isWhole(): boolean {
    return this.#left === 0;
  }

  get bytes(): Buffer {
    return this.#kept.bytes;
  }
}

/** A chunk's size with its extensions, or a trailer. */
const MAX_LINE_BYTES = 16 * 1024;
const LF = 0x0a;

/** https://www.rfc-editor.org/rfc/rfc9112#name-chunked-transfer-coding */
class ChunkedBody implements BodyReader {
  readonly #kept: Kept;
  #state: 'size' | 'data' | 'data end' | 'trailers' | 'whole' = 'size';
  #left = 0;
  /** What has arrived of a line. */
  #line = '';

  constructor(kept: Kept) {
    this.#kept = kept;
  }

  take(bytes: Buffer, start: number): number {
    let at = start;
    while (this.#state !== 'whole' && at < bytes.length) {
      at = this.#state === 'data' ? this.#takeData(bytes, at) : this.#takeLine(bytes, at);
    }
    return at;
  }

  #takeData(bytes: Buffer, at: number): number {
    const end = Math.min(bytes.length, at + this.#left);
    this.#kept.add(bytes, at, end);
    this.#left -= end - at;
    if (this.#left === 0) this.#state = 'data end';
    return end;
  }

  #takeLine(bytes: Buffer, at: number): number {
    const lineEnd = bytes.indexOf(LF, at);
    const end = lineEnd === -1 ? bytes.length : lineEnd;
    if (this.#line.length + end - at > MAX_LINE_BYTES) {
      throw malformedReply('a line between its chunks is too long');
    }
    this.#line += bytes.toString('latin1', at, end);
    if (this.#state === 'data end' && !/^\r?$/.test(this.#line)) {
      throw malformedReply('a chunk is longer than it says');
    }
    if (lineEnd === -1) return end;
    const line = this.#line.replace(/\r$/, '');
    this.#line = '';
    this.#readLine(line);
    return end + 1;
  }

  #readLine(line: string): void {
    switch (this.#state) {
      case 'size':
        this.#left = sizeOf(line);
        this.#state = this.#left === 0 ? 'trailers' : 'data';
        break;
      case 'data end':
        this.#state = 'size';
        break;
      case 'trailers':
        if (line === '') this.#state = 'whole';
        break;
      case 'data':
      case 'whole':
        break;
      default:
        this.#state satisfies never;
    }
  }

  get isWhole(): boolean {
    return this.#state === 'whole';
  }

  get bytes(): Buffer {
    return this.#kept.bytes;
  }
}

function sizeOf(line: string): number {
  const size = /^0*([0-9a-fA-F]{1,8})\s*(?:;.*)?$/.exec(line)?.[1];
  if (size === undefined) throw malformedReply('a chunk has no size');
  return Number.parseInt(size, 16);
}
