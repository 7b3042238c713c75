import { expect, test } from 'vitest';
import { LATENCIES_KEPT, LiveLatencies } from '../../src/log/live-latencies.ts';
import { LOG_LATENCIES, LogSignals, MAX_SINKS_PER_DATABASE } from '../../src/log/signals.ts';

const made = (): LiveLatencies => new LiveLatencies(new SharedArrayBuffer(LiveLatencies.bytesFor(2)), 0, 2);

test('whoever looks gets what came since they looked last, oldest first, of each place its own', () => {
  const latencies = made();
  latencies.add(0, 1.5);
  latencies.add(1, 70);
  latencies.add(0, 2.25);
  const first = latencies.since(0, 0);
  expect(first).toEqual({ latencies: [1.5, 2.25], count: 2 });
  expect(latencies.since(0, first.count)).toEqual({ latencies: [], count: 2 });
  latencies.add(0, -3);
  expect(latencies.since(0, first.count)).toEqual({ latencies: [-3], count: 3 });
  expect(latencies.since(1, 0).latencies).toEqual([70]);
});

test('of more than are kept the newest are left', () => {
  const latencies = made();
  for (let i = 0; i < LATENCIES_KEPT + 10; i++) latencies.add(0, i);
  const { latencies: left } = latencies.since(0, 0);
  expect(left).toHaveLength(LATENCIES_KEPT);
  expect([left[0], left.at(-1)]).toEqual([10, LATENCIES_KEPT + 9]);
});

test('what no sample can be is the largest that can', () => {
  const latencies = made();
  latencies.add(0, 1e12);
  latencies.add(0, -1e12);
  const [high, low] = latencies.since(0, 0).latencies;
  expect([high, low]).toEqual([2 ** 31 / 1000 - 0.001, -(2 ** 31 / 1000 - 0.001)]);
});

test('threads that share the positions of a log share these', () => {
  const writer = new LogSignals();
  const reader = new LogSignals(writer.buffer);
  writer.latencies.add(LOG_LATENCIES, 4);
  writer.latencies.add(MAX_SINKS_PER_DATABASE - 1, 5);
  writer.publishAnswered(MAX_SINKS_PER_DATABASE - 1, 123);
  expect(reader.latencies.since(LOG_LATENCIES, 0).latencies).toEqual([4]);
  expect(reader.latencies.since(MAX_SINKS_PER_DATABASE - 1, 0).latencies).toEqual([5]);
  expect(reader.answered(MAX_SINKS_PER_DATABASE - 1)).toBe(123);
  expect(reader.writtenEnd()).toBe(0);
});
