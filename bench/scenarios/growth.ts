// `growth`: what more sinks on one table cost, and what rows cost that a sink does not want.
import { waitFor } from '../../test/support/wait.ts';
import { accountingFaults } from '../accounting-check.ts';
import { changesIn, insertRows, loadMixed, TABLE_COLUMNS, type ChangeCounts } from '../load/mixed.ts';
import { lineOf, type Line, type Run } from '../measurement.ts';
import { cpuUsOf, peakRssMiBOf } from '../process-figures.ts';
import { createSlots, walsenderCpuUs, whenActive } from '../slots.ts';
import { startTailrace, startUpCpuUs, type BenchSink } from '../tailrace.ts';
import type { Database, Workbench } from '../workbench.ts';
import { manyFilters } from './growth-filters.ts';
import { logOnce } from './replay-runs.ts';

export const PUBLICATION = 'bench';
const SINK_COUNTS = [1, 4, 10];
const TABLES = 50;
const WANTED = 't0';
const ROWS_PER_TRANSACTION = 100;

export async function growth(bench: Workbench): Promise<Line[]> {
  return [
    ...(await sinksOnOneTable(bench)),
    ...(await manyFilters(bench)),
    ...(await oneOfManyTables(bench)),
  ];
}

export type Backlog = {
  readonly database: Database;
  readonly slot: string;
  readonly sinks: readonly BenchSink[];
  /** What each sink is to deliver, and what the slot holds. */
  readonly wanted: ChangeCounts;
  readonly changes: number;
  /** Has each sink some changes of a transaction only? */
  readonly isFiltered?: boolean;
};

/** Drains a slot to all the sinks; figures are per change of the slot, whatever becomes of it. */
export async function drainToSinks(bench: Workbench, backlog: Backlog): Promise<Run> {
  const { database, slot, sinks, wanted, changes } = backlog;
  const options = { database, publication: PUBLICATION, sinks };
  const startUp = await startUpCpuUs(bench, { ...options, slot: 'idle' });
  await bench.endpoint.reset();
  const directory = bench.newDirectory();
  const tailrace = startTailrace(bench, directory.path, { ...options, slot });
  const sender = await tailrace.until(whenActive(database, slot));
  await tailrace.until(
    Promise.all(sinks.map(({ queue }) => bench.endpoint.waitFor(queue, changesIn(wanted)))),
  );
  await tailrace.until(sourceHasRead(tailrace, changes));
  const cpuUs = cpuUsOf(tailrace.pid) ?? Number.NaN;
  const peakRssMiB = peakRssMiBOf(tailrace.pid);
  const senderCpuUs = walsenderCpuUs(sender);
  await tailrace.stop();
  directory.remove();
  const reports = await Promise.all(sinks.map(({ queue }) => bench.endpoint.report(queue)));
  for (const [i, report] of reports.entries()) {
    for (const fault of accountingFaults(report, wanted, backlog))
      bench.fault(`growth, ${sinks[i]!.queue}: ${fault}`);
  }
  const lastMs = Math.max(...reports.map(({ lastAcceptedMs }) => lastAcceptedMs));
  const seconds = (lastMs - sender.activeSinceMs) / 1000;
  return {
    figures: {
      changes,
      changesPerSecond: changes / seconds,
      wantedShare: changesIn(wanted) / changes,
      messagesPerSecond: (changesIn(wanted) * sinks.length) / seconds,
      cpuUsPerChange: (cpuUs - startUp) / changes,
      cpuUsPerChangeWithStart: cpuUs / changes,
      senderCpuUsPerChange: senderCpuUs / changes,
      peakRssMiB,
    },
  };
}

/** The last wanted row need not be the last row. */
const sourceHasRead = (tailrace: ReturnType<typeof startTailrace>, changes: number): Promise<true> =>
  waitFor(async () => {
    const [source] = (await tailrace.service.health()).databases;
    return source !== undefined && source.changes >= changes && source.durableEnd === source.loggedEnd;
  }, 'the source to have read everything');

