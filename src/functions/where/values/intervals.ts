// interval: months, days and microseconds, each by itself; compared, counted with and taken apart as the server does it. Pure.
// https://github.com/postgres/postgres/blob/master/src/backend/utils/adt/timestamp.c
import { parseDuration, type Interval } from '../../../core/interval.ts';
import { divisionByZero, EvaluationError, malformedText, ofNewerServer } from './failure.ts';
import { roundHalfEven } from './floats.ts';
import { numericOf, parseNumeric, trimSpace, type Numeric } from './numeric.ts';

const SECOND_US = 1_000_000n;
const MINUTE_US = 60n * SECOND_US;
const HOUR_US = 60n * MINUTE_US;
const DAY_US = 24n * HOUR_US;
const DAY_SECONDS = 86_400;

const MAX_INT4 = 2_147_483_647;
const MIN_INT4 = -2_147_483_648;

/** As Postgres 17 and newer have them. */
const ENDLESS: Interval = { months: MAX_INT4, days: MAX_INT4, us: 9_223_372_036_854_775_807n };
const ENDLESS_BACK: Interval = { months: MIN_INT4, days: MIN_INT4, us: -9_223_372_036_854_775_808n };

const isSame = (a: Interval, b: Interval): boolean =>
  a.months === b.months && a.days === b.days && a.us === b.us;
export const isFiniteInterval = (value: Interval): boolean =>
  !isSame(value, ENDLESS) && !isSame(value, ENDLESS_BACK);

/** 1: without an end; -1: without a beginning; 0: finite. */
export const endlessness = (value: Interval): 1 | -1 | 0 =>
  isSame(value, ENDLESS) ? 1 : isSame(value, ENDLESS_BACK) ? -1 : 0;

const outOfRange = (): EvaluationError => new EvaluationError('22008');

function fits({ months, days, us }: Interval): boolean {
  const isInteger = (value: number): boolean => value >= MIN_INT4 && value <= MAX_INT4;
  return isInteger(months) && isInteger(days) && BigInt.asIntN(64, us) === us;
}

/** Only the infinite ones are what the infinite ones are kept as. */
function checked(value: Interval): Interval {
  if (!fits(value) || !isFiniteInterval(value)) throw outOfRange();
  return value;
}

const CLOCK = /^([+-]?)(\d+):(\d\d)(?::(\d\d)(?:\.(\d{1,6}))?)?$/;
const QUANTITY = /^([+-]?)(\d+)(?:\.(\d{1,6}))?$/;

/** What one of a unit is; each may stand once. */
const UNITS: Readonly<Record<string, Interval>> = {
  year: { months: 12, days: 0, us: 0n },
  month: { months: 1, days: 0, us: 0n },
  week: { months: 0, days: 7, us: 0n },
  day: { months: 0, days: 1, us: 0n },
  hour: { months: 0, days: 0, us: HOUR_US },
  minute: { months: 0, days: 0, us: MINUTE_US },
  second: { months: 0, days: 0, us: SECOND_US },
};
const SHORT: Readonly<Record<string, string>> = { mon: 'month', min: 'minute', sec: 'second' };

/**
 * Of ISO 8601 text, or of quantities and units with a clock behind them (`1 day -02:03:04`), as far as they mean the same under every
 * IntervalStyle. Throws EvaluationError where it is written in another way, or out of range.
 */
export function parseInterval(text: string): Interval {
  if (text === 'infinity') return ENDLESS;
  if (text === '-infinity') return ENDLESS_BACK;
  const value =
    parseDuration(text) ??
    parseQuantities(
      trimSpace(text)
        .toLowerCase()
        .split(/[ \t\n\v\f\r]+/),
    );
  if (!fits(value)) throw new EvaluationError('22015');
  return value;
}

function parseQuantities(words: readonly string[]): Interval {
  const signs: string[] = [];
  const seen = new Set<string>();
  let sum: Interval = { months: 0, days: 0, us: 0n };
  const take = (unit: string, sign: string, part: Interval): void => {
    if (seen.has(unit)) throw malformedText();
    seen.add(unit);
    signs.push(sign);
    const by = sign === '-' ? -1 : 1;
    sum = {
      months: sum.months + by * part.months,
      days: sum.days + by * part.days,
      us: sum.us + BigInt(by) * part.us,
    };
  };
  for (let i = 0; i < words.length; i++) {
    const clock = i === words.length - 1 ? CLOCK.exec(words[i]!) : null;
    if (clock !== null) {
      const us = clockOf(clock);
      for (const unit of ['hour', 'minute', 'second']) take(unit, clock[1]!, { months: 0, days: 0, us: unit === 'hour' ? us : 0n }); // prettier-ignore
      continue;
    }
    const [, sign, whole, fraction = ''] = QUANTITY.exec(words[i]!) ?? [];
    const name = words[++i]?.replace(/s$/, '') ?? '';
    const unit = SHORT[name] ?? name;
    if (whole === undefined || !Object.hasOwn(UNITS, unit) || (fraction !== '' && unit !== 'second'))
      throw malformedText();
    const one = UNITS[unit]!;
    take(unit, sign!, {
      months: Number(whole) * one.months,
      days: Number(whole) * one.days,
      us: BigInt(whole) * one.us + BigInt(fraction.padEnd(6, '0')),
    });
  }
  // In SQL's own style a sign at the start is everybody's who has none.
  const [first, ...others] = signs;
  if (first === '-' && others.length > 0 && others.every((sign) => sign === '')) throw malformedText();
  return sum;
}

