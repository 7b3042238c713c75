// How a message's JSON lies in memory: as it is, or escaped already for the string of another JSON document. A sink whose
// requests are JSON asks for the latter: constants are then escaped once, not once a message. Hot file (bench/micro/render.ts).
import type { ByteWriter, Literal } from './byte-writer.ts';

export type MessageEncoding = 'json' | 'json-string';

const QUOTE = 0x22;
const BACKSLASH = 0x5c;
const FIRST_PRINTABLE = 0x20;
/** What `\u000a` has more than the line break that it stands for. */
const CONTROL_EXTRA = 5;
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
  let extra = 0;
  for (let i = start; i < end; i++) {
    const byte = source[i]!;
    if (byte === QUOTE || byte === BACKSLASH) extra++;
    else if (byte < FIRST_PRINTABLE) extra += CONTROL_EXTRA;
  }
  if (extra === 0) return;
  writer.reserve(extra);
  source = writer.buffer;
  // From behind, so that nothing is overwritten before it has moved; in front of the first escape nothing moves.
  let from = end;
  let at = end + extra;
  while (from < at) {
    const byte = source[--from]!;
    if (byte < FIRST_PRINTABLE) {
      source[--at] = HEX[byte & 15]!;
      source[--at] = HEX[byte >> 4]!;
      source[--at] = 0x30;
      source[--at] = 0x30;
      source[--at] = 0x75; // u
      source[--at] = BACKSLASH;
    } else {
      source[--at] = byte;
      if (byte === QUOTE || byte === BACKSLASH) source[--at] = BACKSLASH;
    }
  }
  writer.length = end + extra;
  writer.escapes += extra;
}

/** The JSON itself, whatever its encoding. */
export function plainJson(bytes: Buffer, encoding: MessageEncoding): Buffer {
  if (encoding === 'json') return bytes;
  const plain = Buffer.allocUnsafe(bytes.length);
  let at = 0;
  for (let i = 0; i < bytes.length; i++) {
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
