// Whom a backfill is for, and of which tables: the sinks' own words, and what the publication carries, compared before it begins.
import { afterAll, beforeAll, expect, test } from 'vitest';
import { checkBackfill, type BackfillWish } from '../../../src/pipeline/service/backfill-check.ts';
import { checkRows } from '../../../src/pipeline/service/row-check.ts';
import { amongKeys, besidesKeys } from '../../../src/postgres/backfill/conditions.ts';
import type { SinkSettings } from '../../../src/pipeline/settings.ts';
import { databaseSettings } from '../../support/database-settings.ts';
import { createTestDatabase, type TestDatabase } from '../../support/postgres.ts';

let database: TestDatabase;
beforeAll(async () => {
  database = await createTestDatabase();
  await database.client.query(`
    create table users (id int primary key);
    create table orders (id int primary key) partition by range (id);
    create table orders_1 partition of orders for values from (0) to (10);
    create table orders_2 partition of orders for values from (10) to (20);
    create table notes (id int primary key);
    create table unseen (id int primary key);
    create publication ${database.name} for table users, orders, notes`);
});
afterAll(() => database.drop());

const ID = [{ name: 'id', type: 'pg_catalog.int4' }];
const table = (name: string) => ({ schema: 'public', table: name });
const sink = (name: string, tables: readonly string[] | undefined, more: object = {}): SinkSettings =>
  ({
    name,
    database: 'shop',
    selection: tables && { includeTables: tables.map((each) => ({ schema: ['public'], table: [each] })) },
    tables: [],
    actions: ['insert'],
    backfill: { limits: { queryTimeoutMs: 5000 } },
    ...more,
  }) as unknown as SinkSettings;
const every = (name: string, more: object = {}) => ({ ...sink(name, [], more), selection: {} });

const check = (wish: Partial<BackfillWish>) => {
  const settings = databaseSettings(database);
  return checkBackfill(
    { ...settings, publication: { ...settings.publication, name: database.name } },
    { sinks: [], tables: undefined, areNamed: true, ...wish },
  );
};

test('without names it is of every table that one of the sinks takes, partitions under their root', async () => {
  expect(await check({ sinks: [every('all')] })).toEqual({
    sinks: ['all'],
    tables: [table('notes'), table('orders'), table('users')],
    // Nobody has analyzed them.
    estimates: [undefined, undefined, undefined],
    keys: [ID, ID, ID],
    notes: [],
  });
  expect(await check({ sinks: [sink('some', ['users', 'orders_2', 'unseen'])] })).toMatchObject({
    tables: [table('orders_2'), table('users')],
  });
});

test('a table, or a partition of it, goes to those that take it', async () => {
  const sinks = [sink('users', ['users']), every('all'), sink('orders', ['orders'])];
  expect(await check({ sinks, tables: [table('orders_1')], areNamed: false })).toMatchObject({
    sinks: ['all', 'orders'],
    tables: [table('orders_1')],
  });
  await expect(check({ sinks: [sinks[0]!], tables: [table('orders')] })).rejects.toMatchObject({
    code: 'TABLE_NOT_READ',
    message: 'sink "users" does not read public.orders',
    hint: expect.stringContaining('it reads public.users') as string,
  });
});

test('a sink that takes no rows of backfills is told how it would, and that takes them', async () => {
  const deletes = sink('deletes', ['users'], { actions: ['delete'] });
  const refused = {
    code: 'SINK_TAKES_NO_READS',
    hint: expect.stringContaining('backfill: { reads: true }') as string,
  };
  await expect(check({ sinks: [deletes] })).rejects.toMatchObject(refused);
  await expect(check({ sinks: [deletes], tables: [table('users')] })).rejects.toMatchObject(refused);
  const willing = { ...deletes, backfill: { ...deletes.backfill, reads: true } };
  expect(await check({ sinks: [willing] })).toMatchObject({ sinks: ['deletes'] });
});

test('where there is nothing to read that is said, and so is that nobody can be asked', async () => {
  await expect(check({ sinks: [sink('unseen', ['unseen'])] })).rejects.toMatchObject({
    code: 'NOTHING_TO_READ',
  });
  const nowhere = { ...databaseSettings({ ...database, port: 1 }), publication: { name: 'p' } };
  await expect(
    checkBackfill(nowhere as unknown as Parameters<typeof checkBackfill>[0], {
      sinks: [every('all')],
      tables: undefined,
      areNamed: true,
    }),
  ).rejects.toMatchObject({ code: 'DATABASE_NOT_REACHED' });
});

test('keys that somebody has are put as Postgres writes them, each once; those of a partition cannot be told from another one’s', async () => {
  const sinks = [every('all', { actions: ['insert', 'delete'] })];
  const gone = (name: string, keys: readonly string[]) =>
    check({ sinks, tables: [{ ...table(name), gone: keys.map((key) => [key]) }], areNamed: false });
  expect((await gone('users', ['01', '1', ' 7'])).tables).toEqual([
    { ...table('users'), gone: [['1'], ['7']] },
  ]);
  await expect(gone('users', ['x'])).rejects.toMatchObject({ code: 'KEY_REFUSED' });
  await expect(gone('orders', ['1'])).rejects.toMatchObject({ code: 'KEYS_OF_PARTITIONS' });
  await expect(gone('orders_1', ['1'])).rejects.toMatchObject({ code: 'KEYS_OF_PARTITIONS' });
});

test('Postgres takes conditions that name rows by their keys, or leave them out', async () => {
  const sinks = [every('all')];
  for (const where of [amongKeys(ID, [['1'], ['2']]), besidesKeys('id > 0 -- all', ID, [['1'], ['2']])]) {
    const checked = await check({ sinks, tables: [{ ...table('users'), where }], areNamed: false });
    expect(checked.tables).toEqual([{ ...table('users'), where }]);
  }
});

test('a row to be sent again is looked for by its key, in every partition, and named as Postgres writes it', async () => {
  await database.client.query('insert into orders values (3), (12); insert into users values (1)');
  const settings = databaseSettings(database);
  const asked = (name: string, row: readonly string[], tables: readonly string[] = [name]) =>
    checkRows(
      { ...settings, publication: { ...settings.publication, name: database.name } },
      sink('one', tables),
      { ...table(name), row },
    );
  expect(await asked('orders', ['012'])).toMatchObject({
    key: ID,
    row: { key: ['12'], isThere: true },
    takesReads: true,
  });
  expect(await asked('orders', ['4'])).toMatchObject({ row: { key: ['4'], isThere: false } });
  await expect(asked('users', ['1'], ['orders'])).rejects.toMatchObject({ code: 'TABLE_NOT_READ' });
  await expect(asked('unseen', ['1'])).rejects.toMatchObject({ code: 'TABLE_NOT_PUBLISHED' });
  await expect(asked('users', ['1', '2'])).rejects.toMatchObject({ code: 'KEY_REFUSED' });
});
