// The metrics of the service and its process.
import type { ServiceStatus } from '../../core/status.ts';
import { counter, gauge, healthSamples, type Metric } from './definition.ts';

export const SERVICE_METRICS: readonly Metric<ServiceStatus>[] = [
  gauge(
    'tailrace_info',
    'Always 1; the label says which version runs.',
    (service) => [{ labels: { version: service.version }, value: 1 }],
    ['version'],
  ),
  gauge(
    'tailrace_status',
    'The status of the whole service: 1 for the word that holds.',
    (service) => healthSamples(service.status),
    ['status'],
  ),
  gauge(
    'tailrace_start_time_seconds',
    'When the service started, in seconds since 1970.',
    (service) => Date.parse(service.startedAt) / 1000,
  ),
  counter('process_cpu_seconds_total', 'CPU time of the process, user and system, in seconds.', () => {
    const { user, system } = process.cpuUsage();
    return (user + system) / 1e6;
  }),
  gauge('process_resident_memory_bytes', 'Resident memory of the process in bytes.', () =>
    process.memoryUsage.rss(),
  ),
];
