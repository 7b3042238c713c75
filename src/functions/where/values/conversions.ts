// Values from the text that Postgres writes, and back: by type, as the server's own input and output functions do it. Pure.
import type { Interval } from '../../../core/interval.ts';
import { elementOf, isEnum, type SqlType } from '../catalog/types.ts';
import { formatArray, parseArray } from './arrays.ts';
import { formatBytes, parseBytes } from './bytes.ts';
import { formatDate, formatTimestamp, parseDate, parseTimestamp } from './dates.ts';
import { malformedText, outOfRange } from './failure.ts';
import { formatFloat4, formatFloat8, parseFloat4, parseFloat8 } from './floats.ts';
import { formatInterval, parseInterval } from './intervals.ts';
import { formatJsonb, parseJsonb, type Jsonb } from './jsonb.ts';
import { formatNumeric, parseNumeric, trimSpace, type Numeric } from './numeric.ts';
import { formatTime, parseTime } from './times.ts';
import type { SqlArray, Value } from './value.ts';

const INTEGER = /^[+-]?\d+$/;

function parseInteger(text: string, min: bigint, max: bigint): bigint {
  const trimmed = trimSpace(text);
  if (!INTEGER.test(trimmed)) throw malformedText();
  const value = BigInt(trimmed.startsWith('+') ? trimmed.slice(1) : trimmed);
  if (value < min || value > max) throw outOfRange();
  return value;
}

export const INTEGER_RANGES = {
  int2: { min: -32_768, max: 32_767 },
  int4: { min: -2_147_483_648, max: 2_147_483_647 },
} as const;
export const MIN_INT8 = -9_223_372_036_854_775_808n;
export const MAX_INT8 = 9_223_372_036_854_775_807n;

const smallInteger = (type: 'int2' | 'int4') => {
  const { min, max } = INTEGER_RANGES[type];
  return (text: string): number => Number(parseInteger(text, BigInt(min), BigInt(max)));
};

const TRUE_TEXTS = ['true', 'yes'];
const FALSE_TEXTS = ['false', 'no'];

/** Any beginning of a word that is not the beginning of another one. */
function parseBoolean(text: string): boolean {
  const word = trimSpace(text).toLowerCase();
  if (word === '1' || word === 'on') return true;
  if (word === '0' || word === 'of' || word === 'off') return false;
  if (word !== '' && TRUE_TEXTS.some((known) => known.startsWith(word))) return true;
  if (word !== '' && FALSE_TEXTS.some((known) => known.startsWith(word))) return false;
  throw malformedText();
}

const UUID = /^(?:[0-9a-f]{4}-?){7}[0-9a-f]{4}$/i;

function parseUuid(text: string): string {
  const inner = text.startsWith('{') && text.endsWith('}') ? text.slice(1, -1) : text;
  if (!UUID.test(inner)) throw malformedText();
  const digits = inner.replaceAll('-', '').toLowerCase();
  return digits.replace(/^(.{8})(.{4})(.{4})(.{4})/, '$1-$2-$3-$4-');
}

const orMalformed = <T>(value: T | undefined): T => {
  if (value === undefined) throw malformedText();
  return value;
};

type Conversion = { readonly parse: (text: string) => Value; readonly format: (value: Value) => string };

const plain = (value: Value): string => value as string;

const CONVERSIONS: Readonly<Record<string, Conversion>> = {
  bool: { parse: parseBoolean, format: (value) => (value === true ? 't' : 'f') },
  int2: { parse: smallInteger('int2'), format: String },
  int4: { parse: smallInteger('int4'), format: String },
  int8: { parse: (text) => parseInteger(text, MIN_INT8, MAX_INT8), format: String },
  numeric: { parse: parseNumeric, format: (value) => formatNumeric(value as Numeric) },
  float4: { parse: parseFloat4, format: (value) => formatFloat4(value as number) },
  float8: { parse: parseFloat8, format: (value) => formatFloat8(value as number) },
  text: { parse: (text) => text, format: plain },
  varchar: { parse: (text) => text, format: plain },
  bpchar: { parse: (text) => text, format: plain },
  uuid: { parse: parseUuid, format: plain },
  json: { parse: (text) => text, format: plain },
  jsonb: { parse: (text) => orMalformed(parseJsonb(text)), format: (value) => formatJsonb(value as Jsonb) },
  bytea: { parse: parseBytes, format: (value) => formatBytes(value as string) },
  date: { parse: (text) => orMalformed(parseDate(text)), format: (value) => formatDate(value as number) },
  time: { parse: (text) => orMalformed(parseTime(text)), format: (value) => formatTime(value as number) },
  interval: { parse: parseInterval, format: (value) => formatInterval(value as Interval) },
  timestamp: {
    parse: (text) => orMalformed(parseTimestamp(text, 'without')),
    format: (value) => formatTimestamp(value as bigint, ''),
  },
  timestamptz: {
    parse: (text) => orMalformed(parseTimestamp(text, 'with')),
    format: (value) => formatTimestamp(value as bigint, '+00'),
  },
};

const ENUM: Conversion = { parse: (text) => text, format: plain };

/** Undefined: a filter does not know this type. */
export function conversionOf(type: SqlType): Conversion | undefined {
  if (isEnum(type)) return ENUM;
  if (Object.hasOwn(CONVERSIONS, type)) return CONVERSIONS[type];
  const element = elementOf(type);
  const inner = element === undefined ? undefined : conversionOf(element);
  if (inner === undefined || elementOf(element!) !== undefined) return undefined;
  return {
    parse: (text) => parseArray(text, inner.parse),
    format: (value) => formatArray(value as SqlArray, inner.format),
  };
}

/** Types of a column that a filter may use, arrays of them beside. */
export const SCALAR_TYPES: readonly SqlType[] = Object.keys(CONVERSIONS);
