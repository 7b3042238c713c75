import { expect, test } from 'vitest';
import { comesFromServer, connectionFault, sqlStateOf } from '../../../src/postgres/connection/fault.ts';
import { databaseSettings } from '../../support/database-settings.ts';

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

test('a query that is not answered is no server that cannot be reached', () => {
  const target = { host: 'db', port: 5432 };
  const settings = databaseSettings({ name: 'shop', ...target });
  expect(connectionFault(new Error('Query read timeout'), settings, target)).toMatchObject({
    code: 'CONNECTION_SILENT',
    kind: 'retryable',
    message: 'database "shop": db:5432 has not answered a query in time',
  });
});

test('what a server answered and what became of the way to it are told from a fault of our own', () => {
  const withFields = (fields: object): Error => Object.assign(new Error('x'), fields);
  for (const error of [
    withFields({ code: '57P01' }),
    withFields({ code: 'ECONNRESET', syscall: 'read' }),
    new Error('Query read timeout'),
  ])
    expect(comesFromServer(error)).toBe(true);
  for (const error of [new TypeError('x is undefined'), withFields({ code: 'ERR_INVALID_ARG_TYPE' }), 'x'])
    expect(comesFromServer(error)).toBe(false);
});
