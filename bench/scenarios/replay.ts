// `drain`, `log` and `filter`, and the references that read the same WAL in turn with them.
import { accountingFaults } from '../accounting-check.ts';
import { changesIn } from '../load/mixed.ts';
import type { Line, ScenarioName } from '../measurement.ts';
import { provideReceiver, runLimit } from '../references/limit.ts';
import type { BenchSink } from '../tailrace.ts';
import type { Workbench } from '../workbench.ts';
import { ALL_PASS, NONE_PASS, PASSING, rejectFromLog, rejectOnce } from './filter-runs.ts';
import { SINK } from './live.ts';
import { runOverSlots, type PlannedLine } from './over-slots.ts';
import { drainOnce, logOnce, plainClientOnce } from './replay-runs.ts';

/** Of the changes, what a single group (one request at a time) and the plain client get: they take several times as long. */
const ONE_GROUP_SHARE = 0.2;
const PLAIN_CLIENT_SHARE = 0.1;

const ONE_GROUP_SINK: BenchSink = {
  ...SINK,
  options: { same_group: 'ordered' },
  destination: { group_id: 'everything' },
};

export const replay = (bench: Workbench, wanted: ReadonlySet<ScenarioName>): Promise<Line[]> =>
  runOverSlots(bench, planOf(bench, wanted));

function planOf(bench: Workbench, wanted: ReadonlySet<ScenarioName>): PlannedLine[] {
  const { changes } = bench.sizes;
  const share = (part: number): number => Math.ceil(changes * part);
  const faultsOf = accountingFaults;
  const receiver = provideReceiver(bench);
  if (receiver === undefined)
    bench.progress('limit: left out, there is no pg_recvlogical (postgresql-client)');
  const [scenario] = (['drain', 'log', 'filter'] as const).filter((name) => wanted.has(name));
  const limit: PlannedLine = {
    scenario: scenario!,
    name: 'limit',
    work: 'pg_recvlogical to /dev/null',
    slot: 'limit',
    changes,
    faultsOf: undefined,
    run: async (replay, { endLsn }) => ({
      figures: await runLimit(bench, {
        ...replay,
        receiver: receiver!,
        endLsn,
        changes: changesIn(replay.committed),
      }),
    }),
  };
  const log: PlannedLine = {
    scenario: 'log',
    name: 'log',
    work: 'slot → change log, durable',
    slot: 'log',
    changes,
    faultsOf: undefined,
    run: (replay, { withoutSink }) => logOnce(bench, replay, withoutSink),
  };
  const drain: PlannedLine = {
    scenario: 'drain',
    name: 'drain',
    work: 'slot → FIFO queue',
    slot: 'drain',
    changes,
    faultsOf,
    run: (replay, { withSink }) => drainOnce(bench, { ...replay, sink: SINK }, withSink),
  };
  const oneGroup: PlannedLine = {
    scenario: 'drain',
    name: 'drain, one group',
    work: 'the same, one constant group',
    slot: 'one_group',
    changes: share(ONE_GROUP_SHARE),
    faultsOf,
    run: (replay, { withSink }) => drainOnce(bench, { ...replay, sink: ONE_GROUP_SINK }, withSink),
  };
  const plainClient: PlannedLine = {
    scenario: 'drain',
    name: 'plain client',
    work: 'pg-logical-replication, AWS SDK, 32 requests in flight',
    slot: 'plain_client',
    changes: share(PLAIN_CLIENT_SHARE),
    faultsOf,
    run: (replay) => plainClientOnce(bench, replay),
  };
  // A filter is measured against what it stands between.
  const isFiltered = wanted.has('filter');
  return [
    ...(receiver === undefined ? [] : [limit]),
    ...(wanted.has('log') || isFiltered ? [log] : []),
    ...(wanted.has('drain') || isFiltered ? [drain] : []),
    ...(wanted.has('drain') ? [oneGroup, plainClient] : []),
    ...(isFiltered ? filterLines(bench) : []),
  ];
}

/** All of them have two comparisons, of the key: a delete has no more. */
function filterLines(bench: Workbench): PlannedLine[] {
  const line = (
    name: string,
    work: string,
    faultsOf: PlannedLine['faultsOf'],
    run: PlannedLine['run'],
  ): PlannedLine => ({
    scenario: 'filter',
    name,
    work,
    slot: name.replaceAll(/[^a-z]+/g, '_'),
    changes: bench.sizes.changes,
    faultsOf,
    run,
  });
  const sink = (where: string): BenchSink => ({ ...SINK, options: { where: JSON.stringify(where) } });
  const all = sink(ALL_PASS);
  const none = sink(NONE_PASS);
  return [
    line(
      'filter, all pass',
      `where: ${ALL_PASS}; slot → FIFO queue`,
      accountingFaults,
      (replay, { withSink }) => drainOnce(bench, { ...replay, sink: all }, withSink),
    ),
    line(
      'filter, none pass',
      'where lets two changes through, the first and the last; slot → FIFO queue',
      passingFaults,
      (replay, { withSink }) => rejectOnce(bench, { ...replay, sink: none }, withSink),
    ),
    line(
      'filter, none pass, of the log',
      'the same, from the change log',
      passingFaults,
      (replay, { withSink }) => rejectFromLog(bench, { ...replay, sink: none }, withSink),
    ),
  ];
}

const passingFaults: PlannedLine['faultsOf'] = ({ accepted, duplicates }) =>
  accepted === PASSING && duplicates === 0
    ? []
    : [`${accepted} changes instead of ${PASSING}, ${duplicates} duplicates`];
