// What a publication carries is read from the catalogs, and is what Postgres' own view says: of every kind of publication.
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { formatTableName } from '../../../src/core/selection.ts';
import { readColumns } from '../../../src/postgres/preflight/names.ts';
import { readPublication } from '../../../src/postgres/preflight/publication.ts';
import { HAS_ROW_FILTERS, HAS_SCHEMA_ENTRIES } from '../../../src/postgres/versions.ts';
import { serverVersion } from '../../support/database-settings.ts';
import { createTestDatabase, type TestDatabase } from '../../support/postgres.ts';

let database: TestDatabase;
beforeEach(async () => {
  database = await createTestDatabase();
  await database.client.query(`
    create schema app;
    create table t (id int primary key, "a b" text, twice int generated always as (id * 2) stored);
    create table app.t (id int primary key); create unlogged table app.light (id int primary key);
    create view app.seen as select * from app.t;
    create table parent (id int primary key); create table child (primary key (id)) inherits (parent);
    create table root (id int primary key) partition by range (id);
    create table leaf partition of root for values from (0) to (10);
    create table app.leaf partition of root for values from (10) to (20);
    create table middle partition of root for values from (20) to (40) partition by range (id);
    create table low partition of middle for values from (20) to (30);
    create table app.root (id int primary key) partition by range (id);
    create table app_leaf partition of app.root for values from (0) to (10)`);
});
afterEach(() => database.drop());

/** The view leaves out columns that are not sent. */
const TELLS_SENT = 160_000;

const VIA_ROOT = 'with (publish_via_partition_root)';
/** From which version on there are such, and what the server lists by its root alone although it carries it. */
const PUBLICATIONS: readonly { readonly what: string; readonly since?: number; readonly under?: string[] }[] =
  [
    { what: 'for all tables' },
    { what: `for all tables ${VIA_ROOT}` },
    { what: 'for table t, app.t, only parent' },
    { what: 'for table parent' },
    { what: 'for table root, app.root' },
    { what: `for table root ${VIA_ROOT}` },
    { what: `for table middle, low ${VIA_ROOT}` },
    { what: 'for table middle, leaf' },
    { what: 'for table t (id, "a b"), app.t', since: HAS_ROW_FILTERS },
    { what: 'for tables in schema app', since: HAS_SCHEMA_ENTRIES },
    { what: 'for tables in schema app, table t', since: HAS_SCHEMA_ENTRIES },
    { what: `for tables in schema app ${VIA_ROOT}`, since: HAS_SCHEMA_ENTRIES },
    {
      what: `for tables in schema public ${VIA_ROOT}`,
      since: HAS_SCHEMA_ENTRIES,
      under: ['public.leaf', 'public.low', 'public.middle'],
    },
    { what: '' },
  ];

describe.each(PUBLICATIONS)('a publication $what', ({ what, since = 0, under = [] }) => {
  test('carries what pg_publication_tables says, and what it lists', async ({ skip }) => {
    const { client } = database;
    const version = await serverVersion(client);
    if (version < since) skip('this Postgres has no such publication');
    await client.query(`create publication p ${what}`);
    const { rows } = await client.query<{ name: string; columns: string[] | null }>(
      `select schemaname || '.' || tablename as name, to_json(t) -> 'attnames' as columns from pg_publication_tables t`,
    );
    const found = await readPublication(client, 'p');
    const names = found!.tables.map(formatTableName);
    const listed = found!.entries.map(formatTableName);
    expect(new Set(names)).toEqual(new Set([...rows.map(({ name }) => name), ...listed, ...under]));
    expect(names).toHaveLength(new Set(names).size);
    if (version < TELLS_SENT) return;
    const sent = new Map(
      (await readColumns(client, found!.tables, found)).map((row) => [formatTableName(row), row.sent]),
    );
    for (const { name, columns } of rows) expect([name, sent.get(name)]).toEqual([name, columns]);
  });
});
