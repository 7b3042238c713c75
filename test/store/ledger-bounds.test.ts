// How large a ledger gets, on the disk and in memory: by what is unsettled, never by how much settles or for how long.
import { mkdtempSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, test } from 'vitest';
import { toLsn } from '../../src/core/lsn.ts';
import type { Position } from '../../src/core/position.ts';
import { readLedger, type SettledChange } from '../../src/store/ledger.ts';
import { ledgerOfVersion1, openLedger } from '../support/ledger.ts';

const OWNER = { database: 'shop', sink: 'users' };
const directory = mkdtempSync(join(tmpdir(), 'tailrace-bounds-'));
afterAll(() => rmSync(directory, { recursive: true }));

const MAX_PARKED = 100_000;
const CHANGES_A_SECOND = 1000;
/** What docs/operations.md says. */
const MAX_LEDGER_BYTES = 10 * 1024 * 1024;
const MAX_RESTORED_BYTES = 24 * 1024 * 1024;

const commitAt = (number: number) => toLsn(2n ** 33n + BigInt(number) * 150n);

/**
 * One group is held back, and every `held`th change joins it. All others settle, a transaction each: no two of them are
 * known to be neighbours. The ledger is used as a sink does it that looks once a second.
 */
function simulate(file: string, { seconds, held }: { seconds: number; held: number }) {
  const ledger = openLedger(file, OWNER);
  const unsettled: SettledChange[] = [];
  const cursor = { position: { epoch: 0, commitLsn: commitAt(0), index: 0 }, endLsn: commitAt(0) };
  let number = 0;
  let largest = 0;
  const afterCompaction: number[] = [];
  for (let second = 0; second < seconds; second++) {
    const settled: SettledChange[] = [];
    for (let i = 0; i < CHANGES_A_SECOND; i++, number++) {
      const change = { transaction: { epoch: 0, commitLsn: commitAt(number) }, index: 0 };
      if (number % held === 0 && unsettled.length < MAX_PARKED) unsettled.push(change);
      else settled.push(change);
    }
    for (let from = 0; from < settled.length; from += 10) ledger.settle(settled.slice(from, from + 10));
    ledger.write();
    largest = Math.max(largest, ledger.sizes.fileBytes);
    if (!ledger.wantsCompaction()) continue;
    const head: Position = { epoch: 0, commitLsn: commitAt(number), index: 0 };
    ledger.compact({ cursor, head, unsettled });
    afterCompaction.push(ledger.sizes.fileBytes);
  }
  ledger.close();
  return { largest, afterCompaction, number, unsettled };
}

test('one message held back alone leaves a ledger of a megabyte, after any number of deliveries', () => {
  const file = join(directory, 'one.ledger');
  const { largest, afterCompaction } = simulate(file, { seconds: 600, held: Infinity });
  expect(afterCompaction.length).toBeGreaterThan(5);
  // The same each time: what has settled leaves nothing behind.
  expect(new Set(afterCompaction).size).toBe(1);
  expect(afterCompaction[0]).toBeLessThan(1024);
  expect(largest).toBeLessThan(1024 * 1024 + CHANGES_A_SECOND * 32);
});

test('with a hundred thousand parked messages scattered between settled ones it stays within what the docs say', () => {
  const file = join(directory, 'parked.ledger');
  const { largest, afterCompaction, number, unsettled } = simulate(file, { seconds: 2000, held: 7 });
  expect(unsettled).toHaveLength(MAX_PARKED);
  expect(largest).toBeLessThan(MAX_LEDGER_BYTES);
  // Once max_parked is reached it does not grow any more.
  expect(new Set(afterCompaction.slice(-3)).size).toBe(1);
  const again = openLedger(file, OWNER);
  expect(again.sizes.restoredBytes).toBeLessThan(MAX_RESTORED_BYTES);
  const open = new Set(unsettled.map(({ transaction }) => transaction.commitLsn));
  for (let n = 0; n < number; n += 13) {
    const commitLsn = commitAt(n);
    if (again.wasSettled(0, commitLsn, 0) === open.has(commitLsn)) throw new Error(`wrong at ${n}`);
  }
  // Of the old process nothing is kept longer than it is asked for.
  expect(again.isPastRestored({ epoch: 0, commitLsn: commitAt(number), index: 0 })).toBe(true);
  expect(again.sizes.restoredBytes).toBe(0);
  expect(again.wantsCompaction()).toBe(true);
  again.close();
});

test('a ledger of version 1 with millions of entries opens in bounded memory, and leaves no file behind', () => {
  const file = join(directory, 'old.ledger');
  const COUNT = 1_500_000;
  const settled: Position[] = [];
  for (let number = 1; number < COUNT; number++) {
    if (number % 100_000 === 0) continue;
    settled.push({ epoch: 0, commitLsn: commitAt(number), index: 0 });
  }
  const records = [];
  for (let from = 0; from < settled.length; from += 1000) {
    records.push({ settled: settled.slice(from, from + 1000) });
  }
  const cursor = { position: { epoch: 0, commitLsn: commitAt(0), index: 0 }, endLsn: commitAt(0) };
  writeFileSync(file, ledgerOfVersion1({ owner: OWNER, records: [{ cursor }, ...records] }));
  const before = process.memoryUsage().arrayBuffers;
  const stored = readLedger(file, OWNER)!;
  expect(process.memoryUsage().arrayBuffers - before).toBeLessThan(64 * 1024 * 1024);
  expect(stored.restored.bytesInMemory).toBeLessThan(MAX_RESTORED_BYTES);
  for (let number = 0; number < COUNT; number += 997) {
    const isOpen = number === 0 || number % 100_000 === 0;
    if (stored.restored.has(0, commitAt(number), 0) === isOpen) throw new Error(`wrong at ${number}`);
  }
  expect(stored.restored.has(0, commitAt(100_000), 0)).toBe(false);
  stored.restored.close();
  const ledger = openLedger(file, OWNER);
  expect(statSync(file).size).toBeGreaterThan(12 * COUNT);
  // Compacted as soon as the log is read again up to where it ended.
  expect(ledger.isPastRestored({ epoch: 0, commitLsn: commitAt(COUNT), index: 0 })).toBe(true);
  expect(ledger.wantsCompaction()).toBe(true);
  ledger.compact({ cursor, head: { epoch: 0, commitLsn: commitAt(COUNT), index: 0 }, unsettled: [] });
  ledger.close();
  expect(statSync(file).size).toBeLessThan(1024);
  expect(readdirSync(directory).filter((name) => !name.endsWith('.ledger'))).toEqual([]);
});
