// JSON Schema of messages: what it takes and what it refuses, and what is read of one that somebody has changed.
import { Ajv2020 } from 'ajv/dist/2020.js';
import { expect, test } from 'vitest';
import { readSchemaText, schemaText } from '../../../src/cli/types/json-schema.ts';
import { nameTables } from '../../../src/cli/types/naming.ts';
import {
  ANY,
  constant,
  integer,
  maybe,
  member,
  nullable,
  object,
  STRING,
  unionOf,
  type JsonType,
} from '../../../src/core/json-type.ts';

const textOf = (type: JsonType): string =>
  schemaText(
    nameTables([{ table: { schema: 'public', table: 't' }, messages: [{ action: 'insert', type }] }])[0]!,
    {
      title: 'sink / public.t',
      comment: 'of a test',
    },
  );

/** Of the values, those that the schema of the type takes. */
function taken(type: JsonType, values: readonly unknown[]): readonly unknown[] {
  const takes = new Ajv2020({ strict: true, allowUnionTypes: true }).compile(
    JSON.parse(textOf(type)) as object,
  );
  return values.filter((value) => takes(value));
}

test('an object has its members, those that it must have, and no others', () => {
  const type = object([member('id', integer(32)), maybe('note', nullable(STRING))]);
  const good = [{ id: 1 }, { id: -1, note: 'x' }, { id: 1, note: null }];
  expect(taken(type, [...good, {}, { note: 'x' }, { id: 1, more: 1 }, { id: '1' }, [], null])).toEqual(good);
});

test('members that nobody knows by name begin as they must, whatever stands in their prefix', () => {
  const others = [{ prefix: 'a.b[^$', type: STRING }];
  const good = [{}, { 'a.b[^$': 'x' }, { 'a.b[^$more': 'x' }];
  expect(
    taken(object([], others), [...good, { 'axb[^$': 'x' }, { 'x a.b[^$': 'x' }, { 'a.b[^$': 1 }]),
  ).toEqual(good);
  // Of any name.
  expect(
    taken(object([], [{ prefix: '', type: integer(16) }]), [{ x: 1 }, { x: 40_000 }, { x: 'a' }]),
  ).toEqual([{ x: 1 }]);
  expect(taken(object([], [{ prefix: '', type: ANY }]), [{ x: {} }])).toHaveLength(1);
});

test('whole numbers have the bounds of their type, and one of 64 bits has none', () => {
  const values = [32_767, 32_768, 2_147_483_648, 9_007_199_254_740_992, 1.5];
  expect(taken(integer(16), values)).toEqual(values.slice(0, 1));
  expect(taken(integer(32), values)).toEqual(values.slice(0, 2));
  expect(taken(integer(53), values)).toEqual(values.slice(0, 3));
  expect(taken(integer(64), values)).toEqual(values.slice(0, 4));
});

test('tuples have their length, arrays of Postgres any depth, words are words', () => {
  expect(taken({ kind: 'tuple', items: [STRING] }, [['a'], [], ['a', 'b'], [1]])).toEqual([['a']]);
  expect(taken({ kind: 'tuple', items: [] }, [[], [1]])).toEqual([[]]);
  const deep = [[], [1, null], [[1], [[2]]]];
  expect(taken({ kind: 'dimensions', items: integer(32) }, [...deep, ['a'], [[['a']]]])).toEqual(deep);
  expect(taken(unionOf(constant('a'), constant('b'), integer(16)), ['a', 'b', 3, 'c'])).toEqual([
    'a',
    'b',
    3,
  ]);
});

test('a definition that is not there is an error, whatever it is called', () => {
  const text = textOf(object([member('a', STRING)]));
  for (const name of ['gone', 'constructor', '__proto__', 'toString'])
    expect(() => readSchemaText(text.replace('"#/$defs/TInsert"', `"#/$defs/${name}"`))).toThrow(
      `there is no definition ${name}`,
    );
});
