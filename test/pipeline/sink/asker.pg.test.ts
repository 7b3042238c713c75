// What the sinks of a thread ask the server, over one connection for all of them.
import { createServer, type AddressInfo } from 'node:net';
import { afterAll, beforeAll, expect, onTestFinished, test } from 'vitest';
import type { Relation } from '../../../src/core/change.ts';
import { loadFilterParser, type FilterParser } from '../../../src/functions/where/parser.ts';
import { readPresentTable } from '../../../src/pipeline/intake/where-server/present-table.ts';
import type { PlacedFilter } from '../../../src/pipeline/settings.ts';
import { createAsker } from '../../../src/pipeline/sink/asker.ts';
import { closeConnection } from '../../../src/postgres/connection/connection.ts';
import { findServer } from '../../../src/postgres/connection/standbys.ts';
import { describeStatement } from '../../../src/postgres/described.ts';
import { databaseSettings } from '../../support/database-settings.ts';
import { createTestDatabase, type TestDatabase } from '../../support/postgres.ts';
import { waitFor } from '../../support/wait.ts';

const SINKS = 40;

let database: TestDatabase;
let relation: Relation;
let parse: FilterParser;
beforeAll(async () => {
  parse = await loadFilterParser();
  database = await createTestDatabase();
  await database.client.query('create table orders (id int primary key, customer_id int)');
  const table = { schema: 'public', table: 'orders' };
  relation = (await readPresentTable(database.client, table, 'none'))!.relation;
});
afterAll(async () => {
  await database?.drop();
});

const filterOf = (customer: number): PlacedFilter => ({
  ...parse(`customer_id = ${customer}`),
  place: `tailrace.yaml:1:1  sinks[c${customer}].where`,
});

/** Of this database, beside the one that asks. */
async function connections(): Promise<number> {
  const { rows } = await database.client.query<{ count: number }>(
    'select count(*)::int as count from pg_stat_activity where datname = current_database() and pid <> pg_backend_pid()',
  );
  return rows[0]!.count;
}

test('however many sinks ask at once, the server has a few connections more, and none once all are answered', async () => {
  const asker = createAsker(databaseSettings(database));
  const answers = Promise.all(
    Array.from({ length: SINKS }, (_, customer) => asker.compare(filterOf(customer), relation)),
  );
  let isAnswered = false;
  void answers.then(() => (isAnswered = true));
  const seen: number[] = [];
  while (!isAnswered) seen.push(await connections());
  expect((await answers).every(({ kind }) => kind === 'agrees')).toBe(true);
  expect(Math.max(...seen)).toBeLessThanOrEqual(8);
  await waitFor(async () => (await connections()) === 0, 'the connection to be closed');
});

test('what is asked while no server can be reached is answered by one try, and the next question tries anew', async () => {
  let tries = 0;
  const refusing = createServer((socket) => {
    tries++;
    socket.destroy();
  });
  await new Promise<void>((done) => refusing.listen(0, '127.0.0.1', done));
  onTestFinished(() => void refusing.close());
  const { port } = refusing.address() as AddressInfo;
  const asker = createAsker(databaseSettings({ name: database.name, host: '127.0.0.1', port }));
  const ask = (customer: number): Promise<unknown> =>
    asker.compare(filterOf(customer), relation).catch((error: unknown) => error);
  const answers = await Promise.all(Array.from({ length: SINKS }, (_, customer) => ask(customer)));
  expect(answers.every((answer) => answer instanceof Error)).toBe(true);
  expect(tries).toBe(1);
  await ask(0);
  expect(tries).toBe(2);
});

test('one question that the server does not answer holds up no other', async () => {
  const { client } = await findServer(databaseSettings(database));
  await client.query('begin; lock table pg_catalog.pg_enum in access exclusive mode');
  const asker = createAsker(databaseSettings(database));
  let isAnswered = false;
  const before = asker.compare(filterOf(1), relation);
  const hanging = asker.labelsOf(1).finally(() => (isAnswered = true));
  const behind = Array.from({ length: SINKS }, (_, customer) => asker.compare(filterOf(customer), relation));
  expect((await Promise.all([before, ...behind])).every(({ kind }) => kind === 'agrees')).toBe(true);
  expect(isAnswered).toBe(false);
  await client.query('rollback');
  expect(await hanging).toBeUndefined();
  await closeConnection(client);
});

test('a question that breaks its connection is the only one that fails', async () => {
  const { client } = await findServer(databaseSettings(database));
  await client.query('begin; lock table pg_catalog.pg_enum in access exclusive mode');
  const asker = createAsker(databaseSettings(database));
  const broken = asker.labelsOf(1).catch((error: unknown) => error);
  const blocked = `from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'`;
  await waitFor(
    async () => (await database.client.query(`select 1 ${blocked}`)).rowCount === 1,
    'the question to wait for the lock',
  );
  await database.client.query(`select pg_terminate_backend(pid) ${blocked}`);
  await client.query('rollback');
  await closeConnection(client);
  expect(await broken).toBeInstanceOf(Error);
  expect((await asker.compare(filterOf(1), relation)).kind).toBe('agrees');
});

test('a statement that was described, or refused, leaves no timer behind', async () => {
  const timers = (): number =>
    process.getActiveResourcesInfo().filter((resource) => resource === 'Timeout').length;
  const { client } = await findServer(databaseSettings(database));
  const before = timers();
  expect((await describeStatement(client, 'select 1')).kind).toBe('types');
  expect((await describeStatement(client, 'select nothing')).kind).toBe('refusal');
  expect(timers()).toBe(before);
  await closeConnection(client);
});
