// A slot that is being made, on a server whose transactions do not end: what it waits for, calling it off, several makers.
import type { Client } from 'pg';
import { afterAll, beforeAll, expect, onTestFinished, test } from 'vitest';
import type { EmbeddedPostgres } from '../../../src/cli/demo/embedded-postgres.ts';
import { startTestServer } from '../../support/server.ts';
import type { TailraceError } from '../../../src/core/errors.ts';
import { inspectDatabase } from '../../../src/postgres/preflight/preflight.ts';
import { connectOrdinary } from '../../../src/postgres/connection/connection.ts';
import { makeSlot, slotWait, type SlotBlocker } from '../../../src/postgres/preflight/slot-making.ts';
import { readSlot } from '../../../src/postgres/preflight/slot.ts';
import { createPublication } from '../../../src/postgres/preflight/publication-changes.ts';
import { readPublication } from '../../../src/postgres/preflight/publication.ts';
import { readTables } from '../../../src/postgres/preflight/tables.ts';
import { databaseSettings, serverVersion } from '../../support/database-settings.ts';
import { connect, createTestDatabase, type TestDatabase } from '../../support/postgres.ts';
import { waitFor } from '../../support/wait.ts';

let server: EmbeddedPostgres;
let database: TestDatabase;
let client: Client;
let version: number;

beforeAll(async () => {
  server = await startTestServer({ settings: { max_prepared_transactions: '5' } });
  database = await createTestDatabase(server.url());
  client = database.client;
  version = await serverVersion(client);
  await client.query('create table items (id int primary key)');
});
afterAll(async () => {
  await client.end().catch(() => undefined);
  await server.remove();
});

let counter = 0;

/** A slot that is being made, what it was told to wait for, and the end of it. */
function making() {
  const settings = databaseSettings(database, { slot: { name: `making_${++counter}` } });
  const waits: (SlotBlocker | undefined)[] = [];
  const controller = new AbortController();
  const made = makeSlot({
    client,
    target: settings.hosts[0]!,
    settings,
    serverVersion: version,
    onWait: (blocker) => waits.push(blocker),
    signal: controller.signal,
  });
  made.catch(() => undefined);
  const { name } = settings.slot;
  const blocker = (): Promise<SlotBlocker> =>
    waitFor(() => waits.findLast((found) => found !== undefined), 'what the slot waits for');
  return { name, made, blocker, controller };
}

/** A transaction that has written, and does not end. */
async function openTransaction(): Promise<Client> {
  const writer = await connect(database.url);
  onTestFinished(() => writer.end().catch(() => undefined));
  await writer.query(
    `set application_name = 'nightly report'; begin; insert into items values (${++counter})`,
  );
  return writer;
}

/** The SQL in a cure, from the first statement on. */
const sqlOf = (hint: string | undefined, pattern: RegExp): string => pattern.exec(hint ?? '')![0];

