// The first start beside a transaction that does not end: stopped, killed, and two of them at once.
import { afterEach, beforeEach, expect, onTestFinished, test } from 'vitest';
import { configText } from '../support/config.ts';
import { connect, createTestDatabase, type TestDatabase } from '../support/postgres.ts';
import { createWorkDirectory, startService, type ServiceProcess } from '../support/service.ts';
import { startWebhookServer, type WebhookServer } from '../support/webhook-server.ts';
import { waitFor } from '../support/wait.ts';

let database: TestDatabase;
let server: WebhookServer;
const services: ServiceProcess[] = [];

beforeEach(async () => {
  database = await createTestDatabase();
  server = await startWebhookServer();
  await database.client.query('create table items (id int primary key)');
});
afterEach(async ({ task }) => {
  for (const service of services.splice(0)) await service.end(task);
  await server.stop();
  await database.drop();
});

function launch(directory = createWorkDirectory()): ServiceProcess {
  onTestFinished(() => directory.remove());
  const config = configText({
    database,
    endpoint: '',
    sinks: [{ tables: ['items'], to: `type: webhook\nurl: ${server.url}` }],
  });
  const service = startService({ config, directory: directory.path });
  services.push(service);
  return service;
}

async function openTransaction() {
  const writer = await connect(database.url);
  onTestFinished(() => writer.end().catch(() => undefined));
  await writer.query('begin; insert into items values (1)');
  return writer;
}

const slots = async (): Promise<readonly { being_made: boolean }[]> =>
  (
    await database.client.query<{ being_made: boolean }>(
      'select confirmed_flush_lsn is null as being_made from pg_replication_slots where slot_name = $1',
      [database.name],
    )
  ).rows;

const isWaiting = async (): Promise<boolean> => (await slots())[0]?.being_made === true;
const says = (service: ServiceProcess, text: string) =>
  waitFor(() => service.log.find(({ msg }) => msg?.includes(text)), `the log to say: ${text}`);

test('stopped while the slot is being made it ends at once, and leaves no slot', async () => {
  await openTransaction();
  const service = launch();
  await says(service, 'is being made and waits for transaction');
  expect(await service.stop()).toBe(0);
  expect(await slots()).toEqual([]);
});

test('killed while the slot is being made it leaves none, and the next start is an ordinary first one (C174)', async ({
  skip,
}) => {
  const { rows } = await database.client.query<{ v: number }>(
    `select current_setting('server_version_num')::int as v`,
  );
  skip(rows[0]!.v < 140_000, 'before 14 a waiting backend does not notice that its client is gone');
  const writer = await openTransaction();
  const killed = launch();
  await waitFor(isWaiting, 'the slot to be in the making');
  await killed.kill();
  await waitFor(async () => (await slots()).length === 0, 'the half-made slot to be gone');
  const service = launch();
  await waitFor(isWaiting, 'the slot to be made again');
  await writer.query('commit');
  await service.ready();
  await database.client.query('insert into items values (2)');
  await waitFor(() => server.taken.length > 0, 'the first change');
  expect(server.taken.map((text) => (JSON.parse(text) as { record: unknown }).record)).toEqual([{ id: 2 }]);
  expect((await service.health()).databases[0]).toMatchObject({ status: 'healthy', gaps: [] });
});

test('of two that start at once on a fresh database one works, and the other waits and takes over (C161)', async () => {
  const writer = await openTransaction();
  const both = [launch(), launch()];
  await waitFor(isWaiting, 'the slot to be in the making');
  await waitFor(
    () =>
      both.some(({ log }) => log.some(({ code, level }) => code === 'SLOT_BEING_MADE' && level === 'warn')),
    'the second to say that the slot is being made',
  );
  await writer.query('commit');
  await Promise.race(both.map((service) => service.ready()));
  await database.client.query('insert into items values (2)');
  await waitFor(() => server.taken.length > 0, 'the first change');
  await waitFor(
    () => both.some(({ log }) => log.some(({ code }) => code === 'SLOT_IN_USE')),
    'the second to say that another one streams',
  );
  expect(both.map(({ child }) => child.exitCode)).toEqual([null, null]);
  const isIdle = (service: ServiceProcess) => service.log.some(({ code }) => code === 'SLOT_IN_USE');
  const [worker, waiting] = isIdle(both[0]!) ? [both[1]!, both[0]!] : [both[0]!, both[1]!];
  expect(await worker.stop()).toBe(0);
  await database.client.query('insert into items values (3)');
  await waiting.ready();
  await waitFor(() => server.taken.length >= 2, 'the change that the other one delivers');
  expect(server.taken.map((text) => (JSON.parse(text) as { record: unknown }).record)).toEqual([
    { id: 2 },
    { id: 3 },
  ]);
});
