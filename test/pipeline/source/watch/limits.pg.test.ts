// What Postgres will give a slot up for, and whose transaction it keeps WAL for: said in the status, with cures that are run. A server of its own.
import type { Client } from 'pg';
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from 'vitest';
import { startEmbeddedPostgres, type EmbeddedPostgres } from '../../../../src/cli/demo/embedded-postgres.ts';
import { databaseSettings, serverVersion } from '../../../support/database-settings.ts';
import { connect } from '../../../support/postgres.ts';
import {
  createSourceDirectory,
  startTestSource,
  type SourceDirectory,
  type TestSource,
} from '../../../support/source.ts';
import { waitFor } from '../../../support/wait.ts';

const MIB = 1024 * 1024;

let server: EmbeddedPostgres;
let client: Client;
let directory: SourceDirectory;
let source: TestSource;
let tests = 0;
/** Whatever they have open ends with the test. */
const others: Client[] = [];

beforeAll(async () => {
  server = await startEmbeddedPostgres({ settings: { max_prepared_transactions: '5' } });
});
afterAll(() => server.remove());
beforeEach(async () => {
  client = await connect(server.url());
  await sql('drop table if exists items; create table items (id int primary key, note text)');
  directory = createSourceDirectory();
  tests++;
});
afterEach(async () => {
  for (const other of others.splice(0)) await other.end().catch(() => undefined);
  await source.stop();
  await sql(`select pg_drop_replication_slot('slot_${tests}')`);
  await sql(`drop publication pub_${tests}`);
  await client.end();
  directory.remove();
});

async function connectOther(): Promise<Client> {
  const other = await connect(server.url());
  other.on('error', () => undefined);
  others.push(other);
  return other;
}

const sql = (text: string) => client.query(text);

async function start(changes: Parameters<typeof databaseSettings>[1] = {}): Promise<TestSource> {
  const settings = databaseSettings(
    { name: 'postgres', host: '127.0.0.1', port: server.port },
    {
      ...changes,
      slot: { name: `slot_${tests}`, ...changes.slot },
      publication: { name: `pub_${tests}` },
    },
  );
  source = startTestSource(settings, directory);
  source.ended.catch(() => undefined);
  await source.ready;
  return source;
}

const alarm = (code: string): Promise<string> =>
  waitFor(
    () => source.lines.find((line) => (line as { code?: string }).code === code)?.msg,
    `${code} in the log`,
  );
const isWell = (): Promise<unknown> => waitFor(() => source.status().health === 'healthy', 'all to be well');
/** What of the cure is SQL, in the status. */
const cure = (pattern: RegExp): string => pattern.exec(source.status().cure ?? '')?.[0] ?? 'no cure';

/** A statement each: ALTER SYSTEM runs in no block of several. */
async function run(statements: string): Promise<void> {
  for (const statement of statements.split(';')) if (statement.trim() !== '') await sql(statement);
}

/** So much WAL, which concerns nobody. */
const write = (megabytes: number) =>
  sql(
    `select count(pg_logical_emit_message(false, 'noise', repeat('x', ${MIB}))) from generate_series(1, ${megabytes})`,
  );

test('a slot that is near max_slot_wal_keep_size, while there is half of it left, and the cure gives it room', async () => {
  await run(`alter system set max_slot_wal_keep_size = '64MB'; select pg_reload_conf()`);
  await start({ slot: { ack: 'delivered', maxRetainedBytes: 1024 * MIB } });
  // An open transaction keeps the WAL, whatever we confirm.
  const other = await connectOther();
  await other.query('begin; insert into items values (1)');
  await write(50);
  expect(await alarm('SLOT_LIMIT_NEAR')).toMatch(/gives slot "slot_1" up when \d+ MB more are written/);
  await run(cure(/ALTER SYSTEM SET max_slot_wal_keep_size = '\d+MB'; SELECT pg_reload_conf\(\);/));
  await isWell();
  await other.query('rollback');
  await run('alter system reset max_slot_wal_keep_size; select pg_reload_conf()');
});

test('a server that gives idle slots up sooner than an outage may last, from 18 on', async () => {
  if ((await serverVersion(client)) < 180_000)
    return start()
      .then(isWell)
      .then(() => undefined);
  await run(`alter system set idle_replication_slot_timeout = '1h'; select pg_reload_conf()`);
  await start();
  expect(await alarm('SLOT_IDLE_TIMEOUT')).toContain('away from it for 60 minutes');
  await run(cure(/ALTER SYSTEM SET idle_replication_slot_timeout = 0; SELECT pg_reload_conf\(\);/));
  await isWell();
  return run('alter system reset idle_replication_slot_timeout; select pg_reload_conf()');
});

test.each(['open', 'prepared'])(
  'a transaction that stays %s holds WAL, and its cure lets go of it',
  async (how) => {
    await start({ receiveTimeoutMs: 3000, slot: { maxRetainedBytes: MIB } });
    const other = await connectOther();
    await other.query(`begin; set application_name = 'nightly'; insert into items values (${tests})`);
    if (how === 'prepared') await other.query(`prepare transaction 'it''s'`);
    await write(3);
    const said = await alarm('TRANSACTION_HOLDS_WAL');
    expect(said).toContain(
      how === 'open' ? 'of "nightly" (idle in transaction since 2' : `prepared as 'it''s' since 2`,
    );
    if (how === 'open') await run(cure(/SELECT pg_terminate_backend\(\d+\);/));
    else await run(cure(/ROLLBACK PREPARED '.*';/));
    // From the next running transactions on, the WAL is free.
    await waitFor(async () => {
      await run('checkpoint');
      await write(1);
      return source.status().health === 'healthy';
    }, 'the WAL to be let go');
    await other.end().catch(() => undefined);
  },
);
