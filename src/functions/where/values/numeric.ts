// Postgres' numeric: an integer of any size with a scale, NaN and the infinities, by Postgres' own rules of scale and rounding. Pure.
// https://github.com/postgres/postgres/blob/master/src/backend/utils/adt/numeric.c
import { divisionByZero, malformedText, outOfRange } from './failure.ts';

/** The value is `digits` / 10^`scale`. A special one has no digits: `digits` is only its sign. */
export type Numeric = {
  readonly special: 'none' | 'nan' | 'infinite';
  readonly digits: bigint;
  readonly scale: number;
};

export const numericOf = (digits: bigint, scale = 0): Numeric => ({ special: 'none', digits, scale });

export const NAN: Numeric = { special: 'nan', digits: 0n, scale: 0 };
const INFINITE: Numeric = { special: 'infinite', digits: 1n, scale: 0 };
const NEGATIVE_INFINITE: Numeric = { special: 'infinite', digits: -1n, scale: 0 };
const infinite = (sign: number): Numeric => (sign < 0 ? NEGATIVE_INFINITE : INFINITE);

const ZERO = numericOf(0n);

/** Digits before the point, and behind it. https://www.postgresql.org/docs/current/datatype-numeric.html */
const MAX_WHOLE_DIGITS = 131_072;
const MAX_SCALE = 16_383;
/** Of `round` and `trunc` a scale beyond this changes nothing. */
const MAX_ROUND_SCALE = 16_383;
/** A quotient has so many significant digits at least; its scale counts in groups of four digits. */
const MIN_SIGNIFICANT_DIGITS = 16;
const MAX_DISPLAY_SCALE = 1000;
const GROUP_DIGITS = 4;

/** Powers that were asked for are kept: most scales are small. */
const POWERS: bigint[] = [];
const MAX_KEPT_POWER = 64;
export function power10(exponent: number): bigint {
  if (exponent > MAX_KEPT_POWER) return 10n ** BigInt(exponent);
  return (POWERS[exponent] ??= 10n ** BigInt(exponent));
}

const isNan = ({ special }: Numeric): boolean => special === 'nan';
const isSpecial = ({ special }: Numeric): boolean => special !== 'none';
export const signOf = ({ digits }: Numeric): number => (digits > 0n ? 1 : digits < 0n ? -1 : 0);

const NUMERIC_TEXT = /^([+-]?)(\d*)(?:\.(\d*))?(?:[eE]([+-]?\d+))?$/;

/** Of a text as Postgres writes it or as somebody may write it. Throws EvaluationError. */
export function parseNumeric(text: string): Numeric {
  const trimmed = trimSpace(text);
  const [, sign, whole, fraction = '', exponentText = '0'] = NUMERIC_TEXT.exec(trimmed) ?? [];
  if (whole === undefined || whole.length + fraction.length === 0) return specialOf(trimmed);
  const exponent = Number(exponentText);
  if (Math.abs(exponent) > MAX_WHOLE_DIGITS + MAX_SCALE) {
    // Beyond what an int holds halved the server does not look at the digits.
    if (exponent > 0 && /^0*$/.test(whole + fraction) && exponent < 1_073_741_823) return ZERO;
    throw outOfRange();
  }
  let digits = BigInt(whole + fraction);
  let scale = fraction.length - exponent;
  if (scale < 0) {
    digits *= power10(-scale);
    scale = 0;
  }
  return checked(numericOf(sign === '-' ? -digits : digits, scale));
}

function specialOf(text: string): Numeric {
  switch (text.toLowerCase()) {
    case 'nan':
      return NAN;
    case 'inf':
    case 'infinity':
    case '+inf':
    case '+infinity':
      return INFINITE;
    case '-inf':
    case '-infinity':
      return NEGATIVE_INFINITE;
    default:
      throw malformedText();
  }
}

/** What C's isspace takes for space. */
export const trimSpace = (text: string): string => text.replace(/^[ \t\n\v\f\r]+|[ \t\n\v\f\r]+$/g, '');

