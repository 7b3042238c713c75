// The user's SQL, and what ours makes run, in a session of the role as everybody knows it: its search_path, its settings.
import { afterEach, beforeEach, expect, test } from 'vitest';
import { startCli } from '../../support/cli.ts';
import { databaseSettings } from '../../support/database-settings.ts';
import { createTestDatabase, waitFor, type TestDatabase } from '../../support/postgres.ts';
import {
  createSourceDirectory,
  startTestSource,
  type SourceDirectory,
  type TestSource,
} from '../../support/source.ts';

let database: TestDatabase;
let directory: SourceDirectory;
let source: TestSource | undefined;

beforeEach(async () => {
  database = await createTestDatabase();
  directory = createSourceDirectory();
  // An event trigger as applications write them: it finds its table by search_path.
  await database.client.query(`
    create schema app;
    alter database ${database.name} set search_path = app;
    set search_path = app;
    create table items (id int primary key);
    create table audit (tag text, path text);
    create function noted() returns event_trigger language plpgsql as
      $$ begin insert into audit values (tg_tag, current_setting('search_path')); end $$;
    create event trigger noted on ddl_command_end when tag in
      ('CREATE PUBLICATION', 'ALTER PUBLICATION', 'DROP PUBLICATION') execute function noted()`);
});
afterEach(async () => {
  await source?.stop();
  source = undefined;
  directory.remove();
  await database.drop();
});

const audit = async (): Promise<string[]> => {
  const { rows } = await database.client.query<{ line: string }>(
    `select tag || ' in ' || path as line from audit`,
  );
  return rows.map(({ line }) => line);
};

async function start(settings: Parameters<typeof databaseSettings>[1] = {}): Promise<TestSource> {
  source = startTestSource(databaseSettings(database, settings), directory);
  source.ended.catch(() => undefined);
  await source.ready;
  return source;
}

test('event triggers run by it, when the publication is made and when a table joins it', async () => {
  const started = await start();
  await database.client.query('create table later (id int primary key)');
  await waitFor(() => started.status().tables === 2, 'the new table to join');
  expect(await audit()).toEqual(['CREATE PUBLICATION in app', 'ALTER PUBLICATION in app']);
});

test('init_sql may name tables by it', async () => {
  const name = `pub_${database.name}`;
  await start({ publication: { initSql: `create publication ${name} for table items` } });
  await database.client.query('insert into items values (1)');
  await waitFor(async () => (await source!.read()).rows.length === 1, 'the row');
  expect(await audit()).toEqual(['CREATE PUBLICATION in app']);
});

test('a role that only reads by default makes its publication nevertheless', async () => {
  await database.client.query(`alter database ${database.name} set default_transaction_read_only = on`);
  const started = await start();
  await database.client.query('create table later (id int primary key)');
  expect(await waitFor(() => started.status().tables === 2, 'the new table to join')).toBe(true);
});

test('tail makes and drops its publication by it', async () => {
  const cli = startCli(['tail', database.url]);
  await waitFor(() => cli.stderr().includes('streaming'), 'tail to stream');
  cli.interrupt();
  expect(await cli.code).toBe(0);
  expect((await audit())[0]).toBe('CREATE PUBLICATION in app');
});
