// Who has a table that a publication is to list, and does the cure that is told end it?
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from 'vitest';
import type { EmbeddedPostgres } from '../../../src/cli/demo/embedded-postgres.ts';
import { tableLock } from '../../../src/postgres/preflight/locked-tables.ts';
import { connect, createTestDatabase, type TestDatabase } from '../../support/postgres.ts';
import { startTestServer } from '../../support/server.ts';
import { waitFor } from '../../support/wait.ts';

const TABLE = { schema: 'public', table: 'held' };

let server: EmbeddedPostgres;
beforeAll(async () => {
  server = await startTestServer({ settings: { max_prepared_transactions: '5' } });
});
afterAll(() => server?.remove());

let database: TestDatabase;
beforeEach(async () => {
  database = await createTestDatabase(server.url());
  await database.client.query(
    'create table held (id int primary key); create table other (id int primary key)',
  );
});
afterEach(() => database.drop());

test('nobody, where others only read and write, or have other tables', async () => {
  const writer = await connect(database.url);
  await writer.query('begin; insert into held values (1); lock table other in access exclusive mode');
  expect(await tableLock(database.client, [TABLE])).toBeUndefined();
  await writer.end();
});

test('a process by its number, before one that waits for it', async () => {
  const holder = await connect(database.url);
  await holder.query('begin; lock table held in share update exclusive mode');
  const { rows } = await holder.query<{ pid: number }>('select pg_backend_pid() as pid');
  const waiting = await connect(database.url);
  const waited = waiting.query('lock table held in access exclusive mode').catch(() => undefined);
  const lock = await tableLock(database.client, [TABLE]);
  expect(lock?.what).toMatch(
    new RegExp(`^table public.held is held by process ${rows[0]!.pid} \\(idle in transaction since 2.*Z\\)$`),
  );
  await database.client.query(/SELECT pg_terminate_backend\(\d+\);/.exec(lock!.cure)![0]);
  await waited;
  await waitFor(async () => (await tableLock(database.client, [TABLE])) === undefined, 'nobody to have it');
  await holder.end().catch(() => undefined);
  await waiting.end();
});

test('a prepared transaction by its identifier', async () => {
  await database.client.query(
    `begin; lock table held in share mode; insert into held values (1); prepare transaction 'it''s'`,
  );
  const lock = await tableLock(database.client, [TABLE]);
  expect(lock?.what).toMatch(/^table public.held is held by a prepared transaction since 2.*Z$/);
  await database.client.query(/ROLLBACK PREPARED .*;/.exec(lock!.cure)![0]);
  expect(await tableLock(database.client, [TABLE])).toBeUndefined();
});
