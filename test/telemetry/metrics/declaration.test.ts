// What is declared of the metrics keeps Prometheus' conventions, has no label without end, and its alerts ask for what there is.
import { parser } from '@prometheus-io/lezer-promql';
import { expect, test } from 'vitest';
import type { Metric } from '../../../src/telemetry/metrics/definition.ts';
import { METRICS } from '../../../src/telemetry/metrics/metrics.ts';

type Described = Omit<Metric<never>, 'value'>;

const rooms: readonly { readonly subject: readonly string[]; readonly metrics: readonly Described[] }[] =
  Object.values(METRICS).map(({ labels, metrics }) => ({ subject: labels, metrics }));
const metrics = rooms.flatMap((room) => room.metrics.map((metric) => ({ ...metric, subject: room.subject })));
const alerts = metrics.flatMap((metric) => (metric.alerts ?? []).map((alert) => ({ ...alert, metric })));
const byName = new Map(metrics.map((metric) => [metric.name, metric]));

/** What promtool would complain of: https://github.com/prometheus/client_golang/tree/main/prometheus/testutil/promlint */
const NOT_BASE_UNITS = /_(?:ms|milliseconds|us|ns|minutes|hours|days|kb|mb|gb|kilobytes|percent)(?:_|$)/;

test.each(metrics)(
  "$name is named by Prometheus' conventions",
  ({ name, kind, unit, help, subject, labels = {} }) => {
    expect(name).toMatch(/^(?:tailrace|process)_[a-z0-9]+(?:_[a-z0-9]+)*$/);
    expect(name).not.toMatch(NOT_BASE_UNITS);
    expect(name).not.toMatch(/_(?:gauge|counter|count|sum|bucket)(?:_|$)/);
    expect(name.endsWith('_total')).toBe(kind === 'counter');
    const base = name.replace(/_total$/, '');
    expect(base.endsWith('_seconds')).toBe(unit === 'seconds');
    expect(base.endsWith('_bytes')).toBe(unit === 'bytes');
    expect(base.endsWith('_lsn')).toBe(unit === 'byte position');
    const names = [...subject, ...Object.keys(labels)];
    for (const label of names) expect(label).toMatch(/^(?!__|le$|quantile$)[a-z_]+$/);
    expect(new Set(names).size).toBe(names.length);
    expect(help).toMatch(/^[A-Z0-9].*\.$/);
  },
);

test('no two metrics are one family, also where a scraper cuts _total off', () => {
  const families = metrics.map(({ name }) => name.replace(/_total$/, ''));
  expect(families.filter((family, at) => families.indexOf(family) !== at)).toEqual([]);
});

test('the only labels without a list of their values are names of the configuration, and the version', () => {
  expect([...new Set(metrics.flatMap(({ subject }) => subject))].toSorted()).toEqual(['database', 'sink']);
  const open = metrics.flatMap(({ name, labels = {} }) =>
    Object.entries(labels).flatMap(([label, values]) =>
      typeof values === 'string' ? [`${name}: ${label}`] : [],
    ),
  );
  expect(open).toEqual(['tailrace_info: version']);
});

type Selector = { readonly metric: string; readonly matchers: readonly (readonly [string, string])[] };

/** The selectors of a PromQL expression, by the grammar of Prometheus' own editor; throws where it is none. */
function selectorsOf(expression: string): Selector[] {
  const selectors: { metric: string; matchers: [string, string][] }[] = [];
  const text = (node: { from: number; to: number }): string => expression.slice(node.from, node.to);
  parser.parse(expression).iterate({
    enter: (node) => {
      if (node.type.isError) throw new Error(`${expression} is no PromQL at ${node.from}`);
      if (node.name === 'VectorSelector') selectors.push({ metric: '', matchers: [] });
      const last = selectors.at(-1);
      if (node.name === 'Identifier' && node.matchContext(['VectorSelector'])) last!.metric = text(node);
      if (node.name === 'LabelName') last!.matchers.push([text(node), '']);
      if (node.name === 'StringLiteral') last!.matchers.at(-1)![1] = JSON.parse(text(node)) as string;
    },
  });
  return selectors;
}

test.each(alerts)('$name asks for metrics and label values that there are', (alert) => {
  const selectors = selectorsOf(alert.expression);
  expect(selectors.map(({ metric }) => metric)).toContain(alert.metric.name);
  for (const { metric, matchers } of selectors) {
    const declared = byName.get(metric);
    expect([metric, declared?.name]).toEqual([metric, metric]);
    for (const [label, value] of matchers) expect(declared?.labels?.[label] ?? []).toContain(value);
    // What begins anew with a restart is asked for as a rate.
    const asked = new RegExp(`(?:rate|increase)\\(${metric}\\[`).test(alert.expression);
    expect([metric, asked]).toEqual([metric, declared?.kind === 'counter']);
  }
});

test.each(alerts)('$name says in one line what is wrong, and names labels that its metric has', (alert) => {
  expect(alert.name).toMatch(/^Tailrace[A-Z][A-Za-z]+$/);
  expect(alert.holdsFor).toMatch(/^\d+[smh]$/);
  expect(alert.summary).not.toContain('\n');
  const { subject, labels = {} } = alert.metric;
  const used = [...`${alert.summary} ${alert.description}`.matchAll(/\$labels\.(\w+)/g)].map(
    ([, label]) => label!,
  );
  for (const label of used) expect([...subject, ...Object.keys(labels)]).toContain(label);
  // Who reads it at night knows which one.
  for (const label of subject) expect(used).toContain(label);
});

test('names of alerts are not given twice, and whatever halts, loses or puts aside has one', () => {
  const names = alerts.map(({ name }) => name);
  expect(names).toEqual([...new Set(names)]);
  const watched = new Set(
    alerts.flatMap(({ expression }) => selectorsOf(expression).map(({ metric }) => metric)),
  );
  expect([...watched]).toEqual(
    expect.arrayContaining([
      'tailrace_info',
      'tailrace_database_status',
      'tailrace_database_streaming',
      'tailrace_database_retained_bytes',
      'tailrace_database_gaps',
      'tailrace_sink_status',
      'tailrace_sink_lag_seconds',
      'tailrace_sink_dead_letters_total',
      'tailrace_sink_dead_letters_dropped_total',
      'tailrace_sink_discarded_total',
      'tailrace_sink_inversions_total',
      'tailrace_sink_gaps',
    ]),
  );
});
