// The metrics of one sink: what it delivers, how far behind it is, what waits.
import { SINK_COUNTERS, type SinkCounter } from '../../core/counts.ts';
import type { SinkStatus } from '../../core/status.ts';
import { counter, gauge, HEALTHS, healthSamples, lsnNumber, type Metric } from './definition.ts';

/** Of every counter of a sink: its name between `tailrace_sink_` and `_total`, and its help. */
const COUNTERS: Readonly<Record<SinkCounter, { readonly name: string; readonly help: string }>> = {
  delivered: { name: 'delivered', help: 'Messages that the destination accepted.' },
  bytes: { name: 'delivered_bytes', help: 'Bytes of the messages that the destination accepted.' },
  deadLettered: { name: 'dead_letters', help: 'Messages put aside as dead letters since the start.' },
  retried: { name: 'retries', help: 'Messages sent again.' },
  requests: { name: 'requests', help: 'Requests to the destination.' },
  failedRequests: { name: 'failed_requests', help: 'Requests that failed as a whole.' },
  discarded: {
    name: 'discarded',
    help: 'Changes given up because the log had spent its budget (load_shedding_policy: discard_on_full).',
  },
  inversions: {
    name: 'inversions',
    help: 'Messages delivered after a later one of their group (same_group: ordered).',
  },
};

export const SINK_METRICS: readonly Metric<SinkStatus>[] = [
  ...SINK_COUNTERS.map((field) => {
    const { name, help } = COUNTERS[field];
    return counter(`tailrace_sink_${name}_total`, help, (sink: SinkStatus) => sink[field]);
  }),
  gauge(
    'tailrace_sink_status',
    'The status of the sink: 1 for the word that holds.',
    (sink) => healthSamples(sink.health),
    ['status'],
  ),
  gauge(
    'tailrace_sink_settled_lsn',
    'LSN up to which every change of this sink is settled, as a byte position.',
    (sink) => lsnNumber(sink.settled),
  ),
  gauge(
    'tailrace_sink_lag_bytes',
    'Bytes of the change log that are not settled yet.',
    (sink) => sink.lagBytes,
  ),
  gauge(
    'tailrace_sink_lag_seconds',
    'Age of the oldest unsettled change; 0 when there is none.',
    (sink) => sink.lagSeconds,
  ),
  gauge(
    'tailrace_sink_dead_letters',
    'Dead letters kept now, by state (dead, replaying).',
    (sink) => [
      { labels: { state: 'dead' }, value: sink.deadLetters - sink.replaying },
      { labels: { state: 'replaying' }, value: sink.replaying },
    ],
    ['state'],
  ),
  counter(
    'tailrace_sink_dead_letters_dropped_total',
    'Dead letters that a limit of dead_letters has dropped.',
    (sink) => sink.deadLettersDropped,
  ),
  gauge(
    'tailrace_sink_gaps',
    'Gaps on record: ranges of WAL that this sink never had.',
    (sink) => sink.gaps.length,
  ),
  counter('tailrace_sink_rewinds_total', 'How often the sink was rewound.', (sink) => sink.rewinds),
  gauge('tailrace_sink_in_flight', 'Messages in requests that have no answer yet.', (sink) => sink.inFlight),
  gauge('tailrace_sink_buffered', 'Messages waiting in memory.', (sink) => sink.buffered),
  gauge('tailrace_sink_parked', 'Messages of blocked groups that wait in the log.', (sink) => sink.parked),
  counter(
    'tailrace_sink_skipped_changes_total',
    'Changes skipped since the start because a marker in their transaction said so.',
    (sink) => sink.markers.skippedChanges,
  ),
  // Counted, not named: a route is a queue URL, and /metrics needs no token.
  gauge(
    'tailrace_sink_routes',
    'Number of routes (queues, topics, …) by status.',
    (sink) =>
      HEALTHS.map((status) => ({
        labels: { status },
        value: sink.routes.filter((route) => route.health === status).length,
      })),
    ['status'],
  ),
  gauge(
    'tailrace_sink_latency_seconds',
    'Commit to accepted, over the last minute at most.',
    ({ latency }) =>
      latency && [
        { labels: { quantile: '0.5' }, value: latency.p50 / 1000 },
        { labels: { quantile: '0.99' }, value: latency.p99 / 1000 },
        { labels: { quantile: '1' }, value: latency.max / 1000 },
      ],
    ['quantile'],
  ),
  gauge(
    'tailrace_sink_pull_available',
    'Pull streams: messages that the next request may take.',
    ({ pull }) => pull?.available,
  ),
  gauge(
    'tailrace_sink_pull_outstanding',
    'Pull streams: messages received and not acknowledged.',
    ({ pull }) => pull?.outstanding,
  ),
  gauge(
    'tailrace_sink_pull_waiting',
    'Pull streams: requests that wait for messages.',
    ({ pull }) => pull?.waiting,
  ),
  counter(
    'tailrace_sink_pull_timeouts_total',
    'Pull streams: messages whose visibility timeout ended without an acknowledgement.',
    ({ pull }) => pull?.timedOut,
  ),
  counter(
    'tailrace_sink_pull_unknown_acks_total',
    'Pull streams: acknowledgements of messages that nobody knows.',
    ({ pull }) => pull?.unknownAcks,
  ),
];
