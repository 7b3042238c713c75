// The metrics of one sink: what it delivers, how far behind it is, what waits. Its counters: sink-counters.ts; a pull stream's: pull.ts.
import { ROUTE_LIMITS, type SinkStatus } from '../../core/status.ts';
import { counter, gauge, HEALTHS, healthSamples, lsnNumber, type Metric } from './definition.ts';
import { PULL_METRICS } from './pull.ts';
import { SINK_COUNTER_METRICS } from './sink-counters.ts';

export const SINK_METRICS: readonly Metric<SinkStatus>[] = [
  ...SINK_COUNTER_METRICS,
  gauge({
    name: 'tailrace_sink_status',
    help: 'The status of the sink: 1 for the word that holds.',
    unit: '0 or 1',
    labels: { status: HEALTHS },
    value: (sink) => healthSamples(sink.health),
    meaning:
      '`degraded` mends itself or goes on with something left out; `halted` needs somebody. `tailrace status` has reason and cure.',
    alerts: [
      {
        name: 'TailraceSinkHalted',
        expression: 'tailrace_sink_status{status="halted"} == 1',
        holdsFor: '1m',
        severity: 'critical',
        summary: 'Sink {{ $labels.sink }} of database {{ $labels.database }} is halted: it delivers nothing.',
        description:
          'It keeps its place in the log and does not go on by itself. `tailrace status` has the reason and the cure.',
      },
      {
        name: 'TailraceSinkDegraded',
        expression: 'tailrace_sink_status{status="degraded"} == 1',
        holdsFor: '15m',
        severity: 'warning',
        summary:
          'Sink {{ $labels.sink }} of database {{ $labels.database }} has been degraded for 15 minutes.',
        description:
          'Its destination fails or refuses, too many messages wait behind failing ones, or it gives up changes. It tries again by itself; `tailrace status` has the reason and the cure.',
      },
    ],
  }),
  gauge({
    name: 'tailrace_sink_settled_lsn',
    help: 'LSN up to which every change of this sink is settled, as a byte position.',
    unit: 'byte position',
    value: (sink) => lsnNumber(sink.settled),
  }),
  gauge({
    name: 'tailrace_sink_lag_bytes',
    help: 'Bytes of the change log that are not settled yet.',
    unit: 'bytes',
    value: (sink) => sink.lagBytes,
    meaning: "Other sinks' tables count too until they are passed. A paused sink's grows.",
  }),
  gauge({
    name: 'tailrace_sink_lag_seconds',
    help: 'Age of the oldest unsettled change; 0 when there is none.',
    unit: 'seconds',
    value: (sink) => sink.lagSeconds,
    meaning: "Since its commit. A paused sink's grows as well.",
    alerts: [
      {
        name: 'TailraceSinkBehind',
        expression: 'tailrace_sink_lag_seconds > 60',
        holdsFor: '5m',
        severity: 'warning',
        summary:
          'Sink {{ $labels.sink }} of database {{ $labels.database }} is {{ $value | humanizeDuration }} behind.',
        description:
          'Its destination is slower than the writers or down, a message blocks its group, or the sink is paused. Set the limit to what your consumers expect.',
      },
    ],
  }),
  gauge({
    name: 'tailrace_sink_dead_letters_kept',
    help: 'Dead letters kept now, by state (dead, replaying).',
    unit: 'dead letters',
    labels: { state: ['dead', 'replaying'] },
    value: (sink) => [
      { labels: { state: 'dead' }, value: sink.deadLetters - sink.replaying },
      { labels: { state: 'replaying' }, value: sink.replaying },
    ],
    meaning: 'See [dead letters](operations.md#dead-letters). What is kept is bounded by `dead_letters`.',
  }),
  counter({
    name: 'tailrace_sink_dead_letters_dropped_total',
    help: 'Dead letters that a limit of dead_letters has dropped.',
    unit: 'dead letters',
    value: (sink) => sink.deadLettersDropped,
    meaning: 'Ever, not since the start.',
    alerts: [
      {
        name: 'TailraceDeadLettersDropped',
        expression: 'increase(tailrace_sink_dead_letters_dropped_total[15m]) > 0',
        holdsFor: '0m',
        severity: 'critical',
        summary:
          'Sink {{ $labels.sink }} of database {{ $labels.database }} has dropped dead letters for good.',
        description:
          'A limit of `dead_letters` (`retention`, `max_count`, `max_bytes`) was reached. Replay or discard what is kept, or raise the limit.',
      },
    ],
  }),
  gauge({
    name: 'tailrace_sink_gaps',
    help: 'Gaps on record: ranges of WAL that this sink never had.',
    unit: 'gaps',
    value: (sink) => sink.gaps.length,
    meaning:
      'What it missed while it was disabled, say, or what `discard_on_full` gave up. They stay on record; the latest 20 are counted.',
    alerts: [
      {
        name: 'TailraceSinkGap',
        expression: 'delta(tailrace_sink_gaps[15m]) > 0',
        holdsFor: '0m',
        severity: 'warning',
        summary: 'Sink {{ $labels.sink }} of database {{ $labels.database }} has missed changes.',
        description:
          '`tailrace status` has range and reason. What the log still holds can be sent with `tailrace rewind`.',
      },
    ],
  }),
  counter({
    name: 'tailrace_sink_rewinds_total',
    help: 'How often the sink was rewound.',
    unit: 'times',
    value: (sink) => sink.rewinds,
    meaning: 'Ever, not since the start.',
  }),
  gauge({
    name: 'tailrace_sink_in_flight',
    help: 'Messages in requests that have no answer yet.',
    unit: 'messages',
    value: (sink) => sink.inFlight,
  }),
  gauge({
    name: 'tailrace_sink_buffered',
    help: 'Messages waiting in memory.',
    unit: 'messages',
    value: (sink) => sink.buffered,
  }),
  gauge({
    name: 'tailrace_sink_parked',
    help: 'Messages of blocked groups that wait in the log.',
    unit: 'messages',
    value: (sink) => sink.parked,
    alerts: [
      {
        name: 'TailraceSinkBlocked',
        expression: 'tailrace_sink_parked > 0',
        holdsFor: '15m',
        severity: 'warning',
        summary:
          '{{ $value }} messages of sink {{ $labels.sink }} of database {{ $labels.database }} wait behind failing ones.',
        description:
          'The other groups go on. `tailrace status` names the groups held back; mend what refuses the message, or set `max_retry_count` so that it becomes a dead letter.',
      },
    ],
  }),
  counter({
    name: 'tailrace_sink_skipped_changes_total',
    help: 'Changes skipped since the start because a marker in their transaction said so.',
    unit: 'changes',
    value: (sink) => sink.markers.skippedChanges,
    meaning: 'See [skipping a transaction](sources.md#skipping-a-transaction).',
  }),
  // Counted, not named: a route is a queue URL, and /metrics needs no token.
  gauge({
    name: 'tailrace_sink_routes',
    help: 'Number of routes (queues, topics, …) by status.',
    unit: 'routes',
    labels: { status: HEALTHS },
    value: (sink) =>
      HEALTHS.map((status) => ({
        labels: { status },
        value: sink.routeCounts?.[status] ?? sink.routes.filter((route) => route.health === status).length,
      })),
    meaning: 'A route that fails makes its sink `degraded`; `tailrace status` names it.',
  }),
  gauge({
    name: 'tailrace_sink_limited_routes',
    help: 'Number of routes by what holds them back.',
    unit: 'routes',
    labels: { by: ROUTE_LIMITS },
    value: (sink) =>
      ROUTE_LIMITS.map((by) => ({
        labels: { by },
        value: sink.routes.filter(({ limitedBy }) => limitedBy === by).length,
      })),
    meaning: 'Of at most fifty, those that fail first. [What each means](concepts.md#lanes).',
  }),
  gauge({
    name: 'tailrace_sink_lanes',
    help: 'Requests that the routes may have in flight, as many as were found to bring more.',
    unit: 'requests',
    value: (sink) => sink.routes.reduce((sum, { lanes }) => sum + lanes, 0),
    meaning: 'Of the same routes, in sum.',
  }),
  gauge({
    name: 'tailrace_sink_answer_seconds',
    help: 'From a request to its answer, on average lately: of the route where it takes longest.',
    unit: 'seconds',
    value: (sink) => longestAnswer(sink),
    meaning: 'Of the same routes. Absent until something was answered.',
  }),
  gauge({
    name: 'tailrace_sink_latency_seconds',
    help: 'Commit to accepted, over the last minute at most: median, 99th percentile, maximum.',
    unit: 'seconds',
    labels: { statistic: ['p50', 'p99', 'max'] },
    value: ({ latency }) =>
      latency && [
        { labels: { statistic: 'p50' }, value: latency.p50 / 1000 },
        { labels: { statistic: 'p99' }, value: latency.p99 / 1000 },
        { labels: { statistic: 'max' }, value: latency.max / 1000 },
      ],
    meaning:
      'By the clock of the database server and ours. Absent while nothing was delivered in the last minute.',
  }),
  ...PULL_METRICS,
];

function longestAnswer({ routes }: SinkStatus): number | undefined {
  const answers = routes.flatMap(({ answerMs }) => answerMs ?? []);
  return answers.length === 0 ? undefined : Math.max(...answers) / 1000;
}
