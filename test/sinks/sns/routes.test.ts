// Topics that rows name: which there may be, which are made, and what their routes are.
import { expect, onTestFinished, test, vi } from 'vitest';
import { isFault } from '../../../src/pipeline/delivery/routes.ts';
import type { Route, RouteByRow, RouteFault, Sink } from '../../../src/sinks/sink.ts';
import { sns } from '../../../src/sinks/sns/sns.ts';
import { TopicNames } from '../../../src/sinks/sns/topic-names.ts';
import { encoded, message, patient, silent } from '../../support/messages.ts';
import { parseConfig, recorder } from './fixture.ts';

const INPUT = { schema: 'public', table: 'orders', action: 'insert' } as const;

async function sinkTo(destination: object): Promise<{ sink: Sink; by: RouteByRow }> {
  const sink = await sns.create(parseConfig(destination), { name: 'orders', rewinds: 0, logger: silent });
  onTestFinished(() => sink.close());
  return { sink, by: sink.routeByRow!(INPUT)! };
}

/** Of a row that has this value in the column of the template. */
const opened = (by: RouteByRow, value: string): Route | RouteFault =>
  by.open(by.idOf({ text: () => value, old: () => value }) as string);

function routeOf(by: RouteByRow, value: string): Route {
  const route = opened(by, value);
  if (isFault(route)) throw new Error(route.hint);
  return route;
}

const deliver = ({ sink, by }: { sink: Sink; by: RouteByRow }, value: string) =>
  sink.deliver([encoded(message(), sink.encoding)], patient, routeOf(by, value));

test('a topic that a row names is never made, whatever create_if_not_exists says, and is sent to once somebody made it', async () => {
  const topics = await recorder();
  const byArn = await sinkTo({
    topic_arn: topics.topicArn('orders-${row.region}'),
    create_if_not_exists: true,
    emulator_base_url: topics.url,
  });
  const byName = await sinkTo({
    topic_name: 'orders-${row.region}',
    region: 'us-east-1',
    create_if_not_exists: true,
    emulator_base_url: topics.url,
  });
  for (const place of [byArn, byName]) {
    await place.sink.check(patient, { create: true });
    expect(await deliver(place, 'eu')).toMatchObject([
      { kind: 'retryable', scope: 'route', code: 'NotFound' },
    ]);
  }
  expect(topics.topicAttributes('orders-eu')).toBeUndefined();
  topics.createTopic('orders-eu');
  expect(await deliver(byArn, 'eu')).toEqual(['delivered']);
});

test('a topic of the list is one for the start and for all rows: it is not looked for again, and made again where it is gone', async () => {
  const topics = await recorder();
  const place = await sinkTo({
    topic_name: '${row.topic}',
    allowed: ['eu', 'us'],
    region: 'us-east-1',
    create_if_not_exists: true,
    emulator_base_url: topics.url,
  });
  await place.sink.check(patient, { create: true });
  const asked: string[] = [];
  topics.answer = (action) => void asked.push(action);
  expect(await deliver(place, 'us')).toEqual(['delivered']);
  expect(asked).toEqual(['PublishBatch']);
  topics.deleteTopic('us');
  expect(await deliver(place, 'us')).toMatchObject([{ code: 'NotFound' }]);
  expect(await deliver(place, 'us')).toEqual(['delivered']);
  expect(asked).toContain('CreateTopic');
});

test('a row names no topic that is not allowed', async () => {
  const { by } = await sinkTo({ topic_name: '${row.topic}', allowed: ['eu', 'us'], region: 'us-east-1' });
  expect(opened(by, 'eu')).toMatchObject({ id: 'eu' });
  expect(opened(by, 'other')).toMatchObject({ code: 'ROUTE_NOT_ALLOWED' });
});

