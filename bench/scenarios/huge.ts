// `huge`: one transaction of millions of rows, with the stream attached before it: sent at its commit, and while it is in progress.
import { accountingFaults } from '../accounting-check.ts';
import { insertRows } from '../load/mixed.ts';
import { lineOf, type Line } from '../measurement.ts';
import { cpuUsOf, peakRssMiBOf } from '../process-figures.ts';
import type { Workbench } from '../workbench.ts';
import { QUEUE, SINK, startLive } from './live.ts';

/** By the line's name, the slot's options. */
const WAYS = { huge: {}, 'huge, streaming': { streaming: 'on' } } as const;

export async function huge(bench: Workbench): Promise<Line[]> {
  const lines: Line[] = [];
  for (const [name, slotOptions] of Object.entries(WAYS))
    lines.push(await hugeLine(bench, name, slotOptions));
  return lines;
}

async function hugeLine(
  bench: Workbench,
  name: string,
  slotOptions: Readonly<Record<string, string>>,
): Promise<Line> {
  const rows = bench.sizes.hugeRows;
  const { database, tailrace, end } = await startLive(bench, { sinks: [SINK], slotOptions });
  const cpuBefore = cpuUsOf(tailrace.pid) ?? Number.NaN;
  bench.progress(`${name}: one transaction of ${rows.toLocaleString('en')} rows`);
  await tailrace.until(database.client.query(insertRows('t'), [rows]));
  await tailrace.until(bench.endpoint.waitFor(QUEUE, rows));
  const cpuUs = (cpuUsOf(tailrace.pid) ?? Number.NaN) - cpuBefore;
  const peakRssMiB = peakRssMiBOf(tailrace.pid);
  await end();
  const report = await bench.endpoint.report(QUEUE);
  const committed = { inserts: rows, updates: 0, deletes: 0 };
  for (const fault of accountingFaults(report, committed)) bench.fault(`${name}: ${fault}`);
  const figures = {
    changes: rows,
    changesPerSecond: rows / ((report.lastAcceptedMs - report.firstAcceptedMs) / 1000),
    cpuUsPerChange: cpuUs / rows,
    endpointCpuUsPerChange: report.cpuUs / rows,
    peakRssMiB,
    secondsToFirst: (report.firstAcceptedMs - report.firstCommitMs) / 1000,
    secondsToLast: (report.lastAcceptedMs - report.firstCommitMs) / 1000,
  };
  const work = `one transaction of ${rows.toLocaleString('en')} rows; seconds from its commit`;
  return lineOf({ scenario: 'huge', name, work }, [{ figures }]);
}
