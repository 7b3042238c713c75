// A slot that Postgres gives up (wal_status = lost, restart_lsn NULL): where Tailrace makes slots it makes another one, and what is missing
// in between is a gap; where it does not, it stands. A server of its own.
import type { Client } from 'pg';
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from 'vitest';
import type { EmbeddedPostgres } from '../../../src/cli/demo/embedded-postgres.ts';
import { parseLsn } from '../../../src/core/lsn.ts';
import { readSlot } from '../../../src/postgres/preflight/slot.ts';
import { databaseSettings } from '../../support/database-settings.ts';
import { connect } from '../../support/postgres.ts';
import { startWireProxy } from '../../support/postgres-wire.ts';
import { startTestServer } from '../../support/server.ts';
import {
  createSourceDirectory,
  startTestSource,
  type SourceDirectory,
  type TestSource,
} from '../../support/source.ts';
import { waitFor } from '../../support/wait.ts';

const SLOT = 'given_up';

let server: EmbeddedPostgres;
let client: Client;
let directory: SourceDirectory;
let source: TestSource;

beforeAll(async () => {
  server = await startTestServer({ settings: { max_slot_wal_keep_size: '1MB' } });
  client = await connect(server.url());
});
afterAll(async () => {
  await client.end();
  await server.remove();
});
beforeEach(async () => {
  await client.query('create table items (id int primary key)');
  directory = createSourceDirectory();
});
afterEach(async () => {
  await source.stop();
  directory.remove();
  await client.query(`select pg_drop_replication_slot('${SLOT}')`);
  await client.query(`drop publication ${SLOT}`);
  await client.query('drop table items');
});

function start(port = server.port, createIfNotExists = true): TestSource {
  source = startTestSource(
    databaseSettings(
      { name: 'postgres', host: '127.0.0.1', port },
      { slot: { name: SLOT, createIfNotExists }, publication: { name: SLOT } },
    ),
    directory,
  );
  source.ended.catch(() => undefined);
  return source;
}

const insert = (id: number) => client.query('insert into items values ($1)', [id]);
const ids = async () => (await source.read()).rows.map(({ values }) => values[0]);

/** Of what nobody captures, until the slot is lost. */
async function lose(): Promise<void> {
  await waitFor(async () => {
    await client.query(`select pg_logical_emit_message(false, 'noise', 'x'), pg_switch_wal()`);
    await client.query('checkpoint');
    return (await readSlot(client, SLOT))?.walStatus === 'lost';
  }, 'the slot to be lost');
}

/** With a row that is logged. */
async function begin(): Promise<void> {
  await start().ready;
  await insert(1);
  await waitFor(() => source.status().changes === 1, 'the row');
}

/** One gap, from the log's end to where the new slot stands, and what is written behind it comes: answers what is in the log. */
async function goesOnBehindTheGap(): Promise<unknown> {
  await waitFor(() => source.status().gaps.length > 0 && source.status().state === 'streaming', 'the gap');
  const { gaps } = source.status();
  expect(gaps).toMatchObject([{ cause: 'slot_remade', halts: true }]);
  const slot = await readSlot(client, SLOT);
  expect(slot?.walStatus).not.toBe('lost');
  expect(parseLsn(gaps[0]!.to!)! <= slot!.confirmedFlush).toBe(true);
  await insert(3);
  await waitFor(() => source.status().loggedEnd > gaps[0]!.to!, 'the row behind the gap');
  return ids();
}

test('one that is lost while nobody reads is made anew, and what it kept is a gap', async () => {
  await begin();
  await source.stop();
  await insert(2);
  await lose();
  start();
  expect(await goesOnBehindTheGap()).toEqual(['1', '3']);
});

test('one that is lost between the look at it and the start of the stream is looked at again', async () => {
  await begin();
  await source.stop();
  await insert(2);
  const proxy = await startWireProxy({ host: '127.0.0.1', port: server.port });
  proxy.holdUntil('START_REPLICATION', lose);
  start(proxy.port);
  expect(await goesOnBehindTheGap()).toEqual(['1', '3']);
  expect(source.lines.some((line) => (line as { code?: string }).code === 'SLOT_UNUSABLE')).toBe(true);
  await source.stop();
  await proxy.close();
});

test('one that is lost while it is read from, because a sink holds it, is made anew as well', async () => {
  await begin();
  source.signals.setHolding(0, true);
  await insert(2);
  await waitFor(() => source.status().changes === 2, 'the row that nobody settles');
  await lose();
  await waitFor(() => source.status().gaps.length > 0 && source.status().state === 'streaming', 'the gap');
  expect(source.status().gaps).toMatchObject([{ cause: 'slot_remade', halts: true }]);
  await insert(3);
  await waitFor(() => source.status().changes === 3, 'the row behind the gap');
  expect(await ids()).toEqual(['1', '2', '3']);
});

test('one that is lost where Tailrace makes no slots stands, with the cure, and is left alone', async () => {
  await begin();
  await source.stop();
  await lose();
  start(server.port, false);
  await waitFor(() => source.status().health === 'halted', 'the source to stand');
  expect(source.status()).toMatchObject({
    reason: expect.stringContaining('Postgres has invalidated it') as string,
    cure: expect.stringContaining('create_if_not_exists') as string,
  });
  expect((await readSlot(client, SLOT))?.walStatus).toBe('lost');
});
