// `huge`: one transaction of millions of rows, with the stream attached before it.
import { accountingFaults } from '../accounting-check.ts';
import { insertRows } from '../load/mixed.ts';
import { lineOf, type Line } from '../measurement.ts';
import { cpuUsOf, peakRssMiBOf } from '../process-figures.ts';
import type { Workbench } from '../workbench.ts';
import { QUEUE, SINK, startLive } from './live.ts';

export async function huge(bench: Workbench): Promise<Line> {
  const rows = bench.sizes.hugeRows;
  const { database, tailrace, end } = await startLive(bench, { sinks: [SINK] });
  const cpuBefore = cpuUsOf(tailrace.pid) ?? Number.NaN;
  bench.progress(`huge: one transaction of ${rows.toLocaleString('en')} rows`);
  await tailrace.until(database.client.query(insertRows('t'), [rows]));
  await tailrace.until(bench.endpoint.waitFor(QUEUE, rows));
  const cpuUs = (cpuUsOf(tailrace.pid) ?? Number.NaN) - cpuBefore;
  const peakRssMiB = peakRssMiBOf(tailrace.pid);
  await end();
  const report = await bench.endpoint.report(QUEUE);
  const committed = { inserts: rows, updates: 0, deletes: 0 };
  for (const fault of accountingFaults(report, committed)) bench.fault(`huge: ${fault}`);
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
  return lineOf({ scenario: 'huge', name: 'huge', work }, [{ figures }]);
}
