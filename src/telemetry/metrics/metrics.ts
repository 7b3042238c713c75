// Makes the text of /metrics: every metric, filled from the service's status whenever somebody scrapes. A new one is an entry in the file of its subject.
import { Counter, Gauge, Registry } from '@prometheus-io/client';
import type { ServiceStatus } from '../../core/status.ts';
import { DATABASE_METRICS } from './database.ts';
import type { Metric } from './definition.ts';
import { SERVICE_METRICS } from './service.ts';
import { SINK_METRICS } from './sink.ts';

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
  definitions: readonly Metric<Subject>[],
  subjectLabels: readonly string[],
): Fill<Subject> {
  const metrics = definitions.map((definition) => {
    const { name, help, labels } = definition;
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
