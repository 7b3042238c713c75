// time: microseconds since midnight, to and from ISO text, and its fields. Pure.
// https://www.postgresql.org/docs/current/datatype-datetime.html
import { EvaluationError } from './failure.ts';
import { numericOf, type Numeric } from './numeric.ts';

const SECOND_US = 1_000_000;
const MINUTE_US = 60 * SECOND_US;
const HOUR_US = 60 * MINUTE_US;
/** 24:00:00 is a time of its own, behind all others. */
export const MAX_TIME_US = 24 * HOUR_US;

const TIME = /^(\d\d):(\d\d)(?::(\d\d)(?:\.(\d{1,6}))?)?$/;

/** Undefined: it is written in another way, or is none. Throws EvaluationError where it is out of range. */
export function parseTime(text: string): number | undefined {
  const [, hour, minute, second = '0', fraction = ''] = TIME.exec(text) ?? [];
  if (hour === undefined) return undefined;
  const us =
    Number(hour) * HOUR_US +
    Number(minute) * MINUTE_US +
    Number(second) * SECOND_US +
    Number(fraction.padEnd(6, '0'));
  if (Number(minute) > 59 || Number(second) > 59 || us > MAX_TIME_US) throw new EvaluationError('22008');
  return us;
}

export function formatTime(us: number): string {
  const parts = [us / HOUR_US, (us / MINUTE_US) % 60, (us / SECOND_US) % 60];
  const clock = parts.map((part) => String(Math.floor(part)).padStart(2, '0')).join(':');
  const fraction = String(us % SECOND_US)
    .padStart(6, '0')
    .replace(/0+$/, '');
  return fraction === '' ? clock : `${clock}.${fraction}`;
}

const FIELDS: Readonly<Record<string, (us: bigint) => Numeric>> = {
  hour: (us) => numericOf(us / BigInt(HOUR_US)),
  minute: (us) => numericOf((us / BigInt(MINUTE_US)) % 60n),
  second: (us) => numericOf(us % BigInt(MINUTE_US), 6),
  milliseconds: (us) => numericOf(us % BigInt(MINUTE_US), 3),
  microseconds: (us) => numericOf(us % BigInt(MINUTE_US)),
  epoch: (us) => numericOf(us, 6),
};

/** Fields that `extract` takes of a time. */
export const isTimeField = (field: string): boolean => Object.hasOwn(FIELDS, field);

export const extractFromTime = (field: string, us: number): Numeric => FIELDS[field]!(BigInt(us));
