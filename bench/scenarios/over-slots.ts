// Lines that each read the same WAL from slots of their own, in turn, so that what disturbs the machine disturbs everybody.
import { accountingFaults } from '../accounting-check.ts';
import { changesIn, loadMixed, TABLE_COLUMNS } from '../load/mixed.ts';
import { lineOf, type Line, type Run, type ScenarioName } from '../measurement.ts';
import { createSlots } from '../slots.ts';
import { startUpCpuUs } from '../tailrace.ts';
import type { Workbench } from '../workbench.ts';
import { QUEUE, SINK } from './live.ts';
import type { Replay, StartUp } from './replay-runs.ts';

export type PlannedLine = {
  readonly name: string;
  readonly work: string;
  /** Prefix of its slots. */
  readonly slot: string;
  /** Changes that they hold. */
  readonly changes: number;
  readonly run: (replay: Replay, startUp: StartUp) => Promise<Run>;
};

const PUBLICATION = 'bench';

export async function runOverSlots(
  bench: Workbench,
  scenario: ScenarioName,
  plan: readonly PlannedLine[],
): Promise<Line[]> {
  const { runs } = bench.sizes;
  const database = await bench.newDatabase();
  await database.client.query(`create table t (${TABLE_COLUMNS})`);
  await database.client.query(`create publication ${PUBLICATION} for table t`);
  const slots = (slot: string): string[] => Array.from({ length: runs }, (_, round) => `${slot}_${round}`);
  const most = Math.max(...plan.map(({ changes }) => changes));
  bench.progress(`loading ${most.toLocaleString('en')} changes`);
  const counts = await loadMixed(database.client, 't', {
    changes: most,
    milestones: plan.map(({ slot, changes }) => ({
      remaining: changes,
      reached: () => createSlots(database, slots(slot)),
    })),
  });
  await createSlots(database, ['idle']);
  const idle = { database, slot: 'idle', publication: PUBLICATION, sinks: [SINK] };
  const startUp = { startUpCpuUs: await startUpCpuUs(bench, idle) };
  const results = plan.map((): Run[] => []);
  for (let round = 0; round < runs; round++) {
    for (const [i, { name, slot, run }] of plan.entries()) {
      const committed = counts[i]!;
      const replay = {
        database,
        slot: `${slot}_${round}`,
        publication: PUBLICATION,
        queue: QUEUE,
        committed,
      };
      const result = await run(replay, startUp);
      results[i]!.push(result);
      const { changesPerSecond, cpuUsPerChange } = result.figures;
      bench.progress(
        `${name}: ${Math.round(changesPerSecond!)} changes/s, ${cpuUsPerChange!.toFixed(2)} µs CPU a change`,
      );
      for (const fault of accountingFaults(await bench.endpoint.report(QUEUE), committed)) {
        bench.fault(`${name}: ${fault}`);
      }
    }
  }
  await database.drop();
  return plan.map(({ name, work }, i) => {
    const changes = changesIn(counts[i]!).toLocaleString('en');
    return lineOf({ scenario, name, work: `${work}, ${changes} changes` }, results[i]!);
  });
}
