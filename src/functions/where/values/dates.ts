// date, timestamp and timestamptz: days and microseconds since 2000-01-01, to and from ISO text, and their fields. Pure; no zone but UTC.
// https://www.postgresql.org/docs/current/functions-datetime.html
import {
  civilFromDays as civilSince1970,
  daysFromCivil as daysSince1970,
  type CivilDate,
} from '../../../core/civil-dates.ts';
import { EvaluationError } from './failure.ts';
import { numericOf, parseNumeric, type Numeric } from './numeric.ts';

export const DAY_US = 86_400_000_000n;
const HOUR_US = 3_600_000_000n;
const MINUTE_US = 60_000_000n;
const SECOND_US = 1_000_000n;

/** As the server has them. */
export const FOREVER = 9_223_372_036_854_775_807n;
export const NEVER = -9_223_372_036_854_775_808n;
/** A date is a number of days; the infinite ones are JavaScript's. */
export const isForever = (us: bigint): boolean => us === FOREVER || us === NEVER;

/** From 4713 BC to 294276, and of dates to 5874897. */
const MIN_DAYS = -2_451_545;
const MAX_DATE_DAYS = 2_145_031_949;
const MIN_US = -211_813_488_000_000_000n;
const END_US = 9_223_371_331_200_000_000n;

/** Days from 2000-01-01 to 1970-01-01. */
export const UNIX_EPOCH_US = -10_957n * DAY_US;

/** Days since 2000-01-01, from which Postgres counts. */
export const daysFromCivil = (year: number, month: number, day: number): number =>
  daysSince1970(year, month, day) - DAYS_TO_2000;

export const civilFromDays = (days: number): CivilDate => civilSince1970(days + DAYS_TO_2000);

const DAYS_TO_2000 = 10_957;

const DATE = /^(\d{4,7})-(\d\d)-(\d\d)( BC)?$/;
const TIMESTAMP =
  /^(\d{4,7}-\d\d-\d\d)[ T](\d\d):(\d\d)(?::(\d\d)(?:\.(\d{1,6}))?)?(Z|[+-]\d\d(?::?\d\d(?::?\d\d)?)?)?( BC)?$/;

const outOfRange = (): EvaluationError => new EvaluationError('22008');

/** Of ISO text; undefined: it is written in another way, or is none. Throws EvaluationError where it is out of range. */
export function parseDate(text: string): number | undefined {
  if (text === 'infinity') return Infinity;
  if (text === '-infinity') return -Infinity;
  const [, yearText, monthText, dayText, bc] = DATE.exec(text) ?? [];
  if (yearText === undefined) return undefined;
  const [writtenYear, month, day] = [Number(yearText), Number(monthText), Number(dayText)];
  const year = bc === undefined ? writtenYear : 1 - writtenYear;
  const days = daysFromCivil(year, month, day);
  const civil = civilFromDays(days);
  if (writtenYear === 0 || civil.month !== month || civil.day !== day) throw outOfRange();
  return checkedDate(days);
}

/** `zone`: must it have an offset, or must it have none? */
export function parseTimestamp(text: string, zone: 'with' | 'without'): bigint | undefined {
  if (text === 'infinity') return FOREVER;
  if (text === '-infinity') return NEVER;
  const dateOnly = zone === 'without' ? parseDate(text) : undefined;
  if (dateOnly !== undefined) return checkedTimestamp(BigInt(dateOnly) * DAY_US);
  const [, dateText, hour, minute, second = '0', fraction = '', offset, bc = ''] = TIMESTAMP.exec(text) ?? [];
  if (dateText === undefined || (offset === undefined) !== (zone === 'without')) return undefined;
  const days = parseDate(dateText + bc)!;
  if (Number(hour) > 23 || Number(minute) > 59 || Number(second) > 59) throw outOfRange();
  const time =
    BigInt(hour!) * HOUR_US +
    BigInt(minute!) * MINUTE_US +
    BigInt(second) * SECOND_US +
    BigInt(fraction.padEnd(6, '0'));
  return checkedTimestamp(BigInt(days) * DAY_US + time - offsetOf(offset));
}

