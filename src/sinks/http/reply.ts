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
  /** May the connection carry another request? */
  readonly keepAlive: boolean;
  /** How long the server keeps an idle connection, where it says so. */
  readonly keepAliveMs: number | undefined;
};

/** A head is a status line and some headers: proxies add theirs, and cookies. */
const MAX_HEAD_BYTES = 64 * 1024;
const LF = 0x0a;
const CR = 0x0d;
const NO_BYTES = Buffer.alloc(0);

type Head = Omit<HttpReply, 'body'> & { readonly framing: Framing };

export type ReplyLimits = {
  /** Of the body. */
  readonly maxBytes: number;
  /** Is the body wanted, or dropped as it comes, however long it is? */
  readonly keepsBody: boolean;
};

/** Fed with what arrives, answers with the reply once it is whole. */
export class ReplyReader {
  readonly #limits: ReplyLimits;
  /** What of a head or of a line between chunks has arrived. */
  #pending: Buffer = NO_BYTES;
  #head: Head | undefined;
  #body: BodyReader | undefined;
  #isBodyless = false;

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
    const bytes = this.#pending.length === 0 ? chunk : Buffer.concat([this.#pending, chunk]);
    let at = 0;
    while (this.#head === undefined) {
      at = headStart(bytes, at);
      const end = headEnd(bytes, at);
      if (end === undefined) {
        if (bytes.length - at > MAX_HEAD_BYTES) throw malformedReply('its head is too long');
        // What speaks another protocol may never write an empty line: it is known by its first bytes.
        if (!isStartOfReply(bytes, at)) throw malformedReply(NO_HTTP);
        return this.#keep(bytes, at);
      }
      const head = parseHead(bytes.toString('latin1', at, end), this.#isBodyless);
      at = end;
      // 100 Continue and its like come before the reply, asked for or not. https://www.rfc-editor.org/rfc/rfc9110#name-informational-1xx
      if (head.status >= 200) this.#head = head;
    }
    this.#body ??= bodyReader(this.#head.framing, this.#limits);
    at = this.#body.take(bytes, at);
    return this.#body.isWhole ? this.#finish(at === bytes.length) : this.#keep(bytes, at);
  }

  /** The server has closed the connection: that ends a reply without a length. */
  end(): HttpReply | undefined {
    return this.#head?.framing.kind === 'until-close' ? this.#finish(true) : undefined;
  }

  /** The chunk's bytes are not ours to keep. */
  #keep(bytes: Buffer, from: number): undefined {
    this.#pending = from === bytes.length ? NO_BYTES : Buffer.from(bytes.subarray(from));
  }

  /** Bytes behind the reply belong to nothing that was asked: the connection is not to be trusted. */
  #finish(isAll: boolean): HttpReply {
    const { status, header, keepAlive, keepAliveMs } = this.#head!;
    const body = this.#body?.bytes ?? NO_BYTES;
    this.#head = undefined;
    this.#body = undefined;
    this.#pending = NO_BYTES;
    return { status, header, body, keepAlive: keepAlive && isAll, keepAliveMs };
  }
}

/** Behind empty lines: some servers end a 100, or the reply before, with one too many. */
function headStart(bytes: Buffer, start: number): number {
  let at = start;
  while (bytes[at] === CR || bytes[at] === LF) at++;
  return at;
}

/** Behind the empty line that ends a head; lines end with CRLF, or LF alone. https://www.rfc-editor.org/rfc/rfc9112#section-2.2-3 */
function headEnd(bytes: Buffer, start: number): number | undefined {
  for (let at = bytes.indexOf(LF, start); at !== -1; at = bytes.indexOf(LF, at + 1)) {
    const next = bytes[at + 1] === CR ? at + 2 : at + 1;
    if (bytes[next] === LF) return next + 1;
  }
  return undefined;
}

const NO_HTTP = 'it is no HTTP/1.1';
const REPLY_START = Buffer.from('HTTP/1.');

function isStartOfReply(bytes: Buffer, start: number): boolean {
  const length = Math.min(bytes.length - start, REPLY_START.length);
  return REPLY_START.compare(bytes, start, start + length, 0, length) === 0;
}

const STATUS_LINE = /^HTTP\/1\.([01]) ([1-9][0-9]{2})(?: [^\r]*)?\r?$/;

/** Only four headers matter for every reply; the others are looked for when somebody asks. */
function parseHead(text: string, isBodyless: boolean): Head {
  const firstEnd = text.indexOf('\n');
  const match = STATUS_LINE.exec(text.slice(0, firstEnd));
  if (match === null) throw malformedReply(NO_HTTP);
  const status = Number(match[2]);
  let length: string | undefined;
  let encoding: string | undefined;
  let connection: string | undefined;
  let keepAliveMs: number | undefined;
  let isFraming = false;
  for (let start = firstEnd + 1, end: number; !isLineEnd(text, start); start = end + 1) {
    end = text.indexOf('\n', start);
    // The line before goes on, in the form of long ago. https://www.rfc-editor.org/rfc/rfc9112#name-obsolete-line-folding
    if (text[start] === ' ' || text[start] === '\t') {
      if (isFraming) throw malformedReply('a header that frames it is folded');
      continue;
    }
    const colon = text.indexOf(':', start);
    if (colon === start || colon === -1 || colon > end)
      throw malformedReply('it has a header without a name');
    isFraming = FRAMING_HEADER_LENGTHS.has(colon - start);
    if (!isFraming) continue;
    const name = text.slice(start, colon).toLowerCase();
    const value = text.slice(colon + 1, end).trim();
    if (name === 'content-length') length = length === undefined ? value : `${length}, ${value}`;
    else if (name === 'transfer-encoding')
      encoding = encoding === undefined ? value : `${encoding}, ${value}`;
    else if (name === 'connection') connection = connection === undefined ? value : `${connection}, ${value}`;
    else if (name === 'keep-alive') keepAliveMs = timeoutHint(value);
  }
  const framing = isBodyless ? NO_BODY : framingOf(status, length, encoding);
  const isKept = match[1] === '1' ? !hasOption(connection, 'close') : hasOption(connection, 'keep-alive');
  const keepAlive = isKept && framing.kind !== 'until-close';
  return { status, header: (name) => headerOf(text, name), keepAlive, keepAliveMs, framing };
}

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
