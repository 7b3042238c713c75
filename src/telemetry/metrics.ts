// Every metric, declared once, and filled from the service's status whenever somebody scrapes.
import { Counter, Gauge, Registry } from '@prometheus-io/client';
import { parseLsn } from '../core/lsn.ts';
import type { DatabaseStatus, Health, ServiceStatus, SinkStatus } from '../core/status.ts';

type Sample = { readonly labels: Readonly<Record<string, string>>; readonly value: number };

type MetricDefinition<Subject> = {
  readonly kind: 'counter' | 'gauge';
  readonly name: string;
  readonly help: string;
  /** Labels besides those that name the subject. */
  readonly labels?: readonly string[];
  /** A number, or several samples that differ in `labels`; undefined: nothing known yet. */
  readonly value: (subject: Subject) => number | undefined | readonly Sample[];
};

const HEALTHS: readonly Health[] = ['healthy', 'degraded', 'halted'];

/** One sample a word, 1 for the word that holds: https://prometheus.io/docs/instrumenting/writing_exporters/ */
const healthSamples = (health: Health): readonly Sample[] =>
  HEALTHS.map((status) => ({ labels: { status }, value: status === health ? 1 : 0 }));

/** A double holds LSNs up to 2^53 (8 PiB of WAL) exactly: enough for a graph. */
const lsnNumber = (text: string): number => Number(parseLsn(text) ?? 0n);

const SERVICE_METRICS: readonly MetricDefinition<ServiceStatus>[] = [
  {
    kind: 'gauge',
    name: 'tailrace_info',
    help: 'Always 1; the label says which version runs.',
    labels: ['version'],
    value: (service) => [{ labels: { version: service.version }, value: 1 }],
  },
  {
    kind: 'gauge',
    name: 'tailrace_status',
    help: 'The status of the whole service: 1 for the word that holds.',
    labels: ['status'],
    value: (service) => healthSamples(service.status),
  },
  {
    kind: 'gauge',
    name: 'tailrace_start_time_seconds',
    help: 'When the service started, in seconds since 1970.',
    value: (service) => Date.parse(service.startedAt) / 1000,
  },
  {
    kind: 'counter',
    name: 'process_cpu_seconds_total',
    help: 'CPU time of the process, user and system, in seconds.',
    value: () => {
      const { user, system } = process.cpuUsage();
      return (user + system) / 1e6;
    },
  },
  {
    kind: 'gauge',
    name: 'process_resident_memory_bytes',
    help: 'Resident memory of the process in bytes.',
    value: () => process.memoryUsage.rss(),
  },
];

const DATABASE_METRICS: readonly MetricDefinition<DatabaseStatus>[] = [
  {
    kind: 'gauge',
    name: 'tailrace_database_status',
    help: 'The status of the source: 1 for the word that holds.',
    labels: ['status'],
    value: (database) => healthSamples(database.health),
  },
  {
    kind: 'gauge',
    name: 'tailrace_database_streaming',
    help: '1 while the replication stream runs.',
    value: (database) => (database.state === 'streaming' ? 1 : 0),
  },
  {
    kind: 'gauge',
    name: 'tailrace_database_wal_end_lsn',
    help: 'End of the WAL as the server last said, as a byte position.',
    value: (database) => lsnNumber(database.walEnd),
  },
  {
    kind: 'gauge',
    name: 'tailrace_database_logged_lsn',
    help: 'End LSN of the last transaction in the change log, as a byte position.',
    value: (database) => lsnNumber(database.loggedEnd),
  },
  {
    kind: 'gauge',
    name: 'tailrace_database_durable_lsn',
    help: 'End LSN of what is synced to disk, as a byte position.',
    value: (database) => lsnNumber(database.durableEnd),
  },
  {
    kind: 'gauge',
    name: 'tailrace_database_flushed_lsn',
    help: 'What Postgres was told that it may free, as a byte position.',
    value: (database) => lsnNumber(database.flushed),
  },
  {
    kind: 'gauge',
    name: 'tailrace_database_retained_bytes',
    help: 'WAL that the slot holds back: WAL end minus flushed.',
    value: (database) => database.retainedBytes,
  },
  {
    kind: 'gauge',
    name: 'tailrace_database_log_bytes',
    help: 'Size of the change log on disk.',
    value: (database) => database.logBytes,
  },
  {
    kind: 'counter',
    name: 'tailrace_database_transactions_total',
    help: 'Transactions logged since the start.',
    value: (database) => database.transactions,
  },
  {
    kind: 'counter',
    name: 'tailrace_database_changes_total',
    help: 'Row changes logged since the start.',
    value: (database) => database.changes,
  },
  {
    kind: 'counter',
    name: 'tailrace_database_received_bytes_total',
    help: 'Bytes received from Postgres since the start.',
    value: (database) => database.receivedBytes,
  },
  {
    kind: 'counter',
    name: 'tailrace_database_reconnects_total',
    help: 'Times the replication connection was made again.',
    value: (database) => database.reconnects,
  },
  {
    kind: 'gauge',
    name: 'tailrace_database_gaps',
    help: 'Declared gaps: ranges of WAL that this service never saw.',
    value: (database) => database.gaps.length,
  },
];

