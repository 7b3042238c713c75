// A look at a real catalog: what makes it another one, and what does not.
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { Look } from '../../src/core/look.ts';
import { begunBefore, takeLook } from '../../src/postgres/look.ts';
import { serverVersion } from '../support/database-settings.ts';
import { connect, createTestDatabase, type TestDatabase } from '../support/postgres.ts';

let database: TestDatabase;
let version: number;

beforeEach(async () => {
  database = await createTestDatabase();
  version = await serverVersion(database.client);
  await sql(`
    create type mood as enum ('a', 'b'); create domain feeling as mood; create type pair as (x feeling, y int);
    create table items (id int primary key, pairs pair[]);
    create table parts (id int primary key) partition by range (id);
    create table part_1 partition of parts for values from (0) to (10);
    create table other (id int primary key)`);
});
afterEach(() => database.drop());

const sql = (text: string) => database.client.query(text);
const look = (previous?: Look): Promise<Look> =>
  takeLook(database.client, {
    publication: 'pub',
    serverVersion: version,
    server: { systemIdentifier: '7', timeline: 1, switches: [] },
    previous,
    at: new Date(),
  });
const shapes = ({ catalog }: Look): Record<string, string> =>
  Object.fromEntries(catalog.tables.map(({ table, shape }) => [table, shape]));
const members = ({ catalog }: Look): Record<string, string | undefined> =>
  Object.fromEntries(catalog.tables.map(({ table, member }) => [table, member]));

