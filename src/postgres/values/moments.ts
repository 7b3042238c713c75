// Dates and times of day as numbers, from Postgres' text. Hot file: a Moment is a scratch object (bench/micro/render.ts).
// https://www.postgresql.org/docs/current/datatype-datetime.html#DATATYPE-DATETIME-OUTPUT (DateStyle ISO)
import { civilFromDays, daysFromCivil } from '../../core/civil-dates.ts';
import type { ByteWriter } from '../../core/byte-writer.ts';
import { writeJsonString } from '../../core/json.ts';
import type { ValueRenderer } from '../../core/render.ts';

const DASH = 0x2d;
const PLUS = 0x2b;
const COLON = 0x3a;
const POINT = 0x2e;
const SPACE = 0x20;
const ZERO = 0x30;
const UPPER_C = 0x43;

export const SECONDS_A_DAY = 86_400;
const MICROSECOND_DIGITS = 6;

/** What a text says: days since 1970-01-01, seconds of the day and microseconds of the second, at the offset that it names. */
export type Moment = {
  days: number;
  secondOfDay: number;
  microseconds: number;
  /** East of Greenwich; 0 where the text names none. */
  offsetSeconds: number;
};

export const createMoment = (): Moment => ({ days: 0, secondOfDay: 0, microseconds: 0, offsetSeconds: 0 });

/** `2026-01-02`, `0044-03-15 BC`, `12345-01-01`. False: ±infinity, or no date. */
export function readDate(bytes: Buffer, start: number, length: number, into: Moment): boolean {
  const end = start + length;
  clear(into);
  const isBc = bytes[end - 1] === UPPER_C;
  return readDays(bytes, start, isBc ? end - 3 : end, isBc, into) === (isBc ? end - 3 : end);
}

/** `03:04:05.5`, `24:00:00`, `03:04:05+05:45`. False: no time of day. */
export function readTime(bytes: Buffer, start: number, length: number, into: Moment): boolean {
  clear(into);
  return readTimeOfDay(bytes, start, start + length, into);
}

/** `2026-01-02 03:04:05.5`, with an offset or not, BC or not. False: ±infinity, or no timestamp. */
export function readTimestamp(bytes: Buffer, start: number, length: number, into: Moment): boolean {
  clear(into);
  const isBc = bytes[start + length - 1] === UPPER_C;
  const end = start + length - (isBc ? 3 : 0);
  const at = readDays(bytes, start, end, isBc, into);
  return at !== -1 && bytes[at] === SPACE && readTimeOfDay(bytes, at + 1, end, into);
}

function clear(moment: Moment): void {
  moment.days = 0;
  moment.secondOfDay = 0;
  moment.microseconds = 0;
  moment.offsetSeconds = 0;
}

/** Answers where the date ends; -1: there is none. */
function readDays(bytes: Buffer, start: number, end: number, isBc: boolean, into: Moment): number {
  let at = start;
  let year = 0;
  while (at < end && isDigit(bytes[at]!)) year = year * 10 + bytes[at++]! - ZERO;
  if (at === start || bytes[at] !== DASH || bytes[at + 3] !== DASH || at + 6 > end) return -1;
  const month = twoDigits(bytes, at + 1);
  const day = twoDigits(bytes, at + 4);
  if (month < 1 || day < 1) return -1;
  into.days = daysFromCivil(isBc ? 1 - year : year, month, day);
  return at + 6;
}

function readTimeOfDay(bytes: Buffer, start: number, end: number, into: Moment): boolean {
  if (end - start < 8 || bytes[start + 2] !== COLON || bytes[start + 5] !== COLON) return false;
  const seconds =
    (twoDigits(bytes, start) * 60 + twoDigits(bytes, start + 3)) * 60 + twoDigits(bytes, start + 6);
  if (seconds < 0) return false;
  into.secondOfDay = seconds;
  let at = start + 8;
  if (bytes[at] === POINT && at < end) {
    let digits = 0;
    let fraction = 0;
    for (at++; at < end && isDigit(bytes[at]!); at++, digits++) fraction = fraction * 10 + bytes[at]! - ZERO;
    for (; digits < MICROSECOND_DIGITS; digits++) fraction *= 10;
    into.microseconds = fraction;
  }
  return at === end || readOffset(bytes, at, end, into);
}