function checked(value: Numeric): Numeric {
  const { digits, scale } = value;
  if (scale > MAX_SCALE) return checked(rounded(value, MAX_SCALE));
  // Only a number of many digits may be too large: its text is asked for only then.
  const whole = digits.toString().length - (digits < 0n ? 1 : 0) - scale;
  if (whole > MAX_WHOLE_DIGITS) throw outOfRange();
  return value;
}

export function formatNumeric(value: Numeric): string {
  const { special, digits, scale } = value;
  if (special === 'nan') return 'NaN';
  if (special === 'infinite') return digits > 0n ? 'Infinity' : '-Infinity';
  if (scale === 0) return digits.toString();
  const text = (digits < 0n ? -digits : digits).toString().padStart(scale + 1, '0');
  return `${digits < 0n ? '-' : ''}${text.slice(0, -scale)}.${text.slice(-scale)}`;
}

/** NaN equals itself and is larger than everything. */
export function compareNumerics(a: Numeric, b: Numeric): number {
  if (isSpecial(a) || isSpecial(b)) return rankOf(a) - rankOf(b);
  const [x, y] = a.scale === b.scale ? [a.digits, b.digits] : aligned(a, b);
  return x < y ? -1 : x > y ? 1 : 0;
}

const rankOf = (value: Numeric): number =>
  value.special === 'nan' ? 3 : value.special === 'infinite' ? 2 * signOf(value) : 0;

function aligned(a: Numeric, b: Numeric): [bigint, bigint] {
  const scale = Math.max(a.scale, b.scale);
  return [a.digits * power10(scale - a.scale), b.digits * power10(scale - b.scale)];
}

export function negate(value: Numeric): Numeric {
  return { ...value, digits: -value.digits };
}

export function absolute(value: Numeric): Numeric {
  return value.digits < 0n ? negate(value) : value;
}

export function add(a: Numeric, b: Numeric): Numeric {
  if (isSpecial(a) || isSpecial(b)) {
    if (isNan(a) || isNan(b)) return NAN;
    if (isSpecial(a) && isSpecial(b)) return signOf(a) === signOf(b) ? a : NAN;
    return isSpecial(a) ? a : b;
  }
  const [x, y] = aligned(a, b);
  return checked(numericOf(x + y, Math.max(a.scale, b.scale)));
}

export const subtract = (a: Numeric, b: Numeric): Numeric => add(a, negate(b));

export function multiply(a: Numeric, b: Numeric): Numeric {
  if (isSpecial(a) || isSpecial(b)) {
    if (isNan(a) || isNan(b)) return NAN;
    const sign = signOf(a) * signOf(b);
    return sign === 0 ? NAN : infinite(sign);
  }
  return checked(numericOf(a.digits * b.digits, a.scale + b.scale));
}

export function divide(a: Numeric, b: Numeric): Numeric {
  if (isSpecial(a) || isSpecial(b)) {
    if (isNan(a) || isNan(b)) return NAN;
    if (!isSpecial(a)) return ZERO;
    if (isSpecial(b)) return NAN;
    if (signOf(b) === 0) throw divisionByZero();
    return infinite(signOf(a) * signOf(b));
  }
  if (b.digits === 0n) throw divisionByZero();
  const scale = quotientScale(a, b);
  const shift = scale - a.scale + b.scale;
  const [x, y] = shift >= 0 ? [a.digits * power10(shift), b.digits] : [a.digits, b.digits * power10(-shift)];
  return checked(numericOf(dividedHalfAway(x, y), scale));
}

/** As `select_div_scale`: by the first groups of four digits, counted from the point. */
function quotientScale(a: Numeric, b: Numeric): number {
  const [weightA, firstA] = firstGroup(a);
  const [weightB, firstB] = firstGroup(b);
  const weight = weightA - weightB - (firstA <= firstB ? 1 : 0);
  const scale = Math.max(MIN_SIGNIFICANT_DIGITS - weight * GROUP_DIGITS, a.scale, b.scale, 0);
  return Math.min(scale, MAX_DISPLAY_SCALE);
}

