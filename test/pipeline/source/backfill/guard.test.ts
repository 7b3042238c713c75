import { expect, test } from 'vitest';
import { TailraceError } from '../../../../src/core/errors.ts';
import { toLsn } from '../../../../src/core/lsn.ts';
import { LogSignals } from '../../../../src/log/signals.ts';
import { LoadGuard } from '../../../../src/pipeline/source/backfill/guard.ts';
import { SourceState } from '../../../../src/pipeline/source/status.ts';
import { databaseSettings } from '../../../support/database-settings.ts';

const MIB = 1024 * 1024;

function guarded(sinks: readonly string[] = []) {
  const signals = new LogSignals();
  const state = new SourceState(databaseSettings({ name: 'x', host: '127.0.0.1', port: 1 }), () => 0);
  const log = { writtenEnd: 0, maxBytes: 1000 * MIB };
  const sinkSlots = new Map([
    ['fast', 0],
    ['slow', 1],
  ]);
  for (const slot of sinkSlots.values()) signals.setHolding(slot, true);
  const settle = (slot: number, mib: number): void =>
    signals.publishSettled(slot, { offset: mib * MIB, lsn: toLsn(0n) });
  return { guard: new LoadGuard(sinks, { state, log, signals, sinkSlots }), state, log, signals, settle };
}

test('nothing is read while the slot or the log is in trouble, and the alarm says why', () => {
  const { guard, state } = guarded();
  expect(guard.trouble()).toBeUndefined();
  const alarm = new TailraceError('the slot is near its limit', {
    code: 'SLOT_LIMIT_NEAR',
    kind: 'retryable',
  });
  state.alarm('SLOT_LIMIT_NEAR', alarm);
  expect(guard.trouble()).toBe('the slot is near its limit');
  state.alarm('SLOT_LIMIT_NEAR', undefined);
  state.alarm(
    'COLUMN_MISSING',
    new TailraceError('another matter', { code: 'COLUMN_MISSING', kind: 'retryable' }),
  );
  expect(guard.trouble()).toBeUndefined();
});

test('it waits for its own sinks alone, by name, until they have caught up (C210)', () => {
  const all = guarded();
  const fast = guarded(['fast']);
  for (const { log, settle } of [all, fast]) {
    log.writtenEnd = 200 * MIB;
    settle(0, 199);
    settle(1, 10);
  }
  expect(all.guard.trouble()).toContain('far ahead of "slow"');
  expect(fast.guard.trouble()).toBeUndefined();
  all.settle(1, 100);
  // Not at once again.
  expect(all.guard.trouble()).toContain('far ahead of "slow"');
  all.settle(1, 140);
  expect(all.guard.trouble()).toBeUndefined();
});

test('a sink that holds nothing is waited for by nobody', () => {
  const { guard, log, signals, settle } = guarded();
  log.writtenEnd = 200 * MIB;
  settle(0, 200);
  signals.setHolding(1, false);
  expect(guard.trouble()).toBeUndefined();
});

test('where each of its sinks is disabled or gone it waits: nobody would get what it reads', () => {
  const { guard, signals } = guarded(['slow', 'gone']);
  expect(guard.trouble()).toBeUndefined();
  signals.setHolding(1, false);
  expect(guard.trouble()).toContain('none of its sinks would get what it reads');
  signals.setHolding(1, true);
  expect(guard.trouble()).toBeUndefined();
  expect(guarded(['gone']).guard.trouble()).toContain('not in the configuration');
});

test('what any sink holds of the log’s budget stops it in time', () => {
  const { guard, log, settle } = guarded(['fast']);
  log.writtenEnd = 500 * MIB;
  settle(0, 500);
  settle(1, 50);
  expect(guard.trouble()).toContain('the change log fills');
});
