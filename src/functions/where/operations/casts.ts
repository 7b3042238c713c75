// Casts among the types of a filter, and what a type's modifier (`numeric(10,2)`, `char(3)`) does to a value. Pure.
import type { Interval } from '../../../core/interval.ts';
import { castContext, categoryOf, elementOf, isEnum, type SqlType } from '../catalog/types.ts';
import { timeOf } from '../values/calendar.ts';
import { conversionOf, INTEGER_RANGES, MAX_INT8, MIN_INT8 } from '../values/conversions.ts';
import { dateToTimestamp, isForever, checkedTimestamp, timestampToDate } from '../values/dates.ts';
import { EvaluationError, malformedText, outOfRange } from '../values/failure.ts';
import {
  float4ToNumeric,
  float8ToNumeric,
  parseFloat8,
  roundedToFloat4,
  roundHalfEven,
} from '../values/floats.ts';
import { parseJsonb, type Jsonb } from '../values/jsonb.ts';
import { formatJsonb } from '../values/jsonb.ts';
import { formatNumeric, numericOf, wholeOf, withPrecision, type Numeric } from '../values/numeric.ts';
import { characterCount, slice, withoutBlanks } from '../values/texts.ts';
import type { SqlArray, Value } from '../values/value.ts';

export type Cast = (value: Value) => Value;

const same: Cast = (value) => value;

function toSmallInteger(type: 'int2' | 'int4', value: number | bigint): number {
  const { min, max } = INTEGER_RANGES[type];
  if (Number.isNaN(value) || value < min || value > max) throw outOfRange();
  return Number(value) + 0;
}

function toInt8(value: bigint): bigint {
  if (value < MIN_INT8 || value > MAX_INT8) throw outOfRange();
  return value;
}

/** A double that is whole, or not finite. */
function floatToInt8(value: number): bigint {
  if (!Number.isFinite(value)) throw outOfRange();
  return toInt8(BigInt(value));
}

function numericToWhole(value: Numeric): bigint {
  const whole = wholeOf(value);
  // Infinity is said to be unsupported, which is another error of the same kind.
  if (whole === undefined) throw new EvaluationError('0A000');
  return whole;
}

function finiteFloat4(value: number, source: number): number {
  if (!Number.isFinite(value) && Number.isFinite(source)) throw outOfRange();
  if (value === 0 && source !== 0) throw outOfRange();
  return value;
}

const INTEGERS = ['int2', 'int4', 'int8'] as const;

function integerCasts(): [string, Cast][] {
  return INTEGERS.flatMap((source): [string, Cast][] => [
    [`${source}::int2`, (value) => toSmallInteger('int2', value as number | bigint)],
    [`${source}::int4`, (value) => toSmallInteger('int4', value as number | bigint)],
    [`${source}::int8`, (value) => BigInt(value as number | bigint)],
    [`${source}::numeric`, (value) => numericOf(BigInt(value as number | bigint))],
    [`${source}::float4`, (value) => roundedToFloat4((value as number | bigint).toString())],
    [`${source}::float8`, Number],
    [`numeric::${source}`, (value) => narrowed(source, numericToWhole(value as Numeric))],
    [`float4::${source}`, (value) => narrowed(source, floatToInt8(roundHalfEven(value as number)))],
    [`float8::${source}`, (value) => narrowed(source, floatToInt8(roundHalfEven(value as number)))],
  ]);
}

const narrowed = (type: (typeof INTEGERS)[number], value: bigint): Value =>
  type === 'int8' ? toInt8(value) : toSmallInteger(type, value);

/** A number too small for a float is zero there, and one too large is an error. */
function numericToFloat4(value: Numeric): number {
  const text = formatNumeric(value);
  if (value.special !== 'none') return parseFloat8(text);
  const float = roundedToFloat4(text);
  if (!Number.isFinite(float)) throw outOfRange();
  if (float === 0 && value.digits !== 0n) throw outOfRange();
  return float;
}

