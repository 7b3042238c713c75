// The plots of docs/performance.md, made from a result.
import { QUANTILES } from '../endpoint/latency-record.ts';
import type { Result } from '../results.ts';
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
  return plots;
}
