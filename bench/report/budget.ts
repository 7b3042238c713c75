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
const MAX_DRAIN_RSS_MIB = 240;
const MAX_FIRST_SECONDS = 3;

/** Milliseconds between request and answer, and what remains of the loopback's throughput. */
const STEADY_AT = [
  { ms: 5, bound: 0.9 },
  { ms: 20, bound: 0.9 },
  { ms: 50, bound: 0.6 },
];
const FAILING_AT = [
  { name: 'one in 100 is cut off', bound: 0.9 },
  { name: 'one in 10 is cut off', bound: 0.5 },
];

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
    atMost({ what: 'drain, CPU a change', value: cpu('drain'), bound: 7.5, unit: 'µs' }),
    atLeast({ what: 'drain', value: rate('drain'), bound: 60_000, unit: 'changes/s' }),
    atLeast({ what: 'drain against limit', value: rate('drain') / rate('limit'), bound: 0.75, unit: '×' }),
    atMost({
      what: 'latency at 1,000/s, p50',
      value: of('latency, 1,000/s', 'p50Ms'),
      bound: 1,
      unit: 'ms',
    }),
    atMost({
      what: 'latency at 1,000/s, p99',
      value: of('latency, 1,000/s', 'p99Ms'),
      bound: 5,
      unit: 'ms',
    }),
    atMost({
      what: 'a single change on an idle system, p50',
      value: of('latency, idle', 'p50Ms'),
      bound: 3,
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
    ...distanceLines(of),
    atMost({ what: 'ten sinks, CPU a change', value: cpu('10 sinks'), bound: 60, unit: 'µs' }),
    atMost({
      what: 'ten sinks, peak RSS',
      value: of('10 sinks', 'peakRssMiB'),
      bound: MAX_RSS_MIB,
      unit: 'MiB',
    }),
    atMost({
      what: 'drain, peak RSS',
      value: of('drain', 'peakRssMiB'),
      bound: MAX_DRAIN_RSS_MIB,
      unit: 'MiB',
    }),
    atMost({
      what: 'a row that the sink does not want, CPU',
      value: unwantedRowUs(cpu, of('a sink of one table', 'wantedShare')),
      bound: 1,
      unit: 'µs',
    }),
  ].flat();
}

/** Far away, throttled, cut off. */
function distanceLines(of: (line: string, figure: string) => number): BudgetLine[] {
  const rate = (line: string): number => of(line, 'changesPerSecond');
  const steady = (ms: number): number => of(`drain, ${ms} ms`, 'steadyPerSecond');
  return [
    ...STEADY_AT.map(({ ms, bound }) =>
      atLeast({
        what: `drain, ${ms} ms away, steady, against 0 ms`,
        value: steady(ms) / steady(0),
        bound,
        unit: '×',
      }),
    ),
    atLeast({
      what: 'drain, 20 ms away, whole, against 0 ms',
      value: rate('drain, 20 ms') / rate('drain, 0 ms'),
      bound: 0.85,
      unit: '×',
    }),
    atMost({
      what: 'drain, 20 ms away, CPU a change',
      value: of('drain, 20 ms', 'cpuUsPerChange'),
      bound: 8.5,
      unit: 'µs',
    }),
    atLeast({
      what: 'a queue that throttles, of what it allows',
      value: of('5,000/s', 'shareOfAllowed'),
      bound: 0.95,
      unit: '×',
    }),
    atMost({
      what: 'a queue that throttles, requests throttled',
      value: of('5,000/s', 'throttledPercent'),
      bound: 2,
      unit: '%',
    }),
    ...FAILING_AT.map(({ name, bound }) =>
      atLeast({ what: `${name}, against none`, value: rate(name) / rate('none fails'), bound, unit: '×' }),
    ),
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
