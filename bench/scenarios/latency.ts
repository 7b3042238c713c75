// `latency`: from the commit to the moment that the endpoint has accepted the change, under a paced load and, change by
// change, on an idle system.
import { accountingFaults } from '../accounting-check.ts';
import { wallClockMs } from '../clock.ts';
import type { QueueReport } from '../endpoint/protocol.ts';
import { changesIn, insertRows } from '../load/mixed.ts';
import { pacedLoad } from '../load/paced.ts';
import { lineOf, type Figures, type Line, type Run } from '../measurement.ts';
import { cpuUsOf, peakRssMiBOf } from '../process-figures.ts';
import type { Workbench } from '../workbench.ts';
import { QUEUE, SINK, startLive } from './live.ts';

export const DEFAULT_RATES: readonly number[] = [1_000];
export const ALL_RATES: readonly number[] = [100, 1_000, 5_000];

/** Above this rate a transaction has several rows: the load shares the cores with what is measured. */
const MAX_TRANSACTIONS_PER_SECOND = 1_000;
/** Of the load, before what counts: the service has just started. */
const WARM_UP_SECONDS = 3;
const SINGLE_CHANGES = 30;
/** Between two single changes, milliseconds; a random part keeps them out of step with any timer. */
const SINGLE_PAUSE_MS = 250;
const SINGLE_PAUSE_SPREAD_MS = 100;

export async function latency(bench: Workbench, rates: readonly number[]): Promise<Line[]> {
  const { runs, seconds } = bench.sizes;
  const lines: Line[] = [];
  for (const rate of rates) {
    const results: Run[] = [];
    for (let round = 0; round < runs; round++) results.push(await pacedRun(bench, rate));
    const rows = rowsAt(rate);
    const name = `latency, ${rate.toLocaleString('en')}/s`;
    const work = `${seconds} s, transactions of ${rows === 1 ? 'one row' : `${rows} rows`}`;
    lines.push(lineOf({ scenario: 'latency', name, work }, results));
  }
  const singles: Run[] = [];
  for (let round = 0; round < runs; round++) singles.push(await singleRun(bench));
  const work = `${SINGLE_CHANGES} single inserts, ${SINGLE_PAUSE_MS} ms and more apart`;
  return [...lines, lineOf({ scenario: 'latency', name: 'latency, idle', work }, singles)];
}

const rowsAt = (rate: number): number => Math.ceil(rate / MAX_TRANSACTIONS_PER_SECOND);

async function pacedRun(bench: Workbench, rate: number): Promise<Run> {
  const { database, tailrace, end } = await startLive(bench, { sinks: [SINK] });
  const cpuBefore = cpuUsOf(tailrace.pid) ?? Number.NaN;
  const startedMs = wallClockMs();
  await bench.endpoint.sample(wallClockMs() + WARM_UP_SECONDS * 1000);
  const { committed, lateMsP99, committedMsP99 } = await tailrace.until(
    pacedLoad(bench, {
      url: database.url,
      table: 't',
      changesPerSecond: rate,
      rows: rowsAt(rate),
      seconds: WARM_UP_SECONDS + bench.sizes.seconds,
    }),
  );
  const changes = changesIn(committed);
  await tailrace.until(bench.endpoint.waitFor(QUEUE, changes));
  const cpuUs = (cpuUsOf(tailrace.pid) ?? Number.NaN) - cpuBefore;
  const elapsedMs = wallClockMs() - startedMs;
  const peakRssMiB = peakRssMiBOf(tailrace.pid);
  await end();
  const report = await bench.endpoint.report(QUEUE);
  for (const fault of accountingFaults(report, committed)) bench.fault(`latency at ${rate}/s: ${fault}`);
  const run = latencyRun(report, {
    changes,
    changesPerSecond: changes / (elapsedMs / 1000),
    cpuPercent: cpuUs / elapsedMs / 10,
    changesPerRequest: changes / report.requests,
    peakRssMiB,
    loadLateP99Ms: lateMsP99,
    loadCommittedP99Ms: committedMsP99,
  });
  const { p50Ms, p99Ms, maxMs } = run.figures;
  bench.progress(
    `latency at ${rate}/s: p50 ${p50Ms!.toFixed(2)}, p99 ${p99Ms!.toFixed(2)}, max ${maxMs!.toFixed(1)} ms; load late by ${lateMsP99.toFixed(1)} ms (p99), committed within ${committedMsP99.toFixed(1)} ms`,
  );
  return run;
}

/** One change at a time, each on a system that has had nothing to do for a while. */
async function singleRun(bench: Workbench): Promise<Run> {
  const { database, tailrace, end } = await startLive(bench, { sinks: [SINK] });
  // The first change opens connections and compiles plans: it does not count.
  for (let i = 0; i <= SINGLE_CHANGES; i++) {
    if (i === 1) await bench.endpoint.sample(wallClockMs());
    await database.client.query(insertRows('t'), [1]);
    await tailrace.until(bench.endpoint.waitFor(QUEUE, i + 1));
    await new Promise((done) => setTimeout(done, SINGLE_PAUSE_MS + Math.random() * SINGLE_PAUSE_SPREAD_MS));
  }
  await end();
  const report = await bench.endpoint.report(QUEUE);
  const committed = { inserts: SINGLE_CHANGES + 1, updates: 0, deletes: 0 };
  for (const fault of accountingFaults(report, committed)) bench.fault(`latency, idle: ${fault}`);
  const run = latencyRun(report, {});
  bench.progress(
    `latency, idle: p50 ${run.figures['p50Ms']!.toFixed(2)}, max ${run.figures['maxMs']!.toFixed(2)} ms`,
  );
  return run;
}

export function latencyRun(report: QueueReport, figures: Figures): Run {
  const { latency } = report;
  if (latency === undefined) throw new Error('no latency was measured');
  return {
    figures: {
      p50Ms: latency.p50,
      p99Ms: latency.p99,
      maxMs: latency.max,
      samples: latency.count,
      ...figures,
    },
    distribution: latency.distribution,
  };
}
