// What a message of a server may look like, and a guard before `pg`'s parser: that one believes every length, and never comes
// back from an error without an end. Whoever answers there may be no Postgres, or mean harm.
// https://www.postgresql.org/docs/current/protocol-message-formats.html
import type { Socket } from 'node:net';
import type { Client } from 'pg';

/** A message: type u8 | length u32, itself included | content. */
export const HEADER_BYTES = 5;
const MIN_LENGTH = 4;
/** Rows of catalogs, the widest of which names every table of a publication; and of tables, whose values are as large as Postgres lets them be. */
const MAX_ROW_BYTES = 256 * 1024 * 1024;
/** Of everything else that is no row: libpq takes some of them up to 30,000 bytes only. */
export const MAX_OTHER_BYTES = 1024 * 1024;

const DATA_ROW = 0x44; // D
/** A row of a table, where one is copied out. */
const COPY_DATA = 0x64; // d
const ERROR = 0x45; // E
const NOTICE = 0x4e; // N

/** Words for a message whose length no server means; undefined: it may be one. */
export function lengthFault(type: number, length: number, maxBytes: number): string | undefined {
  if (length >= MIN_LENGTH && length <= maxBytes) return undefined;
  return `a message of type 0x${type.toString(16)} with a length of ${length}`;
}

/** The fields of an error or a notice: a type and a text with a zero byte each, and a zero byte behind the last one. */
function endsItsFields(bytes: Buffer, from: number, end: number): boolean {
  for (let at = from; at < end;) {
    if (bytes[at] === 0) return true;
    const zero = bytes.indexOf(0, at + 1);
    if (zero === -1) return false;
    at = zero + 1;
  }
  return false;
}

/** Hands on whole messages only. */
export class MessageGuard {
  /** The beginning of a message, or of its header. */
  #chunks: Buffer[] = [];
  #length = 0;
  #needed = HEADER_BYTES;

  /** Hands on the messages that are complete with these bytes. Throws Error at what is no message. */
  push(bytes: Buffer, hand: (whole: Buffer) => void): void {
    let rest = bytes;
    // Of a message that began before, its own bytes alone are put together: what follows is handed on as it came.
    while (this.#length > 0) {
      const missing = rest.subarray(0, this.#needed - this.#length);
      this.#chunks.push(missing);
      this.#length += missing.length;
      rest = rest.subarray(missing.length);
      if (this.#length < this.#needed) return;
      const begun = Buffer.concat(this.#chunks, this.#length);
      const end = 1 + checkedLength(begun, 0);
      this.#chunks = [begun];
      this.#needed = end;
      if (begun.length < end) continue;
      this.#chunks = [];
      this.#length = 0;
      checkEnd(begun, 0, end);
      hand(begun);
    }
    const end = this.#wholeIn(rest);
    if (end < rest.length) {
      this.#chunks = [rest.subarray(end)];
      this.#length = rest.length - end;
    }
    if (end > 0) hand(rest.subarray(0, end));
  }

  /** Where the last message ends that is complete. */
  #wholeIn(bytes: Buffer): number {
    let at = 0;
    this.#needed = HEADER_BYTES;
    while (bytes.length - at >= HEADER_BYTES) {
      const end = at + 1 + checkedLength(bytes, at);
      if (end > bytes.length) {
        this.#needed = end - at;
        break;
      }
      checkEnd(bytes, at, end);
      at = end;
    }
    return at;
  }
}

function checkEnd(bytes: Buffer, at: number, end: number): void {
  const isError = bytes[at] === ERROR || bytes[at] === NOTICE;
  if (isError && !endsItsFields(bytes, at + HEADER_BYTES, end)) throw new Error('an error without an end');
}

function checkedLength(bytes: Buffer, at: number): number {
  const type = bytes[at]!;
  const length = bytes.readUInt32BE(at + 1);
  const fault = lengthFault(type, length, isOfRow(type) ? MAX_ROW_BYTES : MAX_OTHER_BYTES);
  if (fault !== undefined) throw new Error(fault);
  return length;
}

const isOfRow = (type: number): boolean => type === DATA_ROW || type === COPY_DATA;

/** Gets a row that is copied out: `bytes[start, end)`, valid during the call. Does not throw. */
export type CopiedRow = (bytes: Buffer, start: number, end: number) => void;

const COPYING = new WeakMap<Client, CopiedRow>();

/** From now on rows that are copied out go there as they come, and not through `pg`, which makes objects of each; undefined: to `pg` again. */
export function takeCopied(client: Client, take: CopiedRow | undefined): void {
  if (take === undefined) COPYING.delete(client);
  else COPYING.set(client, take);
}

/** Rows that are copied out go to the one, whatever is between them to the other, in order. Hot. */
function divide(bytes: Buffer, take: CopiedRow, parse: Listener): void {
  let others = 0;
  for (let at = 0; at < bytes.length;) {
    const end = at + 1 + bytes.readUInt32BE(at + 1);
    if (bytes[at] === COPY_DATA) {
      if (others < at) parse(bytes.subarray(others, at));
      take(bytes, at + HEADER_BYTES, end);
      others = end;
    }
    at = end;
  }
  if (others < bytes.length) parse(bytes.subarray(others));
}

type Listener = (bytes: Buffer) => void;
/** What `pg` asks of a stream that it reads messages from. */
type Readable = { on(event: string, listener: Listener): unknown };
type PgInternals = { readonly connection: { attachListeners(stream: Readable): void } };

/**
 * From now on `pg` reads only what its parser can bear; whatever that throws all the same breaks the connection, with the
 * error that `fault` makes, and not the process. Before `connect`.
 */
export function guardMessages(client: Client, fault: (words: string) => Error): void {
  const { connection } = client as unknown as PgInternals;
  const attach = connection.attachListeners.bind(connection);
  connection.attachListeners = (stream) => {
    const socket = stream as unknown as Socket;
    const guard = new MessageGuard();
    const guarded = (parse: Listener) => {
      const hand = (whole: Buffer): void => {
        const take = COPYING.get(client);
        if (take === undefined) parse(whole);
        else divide(whole, take, parse);
      };
      return (bytes: Buffer) => {
        if (socket.destroyed) return;
        try {
          guard.push(bytes, hand);
        } catch (error) {
          socket.destroy(fault(error instanceof Error ? error.message : String(error)));
        }
      };
    };
    attach({ on: (event, listener) => stream.on(event, event === 'data' ? guarded(listener) : listener) });
  };
}
