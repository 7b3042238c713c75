// `growth`, with filters: a hundred sinks on one table, each with the rows of one customer, beside one sink that has them all.
import { insertRows, TABLE_COLUMNS, type ChangeCounts } from '../load/mixed.ts';
import { lineOf, type Line, type Run } from '../measurement.ts';
import { createSlots } from '../slots.ts';
import type { Workbench } from '../workbench.ts';
import { drainToSinks, PUBLICATION } from './growth-runs.ts';

const CUSTOMERS = 100;
/** So many rows of a customer follow each other: what one request carries. */
const ROWS_IN_A_ROW = 10;
const ROWS_PER_TRANSACTION = CUSTOMERS * ROWS_IN_A_ROW;

/** Each transaction has rows of all customers. */
export async function manyFilters(bench: Workbench): Promise<Line[]> {
  const { runs, growthChanges } = bench.sizes;
  const rounds = Math.ceil(growthChanges / ROWS_PER_TRANSACTION);
  const changes = rounds * ROWS_PER_TRANSACTION;
  const database = await bench.newDatabase();
  await database.client.query(`create table t (${TABLE_COLUMNS}, customer_id int)`);
  await database.client.query(`create publication ${PUBLICATION} for table t`);
  const slots = ['all', 'each'].flatMap((kind) =>
    Array.from({ length: runs }, (_, round) => `${kind}_${round}`),
  );
  await createSlots(database, slots);
  const insert = insertRows('t')
    .replace('updated_at)', 'updated_at, customer_id)')
    .replace('now(), now()', `now(), now(), (i - 1) / ${ROWS_IN_A_ROW}`);
  for (let round = 0; round < rounds; round++) await database.client.query(insert, [ROWS_PER_TRANSACTION]);
  await createSlots(database, ['idle']);
  const measure = async (kind: 'all' | 'each'): Promise<Line> => {
    const sinks =
      kind === 'all'
        ? [{ name: 'all', queue: 'all.fifo', table: 't' }]
        : Array.from({ length: CUSTOMERS }, (_, customer) => ({
            name: `c${customer}`,
            queue: `c${customer}.fifo`,
            table: 't',
            options: { where: `"customer_id = ${customer}"` },
          }));
    const inserts = kind === 'all' ? changes : rounds * ROWS_IN_A_ROW;
    const wanted: ChangeCounts = { inserts, updates: 0, deletes: 0 };
    const results: Run[] = [];
    for (let round = 0; round < runs; round++)
      results.push(
        await drainToSinks(bench, {
          database,
          slot: `${kind}_${round}`,
          sinks,
          wanted,
          changes,
          isFiltered: kind === 'each',
        }),
      );
    const name = kind === 'all' ? 'one sink of all customers' : `${CUSTOMERS} sinks, one a customer`;
    const work = `${changes.toLocaleString('en')} rows of ${CUSTOMERS} customers`;
    const line = lineOf({ scenario: 'growth', name, work }, results);
    bench.progress(`growth, ${name}: ${line.median['cpuUsPerChange']} µs CPU a change of the source`);
    return line;
  };
  const lines = [await measure('all'), await measure('each')];
  await database.drop();
  return lines;
}
