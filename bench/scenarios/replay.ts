// `drain`, `log` and `filter`: slots made before the load all hold the same WAL, and every run reads it from a slot of its own.
// The references read it too, in turn with Tailrace, so that what disturbs the machine disturbs everybody.
import { accountingFaults } from '../accounting-check.ts';
import { changesIn, loadMixed, TABLE_COLUMNS, type ChangeCounts } from '../load/mixed.ts';
import { lineOf, type Line, type Run, type ScenarioName } from '../measurement.ts';
import { provideReceiver, runLimit } from '../references/limit.ts';
import { createSlots, endOfWal } from '../slots.ts';
import { startUpCpuUs, type BenchSink } from '../tailrace.ts';
import type { Database, Workbench } from '../workbench.ts';
import { ALL_PASS, LAST_ID, NONE_PASS, PASSING, rejectFromLog, rejectOnce } from './filter-runs.ts';
import { drainOnce, logOnce, plainClientOnce, type Replay, type StartUp } from './replay-runs.ts';

const PUBLICATION = 'bench';
const QUEUE = 'bench.fifo';

/** Of the changes, what a single group (one request at a time) and the plain client get: they take several times as long. */
const ONE_GROUP_SHARE = 0.2;
const PLAIN_CLIENT_SHARE = 0.1;

const SINK: BenchSink = { name: 'bench', queue: QUEUE, table: 't' };
const ONE_GROUP_SINK: BenchSink = {
  ...SINK,
  options: { same_group: 'ordered' },
  destination: { group_id: 'everything' },
};

type Planned = {
  readonly scenario: ScenarioName;
  readonly name: string;
  readonly work: string;
  /** Prefix of its slots. */
  readonly slot: string;
  readonly share: number;
  readonly run: (replay: Replay) => Promise<Run>;
};

export async function replay(bench: Workbench, wanted: ReadonlySet<ScenarioName>): Promise<Line[]> {
  const database = await bench.newDatabase();
  await database.client.query(`create table t (${TABLE_COLUMNS})`);
  await database.client.query(`create publication ${PUBLICATION} for table t`);
  const state = { endLsn: '', withSink: { startUpCpuUs: 0 }, withoutSink: { startUpCpuUs: 0 } };
  const plan = planOf(bench, wanted, state);
  const counts = await loadFor(bench, database, plan);
  state.endLsn = await endOfWal(database);
  await createSlots(database, ['idle']);
  const idle = { database, slot: 'idle', publication: PUBLICATION };
  state.withSink.startUpCpuUs = await startUpCpuUs(bench, { ...idle, sinks: [SINK] });
  state.withoutSink.startUpCpuUs = await startUpCpuUs(bench, { ...idle, sinks: [] });

  const runs = plan.map((): Run[] => []);
  for (let round = 0; round < bench.sizes.runs; round++) {
    for (const [i, { name, slot, run }] of plan.entries()) {
      const result = await run({
        database,
        slot: `${slot}_${round}`,
        publication: PUBLICATION,
        queue: QUEUE,
        committed: counts[i]!,
      });
      runs[i]!.push(result);
      const { changesPerSecond, cpuUsPerChange } = result.figures;
      bench.progress(
        `${name}: ${Math.round(changesPerSecond!)} changes/s, ${cpuUsPerChange!.toFixed(2)} µs CPU a change`,
      );
      for (const fault of await accountingOf(bench, name, counts[i]!)) bench.fault(`${name}: ${fault}`);
    }
  }
  await database.drop();
  return plan.map((line, i) => lineOf({ ...line, work: `${line.work}, ${countOf(counts[i]!)}` }, runs[i]!));
}

const countOf = (counts: ChangeCounts): string => `${changesIn(counts).toLocaleString('en')} changes`;

