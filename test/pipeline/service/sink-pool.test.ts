import { expect, test } from 'vitest';
import { sinkThreadCount } from '../../../src/pipeline/service/sink-pool.ts';

test('one core is left to source and Postgres, and no thread is without a sink', () => {
  expect(sinkThreadCount(10, 1, 8)).toBe(7);
  expect(sinkThreadCount(3, 1, 8)).toBe(3);
  expect(sinkThreadCount(0, 1, 8)).toBe(0);
});

test('several databases share the cores, and each has a sink thread on the smallest machine', () => {
  expect(sinkThreadCount(10, 2, 8)).toBe(3);
  expect(sinkThreadCount(10, 5, 2)).toBe(1);
  expect(sinkThreadCount(10, 1, 1)).toBe(1);
});
