// An interval as the three numbers that Postgres keeps of it. Its text is ISO 8601, as our sessions pin IntervalStyle.
// https://www.postgresql.org/docs/current/datatype-datetime.html#DATATYPE-INTERVAL-OUTPUT
import { writeJsonString } from '../../core/json.ts';
import type { ValueRenderer } from '../../core/render.ts';

/** Date and time parts, each with a sign of its own: `P1Y2M-3DT-4H-5M-6.789S`. */
const DURATION =
  /^P(?=[-\dT])(?:(-?\d+)Y)?(?:(-?\d+)M)?(?:(-?\d+)D)?(?:T(?=[-\d])(?:(-?\d+)H)?(?:(-?\d+)M)?(?:(-?)(\d+)(?:\.(\d{1,6}))?S)?)?$/;

const MICROSECONDS = 1_000_000n;

/** A duration part by part, as Postgres prints it: nothing is carried from one to the next. */
export type Interval = {
  readonly years: number;
  readonly months: number;
  readonly days: number;
  readonly hours: bigint;
  readonly minutes: bigint;
  /** As text, without zeros at the end: `-6.5`. */
  readonly seconds: string;
  /** Hours, minutes and seconds together. As exact digits: the longest intervals have more than a double. */
  readonly microseconds: bigint;
};

/** Undefined: ±infinity, or no duration. */
export function readInterval(bytes: Buffer, start: number, length: number): Interval | undefined {
  const match = DURATION.exec(bytes.toString('latin1', start, start + length));
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
    fraction,
  ] = match;
  const unsigned = BigInt(whole) * MICROSECONDS + BigInt((fraction ?? '').padEnd(6, '0'));
  const decimals = (fraction ?? '').replace(/0+$/, '');
  return {
    years: Number(years),
    months: Number(months),
    days: Number(days),
    hours: BigInt(hours),
    minutes: BigInt(minutes),
    seconds: `${sign}${whole}${decimals === '' ? '' : `.${decimals}`}`,
    microseconds:
      (BigInt(hours) * 60n + BigInt(minutes)) * 60n * MICROSECONDS + (sign === '-' ? -unsigned : unsigned),
  };
}

/** `P1Y2M3DT4H5M6.5S` → `{"months":14,"days":3,"microseconds":14706500000}`. ±infinity, and what is no duration, stay text. */
export const writeIntervalAsObject: ValueRenderer = (bytes, start, length, writer) => {
  const interval = readInterval(bytes, start, length);
  if (interval === undefined) return writeJsonString(bytes, start, length, writer);
  const { years, months, days, microseconds } = interval;
  writer.latin1(`{"months":${years * 12 + months},"days":${days},"microseconds":${microseconds}}`);
};
