// When the server is asked how far it is, while rows wait for a place in the stream. Time is pretended.
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { toLsn, ZERO_LSN } from '../../../../src/core/lsn.ts';
import { StreamGate } from '../../../../src/pipeline/source/backfill/stream-gate.ts';
import type { StreamBatch } from '../../../../src/postgres/replication/stream.ts';

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

function made() {
  const world = { asked: 0, isReady: false };
  const opened = {
    log: { context: { lastEndLsn: ZERO_LSN } },
    feed: { isBetween: true, commitLsn: ZERO_LSN, openTransaction: false, brought: false },
    keeper: { behind: false },
    budget: { spent: false },
    proved: true,
  };
  const gate = new StreamGate(opened as never, ZERO_LSN, () => world.asked++);
  const stop = new AbortController();
  let end = 0n;
  return {
    world,
    stop,
    come: (count: number): void => {
      gate.take({ count } as StreamBatch);
      gate.taken(toLsn(++end));
    },
    wait: () => gate.between(() => (world.isReady ? 'let in' : undefined), stop.signal),
  };
}

test('of a stream that brings nothing it is asked at once, and again until it has said so', async () => {
  const { world, wait, come } = made();
  const waiting = wait();
  expect(world.asked).toBe(1);
  await vi.advanceTimersByTimeAsync(125);
  expect(world.asked).toBe(3);
  world.isReady = true;
  come(0);
  expect(await waiting).toBe('let in');
  await vi.advanceTimersByTimeAsync(1_000);
  expect([world.asked, vi.getTimerCount()]).toEqual([3, 0]);
});

test('behind what came just now more may come: it is asked a little later, and not at all where it came', async () => {
  const { world, wait, come } = made();
  come(5);
  await vi.advanceTimersByTimeAsync(4);
  const waiting = wait();
  await vi.advanceTimersByTimeAsync(5);
  expect(world.asked).toBe(0);
  await vi.advanceTimersByTimeAsync(1);
  expect(world.asked).toBe(1);
  world.isReady = true;
  come(5);
  await waiting;
  const another = wait();
  expect(await another).toBe('let in');
  expect([world.asked, vi.getTimerCount()]).toEqual([1, 0]);
});

test('an answer that brings no change is nothing that came', async () => {
  const { world, wait, come } = made();
  come(0);
  const waiting = wait();
  expect(world.asked).toBe(1);
  world.isReady = true;
  come(0);
  await waiting;
});

test('who does not wait any more asks no more', async () => {
  const { world, wait, stop } = made();
  const waiting = wait();
  stop.abort(new Error('stopped'));
  await expect(waiting).rejects.toThrow('stopped');
  await vi.advanceTimersByTimeAsync(1_000);
  expect([world.asked, vi.getTimerCount()]).toEqual([1, 0]);
});
