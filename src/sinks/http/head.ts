// The head of an HTTP/1.1 reply: its status, and the headers that say where its body ends and whether the connection goes on. Pure; hot
// file (bench/micro/sqs.ts).
import type { Framing } from './body.ts';
import { malformedReply } from './errors.ts';

export type Head = {
  readonly status: number;
  /** By lower-case name; a repeated one is joined with `, `. */
  readonly header: (name: string) => string | undefined;
  /** May the connection carry another request? */
  readonly keepAlive: boolean;
  /** How long the server keeps an idle connection, where it says so. */
  readonly keepAliveMs: number | undefined;
  readonly framing: Framing;
};

export const NO_HTTP = 'it is no HTTP/1.1';

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
export function parseHead(text: string, isBodyless: boolean): Head {
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
