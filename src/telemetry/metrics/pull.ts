// The metrics of a pull stream, whose consumers come to fetch: absent for other sinks.
import type { SinkStatus } from '../../core/status.ts';
import { counter, gauge, type Metric } from './definition.ts';

export const PULL_METRICS: readonly Metric<SinkStatus>[] = [
  gauge({
    name: 'tailrace_sink_pull_available',
    help: 'Pull streams: messages that the next request may take.',
    unit: 'messages',
    value: ({ pull }) => pull?.available,
    alerts: [
      {
        name: 'TailraceStreamWithoutWorkers',
        expression:
          'tailrace_sink_pull_available > 0 and tailrace_sink_pull_waiting == 0 and tailrace_sink_pull_outstanding == 0',
        holdsFor: '10m',
        severity: 'warning',
        summary: 'Nobody receives from stream {{ $labels.sink }} of database {{ $labels.database }}.',
        description:
          '{{ $value }} messages are ready, none is with a worker, and no request waits: are the workers running?',
      },
    ],
  }),
  gauge({
    name: 'tailrace_sink_pull_outstanding',
    help: 'Pull streams: messages received and not acknowledged.',
    unit: 'messages',
    value: ({ pull }) => pull?.outstanding,
  }),
  gauge({
    name: 'tailrace_sink_pull_waiting',
    help: 'Pull streams: requests that wait for messages.',
    unit: 'requests',
    value: ({ pull }) => pull?.waiting,
  }),
  counter({
    name: 'tailrace_sink_pull_timeouts_total',
    help: 'Pull streams: messages whose visibility timeout ended without an acknowledgement.',
    unit: 'messages',
    value: ({ pull }) => pull?.timedOut,
    alerts: [
      {
        name: 'TailraceStreamTimeouts',
        expression: 'rate(tailrace_sink_pull_timeouts_total[5m]) > 0',
        holdsFor: '15m',
        severity: 'warning',
        summary:
          'Workers of stream {{ $labels.sink }} of database {{ $labels.database }} do not acknowledge in time.',
        description:
          'They crash, or work longer than the visibility timeout; each such message is received again.',
      },
    ],
  }),
  counter({
    name: 'tailrace_sink_pull_unknown_acks_total',
    help: 'Pull streams: acknowledgements of messages that nobody knows.',
    unit: 'messages',
    value: ({ pull }) => pull?.unknownAcks,
    meaning:
      "Acknowledged before, received by somebody else meanwhile, or made up. A few after a worker's crash are normal.",
  }),
];
