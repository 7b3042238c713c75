// Reads the fields of a pgoutput message one after the other, and says what is wrong with one that is none.
// https://www.postgresql.org/docs/current/protocol-message-types.html
import { TailraceError } from '../core/errors.ts';
import { toLsn, type Lsn } from '../core/lsn.ts';
import { POSTGRES_EPOCH_US } from './bytes.ts';

/** Reads a cold message field by field and never beyond its end. Invariant: `start <= #at <= #end`. */
export class MessageReader {
  readonly #bytes: Buffer;
  readonly #start: number;
  readonly #end: number;
  #at: number;

  /** Starts behind the type byte. */
  constructor(bytes: Buffer, start: number, end: number) {
    this.#bytes = bytes;
    this.#start = start;
    this.#end = end;
    this.#at = start;
    this.#take(1);
  }

  uint8(): number {
    return this.#bytes[this.#take(1)]!;
  }
  uint16(): number {
    return this.#bytes.readUInt16BE(this.#take(2));
  }
  uint32(): number {
    return this.#bytes.readUInt32BE(this.#take(4));
  }
  int32(): number {
    return this.#bytes.readInt32BE(this.#take(4));
  }
  lsn(): Lsn {
    return toLsn(this.#bytes.readBigUInt64BE(this.#take(8)));
  }
  /** Microseconds since 1970-01-01. */
  timeUs(): bigint {
    return this.#bytes.readBigInt64BE(this.#take(8)) + POSTGRES_EPOCH_US;
  }
  /** Names end with a zero byte and are UTF-8. */
  text(): string {
    let nul = this.#at;
    while (nul < this.#end && this.#bytes[nul] !== 0) nul++;
    const start = this.#take(nul - this.#at + 1);
    return this.#bytes.toString('utf8', start, nul);
  }
  /** An empty namespace stands for pg_catalog. */
  schema(): string {
    return this.text() || 'pg_catalog';
  }
  slice(length: number): Buffer {
    const start = this.#take(length);
    return this.#bytes.subarray(start, start + length);
  }
  finish(): void {
    if (this.#at !== this.#end) throw malformed(this.#bytes, this.#start, 'is longer than its fields');
  }

  #take(byteCount: number): number {
    const at = this.#at;
    if (byteCount > this.#end - at) throw malformed(this.#bytes, this.#start, 'is cut short');
    this.#at = at + byteCount;
    return at;
  }
}

const HINT = 'the bytes are not pgoutput protocol 1: check that nothing but Postgres answers on this address';

export const describeByte = (byte: number | undefined): string =>
  byte === undefined ? 'nothing' : `0x${byte.toString(16).padStart(2, '0')}`;

export const malformed = (bytes: Buffer, start: number, what: string): TailraceError =>
  new TailraceError(`a pgoutput message of type ${describeByte(bytes[start])} ${what}`, {
    code: 'PGOUTPUT_MALFORMED',
    kind: 'fatal',
    hint: HINT,
  });

/** For a reader that meets a message type which it does not know. */
export const unknownMessage = (type: number | undefined): TailraceError =>
  new TailraceError(`pgoutput sent a message of the unknown type ${describeByte(type)}`, {
    code: 'PGOUTPUT_UNKNOWN_MESSAGE',
    kind: 'fatal',
    hint: HINT,
  });
