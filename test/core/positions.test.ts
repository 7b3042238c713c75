import * as fc from 'fast-check';
import { expect, test } from 'vitest';
import {
  idempotencyKey,
  shortHash,
  stableUuid,
  streamKey,
  transactionKey,
} from '../../src/core/idempotency.ts';
import { formatLsn, parseLsn, toLsn } from '../../src/core/lsn.ts';
import { comparePositions } from '../../src/core/position.ts';
import { backoffMs } from '../../src/core/retry.ts';

test('every LSN survives its text form (C158)', () => {
  fc.assert(
    fc.property(fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }), (value) => {
      expect(parseLsn(formatLsn(toLsn(value)))).toBe(value);
    }),
  );
  expect(formatLsn(toLsn(0x16b374d848n))).toBe('16/B374D848');
  expect(parseLsn('not/anlsn')).toBeUndefined();
});

test('LSNs compare as numbers, not as texts (C158)', () => {
  const position = (text: string) => ({ epoch: 0, commitLsn: parseLsn(text)!, index: 0 });
  expect(comparePositions(position('9/0'), position('10/0'))).toBeLessThan(0);
});

test('a later epoch comes after every position of an earlier one', () => {
  const a = { epoch: 1, commitLsn: parseLsn('F/0')!, index: 9 };
  const b = { epoch: 2, commitLsn: parseLsn('1/0')!, index: 0 };
  expect(comparePositions(a, b)).toBeLessThan(0);
});

test('idempotency keys are short, safe, and differ by cluster, database name, commit time, place and numbering (C227)', () => {
  const stream = { databaseName: 'shop', systemIdentifier: '7' };
  const transaction = { commitLsn: toLsn(2n ** 64n - 1n), commitTimeUs: 2n ** 62n };
  const key = (
    changes: Partial<typeof stream & typeof transaction> = {},
    index = 0,
    salt?: string,
  ): string => {
    const of = { ...stream, ...transaction, ...changes };
    return idempotencyKey(transactionKey(streamKey(of), of, salt), index);
  };
  expect(key({}, 2 ** 32 - 1, shortHash('a salt'))).toMatch(/^[A-Za-z0-9_-]{1,64}$/);
  const keys = [
    key(),
    key({}, 1),
    key({ databaseName: 'other' }),
    key({ systemIdentifier: '8' }),
    // A clone, or a server that went back: all else is equal.
    key({ commitTimeUs: transaction.commitTimeUs + 1n }),
    key({ commitLsn: toLsn(1n) }),
    key({}, 0, 'salt'),
  ];
  expect(new Set(keys).size).toBe(keys.length);
  expect(shortHash('ab', 'c')).not.toBe(shortHash('a', 'bc'));
  expect(stableUuid('x')).toMatch(/^[0-9a-f]{8}-[0-9a-f]{4}-8[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/);
});

test('backoff grows by its multiplier, stays within its jitter, and never passes its maximum', () => {
  const policy = { initialBackoffMs: 100, multiplier: 2, maxBackoffMs: 1000, jitter: 0.5 };
  expect(backoffMs(policy, 1, 0.5)).toBe(100);
  expect(backoffMs(policy, 3, 0.5)).toBe(400);
  expect(backoffMs(policy, 400, 0.5)).toBe(1000);
  fc.assert(
    fc.property(
      fc.integer({ min: 1, max: 1000 }),
      fc.double({ min: 0, max: 0.999, noNaN: true }),
      (failures, chance) => {
        const wait = backoffMs(policy, failures, chance);
        expect(wait).toBeGreaterThanOrEqual(50);
        expect(wait).toBeLessThanOrEqual(1500);
      },
    ),
  );
});
