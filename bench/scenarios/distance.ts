// `distance`: the drain of a slot with time between request and answer, as found lanes have it and as 32 would, and the plain client.
import { accountingFaults } from '../accounting-check.ts';
import type { Line } from '../measurement.ts';
import type { BenchSink } from '../tailrace.ts';
import type { Workbench } from '../workbench.ts';
import { SINK } from './live.ts';
import { runOverSlots, type PlannedLine } from './over-slots.ts';
import { drainOnce, plainClientOnce } from './replay-runs.ts';

export const DEFAULT_DISTANCES: readonly number[] = [0, 5, 20, 50];

/** What 32 lanes and the plain client get of the changes: they take several times as long. */
const FIXED_SHARE = 0.3;
const PLAIN_CLIENT_SHARE = 0.1;

const FIXED: BenchSink = { ...SINK, destination: { lanes: '32', lanes_min: '32' } };

export function distance(bench: Workbench, distances: readonly number[]): Promise<Line[]> {
  const { changes } = bench.sizes;
  const plan = distances.flatMap((rttMs): PlannedLine[] => [
    {
      name: `drain, ${rttMs} ms`,
      work: 'slot → FIFO queue',
      scenario: 'distance',
      faultsOf: accountingFaults,
      slot: `found_${rttMs}`,
      changes,
      run: (replay, { withSink }) =>
        drainOnce(bench, { ...replay, network: { rttMs }, sink: SINK }, withSink),
    },
    {
      name: `32 lanes, ${rttMs} ms`,
      work: 'the same with 32 lanes',
      scenario: 'distance',
      faultsOf: accountingFaults,
      slot: `fixed_${rttMs}`,
      changes: Math.ceil(changes * FIXED_SHARE),
      run: (replay, { withSink }) =>
        drainOnce(bench, { ...replay, network: { rttMs }, sink: FIXED }, withSink),
    },
    {
      name: `plain client, ${rttMs} ms`,
      work: 'pg-logical-replication, AWS SDK, 32 requests in flight',
      scenario: 'distance',
      faultsOf: accountingFaults,
      slot: `plain_${rttMs}`,
      changes: Math.ceil(changes * PLAIN_CLIENT_SHARE),
      run: (replay) => plainClientOnce(bench, { ...replay, network: { rttMs } }),
    },
  ]);
  return runOverSlots(bench, plan);
}
