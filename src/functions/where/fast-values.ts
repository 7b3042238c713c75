// Numbers straight from the bytes of a row, without a text between, where they are short enough to be exact. Hot (bench/micro/where.ts).
import type { SqlType } from './catalog/types.ts';
import { numericOf } from './values/numeric.ts';
import type { Value } from './values/value.ts';

/** Reads the value at `bytes[start, end)`; undefined: it has another form, and is read from its text. */
export type FastReader = (bytes: Buffer, start: number, end: number) => Value | undefined;

/** So many digits fit into a double exactly. */
const EXACT_DIGITS = 15;
const ZERO = 0x30;
const NINE = 0x39;
const MINUS = 0x2d;
const POINT = 0x2e;

/** As Postgres writes it: a minus, then digits. NaN: it is not that, or too long. */
function integerAt(bytes: Buffer, start: number, end: number): number {
  const isNegative = bytes[start] === MINUS;
  const from = isNegative ? start + 1 : start;
  if (end - from > EXACT_DIGITS || from === end) return NaN;
  let value = 0;
  for (let i = from; i < end; i++) {
    const digit = bytes[i]!;
    if (digit < ZERO || digit > NINE) return NaN;
    value = value * 10 + digit - ZERO;
  }
  // Never -0.
  return isNegative ? 0 - value : value;
}

function smallInteger(bytes: Buffer, start: number, end: number): number | undefined {
  const value = integerAt(bytes, start, end);
  return Number.isNaN(value) ? undefined : value;
}

function largeInteger(bytes: Buffer, start: number, end: number): bigint | undefined {
  const value = integerAt(bytes, start, end);
  return Number.isNaN(value) ? undefined : BigInt(value);
}

function numeric(bytes: Buffer, start: number, end: number): Value | undefined {
  const isNegative = bytes[start] === MINUS;
  const from = isNegative ? start + 1 : start;
  if (end - from > EXACT_DIGITS + 1 || from === end) return undefined;
  let value = 0;
  let scale = 0;
  for (let i = from; i < end; i++) {
    const digit = bytes[i]!;
    if (digit === POINT && scale === 0) scale = end - i - 1;
    else if (digit < ZERO || digit > NINE) return undefined;
    else value = value * 10 + digit - ZERO;
  }
  return value > Number.MAX_SAFE_INTEGER
    ? undefined
    : numericOf(BigInt(isNegative ? 0 - value : value), scale);
}

const TRUE = 0x74;
const boolean = (bytes: Buffer, start: number): boolean => bytes[start] === TRUE;

const READERS: Readonly<Record<string, FastReader>> = {
  bool: boolean,
  int2: smallInteger,
  int4: smallInteger,
  int8: largeInteger,
  numeric,
};

export const fastReader = (type: SqlType): FastReader | undefined =>
  Object.hasOwn(READERS, type) ? READERS[type] : undefined;
