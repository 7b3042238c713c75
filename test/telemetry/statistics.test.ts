import { expect, test } from 'vitest';
import { statisticsLine } from '../../src/telemetry/statistics.ts';
import { databaseStatus, serviceStatus, sinkStatus } from '../support/status.ts';

test('the statistics line shows what moved since the last one, and what waits now', () => {
  const previous = serviceStatus();
  const now = serviceStatus({
    databases: [databaseStatus({ changes: 150, transactions: 12 })],
    sinks: [sinkStatus({ delivered: 140, retried: 5, lagBytes: 10, lagSeconds: 0.5 })],
  });
  const line = statisticsLine(now, previous, 10);
  expect(line).toMatchObject({ changes: 50, changesPerSecond: 5, transactions: 2, retainedBytes: 4096 });
  expect(line.sinks['users']).toMatchObject({
    delivered: 50,
    deliveredPerSecond: 5,
    retried: 0,
    lagBytes: 10,
  });
});

test('the first line counts from the start', () => {
  expect(statisticsLine(serviceStatus(), undefined, 10)).toMatchObject({ changes: 100 });
});

test('a counter that began again counts from zero, never below', () => {
  const line = statisticsLine(
    serviceStatus({ databases: [databaseStatus({ changes: 3 })] }),
    serviceStatus({ databases: [databaseStatus({ changes: 100 })] }),
    1,
  );
  expect(line.changes).toBe(3);
});
