// Decimals as the bytes of their unscaled value, as Kafka Connect's logical type Decimal has them. Hot file: plain loops on purpose.
// https://kafka.apache.org/41/javadoc/org/apache/kafka/connect/data/Decimal.html
import type { ByteWriter } from '../../core/byte-writer.ts';

const QUOTE = 0x22;
const DASH = 0x2d;
const POINT = 0x2e;
const ZERO = 0x30;
const NINE = 0x39;

/** So many digits a double has for certain. */
const MAX_DOUBLE_DIGITS = 15;

/** Digits behind the point; -1: no decimal (NaN, ±Infinity). */
export function scaleOf(bytes: Buffer, start: number, length: number): number {
  const end = start + length;
  let point = -1;
  for (let i = bytes[start] === DASH ? start + 1 : start; i < end; i++) {
    const byte = bytes[i]!;
    if (byte === POINT && point === -1) point = i;
    else if (byte < ZERO || byte > NINE) return -1;
  }
  return point === -1 ? 0 : end - point - 1;
}

/** The scale without zeros at the end, never below 0; `scale`: what `scaleOf` said. */
export function strippedScaleOf(bytes: Buffer, start: number, length: number, scale: number): number {
  let stripped = scale;
  for (let i = start + length - 1; stripped > 0 && bytes[i] === ZERO; i--) stripped--;
  return stripped;
}

/**
 * Appends the base64 of the value's unscaled digits at `scale`, big-endian in two's complement with as few bytes as can be.
 * `textScale`: what `scaleOf` said. Digits that the scale has no room for are cut off: a column's own scale has it for all of them.
 */
export function writeUnscaled(
  bytes: Buffer,
  start: number,
  length: number,
  { scale, textScale }: { readonly scale: number; readonly textScale: number },
  writer: ByteWriter,
): void {
  const isNegative = bytes[start] === DASH;
  const first = isNegative ? start + 1 : start;
  // The last one that counts, over the point where the scale is below 0.
  let end = start + length;
  let pad = scale - textScale;
  if (pad < 0) {
    end += pad - (scale <= 0 && textScale > 0 ? 1 : 0);
    pad = 0;
  }
  if (end - first + pad > MAX_DOUBLE_DIGITS) return writeLarge(bytes, first, end, pad, isNegative, writer);
  let value = 0;
  for (let i = first; i < end; i++) if (bytes[i] !== POINT) value = value * 10 + bytes[i]! - ZERO;
  for (let i = 0; i < pad; i++) value *= 10;
  writeBytesOf(isNegative ? -value : value, writer);
}

function writeLarge(
  bytes: Buffer,
  first: number,
  end: number,
  pad: number,
  isNegative: boolean,
  writer: ByteWriter,
): void {
  const digits = bytes.toString('latin1', first, end).replace('.', '') + '0'.repeat(pad);
  const value = isNegative ? -BigInt(digits) : BigInt(digits);
  writer.byte(QUOTE);
  writer.latin1(twosComplement(value).toString('base64'));
  writer.byte(QUOTE);
}

export function twosComplement(value: bigint): Buffer {
  const magnitude = value < 0n ? -value - 1n : value;
  const hex = magnitude.toString(16);
  const whole = Buffer.from(hex.length % 2 === 0 ? hex : `0${hex}`, 'hex');
  // One byte more where the first bit would say another sign.
  const bytes = whole[0]! >= 0x80 ? Buffer.concat([Buffer.alloc(1), whole]) : whole;
  if (value < 0n) for (let i = 0; i < bytes.length; i++) bytes[i] = ~bytes[i]! & 0xff;
  return bytes;
}

/** Little-endian, of the value at hand. */
const scratch = new Uint8Array(8);
const BASE64 = Buffer.from('ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/');
const PADDING = 0x3d;

/** Of a whole number that a double has exactly. */
function writeBytesOf(value: number, writer: ByteWriter): void {
  let count = 0;
  let rest = value;
  for (;;) {
    const high = Math.floor(rest / 256);
    const byte = rest - high * 256;
    scratch[count++] = byte;
    rest = high;
    if ((rest === 0 && byte < 0x80) || (rest === -1 && byte >= 0x80)) break;
  }
  writer.reserve(14);
  const target = writer.buffer;
  let at = writer.length;
  target[at++] = QUOTE;
  for (let i = count - 1; i >= 0; i -= 3) {
    const bits = (scratch[i]! << 16) | ((i > 0 ? scratch[i - 1]! : 0) << 8) | (i > 1 ? scratch[i - 2]! : 0);
    target[at++] = BASE64[bits >> 18]!;
    target[at++] = BASE64[(bits >> 12) & 63]!;
    target[at++] = i > 0 ? BASE64[(bits >> 6) & 63]! : PADDING;
    target[at++] = i > 1 ? BASE64[bits & 63]! : PADDING;
  }
  target[at++] = QUOTE;
  writer.length = at;
}
