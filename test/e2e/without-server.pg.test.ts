// A start without a server to read from: what only our disk has is delivered all the same, and the stream goes on where it was.
import { afterEach, beforeEach, expect, test } from 'vitest';
import { startEmbeddedPostgres, type EmbeddedPostgres } from '../../src/cli/demo/embedded-postgres.ts';
import { configText } from '../support/config.ts';
import { startFaultProxy, type FaultProxy } from '../support/fault-proxy.ts';
import { connect, createTestDatabase, type TestDatabase } from '../support/postgres.ts';
import { createWorkDirectory, startService, type ServiceProcess } from '../support/service.ts';
import { startSqsRecorder, type SqsRecorder } from '../support/sqs-recorder.ts';
import { waitFor } from '../support/wait.ts';
import { createTables, Replica, seededRandom, TABLES, writeTransaction } from '../support/workload.ts';

let server: EmbeddedPostgres;
let database: TestDatabase;
let recorder: SqsRecorder;
let proxy: FaultProxy;
let directory: ReturnType<typeof createWorkDirectory>;
let service: ServiceProcess;

beforeEach(async () => {
  server = await startEmbeddedPostgres();
  database = await createTestDatabase(server.url());
  recorder = await startSqsRecorder();
  proxy = await startFaultProxy(recorder.url);
  directory = createWorkDirectory();
});
afterEach(async ({ task }) => {
  await service.end(task);
  await proxy.stop();
  await recorder.stop();
  await database.client.end().catch(() => undefined);
  await server.remove();
  directory.remove();
});

let version = 0;
const random = seededRandom(21);

async function write(client: TestDatabase['client'], transactions: number): Promise<number> {
  let events = 0;
  for (let i = 0; i < transactions; i++) {
    events += await writeTransaction(client, {
      random,
      count: 1 + Math.floor(random() * 80),
      ids: { from: 0, to: 200 },
      nextVersion: () => ++version,
    });
  }
  return events;
}

const config = (slot = ''): string =>
  configText({
    database,
    endpoint: proxy.url,
    slot: `ack: durable\n${slot}`,
    sinks: [{ tables: TABLES, extra: 'retry: { initial_backoff: 50ms, max_backoff: 200ms }' }],
  });

const launch = (text = config()): ServiceProcess =>
  (service = startService({ config: text, directory: directory.path }));

/** Some changes delivered, and more that only our disk has: Postgres was told that it may forget them. */
async function leaveBacklog(): Promise<number> {
  await createTables(database.client);
  await launch().ready();
  let events = await write(database.client, 3);
  await waitFor(() => recorder.messages.length >= events, 'the first messages');
  await proxy.down();
  events += await write(database.client, 20);
  const { rows } = await database.client.query<{ lsn: string }>('select pg_current_wal_lsn()::text as lsn');
  await waitFor(async () => {
    const { rows: slots } = await database.client.query<{ passed: boolean }>(
      'select confirmed_flush_lsn >= $1::pg_lsn as passed from pg_replication_slots',
      [rows[0]!.lsn],
    );
    return slots[0]?.passed === true;
  }, 'Postgres to be told that all of it is durable here');
  await service.kill();
  expect(recorder.messages.length).toBeLessThan(events);
  return events;
}

test('with Postgres down, what the log holds is delivered; when it is back, the stream goes on and every change came once', async () => {
  let events = await leaveBacklog();
  await server.stop('fast');
  await proxy.up();
  launch();
  await waitFor(() => recorder.messages.length >= events, `the ${events} messages that only our disk had`);
  await waitFor(async () => {
    const [sink] = (await service.health()).sinks;
    return sink?.state === 'running' && sink.lagBytes === 0;
  }, 'the sink to have settled all, and said so');
  const health = await service.health();
  expect(health.databases[0]).toMatchObject({ status: 'degraded', state: 'waiting' });
  expect(health.sinks[0]).toMatchObject({ status: 'healthy', state: 'running' });

  await server.start();
  const client = await connect(database.url);
  await service.ready();
  events += await write(client, 10);
  await waitFor(() => recorder.messages.length >= events, `${events} messages`);
  const replica = Replica.of(recorder.messages);
  expect(replica.changes).toBe(events);
  expect(replica.repeats).toBe(0);
  await replica.compareWith(client);
  expect((await service.health()).databases[0]?.gaps).toEqual([]);
  await client.end();
  expect(await service.stop()).toBe(0);
});

test('a start that is refused delivers what the log holds, and says in the status why it is refused', async () => {
  const events = await leaveBacklog();
  await waitFor(async () => {
    const { rowCount } = await database.client.query('select 1 from pg_replication_slots where active');
    return rowCount === 0;
  }, 'the slot to be free');
  await database.client.query('select pg_drop_replication_slot(slot_name) from pg_replication_slots');
  await proxy.up();
  launch(config().replace('create_if_not_exists: true', 'create_if_not_exists: false'));
  await waitFor(() => recorder.messages.length >= events, `the ${events} messages that only our disk had`);
  const [status] = (await service.health()).databases;
  expect(status).toMatchObject({ status: 'halted', reason: expect.stringContaining('slot') });
  const replica = Replica.of(recorder.messages);
  expect(replica.changes).toBe(events);
  await replica.compareWith(database.client);
  expect(await service.stop()).toBe(0);
});

test('a log that holds nothing waits for the server', async () => {
  await createTables(database.client);
  await server.stop('fast');
  launch();
  const status = await waitFor(async () => {
    const [found] = (await service.health()).databases;
    return found?.state === 'waiting' && found;
  }, 'the source to wait');
  expect(status).toMatchObject({ status: 'degraded' });
  expect((await service.health()).sinks[0]).toMatchObject({ state: 'starting' });
  await server.start();
  await service.ready();
});