test('a slot names the transaction that it waits for, with a cure that lets it be made (C174)', async () => {
  await openTransaction();
  const { name, made, blocker } = making();
  const wait = slotWait(name, await blocker());
  expect(wait.message).toMatch(
    /waits for transaction \d+ of process \d+ of "nightly report" \(idle in transaction since 20/,
  );
  await client.query(sqlOf(wait.hint, /SELECT pg_terminate_backend.*;/));
  expect(await made).toBeGreaterThan(0n);
  expect(await readSlot(client, name)).toMatchObject({ beingMade: false });
});

test('a prepared transaction, which no process runs, is named with its identifier, and its cure lets the slot be made', async () => {
  const writer = await openTransaction();
  await writer.query("prepare transaction 'it''s prepared'");
  const { name, made, blocker } = making();
  const wait = slotWait(name, await blocker());
  expect(wait.message).toContain("which is prepared as 'it''s prepared' since 20");
  expect(wait.hint).toContain(`in database "${database.name}"`);
  await client.query(sqlOf(wait.hint, /ROLLBACK PREPARED.*;/));
  expect(await made).toBeGreaterThan(0n);
});

test('called off it ends at once, and leaves neither a slot nor a process', async () => {
  await openTransaction();
  const { name, made, blocker, controller } = making();
  await blocker();
  expect(await readSlot(client, name)).toMatchObject({ beingMade: true });
  controller.abort(new Error('stopping'));
  await expect(made).rejects.toThrow('stopping');
  expect(await readSlot(client, name)).toBeUndefined();
  const { rows } = await client.query(
    `select pid from pg_stat_activity where query like '%pg_create_logical_replication_slot%' and pid <> pg_backend_pid()`,
  );
  expect(rows).toEqual([]);
});

test('of two that make the same slot one succeeds, and the other is told to look again', async () => {
  const writer = await openTransaction();
  const first = making();
  await first.blocker();
  counter--;
  const second = making();
  expect(second.name).toBe(first.name);
  await expect(second.made).rejects.toMatchObject({ code: 'SLOT_BEING_MADE', kind: 'retryable' });
  await writer.query('commit');
  expect(await first.made).toBeGreaterThan(0n);
});

test('a process that makes it and is ended by somebody is no lasting fault', async () => {
  await openTransaction();
  const { made, name, blocker } = making();
  await blocker();
  const pid = (await readSlot(client, name))!.activePid;
  await client.query('select pg_terminate_backend($1)', [pid]);
  await expect(made).rejects.toMatchObject({ kind: 'retryable' });
});

/** Makes a slot as `username`, whose connection asks. */
async function makeAs(username: string, name: string) {
  const settings = databaseSettings(database, { username, password: 'weak', slot: { name } });
  const { signal } = new AbortController();
  return makeSlot({
    client,
    target: settings.hosts[0]!,
    settings,
    serverVersion: version,
    onWait: () => undefined,
    signal,
  });
}

test('a role that may make none is told what lets it, and that does', async () => {
  await client.query(`create role "weak one" login password 'weak'`);
  const fault = await makeAs('weak one', 'of_weak').catch((error: unknown) => error as TailraceError);
  expect(fault).toMatchObject({ code: 'SLOT_NOT_CREATED', kind: 'fatal' });
  await client.query(sqlOf((fault as TailraceError).hint, /ALTER ROLE.*;/));
  expect(await makeAs('weak one', 'of_weak')).toBeGreaterThan(0n);
});

test('where every slot is taken, the cure finds one that nobody uses, and without it there is room (C170)', async () => {
  await client.query(`select pg_create_physical_replication_slot('filler_' || i) from generate_series(1,
    current_setting('max_replication_slots')::int - (select count(*)::int from pg_replication_slots)) i`);
  const { made, name } = making();
  const fault = await made.catch((error: unknown) => error as TailraceError);
  expect(fault).toMatchObject({ code: 'NO_SLOT_FREE', kind: 'fatal' });
  // Before it is tried, the same is found by a look.
  const found = await inspectDatabase(databaseSettings(database, { slot: { name } }), []);
  expect(found.find(({ ok }) => !ok)).toMatchObject({
    code: 'NO_SLOT_FREE',
    cure: (fault as TailraceError).hint,
  });
  const unused = await client.query<{ slot_name: string }>(
    sqlOf((fault as TailraceError).hint, /SELECT slot_name.*?;/),
  );
  expect(unused.rows.map(({ slot_name }) => slot_name)).toContain('filler_1');
  await client.query(
    `select pg_drop_replication_slot(slot_name) from pg_replication_slots where slot_name like 'filler%'`,
  );
  counter--;
  const again = making();
  expect(again.name).toBe(name);
  expect(await again.made).toBeGreaterThan(0n);
});

test('a role that may make no publication is told what lets it, and that does; one that exists already is looked at again', async () => {
  await client.query(`create role "weak two" login password 'weak'`);
  await client.query('create table owned (id int primary key); alter table owned owner to "weak two"');
  const settings = databaseSettings(database, {
    username: 'weak two',
    password: 'weak',
    publication: { name: 'of_weak' },
  });
  const weak = await connectOrdinary(settings, settings.hosts[0]!);
  onTestFinished(() => weak.end());
  const states = (await readTables(weak, [{ schema: 'public', table: 'owned' }])).map((state) => ({
    ...state,
    assured: false,
  }));
  const create = () => createPublication(weak, settings, { states, mayBeEmpty: false });
  const fault = await create().catch((error: unknown) => error as TailraceError);
  expect(fault).toMatchObject({ code: 'PUBLICATION_NOT_CREATED', kind: 'fatal' });
  await client.query(sqlOf((fault as TailraceError).hint, /GRANT.*?;/));
  await create();
  expect((await readPublication(client, 'of_weak'))?.entries).toMatchObject([{ table: 'owned' }]);
  await expect(create()).rejects.toMatchObject({ code: 'PUBLICATION_NOT_CREATED', kind: 'retryable' });
});