/** Casts that pg_cast has, or that are of the same bytes. */
const OWN_CASTS: Readonly<Record<string, Cast>> = {
  ...Object.fromEntries(integerCasts()),
  'numeric::float8': (value) => parseFloat8(formatNumeric(value as Numeric)),
  'numeric::float4': (value) => numericToFloat4(value as Numeric),
  'float4::numeric': (value) => float4ToNumeric(value as number),
  'float8::numeric': (value) => float8ToNumeric(value as number),
  'float4::float8': same,
  'float8::float4': (value) => finiteFloat4(Math.fround(value as number), value as number),
  'bool::int4': Number,
  'int4::bool': (value) => value !== 0,
  'bool::text': String,
  'bool::varchar': String,
  'bool::bpchar': String,
  'text::varchar': same,
  'varchar::text': same,
  'text::bpchar': same,
  'varchar::bpchar': same,
  'bpchar::text': (value) => withoutBlanks(value as string),
  'bpchar::varchar': (value) => withoutBlanks(value as string),
  'date::timestamp': (value) => dateToTimestamp(value as number),
  'time::interval': (value) => ({ months: 0, days: 0, us: BigInt(value as number) }),
  'interval::time': (value) => timeOf(value as Interval),
  'timestamp::date': (value) => timestampToDate(value as bigint),
  'json::jsonb': (value) => documentOf(value as string),
  'jsonb::json': (value) => formatJsonb(value as Jsonb),
};

function documentOf(text: string): Jsonb {
  const document = parseJsonb(text);
  if (document === undefined) throw malformedText();
  return document;
}

/** What a text means as a date depends on the session that reads it: only constants are read, once. */
const SESSION_TYPES: ReadonlySet<SqlType> = new Set([
  'date',
  'time',
  'interval',
  'timestamp',
  'timestamptz',
  'json',
]);

/** Undefined: there is no such cast in a filter. `context`: written out, or made by Postgres. */
export function castOf(source: SqlType, target: SqlType): Cast | undefined {
  if (source === target) return same;
  const own = OWN_CASTS[`${source}::${target}`];
  if (own !== undefined) return own;
  if (castContext(source, target) !== undefined) return undefined;
  const [from, to] = [elementOf(source), elementOf(target)];
  if (from !== undefined && to !== undefined) return arrayCast(castOf(from, to));
  if (categoryOf(target) === 'S') return toText(source, target);
  if (categoryOf(source) === 'S') return fromText(target);
  return undefined;
}

function arrayCast(cast: Cast | undefined): Cast | undefined {
  if (cast === undefined) return undefined;
  return (value) => {
    const array = value as SqlArray;
    return { ...array, elements: array.elements.map((element) => (element === null ? null : cast(element))) };
  };
}

function toText(source: SqlType, target: SqlType): Cast | undefined {
  const conversion = conversionOf(source);
  return target === 'text' || target === 'varchar' || target === 'bpchar' ? conversion?.format : undefined;
}

function fromText(target: SqlType): Cast | undefined {
  if (isEnum(target)) return undefined;
  const scalar = elementOf(target) ?? target;
  if (SESSION_TYPES.has(scalar) || isEnum(scalar)) return undefined;
  const conversion = conversionOf(target);
  return conversion && ((value) => conversion.parse(value as string));
}

/** https://www.postgresql.org/docs/current/datatype-datetime.html */
const MAX_TIME_DIGITS = 6;

/** What the modifiers of a type do; undefined: it takes no such ones. */
export function modifierOf(type: SqlType, modifiers: readonly number[]): Cast | undefined {
  const [first, second = 0, ...others] = modifiers;
  if (first === undefined) return same;
  if (others.length > 0 || (second !== 0 && type !== 'numeric')) return undefined;
  switch (type) {
    case 'numeric':
      if (first < 1 || first > 1000 || second < -1000 || second > 1000) return undefined;
      return (value) => withPrecision(value as Numeric, first, second);
    case 'varchar':
      return first < 1 ? undefined : (value) => slice(value as string, 0, first);
    case 'bpchar':
      return first < 1 ? undefined : (value) => padded(value as string, first);
    case 'timestamp':
    case 'timestamptz':
      return first < 0 || first > MAX_TIME_DIGITS
        ? undefined
        : (value) => roundedTime(value as bigint, first);
    default:
      return undefined;
  }
}

/** With a cast that is written out, what is too long is cut. */
function padded(text: string, length: number): string {
  const missing = length - characterCount(text);
  return missing >= 0 ? text + ' '.repeat(missing) : slice(text, 0, length);
}

function roundedTime(us: bigint, digits: number): bigint {
  if (isForever(us)) return us;
  const unit = 10n ** BigInt(MAX_TIME_DIGITS - digits);
  const half = unit / 2n;
  const rounded = us >= 0n ? ((us + half) / unit) * unit : -(((-us + half) / unit) * unit);
  return checkedTimestamp(rounded);
}