/** The weight of the first group that is not zero (0: the one before the point), and the group. */
function firstGroup({ digits, scale }: Numeric): [number, number] {
  if (digits === 0n) return [0, 0];
  const text = (digits < 0n ? -digits : digits).toString();
  // The place of the first digit, 0 being the one before the point.
  const place = text.length - scale - 1;
  const weight = Math.floor(place / GROUP_DIGITS);
  const length = place - weight * GROUP_DIGITS + 1;
  return [weight, Number(text.slice(0, length).padEnd(length, '0'))];
}

/** Half away from zero. */
export function dividedHalfAway(x: bigint, y: bigint): bigint {
  const isNegative = x < 0n !== y < 0n;
  const dividend = x < 0n ? -x : x;
  const divisor = y < 0n ? -y : y;
  const quotient = (2n * dividend + divisor) / (2n * divisor);
  return isNegative ? -quotient : quotient;
}

export function remainder(a: Numeric, b: Numeric): Numeric {
  if (isSpecial(a) || isSpecial(b)) {
    if (isNan(a) || isNan(b)) return NAN;
    if (!isSpecial(a)) return a;
    if (signOf(b) === 0 && !isSpecial(b)) throw divisionByZero();
    return NAN;
  }
  if (b.digits === 0n) throw divisionByZero();
  const [x, y] = aligned(a, b);
  return numericOf(x % y, Math.max(a.scale, b.scale));
}

/** With exactly this scale, which may be negative; half away from zero. */
function rounded(value: Numeric, scale: number): Numeric {
  const shift = scale - value.scale;
  if (shift >= 0) return numericOf(value.digits * power10(shift), scale);
  return numericOf(dividedHalfAway(value.digits, power10(-shift)), scale);
}

function truncated(value: Numeric, scale: number): Numeric {
  const shift = scale - value.scale;
  if (shift >= 0) return numericOf(value.digits * power10(shift), scale);
  return numericOf(value.digits / power10(-shift), scale);
}

/** A scale below zero is none: its zeros are digits. */
const withoutNegativeScale = (value: Numeric): Numeric =>
  value.scale < 0 ? numericOf(value.digits * power10(-value.scale)) : value;

const cappedScale = (scale: number): number =>
  Math.min(Math.max(scale, -MAX_WHOLE_DIGITS - 1), MAX_ROUND_SCALE);

export function round(value: Numeric, scale: number): Numeric {
  return isSpecial(value) ? value : checked(withoutNegativeScale(rounded(value, cappedScale(scale))));
}

export function truncate(value: Numeric, scale: number): Numeric {
  return isSpecial(value) ? value : withoutNegativeScale(truncated(value, cappedScale(scale)));
}

export function floor(value: Numeric): Numeric {
  if (isSpecial(value)) return value;
  const whole = truncated(value, 0);
  return value.digits < 0n && compareNumerics(whole, value) !== 0 ? numericOf(whole.digits - 1n) : whole;
}

export const ceiling = (value: Numeric): Numeric => negate(floor(negate(value)));

export function sign(value: Numeric): Numeric {
  return isNan(value) ? NAN : numericOf(BigInt(signOf(value)));
}

/** `numeric(precision, scale)`. Throws where it has more digits. */
export function withPrecision(value: Numeric, precision: number, scale: number): Numeric {
  if (isNan(value)) return value;
  if (isSpecial(value)) throw outOfRange();
  const fitted = rounded(value, scale);
  if (absolute(fitted).digits >= power10(precision)) throw outOfRange();
  return withoutNegativeScale(fitted);
}

/** The nearest whole number, half away from zero. Undefined: NaN or infinite. */
export const wholeOf = (value: Numeric): bigint | undefined =>
  isSpecial(value) ? undefined : rounded(value, 0).digits;
