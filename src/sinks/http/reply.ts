// Reads HTTP/1.1 replies out of the bytes of a connection, one request's reply at a time. Pure; hot file (bench/micro/sqs.ts).
// https://www.rfc-editor.org/rfc/rfc9112
import { bodyReader, type BodyReader, type Framing } from './body.ts';
import { malformedReply } from './errors.ts';

export type HttpReply = {
  readonly status: number;
  /** Empty where bodies are dropped. */
  readonly body: Buffer;
  /** By lower-case name; a repeated one is joined with `, `. */
  header(name: string): string | undefined;
  /** Does it say itself where its body ends? Where not, the connection's end may have cut it off. */
  readonly isDelimited: boolean;
  /** May the connection carry another request? */
  readonly keepAlive: boolean;
  /** How long the server keeps an idle connection, where it says so. */
  readonly keepAliveMs: number | undefined;
};

/** A head is a status line and some headers: proxies add theirs, and cookies. */
const MAX_HEAD_BYTES = 64 * 1024;
/** A server has few reasons to inform before it answers. */
const MAX_INTERIM_REPLIES = 100;
const LF = 0x0a;
const CR = 0x0d;
const NO_BYTES = Buffer.alloc(0);

type Head = Omit<HttpReply, 'body' | 'isDelimited'> & { readonly framing: Framing };

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

const NO_HTTP = 'it is no HTTP/1.1';
const REPLY_START = Buffer.from('HTTP/1.');

function isStartOfReply(bytes: Buffer, start: number): boolean {
  const length = Math.min(bytes.length - start, REPLY_START.length);
  return REPLY_START.compare(bytes, start, start + length, 0, length) === 0;
}

const STATUS_LINE = /^HTTP\/1\.([01]) ([1-9][0-9]{2})(?: [^\r]*)?\r?$/;

/** Any header's name. https://www.rfc-editor.org/rfc/rfc9110#name-tokens */
const IS_NAME_CHARACTER = new Uint8Array(256);
for (const byte of Buffer.from(
  "!#$%&'*+-.^_`|~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz",
)) {
  IS_NAME_CHARACTER[byte] = 1;
}

/** What another reader of the same bytes may take for the end of a line. */
// eslint-disable-next-line no-control-regex
const STRAY_CONTROL = /\0|\r(?!\n)/;

/** Only four headers matter for every reply; the others are looked for when somebody asks. */
function parseHead(text: string, isBodyless: boolean): Head {
  const firstEnd = text.indexOf('\n');
  const match = STATUS_LINE.exec(text.slice(0, firstEnd));
  if (match === null) throw malformedReply(NO_HTTP);
  if (STRAY_CONTROL.test(text)) throw malformedReply('its head has control characters');
  const status = Number(match[2]);
  let length: string | undefined;
  let encoding: string | undefined;
  let connection: string | undefined;
  let keepAliveMs: number | undefined;
  // Nothing may be folded onto the status line.
  let isFraming = true;
  for (let start = firstEnd + 1, end: number; !isLineEnd(text, start); start = end + 1) {
    end = text.indexOf('\n', start);
    // The line before goes on, in the form of long ago. https://www.rfc-editor.org/rfc/rfc9112#name-obsolete-line-folding
    if (isBlank(text, start)) {
      if (isFraming) throw malformedReply('a header that frames it is folded');
      continue;
    }
    const nameLength = nameLengthAt(text, start);
    isFraming = FRAMING_HEADER_LENGTHS.has(nameLength);
    if (!isFraming) continue;
    const name = text.slice(start, start + nameLength).toLowerCase();
    const value = valueIn(text, start + nameLength + 1, end);
    if (name === 'content-length') length = joined(length, value);
    else if (name === 'transfer-encoding') encoding = joined(encoding, value);
    else if (name === 'connection') connection = joined(connection, value);
    else if (name === 'keep-alive') keepAliveMs = timeoutHint(value);
  }
  const framing = isBodyless ? NO_BODY : framingOf(status, length, encoding);
  const isModern = match[1] === '1';
  const isKept = isModern ? !hasOption(connection, 'close') : hasOption(connection, 'keep-alive');
  // HTTP/1.0 knows no chunks: whoever sends them all the same is not to be trusted with where the next reply begins.
  const isFramed = framing.kind === 'length' || (framing.kind === 'chunked' && isModern);
  const keepAlive = isKept && isFramed;
  return { status, header: (name) => headerOf(text, name), keepAlive, keepAliveMs, framing };
}

/** Up to its colon, before which there is no blank: other readers would take such a line for another header, or for none. */
function nameLengthAt(text: string, start: number): number {
  let at = start;
  while (IS_NAME_CHARACTER[text.charCodeAt(at)] === 1) at++;
  if (at === start || text[at] !== ':') throw malformedReply('it has a header without a name');
  return at - start;
}

/** Blanks and tabs around it do not belong to it; any other white space does. https://www.rfc-editor.org/rfc/rfc9110#name-whitespace */
function valueIn(text: string, start: number, end: number): string {
  let from = start;
  let to = end;
  while (from < to && isBlank(text, from)) from++;
  while (to > from && (isBlank(text, to - 1) || text[to - 1] === '\r')) to--;
  return text.slice(from, to);
}

const isBlank = (text: string, at: number): boolean => text[at] === ' ' || text[at] === '\t';

const joined = (list: string | undefined, value: string): string =>
  list === undefined ? value : `${list}, ${value}`;

const isLineEnd = (text: string, at: number): boolean =>
  text[at] === '\n' || (text[at] === '\r' && text[at + 1] === '\n');

/** A list of options, in any case. https://www.rfc-editor.org/rfc/rfc9110#name-connection */
const hasOption = (connection: string | undefined, option: string): boolean =>
  connection !== undefined &&
  connection
    .toLowerCase()
    .split(',')
    .some((word) => word.trim() === option);

/** `timeout=5, max=100`. https://www.rfc-editor.org/rfc/rfc2068#section-19.7.1.1 */
function timeoutHint(value: string): number | undefined {
  const seconds = /(?:^|[\s,])timeout=(\d{1,9})\b/i.exec(value)?.[1];
  return seconds === undefined ? undefined : Number(seconds) * 1000;
}

const FRAMING_HEADER_LENGTHS: ReadonlySet<number> = new Set(
  ['content-length', 'transfer-encoding', 'connection', 'keep-alive'].map((name) => name.length),
);

function headerOf(head: string, name: string): string | undefined {
  const values = head
    .split('\n')
    .slice(1)
    .filter((line) => line.slice(0, Math.max(0, line.indexOf(':'))).toLowerCase() === name)
    .map((line) => line.slice(line.indexOf(':') + 1).trim());
  return values.length === 0 ? undefined : values.join(', ');
}

const NO_BODY: Framing = { kind: 'length', length: 0 };

/** https://www.rfc-editor.org/rfc/rfc9112#name-message-body-length */
function framingOf(status: number, length: string | undefined, encoding: string | undefined): Framing {
  if (status < 200 || status === 204 || status === 304) return NO_BODY;
  if (encoding !== undefined) {
    if (encoding.toLowerCase() !== 'chunked' || length !== undefined) {
      throw malformedReply('its length is ambiguous');
    }
    return { kind: 'chunked' };
  }
  if (length === undefined) return { kind: 'until-close' };
  if (!/^\d{1,15}$/.test(length)) throw malformedReply('its length is no number');
  return { kind: 'length', length: Number(length) };
}