function clockOf([, , hours, minutes, seconds = '0', fraction = '']: RegExpExecArray): bigint {
  if (Number(minutes) > 59 || Number(seconds) > 59) throw new EvaluationError('22015');
  const whole = BigInt(hours!) * HOUR_US + BigInt(minutes!) * MINUTE_US + BigInt(seconds) * SECOND_US;
  return whole + BigInt(fraction.padEnd(6, '0'));
}

/** ISO 8601, as our sessions pin it. */
export function formatInterval(value: Interval): string {
  const endless = endlessness(value);
  if (endless !== 0) return endless === 1 ? 'infinity' : '-infinity';
  const { months, days, us } = value;
  const part = (count: number | bigint, unit: string): string =>
    count === 0 || count === 0n ? '' : `${count}${unit}`;
  const date = part(Math.trunc(months / 12), 'Y') + part(months % 12, 'M') + part(days, 'D');
  const rest = us % MINUTE_US;
  const size = rest < 0n ? -rest : rest;
  const fraction = (size % SECOND_US).toString().padStart(6, '0').replace(/0+$/, '');
  const seconds = `${rest < 0n ? '-' : ''}${size / SECOND_US}${fraction === '' ? '' : `.${fraction}`}S`;
  const time = part(us / HOUR_US, 'H') + part((us / MINUTE_US) % 60n, 'M') + (rest === 0n ? '' : seconds);
  return date === '' && time === '' ? 'PT0S' : `P${date}${time === '' ? '' : `T${time}`}`;
}

/** A month has 30 days here, and a day 24 hours. */
const spanOf = ({ months, days, us }: Interval): bigint =>
  us + (BigInt(days) + BigInt(months) * 30n) * DAY_US;

export function compareIntervals(a: Interval, b: Interval): number {
  const [x, y] = [spanOf(a), spanOf(b)];
  return x < y ? -1 : x > y ? 1 : 0;
}

export function addIntervals(a: Interval, b: Interval): Interval {
  const [x, y] = [endlessness(a), endlessness(b)];
  if (x !== 0 && y !== 0 && x !== y) throw outOfRange();
  if (x !== 0) return a;
  if (y !== 0) return b;
  return checked({ months: a.months + b.months, days: a.days + b.days, us: a.us + b.us });
}

export function subtractIntervals(a: Interval, b: Interval): Interval {
  const [x, y] = [endlessness(a), endlessness(b)];
  if (x !== 0 && x === y) throw outOfRange();
  if (x !== 0) return a;
  if (y !== 0) return y === 1 ? ENDLESS_BACK : ENDLESS;
  return checked({ months: a.months - b.months, days: a.days - b.days, us: a.us - b.us });
}

/** Of the least number of 32 or 64 bits there is none. */
export const hasNegative = (value: Interval): boolean =>
  !isFiniteInterval(value) || fits({ months: -value.months, days: -value.days, us: -value.us });

export const negateInterval = (value: Interval): Interval =>
  subtractIntervals({ months: 0, days: 0, us: 0n }, value);

/** Before Postgres 17 no interval is infinite, and what comes to one is an error. */
export function multiplyInterval(value: Interval, factor: number): Interval {
  const endless = endlessness(value);
  if (Number.isNaN(factor) || (endless !== 0 && factor === 0)) throw outOfRange();
  if (endless !== 0) return endless * factor > 0 ? ENDLESS : ENDLESS_BACK;
  if (!Number.isFinite(factor)) throw spanOf(value) === 0n ? outOfRange() : ofNewerServer();
  return scaled(value, (part) => part * factor);
}

