// Queues and topics that rows name, at an endpoint: those of the list `allowed` are looked for and made, others are only sent to.
import { expect, onTestFinished, test } from 'vitest';
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