export async function sinksOnOneTable(bench: Workbench, counts = SINK_COUNTS): Promise<Line[]> {
  const { runs, growthChanges: changes } = bench.sizes;
  const database = await bench.newDatabase();
  await database.client.query(`create table t (${TABLE_COLUMNS})`);
  await database.client.query(`create publication ${PUBLICATION} for table t`);
  const slots = counts.flatMap((count) =>
    Array.from({ length: runs }, (_, round) => `sinks_${count}_${round}`),
  );
  const [wanted] = await loadMixed(database.client, 't', {
    changes,
    milestones: [{ remaining: changes, reached: () => createSlots(database, slots) }],
  });
  await createSlots(database, ['idle']);
  const lines: Line[] = [];
  for (const count of counts) {
    const sinks = Array.from({ length: count }, (_, i) => ({
      name: `s${i}`,
      queue: `s${i}.fifo`,
      table: 't',
    }));
    const results: Run[] = [];
    for (let round = 0; round < runs; round++) {
      const slot = `sinks_${count}_${round}`;
      results.push(await drainToSinks(bench, { database, slot, sinks, wanted: wanted!, changes }));
    }
    const name = count === 1 ? 'one sink' : `${count} sinks`;
    const line = lineOf(
      { scenario: 'growth', name, work: `on one table, ${changes.toLocaleString('en')} changes` },
      results,
    );
    bench.progress(`growth, ${name}: ${line.median['cpuUsPerChange']} µs CPU a change of the source`);
    lines.push(line);
  }
  await database.drop();
  return lines;
}

/** One sink that wants one table of fifty, against no sink at all on the same WAL: the difference is what it costs. */
async function oneOfManyTables(bench: Workbench): Promise<Line[]> {
  const { runs, unwantedChanges: changes } = bench.sizes;
  const database = await bench.newDatabase();
  const tables = Array.from({ length: TABLES }, (_, i) => `t${i}`);
  for (const table of tables) await database.client.query(`create table ${table} (${TABLE_COLUMNS})`);
  await database.client.query(`create publication ${PUBLICATION} for table ${tables.join(', ')}`);
  const slots = ['one', 'none'].flatMap((kind) =>
    Array.from({ length: runs }, (_, round) => `${kind}_${round}`),
  );
  await createSlots(database, slots);
  const perTable = Math.ceil(changes / TABLES / ROWS_PER_TRANSACTION) * ROWS_PER_TRANSACTION;
  for (let made = 0; made < perTable; made += ROWS_PER_TRANSACTION) {
    for (const table of tables) await database.client.query(insertRows(table), [ROWS_PER_TRANSACTION]);
  }
  await createSlots(database, ['idle']);
  const all: ChangeCounts = { inserts: perTable * TABLES, updates: 0, deletes: 0 };
  const sinks = [{ name: 'one', queue: 'one.fifo', table: WANTED }];
  const startUp = await startUpCpuUs(bench, { database, slot: 'idle', publication: PUBLICATION, sinks: [] });
  const withSink: Run[] = [];
  const without: Run[] = [];
  for (let round = 0; round < runs; round++) {
    const replay = { database, publication: PUBLICATION, queue: '', committed: all };
    without.push(await logOnce(bench, { ...replay, slot: `none_${round}` }, { startUpCpuUs: startUp }));
    const wanted = { inserts: perTable, updates: 0, deletes: 0 };
    withSink.push(
      await drainToSinks(bench, { database, slot: `one_${round}`, sinks, wanted, changes: changesIn(all) }),
    );
  }
  await database.drop();
  const work = `${changesIn(all).toLocaleString('en')} rows of ${TABLES} tables`;
  return [
    lineOf({ scenario: 'growth', name: 'no sink', work }, without),
    lineOf(
      { scenario: 'growth', name: 'a sink of one table', work: `${work}, of which it wants one` },
      withSink,
    ),
  ];
}
