import { expect, test } from 'vitest';
import { toLsn } from '../../../src/core/lsn.ts';
import { LogSignals } from '../../../src/log/signals.ts';
import { isDrainedTo, sinksBehind } from '../../../src/pipeline/source/drain.ts';
import { openStore } from '../../../src/store/sqlite.ts';

const lsn = (value: number) => toLsn(BigInt(value));
const now = new Date('2026-01-02T03:04:05Z');

test('a database is drained once all up to there is read, settled by every sink, and confirmed', () => {
  const drained = {
    walEnd: 500,
    flushed: 500,
    settled: { offset: 80, lsn: 500 } as { offset: number; lsn: number } | undefined,
    isOpen: false,
  };
  const isDrained = (changes: Partial<typeof drained> = {}): boolean => {
    const { walEnd, flushed, settled, isOpen } = { ...drained, ...changes };
    return isDrainedTo(lsn(500), {
      keeper: { walEnd: lsn(walEnd), flushed: lsn(flushed) },
      signals: {
        writtenEnd: () => 80,
        lowestSettled: () => settled && { offset: settled.offset, lsn: lsn(settled.lsn) },
      },
      isOpen: () => isOpen,
    });
  };
  expect(isDrained()).toBe(true);
  expect(isDrained({ settled: undefined })).toBe(true);
  expect(isDrained({ walEnd: 499 })).toBe(false);
  expect(isDrained({ flushed: 499 })).toBe(false);
  expect(isDrained({ isOpen: true })).toBe(false);
  expect(isDrained({ settled: { offset: 79, lsn: 500 } })).toBe(false);
  // Under `ack: durable` Postgres may have been told more than the sinks have.
  expect(isDrained({ settled: { offset: 80, lsn: 499 } })).toBe(false);
});

test('while it is not drained, the sinks are named that have not settled everything, and of those that hold nothing none', () => {
  const signals = new LogSignals();
  signals.publishAppend({ writtenEnd: 80, epoch: 0, lastCommitLsn: lsn(400), lastEndLsn: lsn(500) });
  const sinkSlots = new Map([
    ['done', 0],
    ['behind', 1],
    ['disabled', 2],
    ['quiet', 3],
  ]);
  for (const slot of [0, 1, 3]) signals.setHolding(slot, true);
  for (const [slot, [offset, at]] of [
    [80, 500],
    [79, 500],
    [0, 0],
    [80, 499],
  ].entries())
    signals.publishSettled(slot, { offset: offset!, lsn: lsn(at!) });
  expect(sinksBehind(lsn(500), { signals, sinkSlots })).toEqual(['behind', 'quiet']);
});

test('a drain is remembered from when it is asked for until it is taken back, or another server is adopted', () => {
  const { handovers } = openStore(':memory:');
  expect([handovers.drain('shop'), handovers.takeBack('shop')]).toEqual([undefined, false]);
  handovers.ask('shop', now);
  handovers.drained('shop', { lsn: lsn(500), systemIdentifier: '7' }, now);
  // Asked again it is what it was.
  handovers.ask('shop', new Date());
  const done = { lsn: 500n, systemIdentifier: '7', at: now.toISOString() };
  expect(handovers.drain('shop')).toEqual({ askedAt: now.toISOString(), done });
  expect([handovers.takeBack('shop'), handovers.drain('shop')]).toEqual([true, undefined]);
});

test('of a sink nothing is missing at the adopted server if it had settled all that the one before had, in the log that was left', () => {
  const { handovers } = openStore(':memory:');
  const place = (settled: number, life = 'a') => ({
    cursor: { position: { epoch: 0, commitLsn: lsn(400), index: 0 }, endLsn: lsn(settled) },
    log: { life, systemIdentifier: '7', databaseOid: 5, slot: 'tailrace' },
  });
  handovers.ask('shop', now);
  handovers.adopt('shop', { life: 'a', nothingMissingFrom: lsn(500) }, now);
  handovers.adopt('shop', { life: 'b', nothingMissingFrom: undefined }, now);
  expect(handovers.drain('shop')).toBeUndefined();
  expect(handovers.isHandedOver('shop', place(500))).toBe(true);
  expect(handovers.isHandedOver('shop', place(499))).toBe(false);
  expect(handovers.isHandedOver('shop', place(500, 'b'))).toBe(false);
  expect(handovers.isHandedOver('other', place(500))).toBe(false);
  expect(handovers.isHandedOver('shop', { ...place(500), log: undefined })).toBe(false);
});