function offsetOf(offset: string | undefined): bigint {
  if (offset === undefined || offset === 'Z') return 0n;
  const [hours, minutes = '0', seconds = '0'] = offset.slice(1).match(/\d\d/g)!;
  const us = BigInt(hours) * HOUR_US + BigInt(minutes) * MINUTE_US + BigInt(seconds) * SECOND_US;
  return offset.startsWith('-') ? -us : us;
}

export function checkedDate(days: number): number {
  if (Number.isFinite(days) && (days < MIN_DAYS || days >= MAX_DATE_DAYS)) throw outOfRange();
  return days;
}

export function checkedTimestamp(us: bigint): bigint {
  if (us < MIN_US || us >= END_US) throw outOfRange();
  return us;
}

export function dateToTimestamp(days: number): bigint {
  if (days === Infinity) return FOREVER;
  if (days === -Infinity) return NEVER;
  return checkedTimestamp(BigInt(days) * DAY_US);
}

/**
 * A date beyond all timestamps compares with one all the same: it is larger, but not as large as infinity. So dates count in
 * units in which these are apart.
 */
export function compareDateWithTimestamp(days: number, us: bigint): number {
  if (Number.isFinite(days)) {
    if (us === FOREVER) return -1;
    if (us === NEVER) return 1;
    const other = BigInt(days) * DAY_US;
    return other < us ? -1 : other > us ? 1 : 0;
  }
  const other = days > 0 ? FOREVER : NEVER;
  return other < us ? -1 : other > us ? 1 : 0;
}

export function timestampToDate(us: bigint): number {
  if (us === FOREVER) return Infinity;
  if (us === NEVER) return -Infinity;
  return Number(floorDivide(us, DAY_US));
}

export function floorDivide(a: bigint, b: bigint): bigint {
  const quotient = a / b;
  return a % b < 0n ? quotient - 1n : quotient;
}

export function formatDate(days: number): string {
  if (!Number.isFinite(days)) return days > 0 ? 'infinity' : '-infinity';
  const { year, month, day } = civilFromDays(days);
  const written = year > 0 ? year : 1 - year;
  const digits = [written, month, day].map((part, i) => String(part).padStart(i === 0 ? 4 : 2, '0'));
  return `${digits.join('-')}${year > 0 ? '' : ' BC'}`;
}

/** `zone`: what stands behind the time (`+00`). */
export function formatTimestamp(us: bigint, zone: string): string {
  if (us === FOREVER) return 'infinity';
  if (us === NEVER) return '-infinity';
  const days = timestampToDate(us);
  const time = us - BigInt(days) * DAY_US;
  const parts = [time / HOUR_US, (time / MINUTE_US) % 60n, (time / SECOND_US) % 60n];
  const fraction = (time % SECOND_US).toString().padStart(6, '0').replace(/0+$/, '');
  const [date, bc = ''] = formatDate(days).split(/(?= BC)/);
  const clock = parts.map((part) => part.toString().padStart(2, '0')).join(':');
  return `${date} ${clock}${fraction === '' ? '' : `.${fraction}`}${zone}${bc}`;
}

/** Fields of a date; of an infinite one those that grow without end are infinite, the others NULL. */
const GROWING: ReadonlySet<string> = new Set(['year', 'decade', 'century', 'millennium', 'isoyear', 'epoch']);
const CYCLIC: ReadonlySet<string> = new Set(['month', 'day', 'dow', 'isodow', 'doy', 'week', 'quarter']);
const CLOCK: ReadonlySet<string> = new Set(['hour', 'minute', 'second', 'milliseconds', 'microseconds']);

/** Fields that `extract` takes of a date, and of a timestamp. */
export const isDateField = (field: string): boolean => GROWING.has(field) || CYCLIC.has(field);
export const isTimestampField = (field: string): boolean => isDateField(field) || CLOCK.has(field);

