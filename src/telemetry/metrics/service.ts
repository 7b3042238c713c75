// The metrics of the service and its process.
import type { ServiceStatus } from '../../core/status.ts';
import { counter, gauge, HEALTHS, healthSamples, type Metric } from './definition.ts';

export const SERVICE_METRICS: readonly Metric<ServiceStatus>[] = [
  gauge({
    name: 'tailrace_info',
    help: 'Always 1; the label says which version runs.',
    unit: '0 or 1',
    labels: { version: 'the version that runs' },
    value: (service) => [{ labels: { version: service.version }, value: 1 }],
    alerts: [
      {
        name: 'TailraceAbsent',
        expression: 'absent(tailrace_info)',
        holdsFor: '2m',
        severity: 'critical',
        summary: 'No Tailrace is scraped.',
        description:
          'The process is down, or Prometheus does not reach its metrics listener. Postgres keeps its WAL meanwhile. Of several instances, alert on `up` of your scrape job as well: this rule fires only when none is left.',
      },
    ],
  }),
  gauge({
    name: 'tailrace_status',
    help: 'The status of the whole service: 1 for the word that holds.',
    unit: '0 or 1',
    labels: { status: HEALTHS },
    value: (service) => healthSamples(service.status),
    meaning: 'The worst of its databases and sinks, whose own metrics have the alerts.',
  }),
  gauge({
    name: 'tailrace_start_time_seconds',
    help: 'When the service started, in seconds since 1970.',
    unit: 'seconds',
    value: (service) => Date.parse(service.startedAt) / 1000,
    alerts: [
      {
        name: 'TailraceRestarts',
        expression: 'changes(tailrace_start_time_seconds[15m]) > 2',
        holdsFor: '0m',
        severity: 'warning',
        summary: 'Tailrace was started more than twice within 15 minutes.',
        description: 'It ends by itself or is ended: the last lines of its log say why.',
      },
    ],
  }),
  counter({
    name: 'tailrace_refused_connections_total',
    help: 'Connections to the API and to the metrics that were refused since the start.',
    unit: 'connections',
    value: (service) => service.refusedConnections,
    meaning:
      'More were open than a listener takes, or the last file descriptors are kept for the log, the store and the sinks. The log says which, once a minute.',
    alerts: [
      {
        name: 'TailraceConnectionsRefused',
        expression: 'increase(tailrace_refused_connections_total[5m]) > 0',
        holdsFor: '10m',
        severity: 'warning',
        summary: 'Tailrace refuses connections to its API or its metrics.',
        description:
          'Somebody holds more of them than there is room for (`ss -tnp` shows who), or the process has too few file descriptors (`ulimit -Hn`). Delivery goes on.',
      },
    ],
  }),
  counter({
    name: 'process_cpu_seconds_total',
    help: 'CPU time of the process, user and system, in seconds.',
    unit: 'seconds',
    value: () => {
      const { user, system } = process.cpuUsage();
      return (user + system) / 1e6;
    },
    meaning: 'All its threads. `rate(…[5m])` is the number of cores that are busy.',
  }),
  gauge({
    name: 'process_resident_memory_bytes',
    help: 'Resident memory of the process in bytes.',
    unit: 'bytes',
    value: () => process.memoryUsage.rss(),
    meaning:
      'Does not grow with a backlog: what waits is on disk. Compare it with the limit of your container.',
  }),
];
