import { expect, test } from 'vitest';
import { parseDurationMs } from '../../src/core/duration.ts';

test('durations are read with their unit', () => {
  expect(['500ms', '35s', '1.5s', '2m', '24h', '7d'].map(parseDurationMs)).toEqual([
    500, 35_000, 1500, 120_000, 86_400_000, 604_800_000,
  ]);
});

test.each(['', '10', 's', '-1s', '1 s', '1w', '1e3s', '1s2m'])('%j is no duration', (text) => {
  expect(parseDurationMs(text)).toBeUndefined();
});
