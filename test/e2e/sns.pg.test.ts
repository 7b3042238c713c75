// The promise through SNS: real Postgres, the real process, a topic with subscribed queues, and what Lambda makes of it.
import {
  ChangeMessageVisibilityCommand,
  DeleteMessageCommand,
  ReceiveMessageCommand,
  SQSClient,
} from '@aws-sdk/client-sqs';
import type { SNSEvent, SNSMessage, SQSEvent } from 'aws-lambda';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import type { Change } from '../../examples/lambda/change.ts';
import { createHandler as snsHandler } from '../../examples/lambda/from-sns.ts';
import { createHandler as sqsHandler } from '../../examples/lambda/from-sqs.ts';
import { configText } from '../support/config.ts';
import { startFaultProxy, type Fault, type FaultProxy } from '../support/fault-proxy.ts';
import { startSqsEmulator, type ReceivedMessage, type SqsEmulator } from '../support/fauxqs.ts';
import { createTestDatabase, type TestDatabase } from '../support/postgres.ts';
import {
  createWorkDirectory,
  FAKE_AWS_CLIENT,
  startService,
  type ServiceProcess,
} from '../support/service.ts';
import { snsWire } from '../support/sns-wire.ts';
import { waitFor } from '../support/wait.ts';
import { createTables, Replica, seededRandom, TABLES, writeTransaction } from '../support/workload.ts';

let database: TestDatabase;
let emulator: SqsEmulator;
let proxy: FaultProxy;
let directory: ReturnType<typeof createWorkDirectory>;
let service: ServiceProcess | undefined;

beforeEach(async () => {
  database = await createTestDatabase();
  await createTables(database.client);
  emulator = await startSqsEmulator();
  proxy = await startFaultProxy(emulator.url, snsWire);
  directory = createWorkDirectory();
});
afterEach(async ({ task }) => {
  await service?.end(task);
  service = undefined;
  await proxy.stop();
  await emulator.stop();
  await database.drop();
  directory.remove();
});

/** Starts the service with one sink to this topic, and waits until it has made the topic. */
async function startWith(topic: string, destination = ''): Promise<ServiceProcess> {
  const config = configText({
    database,
    endpoint: proxy.url,
    sinks: [
      {
        topic,
        tables: TABLES,
        destination: `timeout: 500ms\n${destination}`,
        extra: 'retry: { initial_backoff: 20ms, max_backoff: 100ms }',
      },
    ],
  });
  service = startService({ directory: directory.path, config });
  await service.ready();
  await emulator.topicIsThere(topic);
  return service;
}

const RAW = { RawMessageDelivery: 'true' };

async function write(transactions: number): Promise<number> {
  const random = seededRandom(transactions);
  let version = 0;
  let events = 0;
  for (let i = 0; i < transactions; i++) {
    events += await writeTransaction(database.client, {
      random,
      count: 1 + Math.floor(random() * 80),
      ids: { from: 0, to: 300 },
      nextVersion: () => ++version,
    });
  }
  return events;
}

/**
 * Several versions of each row, some deleted. No changed keys: they have a place in two groups, and pollers of a FIFO
 * queue take groups in any order.
 */
async function writeRows(rows: number): Promise<number> {
  for (let version = 1; version <= 4; version++) {
    await database.client.query(
      version === 1
        ? 'insert into users select id, $1 from generate_series(1, $2::int) as id'
        : 'update users set version = $1 where id <= $2',
      [version, rows],
    );
  }
  const { rowCount } = await database.client.query('delete from users where id % 3 = 0');
  return 4 * rows + rowCount!;
}

/** All messages of a queue, once there are `count` of them. */
const arrived = (queue: string, count: number): Promise<ReceivedMessage[]> =>
  waitFor(() => {
    const messages = emulator.messagesOf(queue);
    return messages.length >= count && messages;
  }, `${count} messages in ${queue}`);

test('changes reach a queue that is subscribed to the topic exactly once and in order, whatever fails on the way (C245)', async () => {
  const random = seededRandom(7);
  const faults: readonly Fault[] = [
    { kind: 'entries', senderFault: false, refuse: () => random() < 0.3 },
    { kind: 'error', status: 429, code: 'Throttled' },
    { kind: 'error', status: 500, code: 'InternalError' },
    { kind: 'reset', when: 'before' },
    { kind: 'reset', when: 'after' },
    { kind: 'hang' },
    { kind: 'malformed', body: '<html>' },
  ];
  proxy.decide = ({ action }) =>
    action === 'PublishBatch' && random() < 0.2 ? faults[Math.floor(random() * faults.length)] : undefined;
  const running = await startWith('changes.fifo');
  emulator.createQueue('all.fifo');
  emulator.subscribe({ topic: 'changes.fifo', queue: 'all.fifo', attributes: RAW });
  const events = await write(25);
  const replica = Replica.of(await arrived('all.fifo', events));
  expect(replica.changes).toBe(events);
  expect(replica.repeats).toBe(0);
  await replica.compareWith(database.client);
  const { sinks } = await running.health();
  expect(sinks[0]).toMatchObject({ type: 'sns', deadLettered: 0, inversions: 0 });
  expect(sinks[0]!.failedRequests).toBeGreaterThan(0);
  expect(await running.stop()).toBe(0);
});

