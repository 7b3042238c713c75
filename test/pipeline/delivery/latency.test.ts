// Latency over the last minute: what each sink is told is its own.
import { expect, test } from 'vitest';
import { LatencyWindow } from '../../../src/pipeline/delivery/latency.ts';

test('the quantiles of a sink are of its own last minute, whoever was asked before', () => {
  const busy = new LatencyWindow();
  for (let i = 0; i < 3000; i++) busy.add(100_000, i);
  expect(busy.quantiles(100_000)).toEqual({ p50: 1976, p99: 2979, max: 2999 });
  const calm = new LatencyWindow();
  for (const latencyMs of [30, 10, 20]) calm.add(100_000, latencyMs);
  expect(calm.quantiles(100_000)).toEqual({ p50: 20, p99: 30, max: 30 });
  calm.add(170_000, 5);
  expect(calm.quantiles(170_000)).toEqual({ p50: 5, p99: 5, max: 5 });
  expect(calm.quantiles(300_000)).toBeUndefined();
});
