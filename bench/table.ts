// The figures as a table for a terminal, or as Markdown.
import type { Stage } from './micro/stage.ts';
import type { BudgetLine } from './report/budget.ts';
import type { Figures, Line, ScenarioName } from './measurement.ts';

type Column = { readonly title: string; readonly value: (figures: Figures) => string | undefined };

const number = (value: number | undefined, digits = 0): string | undefined =>
  value === undefined || !Number.isFinite(value)
    ? undefined
    : value.toLocaleString('en', { minimumFractionDigits: digits, maximumFractionDigits: digits });

const figure =
  (name: string, digits = 0) =>
  (figures: Figures): string | undefined =>
    number(figures[name], digits);

const COLUMNS: readonly Column[] = [
  { title: 'changes/s', value: figure('changesPerSecond') },
  { title: 'rows/s', value: figure('rowsPerSecond') },
  { title: 'delivered/s', value: figure('deliveredPerSecond') },
  { title: 'steady/s', value: figure('steadyPerSecond') },
  { title: 'of allowed', value: figure('shareOfAllowed', 3) },
  { title: 'throttled %', value: figure('throttledPercent', 2) },
  { title: 'lanes', value: figure('lanes') },
  { title: 'CPU µs/change', value: figure('cpuUsPerChange', 2) },
  { title: 'with start', value: figure('cpuUsPerChangeWithStart', 2) },
  { title: 'walsender µs', value: figure('senderCpuUsPerChange', 2) },
  { title: 'endpoint µs', value: figure('endpointCpuUsPerChange', 2) },
  { title: 'p50 ms', value: figure('p50Ms', 2) },
  { title: 'p99 ms', value: figure('p99Ms', 2) },
  { title: 'max ms', value: figure('maxMs', 1) },
  { title: 'CPU %', value: figure('cpuPercent', 1) },
  { title: 'first s', value: figure('secondsToFirst', 2) },
  { title: 'last s', value: figure('secondsToLast', 1) },
  { title: 'messages/s', value: figure('messagesPerSecond') },
  { title: 'caught up s', value: figure('secondsToRecover', 1) },
  { title: 'unconfirmed MiB', value: figure('unconfirmedMiB', 1) },
  { title: 'restart lag MiB', value: figure('restartLagMiB', 1) },
  { title: 'RSS MiB', value: figure('peakRssMiB') },
  { title: 'idle RSS MiB', value: figure('rssMiB') },
  { title: 'idle PSS MiB', value: figure('pssMiB') },
  { title: 'ms', value: figure('startMs') },
  { title: 'CPU ms', value: figure('startCpuMs') },
  { title: 'changes/request', value: figure('changesPerRequest', 1) },
  { title: 'log B/change', value: figure('logBytesPerChange') },
  { title: 'disk B/change', value: figure('diskBytesPerChange') },
];

export type Table = { readonly head: readonly string[]; readonly rows: readonly (readonly string[])[] };

/** What stands in one table: lines with the same kinds of figures. */
const GROUPS: readonly { readonly title: string; readonly scenarios: readonly ScenarioName[] }[] = [
  { title: 'A backlog in the slot', scenarios: ['drain', 'log', 'filter'] },
  { title: 'Latency', scenarios: ['latency', 'isolation'] },
  { title: 'A huge transaction, a huge backlog', scenarios: ['huge', 'backlog'] },
  { title: 'Growth', scenarios: ['growth'] },
  { title: 'Routes from rows', scenarios: ['routes'] },
  { title: 'Column rules', scenarios: ['rules'] },
  { title: 'Backfill', scenarios: ['backfill'] },
  { title: 'Start and idle', scenarios: ['footprint'] },
  { title: 'Distance', scenarios: ['distance', 'throttle'] },
];

/** The tables that the lines fill, with their titles. */
export const tablesOf = (lines: readonly Line[]): { title: string; table: Table; lines: readonly Line[] }[] =>
  GROUPS.flatMap(({ title, scenarios }) => {
    const found = lines.filter(({ scenario }) => scenarios.includes(scenario));
    return found.length === 0 ? [] : [{ title, table: tableOf(found), lines: found }];
  });

/** Only the columns that some line has a figure for. */
function tableOf(lines: readonly Line[]): Table {
  const columns = COLUMNS.filter(({ value }) => lines.some(({ median }) => value(median) !== undefined));
  return {
    head: ['', ...columns.map(({ title }) => title), 'work'],
    rows: lines.map(({ name, work, runs, median }) => [
      name,
      ...columns.map(({ value }) => value(median) ?? ''),
      runs.length > 1 ? `${work}; median of ${runs.length}` : work,
    ]),
  };
}

export const stageTable = (stages: readonly Stage[]): Table => ({
  head: ['stage', 'CPU µs/row', ''],
  rows: stages.map(({ stage, usPerRow, note = '' }) => [stage, number(usPerRow, 2)!, note]),
});

export const budgetTable = (budget: readonly BudgetLine[]): Table => ({
  head: ['', 'target', 'measured', ''],
  rows: budget.map(({ what, target, measured, met }) => [what, target, measured, met ? 'met' : 'NOT MET']),
});

/** For a terminal: columns of equal width, numbers to the right. */
export function textOf({ head, rows }: Table): string {
  const widths = head.map((title, i) => Math.max(title.length, ...rows.map((row) => row[i]!.length)));
  const last = head.length - 1;
  return [head, ...rows]
    .map((row) =>
      row
        .map((cell, i) => (i === 0 || i === last ? cell.padEnd(widths[i]!) : cell.padStart(widths[i]!)))
        .join('  ')
        .trimEnd(),
    )
    .join('\n');
}

export function markdownOf({ head, rows }: Table): string {
  const line = (cells: readonly string[]): string => `| ${cells.join(' | ')} |`;
  const rule = head.map((_, i) => (i === 0 || i === head.length - 1 ? '---' : '---:'));
  return [line(head), line(rule), ...rows.map(line)].join('\n');
}
