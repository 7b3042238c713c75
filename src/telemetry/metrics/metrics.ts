// Makes the text of /metrics: every metric, filled from the service's status whenever somebody scrapes. A new one is an entry in the file of its subject.
import { Counter, Gauge, Registry } from '@prometheus-io/client';
import type { DatabaseStatus, ServiceStatus, SinkStatus } from '../../core/status.ts';
import { BACKFILL_METRICS } from './backfills.ts';
import { DATABASE_METRICS } from './database.ts';
import type { Metric } from './definition.ts';
import { SERVICE_METRICS } from './service.ts';
import { SINK_METRICS } from './sink.ts';

/** The metrics of one kind of subject, and the labels that name it: as many series as the configuration has of them. */
type Room<Subject> = { readonly metrics: readonly Metric<Subject>[]; readonly labels: readonly string[] };

export const METRICS: {
  readonly service: Room<ServiceStatus>;
  readonly database: Room<DatabaseStatus>;
  readonly sink: Room<SinkStatus>;
} = {
  service: { metrics: SERVICE_METRICS, labels: [] },
  database: { metrics: [...DATABASE_METRICS, ...BACKFILL_METRICS], labels: ['database'] },
  sink: { metrics: SINK_METRICS, labels: ['database', 'sink'] },
};

/** A function that makes the text of /metrics (Prometheus' text format 0.0.4) from the status of this moment. */
export function createMetrics(status: () => ServiceStatus): () => Promise<string> {
  const registry = new Registry();
  const fillService = declare(registry, METRICS.service);
  const fillDatabases = declare(registry, METRICS.database);
  const fillSinks = declare(registry, METRICS.sink);
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

function declare<Subject>(registry: Registry, room: Room<Subject>): Fill<Subject> {
  const metrics = room.metrics.map((definition) => {
    const { name, help, labels = {} } = definition;
    const labelNames = [...room.labels, ...Object.keys(labels)];
    const configuration = { name, help, labelNames, registers: [registry] };
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
