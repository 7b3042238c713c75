import { setImmediate as nextTurn } from 'node:timers/promises';
import { expect, test } from 'vitest';
import type { Pending } from '../../../src/pipeline/delivery/pending.ts';
import { LedgerWrites } from '../../../src/pipeline/sink/ledger-writes.ts';
import { createDelivery, pendingMessage } from '../../support/dispatcher.ts';

function harness(write: () => void = () => undefined) {
  const events: string[] = [];
  const faults: unknown[] = [];
  const ledger = {
    settle: (changes: readonly { readonly index: number }[]) =>
      void events.push(...changes.map(({ index }) => `settle ${index}`)),
    settleParts: () => undefined,
    write: () => {
      events.push('write');
      write();
    },
  };
  const delivery = createDelivery();
  const change = (index: number): Pending => pendingMessage(delivery, { index });
  return { writes: new LedgerWrites(ledger, (error) => faults.push(error)), events, faults, change };
}

test('what settles in one turn of the event loop is written together, after it', async () => {
  const { writes, events, change } = harness();
  writes.remember([change(1)]);
  writes.remember([change(2), change(3)]);
  expect(events).toEqual(['settle 1', 'settle 2', 'settle 3']);
  await nextTurn();
  await nextTurn();
  expect(events).toEqual(['settle 1', 'settle 2', 'settle 3', 'write']);
  writes.remember([change(4)]);
  await nextTurn();
  await nextTurn();
  expect(events.slice(4)).toEqual(['settle 4', 'write']);
});

test('who waits for outcomes given so far goes on when they are written, also those noted later in this turn', async () => {
  const { writes, events, change } = harness();
  const recorded = writes.recorded().then(() => events.push('recorded'));
  // As the dispatcher does with an answer of this turn.
  queueMicrotask(() => writes.remember([change(1)]));
  await recorded;
  expect(events).toEqual(['settle 1', 'write', 'recorded']);
});

test('a ledger that cannot be written is told, and does not throw at whoever settles', async () => {
  const error = new Error('the disk is full');
  const { writes, faults, change } = harness(() => {
    throw error;
  });
  writes.remember([change(1)]);
  await nextTurn();
  await nextTurn();
  expect(faults).toEqual([error]);
  writes.record();
  expect(faults).toEqual([error, error]);
});

test('who waits for outcomes is told when they cannot be written, also those that a full buffer was to write', async () => {
  const error = new Error('the disk is full');
  let isFull = true;
  const fill = (): void => {
    if (isFull) throw error;
  };
  const { writes, change } = harness(fill);
  const recorded = writes.recorded();
  writes.remember([change(1)]);
  await expect(recorded).rejects.toBe(error);
  // Whether the next write brings the first one to the disk is not for this process to say.
  isFull = false;
  await expect(writes.recorded()).rejects.toBe(error);
  const faults: unknown[] = [];
  const ledger = {
    settle: () => {
      throw error;
    },
    settleParts: () => undefined,
    write: () => undefined,
  };
  const others = new LedgerWrites(ledger, (fault) => faults.push(fault));
  others.remember([change(2)]);
  expect(faults).toEqual([error]);
  await expect(others.recorded()).rejects.toBe(error);
});
