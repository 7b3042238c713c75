// What a metric is here: declared once, with what fills it from the status, what it means and what to alert on. /metrics, docs/metrics.md and the alert rules derive from it.
import { parseLsn } from '../../core/lsn.ts';
import type { Health } from '../../core/status.ts';

export type Sample = { readonly labels: Readonly<Record<string, string>>; readonly value: number };

/** A number, or several samples that differ in their labels; undefined: nothing known yet. */
type Value = number | undefined | readonly Sample[];

/** What a value counts. Seconds and bytes stand in the name too, as Prometheus wants it. */
export type Unit =
  | 'seconds'
  | 'bytes'
  | 'byte position'
  | 'messages'
  | 'changes'
  | 'dead letters'
  | 'requests'
  | 'connections'
  | 'transactions'
  | 'gaps'
  | 'routes'
  | 'times'
  | 'standbys'
  | 'backfills'
  | 'rows'
  | 'rows a second'
  | '0 or 1';

/** Every value that the label can have, or in words what its one value is. Never a table, a group or a queue: these have no end. */
export type LabelValues = readonly string[] | string;

export type Severity = 'critical' | 'warning' | 'info';

/** A rule of Prometheus: https://prometheus.io/docs/prometheus/latest/configuration/alerting_rules/ */
export type Alert = {
  /** Begins with `Tailrace`. */
  readonly name: string;
  /** PromQL, of metrics and labels that are declared here. */
  readonly expression: string;
  /** How long it must hold, as Prometheus writes durations; `0m`: at once. */
  readonly holdsFor: string;
  readonly severity: Severity;
  /** One line, with labels: `{{ $labels.sink }}`. */
  readonly summary: string;
  /** What it means, and what to do. */
  readonly description: string;
};

export type MetricDeclaration<Subject> = {
  readonly name: string;
  /** One sentence: /metrics and the page begin with it. */
  readonly help: string;
  readonly unit: Unit;
  readonly value: (subject: Subject) => Value;
  /** Labels besides those that name the subject. */
  readonly labels?: Readonly<Record<string, LabelValues>>;
  /** What to make of it, and where it is absent: for the page. */
  readonly meaning?: string;
  readonly alerts?: readonly Alert[];
};

export type Metric<Subject> = MetricDeclaration<Subject> & { readonly kind: 'counter' | 'gauge' };

export const counter = <Subject>(declaration: MetricDeclaration<Subject>): Metric<Subject> => ({
  ...declaration,
  kind: 'counter',
});

export const gauge = <Subject>(declaration: MetricDeclaration<Subject>): Metric<Subject> => ({
  ...declaration,
  kind: 'gauge',
});

export const HEALTHS: readonly Health[] = ['healthy', 'degraded', 'halted'];

/** One sample a word, 1 for the word that holds: https://prometheus.io/docs/instrumenting/writing_exporters/ */
export const healthSamples = (health: Health): readonly Sample[] =>
  HEALTHS.map((status) => ({ labels: { status }, value: status === health ? 1 : 0 }));

/** A double holds LSNs up to 2^53 (8 PiB of WAL) exactly: enough for a graph. */
export const lsnNumber = (text: string): number => Number(parseLsn(text) ?? 0n);
