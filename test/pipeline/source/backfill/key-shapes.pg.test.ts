// Backfills of tables with every shape of key, beside writers: each consumer ends with its table, and no row comes after a newer change of it.
import { expect, test } from 'vitest';
import type { TableName } from '../../../../src/core/selection.ts';
import { ask, backfillRoom, completed, found, keepWriting } from '../../../support/backfilled.ts';
import {
  KEY_SHAPES,
  makeKeyShape,
  SHAPE_ROWS,
  writesOf,
  type KeyShape,
} from '../../../support/key-shapes.ts';
import { connect } from '../../../support/postgres.ts';
import type { TestSource } from '../../../support/source.ts';
import { waitFor } from '../../../support/wait.ts';

const room = backfillRoom();

/** Slow enough for writers to come between the chunks. */
const limits = { queryTimeoutMs: 5000, maxRowsPerSecond: 400 };

async function namesOf(shapes: readonly KeyShape[]): Promise<readonly TableName[]> {
  const { rows } = await room.client.query<TableName>(
    `select n.nspname as schema, c.relname as table from unnest($1::text[]) with ordinality t (name, place)
     join pg_class c on c.oid = t.name::regclass join pg_namespace n on n.oid = c.relnamespace order by place`,
    [shapes.map(({ table }) => table)],
  );
  return rows;
}

/** Writes to all of them in turn; a table that is gone is left out. */
async function write(shapes: readonly KeyShape[], signal: AbortSignal): Promise<number> {
  const writer = await connect(room.database.url);
  const gone = new Set<string>();
  const written = await keepWriting(async (i) => {
    for (const shape of shapes.filter(({ table }) => !gone.has(table))) {
      await writer.query(writesOf(shape, i)).catch(async (error: unknown) => {
        if ((error as { code?: string }).code !== '42P01') throw error;
        await writer.query('rollback');
        gone.add(shape.table);
      });
    }
  }, signal);
  await writer.end();
  return written;
}

/** Begins with some of the tables in each of four backfills. */
async function askForAll(source: TestSource, shapes: readonly KeyShape[]): Promise<readonly string[]> {
  const names = await namesOf(shapes);
  return [0, 1, 2, 3].map((part) => ask(source, { tables: names.filter((_, i) => i % 4 === part), limits }));
}

test('tables with every shape of key are the consumer’s at the end, whatever was written meanwhile', async () => {
  for (const shape of KEY_SHAPES) await room.client.query(makeKeyShape(shape));
  const source = await room.start({}, { selections: [{ partitionsHaveIdentity: true }] });
  const stopping = new AbortController();
  const writing = write(
    KEY_SHAPES.filter(({ isEmpty }) => isEmpty !== true),
    stopping.signal,
  );
  const ids = await askForAll(source, KEY_SHAPES);
  const backfills = [];
  for (const id of ids) backfills.push(await completed(source, id));
  stopping.abort();
  expect(await writing).toBeGreaterThan(3);
  const consumer = await room.consumed(source, ...KEY_SHAPES.map(({ table }) => table));
  expect(consumer.stale).toEqual([]);
  const filled = KEY_SHAPES.filter(({ isEmpty }) => isEmpty !== true).length;
  expect(consumer.reads).toBeGreaterThan((filled * SHAPE_ROWS) / 2);
  expect(backfills.flatMap(({ tables = [] }) => tables.map(({ progress }) => progress.restarts))).toEqual(
    KEY_SHAPES.map(() => 0),
  );
});

/** What becomes of a table while it is read; `gone`: nothing of it is left to compare. */
const MIDWAY: readonly {
  readonly shape: string;
  readonly sql: (table: string) => string;
  readonly gone?: true;
}[] = [
  { shape: 'uuid', sql: (t) => `alter table ${t} add extra int, alter note type varchar(40)` },
  { shape: 'int', sql: (t) => `alter table ${t} alter k type bigint` },
  { shape: 'enum', sql: () => `alter type mood add value 'first' before 'label 7'` },
  { shape: 'text in an ICU collation', sql: (t) => `alter table ${t} alter k type text collate "C"` },
  { shape: 'domain', sql: () => `alter domain code add check (value <> 'nothing') not valid` },
  { shape: 'bool and int', sql: (t) => `truncate ${t}` },
  { shape: 'no key', sql: (t) => `alter table ${t} alter k type bigint` },
  { shape: 'partitioned by hash', sql: () => 'truncate by_hash_1' },
  {
    shape: 'partitioned without a key',
    sql: () => 'alter table bare_parts_2 alter n set not null; vacuum full bare_parts_1',
  },
  { shape: 'numeric', sql: (t) => `drop table ${t}`, gone: true },
  { shape: 'bytea', sql: (t) => `alter table ${t} rename to ${t}_renamed`, gone: true },
  { shape: 'partitioned twice, columns in another order', sql: () => 'drop table by_list', gone: true },
];

test('tables that are altered, truncated, rewritten or dropped midway are the consumer’s as they are then', async () => {
  const shapes = MIDWAY.map(({ shape }) => KEY_SHAPES.find(({ name }) => name === shape)!);
  for (const shape of shapes) await room.client.query(makeKeyShape(shape));
  const source = await room.start({}, { selections: [{ partitionsHaveIdentity: true }] });
  const stopping = new AbortController();
  const writing = write(shapes, stopping.signal);
  const names = await namesOf(shapes);
  const changing = MIDWAY.map(async ({ sql }, i) => {
    const { table } = shapes[i]!;
    const id = ask(source, { tables: [names[i]!], limits: { queryTimeoutMs: 5000, maxRowsPerSecond: 150 } });
    await waitFor(() => {
      const [read] = found(source, id).tables ?? [];
      return read !== undefined && read.progress.appended > 0;
    }, `some rows of ${table} to be read`);
    const altering = await connect(room.database.url);
    for (const statement of sql(table).split('; ')) await altering.query(statement);
    await altering.end();
    return id;
  });
  const ids = await Promise.all(changing);
  for (const id of ids) await completed(source, id);
  stopping.abort();
  await writing;
  const left = shapes.filter((_, i) => MIDWAY[i]!.gone !== true);
  const consumer = await room.consumed(source, ...left.map(({ table }) => table));
  expect(consumer.stale).toEqual([]);
});