test('a topic that a row names is asked in the region of its ARN', async () => {
  const topics = await recorder();
  const regions = new Set<string | undefined>();
  topics.answer = (_, { authorization }) => {
    regions.add(/\/([a-z0-9-]+)\/sns\/aws4_request/.exec(authorization ?? '')?.[1]);
    return undefined;
  };
  for (const region of ['eu-west-1', 'ap-south-1']) {
    const place = await sinkTo({
      topic_arn: `arn:aws:sns:${region}:123456789012:orders-\${row.region}`,
      emulator_base_url: topics.url,
    });
    await deliver(place, 'eu');
  }
  expect([...regions]).toEqual(['eu-west-1', 'ap-south-1']);
});

test('the route of a row keeps order where the topic is FIFO, and its groups are those of group_id', async () => {
  const { by } = await sinkTo({
    topic_name: '${row.topic}',
    allowed: ['eu', 'eu.fifo'],
    region: 'us-east-1',
    group_id: 'tenant-${tenant}',
  });
  expect(by.groupTemplate).toBe('tenant-${tenant}');
  expect(routeOf(by, 'eu')).toMatchObject({ keepsOrder: false, groupTemplate: 'tenant-${tenant}' });
  expect(routeOf(by, 'eu.fifo')).toMatchObject({ keepsOrder: true, groupTemplate: 'tenant-${tenant}' });
  const fifo = await sinkTo({ topic_name: 'orders-${row.region}.fifo', region: 'us-east-1' });
  expect(routeOf(fifo.by, 'eu')).toMatchObject({ id: 'orders-eu.fifo', keepsOrder: true });
  expect(fifo.by.groupTemplate).toBeUndefined();
});

test('who asks for topics to be made is told of those that rows name', () => {
  const notesOf = (destination: object) => sns.notesOf!(parseConfig({ region: 'us-east-1', ...destination }));
  const template = { topic_name: 'orders-${row.region}', create_if_not_exists: true };
  expect(notesOf(template)).toEqual([
    expect.stringContaining('topic_name: what rows name by "orders-${row.region}" is not created'),
  ]);
  expect(notesOf({ ...template, topic_name: 'orders' })).toEqual([]);
  expect(notesOf({ ...template, create_if_not_exists: false })).toEqual([]);
  expect(notesOf({ ...template, allowed: ['orders-eu'] })).toEqual([]);
});

test('a missing topic that rows name is not listed for again at once, and is known as missing when it is', async () => {
  const topics = await recorder();
  for (let i = 0; i < 60; i++) topics.createTopic(`t-${i}`);
  topics.pageSize = 1;
  const asked: string[] = [];
  topics.answer = (action) => void asked.push(action);
  const looked = vi.spyOn(TopicNames.prototype, 'find');
  onTestFinished(() => looked.mockRestore());
  const place = await sinkTo({
    topic_name: 'orders-${row.region}',
    region: 'us-east-1',
    emulator_base_url: topics.url,
  });
  for (let i = 0; i < 2; i++) expect(await deliver(place, 'eu')).toMatchObject([{ code: 'NotFound' }]);
  expect(asked).toEqual(Array.from({ length: 60 }, () => 'ListTopics'));
  expect(looked.mock.calls.map(([looking]) => looking)).toEqual([
    { name: 'orders-eu', again: false },
    { name: 'orders-eu', again: true },
  ]);
});

test('a topic that may be behind those that are looked through is not made, and topic_arn is named', async () => {
  const topics = await recorder();
  for (let i = 0; i <= 1000; i++) topics.createTopic(`t-${i}`);
  topics.pageSize = 1;
  const place = await sinkTo({
    topic_name: '${row.topic}',
    allowed: ['eu'],
    region: 'us-east-1',
    create_if_not_exists: true,
    emulator_base_url: topics.url,
  });
  expect(await deliver(place, 'eu')).toMatchObject([{ hint: expect.stringContaining('write topic_arn') }]);
  expect(topics.topicAttributes('eu')).toBeUndefined();
});
