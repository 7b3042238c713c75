import { mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { afterAll, expect, test } from 'vitest';
import { leaseFileOf, openLeaseStore, removeLeases } from '../../src/store/leases.ts';

const directory = mkdtempSync(join(tmpdir(), 'tailrace-leases-'));
afterAll(() => rmSync(directory, { recursive: true }));
let files = 0;
const newFile = (): string => join(directory, `${++files}.leases`);

test('leases and early acknowledgements are there again after opening', () => {
  const file = newFile();
  const store = openLeaseStore(file);
  store.save(['a', 'b', 'c'], { visibleAtMs: 1000, acked: false });
  store.save(['b'], { visibleAtMs: 2000, acked: true });
  store.remove(['c', 'unknown']);
  store.close();
  const again = openLeaseStore(file);
  expect(again.load()).toEqual([
    { id: 'a', visibleAtMs: 1000, acked: false },
    { id: 'b', visibleAtMs: 2000, acked: true },
  ]);
  again.close();
});

test('what was written is there without closing, as after kill -9', () => {
  const file = newFile();
  const store = openLeaseStore(file);
  store.save(['a'], { visibleAtMs: 1000, acked: false });
  const other = openLeaseStore(file);
  expect(other.load()).toHaveLength(1);
  other.close();
  store.close();
});

test('a newer file is refused with its version', () => {
  const file = newFile();
  const db = new DatabaseSync(file);
  db.exec('pragma user_version = 9');
  db.close();
  expect(() => openLeaseStore(file)).toThrow(/version 9/);
});

test('a damaged file is refused with the cure', () => {
  const file = newFile();
  writeFileSync(file, 'this is no database at all, and long enough to be read as one'.repeat(100));
  expect(() => openLeaseStore(file)).toThrow(
    expect.objectContaining({ code: 'LEASES_UNUSABLE', hint: expect.stringContaining('remove it') }),
  );
});

test('the file lies beside the ledger', () => {
  expect(leaseFileOf('/data/ledger/shop/users.ledger')).toBe('/data/ledger/shop/users.leases');
});

test('with a sink that is forgotten its leases go, whether there are some or not', () => {
  const ledger = join(mkdtempSync(join(directory, 'gone-')), 'users.ledger');
  removeLeases(ledger);
  const store = openLeaseStore(leaseFileOf(ledger));
  store.save(['a'], { visibleAtMs: 1000, acked: false });
  removeLeases(ledger);
  expect(readdirSync(join(ledger, '..'))).toEqual([]);
  store.close();
});
