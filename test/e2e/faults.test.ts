// What goes wrong at the endpoint: good entries are sent once, and nothing is lost.
import { afterEach, beforeEach, expect, test } from 'vitest';
import { configText } from '../support/config.ts';
import { startFaultProxy, type Fault, type FaultProxy } from '../support/fault-proxy.ts';
import { createTestDatabase, waitFor, type TestDatabase } from '../support/postgres.ts';
import { createWorkDirectory, startService, type ServiceProcess } from '../support/service.ts';
import { startSqsRecorder, type SqsRecorder } from '../support/sqs-recorder.ts';
import {
  createTables,
  Replica,
  seededRandom,
  TABLES,
  writeTransaction,
  type ChangeMessage,
} from '../support/workload.ts';

let database: TestDatabase;
let recorder: SqsRecorder;
let proxy: FaultProxy;
let directory: ReturnType<typeof createWorkDirectory>;
let service: ServiceProcess;

beforeEach(async () => {
  database = await createTestDatabase();
  recorder = await startSqsRecorder();
  proxy = await startFaultProxy(recorder.url);
  directory = createWorkDirectory();
});

afterEach(async ({ task }) => {
  await service.end(task);
  await proxy.stop();
  await recorder.stop();
  await database.drop();
  directory.remove();
});

const config = (options: { sink?: string; destination?: string } = {}): string =>
  configText({
    database,
    endpoint: proxy.url,
    sinks: [
      {
        tables: TABLES,
        destination: `timeout: 500ms\n${options.destination ?? ''}`,
        extra: options.sink ?? '',
      },
    ],
  });

let version = 0;

async function writeEvents(seed: number, transactions: number): Promise<number> {
  const random = seededRandom(seed);
  let events = 0;
  for (let i = 0; i < transactions; i++) {
    events += await writeTransaction(database.client, {
      random,
      count: 1 + Math.floor(random() * 100),
      ids: { from: 0, to: 400 },
      nextVersion: () => ++version,
    });
  }
  return events;
}

async function expectEverything(events: number): Promise<void> {
  await waitFor(() => recorder.messages.length >= events, `${events} messages`, 100_000);
  const replica = new Replica();
  for (const { body } of recorder.messages) replica.apply(JSON.parse(body) as ChangeMessage);
  expect(replica.changes).toBe(events);
  expect(replica.repeats).toBe(0);
  await replica.compareWith(database.client);
}

test('one entry of ten refused: the nine good ones are sent once, the refused one again, in order', async () => {
  await createTables(database.client);
  const random = seededRandom(10);
  proxy.decide = ({ action }): Fault | undefined =>
    action === 'SendMessageBatch'
      ? { kind: 'entries', senderFault: false, refuse: () => random() < 0.1 }
      : undefined;
  service = startService({ config: config(), directory: directory.path });
  await service.ready();
  const events = await writeEvents(11, 25);
  await expectEverything(events);
  // Every entry that the queue accepted was sent to it exactly once: nothing was there to deduplicate.
  expect(recorder.counts.duplicates).toBe(0);
});

test('throttling, 500s, resets, hangs and malformed answers in turn lose nothing and break no order', async () => {
  await createTables(database.client);
  const random = seededRandom(20);
  const faults: readonly Fault[] = [
    { kind: 'error', status: 400, code: 'ThrottlingException' },
    { kind: 'error', status: 500, code: 'InternalError' },
    { kind: 'error', status: 503, code: 'ServiceUnavailable' },
    { kind: 'reset', when: 'before' },
    { kind: 'reset', when: 'after' },
    { kind: 'hang' },
    { kind: 'malformed', body: '<html>' },
  ];
  proxy.decide = ({ action }) =>
    action === 'SendMessageBatch' && random() < 0.15
      ? faults[Math.floor(random() * faults.length)]
      : undefined;
  service = startService({
    config: config({ sink: 'retry: { initial_backoff: 20ms, max_backoff: 100ms }' }),
    directory: directory.path,
  });
  await service.ready();
  const events = await writeEvents(21, 25);
  await expectEverything(events);
  const health = await service.health();
  expect(health.sinks[0]).toMatchObject({ deadLettered: 0, inversions: 0 });
  expect(health.sinks[0]!.failedRequests).toBeGreaterThan(0);
});

test('a queue deleted while running is named in the status, and everything arrives once it is back', async () => {
  await createTables(database.client);
  recorder.createQueue('late.fifo', { FifoQueue: 'true' });
  const text = config({ sink: 'retry: { initial_backoff: 50ms, max_backoff: 200ms }' })
    .replace('queue_name: changes.fifo', 'queue_name: late.fifo')
    .replace('create_if_not_exists: true\n      region', 'create_if_not_exists: false\n      region');
  service = startService({ config: text, directory: directory.path });
  await service.ready();
  let events = await writeEvents(30, 3);
  await waitFor(() => recorder.messages.length >= events, 'the first messages');
  recorder.deleteQueue('late.fifo');
  await database.client.query('delete from users');
  events = await writeEventsAfterDelete(events);
  const down = await waitFor(async () => {
    const { sinks } = await service.health();
    return sinks[0]?.status === 'degraded' ? sinks[0] : undefined;
  }, 'the sink to say so');
  expect(down.reason).toMatch(/late\.fifo/);
  expect(down.reason).toMatch(/QueueDoesNotExist|NonExistentQueue/);
  expect(down.cure).toBeTruthy();
  recorder.createQueue('late.fifo', { FifoQueue: 'true' });
  await waitFor(
    async () => (await service.health()).sinks[0]?.status === 'healthy',
    'the sink to be well again',
  );
  await waitFor(async () => (await service.health()).sinks[0]?.lagBytes === 0, 'everything to be delivered');
  const replica = new Replica();
  for (const { body } of recorder.messages) replica.apply(JSON.parse(body) as ChangeMessage);
  await replica.compareWith(database.client);
  expect(events).toBeGreaterThan(0);
});

async function writeEventsAfterDelete(events: number): Promise<number> {
  return events + (await writeEvents(31, 2));
}

test('a message that SQS refuses for good becomes a dead letter; the nine others of its batch are delivered once', async () => {
  await createTables(database.client);
  proxy.decide = ({ action }): Fault | undefined =>
    action === 'SendMessageBatch'
      ? {
          kind: 'entries',
          senderFault: true,
          code: 'InvalidMessageContents',
          refuse: ({ MessageBody }) => MessageBody.includes('"id":5,'),
        }
      : undefined;
  service = startService({ config: config(), directory: directory.path });
  await service.ready();
  await database.client.query("insert into users select i, i, 'x' from generate_series(1, 10) i");
  await waitFor(async () => {
    const sink = (await service.health()).sinks[0]!;
    return sink.delivered + sink.deadLettered === 10;
  }, 'the sink to settle everything');
  expect(recorder.messages.length).toBe(9);
  expect(recorder.counts.duplicates).toBe(0);
  const { sinks } = await service.health();
  expect(sinks[0]).toMatchObject({ deadLettered: 1, delivered: 9 });
  expect(
    service.log.some(({ msg, code }) => msg === 'dead letter' && code === 'InvalidMessageContents'),
  ).toBe(true);
});
