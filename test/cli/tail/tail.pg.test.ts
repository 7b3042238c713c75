import type { Client } from 'pg';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { startCli, type CliRun } from '../../support/cli.ts';
import { connect, createTestDatabase, waitFor, type TestDatabase } from '../../support/postgres.ts';

let database: TestDatabase;
beforeEach(async () => {
  database = await createTestDatabase();
  await database.client.query(`
    create type mood as enum ('fine', 'sad');
    create table users (id int primary key, name text, mood mood, tags text[]);
    create table orders (id int primary key, total numeric);
    create table notes (body text)`);
});
afterEach(() => database.drop());

const publications = async (client: Client): Promise<string[]> => {
  const { rows } = await client.query<{ pubname: string }>('select pubname from pg_publication order by 1');
  return rows.map((row) => row.pubname);
};

type Line = { action: string; record: Record<string, unknown>; metadata: { table_name: string } };
const lines = (cli: CliRun): Line[] =>
  cli
    .stdout()
    .trimEnd()
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => JSON.parse(line) as Line);

async function startTail(...options: string[]): Promise<CliRun> {
  const cli = startCli(['tail', database.url, ...options]);
  let code: number | undefined;
  void cli.code.then((ended) => (code = ended));
  await waitFor(() => {
    if (code !== undefined) throw new Error(`tail ended with ${code}: ${cli.stderr()}`);
    return cli.stderr().includes('streaming');
  }, 'tail to stream');
  return cli;
}

test('tail prints each committed change as a JSON line, and leaves neither publication nor slot behind', async () => {
  const cli = await startTail();
  const { client } = database;
  await client.query(`insert into users values (1, 'Ada', 'fine', '{a,"b c"}')`);
  await client.query(`begin; insert into users values (2, 'Bob', 'sad', null); rollback`);
  await client.query(`update users set name = 'Ada L.' where id = 1; delete from users where id = 1`);
  await client.query('truncate users');
  await waitFor(() => lines(cli).length === 4, 'four lines');
  expect(lines(cli).map(({ action }) => action)).toEqual(['insert', 'update', 'delete', 'truncate']);
  expect(lines(cli)[0]!.record).toEqual({ id: 1, name: 'Ada', mood: 'fine', tags: ['a', 'b c'] });
  expect(await publications(client)).toEqual(['tailrace_tail_1']);

  cli.interrupt();
  expect(await cli.code).toBe(0);
  expect(await publications(client)).toEqual([]);
  await waitFor(async () => {
    const slots = await client.query('select 1 from pg_replication_slots where database = $1', [
      database.name,
    ]);
    return slots.rowCount === 0;
  }, 'the temporary slot to go');
});

test('a table without identity is left out with the cure, so that UPDATE goes on working in the application', async () => {
  const cli = await startTail();
  await database.client.query(`insert into notes values ('a'); update notes set body = 'b'`);
  await database.client.query('insert into orders values (1, 2.50)');
  await waitFor(() => lines(cli).length > 0, 'the order');
  expect(lines(cli)).toHaveLength(1);
  expect(cli.stderr()).toContain(
    'left out: "public"."notes": it has no primary key and no replica identity: ALTER TABLE',
  );
  cli.interrupt();
  await cli.code;
});

test.each([
  ['SQL_ASCII', 'caf\\xe9', 'caf\ufffd'],
  ['WIN1252', 'caf\\xe9\\x81', 'café\ufffd'],
])('a damaged row of a database in %s is printed as far as it can be read', async (encoding, bytes, read) => {
  await database.drop();
  database = await createTestDatabase(undefined, encoding);
  await database.client.query('create table users (id int primary key, name text)');
  const cli = await startTail();
  await database.client.query(`insert into users values (1, E'${bytes}'), (2, 'whole')`);
  await waitFor(() => lines(cli).length === 2, 'two lines');
  expect(lines(cli)).toMatchObject([
    { record: { name: read }, metadata: { undecodable_columns: ['name'] } },
    { record: { name: 'whole' } },
  ]);
  cli.interrupt();
  expect(await cli.code).toBe(0);
});

