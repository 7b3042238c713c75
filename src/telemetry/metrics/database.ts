// The metrics of one database: its replication stream and its change log.
import type { DatabaseStatus } from '../../core/status.ts';
import { counter, gauge, healthSamples, lsnNumber, type Metric } from './definition.ts';

export const DATABASE_METRICS: readonly Metric<DatabaseStatus>[] = [
  gauge(
    'tailrace_database_status',
    'The status of the source: 1 for the word that holds.',
    (database) => healthSamples(database.health),
    ['status'],
  ),
  gauge('tailrace_database_streaming', '1 while the replication stream runs.', (database) =>
    database.state === 'streaming' ? 1 : 0,
  ),
  gauge(
    'tailrace_database_wal_end_lsn',
    'End of the WAL as the server last said, as a byte position.',
    (database) => lsnNumber(database.walEnd),
  ),
  gauge(
    'tailrace_database_logged_lsn',
    'End LSN of the last transaction in the change log, as a byte position.',
    (database) => lsnNumber(database.loggedEnd),
  ),
  gauge(
    'tailrace_database_durable_lsn',
    'End LSN of what is synced to disk, as a byte position.',
    (database) => lsnNumber(database.durableEnd),
  ),
  gauge(
    'tailrace_database_flushed_lsn',
    'What Postgres was told that it may free, as a byte position.',
    (database) => lsnNumber(database.flushed),
  ),
  gauge(
    'tailrace_database_retained_bytes',
    'WAL that the slot holds back: WAL end minus flushed.',
    (database) => database.retainedBytes,
  ),
  gauge('tailrace_database_log_bytes', 'Size of the change log on disk.', (database) => database.logBytes),
  counter(
    'tailrace_database_transactions_total',
    'Transactions logged since the start.',
    (database) => database.transactions,
  ),
  counter(
    'tailrace_database_changes_total',
    'Row changes logged since the start.',
    (database) => database.changes,
  ),
  counter(
    'tailrace_database_unproved_shapes_total',
    "Row changes with a composite value that is Postgres' text: which attributes its type had then was not proved.",
    (database) => database.unprovedShapes,
  ),
  counter(
    'tailrace_database_received_bytes_total',
    'Bytes received from Postgres since the start.',
    (database) => database.receivedBytes,
  ),
  counter(
    'tailrace_database_reconnects_total',
    'Times the replication connection was made again.',
    (database) => database.reconnects,
  ),
  gauge(
    'tailrace_database_gaps',
    'Declared gaps that nobody has accepted: ranges of WAL of which not every change is here.',
    (database) => database.gaps.length,
  ),
];
