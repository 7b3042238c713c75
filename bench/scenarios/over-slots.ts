// Lines that each read the same WAL from slots of their own, made before the load, in turn, so that what disturbs the machine disturbs everybody.
import type { QueueReport } from '../endpoint/protocol.ts';
import { changesIn, loadMixed, TABLE_COLUMNS, type ChangeCounts } from '../load/mixed.ts';
import { lineOf, withTls, type Line, type Run, type ScenarioName } from '../measurement.ts';
import { createSlots, endOfWal } from '../slots.ts';
import { startUpCpuUs } from '../tailrace.ts';
import type { Database, Workbench } from '../workbench.ts';
import { LAST_ID } from './filter-runs.ts';
import { QUEUE, SINK } from './live.ts';
import type { Replay, StartUp } from './replay-runs.ts';

/** What the runs may need of the server and of the machine. */
export type Ground = {
  /** Where the WAL of the load ends. */
  readonly endLsn: string;
  /** Of a service with a sink, and of one without. */
  readonly withSink: StartUp;
  readonly withoutSink: StartUp;
};

export type PlannedLine = {
  readonly scenario: ScenarioName;
  readonly name: string;
  readonly work: string;
  /** Prefix of its slots. */
  readonly slot: string;
  /** Changes that they hold, without the last one. */
  readonly changes: number;
  /** What is wrong with what the queue got. Undefined: it gets nothing. */
  readonly faultsOf: ((report: QueueReport, committed: ChangeCounts) => readonly string[]) | undefined;
  readonly run: (replay: Replay, ground: Ground) => Promise<Run>;
};

const PUBLICATION = 'bench';

/** The same with the endpoint reached over TLS. */
const overTls = (bench: Workbench, line: PlannedLine): PlannedLine => ({
  ...line,
  name: withTls(line.name),
  slot: `tls_${line.slot}`,
  run: (replay, ground) => bench.overTls(() => line.run(replay, ground)),
});

/** `columns`: more of the table, with defaults; its old rows are then sent whole. */
export async function runOverSlots(
  bench: Workbench,
  planned: readonly PlannedLine[],
  { columns }: { readonly columns?: string } = {},
): Promise<Line[]> {
  // Side by side: what disturbs the machine disturbs both.
  const plan = planned.flatMap((line) =>
    bench.hasTls && line.faultsOf !== undefined ? [line, overTls(bench, line)] : [line],
  );
  const database = await bench.newDatabase();
  await database.client.query(
    `create table t (${TABLE_COLUMNS}${columns === undefined ? '' : `, ${columns}`})`,
  );
  if (columns !== undefined) await database.client.query('alter table t replica identity full');
  await database.client.query(`create publication ${PUBLICATION} for table t`);
  const counts = await loadFor(bench, database, plan);
  const ground = await groundOf(bench, database);
  const results = plan.map((): Run[] => []);
  for (let round = 0; round < bench.sizes.runs; round++) {
    for (const [i, { name, slot, faultsOf, run }] of plan.entries()) {
      const committed = counts[i]!;
      const where = { database, slot: `${slot}_${round}`, publication: PUBLICATION, queue: QUEUE };
      const result = await run({ ...where, committed }, ground);
      results[i]!.push(result);
      const { changesPerSecond, cpuUsPerChange } = result.figures;
      bench.progress(
        `${name}: ${Math.round(changesPerSecond!)} changes/s, ${cpuUsPerChange!.toFixed(2)} µs CPU a change`,
      );
      if (faultsOf === undefined) continue;
      for (const fault of faultsOf(await bench.endpoint.report(QUEUE), committed))
        bench.fault(`${name}: ${fault}`);
    }
  }
  await database.drop();
  return plan.map(({ scenario, name, work }, i) => {
    const changes = changesIn(counts[i]!).toLocaleString('en');
    return lineOf({ scenario, name, work: `${work}, ${changes} changes` }, results[i]!);
  });
}

/** Loads the table, with the slots of each line made when its share of the changes is still to come. Last comes an insert that is known. */
async function loadFor(
  bench: Workbench,
  database: Database,
  plan: readonly PlannedLine[],
): Promise<ChangeCounts[]> {
  const { runs } = bench.sizes;
  const most = Math.max(...plan.map(({ changes }) => changes));
  bench.progress(`loading ${most.toLocaleString('en')} changes`);
  const counts = await loadMixed(database.client, 't', {
    changes: most,
    milestones: plan.map(({ slot, changes }) => ({
      remaining: changes,
      reached: () =>
        createSlots(
          database,
          Array.from({ length: runs }, (_, round) => `${slot}_${round}`),
        ),
    })),
  });
  await database.client.query('insert into t (id) values ($1)', [LAST_ID]);
  return counts.map((count) => ({ ...count, inserts: count.inserts + 1 }));
}

async function groundOf(bench: Workbench, database: Database): Promise<Ground> {
  const endLsn = await endOfWal(database);
  await createSlots(database, ['idle']);
  const idle = { database, slot: 'idle', publication: PUBLICATION };
  return {
    endLsn,
    withSink: { startUpCpuUs: await startUpCpuUs(bench, { ...idle, sinks: [SINK] }) },
    withoutSink: { startUpCpuUs: await startUpCpuUs(bench, { ...idle, sinks: [] }) },
  };
}
