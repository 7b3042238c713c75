import { afterEach, expect, test, vi } from 'vitest';
import { logStatistics } from '../../src/pipeline/service/statistics.ts';
import { createLogger } from '../../src/telemetry/logger.ts';
import { pg2sqsStatistics } from '../../src/telemetry/pg2sqs-statistics.ts';
import { routeStatus, serviceStatus, sinkStatus } from '../support/status.ts';

test('pg2sqs’ names stand for what is counted here, of every queue', () => {
  const other = sinkStatus({
    name: 'orders',
    requests: 4,
    failedRequests: 0,
    buffered: 1,
    inFlight: 0,
    routes: [
      routeStatus('orders.fifo'),
      routeStatus('https://sqs.eu-west-1.amazonaws.com/123456789012/gone'),
    ],
  });
  const idle = sinkStatus({ name: 'idle', buffered: 0, inFlight: 0, routes: [] });
  expect(pg2sqsStatistics(serviceStatus({ version: '1.2.3', sinks: [sinkStatus(), other, idle] }))).toEqual({
    version: '1.2.3',
    pg2sqs_tx_total: 10,
    pg2sqs_tx_streamed_total: 4,
    pg2sqs_lsn_last_processed: '1/0',
    pg2sqs_lsn_last_reported: '0/E0',
    pg2sqs_downstream_write_queue_length: 16,
    'pg2sqs_sqs_request_total{queue="users.fifo"}': 20,
    'pg2sqs_sqs_failure_total{queue="users.fifo"}': 3,
    'pg2sqs_sqs_request_total{queue="orders.fifo,gone"}': 4,
    'pg2sqs_sqs_failure_total{queue="orders.fifo,gone"}': 0,
  });
});

afterEach(() => vi.useRealTimers());

test.each([true, false])('they stand in the statistics line where they are asked for: %s', (pg2sqsNames) => {
  vi.useFakeTimers();
  const lines: string[] = [];
  const logger = createLogger({ level: 'info', destination: { write: (line) => lines.push(line) } });
  const stop = logStatistics(serviceStatus, { intervalMs: 1000, pg2sqsNames }, logger);
  vi.advanceTimersByTime(1000);
  stop();
  const line = JSON.parse(lines[0]!) as Record<string, unknown>;
  expect(line).toMatchObject({ msg: 'statistics', transactions: 10 });
  expect('pg2sqs_tx_total' in line).toBe(pg2sqsNames);
});
