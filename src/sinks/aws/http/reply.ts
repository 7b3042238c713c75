// Reads HTTP/1.1 replies out of the bytes of a connection, one request's reply at a time. Pure; hot file (bench/micro/sqs.ts).
// https://www.rfc-editor.org/rfc/rfc9112
import { malformedReply } from './errors.ts';

export type HttpReply = {
  readonly status: number;
  readonly body: Buffer;
  /** By lower-case name; a repeated one is joined with `, `. */
  header(name: string): string | undefined;
  /** May the connection carry another request? */
  readonly keepAlive: boolean;
};

/** A head is a status line and some headers. */
const MAX_HEAD_BYTES = 32 * 1024;
const HEAD_END = '\r\n\r\n';
const NO_BYTES = Buffer.alloc(0);

type Head = Omit<HttpReply, 'body'> & { readonly framing: Framing };
type Framing =
  | { readonly kind: 'length'; readonly length: number }
  | { readonly kind: 'chunked' }
  | { readonly kind: 'until-close' };

/** Fed with what arrives, answers with the reply once it is whole. */
export class ReplyReader {
  readonly #maxBodyBytes: number;
  #pending: Buffer = NO_BYTES;
  #head: Head | undefined;

  constructor(maxBodyBytes: number) {
    this.#maxBodyBytes = maxBodyBytes;
  }

  /** Has a part of a reply arrived? */
  get hasBegun(): boolean {
    return this.#head !== undefined || this.#pending.length > 0;
  }

  /**
   * Takes the bytes that arrived, which are the caller's again afterwards. Returns the reply if they complete it; the
   * reader is then ready for the next one. Throws NoReplyError at anything that is no reply.
   */
  push(chunk: Buffer): HttpReply | undefined {
    const bytes = this.#pending.length === 0 ? chunk : Buffer.concat([this.#pending, chunk]);
    return this.#take(bytes, bytes === chunk);
  }