export function divideInterval(value: Interval, divisor: number): Interval {
  if (divisor === 0) throw divisionByZero();
  const endless = endlessness(value);
  if (Number.isNaN(divisor) || (endless !== 0 && !Number.isFinite(divisor))) throw outOfRange();
  if (endless !== 0) return endless * divisor > 0 ? ENDLESS : ENDLESS_BACK;
  return scaled(value, (part) => part / divisor);
}

const toMicroseconds = (seconds: number): number => roundHalfEven(seconds * 1e6) / 1e6;

function wholePart(value: number): number {
  if (!(value >= MIN_INT4 && value < -MIN_INT4)) throw outOfRange();
  // Never -0.
  return Math.trunc(value) + 0;
}

/** What is left of a month are days, and of a day seconds; in doubles, rounded where the server rounds. */
function scaled({ months, days, us }: Interval, scale: (part: number) => number): Interval {
  const wholeMonths = wholePart(scale(months));
  const wholeDays = wholePart(scale(days));
  const restDays = toMicroseconds((scale(months) - wholeMonths) * 30);
  const restSeconds = toMicroseconds(
    (scale(days) - wholeDays + restDays - Math.trunc(restDays)) * DAY_SECONDS,
  );
  const carriedDays = Math.abs(restSeconds) >= DAY_SECONDS ? Math.trunc(restSeconds / DAY_SECONDS) : 0;
  const seconds = restSeconds - carriedDays * DAY_SECONDS;
  const time = roundHalfEven(scale(Number(us)) + seconds * 1e6);
  if (!(time >= -(2 ** 63) && time < 2 ** 63)) throw outOfRange();
  return checked({
    months: wholeMonths,
    days: wholeDays + carriedDays + Math.trunc(restDays),
    us: BigInt(time),
  });
}

/** Those of an infinite one that grow without end are infinite, the others NULL. */
const GROWING: ReadonlySet<string> = new Set([
  'hour',
  'day',
  'year',
  'decade',
  'century',
  'millennium',
  'epoch',
]);

const yearsOf = ({ months }: Interval): number => Math.trunc(months / 12);
const whole = (value: number): Numeric => numericOf(BigInt(Math.trunc(value)));

const FIELDS: Readonly<Record<string, (value: Interval) => Numeric>> = {
  millennium: (value) => whole(yearsOf(value) / 1000),
  century: (value) => whole(yearsOf(value) / 100),
  decade: (value) => whole(yearsOf(value) / 10),
  year: (value) => whole(yearsOf(value)),
  month: ({ months }) => whole(months % 12),
  day: ({ days }) => whole(days),
  hour: ({ us }) => numericOf(us / HOUR_US),
  minute: ({ us }) => numericOf((us / MINUTE_US) % 60n),
  second: ({ us }) => numericOf(us % MINUTE_US, 6),
  milliseconds: ({ us }) => numericOf(us % MINUTE_US, 3),
  microseconds: ({ us }) => numericOf(us % MINUTE_US),
  epoch: (value) => numericOf(epochOf(value), 6),
};

/** A year has 365.25 days here, so it is counted in quarters of a day. */
const epochOf = ({ months, days, us }: Interval): bigint =>
  us +
  (BigInt(Math.trunc(months / 12)) * 1461n + BigInt(months % 12) * 120n + BigInt(days) * 4n) * (DAY_US / 4n);

/** Fields that `extract` takes of an interval. What a week and a quarter of one are depends on the server's version. */
export const isIntervalField = (field: string): boolean => Object.hasOwn(FIELDS, field);

export function extractFromInterval(field: string, value: Interval): Numeric | null {
  const endless = endlessness(value);
  if (endless === 0) return FIELDS[field]!(value);
  return GROWING.has(field) ? parseNumeric(endless === 1 ? 'Infinity' : '-Infinity') : null;
}

const TIME_UNITS: Readonly<Record<string, bigint>> = {
  day: 0n,
  hour: HOUR_US,
  minute: MINUTE_US,
  second: SECOND_US,
  milliseconds: 1000n,
  microseconds: 1n,
};
const MONTHS_OF: Readonly<Record<string, number>> = { month: 1, quarter: 3, year: 12 };

/** Units that `date_trunc` takes of an interval: there are no whole weeks in months. */
export const isIntervalTruncation = (unit: string): boolean =>
  Object.hasOwn(TIME_UNITS, unit) || Object.hasOwn(MONTHS_OF, unit);

/** Towards zero. */
export function truncateInterval(unit: string, value: Interval): Interval {
  if (!isFiniteInterval(value)) return value;
  const length = TIME_UNITS[unit];
  if (length !== undefined) return { ...value, us: length === 0n ? 0n : value.us - (value.us % length) };
  const { months } = value;
  return { months: months - (months % MONTHS_OF[unit]!) + 0, days: 0, us: 0n };
}
