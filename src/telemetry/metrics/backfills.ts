// The metrics of a database's backfills, of those that are not over.
import type { BackfillStatus } from '../../core/backfill-progress.ts';
import type { DatabaseStatus } from '../../core/status.ts';
import { gauge, type Metric } from './definition.ts';

/** Those that may still read a row. */
const STATES = [
  'waiting',
  'running',
  'paused',
  'failed',
] as const satisfies readonly BackfillStatus['state'][];

const sumOf =
  (value: (backfill: BackfillStatus) => number | undefined) =>
  ({ backfills = [] }: DatabaseStatus): number =>
    backfills.reduce((sum, backfill) => sum + (value(backfill) ?? 0), 0);

const running = (value: (backfill: BackfillStatus) => number | undefined) =>
  sumOf((backfill) => (backfill.state === 'running' ? value(backfill) : 0));

export const BACKFILL_METRICS: readonly Metric<DatabaseStatus>[] = [
  gauge({
    name: 'tailrace_database_backfills',
    help: 'Backfills that are not over, by their state.',
    unit: 'backfills',
    labels: { state: STATES },
    value: ({ backfills = [] }) =>
      STATES.map((state) => ({
        labels: { state },
        value: backfills.filter((backfill) => backfill.state === state).length,
      })),
    alerts: [
      {
        name: 'TailraceBackfillFailed',
        expression: 'tailrace_database_backfills{state="failed"} > 0',
        holdsFor: '0m',
        severity: 'warning',
        summary: 'A backfill of database {{ $labels.database }} has failed.',
        description:
          '`tailrace backfill list` has the reason and the cure. Once it is mended `tailrace backfill resume` goes on where it was.',
      },
    ],
  }),
  gauge({
    name: 'tailrace_database_backfill_rows',
    help: 'Rows read by the backfills that are not over, wanted or not.',
    unit: 'rows',
    value: sumOf(({ progress }) => progress.scanned),
  }),
  gauge({
    name: 'tailrace_database_backfill_bytes',
    help: 'Bytes that the backfills which are not over have put into the log.',
    unit: 'bytes',
    value: sumOf(({ progress }) => progress.bytes),
  }),
  gauge({
    name: 'tailrace_database_backfill_estimated_rows',
    help: "Rows that the backfills which are not over have to read, by the planner's statistics.",
    unit: 'rows',
    value: sumOf(({ progress }) => progress.estimatedRows),
    meaning: 'An estimate; a backfill of which nobody knows counts nothing.',
  }),
  gauge({
    name: 'tailrace_database_backfill_rows_per_second',
    help: 'Rows that the running backfills read in a second.',
    unit: 'rows a second',
    value: running(({ progress }) => progress.rowsPerSecond),
  }),
  gauge({
    name: 'tailrace_database_backfill_pace_rows_per_second',
    help: 'Rows a second that the running backfills have read lately while they give way to live changes.',
    unit: 'rows a second',
    value: running(({ pace }) => pace),
    meaning: '0 where none runs, or none gives way.',
  }),
  gauge({
    name: 'tailrace_database_backfill_remaining_seconds',
    help: 'How long the running backfills still take, by the estimate: the longest of them.',
    unit: 'seconds',
    value: ({ backfills = [] }) => Math.max(0, ...backfills.map(({ progress }) => progress.secondsLeft ?? 0)),
    meaning: '0 where none runs, or nobody knows.',
  }),
];
