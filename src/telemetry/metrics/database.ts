// The metrics of one database: its replication stream and its change log.
import { STALL_CAUSES, type DatabaseStatus } from '../../core/status.ts';
import { counter, gauge, HEALTHS, healthSamples, lsnNumber, type Metric } from './definition.ts';

export const DATABASE_METRICS: readonly Metric<DatabaseStatus>[] = [
  gauge({
    name: 'tailrace_database_status',
    help: 'The status of the source: 1 for the word that holds.',
    unit: '0 or 1',
    labels: { status: HEALTHS },
    value: (database) => healthSamples(database.health),
    meaning:
      '`degraded` mends itself or goes on with something left out; `halted` needs somebody. `tailrace status` has reason and cure.',
    alerts: [
      {
        name: 'TailraceDatabaseHalted',
        expression: 'tailrace_database_status{status="halted"} == 1',
        holdsFor: '1m',
        severity: 'critical',
        summary: 'Database {{ $labels.database }} is halted: nothing is read from it.',
        description:
          'It does not go on by itself. `tailrace status` has the reason and the cure, `tailrace doctor` the SQL.',
      },
      {
        name: 'TailraceDatabaseDegraded',
        expression: 'tailrace_database_status{status="degraded"} == 1',
        holdsFor: '15m',
        severity: 'warning',
        summary: 'Database {{ $labels.database }} has been degraded for 15 minutes.',
        description:
          '`tailrace status` says why: connections fail, the disk or the log has no room, tables are left out, or a gap is not accepted.',
      },
    ],
  }),
  gauge({
    name: 'tailrace_database_streaming',
    help: '1 while the replication stream runs.',
    unit: '0 or 1',
    value: (database) => (database.state === 'streaming' ? 1 : 0),
    alerts: [
      {
        name: 'TailraceNotStreaming',
        expression: 'tailrace_database_streaming == 0',
        holdsFor: '5m',
        severity: 'critical',
        summary: 'Nothing has been streamed from database {{ $labels.database }} for 5 minutes.',
        description:
          'Postgres keeps its WAL until the stream runs again. `tailrace status` says what the connection waits for, `tailrace doctor` what is missing.',
      },
    ],
  }),
  gauge({
    name: 'tailrace_database_wal_end_lsn',
    help: 'End of the WAL as the server last said, as a byte position.',
    unit: 'byte position',
    value: (database) => lsnNumber(database.walEnd),
    meaning: '`deriv(…[5m])` is how many bytes of WAL the server writes a second.',
  }),
  gauge({
    name: 'tailrace_database_logged_lsn',
    help: 'End LSN of the last transaction in the change log, as a byte position.',
    unit: 'byte position',
    value: (database) => lsnNumber(database.loggedEnd),
  }),
  gauge({
    name: 'tailrace_database_durable_lsn',
    help: 'End LSN of what is synced to disk, as a byte position.',
    unit: 'byte position',
    value: (database) => lsnNumber(database.durableEnd),
  }),
  gauge({
    name: 'tailrace_database_flushed_lsn',
    help: 'What Postgres was told that it may free, as a byte position.',
    unit: 'byte position',
    value: (database) => lsnNumber(database.flushed),
  }),
  gauge({
    name: 'tailrace_database_retained_bytes',
    help: 'WAL that the slot holds back: WAL end minus flushed.',
    unit: 'bytes',
    value: (database) => database.retainedBytes,
    meaning:
      "On the primary's disk. With `slot.ack: auto` it stays near `slot.max_retained` (128 MB) even while a sink stands.",
    alerts: [
      {
        name: 'TailraceWalRetained',
        expression: 'tailrace_database_retained_bytes > 1073741824',
        holdsFor: '10m',
        severity: 'warning',
        summary:
          'The slot of database {{ $labels.database }} holds back {{ $value | humanize1024 }}B of WAL.',
        description:
          "Postgres' disk fills until it is read: is the stream running, is the log's budget spent (`log.max_bytes`), does `slot.ack: delivered` wait for a sink? Set the limit to what that disk can bear; above `max_slot_wal_keep_size` the slot is lost.",
      },
    ],
  }),
  gauge({
    name: 'tailrace_database_log_bytes',
    help: 'Size of the change log on disk.',
    unit: 'bytes',
    value: (database) => database.logBytes,
    meaning:
      "Its budget is `log.max_bytes`. What happens when it is spent is each sink's `load_shedding_policy`.",
  }),
  counter({
    name: 'tailrace_database_transactions_total',
    help: 'Transactions logged since the start.',
    unit: 'transactions',
    value: (database) => database.transactions,
  }),
  counter({
    name: 'tailrace_database_streamed_transactions_total',
    help: 'Of the transactions logged since the start, those that came while they were in progress.',
    unit: 'transactions',
    value: (database) => database.streamedTransactions,
    meaning: 'With `slot.streaming: on`, which see [large transactions](concepts.md#large-transactions).',
  }),
  gauge({
    name: 'tailrace_database_spooled_bytes',
    help: 'What of transactions in progress waits on the disk for their commits.',
    unit: 'bytes',
    value: (database) => database.spooledBytes,
    meaning: 'At most `slot.max_spooled`.',
  }),
  counter({
    name: 'tailrace_database_changes_total',
    help: 'Row changes logged since the start.',
    unit: 'changes',
    value: (database) => database.changes,
  }),
  counter({
    name: 'tailrace_database_unproved_shapes_total',
    help: "Row changes with a composite value that is Postgres' text: which attributes its type had then was not proved.",
    unit: 'changes',
    value: (database) => database.unprovedShapes,
    meaning: 'See [composite types that change](sources.md#composite-types-that-change).',
    alerts: [
      {
        name: 'TailraceUnprovedShapes',
        expression: 'increase(tailrace_database_unproved_shapes_total[15m]) > 0',
        holdsFor: '0m',
        severity: 'info',
        summary: "Composite values of database {{ $labels.database }} were delivered as Postgres' text.",
        description:
          'A type was altered while rows of it were written. Consumers get text where they get an object at other times; the log names table and type.',
      },
    ],
  }),
  counter({
    name: 'tailrace_database_received_bytes_total',
    help: 'Bytes received from Postgres since the start.',
    unit: 'bytes',
    value: (database) => database.receivedBytes,
  }),
  counter({
    name: 'tailrace_database_reconnects_total',
    help: 'Times the replication connection was made again.',
    unit: 'times',
    value: (database) => database.reconnects,
    alerts: [
      {
        name: 'TailraceReconnects',
        expression: 'increase(tailrace_database_reconnects_total[15m]) > 5',
        holdsFor: '0m',
        severity: 'warning',
        summary:
          'The connection to database {{ $labels.database }} broke more than five times within 15 minutes.',
        description:
          'Nothing is lost, but delivery stops each time. The log says what ended it: the network, `wal_sender_timeout`, a server that restarts.',
      },
    ],
  }),
  gauge({
    name: 'tailrace_database_stalled',
    help: 'Why what Postgres may forget does not move: 1 for the cause that holds.',
    unit: '0 or 1',
    labels: { cause: STALL_CAUSES },
    value: ({ stall }) =>
      STALL_CAUSES.map((cause) => ({ labels: { cause }, value: cause === stall ? 1 : 0 })),
    meaning:
      'All 0 while it moves, or nothing is there to move it. `socket_dead` and `replies_lost` are healed by a new connection at once, and seen in `tailrace_database_stalls_healed_total`.',
    alerts: [
      {
        name: 'TailraceStalled',
        expression: 'tailrace_database_stalled == 1',
        holdsFor: '5m',
        severity: 'warning',
        summary:
          'What Postgres may forget for database {{ $labels.database }} has not moved: {{ $labels.cause }}.',
        description:
          'Its WAL piles up. `tailrace status` names the sink, the disk or the server that it waits for, with the cure.',
      },
    ],
  }),
  counter({
    name: 'tailrace_database_stalls_healed_total',
    help: 'Stalls that ended with a new connection, and walsenders left over that were ended, since the start.',
    unit: 'times',
    value: (database) => database.stallsHealed,
    meaning:
      'More than a few a day: a network, a proxy or a firewall between the two drops connections without a word.',
  }),
  gauge({
    name: 'tailrace_database_standbys_unready',
    help: 'Standbys of the host list that would lose the slot in a failover now, or do not answer.',
    unit: 'standbys',
    value: ({ standbys = [] }) => standbys.filter(({ ready }) => !ready).length,
    meaning: '0 where there is one host, or nobody keeps the slot on standbys. `tailrace status` names them.',
    alerts: [
      {
        name: 'TailraceStandbyUnready',
        expression: 'tailrace_database_standbys_unready > 0',
        holdsFor: '15m',
        severity: 'warning',
        summary: 'A failover now may lose the slot of database {{ $labels.database }}.',
        description: '`tailrace status` names the standby and the reason, `tailrace doctor` the SQL.',
      },
    ],
  }),
  gauge({
    name: 'tailrace_database_standby_retained_bytes',
    help: 'WAL that a standby keeps for its slot: the most of any of them.',
    unit: 'bytes',
    value: ({ standbys = [] }) => Math.max(0, ...standbys.map(({ retainedBytes = 0 }) => retainedBytes)),
    meaning: "On that standby's disk. `tailrace slots list` has each.",
  }),
  gauge({
    name: 'tailrace_database_gaps',
    help: 'Declared gaps that nobody has accepted: ranges of WAL of which not every change is here.',
    unit: 'gaps',
    value: (database) => database.gaps.length,
    alerts: [
      {
        name: 'TailraceGap',
        expression: 'tailrace_database_gaps > 0',
        holdsFor: '0m',
        severity: 'critical',
        summary: 'Changes of database {{ $labels.database }} may be missing: a gap is declared.',
        description:
          'With `on_gap: halt` the sinks that it concerns stand. What to do is in docs/operations.md, under Gaps.',
      },
    ],
  }),
  counter({
    name: 'tailrace_database_partings_total',
    help: "Times that a server's history parted from the log's, as after a failover to a standby that had not received everything; kept over restarts.",
    unit: 'times',
    value: ({ lostHistories }) => lostHistories?.partings,
    meaning: 'A server of which nothing tells where it parts is refused: then the database is `halted`.',
    alerts: [
      {
        name: 'TailraceParted',
        expression: 'increase(tailrace_database_partings_total[1h]) > 0',
        holdsFor: '0m',
        severity: 'warning',
        summary:
          'The server of database {{ $labels.database }} has not all that was read from the one before.',
        description:
          'The stream goes on with what it has. Changes that only the lost history had may have been delivered: `tailrace status --orphans` lists them.',
      },
    ],
  }),
  counter({
    name: 'tailrace_database_orphans_total',
    help: 'Changes that a sink had delivered, and that the history of the server does not have; kept over restarts.',
    unit: 'changes',
    value: ({ lostHistories }) => lostHistories?.orphaned,
    meaning: 'Counted for each sink. `tailrace status --orphans` lists the first of them by table and key.',
  }),
  counter({
    name: 'tailrace_database_lost_unsent_total',
    help: 'Changes of histories that are lost that a sink had not delivered: they are not sent; kept over restarts.',
    unit: 'changes',
    value: ({ lostHistories }) => lostHistories?.discarded,
  }),
];
