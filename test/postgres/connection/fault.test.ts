import { expect, test } from 'vitest';
import { sqlStateOf } from '../../../src/postgres/connection/fault.ts';

test.each([
  ['42710', '42710'],
  ['57P01', '57P01'],
  ['XX000', 'XX000'],
  ['EPIPE', undefined],
  ['ECONNRESET', undefined],
  ['', undefined],
])('an error of code %j has the SQLSTATE %j: a connection that broke is no refusal', (code, expected) => {
  expect(sqlStateOf(Object.assign(new Error('refused'), { code }))).toBe(expected);
});

test('what has no code has no SQLSTATE', () => {
  expect(sqlStateOf(new Error('refused'))).toBeUndefined();
  expect(sqlStateOf('42710')).toBeUndefined();
});