/** `+00`, `-05:30`, `+00:19:32`. */
function readOffset(bytes: Buffer, start: number, end: number, into: Moment): boolean {
  const sign = bytes[start];
  if (sign !== PLUS && sign !== DASH) return false;
  let seconds = 0;
  let unit = 3600;
  let at = start + 1;
  for (; at + 2 <= end && unit >= 1; at += 3, unit /= 60) seconds += twoDigits(bytes, at) * unit;
  into.offsetSeconds = sign === DASH ? -seconds : seconds;
  return at === end + 1 && seconds >= 0;
}

const isDigit = (byte: number): boolean => byte >= ZERO && byte <= 0x39;

/** Below 0, by more than sums of others can make good: not two digits. */
function twoDigits(bytes: Buffer, at: number): number {
  const tens = bytes[at]! - ZERO;
  const ones = bytes[at + 1]! - ZERO;
  return tens >= 0 && tens <= 9 && ones >= 0 && ones <= 9 ? tens * 10 + ones : NO_DIGITS;
}
const NO_DIGITS = -1_000_000;

/** Seconds since 1970-01-01T00:00:00Z. Exact: Postgres' years have no more than 14 digits of them. */
export const epochSeconds = ({ days, secondOfDay, offsetSeconds }: Moment): number =>
  days * SECONDS_A_DAY + secondOfDay - offsetSeconds;

/** Decimal digits of a second that a number counts. */
export type Unit = 3 | 6 | 9;

/**
 * Appends `seconds` and `microseconds` as one whole number of milli-, micro- or nanoseconds: what a unit is too coarse for is cut off
 * towards the past. In two parts, as microseconds since 1970 are more than a double has digits for from the year 2255 on.
 */
export function writeCount(seconds: number, microseconds: number, unit: Unit, writer: ByteWriter): void {
  let whole = seconds;
  let parts = unit === 3 ? Math.floor(microseconds / 1000) : microseconds;
  const partsASecond = unit === 3 ? 1000 : 1_000_000;
  if (whole < 0) {
    // -1.25 s is -1 s and 250,000 µs less, not -2 s and 750,000 more.
    if (parts > 0) {
      whole++;
      parts = partsASecond - parts;
    }
    whole = -whole;
    writer.byte(DASH);
  }
  if (whole === 0) writer.integer(parts);
  else {
    writer.integer(whole);
    writer.paddedInteger(parts, unit === 3 ? 3 : MICROSECOND_DIGITS);
  }
  if (unit === 9 && (whole !== 0 || parts !== 0)) writer.paddedInteger(0, 3);
}

const moment = createMoment();

/** A timestamp as microseconds since 1970-01-01T00:00:00Z, one without zone as if it were in UTC. ±infinity stays a word. */
export const writeMicroseconds: ValueRenderer = (bytes, start, length, writer) => {
  if (readTimestamp(bytes, start, length, moment)) {
    writeCount(epochSeconds(moment), moment.microseconds, MICROSECOND_DIGITS, writer);
  } else writeJsonString(bytes, start, length, writer);
};

/** `2026-01-02`, `-0043-03-15`, `+12345-01-01`: years as ISO 8601 has them, where 1 BC is the year 0. */
export function isoDate(days: number): string {
  const { year, month, day } = civilFromDays(days);
  const digits = String(Math.abs(year)).padStart(4, '0');
  const sign = year < 0 ? '-' : year > 9999 ? '+' : '';
  return `${sign}${digits}-${two(month)}-${two(day)}`;
}

/** `03:04:05`, `03:04:05.5`; `digits`: of the fraction, which is as long as it must be where they are not given. */
export function isoTime(secondOfDay: number, microseconds: number, digits?: number): string {
  const hours = two(Math.floor(secondOfDay / 3600));
  const time = `${hours}:${two(Math.floor(secondOfDay / 60) % 60)}:${two(secondOfDay % 60)}`;
  const all = String(microseconds).padStart(6, '0');
  const fraction = digits === undefined ? all.replace(/0+$/, '') : all.slice(0, digits);
  return fraction === '' ? time : `${time}.${fraction}`;
}

const two = (number: number): string => String(number).padStart(2, '0');