test('--table prints that table only, and --format says how', async () => {
  const cli = await startTail('--table', 'public.orders', '--format', 'pg2sqs');
  await database.client.query(`insert into users values (1); insert into orders values (1, 2.50)`);
  await waitFor(() => cli.stdout() !== '', 'a line');
  expect(JSON.parse(cli.stdout())).toEqual({ id: 1, total: 2.5, kind: 'insert' });
  cli.interrupt();
  await cli.code;
});

test('a change is one line, whatever its documents look like', async () => {
  const { client } = database;
  await client.query('create table documents (id int primary key, j json, js json[], jb jsonb, t text)');
  const document = '{ "a":\r\n [1,\n\t2.50],\r "b": "line\\nbreak\u2028" }\n\n';
  await client.query('alter table documents replica identity full');
  for (const format of ['sequin', 'tailrace', 'pg2sqs']) {
    const cli = await startTail('--table', 'public.documents', '--format', format);
    await client.query('insert into documents values (1, $1, array[$1::json], $1::jsonb, $2)', [
      document,
      'a\nb\r\nc',
    ]);
    await client.query(`update documents set j = '[\n]'`);
    await client.query('delete from documents');
    await waitFor(() => cli.stdout().includes('delete'), 'the last change');
    expect(cli.stdout()).toMatch(/^[^\r\n]+\n[^\r\n]+\n[^\r\n]+\n$/);
    const [insert] = cli
      .stdout()
      .split('\n')
      .map((line) => (line === '' ? undefined : (JSON.parse(line) as Line & Line['record'])));
    const row = format === 'pg2sqs' ? insert! : insert!.record;
    const parsed = JSON.parse(document) as unknown;
    expect(row).toMatchObject({ j: parsed, js: [parsed], jb: parsed, t: 'a\nb\r\nc' });
    // The document's own tokens.
    expect(cli.stdout()).toContain('2.50');
    cli.interrupt();
    await cli.code;
  }
});

test('--publication uses that one and leaves it alone', async () => {
  await database.client.query('create publication mine for table users');
  const cli = await startTail('--publication', 'mine');
  expect(await publications(database.client)).toEqual(['mine']);
  cli.interrupt();
  expect(await cli.code).toBe(0);
  expect(await publications(database.client)).toEqual(['mine']);
});

test('a composite stands under the names of its time, or is text where its type changed meanwhile', async () => {
  const { client } = database;
  // An altered type: that it is as it was created does not prove it.
  await client.query(`create type addr as (street text, zip int); alter type addr rename attribute zip to code;
    create table people (id int primary key, home addr)`);
  const cli = await startTail('--format', 'tailrace');
  const printed = async (id: number): Promise<unknown> => {
    await waitFor(() => lines(cli).some(({ record }) => record['id'] === id), `row ${id}`);
    return lines(cli).find(({ record }) => record['id'] === id)!.record['home'];
  };
  await client.query(`insert into people values (1, ('Main St', 12))`);
  expect(await printed(1)).toEqual({ street: 'Main St', code: 12 });
  await client.query(`insert into people values (2, ('Main St', 12));
    alter type addr drop attribute code, add attribute code text; insert into people values (3, ('Main St', '1,"x":2'))`);
  expect(await printed(2)).toBe('("Main St",12)');
  expect(await printed(3)).toBe(String.raw`("Main St","1,""x"":2")`);
  expect(cli.stderr()).toContain("public.people: values of addr are Postgres' text");
  await client.query(`insert into people values (4, ('Main St', '1,"x":2'))`);
  expect(await printed(4)).toEqual({ street: 'Main St', code: '1,"x":2' });
  cli.interrupt();
  expect(await cli.code).toBe(0);
});

test('leftovers of dead tails are removed at the start, those of living tails are not', async () => {
  const { client } = database;
  await client.query(
    'create publication tailrace_tail_1 for table users; create publication tailrace_tail_7 for table users',
  );
  const first = await startTail('--table', 'users');
  expect(await publications(client)).toEqual(['tailrace_tail_1']);
  const second = await startTail('--table', 'orders');
  expect(await publications(client)).toEqual(['tailrace_tail_1', 'tailrace_tail_2']);
  for (const cli of [first, second]) {
    cli.interrupt();
    expect(await cli.code).toBe(0);
  }
  expect(await publications(client)).toEqual([]);
});

