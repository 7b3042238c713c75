// What goes wrong at the endpoint: good entries are sent once, and nothing is lost.
import { expect, test } from 'vitest';
import { endToEnd } from '../support/end-to-end.ts';
import { waitFor } from '../support/wait.ts';
import type { Fault } from '../support/fault-proxy.ts';
import { createTables, Replica, seededRandom, TABLES, writeTransaction } from '../support/workload.ts';

const world = endToEnd();

const config = (options: { sink?: string; destination?: string } = {}): string =>
  world.config({
    faulty: true,
    sinks: [
      {
        tables: TABLES,
        destination: options.destination ?? '',
        extra: options.sink ?? '',
      },
    ],
  });

let version = 0;

async function writeEvents(seed: number, transactions: number): Promise<number> {
  const random = seededRandom(seed);
  let events = 0;
  for (let i = 0; i < transactions; i++) {
    events += await writeTransaction(world.database.client, {
      random,
      count: 1 + Math.floor(random() * 100),
      ids: { from: 0, to: 400 },
      nextVersion: () => ++version,
    });
  }
  return events;
}

async function expectEverything(events: number): Promise<void> {
  await waitFor(() => world.recorder.messages.length >= events, `${events} messages`, 100_000);
  const replica = Replica.of(world.recorder.messages);
  expect(replica.changes).toBe(events);
  expect(replica.repeats).toBe(0);
  await replica.compareWith(world.database.client);
}

test('one entry of ten refused: the nine good ones are sent once, the refused one again, in order (C221)', async () => {
  await createTables(world.database.client);
  const random = seededRandom(10);
  world.proxy.decide = ({ action }): Fault | undefined =>
    action === 'SendMessageBatch'
      ? { kind: 'entries', senderFault: false, refuse: () => random() < 0.1 }
      : undefined;
  await world.start({ config: config() });
  const events = await writeEvents(11, 25);
  await expectEverything(events);
  // Every entry that the queue accepted was sent to it exactly once: nothing was there to deduplicate.
  expect(world.recorder.counts.duplicates).toBe(0);
});

test('throttling, 500s, resets, hangs and malformed answers in turn lose nothing and break no order (C231)', async () => {
  await createTables(world.database.client);
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
  world.proxy.decide = ({ action }) =>
    action === 'SendMessageBatch' && random() < 0.15
      ? faults[Math.floor(random() * faults.length)]
      : undefined;
  await world.start({
    config: config({
      sink: 'retry: { initial_backoff: 20ms, max_backoff: 100ms }',
      destination: 'timeout: 500ms', // for the hangs
    }),
  });
  const events = await writeEvents(21, 25);
  await expectEverything(events);
  const health = await world.service.health();
  expect(health.sinks[0]).toMatchObject({ deadLettered: 0, inversions: 0 });
  expect(health.sinks[0]!.failedRequests).toBeGreaterThan(0);
});

test('a queue deleted while running is named in the status, and everything arrives once it is back (C232)', async () => {
  await createTables(world.database.client);
  world.recorder.createQueue('late.fifo', { FifoQueue: 'true' });
  const text = config({ sink: 'retry: { initial_backoff: 50ms, max_backoff: 200ms }' })
    .replace('queue_name: changes.fifo', 'queue_name: late.fifo')
    .replace('create_if_not_exists: true\n      region', 'create_if_not_exists: false\n      region');
  await world.start({ config: text });
  let events = await writeEvents(30, 3);
  await waitFor(() => world.recorder.messages.length >= events, 'the first messages');
  world.recorder.deleteQueue('late.fifo');
  await world.database.client.query('delete from users');
  events = await writeEventsAfterDelete(events);
  const down = await waitFor(async () => {
    const { sinks } = await world.service.health();
    return sinks[0]?.status === 'degraded' ? sinks[0] : undefined;
  }, 'the sink to say so');
  expect(down.reason).toMatch(/late\.fifo/);
  expect(down.reason).toMatch(/QueueDoesNotExist|NonExistentQueue/);
  expect(down.cure).toBeTruthy();
  world.recorder.createQueue('late.fifo', { FifoQueue: 'true' });
  await waitFor(
    async () => (await world.service.health()).sinks[0]?.status === 'healthy',
    'the sink to be well again',
  );
  await waitFor(
    async () => (await world.service.health()).sinks[0]?.lagBytes === 0,
    'everything to be delivered',
  );
  const replica = Replica.of(world.recorder.messages);
  await replica.compareWith(world.database.client);
  expect(events).toBeGreaterThan(0);
});

async function writeEventsAfterDelete(events: number): Promise<number> {
  return events + (await writeEvents(31, 2));
}

test('a message that SQS refuses for good becomes a dead letter; the nine others of its batch are delivered once (C225, C239)', async () => {
  await createTables(world.database.client);
  world.proxy.decide = ({ action }): Fault | undefined =>
    action === 'SendMessageBatch'
      ? {
          kind: 'entries',
          senderFault: true,
          code: 'InvalidMessageContents',
          refuse: ({ MessageBody }) => MessageBody.includes('"id":5,'),
        }
      : undefined;
  await world.start({ config: config() });
  await world.database.client.query("insert into users select i, i, 'x' from generate_series(1, 10) i");
  await waitFor(async () => {
    const sink = (await world.service.health()).sinks[0]!;
    return sink.delivered + sink.deadLettered === 10;
  }, 'the sink to settle everything');
  expect(world.recorder.messages.length).toBe(9);
  expect(world.recorder.counts.duplicates).toBe(0);
  const { sinks } = await world.service.health();
  expect(sinks[0]).toMatchObject({ deadLettered: 1, delivered: 9 });
  expect(
    world.service.log.some(({ msg, code }) => msg === 'dead letter' && code === 'InvalidMessageContents'),
  ).toBe(true);
});