const SINK_METRICS: readonly MetricDefinition<SinkStatus>[] = [
  {
    kind: 'gauge',
    name: 'tailrace_sink_status',
    help: 'The status of the sink: 1 for the word that holds.',
    labels: ['status'],
    value: (sink) => healthSamples(sink.health),
  },
  {
    kind: 'gauge',
    name: 'tailrace_sink_settled_lsn',
    help: 'LSN up to which every change of this sink is settled, as a byte position.',
    value: (sink) => lsnNumber(sink.settled),
  },
  {
    kind: 'gauge',
    name: 'tailrace_sink_lag_bytes',
    help: 'Bytes of the change log that are not settled yet.',
    value: (sink) => sink.lagBytes,
  },
  {
    kind: 'gauge',
    name: 'tailrace_sink_lag_seconds',
    help: 'Age of the oldest unsettled change; 0 when there is none.',
    value: (sink) => sink.lagSeconds,
  },
  {
    kind: 'counter',
    name: 'tailrace_sink_delivered_total',
    help: 'Messages that the destination accepted.',
    value: (sink) => sink.delivered,
  },
  {
    kind: 'counter',
    name: 'tailrace_sink_delivered_bytes_total',
    help: 'Bytes of the messages that the destination accepted.',
    value: (sink) => sink.bytes,
  },
  {
    kind: 'counter',
    name: 'tailrace_sink_dead_letters_total',
    help: 'Messages put aside as dead letters since the start.',
    value: (sink) => sink.deadLettered,
  },
  {
    kind: 'gauge',
    name: 'tailrace_sink_dead_letters',
    help: 'Dead letters kept now, by state (dead, replaying).',
    labels: ['state'],
    value: (sink) => [
      { labels: { state: 'dead' }, value: sink.deadLetters - sink.replaying },
      { labels: { state: 'replaying' }, value: sink.replaying },
    ],
  },
  {
    kind: 'counter',
    name: 'tailrace_sink_dead_letters_dropped_total',
    help: 'Dead letters that a limit of dead_letters has dropped.',
    value: (sink) => sink.deadLettersDropped,
  },
  {
    kind: 'gauge',
    name: 'tailrace_sink_gaps',
    help: 'Gaps on record: ranges of WAL that this sink never had.',
    value: (sink) => sink.gaps.length,
  },
  {
    kind: 'counter',
    name: 'tailrace_sink_rewinds_total',
    help: 'How often the sink was rewound.',
    value: (sink) => sink.rewinds,
  },
  {
    kind: 'counter',
    name: 'tailrace_sink_retries_total',
    help: 'Messages sent again.',
    value: (sink) => sink.retried,
  },
  {
    kind: 'counter',
    name: 'tailrace_sink_requests_total',
    help: 'Requests to the destination.',
    value: (sink) => sink.requests,
  },
  {
    kind: 'counter',
    name: 'tailrace_sink_failed_requests_total',
    help: 'Requests that failed as a whole.',
    value: (sink) => sink.failedRequests,
  },
  {
    kind: 'gauge',
    name: 'tailrace_sink_in_flight',
    help: 'Messages in requests that have no answer yet.',
    value: (sink) => sink.inFlight,
  },
  {
    kind: 'gauge',
    name: 'tailrace_sink_buffered',
    help: 'Messages waiting in memory.',
    value: (sink) => sink.buffered,
  },
  {
    kind: 'gauge',
    name: 'tailrace_sink_parked',
    help: 'Messages of blocked groups that wait in the log.',
    value: (sink) => sink.parked,
  },
  {
    kind: 'counter',
    name: 'tailrace_sink_discarded_total',
    help: 'Changes given up because the log had spent its budget (load_shedding_policy: discard_on_full).',
    value: (sink) => sink.discarded,
  },
  {
    kind: 'counter',
    name: 'tailrace_sink_inversions_total',
    help: 'Messages delivered after a later one of their group (same_group: ordered).',
    value: (sink) => sink.inversions,
  },
  {
    kind: 'counter',
    name: 'tailrace_sink_skipped_changes_total',
    help: 'Changes skipped since the start because a marker in their transaction said so.',
    value: (sink) => sink.markers.skippedChanges,
  },
  {
    // Counted, not named: a route is a queue URL, and /metrics needs no token.
    kind: 'gauge',
    name: 'tailrace_sink_routes',
    help: 'Number of routes (queues, topics, …) by status.',
    labels: ['status'],
    value: (sink) =>
      HEALTHS.map((status) => ({
        labels: { status },
        value: sink.routes.filter((route) => route.health === status).length,
      })),
  },
  {
    kind: 'gauge',
    name: 'tailrace_sink_latency_seconds',
    help: 'Commit to accepted, over the last minute at most.',
    labels: ['quantile'],
    value: ({ latency }) =>
      latency && [
        { labels: { quantile: '0.5' }, value: latency.p50 / 1000 },
        { labels: { quantile: '0.99' }, value: latency.p99 / 1000 },
        { labels: { quantile: '1' }, value: latency.max / 1000 },
      ],
  },
  {
    kind: 'gauge',
    name: 'tailrace_sink_pull_available',
    help: 'Pull streams: messages that the next request may take.',
    value: ({ pull }) => pull?.available,
  },
  {
    kind: 'gauge',
    name: 'tailrace_sink_pull_outstanding',
    help: 'Pull streams: messages received and not acknowledged.',
    value: ({ pull }) => pull?.outstanding,
  },
  {
    kind: 'gauge',
    name: 'tailrace_sink_pull_waiting',
    help: 'Pull streams: requests that wait for messages.',
    value: ({ pull }) => pull?.waiting,
  },
  {
    kind: 'counter',
    name: 'tailrace_sink_pull_timeouts_total',
    help: 'Pull streams: messages whose visibility timeout ended without an acknowledgement.',
    value: ({ pull }) => pull?.timedOut,
  },
  {
    kind: 'counter',
    name: 'tailrace_sink_pull_unknown_acks_total',
    help: 'Pull streams: acknowledgements of messages that nobody knows.',
    value: ({ pull }) => pull?.unknownAcks,
  },
];

