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
  #chunks: Buffer[] = [];
  #length = 0;
  #needed = HEADER_BYTES;

  /** The bytes of the messages that are complete with these; undefined: none is. Throws Error at what is no message. */
  push(bytes: Buffer): Buffer | undefined {
    this.#chunks.push(bytes);
    this.#length += bytes.length;
    if (this.#length < this.#needed) return undefined;
    const all = this.#chunks.length === 1 ? bytes : Buffer.concat(this.#chunks, this.#length);
    let at = 0;
    this.#needed = HEADER_BYTES;
    while (all.length - at >= HEADER_BYTES) {
      const end = at + 1 + checkedLength(all, at);
      if (end > all.length) {
        this.#needed = end - at;
        break;
      }
      const isError = all[at] === ERROR || all[at] === NOTICE;
      if (isError && !endsItsFields(all, at + HEADER_BYTES, end)) throw new Error('an error without an end');
      at = end;
    }
    const rest = all.subarray(at);
    this.#chunks = rest.length === 0 ? [] : [rest];
    this.#length = rest.length;
    return at === 0 ? undefined : all.subarray(0, at);
  }
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
    const guarded = (parse: Listener) => (bytes: Buffer) => {
      if (socket.destroyed) return;
      try {
        const whole = guard.push(bytes);
        if (whole === undefined) return;
        const take = COPYING.get(client);
        if (take === undefined) parse(whole);
        else divide(whole, take, parse);
      } catch (error) {
        socket.destroy(fault(error instanceof Error ? error.message : String(error)));
      }
    };
    attach({ on: (event, listener) => stream.on(event, event === 'data' ? guarded(listener) : listener) });
  };
}
