// An interval as the three numbers that Postgres keeps of it, from its ISO 8601 text, as our sessions pin IntervalStyle. Pure.
// https://www.postgresql.org/docs/current/datatype-datetime.html#DATATYPE-INTERVAL-OUTPUT

/** A month is not a number of days, nor a day one of hours. `us`: as exact digits, the longest intervals have more than a double. */
export type Interval = { readonly months: number; readonly days: number; readonly us: bigint };

/** Date and time parts, each with a sign of its own: `P1Y2M-3DT-4H-5M-6.789S`. */
const DURATION =
  /^P(?=[-\dT])(?:(-?\d+)Y)?(?:(-?\d+)M)?(?:(-?\d+)D)?(?:T(?=[-\d])(?:(-?\d+)H)?(?:(-?\d+)M)?(?:(-?)(\d+)(?:\.(\d{1,6}))?S)?)?$/;

const SECOND_US = 1_000_000n;

/** A duration part by part, as Postgres prints it: nothing is carried from one to the next. */
export type DurationParts = {
  readonly years: number;
  readonly months: number;
  readonly days: number;
  readonly hours: bigint;
  readonly minutes: bigint;
  /** As text, without zeros at the end: `-6.5`. */
  readonly seconds: string;
  /** Hours, minutes and seconds together. */
  readonly us: bigint;
};

/** Undefined: it is ±infinity, or no duration. */
export function durationParts(text: string): DurationParts | undefined {
  const match = DURATION.exec(text);
  if (match === null) return undefined;
  const [
    ,
    years = '0',
    months = '0',
    days = '0',
    hours = '0',
    minutes = '0',
    sign = '',
    whole = '0',
    fraction = '',
  ] = match;
  const unsigned = BigInt(whole) * SECOND_US + BigInt(fraction.padEnd(6, '0'));
  const decimals = fraction.replace(/0+$/, '');
  return {
    years: Number(years),
    months: Number(months),
    days: Number(days),
    hours: BigInt(hours),
    minutes: BigInt(minutes),
    seconds: `${sign}${whole}${decimals === '' ? '' : `.${decimals}`}`,
    us: (BigInt(hours) * 60n + BigInt(minutes)) * 60n * SECOND_US + (sign === '-' ? -unsigned : unsigned),
  };
}

/** Undefined: it is ±infinity, or no duration. */
export function parseDuration(text: string): Interval | undefined {
  const parts = durationParts(text);
  return parts && { months: parts.years * 12 + parts.months, days: parts.days, us: parts.us };
}
