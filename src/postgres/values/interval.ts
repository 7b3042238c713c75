// An interval as the three numbers that Postgres keeps of it.
import { parseDuration } from '../../core/interval.ts';
import { writeJsonString } from '../../core/json.ts';
import type { ValueRenderer } from '../../core/render.ts';

/** `P1Y2M3DT4H5M6.5S` → `{"months":14,"days":3,"microseconds":14706500000}`. ±infinity, and what is no duration, stay text. */
export const writeIntervalAsObject: ValueRenderer = (bytes, start, length, writer) => {
  const interval = parseDuration(bytes.toString('latin1', start, start + length));
  if (interval === undefined) return writeJsonString(bytes, start, length, writer);
  const { months, days, us } = interval;
  writer.latin1(`{"months":${months},"days":${days},"microseconds":${us}}`);
};
