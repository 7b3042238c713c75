// What the store keeps of skipped transactions and of tables that joined.
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, test } from 'vitest';
import { openStore } from '../../src/store/sqlite.ts';

const directory = mkdtempSync(join(tmpdir(), 'tailrace-store-'));
afterAll(() => rmSync(directory, { recursive: true }));
let files = 0;
const newFile = (): string => join(directory, `${++files}.db`);

const USERS = { database: 'shop', sink: 'users' };
const skipped = (commitLsn: string, changes: number) => ({
  xid: 700,
  epoch: 0,
  commitLsn,
  changes,
  committedAt: '2026-01-02T03:04:05.000Z',
});

test('a skipped transaction is kept once, for its sink', () => {
  const store = openStore(newFile());
  store.skipped.add(USERS, [skipped('0/10', 5), skipped('0/20', 1)]);
  store.skipped.add(USERS, [skipped('0/10', 5)]);
  expect(store.skipped.list(USERS)).toEqual([skipped('0/10', 5), skipped('0/20', 1)]);
  expect(store.skipped.list({ ...USERS, sink: 'orders' })).toEqual([]);
  store.close();
});

test('the tables of a database that joined the publication are kept with their positions', () => {
  const store = openStore(newFile());
  const tables = [{ schema: 'public', table: 'a', from: '0/10', at: '2026-01-02T03:04:05.000Z' }];
  store.streamedTables.add('shop', tables);
  store.streamedTables.add('shop', tables);
  expect(store.streamedTables.list('shop')).toEqual(tables);
  store.close();
});
