// `check --database` and doctor on a real database: both say the same of names that nothing has and of tables that are not fit, and
// neither makes anything.
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { startCli } from '../../support/cli.ts';
import { configText } from '../../support/config.ts';
import { createTestDatabase, type TestDatabase } from '../../support/postgres.ts';
import { serverVersion } from '../../support/database-settings.ts';

let database: TestDatabase;
let directory: string;
beforeAll(async () => {
  database = await createTestDatabase();
  directory = await mkdtemp(join(tmpdir(), 'tailrace-test-'));
  await database.client.query(`
    create table users (id int primary key, email text);
    create table "Orders" (id int primary key, customer int);
    create view orders_view as select * from "Orders"`);
});
afterAll(async () => {
  await rm(directory, { recursive: true, force: true });
  await database.drop();
});

type Sink = { readonly source: string; readonly extra?: string; readonly groupId?: string };

async function configure({ source, extra = '', groupId }: Sink): Promise<void> {
  const destination = groupId === undefined ? '' : `group_id: "${groupId}"`;
  await writeFile(
    join(directory, 'tailrace.yaml'),
    configText({
      database,
      endpoint: 'http://127.0.0.1:1',
      sinks: [{ name: 'all', tables: [], source, extra, destination }],
    }),
  );
}

type Named = { readonly code: string; readonly detail: string; readonly cure?: string };

async function check(...options: string[]) {
  const cli = startCli(['check', '--json', ...options], { cwd: directory });
  const code = await cli.code;
  return { code, ...(JSON.parse(cli.stdout()) as { ok: boolean; names?: Named[]; warnings?: Named[] }) };
}

async function doctor(): Promise<readonly Named[]> {
  const cli = startCli(['doctor', '--json'], { cwd: directory });
  await cli.code;
  const { reports } = JSON.parse(cli.stdout()) as { reports: { findings: (Named & { ok: boolean })[] }[] };
  return reports[0]!.findings.filter(({ ok }) => !ok);
}

const WRONG: Sink = {
  source: '{ include_tables: [public.usres, public.Orders, "tenat_*.x"], exclude_tables: [public.orders] }',
  extra: 'tables: [{ name: public.Orders, columns: [custmer], group_column_names: [custumer] }]',
  groupId: '${Id}',
};

test('check finds wrong names of tables and columns where it may connect, and doctor the same', async () => {
  await configure(WRONG);
  expect(await check()).toMatchObject({ ok: true, code: 0 });
  const { code, ok, names } = await check('--database');
  expect({ code, ok }).toEqual({ code: 2, ok: false });
  const said = names!.map(({ code: what, detail }) => `${what} ${detail}`);
  expect(said).toEqual([
    `TABLE_MISSING there is no such table in database "${database.name}"; did you mean "public.users"?`,
    'NAME_UNMATCHED include_tables names tenat_*.x, which no table matches',
    'NAME_UNMATCHED exclude_tables names public.orders, which no table matches; did you mean "public.Orders"?',
    'COLUMN_MISSING columns names the column "custmer", which table "public.Orders" does not have; did you mean "customer"?',
    'GROUP_COLUMN_MISSING group_column_names names the column "custumer", which table "public.Orders" does not have; did you mean "customer"?',
    'GROUP_COLUMN_MISSING group_id names the column "Id", which table "public.Orders" does not have; did you mean "id"?',
  ]);
  const found = await doctor();
  expect(found.map(({ code: what, detail }) => `${what} ${detail}`)).toEqual(said);
  const text = startCli(['check', '--database'], { cwd: directory });
  expect(await text.code).toBe(2);
  expect(text.stderr()).toContain('sink "all": columns names the column "custmer"');
  const { rows } = await database.client.query(
    'select pubname from pg_publication union all select slot_name from pg_replication_slots where database = current_database()',
  );
  expect(rows).toEqual([]);
});

test('with the nearest names written, both are content', async () => {
  await configure({
    source: '{ include_tables: [public.users, public.Orders] }',
    extra: 'tables: [{ name: public.Orders, columns: [customer], group_column_names: [customer] }]',
    groupId: '${id}',
  });
  expect(await check('--database')).toMatchObject({ ok: true, code: 0 });
  expect(await doctor()).toEqual([]);
});

test('a name that is no table with changes is called what it is, and an unlogged table is mended by its cure', async () => {
  await database.client.query('create unlogged table fast (id int primary key)');
  await configure({ source: '{ include_tables: [public.orders_view, public.fast, public.users] }' });
  const found = await doctor();
  expect(found.map(({ detail }) => detail)).toEqual([
    'it is a view, of which Postgres sends no changes',
    'it is an unlogged table, of which Postgres sends no changes',
  ]);
  expect((await check('--database')).names).toHaveLength(2);
  await database.client.query(found[1]!.cure!);
  expect(await doctor()).toHaveLength(1);
  await database.client.query('drop table fast');
});

