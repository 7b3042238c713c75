// What an expression may come to: a value, NULL, or absent, which is what Postgres did not send.
import type { Interval } from '../../../core/interval.ts';
import type { Jsonb } from './jsonb.ts';
import type { Numeric } from './numeric.ts';

/** As Postgres counts them: dimensions and lower bounds; the elements row by row. */
export type SqlArray = {
  readonly elements: readonly (Value | null)[];
  readonly dimensions: readonly number[];
  readonly lowerBounds: readonly number[];
};

/**
 * bool: boolean. int2, int4, float4, float8, date, time: number. int8, timestamp, timestamptz: bigint. numeric: Numeric. Texts, uuid, enum,
 * bytea (its digits) and json: string. jsonb: Jsonb. interval: Interval.
 */
export type Value = boolean | number | bigint | string | Numeric | Jsonb | Interval | SqlArray;

/** Neither NULL nor false: nobody knows what it is. */
export const ABSENT: unique symbol = Symbol('absent');

export type Result = Value | null | typeof ABSENT;
