// Which rows a gap can concern, asked of a server: those that were written in it, and those behind whose later version that may be hidden.
import { afterAll, beforeAll, expect, test } from 'vitest';
import { writtenBy } from '../../src/core/gap-rows.ts';
import { createTestDatabase, type TestDatabase } from '../support/postgres.ts';

let database: TestDatabase;
beforeAll(async () => {
  database = await createTestDatabase();
});
afterAll(() => database.drop());

const sql = (text: string) => database.client.query(text);
const nextXid = async (): Promise<bigint> =>
  BigInt(
    (await database.client.query<{ xid: string }>('select pg_current_xact_id()::text as xid')).rows[0]!.xid,
  );

type Case = {
  readonly title: string;
  readonly isLarge?: true;
  readonly before?: string;
  readonly after?: string;
  readonly ids: readonly number[];
};

test.each<Case>([
  { title: 'rows of the gap, and no later ones, where no value is large', ids: [2] },
  {
    title: 'later ones, too, where an update may have left out a large value',
    isLarge: true,
    ids: [2, 3, 4],
  },
  {
    title: 'no later ones, where old rows come whole',
    isLarge: true,
    before: 'alter table t replica identity full',
    ids: [2],
  },
  {
    title: 'every row of a table whose rows were written anew since',
    after: 'alter table t alter n type bigint',
    ids: [1, 2, 3, 4],
  },
  {
    title: 'none from before the gap, where rows were moved as they are',
    after: 'vacuum full t',
    ids: [2, 3, 4],
  },
])('$title', async ({ isLarge = false, before, after, ids }) => {
  await sql('drop table if exists t; create table t (id int, n int, big text)');
  await sql('alter table t alter big set storage external');
  if (before !== undefined) await sql(before);
  const big = isLarge ? `repeat('x', 5000)` : `'short'`;
  await sql(`insert into t values (1, 0, ${big}), (3, 0, ${big})`);
  // The first one of the gap writes, and so does the first one behind it.
  await sql('begin');
  const from = await nextXid();
  await sql(`insert into t values (2, 0, ${big}); commit; begin`);
  const below = await nextXid();
  await sql('update t set n = 1 where id = 3; commit');
  await sql(`insert into t values (4, 0, 'short')`);
  if (after !== undefined) await sql(after);
  const { rows } = await database.client.query<{ id: number }>(
    `select id from t r where ${writtenBy({ from, below }, 'r')} order by id`,
  );
  expect(rows.map(({ id }) => id)).toEqual(ids);
});