/** A function that makes the text of /metrics (Prometheus' text format 0.0.4) from the status of this moment. */
export function createMetrics(status: () => ServiceStatus): () => Promise<string> {
  const registry = new Registry();
  const fillService = declare(registry, SERVICE_METRICS, []);
  const fillDatabases = declare(registry, DATABASE_METRICS, ['database']);
  const fillSinks = declare(registry, SINK_METRICS, ['database', 'sink']);
  return () => {
    const now = status();
    registry.resetMetrics();
    fillService(now, {});
    for (const database of now.databases) fillDatabases(database, { database: database.name });
    for (const sink of now.sinks) fillSinks(sink, { database: sink.database, sink: sink.name });
    return registry.metrics();
  };
}

type Fill<Subject> = (subject: Subject, labels: Readonly<Record<string, string>>) => void;

function declare<Subject>(
  registry: Registry,
  definitions: readonly MetricDefinition<Subject>[],
  subjectLabels: readonly string[],
): Fill<Subject> {
  const metrics = definitions.map((definition) => {
    const { name, help, labels = [] } = definition;
    const configuration = { name, help, labelNames: [...subjectLabels, ...labels], registers: [registry] };
    const add =
      definition.kind === 'counter' ? adder(new Counter(configuration)) : adder(new Gauge(configuration));
    return { definition, add };
  });
  return (subject, labels) => {
    for (const { definition, add } of metrics) {
      const value = definition.value(subject);
      if (value === undefined) continue;
      if (typeof value === 'number') add(labels, value);
      else for (const sample of value) add({ ...labels, ...sample.labels }, sample.value);
    }
  };
}

/** All metrics are at zero when they are filled, so adding sets the total of a counter too. */
const adder =
  (metric: Counter<string> | Gauge<string>) =>
  (labels: Readonly<Record<string, string>>, value: number): void =>
    metric.inc(labels, value);
