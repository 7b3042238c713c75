// Of every counter of a sink (core/counts.ts): its metric. A counter without one here is a type error.
import { SINK_COUNTERS, type SinkCounter } from '../../core/counts.ts';
import type { SinkStatus } from '../../core/status.ts';
import { counter, type Metric, type MetricDeclaration } from './definition.ts';

/** `name` stands between `tailrace_sink_` and `_total`. */
const COUNTERS: Readonly<Record<SinkCounter, Omit<MetricDeclaration<SinkStatus>, 'value'>>> = {
  delivered: {
    name: 'delivered',
    help: 'Messages that the destination accepted.',
    unit: 'messages',
  },
  bytes: {
    name: 'delivered_bytes',
    help: 'Bytes of the messages that the destination accepted.',
    unit: 'bytes',
  },
  deadLettered: {
    name: 'dead_letters',
    help: 'Messages put aside as dead letters since the start.',
    unit: 'dead letters',
    alerts: [
      {
        name: 'TailraceDeadLetters',
        expression: 'increase(tailrace_sink_dead_letters_total[10m]) > 0',
        holdsFor: '0m',
        severity: 'warning',
        summary:
          'Sink {{ $labels.sink }} of database {{ $labels.database }} has put messages aside as dead letters.',
        description:
          'The destination refuses them for good. `tailrace dead-letters list` has the reasons; once that is mended, `tailrace dead-letters replay`.',
      },
    ],
  },
  filtered: {
    name: 'filtered',
    help: "Changes that the sink's filter (`where`) did not let through.",
    unit: 'changes',
  },
  retried: {
    name: 'retries',
    help: 'Messages sent again.',
    unit: 'messages',
  },
  requests: {
    name: 'requests',
    help: 'Requests to the destination.',
    unit: 'requests',
  },
  failedRequests: {
    name: 'failed_requests',
    help: 'Requests that failed as a whole.',
    unit: 'requests',
    alerts: [
      {
        name: 'TailraceRequestsFail',
        expression:
          'rate(tailrace_sink_failed_requests_total[5m]) / rate(tailrace_sink_requests_total[5m]) > 0.1',
        holdsFor: '10m',
        severity: 'warning',
        summary:
          '{{ $value | humanizePercentage }} of the requests of sink {{ $labels.sink }} of database {{ $labels.database }} fail.',
        description:
          'The destination is down, throttles or denies. No message is given up for it; `tailrace status` has the error and its cure.',
      },
    ],
  },
  discarded: {
    name: 'discarded',
    help: 'Changes given up because the log had spent its budget (load_shedding_policy: discard_on_full).',
    unit: 'changes',
    alerts: [
      {
        name: 'TailraceDiscarded',
        expression: 'increase(tailrace_sink_discarded_total[10m]) > 0',
        holdsFor: '0m',
        severity: 'critical',
        summary: 'Sink {{ $labels.sink }} of database {{ $labels.database }} gives up changes.',
        description:
          'As `load_shedding_policy: discard_on_full` says: the log has spent `log.max_bytes` because of this sink. The range is a gap in its status.',
      },
    ],
  },
  inversions: {
    name: 'inversions',
    help: 'Messages delivered after a later one of their group (same_group: ordered).',
    unit: 'messages',
    alerts: [
      {
        name: 'TailraceInversions',
        expression: 'increase(tailrace_sink_inversions_total[10m]) > 0',
        holdsFor: '0m',
        severity: 'warning',
        summary:
          'Sink {{ $labels.sink }} of database {{ $labels.database }} has delivered messages out of order.',
        description:
          'One entry of a request failed while a later one of its group was accepted. `same_group: strict`, the default, rules it out.',
      },
    ],
  },
};

export const SINK_COUNTER_METRICS: readonly Metric<SinkStatus>[] = SINK_COUNTERS.map((field) =>
  counter({
    ...COUNTERS[field],
    name: `tailrace_sink_${COUNTERS[field].name}_total`,
    value: (sink: SinkStatus) => sink[field],
  }),
);
