// `=`, `<>`, `<`, `<=`, `>`, `>=` of each pair of types, and the equality of elements. Pure.
import type { Interval } from '../../../core/interval.ts';
import { elementOf, isEnum, type SqlType } from '../catalog/types.ts';
import { containsArray, equalArrays, overlapArrays } from '../values/arrays.ts';
import { compareDateWithTimestamp } from '../values/dates.ts';
import type { EnumPlaces } from '../values/enums.ts';
import { compareFloats } from '../values/floats.ts';
import { compareIntervals } from '../values/intervals.ts';
import { compareJsonb, type Jsonb } from '../values/jsonb.ts';
import { compareNumerics, type Numeric } from '../values/numeric.ts';
import { compareUtf8, withoutBlanks } from '../values/texts.ts';
import { ABSENT, type SqlArray, type Value } from '../values/value.ts';
import { operation, type Operation, type Operations } from './operation.ts';

type Compare = (a: Value, b: Value) => number;

const natural: Compare = (a, b) => (a < b ? -1 : a > b ? 1 : 0);
const texts: Compare = (a, b) => compareUtf8(a as string, b as string);
const blankPadded: Compare = (a, b) => compareUtf8(withoutBlanks(a as string), withoutBlanks(b as string));

/** Of values of one type, for their equality. */
export const COMPARISONS: Readonly<Record<string, Compare>> = {
  bool: (a, b) => Number(a) - Number(b),
  int2: natural,
  int4: natural,
  int8: natural,
  numeric: (a, b) => compareNumerics(a as Numeric, b as Numeric),
  float4: (a, b) => compareFloats(a as number, b as number),
  float8: (a, b) => compareFloats(a as number, b as number),
  text: texts,
  varchar: texts,
  bpchar: blankPadded,
  uuid: natural,
  bytea: natural,
  date: natural,
  time: natural,
  interval: (a, b) => compareIntervals(a as Interval, b as Interval),
  timestamp: natural,
  timestamptz: natural,
  jsonb: (a, b) => compareJsonb(a as Jsonb, b as Jsonb),
};

/** Undefined: it is not known. Of documents it is that of the database's texts. */
export const orderOf = (type: SqlType): Compare | undefined =>
  type === 'jsonb' || !Object.hasOwn(COMPARISONS, type) ? undefined : COMPARISONS[type];

/** Are two values of a type equal? Undefined: the type has no `=`. */
export function equalityOf(type: SqlType): ((a: Value, b: Value) => boolean) | undefined {
  if (isEnum(type)) return (a, b) => a === b;
  const compare = COMPARISONS[type];
  if (compare !== undefined) return (a, b) => compare(a, b) === 0;
  const inner = elementOf(type);
  const isEqual = inner === undefined ? undefined : equalityOf(inner);
  return isEqual && ((a, b) => equalArrays(a as SqlArray, b as SqlArray, isEqual));
}

const TESTS: Readonly<Record<string, (order: number) => boolean>> = {
  '=': (order) => order === 0,
  '<>': (order) => order !== 0,
  '<': (order) => order < 0,
  '<=': (order) => order <= 0,
  '>': (order) => order > 0,
  '>=': (order) => order >= 0,
};

export const isComparison = (name: string): boolean => Object.hasOwn(TESTS, name);
const isEquality = (name: string): boolean => name === '=' || name === '<>';

function comparisonsOf(left: SqlType, right: SqlType, compare: Compare): [string, Operation][] {
  const isText = left === 'text' || left === 'bpchar';
  return Object.entries(TESTS).flatMap(([name, test]) => {
    // The order of texts in a document is that of the database's collation.
    if (left === 'jsonb' && !isEquality(name)) return [];
    const rule = !isText ? undefined : isEquality(name) ? 'equal' : 'order';
    return [[`${name} ${left} ${right}`, operation((a, b) => test(compare(a, b)), rule)]];
  });
}

const INTEGERS = ['int2', 'int4', 'int8'];
const FLOATS = ['float4', 'float8'];
const pairs = (types: readonly SqlType[]): [SqlType, SqlType][] =>
  types.flatMap((left) => types.map((right): [SqlType, SqlType] => [left, right]));

/** Of texts of two columns there is `varchar`, which Postgres compares as text. */
export const comparisons: Operations = Object.fromEntries([
  ...[
    'bool',
    'numeric',
    'text',
    'bpchar',
    'uuid',
    'bytea',
    'date',
    'time',
    'interval',
    'timestamp',
    'timestamptz',
    'jsonb',
  ].flatMap((type) => comparisonsOf(type, type, COMPARISONS[type]!)),
  ...pairs(INTEGERS).flatMap(([left, right]) => comparisonsOf(left, right, natural)),
  ...pairs(FLOATS).flatMap(([left, right]) => comparisonsOf(left, right, COMPARISONS['float8']!)),
  ...comparisonsOf('date', 'timestamp', (a, b) => compareDateWithTimestamp(a as number, b as bigint)),
  ...comparisonsOf('timestamp', 'date', (a, b) => -compareDateWithTimestamp(b as number, a as bigint)),
]);

/** Of enums, by the place of their labels; undefined: it is not known. */
export function enumComparison(name: string, places: EnumPlaces | undefined): Operation {
  if (isEquality(name)) return operation((a, b) => TESTS[name]!(a === b ? 0 : 1));
  if (places === undefined) return operation(() => ABSENT);
  return operation((a: string, b: string) => TESTS[name]!(places.placeOf(a) - places.placeOf(b)));
}

/** `=`, `<>`, `@>`, `<@` and `&&` of arrays; undefined: not of these elements, or not known. */
export function arrayOperation(name: string, element: SqlType): Operation | undefined {
  const isEqual = equalityOf(element);
  if (isEqual === undefined) return undefined;
  const rule = ['text', 'varchar', 'bpchar'].includes(element) ? 'equal' : undefined;
  switch (name) {
    case '=':
      return operation((a: SqlArray, b: SqlArray) => equalArrays(a, b, isEqual), rule);
    case '<>':
      return operation((a: SqlArray, b: SqlArray) => !equalArrays(a, b, isEqual), rule);
    case '@>':
      return operation((a: SqlArray, b: SqlArray) => containsArray(a, b, isEqual), rule);
    case '<@':
      return operation((a: SqlArray, b: SqlArray) => containsArray(b, a, isEqual), rule);
    case '&&':
      return operation((a: SqlArray, b: SqlArray) => overlapArrays(a, b, isEqual), rule);
    default:
      return undefined;
  }
}
