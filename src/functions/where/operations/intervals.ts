// Arithmetic of intervals, and with them of dates and times, as far as no zone decides it. Pure.
// https://www.postgresql.org/docs/current/functions-datetime.html#OPERATORS-DATETIME-TABLE
import type { Interval } from '../../../core/interval.ts';
import { addToTime, addToTimestamp, betweenTimes, betweenTimestamps, subtractFromTimestamp, takeFromTime } from '../values/calendar.ts'; // prettier-ignore
import { dateToTimestamp } from '../values/dates.ts';
import {
  addIntervals,
  divideInterval,
  extractFromInterval,
  isFiniteInterval,
  multiplyInterval,
  negateInterval,
  subtractIntervals,
  truncateInterval,
} from '../values/intervals.ts';
import { operation, type Operations } from './operation.ts';

const plus = operation(addToTimestamp);
const plusReversed = operation((interval: Interval, us: bigint) => addToTimestamp(us, interval));
const minus = operation(subtractFromTimestamp);
const difference = operation(betweenTimestamps);

export const intervals: Operations = {
  '+ interval interval': operation(addIntervals),
  '- interval interval': operation(subtractIntervals),
  '- interval': operation(negateInterval),
  '* interval float8': operation(multiplyInterval),
  '* float8 interval': operation((factor: number, value: Interval) => multiplyInterval(value, factor)),
  '/ interval float8': operation(divideInterval),
  '+ timestamp interval': plus,
  '+ interval timestamp': plusReversed,
  '- timestamp interval': minus,
  '- timestamp timestamp': difference,
  // Of hours and smaller parts only (constants.ts): no zone decides those.
  '+ timestamptz interval': plus,
  '+ interval timestamptz': plusReversed,
  '- timestamptz interval': minus,
  '- timestamptz timestamptz': difference,
  '+ date interval': operation((days: number, interval: Interval) =>
    addToTimestamp(dateToTimestamp(days), interval),
  ),
  '+ interval date': operation((interval: Interval, days: number) =>
    addToTimestamp(dateToTimestamp(days), interval),
  ),
  '- date interval': operation((days: number, interval: Interval) =>
    subtractFromTimestamp(dateToTimestamp(days), interval),
  ),
  '+ time interval': operation(addToTime),
  '+ interval time': operation((interval: Interval, us: number) => addToTime(us, interval)),
  '- time interval': operation(takeFromTime),
  '- time time': operation(betweenTimes),
  'extract text interval': operation((field: string, value: Interval) =>
    extractFromInterval(field.toLowerCase(), value),
  ),
  'date_trunc text interval': operation((unit: string, value: Interval) =>
    truncateInterval(unit.toLowerCase(), value),
  ),
  'isfinite interval': operation(isFiniteInterval),
};
