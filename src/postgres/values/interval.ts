// An interval as the three numbers that Postgres keeps of it. Its text is ISO 8601, as our sessions pin IntervalStyle.
// https://www.postgresql.org/docs/current/datatype-datetime.html#DATATYPE-INTERVAL-OUTPUT
import { writeJsonString } from '../../core/json.ts';
import type { ValueRenderer } from '../../core/render.ts';

/** Date and time parts, each with a sign of its own: `P1Y2M-3DT-4H-5M-6.789S`. */
const DURATION =
  /^P(?=[-\dT])(?:(-?\d+)Y)?(?:(-?\d+)M)?(?:(-?\d+)D)?(?:T(?=[-\d])(?:(-?\d+)H)?(?:(-?\d+)M)?(?:(-?)(\d+)(?:\.(\d{1,6}))?S)?)?$/;

const MICROSECONDS = 1_000_000n;

/** `P1Y2M3DT4H5M6.5S` → `{"months":14,"days":3,"microseconds":14706500000}`. ±infinity, and what is no duration, stay text. */
export const writeIntervalAsObject: ValueRenderer = (bytes, start, length, writer) => {
  const match = DURATION.exec(bytes.toString('latin1', start, start + length));
  if (match === null) return writeJsonString(bytes, start, length, writer);
  const [, years = '0', months = '0', days = '0', hours = '0', minutes = '0', sign, seconds = '0', fraction] =
    match;
  const unsigned = BigInt(seconds) * MICROSECONDS + BigInt((fraction ?? '').padEnd(6, '0'));
  // As exact digits: the longest intervals have more than a double.
  const microseconds =
    (BigInt(hours) * 60n + BigInt(minutes)) * 60n * MICROSECONDS + (sign === '-' ? -unsigned : unsigned);
  writer.latin1(
    `{"months":${Number(years) * 12 + Number(months)},"days":${Number(days)},"microseconds":${microseconds}}`,
  );
};