test('a filter policy on the attributes gives a queue what it asks for, and nothing else', async () => {
  await startWith('changes.fifo', 'message_attributes: true');
  for (const [queue, policy] of [
    ['all.fifo', undefined],
    ['deletes.fifo', { action: ['delete'] }],
    ['orders.fifo', { table: ['orders'], schema: ['public'] }],
  ] as const) {
    emulator.createQueue(queue);
    const filter = policy === undefined ? {} : { FilterPolicy: JSON.stringify(policy) };
    emulator.subscribe({ topic: 'changes.fifo', queue, attributes: { ...RAW, ...filter } });
  }
  const events = await write(10);
  const all = await arrived('all.fifo', events);
  const wanted = (test: (change: Change) => boolean): string[] =>
    all.map(({ body }) => body).filter((body) => test(JSON.parse(body) as Change));
  const bodiesIn = (queue: string): string[] => emulator.messagesOf(queue).map(({ body }) => body);
  const deletes = wanted(({ action }) => action === 'delete');
  const orders = wanted(({ metadata }) => metadata.table_name === 'orders');
  expect(deletes.length).toBeGreaterThan(0);
  expect(orders.length).toBeGreaterThan(0);
  expect(bodiesIn('deletes.fifo')).toEqual(deletes);
  expect(bodiesIn('orders.fifo')).toEqual(orders);
  expect(all[0]!.attributes).toMatchObject({ schema: 'public', action: 'insert' });
});

test('the Lambda recipes apply every change once and in order, and hand back what failed', async () => {
  await startWith('changes.fifo');
  emulator.createQueue('poll.fifo');
  emulator.createQueue('push.fifo');
  emulator.subscribe({ topic: 'changes.fifo', queue: 'poll.fifo', attributes: RAW });
  emulator.subscribe({ topic: 'changes.fifo', queue: 'push.fifo' });
  const events = await writeRows(40);

  // Without raw delivery the queue holds SNS' own envelope: the `Sns` of Lambda's event.
  const pushed: Change[] = [];
  const push = snsHandler((change) => Promise.resolve(void pushed.push(change)));
  for (const { body } of await arrived('push.fifo', events)) await push(snsEvent(body));
  const messages = await arrived('poll.fifo', events);
  expect(pushed).toEqual(messages.map(({ body }) => JSON.parse(body) as Change));

  const errors = vi.spyOn(console, 'error').mockReturnValue();
  const applied: string[] = [];
  let calls = 0;
  const poll = sqsHandler((change) => {
    // Every seventh call fails: the database of the consumer is not well.
    if (++calls % 7 === 0) return Promise.reject(new Error('come again'));
    applied.push(JSON.stringify(change));
    return Promise.resolve();
  });
  await pollUntilEmpty(poll);
  expect(errors.mock.calls.length).toBeGreaterThan(events / 10);
  errors.mockRestore();
  const replica = Replica.of(applied.map((body) => ({ body })));
  expect(calls).toBeGreaterThan(events);
  expect(replica.changes).toBe(events);
  expect(replica.repeats).toBe(0);
  await replica.compareWith(database.client);
});

/** As SNS gives it to Lambda. https://docs.aws.amazon.com/lambda/latest/dg/with-sns.html */
function snsEvent(envelope: string): SNSEvent {
  const { SigningCertURL, UnsubscribeURL, ...rest } = JSON.parse(envelope) as Record<string, string>;
  const Sns = {
    Subject: '',
    MessageAttributes: {},
    ...rest,
    SigningCertUrl: SigningCertURL,
    UnsubscribeUrl: UnsubscribeURL,
  } as unknown as SNSMessage;
  return {
    Records: [
      {
        EventSource: 'aws:sns',
        EventVersion: '1.0',
        EventSubscriptionArn: `${rest['TopicArn']}:subscription`,
        Sns,
      },
    ],
  };
}

/** What Lambda's poller does: receive, call, delete what did not fail; the rest comes again. */
async function pollUntilEmpty(handler: ReturnType<typeof sqsHandler>): Promise<void> {
  const client = new SQSClient({ endpoint: emulator.url, ...FAKE_AWS_CLIENT });
  const QueueUrl = `${emulator.url}/000000000000/poll.fifo`;
  for (;;) {
    const { Messages = [] } = await client.send(
      new ReceiveMessageCommand({
        QueueUrl,
        MaxNumberOfMessages: 10,
        MessageSystemAttributeNames: ['All'],
      }),
    );
    if (Messages.length === 0) break;
    const event: SQSEvent = {
      Records: Messages.map((message) => ({
        messageId: message.MessageId!,
        receiptHandle: message.ReceiptHandle!,
        body: message.Body!,
        attributes: message.Attributes as unknown as SQSEvent['Records'][number]['attributes'],
        messageAttributes: {},
        md5OfBody: message.MD5OfBody!,
        eventSource: 'aws:sqs',
        eventSourceARN: 'arn:aws:sqs:us-east-1:000000000000:poll.fifo',
        awsRegion: 'us-east-1',
      })),
    };
    const { batchItemFailures } = await handler(event);
    const failed = new Set(batchItemFailures.map(({ itemIdentifier }) => itemIdentifier));
    await settle(client, { queueUrl: QueueUrl, event, failed });
  }
  client.destroy();
}

async function settle(
  client: SQSClient,
  batch: { readonly queueUrl: string; readonly event: SQSEvent; readonly failed: ReadonlySet<string> },
): Promise<void> {
  for (const { messageId, receiptHandle: ReceiptHandle } of batch.event.Records) {
    const target = { QueueUrl: batch.queueUrl, ReceiptHandle };
    await (batch.failed.has(messageId)
      ? client.send(new ChangeMessageVisibilityCommand({ ...target, VisibilityTimeout: 0 }))
      : client.send(new DeleteMessageCommand(target)));
  }
}
