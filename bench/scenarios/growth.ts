// `growth`: what more sinks on one table cost, and what rows cost that a sink does not want.
import { changesIn, insertRows, loadMixed, TABLE_COLUMNS, type ChangeCounts } from '../load/mixed.ts';
import { lineOf, type Line, type Run } from '../measurement.ts';
import { createSlots } from '../slots.ts';
import { startUpCpuUs } from '../tailrace.ts';
import type { Workbench } from '../workbench.ts';
import { manyFilters } from './growth-filters.ts';
import { drainToSinks, PUBLICATION } from './growth-runs.ts';
import { logOnce } from './replay-runs.ts';

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

async function sinksOnOneTable(bench: Workbench): Promise<Line[]> {
  const { runs, growthChanges: changes } = bench.sizes;
  const database = await bench.newDatabase();
  await database.client.query(`create table t (${TABLE_COLUMNS})`);
  await database.client.query(`create publication ${PUBLICATION} for table t`);
  const slots = SINK_COUNTS.flatMap((count) =>
    Array.from({ length: runs }, (_, round) => `sinks_${count}_${round}`),
  );
  const [wanted] = await loadMixed(database.client, 't', {
    changes,
    milestones: [{ remaining: changes, reached: () => createSlots(database, slots) }],
  });
  await createSlots(database, ['idle']);
  const lines: Line[] = [];
  for (const count of SINK_COUNTS) {
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
