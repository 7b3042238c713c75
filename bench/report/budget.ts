// The budget: what was promised, and what a result says of it. Only of what was measured in this result.
import { rounded } from '../measurement.ts';
import type { Result } from '../results.ts';

export type BudgetLine = {
  readonly what: string;
  readonly target: string;
  readonly measured: string;
  readonly met: boolean;
};

/** A figure and its bound; NaN: it was not measured. */
type Promised = {
  readonly what: string;
  readonly value: number;
  readonly bound: number;
  readonly unit: string;
};

/** What `isolation` sets `slot.max_retained` to, and what Postgres may keep unconfirmed above it. */
const MAX_RETAINED_MIB = 16;
const RETAINED_ALLOWANCE_MIB = 16;
const MAX_RSS_MIB = 300;
const MAX_FIRST_SECONDS = 3;

export function budgetOf(result: Result): BudgetLine[] {
  const medians = new Map(result.lines.map(({ name, median }) => [name, median]));
  const of = (line: string, figure: string): number => medians.get(line)?.[figure] ?? Number.NaN;
  const cpu = (line: string): number => of(line, 'cpuUsPerChange');
  const rate = (line: string): number => of(line, 'changesPerSecond');
  const p99Before = of('isolation, before', 'p99Ms');

  return [
    atLeast({ what: 'log against limit', value: rate('log') / rate('limit'), bound: 0.95, unit: '×' }),
    atMost({
      what: 'drain, CPU a change against the plain client',
      value: cpu('drain') / cpu('plain client'),
      bound: 0.2,
      unit: '×',
    }),
    atMost({ what: 'drain, CPU a change', value: cpu('drain'), bound: 12, unit: 'µs' }),
    atLeast({ what: 'drain', value: rate('drain'), bound: 60_000, unit: 'changes/s' }),
    atMost({
      what: 'latency at 1,000/s, p50',
      value: of('latency, 1,000/s', 'p50Ms'),
      bound: 3,
      unit: 'ms',
    }),
    atMost({
      what: 'latency at 1,000/s, p99',
      value: of('latency, 1,000/s', 'p99Ms'),
      bound: 20,
      unit: 'ms',
    }),
    atMost({
      what: 'a single change on an idle system, p50',
      value: of('latency, idle', 'p50Ms'),
      bound: 5,
      unit: 'ms',
    }),
    ...['huge', 'backlog'].flatMap((line) => [
      atMost({ what: `${line}, peak RSS`, value: of(line, 'peakRssMiB'), bound: MAX_RSS_MIB, unit: 'MiB' }),
      atMost({
        what: `${line}, first delivery`,
        value: of(line, 'secondsToFirst'),
        bound: MAX_FIRST_SECONDS,
        unit: 's',
      }),
    ]),
    atMost({
      what: 'isolation, p99 of the healthy sink',
      value: of('isolation, stalled', 'p99Ms'),
      bound: Math.max(p99Before * 1.2, p99Before + 5),
      unit: 'ms',
    }),
    atMost({
      what: 'isolation, WAL not confirmed',
      value: of('isolation, stalled', 'unconfirmedMiB'),
      bound: MAX_RETAINED_MIB + RETAINED_ALLOWANCE_MIB,
      unit: 'MiB',
    }),
    atMost({
      what: 'ten sinks, CPU against one',
      value: cpu('10 sinks') / cpu('one sink'),
      bound: 10,
      unit: '×',
    }),
    atMost({
      what: 'a row that the sink does not want, CPU',
      value: unwantedRowUs(cpu, of('a sink of one table', 'wantedShare')),
      bound: 1,
      unit: 'µs',
    }),
  ].flat();
}

const atMost = (promised: Promised): BudgetLine[] => judged(promised, '≤', promised.value <= promised.bound);
const atLeast = (promised: Promised): BudgetLine[] => judged(promised, '≥', promised.value >= promised.bound);

function judged({ what, value, bound, unit }: Promised, sign: string, met: boolean): BudgetLine[] {
  if (Number.isNaN(value)) return [];
  const written = (figure: number): string => `${rounded(figure).toLocaleString('en')} ${unit}`;
  return [{ what, target: `${sign} ${written(bound)}`, measured: written(value), met }];
}

/** What a sink that wants one table of many costs more than no sink, without the rows that it does want. */
function unwantedRowUs(cpu: (line: string) => number, wantedShare: number): number {
  const more = cpu('a sink of one table') - cpu('no sink');
  const wanted = wantedShare * (cpu('one sink') - cpu('no sink'));
  return (more - wanted) / (1 - wantedShare);
}
