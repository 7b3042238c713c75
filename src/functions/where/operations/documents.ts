// Operators and functions of json and jsonb, and of arrays whose elements do not matter. Pure.
// https://www.postgresql.org/docs/current/functions-json.html
import { arrayLength } from '../values/arrays.ts';
import { EvaluationError } from '../values/failure.ts';
import { atPath, containsJsonb, hasKey, itemOf, jsonbText, memberOf, type Jsonb } from '../values/jsonb.ts';
import {
  jsonArrayLength,
  jsonAtPath,
  jsonTextOf,
  jsonTypeOf,
  stepOf,
  type JsonStep,
} from '../values/json.ts';
import type { SqlArray } from '../values/value.ts';
import { operation, type Operations, type Outcome } from './operation.ts';

const orNull = (found: Jsonb | undefined): Outcome => found ?? null;
const textOrNull = (found: Jsonb | undefined): Outcome => (found === undefined ? null : jsonbText(found));

/** NULL where one step is NULL. A list of lists is one list of steps. */
function onPath(value: Jsonb, path: SqlArray, read: (found: Jsonb | undefined) => Outcome): Outcome {
  if (path.elements.includes(null)) return null;
  return read(atPath(value, path.elements as readonly string[]));
}

const jsonOrNull = (value: string, path: readonly JsonStep[]): Outcome => jsonAtPath(value, path) ?? null;

const onJsonPath = ({ elements }: SqlArray, read: (path: readonly JsonStep[]) => Outcome): Outcome =>
  elements.includes(null) ? null : read(elements.map((element) => stepOf(element as string)));

/** NULLs are no keys. */
const keysOf = ({ elements }: SqlArray): readonly string[] =>
  elements.filter((element) => element !== null) as readonly string[];

const TYPE_NAMES = {
  null: 'null',
  text: 'string',
  number: 'number',
  boolean: 'boolean',
  array: 'array',
  object: 'object',
} as const;

function lengthOf(value: Jsonb): number {
  if (value.kind !== 'array') throw new EvaluationError('22023');
  return value.items.length;
}

export const documents: Operations = {
  '-> jsonb text': operation((value: Jsonb, key: string) => orNull(memberOf(value, key))),
  '-> jsonb int4': operation((value: Jsonb, index: number) => orNull(itemOf(value, index))),
  '->> jsonb text': operation((value: Jsonb, key: string) => textOrNull(memberOf(value, key))),
  '->> jsonb int4': operation((value: Jsonb, index: number) => textOrNull(itemOf(value, index))),
  '#> jsonb _text': operation((value: Jsonb, path: SqlArray) => onPath(value, path, orNull)),
  '#>> jsonb _text': operation((value: Jsonb, path: SqlArray) => onPath(value, path, textOrNull)),
  '@> jsonb jsonb': operation((a: Jsonb, b: Jsonb) => containsJsonb(a, b)),
  '<@ jsonb jsonb': operation((a: Jsonb, b: Jsonb) => containsJsonb(b, a)),
  '? jsonb text': operation((value: Jsonb, key: string) => hasKey(value, key)),
  '?| jsonb _text': operation((value: Jsonb, keys: SqlArray) =>
    keysOf(keys).some((key) => hasKey(value, key)),
  ),
  '?& jsonb _text': operation((value: Jsonb, keys: SqlArray) =>
    keysOf(keys).every((key) => hasKey(value, key)),
  ),
  '-> json text': operation((value: string, key: string) => jsonOrNull(value, [{ key }])),
  '-> json int4': operation((value: string, place: number) => jsonOrNull(value, [{ place }])),
  '->> json text': operation((value: string, key: string) => jsonTextOf(jsonAtPath(value, [{ key }]))),
  '->> json int4': operation((value: string, place: number) => jsonTextOf(jsonAtPath(value, [{ place }]))),
  '#> json _text': operation((value: string, path: SqlArray) =>
    onJsonPath(path, (steps) => jsonOrNull(value, steps)),
  ),
  '#>> json _text': operation((value: string, path: SqlArray) =>
    onJsonPath(path, (steps) => jsonTextOf(jsonAtPath(value, steps))),
  ),
  'json_typeof json': operation(jsonTypeOf),
  'json_array_length json': operation(jsonArrayLength),
  'jsonb_typeof jsonb': operation((value: Jsonb) => TYPE_NAMES[value.kind]),
  'jsonb_array_length jsonb': operation(lengthOf),
  'cardinality anyarray': operation((array: SqlArray) => array.elements.length),
  'array_length anyarray int4': operation((array: SqlArray, dimension: number) =>
    arrayLength(array, dimension),
  ),
};
