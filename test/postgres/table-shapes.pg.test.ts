import { expect, onTestFinished, test } from 'vitest';
import { readTableShapes } from '../../src/postgres/table-shapes.ts';
import { createTestDatabase } from '../support/postgres.ts';

test('tables look as the stream would describe their rows: with the columns that are sent, and their attributes', async () => {
  const database = await createTestDatabase();
  onTestFinished(() => database.drop());
  const { client, name } = database;
  await client.query(`
    create table t (id int primary key, gone text, note varchar(7), twice int generated always as (id * 2) stored);
    alter table t drop gone;
    create table bare ();
    create publication ${name} for table t, bare`);
  const { rows } = await client.query<{ oid: number }>(
    `select oid::int8::float8 as oid from pg_class where relname in ('t', 'bare') order by relname desc`,
  );
  const [t, bare] = rows.map(({ oid }) => oid);
  const shapes = await readTableShapes(client, [t!, bare!, 1], name);
  expect(shapes.toSorted((a, b) => b.table.localeCompare(a.table))).toEqual([
    {
      relationId: t,
      schema: 'public',
      table: 't',
      columns: [
        { name: 'id', type: 23, typeModifier: -1, typeName: 'integer', nullable: false, number: 1 },
        {
          name: 'note',
          type: 1043,
          typeModifier: 11,
          typeName: 'character varying(7)',
          nullable: true,
          number: 3,
        },
      ],
    },
    { relationId: bare, schema: 'public', table: 'bare', columns: [] },
  ]);
});