export function extractFromDate(field: string, days: number): Numeric | null {
  if (!Number.isFinite(days)) return ofInfinite(field, days > 0);
  if (field === 'epoch') return numericOf((BigInt(days) + 10_957n) * 86_400n);
  return numericOf(BigInt(fieldOfDate(field, days)));
}

export function extractFromTimestamp(field: string, us: bigint): Numeric | null {
  if (isForever(us)) return ofInfinite(field, us > 0n);
  if (field === 'epoch') return numericOf(us - UNIX_EPOCH_US, 6);
  const days = timestampToDate(us);
  if (!CLOCK.has(field)) return numericOf(BigInt(fieldOfDate(field, days)));
  const time = us - BigInt(days) * DAY_US;
  switch (field) {
    case 'hour':
      return numericOf(time / HOUR_US);
    case 'minute':
      return numericOf((time / MINUTE_US) % 60n);
    case 'second':
      return numericOf(time % MINUTE_US, 6);
    case 'milliseconds':
      return numericOf(time % MINUTE_US, 3);
    default:
      return numericOf(time % MINUTE_US);
  }
}

function ofInfinite(field: string, isPositive: boolean): Numeric | null {
  return GROWING.has(field) ? parseNumeric(isPositive ? 'Infinity' : '-Infinity') : null;
}

function fieldOfDate(field: string, days: number): number {
  const { year, month, day } = civilFromDays(days);
  switch (field) {
    case 'year':
      // There is no year 0: what comes before 1 is -1.
      return year > 0 ? year : year - 1;
    case 'month':
      return month;
    case 'day':
      return day;
    case 'quarter':
      return Math.floor((month - 1) / 3) + 1;
    case 'doy':
      return days - daysFromCivil(year, 1, 1) + 1;
    case 'dow':
      return modulo(days + 6, 7);
    case 'isodow':
      return modulo(days + 5, 7) + 1;
    case 'week':
      return isoWeekOf(days).week;
    case 'isoyear': {
      const { year: isoYear } = isoWeekOf(days);
      return isoYear > 0 ? isoYear : isoYear - 1;
    }
    case 'decade':
      return year >= 0 ? Math.trunc(year / 10) : -Math.trunc((8 - (year - 1)) / 10);
    case 'century':
      return year > 0 ? Math.trunc((year + 99) / 100) : -Math.trunc((99 - (year - 1)) / 100);
    default:
      return year > 0 ? Math.trunc((year + 999) / 1000) : -Math.trunc((999 - (year - 1)) / 1000);
  }
}

const modulo = (value: number, by: number): number => ((value % by) + by) % by;

/** A week is of the year that has its Thursday. */
function isoWeekOf(days: number): { readonly year: number; readonly week: number } {
  const thursday = days - modulo(days + 5, 7) + 3;
  const { year } = civilFromDays(thursday);
  return { year, week: Math.floor((thursday - daysFromCivil(year, 1, 1)) / 7) + 1 };
}

const TRUNCATIONS: Readonly<Record<string, bigint>> = {
  day: DAY_US,
  hour: HOUR_US,
  minute: MINUTE_US,
  second: SECOND_US,
  milliseconds: 1000n,
  microseconds: 1n,
};

export const isTruncation = (unit: string): boolean =>
  unit in TRUNCATIONS || ['week', 'month', 'quarter', 'year'].includes(unit);

export function truncateTimestamp(unit: string, us: bigint): bigint {
  if (isForever(us)) return us;
  const length = TRUNCATIONS[unit];
  if (length !== undefined) return floorDivide(us, length) * length;
  const days = timestampToDate(us);
  const { year, month } = civilFromDays(days);
  switch (unit) {
    case 'week':
      return checkedTimestamp(BigInt(days - modulo(days + 5, 7)) * DAY_US);
    case 'month':
      return checkedTimestamp(BigInt(daysFromCivil(year, month, 1)) * DAY_US);
    case 'quarter':
      return checkedTimestamp(BigInt(daysFromCivil(year, month - ((month - 1) % 3), 1)) * DAY_US);
    default:
      return checkedTimestamp(BigInt(daysFromCivil(year, 1, 1)) * DAY_US);
  }
}
