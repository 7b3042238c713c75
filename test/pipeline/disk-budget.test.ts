import { tmpdir } from 'node:os';
import { expect, test } from 'vitest';
import { ZERO_LSN } from '../../src/core/lsn.ts';
import { LogSignals } from '../../src/log/signals.ts';
import { DiskBudget } from '../../src/pipeline/source-watch.ts';

const MAX_BYTES = 1000;

/** A log of `bytes` on a disk that is full, whose one sink has settled up to `settled`. */
async function isSpent(
  bytes: number,
  settled: number,
  minFreeBytes = Number.MAX_SAFE_INTEGER,
): Promise<boolean> {
  const signals = new LogSignals();
  signals.setHolding(0, true);
  signals.publishSettled(0, { offset: settled, lsn: ZERO_LSN });
  const log = { maxBytes: MAX_BYTES, writtenEnd: bytes, retain: () => Promise.resolve(bytes) };
  const settings = { segmentBytes: 1, retentionMs: 0, maxBytes: MAX_BYTES, minFreeBytes, maxMessageBytes: 1 };
  const budget = new DiskBudget(log, signals, settings, tmpdir());
  await budget.check(0);
  return budget.spent;
}

test('a log above its budget on a full disk takes no more while a sink is behind', async () => {
  expect(await isSpent(1000, 999)).toBe(true);
  expect(await isSpent(999, 0)).toBe(false);
});

test('a log above its budget grows on while the disk has room', async () => {
  expect(await isSpent(1000, 0, 0)).toBe(false);
});

test('a segment larger than the budget does not stop a log that is settled', async () => {
  expect(await isSpent(5000, 5000)).toBe(false);
});
