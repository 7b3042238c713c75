// Postgres text of one scalar in, JSON bytes out. Hot file: plain loops on purpose (bench/micro/render.ts).
// Texts are as our pinned session settings make them: DateStyle ISO, TimeZone UTC, extra_float_digits 3, bytea hex.
import type { ByteWriter } from '../../core/byte-writer.ts';
import { writeJsonString } from '../../core/json.ts';
import type { ValueRenderer } from '../../core/render.ts';

const QUOTE = 0x22;
const ZERO = 0x30;
const NINE = 0x39;
const POINT = 0x2e;
const DASH = 0x2d;
const SPACE = 0x20;
const BACKSLASH = 0x5c;
const LOWER_T = 0x74;
const LOWER_F = 0x66;
const LOWER_X = 0x78;

export const NULL = Buffer.from('null');
const TRUE = Buffer.from('true');
const FALSE = Buffer.from('false');

const isDigit = (byte: number): boolean => byte >= ZERO && byte <= NINE;

/** Text that is a JSON number already: integers, oid. */
export const writeVerbatim: ValueRenderer = (bytes, start, length, writer) => {
  writer.bytes(bytes, start, start + length);
};

/** float4, float8, numeric as exact digits. NaN and ±Infinity, which JSON lacks, end in a letter and become strings. */
export const writeNumber: ValueRenderer = (bytes, start, length, writer) => {
  if (isDigit(bytes[start + length - 1]!)) writer.bytes(bytes, start, start + length);
  else writeJsonString(bytes, start, length, writer);
};

/** Up to this many significant digits a decimal is its double's own shortest text. https://en.cppreference.com/w/cpp/types/numeric_limits/digits10 */
const EXACT_DOUBLE_DIGITS = 15;

/** numeric as a double, in its shortest text; what no double can hold (NaN, ±Infinity, overflow) is null. Another text: a string. */
export const writeNumericAsFloat: ValueRenderer = (bytes, start, length, writer) => {
  const end = start + length;
  if (!isDecimal(bytes, start, end)) {
    const text = bytes.toString('latin1', start, end);
    if (NO_DECIMALS.has(text)) writer.bytes(NULL);
    else writeJsonString(bytes, start, length, writer);
  } else if (length <= EXACT_DOUBLE_DIGITS) {
    writer.bytes(bytes, start, endWithoutTrailingZeros(bytes, start, end));
  } else {
    const value = Number(bytes.toString('latin1', start, end));
    writer.text(Number.isFinite(value) ? String(value) : 'null');
  }
};

/** What numeric has besides decimals. https://www.postgresql.org/docs/current/datatype-numeric.html */
const NO_DECIMALS: ReadonlySet<string> = new Set(['NaN', 'Infinity', '-Infinity']);

/** `-12.50`: digits, with at most one point between them. numeric has no exponents. */
function isDecimal(bytes: Buffer, start: number, end: number): boolean {
  let point = false;
  const first = bytes[start] === DASH ? start + 1 : start;
  for (let i = first; i < end; i++) {
    const byte = bytes[i]!;
    if (isDigit(byte)) continue;
    if (byte !== POINT || point || i === first) return false;
    point = true;
  }
  return isDigit(bytes[end - 1]!);
}

/** `1.50` ends after `1.5`, `2.00` after `2`, `100` where it is. */
function endWithoutTrailingZeros(bytes: Buffer, start: number, end: number): number {
  let last = end - 1;
  while (last > start && bytes[last] === ZERO) last--;
  if (bytes[last] === POINT) return last;
  for (let i = start; i < last; i++) if (bytes[i] === POINT) return last + 1;
  return end;
}

export const writeBoolean: ValueRenderer = (bytes, start, length, writer) => {
  const byte = length === 1 ? bytes[start] : undefined;
  if (byte === LOWER_T) writer.bytes(TRUE);
  else if (byte === LOWER_F) writer.bytes(FALSE);
  else writeJsonString(bytes, start, length, writer);
};

export type TimestampForm = {
  /** Zeros fill up to so many digits of the fraction. */
  readonly digits: number | 'as_needed';
  /** Does a timestamp without zone get a `Z`? One with zone always has it. */
  readonly z: boolean;
};