describe('a look', () => {
  test('sees the publication and its tables, with their partitions, under whatever name their rows come', async () => {
    await sql('create publication pub for table items, parts');
    const { catalog } = await look();
    expect(catalog.publication?.publishes).toEqual(['insert', 'update', 'delete', 'truncate']);
    expect(catalog.tables).toMatchObject([
      { schema: 'public', table: 'items', entry: 'all' },
      { table: 'parts', partitions: [{ schema: 'public', table: 'part_1' }] },
    ]);
    await sql('alter publication pub set (publish_via_partition_root = true)');
    expect((await look()).catalog.tables).toMatchObject([{}, { partitions: [{ table: 'part_1' }] }]);
  });

  test('sees nothing where there is no publication, and says so', async () => {
    const { catalog, fold } = await look();
    expect(catalog).toEqual({ tables: [] });
    expect((await look()).fold).toBe(fold);
  });

  test('sees the tables of a publication of all of them, and of one of a schema', async () => {
    await sql('create publication pub for all tables');
    expect(Object.keys(members(await look())).toSorted()).toEqual(['items', 'other', 'part_1', 'parts']);
    if (version < 150_000) return;
    await sql('drop publication pub; create schema apart; create table apart.there (id int primary key)');
    await sql('create publication pub for tables in schema apart');
    const { catalog } = await look();
    expect(catalog.tables).toMatchObject([
      { schema: 'apart', table: 'there', schemaMember: expect.any(String) as string },
    ]);
    expect(catalog.tables[0]).not.toHaveProperty('member');
  });

  test('is the same while nothing was written, and asks for no details then', async () => {
    await sql('create publication pub for table items, parts; insert into items values (1)');
    // ANALYZE may note for the first time that a table has none of something.
    await sql('analyze items');
    const first = await look();
    for (const statement of [
      'insert into items values (2)',
      'vacuum full pg_class',
      'vacuum full pg_attribute',
      'vacuum full pg_publication',
      'vacuum freeze pg_publication_rel',
      'create table unrelated (id int)',
      'create publication another for table items',
    ]) {
      await sql(statement);
      const again = await look(first);
      expect([statement, again.fold]).toEqual([statement, first.fold]);
      expect([statement, members(again)]).toEqual([statement, members(first)]);
      expect(again.catalog.publication).toEqual(first.catalog.publication);
    }
    const before = await look();
    expect((await look(before)).catalog).toBe(before.catalog);
  });

  test('is another one after a change that was undone', async () => {
    await sql('create publication pub for table items, parts');
    const first = await look();
    await sql(`alter publication pub set (publish = 'insert')`);
    await sql(`alter publication pub set (publish = 'insert, update, delete, truncate')`);
    const second = await look(first);
    expect(second.catalog.publication).toMatchObject({
      oid: first.catalog.publication!.oid,
      publishes: first.catalog.publication!.publishes,
    });
    expect(second.catalog.publication!.version).not.toBe(first.catalog.publication!.version);
    expect(members(second)).toEqual(members(first));
    await sql('alter publication pub drop table items');
    await sql('alter publication pub add table items');
    const third = await look(second);
    expect(third.catalog.publication).toEqual(second.catalog.publication);
    expect(members(third)['items']).not.toBe(members(second)['items']);
    expect(members(third)['parts']).toBe(members(second)['parts']);
  });

  test('tells a table’s shape by its columns, keys, partitions, and the types inside of its types', async () => {
    await sql('create publication pub for table items, parts, other');
    let before = await look();
    const changed = async (statement: string): Promise<string[]> => {
      await sql(statement);
      const after = await look(before);
      const names = Object.keys(shapes(after)).filter((name) => shapes(after)[name] !== shapes(before)[name]);
      before = after;
      return names;
    };
    expect(await changed('alter table other add column more int')).toEqual(['other']);
    expect(await changed('alter table other drop column more')).toEqual(['other']);
    expect(await changed(`alter type mood add value 'c'`)).toEqual(['items']);
    expect(await changed('alter type pair add attribute z int')).toEqual(['items']);
    expect(await changed('create table part_2 partition of parts for values from (10) to (20)')).toEqual([
      'parts',
    ]);
    expect(await changed('alter table part_1 replica identity full')).toEqual(['parts']);
    expect(await changed('create index on other (id)')).toEqual(['other']);
  });

  test('tells what composites in columns are made of apart, through arrays and domains, not what else is altered', async () => {
    await sql(`create domain pair_at_home as pair; create type nest as (p pair_at_home[], m mood);
      alter table other add column n nest, add column o parts, add column r int4range, add column m mood[];
      create publication pub for table items, other`);
    const types = async (): Promise<Record<string, string>> => {
      const { catalog } = await look();
      const { rows } = await database.client.query<{ oid: number; name: string }>(
        'select oid::int as oid, typname as name from pg_type where oid = any($1::oid[])',
        [Object.keys(catalog.types!)],
      );
      return Object.fromEntries(rows.map(({ oid, name }) => [name, catalog.types![oid]!]));
    };
    let before = await types();
    expect(Object.keys(before).toSorted()).toEqual(['_pair', 'nest', 'parts']);
    const changed = async (statement: string): Promise<string[]> => {
      await sql(statement);
      const after = await types();
      const names = Object.keys(after).filter((name) => after[name] !== before[name]);
      before = after;
      return names;
    };
    expect(await changed('alter type pair rename attribute y to z')).toEqual(['_pair', 'nest']);
    expect(await changed('alter type nest add attribute q int')).toEqual(['nest']);
    expect(await changed(`alter type mood add value 'c'`)).toEqual([]);
    expect(await changed('alter domain pair_at_home set default null')).toEqual([]);
    expect(await changed('alter table parts add column more int')).toEqual(['parts']);
    expect(await changed('vacuum full pg_attribute')).toEqual([]);
  });

  test('knows which transactions had begun, those that have no snapshot to show them too', async () => {
    await sql('create publication pub for table items');
    const other = await connect(database.url);
    await other.query('begin');
    const { rows } = await other.query<{ xid: string }>('select pg_current_xact_id()::text as xid');
    const xid = BigInt(rows[0]!.xid);
    const during = await look();
    expect(during.begun).toBeGreaterThan(xid);
    expect(during.xmin).toBeLessThanOrEqual(xid);
    await other.query('commit');
    await other.end();
    const after = await look();
    expect(after.begun).toBeGreaterThan(xid);
    expect(after.walBefore >= during.walBefore && after.walAfter >= after.walBefore).toBe(true);
  });
});

test('ids of 32 bits that run are counted on from the snapshot, over the end of their circle', () => {
  expect(begunBefore([], 700n)).toBe(700n);
  expect(begunBefore([650, 705, 702], 700n)).toBe(706n);
  expect(begunBefore([3], 2n ** 32n - 2n)).toBe(2n ** 32n + 4n);
  expect(begunBefore([2 ** 32 - 5], 2n ** 32n + 10n)).toBe(2n ** 32n + 10n);
});
