// What the catalog says of the values of tables, partitioned ones among them, those below which there is no row among those.
import { expect, onTestFinished, test } from 'vitest';
import { readTableKnowledge } from '../../src/postgres/column-knowledge.ts';
import { createTestDatabase } from '../support/postgres.ts';

test('of a partitioned table its partitions say it, and where none of them holds rows the table itself', async () => {
  const database = await createTestDatabase();
  onTestFinished(() => database.drop());
  const { client } = database;
  await client.query(`
    create table plain (id int primary key, body text, n int);
    create table leaves (id int, region text, body text, primary key (id, region)) partition by list (region);
    create table leaf partition of leaves for values in ('eu');
    alter table leaf replica identity full;
    create table bare (id int, region text, body text, primary key (id, region)) partition by list (region);
    create table nested (id int, region text, body text, primary key (id, region)) partition by list (region);
    create table below partition of nested for values in ('eu') partition by list (id);
    create schema other;
    create table other.bare (id int)`);
  const known = async (table: string) => {
    const { isPartitioned, isFull, columns } = (await readTableKnowledge(
      client,
      { schema: 'public', table },
      'none',
    ))!;
    const told = columns.map(
      ({ name, outOfLine, identity }) => `${name} ${identity}${outOfLine ? ' out' : ''}`,
    );
    return [isPartitioned, isFull, ...told];
  };
  expect(await known('plain')).toEqual([false, false, 'id all', 'body none out', 'n none']);
  expect(await known('leaves')).toEqual([true, true, 'id all', 'region all out', 'body all out']);
  const empty = [true, false, 'id all', 'region all out', 'body none out'];
  expect(await known('bare')).toEqual(empty);
  expect(await known('nested')).toEqual(empty);
  await client.query(`alter table below replica identity full;
    create table lowest partition of below for values in (1); alter table lowest replica identity nothing`);
  expect(await known('nested')).toEqual([true, false, 'id none', 'region none out', 'body none out']);
  expect(await readTableKnowledge(client, { schema: 'public', table: 'gone' }, 'none')).toBeUndefined();
});
