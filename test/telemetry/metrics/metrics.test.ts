import { expect, test } from 'vitest';
import type { ServiceStatus } from '../../../src/core/status.ts';
import { createMetrics } from '../../../src/telemetry/metrics/metrics.ts';
import { readExposition } from '../../support/exposition.ts';
import { backfillStatus, databaseStatus, serviceStatus, sinkStatus } from '../../support/status.ts';

/** Samples by name and labels, as they stand in the text format. */
function samples(text: string): Map<string, number> {
  const lines = text.split('\n').filter((line) => line !== '' && !line.startsWith('#'));
  return new Map(
    lines.map((line) => {
      const at = line.lastIndexOf(' ');
      return [line.slice(0, at), Number(line.slice(at + 1))];
    }),
  );
}

test('every number of the status is a sample, positions as numbers and milliseconds as seconds', async () => {
  const text = await createMetrics(() => serviceStatus({ sinks: [sinkStatus({ deadLetters: 1 })] }))();
  const found = samples(text);
  const expected: Record<string, number> = {
    'tailrace_info{version="0.1.0"}': 1,
    'tailrace_status{status="healthy"}': 1,
    'tailrace_status{status="halted"}': 0,
    'tailrace_database_wal_end_lsn{database="shop"}': 2 ** 32 + 16,
    'tailrace_database_logged_lsn{database="shop"}': 2 ** 32,
    'tailrace_database_durable_lsn{database="shop"}': 0xf0,
    'tailrace_database_flushed_lsn{database="shop"}': 0xe0,
    'tailrace_database_retained_bytes{database="shop"}': 4096,
    'tailrace_database_log_bytes{database="shop"}': 8192,
    'tailrace_database_transactions_total{database="shop"}': 10,
    'tailrace_database_changes_total{database="shop"}': 100,
    'tailrace_database_received_bytes_total{database="shop"}': 5000,
    'tailrace_database_reconnects_total{database="shop"}': 2,
    'tailrace_database_gaps{database="shop"}': 0,
    'tailrace_database_standbys_unready{database="shop"}': 0,
    'tailrace_database_standby_retained_bytes{database="shop"}': 0,
    'tailrace_database_streaming{database="shop"}': 1,
    'tailrace_sink_delivered_total{database="shop",sink="users"}': 90,
    'tailrace_sink_delivered_bytes_total{database="shop",sink="users"}': 9000,
    'tailrace_sink_dead_letters_total{database="shop",sink="users"}': 1,
    'tailrace_sink_dead_letters_kept{database="shop",sink="users",state="dead"}': 1,
    'tailrace_sink_dead_letters_kept{database="shop",sink="users",state="replaying"}': 0,
    'tailrace_sink_dead_letters_dropped_total{database="shop",sink="users"}': 0,
    'tailrace_sink_gaps{database="shop",sink="users"}': 0,
    'tailrace_sink_rewinds_total{database="shop",sink="users"}': 0,
    'tailrace_sink_retries_total{database="shop",sink="users"}': 5,
    'tailrace_sink_requests_total{database="shop",sink="users"}': 20,
    'tailrace_sink_failed_requests_total{database="shop",sink="users"}': 3,
    'tailrace_sink_lag_bytes{database="shop",sink="users"}': 300,
    'tailrace_sink_lag_seconds{database="shop",sink="users"}': 1.5,
    'tailrace_sink_in_flight{database="shop",sink="users"}': 7,
    'tailrace_sink_buffered{database="shop",sink="users"}': 8,
    'tailrace_sink_parked{database="shop",sink="users"}': 9,
    'tailrace_sink_inversions_total{database="shop",sink="users"}': 0,
    'tailrace_sink_skipped_changes_total{database="shop",sink="users"}': 0,
    'tailrace_sink_routes{database="shop",sink="users",status="healthy"}': 1,
    'tailrace_sink_limited_routes{database="shop",sink="users",by="source"}': 1,
    'tailrace_sink_limited_routes{database="shop",sink="users",by="throttled"}': 0,
    'tailrace_sink_lanes{database="shop",sink="users"}': 8,
    'tailrace_sink_answer_seconds{database="shop",sink="users"}': 0.0045,
    'tailrace_sink_latency_seconds{database="shop",sink="users",statistic="p50"}': 0.0025,
    'tailrace_sink_latency_seconds{database="shop",sink="users",statistic="p99"}': 0.018,
  };
  for (const [name, value] of Object.entries(expected))
    expect([name, found.get(name)]).toEqual([name, value]);
  expect(text).toContain('# TYPE tailrace_sink_delivered_total counter');
  expect(text).toContain('# TYPE tailrace_sink_lag_bytes gauge');
});

test('backfills are counted by state, and the rate is of those that run', async () => {
  const backfills = [
    backfillStatus(),
    backfillStatus({ state: 'paused', progress: { ...backfillStatus().progress, bytes: 9 } }),
    backfillStatus({ state: 'failed' }),
  ];
  const text = await createMetrics(() => serviceStatus({ databases: [databaseStatus({ backfills })] }))();
  const found = samples(text);
  const of = (name: string, labels = ''): number | undefined =>
    found.get(`tailrace_database_backfill${name}{database="shop"${labels}}`);
  expect(['waiting', 'running', 'paused', 'failed'].map((state) => of('s', `,state="${state}"`))).toEqual([
    0, 1, 1, 1,
  ]);
  expect([of('_rows'), of('_bytes'), of('_estimated_rows')]).toEqual([3600, 108_651, 15_000]);
  expect([of('_rows_per_second'), of('_remaining_seconds')]).toEqual([300, 12.7]);
});

test('metrics need no token, so they name no host and no queue', async () => {
  const text = await createMetrics(() => serviceStatus())();
  expect(text).not.toContain('db-1.internal');
  expect(text).not.toContain('amazonaws');
});

test('a second scrape shows the totals of its moment, and no sink that is gone', async () => {
  let status: ServiceStatus = serviceStatus({
    sinks: [sinkStatus(), sinkStatus({ name: 'orders' })],
    databases: [databaseStatus({ changes: 100 })],
  });
  const metrics = createMetrics(() => status);
  await metrics();
  status = serviceStatus({ databases: [databaseStatus({ changes: 130 })], sinks: [sinkStatus()] });
  const text = await metrics();
  expect(samples(text).get('tailrace_database_changes_total{database="shop"}')).toBe(130);
  expect(text).not.toContain('sink="orders"');
});

test('a sink without measured latency has no latency samples', async () => {
  const { latency: _, ...rest } = sinkStatus();
  const text = await createMetrics(() => serviceStatus({ sinks: [rest] }))();
  expect(text).not.toContain('tailrace_sink_latency_seconds{');
});

test.each([
  ['quotes', 'say "users"'],
  ['a backslash at the end', 'C:\\users\\'],
  ['a line break and a sample of somebody else', 'a"} 1\ntailrace_info{version="9'],
  ['letters of the world', 'Größe→数'],
  ['nothing', ''],
])('a name with %s is one label value, and reads back as it was', async (_, name) => {
  const status = serviceStatus({
    version: name,
    databases: [databaseStatus({ name })],
    sinks: [sinkStatus({ name, database: name })],
  });
  const families = readExposition(await createMetrics(() => status)());
  expect(families.get('tailrace_info')?.samples).toEqual([{ labels: { version: name }, value: 1 }]);
  expect(families.get('tailrace_database_changes_total')?.samples).toEqual([
    { labels: { database: name }, value: 100 },
  ]);
  expect(families.get('tailrace_sink_delivered_total')?.samples).toEqual([
    { labels: { database: name, sink: name }, value: 90 },
  ]);
});
