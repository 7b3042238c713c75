// Functions of dates and timestamps. The field that is wanted is a constant, known when the filter is compiled. Pure.
// https://www.postgresql.org/docs/current/functions-datetime.html
import { extractFromDate, extractFromTimestamp, FOREVER, NEVER, truncateTimestamp } from '../values/dates.ts';
import { extractFromTime } from '../values/times.ts';
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
