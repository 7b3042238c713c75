import { tmpdir } from 'node:os';
import { expect, test } from 'vitest';
import { ZERO_LSN } from '../../../src/core/lsn.ts';
import { LogSignals } from '../../../src/log/signals.ts';
import { DiskBudget } from '../../../src/pipeline/source/disk-budget.ts';
import { SourceState } from '../../../src/pipeline/source/status.ts';
import { waitFor } from '../../support/wait.ts';
import { databaseSettings } from '../../support/database-settings.ts';

const MAX_BYTES = 1000;
const SEGMENT_BYTES = 100;

type TestSink = { readonly settled: number; readonly sheds?: boolean };

/** A log of `bytes`, on a disk that is full by default, with these sinks. */
function budgetOf(
  bytes: number,
  sinks: readonly TestSink[],
  minFreeBytes = Number.MAX_SAFE_INTEGER,
  disk: { freeBytes: number; totalBytes: number } = { freeBytes: 6e11, totalBytes: 1e13 },
) {
  const signals = new LogSignals();
  sinks.forEach(({ settled, sheds = false }, slot) => {
    signals.setHolding(slot, true);
    signals.setSheds(slot, sheds);
    signals.publishSettled(slot, { offset: settled, lsn: ZERO_LSN });
  });
  const log = {
    maxBytes: MAX_BYTES,
    writtenEnd: bytes,
    bytes: () => bytes,
    retain: (settled: number) => {
      retired.below = settled;
      return Promise.resolve(bytes);
    },
  };
  const server = { isProved: true };
  const retired = { below: -1 };
  const settings = {
    segmentBytes: SEGMENT_BYTES,
    retentionMs: 0,
    maxBytes: MAX_BYTES,
    minFreeBytes,
    maxMessageBytes: 1,
  };
  const sinkSlots = new Map(sinks.map((_, slot) => [`sink-${slot}`, slot]));
  return {
    signals,
    server,
    retired,
    budget: new DiskBudget({
      log,
      signals,
      settings,
      directory: tmpdir(),
      sinkSlots,
      isProved: () => server.isProved,
      disk: () => Promise.resolve(disk),
    }),
  };
}

async function isSpent(bytes: number, settled: number, minFreeBytes?: number): Promise<boolean> {
  const { budget } = budgetOf(bytes, [{ settled }], minFreeBytes);
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

test('a disk that others have filled stops a log within its budget, and says that it is not the log', async () => {
  const { budget } = budgetOf(10, [{ settled: 10 }], 100, { freeBytes: 99, totalBytes: 100_000 });
  await budget.check(0);
  expect(budget.spent).toBe(true);
  const state = new SourceState(databaseSettings({ name: 'shop', host: 'localhost', port: 1 }), Date.now);
  const stopping = new AbortController();
  const warned: string[] = [];
  const running = budget.loop(state, (error) => warned.push(error.code), stopping.signal);
  await waitFor(() => warned.length > 0, 'the alarm');
  stopping.abort();
  await running;
  expect(warned).toEqual(['LOG_DISK_LOW']);
});

test('nothing that is settled goes before the server is proved to be the log’s: it is what proves it', async () => {
  const { budget, server, retired } = budgetOf(1000, [{ settled: 900 }]);
  server.isProved = false;
  await budget.check(0);
  expect(retired.below).toBe(0);
  server.isProved = true;
  await budget.check(0);
  expect(retired.below).toBe(900);
});

test('a small disk does not stop a small log: of it, a share counts where min_free is more than that', async () => {
  const disk = { freeBytes: 501, totalBytes: 10_000 };
  const { budget } = budgetOf(10, [{ settled: 0 }], 1000, disk);
  await budget.check(0);
  expect(budget.spent).toBe(false);
  disk.freeBytes = 499;
  await budget.check(0);
  expect(budget.spent).toBe(true);
});

test('after a write that found the disk full, reading waits for room to go on with, whatever min_free says', async () => {
  const disk = { freeBytes: 99, totalBytes: 100_000 };
  const { budget } = budgetOf(10, [{ settled: 10 }], 0, disk);
  await budget.check(0);
  expect(budget.spent).toBe(false);
  budget.filled();
  expect(budget.spent).toBe(true);
  await budget.check(0);
  expect(budget.spent).toBe(true);
  disk.freeBytes = SEGMENT_BYTES;
  await budget.check(0);
  expect(budget.spent).toBe(false);
  disk.freeBytes = 1;
  await budget.check(0);
  expect(budget.spent).toBe(false);
});

test('a segment larger than the budget does not stop a log that is settled', async () => {
  expect(await isSpent(5000, 5000)).toBe(false);
});

test('only a sink that sheds is told to give up changes, and only as many as a segment needs', async () => {
  const { budget, signals } = budgetOf(1500, [{ settled: 0, sheds: true }, { settled: 1500 }]);
  await budget.check(0);
  expect(signals.shedBelow(0)).toBe(600);
  expect(signals.shedBelow(1)).toBe(0);
});

test('nothing is given up below what another sink holds anyway, nor within the budget', async () => {
  const held = budgetOf(1500, [{ settled: 100, sheds: true }, { settled: 50 }]);
  await held.budget.check(0);
  expect(held.signals.shedBelow(0)).toBe(0);
  const small = budgetOf(999, [{ settled: 0, sheds: true }]);
  await small.budget.check(0);
  expect(small.signals.shedBelow(0)).toBe(0);
});

test('the sink that fills the log has a name long before the budget is spent', async () => {
  const { budget } = budgetOf(600, [{ settled: 0 }, { settled: 590 }], 0);
  const state = new SourceState(databaseSettings({ name: 'shop', host: 'localhost', port: 1 }), Date.now);
  const stopping = new AbortController();
  const warned: string[] = [];
  const running = budget.loop(state, (error) => warned.push(error.message), stopping.signal);
  await waitFor(() => warned.length > 0, 'the alarm');
  stopping.abort();
  await running;
  expect(warned).toEqual([expect.stringContaining('it waits for sink "sink-0"')]);
  expect(state.status().warnings).toEqual(warned);
});
