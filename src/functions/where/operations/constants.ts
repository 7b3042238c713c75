// Arguments that must be constants, and which: a field, a unit, a zone, an interval that no zone decides. Pure.
import type { Interval } from '../../../core/interval.ts';
import { isDateField, isTimestampField, isTruncation } from '../values/dates.ts';
import { isIntervalField, isIntervalTruncation } from '../values/intervals.ts';
import { isTimeField } from '../values/times.ts';
import type { Value } from '../values/value.ts';

export type ConstantArgument = {
  readonly index: number;
  /** What must stand there. */
  readonly wanted: string;
  readonly isKnown: (value: Value) => boolean;
};

const word = (index: number, what: string, isKnown: (text: string) => boolean): ConstantArgument => ({
  index,
  wanted: `${what} that a filter knows must stand here, as a constant`,
  isKnown: (value) => isKnown((value as string).toLowerCase()),
});

/** What a zone other than UTC means depends on the server's own table of zones. */
const zone = (index: number): ConstantArgument =>
  word(index, "the zone 'UTC'", (text) => text === 'utc' || text === 'etc/utc');

/** A day of a timestamptz is not always one of 24 hours. */
const hours = (index: number): ConstantArgument => ({
  index,
  wanted:
    "an interval of hours, minutes and seconds only must stand beside a timestamptz, as a constant: what is a day or a month depends on the session's time zone; say which one, AT TIME ZONE 'UTC'",
  isKnown: (value) => (value as Interval).months === 0 && (value as Interval).days === 0,
});

/** By signature. */
export const CONSTANT_ARGUMENTS: Readonly<Record<string, readonly ConstantArgument[]>> = {
  'extract text date': [word(0, 'a field of a date', isDateField)],
  'extract text time': [word(0, 'a field of a time', isTimeField)],
  'extract text timestamp': [word(0, 'a field of a timestamp', isTimestampField)],
  'extract text interval': [word(0, 'a field of an interval', isIntervalField)],
  'date_trunc text timestamp': [word(0, 'a unit', isTruncation)],
  'date_trunc text timestamptz text': [word(0, 'a unit', isTruncation), zone(2)],
  'date_trunc text interval': [word(0, 'a unit', isIntervalTruncation)],
  'timezone text timestamptz': [zone(0)],
  'timezone text timestamp': [zone(0)],
  '+ timestamptz interval': [hours(1)],
  '+ interval timestamptz': [hours(0)],
  '- timestamptz interval': [hours(1)],
};
