// Queues and topics that rows name, at an endpoint: those of the list `allowed` are looked for and made, others are only sent to.
import { setTimeout as sleep } from 'node:timers/promises';
import { expect, onTestFinished, test, vi } from 'vitest';
import { sinkDefinition } from '../../../src/sinks/registry.ts';
import type { Route, RowValues, Sink } from '../../../src/sinks/sink.ts';
import { encoded, message, patient, silent } from '../../support/messages.ts';
import { startSnsRecorder } from '../../support/sns-recorder.ts';
import { startSqsRecorder } from '../../support/sqs-recorder.ts';

const AWS = { region: 'us-east-1', access_key_id: 'a', secret_access_key: 'b', create_if_not_exists: true };
const INPUT = { schema: 'public', table: 'orders', action: 'insert' } as const;

async function sinkTo(destination: { readonly type: string } & Record<string, unknown>): Promise<Sink> {
  const definition = sinkDefinition(destination.type)!;
  const config = definition.config.parse({ ...AWS, ...destination });
  const sink = await definition.create(config, { name: 'orders', rewinds: 0, logger: silent });
  onTestFinished(() => sink.close());
  return sink;
}

function routeOf(sink: Sink, value: string): Route {
  const by = sink.routeByRow!(INPUT)!;
  const row: RowValues = { text: () => value, old: () => value };
  return by.open(by.idOf(row) as string) as Route;
}

const deliver = (sink: Sink, value: string) =>
  sink.deliver([encoded(message(), sink.encoding)], patient, routeOf(sink, value));

test('queues of the list are made at the start, and one that a row names besides is not', async () => {
  const recorder = await startSqsRecorder();
  onTestFinished(() => recorder.stop());
  const place = { type: 'sqs', emulator_base_url: recorder.url };
  const listed = await sinkTo({ ...place, queue_name: '${row.queue}', allowed: ['eu.fifo', 'us.fifo'] });
  await listed.check(patient, { create: true });
  expect(['eu.fifo', 'us.fifo'].map((name) => recorder.queueAttributes(name)?.['FifoQueue'])).toEqual([
    'true',
    'true',
  ]);
  expect(await deliver(listed, 'us.fifo')).toEqual(['delivered']);
  expect(recorder.messages.map(({ queue }) => queue)).toEqual(['us.fifo']);

  const open = await sinkTo({ ...place, queue_name: 'orders-${row.region}' });
  await open.check(patient, { create: true });
  expect(await deliver(open, 'eu')).toMatchObject([{ kind: 'retryable', scope: 'route' }]);
  expect(recorder.queueAttributes('orders-eu')).toBeUndefined();
  recorder.createQueue('orders-eu');
  expect(await deliver(open, 'eu')).toEqual(['delivered']);
});

test('a queue is looked for once, however often its route is opened', async () => {
  const recorder = await startSqsRecorder({ createMissing: true });
  onTestFinished(() => recorder.stop());
  const sink = await sinkTo({
    type: 'sqs',
    emulator_base_url: recorder.url,
    queue_name: 'orders-${row.region}',
  });
  const asked: string[] = [];
  recorder.answer = (action) => void asked.push(action);
  for (let i = 0; i < 3; i++) expect(await deliver(sink, 'eu')).toEqual(['delivered']);
  expect(asked.filter((action) => action !== 'SendMessageBatch')).toEqual([
    'GetQueueUrl',
    'GetQueueAttributes',
  ]);
});

test('topics of the list are made at the start, and a row’s message goes to its own', async () => {
  const recorder = await startSnsRecorder();
  onTestFinished(() => recorder.stop());
  const place = { type: 'sns', emulator_base_url: recorder.url };
  const listed = await sinkTo({
    ...place,
    topic_name: 'orders-${row.region}',
    allowed: ['orders-eu', 'orders-us'],
  });
  await listed.check(patient, { create: true });
  expect(await deliver(listed, 'us')).toEqual(['delivered']);
  const arn = recorder.createTopic('by-arn-us');
  const byArn = await sinkTo({ ...place, topic_arn: arn.replace(/us$/, '${row.region}') });
  expect(await deliver(byArn, 'us')).toEqual(['delivered']);
  expect(recorder.messages.map(({ queue: topic }) => topic)).toEqual(['orders-us', 'by-arn-us']);
});

