// Functions of dates and timestamps. The field that is wanted is a constant, known when the filter is compiled. Pure.
// https://www.postgresql.org/docs/current/functions-datetime.html
import {
  extractFromDate,
  extractFromTimestamp,
  FOREVER,
  isDateField,
  isTimestampField,
  isTruncation,
  NEVER,
  truncateTimestamp,
} from '../values/dates.ts';
import { extractFromTime, isTimeField } from '../values/times.ts';
import { operation, type Operations } from './operation.ts';

const isFinite = (us: bigint): boolean => us !== FOREVER && us !== NEVER;

export const dates: Operations = {
  'extract text date': operation((field: string, days: number) => extractFromDate(field.toLowerCase(), days)),
  'extract text timestamp': operation((field: string, us: bigint) =>
    extractFromTimestamp(field.toLowerCase(), us),
  ),
  'extract text time': operation((field: string, us: number) => extractFromTime(field.toLowerCase(), us)),
  'date_trunc text timestamp': operation((unit: string, us: bigint) =>
    truncateTimestamp(unit.toLowerCase(), us),
  ),
  'date_trunc text timestamptz text': operation((unit: string, us: bigint) =>
    truncateTimestamp(unit.toLowerCase(), us),
  ),
  'timezone text timestamptz': operation((_zone: string, us: bigint) => us),
  'timezone text timestamp': operation((_zone: string, us: bigint) => us),
  'isfinite date': operation((days: number) => Number.isFinite(days)),
  'isfinite timestamp': operation(isFinite),
  'isfinite timestamptz': operation(isFinite),
};

const isUtc = (text: string): boolean => /^(?:utc|etc\/utc)$/i.test(text);

/**
 * Arguments that must be constants of a few: by signature, at which place, and which. What a zone other than UTC means depends on the
 * server's own table of zones.
 */
export const CONSTANT_ARGUMENTS: Readonly<
  Record<
    string,
    readonly { readonly index: number; readonly what: string; readonly isKnown: (text: string) => boolean }[]
  >
> = {
  'extract text date': [
    { index: 0, what: 'a field of a date', isKnown: (text) => isDateField(text.toLowerCase()) },
  ],
  'extract text time': [
    { index: 0, what: 'a field of a time', isKnown: (text) => isTimeField(text.toLowerCase()) },
  ],
  'extract text timestamp': [
    { index: 0, what: 'a field of a timestamp', isKnown: (text) => isTimestampField(text.toLowerCase()) },
  ],
  'date_trunc text timestamp': [
    { index: 0, what: 'a unit', isKnown: (text) => isTruncation(text.toLowerCase()) },
  ],
  'date_trunc text timestamptz text': [
    { index: 0, what: 'a unit', isKnown: (text) => isTruncation(text.toLowerCase()) },
    { index: 2, what: "the zone 'UTC'", isKnown: isUtc },
  ],
  'timezone text timestamptz': [{ index: 0, what: "the zone 'UTC'", isKnown: isUtc }],
  'timezone text timestamp': [{ index: 0, what: "the zone 'UTC'", isKnown: isUtc }],
};
