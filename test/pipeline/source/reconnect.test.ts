import { expect, test } from 'vitest';
import { reconnectMs } from '../../../src/pipeline/source/reconnect.ts';

const policy = { initialBackoffMs: 200, multiplier: 2, maxBackoffMs: 30_000, jitter: 0 };

test('waits between connections grow to the longest, and stay short while a standby may be promoted any moment', () => {
  const waits = (code: string): number[] =>
    [1, 4, 30].map((failures) => reconnectMs(policy, { fault: { code }, failures, chance: 0.5 }));
  expect(waits('ECONNREFUSED')).toEqual([200, 1_600, 30_000]);
  for (const code of ['AWAITS_PROMOTION', 'NOT_PRIMARY', 'OLD_PRIMARY']) {
    expect(waits(code)).toEqual([200, 1_600, 2_000]);
  }
});
