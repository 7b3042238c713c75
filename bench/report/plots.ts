// The plots of docs/performance.md, made from a result.
import { QUANTILES } from '../endpoint/latency-record.ts';
import type { Result } from '../results.ts';
import { lineChart, type Series } from './line-chart.ts';
import { barChart, quantileChart, type Bar } from './svg.ts';

const REFERENCES: readonly string[] = ['limit', 'plain client'];
const REPLAYED: readonly string[] = ['limit', 'log', 'drain', 'drain, one group', 'plain client'];

/** SVG texts by file name; only what the result has figures for. */
export function plotsOf(result: Result): ReadonlyMap<string, string> {
  const plots = new Map<string, string>();
  const bars = (figure: string): Bar[] =>
    REPLAYED.flatMap((name) => {
      const value = result.lines.find((line) => line.name === name)?.median[figure];
      return value === undefined ? [] : [{ label: name, value, isReference: REFERENCES.includes(name) }];
    });
  const throughput = bars('changesPerSecond');
  if (throughput.length > 0) {
    const subtitle = 'changes a second, higher is better; grey: references';
    plots.set('throughput.svg', barChart({ title: 'Throughput', subtitle, digits: 0 }, throughput));
    const cpu = bars('cpuUsPerChange');
    const cpuSubtitle = "µs of CPU a change in the reader's own process, lower is better; grey: references";
    plots.set('cpu.svg', barChart({ title: 'CPU per change', subtitle: cpuSubtitle, digits: 1 }, cpu));
  }
  const curves = result.lines.flatMap(({ scenario, name, distribution }) =>
    scenario === 'latency' && distribution !== undefined
      ? [{ label: name.replace('latency, ', ''), values: distribution }]
      : [],
  );
  if (curves.length > 0) {
    const what = {
      title: 'Latency',
      subtitle: 'commit to accepted by the endpoint, at each quantile; lower is better',
      quantiles: QUANTILES,
    };
    plots.set('latency.svg', quantileChart(what, curves));
  }
  for (const [name, svg] of distancePlots(result)) plots.set(name, svg);
  return plots;
}

/** `drain, 5 ms`, `plain client, 20 ms`: what, and how far away. */
const AT_A_DISTANCE = /^(.+), (\d+) ms$/;

function distancePlots({ lines }: Result): (readonly [name: string, svg: string])[] {
  const throughput = new Map<string, { x: number; y: number }[]>();
  const lanes: Series[] = [];
  for (const { scenario, name, median, runs } of lines) {
    const [, what, ms] = AT_A_DISTANCE.exec(name) ?? [];
    if (scenario !== 'distance' || what === undefined) continue;
    const points = throughput.get(what) ?? [];
    throughput.set(what, points);
    points.push({ x: Number(ms), y: median['changesPerSecond']! });
    const seen = what === 'drain' ? runs[0]?.lanesOverTime : undefined;
    if (seen !== undefined)
      lanes.push({ label: `${ms} ms`, points: seen.map(({ seconds, lanes: y }) => ({ x: seconds, y })) });
  }
  if (throughput.size === 0) return [];
  const series = [...throughput].map(([label, points]): Series => ({
    label: label === 'drain' ? 'Tailrace' : label,
    points,
    isReference: label !== 'drain',
  }));
  const over = {
    title: 'Throughput over distance',
    subtitle: 'changes a second, milliseconds between request and answer',
  };
  const lanesOver = {
    title: 'Lanes over time',
    subtitle: 'requests that may be in flight, seconds since the slot is read',
  };
  return [
    ['distance.svg', lineChart({ ...over, unit: 'ms' }, series)],
    ...(lanes.length === 0 ? [] : [['lanes.svg', lineChart({ ...lanesOver, unit: 's' }, lanes)] as const]),
  ];
}
