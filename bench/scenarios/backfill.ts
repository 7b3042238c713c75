// `backfill`: the rows of a table into the log, and to a queue, beside `COPY … TO STDOUT` of the same rows by a plain connection.
import type { Client } from 'pg';
import { waitFor } from '../../test/support/wait.ts';
import { insertRows } from '../load/mixed.ts';
import { lineOf, type Line, type Run } from '../measurement.ts';
import { cpuUsOf, peakRssMiBOf } from '../process-figures.ts';
import type { BenchSink } from '../tailrace.ts';
import type { Workbench } from '../workbench.ts';
import { copyOut } from '../references/copy-out.ts';
import { QUEUE, SINK, startLive, type Live } from './live.ts';

const ROWS_AT_ONCE = 100_000;
const TIMEOUT_MS = 1_200_000;

/** Of all that is in the log it takes nothing: what is left is the way there. */
const TAKES_NOTHING: BenchSink = { ...SINK, options: { where: `"id < 0"` } };

type Progress = { readonly state: string; readonly rows: number; readonly rows_read_again: number };

export async function backfill(bench: Workbench): Promise<Line[]> {
  const { backfillRows: rows, runs } = bench.sizes;
  const copies: Run[] = [];
  const logged: Run[] = [];
  const delivered: Run[] = [];
  for (let run = 0; run < runs; run++) {
    const copy = await beside(bench, TAKES_NOTHING, async (live) => {
      const figures = await copied(bench, live.database.url, rows);
      logged.push({ figures: await backfilled(bench, live, { rows, messages: 0 }) });
      return figures;
    });
    copies.push({ figures: copy });
    delivered.push({
      figures: await beside(bench, SINK, (live) => backfilled(bench, live, { rows, messages: rows })),
    });
  }
  const work = `${rows.toLocaleString('en')} rows of about 200 bytes`;
  return [
    lineOf({ scenario: 'backfill', name: 'copy', work: `COPY … TO STDOUT, ${work}` }, copies),
    lineOf({ scenario: 'backfill', name: 'backfill to log', work: `table → log, ${work}` }, logged),
    lineOf({ scenario: 'backfill', name: 'backfill', work: `table → log → FIFO queue, ${work}` }, delivered),
  ];
}

/** A full table, and a service that streams it to this sink. */
async function beside<Result>(
  bench: Workbench,
  sink: BenchSink,
  measure: (live: Live) => Promise<Result>,
): Promise<Result> {
  const { backfillRows: rows } = bench.sizes;
  const live = await startLive(bench, {
    sinks: [sink],
    fill: async ({ client }) => {
      for (let at = 0; at < rows; at += ROWS_AT_ONCE) {
        await client.query(insertRows('t'), [Math.min(ROWS_AT_ONCE, rows - at)]);
      }
      await client.query('vacuum analyze t');
      await client.query('checkpoint');
    },
  });
  const result = await measure(live);
  await live.end();
  return result;
}

async function copied(bench: Workbench, url: string, rows: number): Promise<Run['figures']> {
  const client: Client = await bench.connect(url);
  const beganMs = performance.now();
  const bytes = await copyOut(client, 'select * from t');
  const seconds = (performance.now() - beganMs) / 1000;
  await client.end();
  bench.progress(`copy: ${Math.round(rows / seconds)} rows/s`);
  return { rowsPerSecond: rows / seconds, seconds, megabytes: bytes / 1e6 };
}

/** `messages`: as many of its rows as reach the queue. */
async function backfilled(
  bench: Workbench,
  { tailrace }: Live,
  { rows, messages }: { readonly rows: number; readonly messages: number },
): Promise<Run['figures']> {
  const { service, pid } = tailrace;
  const api = `${await service.apiUrl()}/api/databases/bench/backfills`;
  const cpuBefore = cpuUsOf(pid) ?? Number.NaN;
  const beganMs = performance.now();
  const started = await fetch(api, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ sinks: 'all' }),
  });
  const { backfill } = (await started.json()) as { readonly backfill: { readonly id: string } };
  await tailrace.until(
    waitFor(
      async () => {
        const { state } = (await (await fetch(`${api}/${backfill.id}`)).json()) as Progress;
        if (state === 'failed') throw new Error('the backfill failed');
        return state === 'completed';
      },
      'the backfill to be complete',
      TIMEOUT_MS,
    ),
  );
  const logged = (performance.now() - beganMs) / 1000;
  if (messages > 0) await tailrace.until(bench.endpoint.waitFor(QUEUE, messages));
  const seconds = (performance.now() - beganMs) / 1000;
  const cpuUs = (cpuUsOf(pid) ?? Number.NaN) - cpuBefore;
  const figures = {
    rowsPerSecond: rows / logged,
    cpuUsPerChange: cpuUs / rows,
    peakRssMiB: peakRssMiBOf(pid),
    seconds,
    ...(messages > 0 && { deliveredPerSecond: messages / seconds }),
  };
  bench.progress(`backfill: ${JSON.stringify(figures)}`);
  return figures;
}
