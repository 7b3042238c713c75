// A point in time and an interval: later, earlier, and what lies between two. Pure; no zone but UTC.
// https://github.com/postgres/postgres/blob/master/src/backend/utils/adt/timestamp.c
import type { Interval } from '../../../core/interval.ts';
import { checkedTimestamp, civilFromDays, daysFromCivil, DAY_US, FOREVER, isForever, NEVER, timestampToDate } from './dates.ts'; // prettier-ignore
import { EvaluationError, ofNewerServer } from './failure.ts';
import { endlessness, hasNegative, isFiniteInterval, negateInterval } from './intervals.ts';

const outOfRange = (): EvaluationError => new EvaluationError('22008');

/** Months first, of which a shorter one ends earlier; then days; then the time. Throws EvaluationError. */
export function addToTimestamp(us: bigint, interval: Interval): bigint {
  const endless = endlessness(interval);
  if (endless !== 0) {
    if (us === (endless === 1 ? NEVER : FOREVER)) throw outOfRange();
    return endless === 1 ? FOREVER : NEVER;
  }
  if (isForever(us)) return us;
  const moved = interval.months === 0 ? us : monthsLater(us, interval.months);
  const days = interval.days === 0 ? moved : checkedTimestamp(moved + BigInt(interval.days) * DAY_US);
  return checkedTimestamp(days + interval.us);
}

function monthsLater(us: bigint, months: number): bigint {
  const days = timestampToDate(us);
  const { year, month, day } = civilFromDays(days);
  const count = year * 12 + month - 1 + months;
  const [newYear, newMonth] = [Math.floor(count / 12), count - Math.floor(count / 12) * 12 + 1];
  const next = newMonth === 12 ? daysFromCivil(newYear + 1, 1, 1) : daysFromCivil(newYear, newMonth + 1, 1);
  const lastDay = next - daysFromCivil(newYear, newMonth, 1);
  const newDays = daysFromCivil(newYear, newMonth, Math.min(day, lastDay));
  return checkedTimestamp(BigInt(newDays) * DAY_US + us - BigInt(days) * DAY_US);
}

export function subtractFromTimestamp(us: bigint, interval: Interval): bigint {
  // Before Postgres 17 nobody looks at it.
  if (isForever(us) && !hasNegative(interval)) throw ofNewerServer();
  return addToTimestamp(us, negateInterval(interval));
}

/** In days of 24 hours. Before Postgres 17 an infinite one has no distance, and before 16 a distance that is too long is a wrong one. */
export function betweenTimestamps(a: bigint, b: bigint): Interval {
  if (isForever(a) && a === b) throw outOfRange();
  const us = a - b;
  if (isForever(a) || isForever(b) || BigInt.asIntN(64, us) !== us) throw ofNewerServer();
  return { months: 0, days: Number(us / DAY_US), us: us % DAY_US };
}

/** What goes over midnight begins again. */
function clockTime(us: bigint): number {
  const rest = BigInt.asIntN(64, us) % DAY_US;
  return Number(rest < 0n ? rest + DAY_US : rest);
}

function finite(interval: Interval): Interval {
  if (!isFiniteInterval(interval)) throw outOfRange();
  return interval;
}

export const addToTime = (us: number, interval: Interval): number =>
  clockTime(BigInt(us) + finite(interval).us);
export const takeFromTime = (us: number, interval: Interval): number =>
  clockTime(BigInt(us) - finite(interval).us);
export const timeOf = (interval: Interval): number => clockTime(finite(interval).us);

export const betweenTimes = (a: number, b: number): Interval => ({ months: 0, days: 0, us: BigInt(a - b) });
