// What a row may name where it gives a whole name, and which templates let it.
import { expect, test } from 'vitest';
import {
  Allowed,
  allowedField,
  listed,
  namesFreely,
  unmadeNotes,
} from '../../../src/sinks/routing/allowed.ts';

test('a pattern takes the whole name, and a star no more than a name has', () => {
  const allowed = new Allowed('orders-*.fifo');
  const allows = (...names: readonly string[]) => names.map((name) => allowed.allows(name));
  expect(allows('orders-.fifo', 'orders-eu_1.fifo')).toEqual([true, true]);
  const others = [
    'x-orders-a.fifo',
    'orders-a.fifo.x',
    'orders-a/b.fifo',
    'orders-axfifo',
    'orders-a.b.fifo',
  ];
  expect(allows(...others)).toEqual(others.map(() => false));
  expect(allowed.hint).toContain('orders-*.fifo');
});

test('of a list each is taken as it is written', () => {
  const allowed = new Allowed(['a', 'b*']);
  expect(['a', 'b*', 'b', 'bc', 'A'].map((name) => allowed.allows(name))).toEqual([
    true,
    true,
    false,
    false,
    false,
  ]);
  expect(listed(['a', 'b*'])).toEqual(['a', 'b*']);
  expect([...listed('a*'), ...listed(undefined)]).toEqual([]);
});

test('a pattern has two stars at most, and neither it nor a list is empty', () => {
  const field = allowedField('queue');
  const takes = (given: unknown): boolean => field.safeParse(given).success;
  expect(['*-*', ['a'], undefined].map(takes)).toEqual([true, true, true]);
  expect(['', '*-*-*', [], ['']].map(takes)).toEqual([false, false, false, false]);
});

test.each([
  ['orders', false],
  ['orders-${row.x}', false],
  ['${row.x}-orders.fifo', false],
  ['${meta.table}-${row.x}', false],
  ['${row.x}', true],
  ['${row.x}-${row.y}.fifo', true],
  ['-${row.x}_', true],
  ['https://sqs/1/${row.x}', true],
  ['https://sqs/1/orders-${row.x}', false],
  ['https://sqs/${row.account}/orders', true],
  ['arn:aws:sns:eu:${row.account}:orders', true],
  ['arn:aws:sns:eu:1:${row.x}', true],
  ['arn:aws:sns:eu:${meta.schema}:orders', false],
  ['${row.x:-orders}', true],
])('a row names any by %s: %s', (template, isFree) => {
  expect(namesFreely(template)).toBe(isFree);
});

test('who asks for missing ones is told of what is not made, unless a list says what there may be', () => {
  const templates = [
    { key: 'queue_name', template: 'orders-${row.x}' },
    { key: 'delete.queue_name', template: 'gone' },
  ];
  const notes = (config: Parameters<typeof unmadeNotes>[0]): readonly string[] =>
    unmadeNotes(config, templates);
  expect(notes({ create_if_not_exists: true })).toEqual([
    'queue_name: what rows name by "orders-${row.x}" is not created: list in allowed what create_if_not_exists may make',
  ]);
  expect(notes({ create_if_not_exists: true, allowed: 'orders-*' })).toHaveLength(1);
  expect(notes({ create_if_not_exists: true, allowed: ['orders-a'] })).toEqual([]);
  expect(notes({ create_if_not_exists: false })).toEqual([]);
});
