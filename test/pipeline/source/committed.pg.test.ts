// A commit is decoded before others see it: a synchronous standby that never answers holds one there for as long as it takes.
import type { Client } from 'pg';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { EmbeddedPostgres } from '../../../src/cli/demo/embedded-postgres.ts';
import { Committed } from '../../../src/pipeline/source/committed.ts';
import { connect, waitFor } from '../../support/postgres.ts';
import { startTestServer } from '../../support/server.ts';

let server: EmbeddedPostgres;
let client: Client;
let writer: Client;

beforeAll(async () => {
  server = await startTestServer();
  client = await connect(server.url());
  writer = await connect(server.url());
  await client.query(`select pg_create_logical_replication_slot('s', 'test_decoding')`);
  await client.query(`alter system set synchronous_standby_names = 'nobody'`);
  await client.query('select pg_reload_conf()');
  await waitFor(async () => {
    const { rows } = await writer.query<{ names: string }>(
      `select current_setting('synchronous_standby_names') as names`,
    );
    return rows[0]!.names === 'nobody';
  }, 'the setting');
  // Commits wait once the checkpointer has read it, too.
  for (let probe = 0; !(await doesCommitWait(`probe_${probe}`)); probe++);
});

/** Ends the wait, too. */
async function doesCommitWait(table: string): Promise<boolean> {
  let isOver = false;
  const committing = writer.query(`create table ${table} ()`).then(() => (isOver = true));
  let waits = false;
  await waitFor(async () => {
    const { rows } = await client.query(
      `select pg_cancel_backend(pid) from pg_stat_activity where wait_event = 'SyncRep'`,
    );
    waits = rows.length > 0;
    return waits || isOver;
  }, 'the commit to wait, or to be over');
  await committing;
  return waits;
}
afterAll(async () => {
  await Promise.all([client.end(), writer.end()]);
  await server.remove();
});

const decoded = async (table: string): Promise<number | undefined> => {
  const { rows } = await client.query<{ xid: string; data: string }>(
    `select xid::text, data from pg_logical_slot_peek_changes('s', null, null)`,
  );
  const row = rows.find(({ data }) => data.includes(table));
  return row === undefined ? undefined : Number(row.xid);
};
const exists = async (table: string): Promise<boolean> => {
  const { rows } = await client.query<{ there: boolean }>('select to_regclass($1) is not null as there', [
    table,
  ]);
  return rows[0]!.there;
};

test('what a transaction made is waited for until the catalog has it, or for as long as is allowed', async () => {
  const committing = writer.query('create table made (id int); insert into made values (1)');
  const xid = await waitFor(() => decoded('made'), 'the commit to be decoded');
  expect(await exists('made')).toBe(false);
  // Nobody ends the wait of the commit here: ours ends by itself.
  await new Committed(client, 0).isVisible(xid);
  expect(await exists('made')).toBe(false);
  const waited = new Committed(client, 100_000).isVisible(xid).then(() => exists('made'));
  const other = await connect(server.url());
  try {
    await other.query(`alter system set synchronous_standby_names = ''`);
    await other.query('select pg_reload_conf()');
  } finally {
    await other.end();
  }
  expect(await waited).toBe(true);
  await committing;
});