test('what the slot waits for is named, and an interrupt meanwhile ends tail and its process on the server', async () => {
  const other = await connect(database.url);
  await other.query('begin; insert into users values (1)');
  const cli = startCli(['tail', database.url, '--table', 'orders']);
  await waitFor(async () => {
    const waiting = await database.client.query(
      `select 1 from pg_stat_activity where query like 'CREATE_REPLICATION_SLOT%' and wait_event_type = 'Lock' and datname = $1`,
      [database.name],
    );
    return waiting.rowCount === 1;
  }, 'the slot to wait');
  await waitFor(
    () => /waits for transaction \d+ of process \d+ .*pg_terminate_backend/.test(cli.stderr()),
    'tail to say so',
  );
  cli.interrupt();
  expect(await cli.code).toBe(0);
  const left = await database.client.query(
    `select 1 from pg_stat_activity where query like 'CREATE_REPLICATION_SLOT%' and state = 'active' and datname = $1`,
    [database.name],
  );
  expect(left.rowCount).toBe(0);
  expect(await publications(database.client)).toEqual([]);
  await other.query('rollback');
  await other.end();
});

test('a reader that goes away ends tail', async () => {
  const cli = await startTail('--table', 'users');
  cli.closeStdout();
  expect(await cli.code).toBe(0);
  expect(await publications(database.client)).toEqual([]);
});

test('a stream that the server ends is an error, and nothing is left behind', async () => {
  const cli = await startTail('--table', 'users');
  await database.client.query(
    `select pg_terminate_backend(active_pid) from pg_replication_slots where database = $1`,
    [database.name],
  );
  expect(await cli.code).toBe(1);
  expect(cli.stderr()).toContain('error:');
  expect(await publications(database.client)).toEqual([]);
});

test('a publication that is not there, and a table that it does not carry, end tail at once with the nearest name or the cure', async () => {
  const { client } = database;
  await client.query(`
    create table carried (id int primary key); create table left_out (id int primary key);
    create publication reporting for table carried`);
  const fail = async (...argv: string[]) => {
    const cli = startCli(['tail', database.url, ...argv]);
    expect(await cli.code).toBe(1);
    return cli.stderr();
  };
  const missing = await fail('--publication', 'reportign');
  expect(missing).toContain(`there is no publication "reportign" in database "${database.name}"`);
  expect(missing).toContain('did you mean "reporting"?');
  expect(await fail('--publication', 'nosuch')).toContain('reporting');
  expect(await fail('--publication', 'reporting', '--table', 'carired')).toContain(
    'did you mean "public.carried"?',
  );
  const left = await fail('--publication', 'reporting', '--table', 'left_out');
  const cure = /ALTER PUBLICATION.*;/.exec(left)![0];
  await client.query(cure);
  const { rows } = await client.query('select 1 from pg_publication_tables where tablename = $1', [
    'left_out',
  ]);
  expect(rows).toHaveLength(1);
  expect(await publications(client)).toEqual(['reporting']);
  await client.query('drop publication reporting; drop table carried, left_out');
});

test('what cannot be followed is named: a missing table, a missing database, a wrong URL', async () => {
  const missing = startCli(['tail', database.url, '--table', 'nothing']);
  expect(await missing.code).toBe(1);
  expect(missing.stderr()).toContain('there is no table public.nothing');
  const url = new URL(database.url);
  url.pathname = '/nowhere';
  const nowhere = startCli(['tail', url.href]);
  expect(await nowhere.code).toBe(1);
  expect(nowhere.stderr()).not.toContain('postgres:postgres@');
  for (const argv of [['mysql://db/x'], [database.url, '--table', 'a?'], [`${database.url}?x=1`]]) {
    const wrong = startCli(['tail', ...argv]);
    expect([argv, await wrong.code]).toEqual([argv, 2]);
  }
});
