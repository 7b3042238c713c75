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
  const { length } = bytes;
  const plain = Buffer.allocUnsafe(length);
  let at = 0;
  for (let i = 0; i < length; i++) {
    let byte = bytes[i]!;
    if (byte === BACKSLASH) {
      byte = bytes[++i]!;
      // Control characters are rare.
      if (byte !== QUOTE && byte !== BACKSLASH)
        return Buffer.from(JSON.parse(`"${bytes.toString()}"`) as string);
    }
    plain[at++] = byte;
  }
  return plain.subarray(0, at);
}