  /** The server has closed the connection: that ends a reply without a length. */
  end(): HttpReply | undefined {
    if (this.#head?.framing.kind !== 'until-close') return undefined;
    return this.#finish(this.#head, Buffer.from(this.#pending), this.#pending.length, this.#pending);
  }

  #take(bytes: Buffer, borrowed: boolean): HttpReply | undefined {
    let at = 0;
    while (this.#head === undefined) {
      const headEnd = bytes.indexOf(HEAD_END, at, 'latin1');
      if (headEnd === -1) {
        if (bytes.length - at > MAX_HEAD_BYTES) throw malformedReply('its head is too long');
        return this.#keep(bytes, at, borrowed);
      }
      const head = parseHead(bytes.toString('latin1', at, headEnd));
      at = headEnd + HEAD_END.length;
      // 100 Continue and its like come before the reply.
      if (head.status >= 200) this.#head = head;
    }
    const { framing } = this.#head;
    if (framing.kind === 'length') {
      if (framing.length > this.#maxBodyBytes) throw malformedReply('it is too long');
      const end = at + framing.length;
      if (bytes.length < end) return this.#keep(bytes, at, borrowed);
      return this.#finish(this.#head, Buffer.from(bytes.subarray(at, end)), end, bytes);
    }
    if (bytes.length - at > this.#maxBodyBytes * 2) throw malformedReply('it is too long');
    if (framing.kind === 'until-close') return this.#keep(bytes, at, borrowed);
    const chunked = readChunks(bytes, at);
    if (chunked === undefined) return this.#keep(bytes, at, borrowed);
    if (chunked.body.length > this.#maxBodyBytes) throw malformedReply('it is too long');
    return this.#finish(this.#head, chunked.body, chunked.end, bytes);
  }

  #keep(bytes: Buffer, from: number, borrowed: boolean): undefined {
    this.#pending = borrowed ? Buffer.from(bytes.subarray(from)) : bytes.subarray(from);
  }

  #finish(head: Head, body: Buffer, end: number, bytes: Buffer): HttpReply {
    this.#head = undefined;
    this.#pending = NO_BYTES;
    // Bytes behind the reply belong to nothing that was asked: the connection is not to be trusted.
    const keepAlive = head.keepAlive && end === bytes.length;
    return { status: head.status, header: head.header, body, keepAlive };
  }
}

const STATUS_LINE = /^HTTP\/1\.([01]) ([1-9][0-9]{2})(?: [^\r]*)?$/;

/** Only three headers matter for every reply; the others are looked for when somebody asks. */
function parseHead(text: string): Head {
  const firstEnd = text.indexOf('\r\n');
  const match = STATUS_LINE.exec(firstEnd === -1 ? text : text.slice(0, firstEnd));
  if (match === null) throw malformedReply('it is no HTTP/1.1');
  const status = Number(match[2]);
  let length: string | undefined;
  let encoding: string | undefined;
  let connection: string | undefined;
  for (let at = firstEnd; at !== -1;) {
    const start = at + 2;
    at = text.indexOf('\r\n', start);
    const colon = text.indexOf(':', start);
    if (colon === start || colon === -1 || (at !== -1 && colon > at)) {
      throw malformedReply('it has a header without a name');
    }
    if (!FRAMING_HEADER_LENGTHS.has(colon - start)) continue;
    const name = text.slice(start, colon).toLowerCase();
    const value = text.slice(colon + 1, at === -1 ? undefined : at).trim();
    if (name === 'content-length') length = length === undefined ? value : `${length}, ${value}`;
    else if (name === 'transfer-encoding') encoding = value;
    else if (name === 'connection') connection = connection === undefined ? value : `${connection}, ${value}`;
  }
  const framing = framingOf(status, length, encoding);
  const isKept = match[1] === '1' ? !hasOption(connection, 'close') : hasOption(connection, 'keep-alive');
  const keepAlive = isKept && framing.kind !== 'until-close';
  return { status, header: (name) => headerOf(text, name), keepAlive, framing };
}

/** A list of options, in any case. https://www.rfc-editor.org/rfc/rfc9110#name-connection */
const hasOption = (connection: string | undefined, option: string): boolean =>
  connection !== undefined &&
  connection
    .toLowerCase()
    .split(',')
    .some((word) => word.trim() === option);

const FRAMING_HEADER_LENGTHS: ReadonlySet<number> = new Set(
  ['content-length', 'transfer-encoding', 'connection'].map((name) => name.length),
);

function headerOf(head: string, name: string): string | undefined {
  const values = head
    .split('\r\n')
    .slice(1)
    .filter((line) => line.slice(0, line.indexOf(':')).toLowerCase() === name)
    .map((line) => line.slice(line.indexOf(':') + 1).trim());
  return values.length === 0 ? undefined : values.join(', ');
}

/** https://www.rfc-editor.org/rfc/rfc9112#name-message-body-length */
function framingOf(status: number, length: string | undefined, encoding: string | undefined): Framing {
  if (status < 200 || status === 204 || status === 304) return { kind: 'length', length: 0 };
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

/** The whole chunked body from `at` on; undefined when more is to come. https://www.rfc-editor.org/rfc/rfc9112#name-chunked-transfer-coding */
function readChunks(bytes: Buffer, start: number): { body: Buffer; end: number } | undefined {
  const chunks: Buffer[] = [];
  let at = start;
  for (;;) {
    const lineEnd = bytes.indexOf('\r\n', at, 'latin1');
    if (lineEnd === -1) return undefined;
    const line = bytes.toString('latin1', at, lineEnd);
    const size = /^([0-9a-fA-F]{1,8})\s*(?:;.*)?$/.exec(line)?.[1];
    if (size === undefined) throw malformedReply('a chunk has no size');
    const length = Number.parseInt(size, 16);
    at = lineEnd + 2;
    if (length === 0) {
      const end = endOfTrailers(bytes, at);
      return end === undefined ? undefined : { body: Buffer.concat(chunks), end };
    }
    if (bytes.length < at + length + 2) return undefined;
    if (bytes[at + length] !== 0x0d || bytes[at + length + 1] !== 0x0a)
      throw malformedReply('a chunk is longer than it says');
    chunks.push(bytes.subarray(at, at + length));
    at += length + 2;
  }
}

/** Trailers end with an empty line; there are none as a rule. */
function endOfTrailers(bytes: Buffer, at: number): number | undefined {
  for (let lineStart = at; ;) {
    const lineEnd = bytes.indexOf('\r\n', lineStart, 'latin1');
    if (lineEnd === -1) return undefined;
    if (lineEnd === lineStart) return lineEnd + 2;
    lineStart = lineEnd + 2;
  }
}