/** A sink whose rows name one of so many topics, on so many pages of the account's list; `asked`: the actions, without the messages. */
async function namedTopics({ count, pages }: { readonly count: number; readonly pages: number }) {
  const recorder = await startSnsRecorder();
  onTestFinished(() => recorder.stop());
  for (let i = 0; i < count; i++) recorder.createTopic(`t-${i}`);
  recorder.pageSize = Math.ceil(count / pages);
  const sink = await sinkTo({ type: 'sns', emulator_base_url: recorder.url, topic_name: 't-${row.region}' });
  const asked: string[] = [];
  recorder.answer = (action) => void (action !== 'PublishBatch' && asked.push(action));
  const listings = (): number => asked.filter((action) => action === 'ListTopics').length;
  return { recorder, sink, asked, listings, all: Array.from({ length: count }, (_, i) => String(i)) };
}

test('the topics of an account are listed once for all that rows name, however many', async () => {
  const { sink, recorder, listings, all } = await namedTopics({ count: 60, pages: 6 });
  expect((await Promise.all(all.map((value) => deliver(sink, value)))).flat()).toEqual(
    all.map(() => 'delivered'),
  );
  expect(listings()).toBe(6);
  expect(new Set(recorder.messages.map(({ queue: topic }) => topic)).size).toBe(60);
});

test('a topic that was seen in the list is not looked for in it again', async () => {
  const { sink, listings } = await namedTopics({ count: 60, pages: 6 });
  expect(await deliver(sink, '59')).toEqual(['delivered']);
  for (const value of ['0', '30', '58']) expect(await deliver(sink, value)).toEqual(['delivered']);
  expect(listings()).toBe(6);
});

test('the list is read as far as it is needed', async () => {
  const { sink, listings } = await namedTopics({ count: 60, pages: 6 });
  expect(await deliver(sink, '1')).toEqual(['delivered']);
  expect(listings()).toBe(1);
  expect(await deliver(sink, '25')).toEqual(['delivered']);
  expect(listings()).toBe(3);
});

test('topics that do not exist are not looked for by one listing each', async () => {
  const { sink, listings } = await namedTopics({ count: 60, pages: 6 });
  const missing = Array.from({ length: 40 }, (_, i) => `missing-${i}`);
  const outcomes = (await Promise.all(missing.map((value) => deliver(sink, value)))).flat();
  expect(outcomes).toMatchObject(
    missing.map(() => ({ kind: 'retryable', scope: 'route', code: 'NotFound' })),
  );
  expect(listings()).toBe(6);
});

test('a throttled listing goes on at its page, counts against no message, and is told with its own cure', async () => {
  const { sink, recorder, listings, asked, all } = await namedTopics({ count: 60, pages: 6 });
  recorder.answer = (action) => {
    if (action !== 'PublishBatch') asked.push(action);
    // Two pages, then none until a later try.
    if (action !== 'ListTopics' || listings() !== 3) return undefined;
    return { status: 400, code: 'Throttling', message: 'Rate exceeded' };
  };
  const outcomes = (await Promise.all(all.map((value) => deliver(sink, value)))).flat();
  expect(outcomes.filter((outcome) => outcome === 'delivered')).toHaveLength(20);
  const refused = outcomes.filter((outcome) => outcome !== 'delivered');
  for (const outcome of refused)
    expect(outcome).toMatchObject({ kind: 'retryable', scope: 'route', code: 'Throttling', throttled: true });
  expect(refused[0]).toMatchObject({ hint: expect.stringContaining('topic_arn instead of topic_name') });
  expect(refused[0]).not.toMatchObject({ hint: expect.stringContaining('FifoThroughputScope') });
  await vi.waitFor(async () => expect(await deliver(sink, '59')).toEqual(['delivered']));
  expect(listings()).toBe(7);
});

test('topics that rows name are asked for their limits a few at a time', async () => {
  const { sink, recorder, all } = await namedTopics({ count: 60, pages: 1 });
  let [now, most] = [0, 0];
  recorder.hold = async (action) => {
    if (action !== 'GetTopicAttributes') return;
    most = Math.max(most, ++now);
    await sleep(5);
    now--;
  };
  await Promise.all(all.map((value) => deliver(sink, value)));
  expect(most).toBeLessThanOrEqual(8);
  expect(new Set(recorder.messages.map(({ queue: topic }) => topic)).size).toBe(60);
});
