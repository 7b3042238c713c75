// `isolation`: two sinks on one table, and one queue answers nothing for a while. What does the other notice, and Postgres?
import { accountingFaults } from '../accounting-check.ts';
import { wallClockMs } from '../clock.ts';
import type { LatencyFigures } from '../endpoint/latency-record.ts';
import { changesIn, type ChangeCounts } from '../load/mixed.ts';
import { pacedLoad } from '../load/paced.ts';
import { lineOf, type Line } from '../measurement.ts';
import { peakRssMiBOf } from '../process-figures.ts';
import type { Database, Workbench } from '../workbench.ts';
import { SINK, startLive } from './live.ts';

const CHANGES_PER_SECOND = 2_000;
const ROWS = 2;
const WARM_UP_SECONDS = 3;
/** Small, so that the stall passes it and `ack: auto` has something to decide. */
const MAX_RETAINED = '16MB';
const HEALTHY = 'healthy.fifo';
const STALLED = 'stalled.fifo';
const LOOK_INTERVAL_MS = 500;

export async function isolation(bench: Workbench): Promise<Line[]> {
  const { seconds, stallSeconds } = bench.sizes;
  const { database, tailrace, end } = await startLive(bench, {
    sinks: [
      { ...SINK, name: 'healthy', queue: HEALTHY },
      { ...SINK, name: 'stalled', queue: STALLED },
    ],
    slotOptions: { max_retained: MAX_RETAINED },
  });
  const committed: ChangeCounts = { inserts: 0, updates: 0, deletes: 0 };
  /** Loads for so long; returns the healthy queue's latencies of that time. */
  const load = async (forSeconds: number): Promise<LatencyFigures> => {
    await bench.endpoint.sample(wallClockMs());
    const result = await tailrace.until(
      pacedLoad(bench, {
        url: database.url,
        table: 't',
        changesPerSecond: CHANGES_PER_SECOND,
        rows: ROWS,
        seconds: forSeconds,
      }),
    );
    for (const kind of ['inserts', 'updates', 'deletes'] as const) committed[kind] += result.committed[kind];
    await tailrace.until(bench.endpoint.waitFor(HEALTHY, changesIn(committed)));
    return (await bench.endpoint.report(HEALTHY)).latency!;
  };

  await load(WARM_UP_SECONDS);
  bench.progress(`isolation: both queues answer for ${seconds} s`);
  const before = await load(seconds);
  bench.progress(`isolation: one answers nothing for ${stallSeconds} s`);
  await bench.endpoint.setMode(STALLED, 'stalled');
  const retained = watchRetained(database);
  const during = await load(stallSeconds);
  const worst = await retained.end();
  bench.progress('isolation: it answers again');
  await bench.endpoint.setMode(STALLED, 'serving');
  const answersMs = wallClockMs();
  await tailrace.until(bench.endpoint.waitFor(STALLED, changesIn(committed)));
  const secondsToRecover = (wallClockMs() - answersMs) / 1000;
  const peakRssMiB = peakRssMiBOf(tailrace.pid);
  await end();
  for (const queue of [HEALTHY, STALLED]) {
    const report = await bench.endpoint.report(queue);
    for (const fault of accountingFaults(report, committed)) bench.fault(`isolation, ${queue}: ${fault}`);
  }
  const figuresOf = ({ p50, p99, max }: LatencyFigures) => ({ p50Ms: p50, p99Ms: p99, maxMs: max });
  const rate = `${CHANGES_PER_SECOND.toLocaleString('en')}/s`;
  return [
    lineOf(
      { scenario: 'isolation', name: 'isolation, before', work: `two sinks at ${rate}, both queues answer` },
      [{ figures: figuresOf(before), distribution: before.distribution }],
    ),
    lineOf(
      {
        scenario: 'isolation',
        name: 'isolation, stalled',
        work: `the other queue answers nothing for ${stallSeconds} s; max_retained ${MAX_RETAINED}`,
      },
      [
        {
          figures: { ...figuresOf(during), peakRssMiB, secondsToRecover, ...worst },
          distribution: during.distribution,
        },
      ],
    ),
  ];
}

type Retained = { unconfirmedMiB: number; restartLagMiB: number };

/** What Postgres keeps for the slot at most: behind `confirmed_flush_lsn`, and behind `restart_lsn`, which others' transactions pin. */
function watchRetained({ client, name }: Database): { end(): Promise<Retained> } {
  const worst: Retained = { unconfirmedMiB: 0, restartLagMiB: 0 };
  let ended = false;
  const watching = (async () => {
    while (!ended) {
      const { rows } = await client.query<Retained>(
        `select (pg_current_wal_lsn() - confirmed_flush_lsn)::float8 / 1048576 as "unconfirmedMiB",
           (pg_current_wal_lsn() - restart_lsn)::float8 / 1048576 as "restartLagMiB"
         from pg_replication_slots where slot_name = $1`,
        [name],
      );
      worst.unconfirmedMiB = Math.max(worst.unconfirmedMiB, rows[0]!.unconfirmedMiB);
      worst.restartLagMiB = Math.max(worst.restartLagMiB, rows[0]!.restartLagMiB);
      await new Promise((done) => setTimeout(done, LOOK_INTERVAL_MS));
    }
  })();
  return {
    end: async () => {
      ended = true;
      await watching;
      return worst;
    },
  };
}
