// What a metric is here: its name and help, declared once, and how the status fills it.
import { parseLsn } from '../../core/lsn.ts';
import type { Health } from '../../core/status.ts';

export type Sample = { readonly labels: Readonly<Record<string, string>>; readonly value: number };

/** A number, or several samples that differ in their labels; undefined: nothing known yet. */
type Value = number | undefined | readonly Sample[];

export type Metric<Subject> = {
  readonly kind: 'counter' | 'gauge';
  readonly name: string;
  readonly help: string;
  readonly value: (subject: Subject) => Value;
  /** Labels besides those that name the subject. */
  readonly labels: readonly string[];
};

type Declare = <Subject>(
  name: string,
  help: string,
  value: (subject: Subject) => Value,
  labels?: readonly string[],
) => Metric<Subject>;

export const counter: Declare = (name, help, value, labels = []) => ({
  kind: 'counter',
  name,
  help,
  value,
  labels,
});

export const gauge: Declare = (name, help, value, labels = []) => ({
  kind: 'gauge',
  name,
  help,
  value,
  labels,
});

export const HEALTHS: readonly Health[] = ['healthy', 'degraded', 'halted'];

/** One sample a word, 1 for the word that holds: https://prometheus.io/docs/instrumenting/writing_exporters/ */
export const healthSamples = (health: Health): readonly Sample[] =>
  HEALTHS.map((status) => ({ labels: { status }, value: status === health ? 1 : 0 }));

/** A double holds LSNs up to 2^53 (8 PiB of WAL) exactly: enough for a graph. */
export const lsnNumber = (text: string): number => Number(parseLsn(text) ?? 0n);
