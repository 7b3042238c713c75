// Reads HTTP/1.1 replies out of the bytes of a connection, one request's reply at a time. Pure; hot file (bench/micro/sqs.ts).
// https://www.rfc-editor.org/rfc/rfc9112
import { bodyReader, type BodyReader } from './body.ts';
import { malformedReply } from './errors.ts';
import { NO_HTTP, parseHead, type Head } from './head.ts';

export type HttpReply = Omit<Head, 'framing'> & {
  /** Empty where bodies are dropped. */
  readonly body: Buffer;
  /** Does it say itself where its body ends? Where not, the connection's end may have cut it off. */
  readonly isDelimited: boolean;
};

/** A head is a status line and some headers: proxies add theirs, and cookies. */
const MAX_HEAD_BYTES = 64 * 1024;
/** A server has few reasons to inform before it answers. */
const MAX_INTERIM_REPLIES = 100;
const LF = 0x0a;
const CR = 0x0d;
const NO_BYTES = Buffer.alloc(0);

export type ReplyLimits = {
  /** Of the body. */
  readonly maxBytes: number;
  /** Is the body wanted, or dropped as it comes, however long it is? */
  readonly keepsBody: boolean;
};

/** Fed with what arrives, answers with the reply once it is whole. Each byte is looked at once, in however small pieces it comes. */
export class ReplyReader {
  readonly #limits: ReplyLimits;
  readonly #partial = new PartialHead();
  #head: Head | undefined;
  #body: BodyReader | undefined;
  #isBodyless = false;
  #interimReplies = 0;

  constructor(limits: ReplyLimits) {
    this.#limits = limits;
  }

  /** `isBodyless`: the reply to HEAD says how long a body would be, and has none. */
  expect(isBodyless: boolean): void {
    this.#isBodyless = isBodyless;
  }

  /**
   * Takes the bytes that arrived, which are the caller's again afterwards. Returns the reply if they complete it; the
   * reader is then ready for the next one. Throws NoReplyError at anything that is no reply.
   */
  push(chunk: Buffer): HttpReply | undefined {
    let bytes = chunk;
    let at = 0;
    if (this.#head === undefined) {
      bytes = this.#partial.join(chunk);
      at = this.#readHead(bytes);
      if (this.#head === undefined) return undefined;
    }
    this.#body ??= bodyReader(this.#head.framing, this.#limits);
    at = this.#body.take(bytes, at);
    return this.#body.isWhole ? this.#finish(at === bytes.length) : undefined;
  }

  /** The server has closed the connection: that ends a reply without a length. */
  end(): HttpReply | undefined {
    return this.#head?.framing.kind === 'until-close' ? this.#finish(true) : undefined;
  }

  /** Returns where the body begins, once there is a head that is not only informational. */
  #readHead(bytes: Buffer): number {
    let at = 0;
    while (this.#head === undefined) {
      const start = headStart(bytes, at);
      const end = headEnd(bytes, Math.max(start, this.#partial.scanned));
      if (end < 0) {
        if (bytes.length - start > MAX_HEAD_BYTES) throw malformedReply('its head is too long');
        // What speaks another protocol may never write an empty line: it is known by its first bytes.
        if (!isStartOfReply(bytes, start)) throw malformedReply(NO_HTTP);
        this.#partial.keep(bytes, start, ~end);
        return at;
      }
      this.#partial.clear();
      const head = parseHead(bytes.toString('latin1', start, end), this.#isBodyless);
      at = end;
      if (head.status >= 200) this.#head = head;
      else this.#passOver(head.status);
    }
    return at;
  }

  /** 100 Continue and its like come before the reply, asked for or not. https://www.rfc-editor.org/rfc/rfc9110#name-informational-1xx */
  #passOver(status: number): void {
    if (status === 101) throw malformedReply('it changes to another protocol');
    if (++this.#interimReplies > MAX_INTERIM_REPLIES) throw malformedReply('it only informs');
  }

  /** Bytes behind the reply belong to nothing that was asked: the connection is not to be trusted. */
  #finish(isAll: boolean): HttpReply {
    const { status, header, keepAlive, keepAliveMs, framing } = this.#head!;
    const isDelimited = framing.kind !== 'until-close';
    const body = this.#body?.bytes ?? NO_BYTES;
    this.#head = undefined;
    this.#body = undefined;
    this.#interimReplies = 0;
    return { status, header, body, isDelimited, keepAlive: keepAlive && isAll, keepAliveMs };
  }
}

/** What has arrived of a head that is not whole yet, and how far it has been looked at. */
class PartialHead {
  #buffer = NO_BYTES;
  #length = 0;
  scanned = 0;

  /** What is kept and `chunk` behind it. */
  join(chunk: Buffer): Buffer {
    if (this.#length === 0) return chunk;
    const length = this.#length + chunk.length;
    this.#makeRoom(length);
    chunk.copy(this.#buffer, this.#length);
    return this.#buffer.subarray(0, length);
  }

  /** Keeps `bytes` from `start` on: a copy, unless they are here already. */
  keep(bytes: Buffer, start: number, scanned: number): void {
    const length = bytes.length - start;
    if (bytes.buffer !== this.#buffer.buffer || start > 0) {
      // In front of what was kept is a head that only informs: it is overwritten.
      if (bytes.buffer !== this.#buffer.buffer) this.#makeRoom(length);
      bytes.copy(this.#buffer, 0, start);
    }
    this.#length = length;
    this.scanned = scanned - start;
  }

  clear(): void {
    this.#length = 0;
    this.scanned = 0;
  }

  #makeRoom(length: number): void {
    if (length <= this.#buffer.length) return;
    // Its own memory: `keep` knows it by that.
    const roomier = Buffer.allocUnsafeSlow(Math.max(length, this.#buffer.length * 2));
    this.#buffer.copy(roomier, 0, 0, this.#length);
    this.#buffer = roomier;
  }
}

/** Behind empty lines: some servers end a 100, or the reply before, with one too many. */
function headStart(bytes: Buffer, start: number): number {
  let at = start;
  while (bytes[at] === CR || bytes[at] === LF) at++;
  return at;
}

/**
 * Behind the empty line that ends a head; lines end with CRLF, or LF alone. https://www.rfc-editor.org/rfc/rfc9112#section-2.2-3
 * Where there is none yet, `~` the place from which to look again.
 */
function headEnd(bytes: Buffer, start: number): number {
  for (let at = bytes.indexOf(LF, start); at !== -1; at = bytes.indexOf(LF, at + 1)) {
    const next = bytes[at + 1] === CR ? at + 2 : at + 1;
    if (next >= bytes.length) return ~at;
    if (bytes[next] === LF) return next + 1;
  }
  return ~bytes.length;
}

const REPLY_START = Buffer.from('HTTP/1.');

function isStartOfReply(bytes: Buffer, start: number): boolean {
  const length = Math.min(bytes.length - start, REPLY_START.length);
  return REPLY_START.compare(bytes, start, start + length, 0, length) === 0;
}
