// How a message's JSON lies in memory: as it is, or escaped already for the string of another JSON document. A sink whose
// requests are JSON asks for the latter: constants are then escaped once, not once a message. Hot file (bench/micro/render.ts).
import type { ByteWriter, Literal } from './byte-writer.ts';

export type MessageEncoding = 'json' | 'json-string';

const QUOTE = 0x22;
const BACKSLASH = 0x5c;
const FIRST_PRINTABLE = 0x20;
/** What `\u000a` has more than the line break that it stands for. */
const CONTROL_EXTRA = 5;
/** How many bytes more each byte becomes. */
const EXTRA = new Uint8Array(256).fill(CONTROL_EXTRA, 0, FIRST_PRINTABLE);
EXTRA[QUOTE] = EXTRA[BACKSLASH] = 1;
const HEX = Buffer.from('0123456789abcdef');

/** A constant part of messages, from its JSON. */
export function literal(json: string, encoding: MessageEncoding): Literal {
  const plain = Buffer.from(json);
  if (encoding === 'json') return { bytes: plain, escapes: 0 };
  const bytes = Buffer.from(JSON.stringify(json).slice(1, -1));
  return { bytes, escapes: bytes.length - plain.length };
}

/** Makes the JSON that was written from `start` on the content of a JSON string, in place. */
export function escapeFrom(start: number, writer: ByteWriter): void {
  const end = writer.length;
  let source = writer.buffer;
  if (isPlainString(source, start, end)) return escapeQuotes(start, writer);
  let extra = 0;
  for (let i = start; i < end; i++) extra += EXTRA[source[i]!]!;
  if (extra === 0) return;
  writer.reserve(extra);
  source = writer.buffer;
  // From behind, so that nothing is overwritten before it has moved; in front of the first escape nothing moves.
  let from = end;
  let at = end + extra;
  while (from < at) {
    const byte = source[--from]!;
    const more = EXTRA[byte]!;
    if (more === CONTROL_EXTRA) {
      source[--at] = HEX[byte & 15]!;
      source[--at] = HEX[byte >> 4]!;
      source[--at] = 0x30;
      source[--at] = 0x30;
      source[--at] = 0x75; // u
      source[--at] = BACKSLASH;
    } else {
      source[--at] = byte;
      if (more === 1) source[--at] = BACKSLASH;
    }
  }
  writer.length = end + extra;
  writer.escapes += extra;
}

/** A string in which nothing is escaped: most values are, and are looked at and moved in half the time. */
function isPlainString(source: Buffer, start: number, end: number): boolean {
  const last = end - 1;
  if (last <= start || source[start] !== QUOTE || source[last] !== QUOTE) return false;
  for (let i = start + 1; i < last; i++) if (EXTRA[source[i]!] !== 0) return false;
  return true;
}

function escapeQuotes(start: number, writer: ByteWriter): void {
  writer.reserve(2);
  const { buffer, length } = writer;
  buffer[length + 1] = QUOTE;
  buffer[length] = BACKSLASH;
  for (let at = length - 1; at > start; at--) buffer[at] = buffer[at - 1]!;
  buffer[start] = BACKSLASH;
  writer.length = length + 2;
  writer.escapes += 2;
}

/** The JSON itself, whatever its encoding. */
export function plainJson(bytes: Buffer, encoding: MessageEncoding): Buffer {
  if (encoding === 'json') return bytes;
  const plain = Buffer.allocUnsafe(bytes.length);
  const end = unescapeTo(plain, bytes, 0, bytes.length);
  return end === UNUSUAL ? parsed(bytes) : plain.subarray(0, end);
}

/** Where no other needs it before the next: what most messages are is written here, and no buffer is made for it. */
const SCRATCH = Buffer.allocUnsafeSlow(16 * 1024);

/** The same of `bytes[start, end)`, which are escaped. Valid until it is asked for again. */
export function plainJsonForNow(bytes: Buffer, start: number, end: number): Buffer {
  if (end - start > SCRATCH.length) return plainJson(bytes.subarray(start, end), 'json-string');
  const length = unescapeTo(SCRATCH, bytes, start, end);
  return length === UNUSUAL ? parsed(bytes.subarray(start, end)) : SCRATCH.subarray(0, length);
}

const UNUSUAL = -1;

/** Answers how many bytes it has written; UNUSUAL: control characters stand there, which are rare. */
function unescapeTo(target: Buffer, bytes: Buffer, start: number, end: number): number {
  let at = 0;
  for (let i = start; i < end; i++) {
    let byte = bytes[i]!;
    if (byte === BACKSLASH) {
      byte = bytes[++i]!;
      if (byte !== QUOTE && byte !== BACKSLASH) return UNUSUAL;
    }
    target[at++] = byte;
  }
  return at;
}

const parsed = (bytes: Buffer): Buffer => Buffer.from(JSON.parse(`"${bytes.toString()}"`) as string);
