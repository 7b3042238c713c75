// An interval as the three numbers that Postgres keeps of it, from its ISO 8601 text, as our sessions pin IntervalStyle. Pure.
// https://www.postgresql.org/docs/current/datatype-datetime.html#DATATYPE-INTERVAL-OUTPUT

/** A month is not a number of days, nor a day one of hours. `us`: as exact digits, the longest intervals have more than a double. */
export type Interval = { readonly months: number; readonly days: number; readonly us: bigint };

/** Date and time parts, each with a sign of its own: `P1Y2M-3DT-4H-5M-6.789S`. */
const DURATION =
  /^P(?=[-\dT])(?:(-?\d+)Y)?(?:(-?\d+)M)?(?:(-?\d+)D)?(?:T(?=[-\d])(?:(-?\d+)H)?(?:(-?\d+)M)?(?:(-?)(\d+)(?:\.(\d{1,6}))?S)?)?$/;

const SECOND_US = 1_000_000n;

/** Undefined: it is ±infinity, or no duration. */
export function parseDuration(text: string): Interval | undefined {
  const match = DURATION.exec(text);
  if (match === null) return undefined;
  const [, years = '0', months = '0', days = '0', hours = '0', minutes = '0', sign, seconds = '0', fraction] =
    match;
  const unsigned = BigInt(seconds) * SECOND_US + BigInt((fraction ?? '').padEnd(6, '0'));
  return {
    months: Number(years) * 12 + Number(months),
    days: Number(days),
    us: (BigInt(hours) * 60n + BigInt(minutes)) * 60n * SECOND_US + (sign === '-' ? -unsigned : unsigned),
  };
}