function planOf(
  bench: Workbench,
  wanted: ReadonlySet<ScenarioName>,
  state: { readonly endLsn: string; readonly withSink: StartUp; readonly withoutSink: StartUp },
): Planned[] {
  const receiver = provideReceiver(bench);
  if (receiver === undefined)
    bench.progress('limit: left out, there is no pg_recvlogical (postgresql-client)');
  const [scenario] = (['drain', 'log', 'filter'] as const).filter((name) => wanted.has(name));
  const limit: Planned = {
    scenario: scenario!,
    name: 'limit',
    work: 'pg_recvlogical to /dev/null',
    slot: 'limit',
    share: 1,
    run: async (replay) => ({
      figures: await runLimit(bench, {
        ...replay,
        receiver: receiver!,
        endLsn: state.endLsn,
        changes: changesIn(replay.committed),
      }),
    }),
  };
  const log: Planned = {
    scenario: 'log',
    name: 'log',
    work: 'slot → change log, durable',
    slot: 'log',
    share: 1,
    run: (replay) => logOnce(bench, replay, state.withoutSink),
  };
  const drain: Planned = {
    scenario: 'drain',
    name: 'drain',
    work: 'slot → FIFO queue',
    slot: 'drain',
    share: 1,
    run: (replay) => drainOnce(bench, { ...replay, sink: SINK }, state.withSink),
  };
  const oneGroup: Planned = {
    scenario: 'drain',
    name: 'drain, one group',
    work: 'the same, one constant group',
    slot: 'one_group',
    share: ONE_GROUP_SHARE,
    run: (replay) => drainOnce(bench, { ...replay, sink: ONE_GROUP_SINK }, state.withSink),
  };
  const plainClient: Planned = {
    scenario: 'drain',
    name: 'plain client',
    work: 'pg-logical-replication, AWS SDK, 32 requests in flight',
    slot: 'plain_client',
    share: PLAIN_CLIENT_SHARE,
    run: (replay) => plainClientOnce(bench, replay),
  };
  // A filter is measured against what it stands between.
  const isFiltered = wanted.has('filter');
  return [
    ...(receiver === undefined ? [] : [limit]),
    ...(wanted.has('log') || isFiltered ? [log] : []),
    ...(wanted.has('drain') || isFiltered ? [drain] : []),
    ...(wanted.has('drain') ? [oneGroup, plainClient] : []),
    ...(isFiltered ? filterLines(bench, state) : []),
  ];
}

/** All of them have two comparisons, of the key: a delete has no more. */
function filterLines(bench: Workbench, { withSink }: { readonly withSink: StartUp }): Planned[] {
  const line = (name: string, work: string, run: Planned['run']): Planned => ({
    scenario: 'filter',
    name,
    work,
    slot: name.replaceAll(/[^a-z]+/g, '_'),
    share: 1,
    run,
  });
  const sink = (where: string): BenchSink => ({ ...SINK, options: { where: JSON.stringify(where) } });
  const all = sink(ALL_PASS);
  const none = sink(NONE_PASS);
  return [
    line('filter, all pass', `where: ${ALL_PASS}; slot → FIFO queue`, (replay) =>
      drainOnce(bench, { ...replay, sink: all }, withSink),
    ),
    line(
      'filter, none pass',
      'where lets two changes through, the first and the last; slot → FIFO queue',
      (replay) => rejectOnce(bench, { ...replay, sink: none }, withSink),
    ),
    line('filter, none pass, of the log', 'the same, from the change log', (replay) =>
      rejectFromLog(bench, { ...replay, sink: none }, withSink),
    ),
  ];
}

/** Loads the table, with the slots of each line made when its share of the changes is still to come. */
async function loadFor(
  bench: Workbench,
  database: Database,
  plan: readonly Planned[],
): Promise<ChangeCounts[]> {
  const { changes, runs } = bench.sizes;
  bench.progress(`loading ${changes.toLocaleString('en')} changes`);
  const counts = await loadMixed(database.client, 't', {
    changes,
    milestones: plan.map(({ slot, share }) => ({
      remaining: Math.ceil(changes * share),
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

/** Of the lines that deliver to the queue. */
async function accountingOf(bench: Workbench, name: string, committed: ChangeCounts): Promise<string[]> {
  if (name === 'limit' || name === 'log') return [];
  const report = await bench.endpoint.report(QUEUE);
  if (name.startsWith('filter, none')) {
    return report.accepted === PASSING && report.duplicates === 0
      ? []
      : [`${report.accepted} changes instead of ${PASSING}, ${report.duplicates} duplicates`];
  }
  return accountingFaults(report, committed);
}
