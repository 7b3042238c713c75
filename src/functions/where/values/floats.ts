// float4 and float8: from text and numbers with one rounding, to text as Postgres writes them, compared as it compares them. Pure.
// https://github.com/postgres/postgres/blob/master/src/backend/utils/adt/float.c
import { malformedText, outOfRange } from './failure.ts';
import { NAN, numericOf, parseNumeric, power10, trimSpace, type Numeric } from './numeric.ts';

const FLOAT_TEXT = /^[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?$/;

/** As float8in reads it. Throws EvaluationError. */
export function parseFloat8(text: string): number {
  const trimmed = trimSpace(text);
  const special = specialFloat(trimmed);
  if (special !== undefined) return special;
  if (!FLOAT_TEXT.test(trimmed)) throw malformedText();
  const value = Number(trimmed);
  if (!Number.isFinite(value)) throw outOfRange();
  if (value === 0 && /[1-9]/.test(mantissaOf(trimmed))) throw outOfRange();
  return value;
}

export function parseFloat4(text: string): number {
  const trimmed = trimSpace(text);
  const special = specialFloat(trimmed);
  if (special !== undefined) return special;
  if (!FLOAT_TEXT.test(trimmed)) throw malformedText();
  const value = roundedToFloat4(trimmed);
  if (!Number.isFinite(value)) throw outOfRange();
  if (value === 0 && /[1-9]/.test(mantissaOf(trimmed))) throw outOfRange();
  return value;
}

const mantissaOf = (text: string): string => text.split(/[eE]/)[0]!;

function specialFloat(text: string): number | undefined {
  switch (text.toLowerCase()) {
    case 'nan':
      return NaN;
    case 'inf':
    case 'infinity':
    case '+inf':
    case '+infinity':
      return Infinity;
    case '-inf':
    case '-infinity':
      return -Infinity;
    default:
      return undefined;
  }
}

/**
 * The float4 nearest to a decimal text. By way of a double it would be rounded twice: where the double lies just between two
 * floats, the text itself says which one is nearer.
 */
export function roundedToFloat4(text: string): number {
  const double = Number(text);
  const float = Math.fround(double);
  if (float === double || !Number.isFinite(float)) return float;
  const other = nextFloat4(float, double > float);
  if (!Number.isFinite(other) || (float + other) / 2 !== double) return float;
  const [exact, given] = [exactNumeric(double), parseNumeric(text)];
  const scale = Math.max(exact.scale, given.scale);
  const difference =
    given.digits * power10(scale - given.scale) - exact.digits * power10(scale - exact.scale);
  if (difference === 0n) return float;
  const isUp = difference > 0n;
  return isUp === other > float ? other : float;
}

const BITS = new DataView(new ArrayBuffer(8));

/** The neighbour of a float4 upwards or downwards. */
function nextFloat4(value: number, up: boolean): number {
  BITS.setFloat32(0, value);
  const bits = BITS.getInt32(0);
  if (value === 0) BITS.setInt32(0, up ? 1 : -2_147_483_647);
  else BITS.setInt32(0, bits + (value > 0 === up ? 1 : -1));
  return BITS.getFloat32(0);
}

/** The exact decimal value of a finite double. */
export function exactNumeric(value: number): Numeric {
  BITS.setFloat64(0, value);
  const bits = BITS.getBigUint64(0);
  const biased = Number((bits >> 52n) & 0x7ffn);
  const fraction = bits & 0xf_ffff_ffff_ffffn;
  const mantissa = biased === 0 ? fraction : fraction | (1n << 52n);
  const exponent = (biased === 0 ? 1 : biased) - 1075;
  const sign = value < 0 ? -1n : 1n;
  if (exponent >= 0) return numericOf(sign * (mantissa << BigInt(exponent)));
  return numericOf(sign * mantissa * 5n ** BigInt(-exponent), -exponent);
}

const FLOAT8_DIGITS = 15;
const FLOAT4_DIGITS = 6;

/** As a cast to numeric does it: by so many significant digits, half to even. */
export const float8ToNumeric = (value: number): Numeric => floatToNumeric(value, FLOAT8_DIGITS);
export const float4ToNumeric = (value: number): Numeric => floatToNumeric(value, FLOAT4_DIGITS);

function floatToNumeric(value: number, significant: number): Numeric {
  if (Number.isNaN(value)) return NAN;
  if (!Number.isFinite(value)) return parseNumeric(value > 0 ? 'Infinity' : '-Infinity');
  if (value === 0) return numericOf(0n);
  const exact = exactNumeric(value);
  const magnitude = exact.digits < 0n ? -exact.digits : exact.digits;
  const surplus = magnitude.toString().length - significant;
  let digits = magnitude;
  let scale = exact.scale;
  if (surplus > 0) {
    const divisor = power10(surplus);
    const rest = magnitude % divisor;
    digits = magnitude / divisor;
    if (2n * rest > divisor || (2n * rest === divisor && digits % 2n === 1n)) digits++;
    scale -= surplus;
  }
  // As %g prints it: without zeros at the end of the fraction.
  while (scale > 0 && digits % 10n === 0n) {
    digits /= 10n;
    scale--;
  }
  if (scale < 0) {
    digits *= power10(-scale);
    scale = 0;
  }
  return numericOf(value < 0 ? -digits : digits, scale);
}

/** A whole number, half to even, as C's rint. */
export function roundHalfEven(value: number): number {
  const floor = Math.floor(value);
  const rest = value - floor;
  if (rest < 0.5) return keepSign(floor, value);
  if (rest > 0.5) return keepSign(floor + 1, value);
  return keepSign(floor % 2 === 0 ? floor : floor + 1, value);
}

const keepSign = (result: number, value: number): number =>
  result === 0 && (value < 0 || Object.is(value, -0)) ? -0 : result;

/** NaN equals itself and is larger than everything; the zeros are equal. */
export function compareFloats(a: number, b: number): number {
  if (a < b) return -1;
  if (a > b) return 1;
  if (a === b) return 0;
  const [isNanA, isNanB] = [Number.isNaN(a), Number.isNaN(b)];
  return isNanA === isNanB ? 0 : isNanA ? 1 : -1;
}

/** From this exponent on a number is written with one. */
const FLOAT8_EXPONENT = 15;
const FLOAT4_EXPONENT = 6;
const SMALLEST_PLAIN_EXPONENT = -4;

export const formatFloat8 = (value: number): string => formatFloat(value, String(value), FLOAT8_EXPONENT);

export function formatFloat4(value: number): string {
  let shortest = String(value);
  for (let precision = 1; precision <= 9 && Number.isFinite(value); precision++) {
    shortest = value.toPrecision(precision);
    if (Math.fround(Number(shortest)) === value) break;
  }
  return formatFloat(value, shortest, FLOAT4_EXPONENT);
}

/** `shortest`: the fewest digits that say which number it is, in any notation. */
function formatFloat(value: number, shortest: string, exponentFrom: number): string {
  if (Number.isNaN(value)) return 'NaN';
  if (!Number.isFinite(value)) return value > 0 ? 'Infinity' : '-Infinity';
  const sign = value < 0 || Object.is(value, -0) ? '-' : '';
  if (value === 0) return `${sign}0`;
  const [mantissa = '', exponentText = '0'] = shortest.replace(/^-/, '').split('e');
  const [whole = '', fraction = ''] = mantissa.split('.');
  const all = whole + fraction;
  const digits = all.replace(/^0+/, '').replace(/0+$/, '');
  const leading = all.length - all.replace(/^0+/, '').length;
  const exponent = Number(exponentText) + whole.length - 1 - leading;
  if (exponent < SMALLEST_PLAIN_EXPONENT || exponent >= exponentFrom) {
    const size = String(Math.abs(exponent)).padStart(2, '0');
    const rest = digits.length > 1 ? `.${digits.slice(1)}` : '';
    return `${sign}${digits[0]}${rest}e${exponent < 0 ? '-' : '+'}${size}`;
  }
  if (exponent < 0) return `${sign}0.${'0'.repeat(-exponent - 1)}${digits}`;
  if (digits.length <= exponent + 1) return `${sign}${digits.padEnd(exponent + 1, '0')}`;
  return `${sign}${digits.slice(0, exponent + 1)}.${digits.slice(exponent + 1)}`;
}
