import { expect, test } from 'vitest';
import { passwordInFile } from '../../../src/postgres/connection/password-file.ts';

const seeker = { host: 'db', port: 5432, database: 'shop', username: 'me' };

test.each([
  ['db:5432:shop:me:secret', 'secret'],
  ['*:*:*:*:secret', 'secret'],
  ['# db:5432:shop:me:no\n\ndb:5433:shop:me:no\ndb:5432:shop:me:first\n*:*:*:*:second', 'first'],
  ['db:5432:shop:me:secret\r\n', 'secret'],
  [String.raw`db:5432:shop:me:a\:b\\c`, String.raw`a:b\c`],
  // As in libpq, the password ends at a bare colon too.
  ['db:5432:shop:me:secret:rest', 'secret'],
  [String.raw`\d\b:5432:sh\op:me:secret`, 'secret'],
  // A star is any only where it stands alone and bare.
  [String.raw`\*:5432:shop:me:secret`, undefined],
  ['d*:5432:shop:me:secret', undefined],
  ['db:5432:shop:me', undefined],
  ['db:5432:shop:me:', undefined],
  ['other:5432:shop:me:secret', undefined],
  ['db:5432:shop:ME:secret', undefined],
  ['', undefined],
])('%j gives %j', (text, password) => {
  expect(passwordInFile(text, seeker)).toBe(password);
});

test('what has colons or backslashes itself is escaped', () => {
  const text = String.raw`fe80\:\:1:5432:a\\b:me:secret`;
  expect(passwordInFile(text, { ...seeker, host: 'fe80::1', database: String.raw`a\b` })).toBe('secret');
});

test('the usual socket is called localhost; another directory by its name', () => {
  const text = 'localhost:5432:shop:me:here\n/srv/pg:5432:shop:me:there';
  for (const host of ['/tmp', '/var/run/postgresql', 'localhost']) {
    expect(passwordInFile(text, { ...seeker, host })).toBe('here');
  }
  expect(passwordInFile(text, { ...seeker, host: '/srv/pg' })).toBe('there');
});
