// What docs/performance.md shows is what was measured.
import { existsSync, readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { expect, test } from 'vitest';
import { lineOf, type Line } from '../../bench/measurement.ts';
import { budgetOf } from '../../bench/report/budget.ts';
import { documentsOf } from '../../bench/report/documents.ts';
import { plotsOf } from '../../bench/report/plots.ts';
import { merged, readResult, type Result } from '../../bench/results.ts';

const root = resolve(import.meta.dirname, '../..');

const resultOf = (lines: readonly Line[]): Result => ({
  measuredAt: '2026-01-02T03:04:05.000Z',
  machine: { cpu: 'a <fast> one', cores: 2, memoryGiB: 8, kernel: '6.1' },
  versions: { node: 'v26', postgres: '18.4', tailrace: '0.1.0', commit: 'abc', dirty: false },
  faults: [],
  lines,
  stages: [],
});

const growthLine = (name: string): Line =>
  lineOf({ scenario: 'growth', name, work: 'work' }, [{ figures: {} }]);

const line = (name: string, figures: Readonly<Record<string, number>>): Line =>
  lineOf({ scenario: 'drain', name, work: 'work' }, [{ figures }]);

test('the tables and plots of docs/performance.md are those of the latest result (npm run bench -- report)', async () => {
  const documents = await documentsOf(readResult());
  const stale = [...documents].filter(([path, text]) => {
    const file = resolve(root, path);
    return !existsSync(file) || readFileSync(file, 'utf8') !== text;
  });
  expect(stale.map(([path]) => path)).toEqual([]);
});

test('a line counts with the median of its runs, figure by figure', () => {
  const runs = [
    { figures: { a: 3, b: 10 } },
    { figures: { a: 1, b: 30 } },
    { figures: { a: 2, b: 20, c: 5 } },
  ];
  expect(lineOf({ scenario: 'drain', name: 'x', work: '' }, runs).median).toEqual({ a: 2, b: 20, c: 5 });
});

test('the budget judges what was measured and is silent about the rest', () => {
  const result = resultOf([
    line('limit', { changesPerSecond: 100_000 }),
    line('log', { changesPerSecond: 94_000 }),
    line('drain', { changesPerSecond: 60_000, cpuUsPerChange: 12.1 }),
  ]);
  expect(budgetOf(result).map(({ what, met }) => [what, met])).toEqual([
    ['log against limit', false],
    ['drain, CPU a change', false],
    ['drain', true],
    ['drain against limit', false],
  ]);
});

test('a row that a sink does not want is charged without the rows that it wants', () => {
  const result = resultOf([
    line('no sink', { cpuUsPerChange: 2 }),
    line('one sink', { cpuUsPerChange: 12 }),
    // One row of fifty costs ten more, the others 0.5.
    line('a sink of one table', { cpuUsPerChange: 2 + 0.2 + 0.49, wantedShare: 0.02 }),
  ]);
  expect(budgetOf(result)).toContainEqual({
    what: 'a row that the sink does not want, CPU',
    target: '≤ 1 µs',
    measured: '0.5 µs',
    met: true,
  });
});

test('a new measurement takes the place of the same scenarios, and what it left out says when it was measured', () => {
  const older = resultOf([
    line('drain', { changesPerSecond: 1 }),
    growthLine('one sink'),
    growthLine('4 sinks'),
  ]);
  const newer = {
    ...resultOf([line('drain', { changesPerSecond: 2 })]),
    measuredAt: '2026-02-03T00:00:00.000Z',
  };
  const both = merged(older, newer);
  expect(both.lines.map(({ name, measured }) => [name, measured?.day])).toEqual([
    ['drain', undefined],
    ['one sink', '2026-01-02'],
    ['4 sinks', '2026-01-02'],
  ]);
  expect(both.measuredAt).toBe(newer.measuredAt);
  // A line that was kept once keeps its day.
  expect(merged(both, newer).lines.map(({ measured }) => measured?.day)).toEqual([
    undefined,
    '2026-01-02',
    '2026-01-02',
  ]);
});

test('distances are plotted as a line for each reader, and lanes over time as one for each distance', () => {
  const at = (name: string, changesPerSecond: number): Line => ({
    ...line(name, { changesPerSecond }),
    scenario: 'distance',
    runs: [{ figures: {}, lanesOverTime: [0, 1].map((seconds) => ({ seconds, lanes: 8 * (seconds + 1) })) }],
  });
  const plots = plotsOf(
    resultOf([at('drain, 0 ms', 80), at('drain, 20 ms', 100), at('plain client, 0 ms', 50)]),
  );
  const heights = (svg: string): number[][] =>
    [...svg.matchAll(/points="([^"]+)"/g)].map(([, points]) =>
      points!.split(' ').map((point) => Number(point.split(',')[1])),
    );
  const [own, plain] = heights(plots.get('distance.svg')!);
  expect(own).toHaveLength(2);
  expect(own![1]).toBeLessThan(own![0]!);
  expect(plain![0]).toBeGreaterThan(own![0]!);
  expect(heights(plots.get('lanes.svg')!)).toHaveLength(2);
});

test('plots are made of the lines that are there, bars in proportion', () => {
  const plots = plotsOf(
    resultOf([
      line('limit', { changesPerSecond: 200, cpuUsPerChange: 3 }),
      line('drain', { changesPerSecond: 100, cpuUsPerChange: 6 }),
    ]),
  );
  expect([...plots.keys()]).toEqual(['throughput.svg', 'cpu.svg']);
  const widths = [...plots.get('throughput.svg')!.matchAll(/<rect x="\d+" .*? width="([\d.]+)"/g)].map(
    ([, width]) => Number(width),
  );
  expect(widths[0]! / widths[1]!).toBeCloseTo(2, 2);
});