/** `2026-01-02 03:04:05.1` → `"2026-01-02T03:04:05.1"`. ±infinity, BC and years beyond 9999 keep Postgres' text. */
export function timestampRenderer({ digits, z }: TimestampForm): ValueRenderer {
  const shape = { fullLength: fullLengthOf(digits), z };
  return (bytes, start, length, writer) => {
    if (isIsoTimestamp(bytes, start, length)) writeIsoTimestamp(bytes, start, start + length, shape, writer);
    else writeJsonString(bytes, start, length, writer);
  };
}

/** `2026-01-02 03:04:05.1+00` → `"2026-01-02T03:04:05.1Z"`; exceptions as for `timestampRenderer`. */
export function timestamptzRenderer({ digits }: Pick<TimestampForm, 'digits'>): ValueRenderer {
  const shape = { fullLength: fullLengthOf(digits), z: true };
  return (bytes, start, length, writer) => {
    const end = start + length;
    const isUtc = bytes[end - 3] === 0x2b && bytes[end - 2] === ZERO && bytes[end - 1] === ZERO;
    if (isUtc && isIsoTimestamp(bytes, start, length - 3)) {
      writeIsoTimestamp(bytes, start, end - 3, shape, writer);
    } else {
      writeJsonString(bytes, start, length, writer);
    }
  };
}

const LENGTH_OF_SECONDS = '2026-01-02 03:04:05'.length;
const LENGTH_OF_MICROSECONDS = '2026-01-02 03:04:05.123456'.length;

/** Zeros fill up to this length. */
const fullLengthOf = (digits: TimestampForm['digits']): number =>
  digits === 'as_needed' || digits === 0 ? 0 : LENGTH_OF_SECONDS + 1 + digits;

/** A four-digit year and no ` BC` at the end. */
export const isIsoTimestamp = (bytes: Buffer, start: number, length: number): boolean =>
  length >= LENGTH_OF_SECONDS &&
  bytes[start + 4] === DASH &&
  bytes[start + 10] === SPACE &&
  isDigit(bytes[start + length - 1]!);

function writeIsoTimestamp(
  bytes: Buffer,
  start: number,
  end: number,
  { fullLength, z }: { readonly fullLength: number; readonly z: boolean },
  writer: ByteWriter,
): void {
  writer.reserve(LENGTH_OF_MICROSECONDS + end - start + 3);
  const target = writer.buffer;
  let at = writer.length;
  target[at++] = QUOTE;
  const first = at;
  for (let i = start; i < end; i++) target[at++] = bytes[i]!;
  target[first + 10] = 0x54; // T
  if (at === first + LENGTH_OF_SECONDS && fullLength > LENGTH_OF_SECONDS) target[at++] = POINT;
  while (at < first + fullLength) target[at++] = ZERO;
  if (z) target[at++] = 0x5a;
  target[at++] = QUOTE;
  writer.length = at;
}

/** `\x…` as it is, behind an escaped backslash. */
export const writeByteaAsHex: ValueRenderer = writeJsonString;

export const writeByteaAsBase64: ValueRenderer = (bytes, start, length, writer) => {
  if (bytes[start] !== BACKSLASH || bytes[start + 1] !== LOWER_X) {
    writeJsonString(bytes, start, length, writer);
    return;
  }
  const content = Buffer.from(bytes.toString('latin1', start + 2, start + length), 'hex');
  if (content.length * 2 !== length - 2) {
    writeJsonString(bytes, start, length, writer);
    return;
  }
  writer.byte(QUOTE);
  writer.text(content.toString('base64'));
  writer.byte(QUOTE);
};

/**
 * "char" holds any byte, and before Postgres 15 a high one comes raw, which is not UTF-8. It is written as newer
 * servers write it: `\` and three octal digits. https://www.postgresql.org/docs/release/15.0/
 */
export const writeInternalChar: ValueRenderer = (bytes, start, length, writer) => {
  const byte = bytes[start]!;
  if (length === 1 && byte >= 0x80) writer.text(String.raw`"\\${byte.toString(8)}"`);
  else writeJsonString(bytes, start, length, writer);
};