test('of tables whose rows do not come nobody misses a column', async () => {
  await database.client.query(
    'create table keyless (note text); create table unlisted (note text primary key)',
  );
  const everything = { source: '{ include_schemas: [public] }', groupId: '${id}' };
  await configure(everything);
  const columns = (findings: readonly Named[]) =>
    findings.filter(({ code }) => code.endsWith('COLUMN_MISSING')).map(({ detail }) => detail);
  expect(columns(await doctor())).toEqual([
    'group_id names the column "id", which table "public.unlisted" does not have',
  ]);
  await database.client.query(`create publication ${database.name} for table users, "Orders"`);
  expect(columns(await doctor())).toEqual([]);
  expect(await check('--database')).toMatchObject({ ok: true, code: 0 });
  await database.client.query(`drop publication ${database.name}; drop table keyless, unlisted`);
});

test('where an UPDATE of the application fails, or would, check warns as doctor does, and its cures cure', async () => {
  const { client } = database;
  await client.query(`
    create table keyless (id int, note text);
    create table nothing (id int primary key); alter table nothing replica identity nothing;
    create table gone (id int not null); create unique index gone_id on gone (id);
    alter table gone replica identity using index gone_id; drop index gone_id;
    create table full_one (id int); alter table full_one replica identity full;
    insert into keyless values (1); insert into nothing values (1); insert into gone values (1)`);
  await configure({
    source: '{ include_tables: [public.keyless, public.nothing, public.gone, public.full_one] }',
  });
  const unfit = (found: readonly Named[] = []): string[] =>
    found.filter(({ code }) => code === 'TABLE_WITHOUT_IDENTITY').map(({ detail }) => detail);
  const leftOut = await check('--database');
  expect(leftOut).toMatchObject({ ok: true, code: 0 });
  expect(unfit(leftOut.warnings)).toHaveLength(3);
  expect(
    unfit(leftOut.warnings).every((detail) => detail.endsWith('so it is left out of the publication')),
  ).toBe(true);
  await client.query(`create publication ${database.name} for table keyless, nothing, gone, full_one`);
  const published = await check('--database');
  expect(published.code).toBe(0);
  expect(unfit(published.warnings)).toEqual(unfit(await doctor()));
  expect(unfit(published.warnings)).toHaveLength(3);
  for (const table of ['keyless', 'nothing', 'gone']) {
    await expect(client.query(`update ${table} set id = 2`)).rejects.toMatchObject({ code: '55000' });
  }
  const text = startCli(['check', '--database'], { cwd: directory });
  expect(await text.code).toBe(0);
  expect(text.stderr()).toContain('warning  database shop  table "public.keyless": ');
  // Of two cures the second can be run as it stands: which columns a key would have is for its owner.
  for (const { cure } of published.warnings!) await client.query(cure!.split(' or ').at(-1)!);
  for (const table of ['keyless', 'nothing', 'gone']) await client.query(`update ${table} set id = 2`);
  expect((await check('--database')).warnings).toEqual([]);
  await client.query(`drop publication ${database.name}; drop table keyless, nothing, gone, full_one`);
});

test('a database that cannot be asked is an error, and no wrong name', async () => {
  await configure(WRONG);
  const path = join(directory, 'tailrace.yaml');
  const text = configText({ database, endpoint: '', sinks: [{ name: 'all', tables: ['users'] }] });
  await writeFile(path, text.replace(/port: \d+/, 'port: 1'));
  const cli = startCli(['check', '--database'], { cwd: directory });
  expect(await cli.code).toBe(1);
  expect(cli.stderr()).toContain('ECONNREFUSED');
});

test('a column that the publication’s list leaves out is told, and no longer once the list has it', async ({
  skip,
}) => {
  skip((await serverVersion(database.client)) < 150_000, 'publications know columns from 15 on');
  const { client } = database;
  await client.query(`create publication ${database.name} for table users (id)`);
  await configure({
    source: '{ include_tables: [public.users] }',
    extra: 'tables: [{ name: public.users, group_column_names: [email] }]',
  });
  const [finding] = await doctor();
  expect(finding).toMatchObject({ code: 'GROUP_COLUMN_MISSING' });
  expect(finding!.detail).toContain('which the publication does not send');
  await client.query(`alter publication ${database.name} set table users (id, email)`);
  expect(await doctor()).toEqual([]);
  await client.query(`drop publication ${database.name}`);
});

test('what a replica identity keeps from a filter is a warning of check and a note of doctor, with the same cure', async () => {
  await database.client.query('create table paid (id int primary key, amount int)');
  const filter = (where: string): Sink => ({
    source: '{ include_tables: [public.paid] }',
    extra: `where: ${where}\nwhere_moves: convert`,
  });
  await configure(filter('amunt > 1'));
  expect(await check('--database')).toMatchObject({
    ok: false,
    code: 2,
    names: [{ code: 'WHERE_UNUSABLE' }],
  });
  await configure(filter('amount > 1'));
  const { code, warnings } = await check('--database');
  expect(code).toBe(0);
  expect(warnings).toMatchObject([
    {
      code: 'WHERE_DELETES_UNJUDGED',
      detail: expect.stringContaining('every update of a row outside becomes a delete by key'),
    },
  ]);
  const said = await doctor();
  expect(said.find((finding) => finding.code === 'WHERE_DELETES_UNJUDGED')?.cure).toBe(warnings![0]!.cure);
  await database.client.query(warnings![0]!.cure!);
  expect((await check('--database')).warnings).toEqual([]);
});
