// JSON written straight from UTF-8 bytes, safe for every sink. Hot file: plain loops on purpose (bench/micro/render.ts).
import type { ByteWriter } from './byte-writer.ts';

const QUOTE = 0x22;
const BACKSLASH = 0x5c;
/** First byte of U+FFFE (EF BF BE) and U+FFFF (EF BF BF), and of other characters of U+F000–U+FFFF. */
const LEAD_OF_NONCHARACTERS = 0xef;

/** 1 for bytes that may have to be escaped inside a JSON string. */
const IN_STRING = new Uint8Array(256).fill(1, 0, 0x20);
IN_STRING[QUOTE] = IN_STRING[BACKSLASH] = IN_STRING[LEAD_OF_NONCHARACTERS] = 1;

/** 1 for bytes that may have to be escaped in a whole JSON document, where the rest is escaped already. */
const IN_DOCUMENT = new Uint8Array(256);
IN_DOCUMENT[LEAD_OF_NONCHARACTERS] = 1;

const ESCAPE_SEQUENCES: readonly Buffer[] = Array.from({ length: 128 }, (_, code) =>
  Buffer.from(JSON.stringify(String.fromCharCode(code)).slice(1, -1)),
);
const ESCAPED_FFFE = Buffer.from('\\ufffe');
const ESCAPED_FFFF = Buffer.from('\\uffff');

/** Appends the UTF-8 text `bytes[start, start + length)` as a JSON string. */
export function writeJsonString(bytes: Buffer, start: number, length: number, writer: ByteWriter): void {
  writer.byte(QUOTE);
  writeJsonStringPart(bytes, start, length, writer);
  writer.byte(QUOTE);
}

/** The same without its quotes: as a part of one that has others. No character may go on in the next part. */
export function writeJsonStringPart(bytes: Buffer, start: number, length: number, writer: ByteWriter): void {
  writeEscaped(bytes, start, start + length, IN_STRING, writer);
}

/** Appends a JSON document token by token as it is; only U+FFFE and U+FFFF become escapes. */
export function writeJsonDocument(bytes: Buffer, start: number, length: number, writer: ByteWriter): void {
  writeEscaped(bytes, start, start + length, IN_DOCUMENT, writer);
}

/** Copies runs that need no escape as a whole. */
function writeEscaped(
  bytes: Buffer,
  start: number,
  end: number,
  mayNeedEscape: Uint8Array,
  writer: ByteWriter,
): void {
  let runStart = start;
  for (let i = start; i < end; i++) {
    const byte = bytes[i]!;
    if (mayNeedEscape[byte] === 0) continue;
    if (byte === LEAD_OF_NONCHARACTERS) {
      if (!isNoncharacter(bytes, i, end)) continue;
      writer.bytes(bytes, runStart, i);
      writer.bytes(bytes[i + 2] === 0xbe ? ESCAPED_FFFE : ESCAPED_FFFF);
      i += 2;
    } else {
      writer.bytes(bytes, runStart, i);
      writer.bytes(ESCAPE_SEQUENCES[byte]!);
    }
    runStart = i + 1;
  }
  writer.bytes(bytes, runStart, end);
}

/**
 * U+FFFE and U+FFFF are the only characters that Postgres stores, JSON allows and SQS refuses.
 * https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_SendMessage.html
 */
const isNoncharacter = (bytes: Buffer, at: number, end: number): boolean =>
  at + 2 < end && bytes[at + 1] === 0xbf && (bytes[at + 2]! | 1) === 0xbf;

/** A JSON text with escapes in the place of U+FFFE and U+FFFF. */
export const withoutNoncharacters = (json: string): string =>
  json.replaceAll('\ufffe', String.raw`\ufffe`).replaceAll('\uffff', String.raw`\uffff`);

/** The document's own tokens (digits, order of keys); raw line breaks stand between tokens only. */
export const inOneLine = (json: string): string => json.replaceAll(/[\r\n]/g, ' ');

/** The JSON text of a value that is not row data (names, annotations), safe for every sink. */
export const jsonText = (value: unknown): string => withoutNoncharacters(JSON.stringify(value));
