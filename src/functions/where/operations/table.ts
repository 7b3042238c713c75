// All operators and functions that a filter may use: the one table, from which the documentation's list is made too.
import type { Candidate } from '../catalog/candidates.ts';
import { elementOf, isEnum, type SqlType } from '../catalog/types.ts';
import type { EnumPlaces } from '../values/enums.ts';
import type { Value } from '../values/value.ts';
import { arithmetic } from './arithmetic.ts';
import { castOf } from './casts.ts';
import { arrayOperation, comparisons, enumComparison, isComparison } from './comparisons.ts';
import { dates } from './dates.ts';
import { documents } from './documents.ts';
import { intervals } from './intervals.ts';
import { operation, type Operation, type Operations } from './operation.ts';
import { patterns } from './patterns.ts';
import { texts } from './texts.ts';

const OPERATIONS: Operations = {
  ...comparisons,
  ...arithmetic,
  ...texts,
  ...patterns,
  ...documents,
  ...dates,
  ...intervals,
};

/** By enum type; undefined: not known. */
export type PlacesOf = (type: SqlType) => EnumPlaces | undefined;

/** `args`: the actual types. Undefined: it is not on the list. */
export function operationOf(
  { signature }: Candidate,
  args: readonly SqlType[],
  placesOf: PlacesOf,
): Operation | undefined {
  const known = OPERATIONS[signature];
  if (known !== undefined) return known;
  const [name = '', first] = signature.split(' ');
  const [type = '', second = ''] = args;
  if (first === 'anyenum' && isEnum(type) && isComparison(name)) return enumComparison(name, placesOf(type));
  if (first === 'anyarray') {
    const element = elementOf(type);
    return element === undefined ? undefined : arrayOperation(name, element);
  }
  if (signature === '|| text anynonarray') return concatenation(undefined, castOf(second, 'text'));
  if (signature === '|| anynonarray text') return concatenation(castOf(type, 'text'), undefined);
  return undefined;
}

function concatenation(
  left: ((value: Value) => Value) | undefined,
  right: ((value: Value) => Value) | undefined,
): Operation | undefined {
  if (left === undefined && right === undefined) return undefined;
  const text = (value: Value, cast = (same: Value): Value => same): string => cast(value) as string;
  return operation((a, b) => text(a, left) + text(b, right));
}

/** As the documentation lists them. */
export const signatures = (): string[] => [
  ...Object.keys(OPERATIONS),
  ...['=', '<>', '<', '<=', '>', '>='].map((name) => `${name} anyenum anyenum`),
  ...['=', '<>', '@>', '<@', '&&'].map((name) => `${name} anyarray anyarray`),
  '|| text anynonarray',
  '|| anynonarray text',
];
