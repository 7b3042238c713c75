// Types of JSON: what a union keeps, what is the same, and what stands at a member.
import { expect, test } from 'vitest';
import {
  ANY,
  BOOLEAN,
  constant,
  floatOrWord,
  integer,
  isSameType,
  maybe,
  member,
  named,
  NULL_TYPE,
  nullable,
  NUMBER,
  object,
  someWithin,
  STRING,
  typeAt,
  typeOfJson,
  unionOf,
  withoutNull,
} from '../../src/core/json-type.ts';

test('a union has each once, null last, no word of a kind that is there, and is any where one is', () => {
  expect(unionOf(NULL_TYPE, STRING, NUMBER, STRING)).toEqual({
    kind: 'union',
    of: [STRING, NUMBER, NULL_TYPE],
  });
  expect(unionOf(constant('a'), STRING, constant(true), constant(1))).toEqual({
    kind: 'union',
    of: [STRING, constant(true), constant(1)],
  });
  expect(unionOf(constant(true), BOOLEAN)).toBe(BOOLEAN);
  expect(unionOf(STRING, nullable(ANY), NULL_TYPE)).toBe(ANY);
  expect(nullable(nullable(STRING))).toEqual({ kind: 'union', of: [STRING, NULL_TYPE] });
  expect(floatOrWord()).toMatchObject({
    of: [NUMBER, constant('NaN'), constant('Infinity'), constant('-Infinity')],
  });
});

test('the order of members and alternatives does not count, whether they may be missing does', () => {
  expect(isSameType(unionOf(STRING, NUMBER), unionOf(NUMBER, STRING))).toBe(true);
  const one = object([member('a', STRING), maybe('b', NUMBER)]);
  expect(isSameType(one, object([maybe('b', NUMBER), { ...member('a', STRING), optional: false }]))).toBe(
    true,
  );
  expect(isSameType(one, object([member('a', STRING), member('b', NUMBER)]))).toBe(false);
  expect(isSameType(object([], [{ prefix: 'a', type: STRING }]), object([]))).toBe(false);
  expect(isSameType(integer(16), integer(32))).toBe(false);
  expect(
    isSameType({ kind: 'tuple', items: [STRING, NUMBER] }, { kind: 'tuple', items: [NUMBER, STRING] }),
  ).toBe(false);
});

test('what stands at a member that may be missing may be null', () => {
  const type = named(
    'T',
    object([member('a', STRING), maybe('b', NUMBER)], [{ prefix: 'x_', type: BOOLEAN }]),
  );
  expect(typeAt(type, 'a')).toBe(STRING);
  expect(typeAt(type, 'b')).toEqual(nullable(NUMBER));
  expect(typeAt(type, 'x_1')).toEqual(nullable(BOOLEAN));
  expect(typeAt(type, 'c')).toBe(NULL_TYPE);
  expect(typeAt(nullable(type), 'a')).toEqual(nullable(STRING));
  expect(typeAt(ANY, 'a')).toBe(ANY);
  expect(typeAt({ kind: 'array', items: type }, 'a')).toBe(NULL_TYPE);
});

test('a value is of its own type alone', () => {
  expect(typeOfJson({ a: [1, null], b: 'x', c: true })).toEqual(
    object([
      member('a', { kind: 'tuple', items: [constant(1), NULL_TYPE] }),
      member('b', constant('x')),
      member('c', constant(true)),
    ]),
  );
  expect(withoutNull(nullable(STRING))).toBe(STRING);
  expect(withoutNull(NULL_TYPE)).toBe(NULL_TYPE);
  const deep = object([member('a', { kind: 'array', items: nullable(integer(64)) })]);
  expect(someWithin(deep, ({ kind }) => kind === 'integer')).toBe(true);
  expect(someWithin(deep, ({ kind }) => kind === 'string')).toBe(false);
});
