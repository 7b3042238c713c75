import { setTimeout } from 'node:timers/promises';
import { describe, expect, onTestFinished, test, vi } from 'vitest';
import type { Outcome } from '../../../src/core/errors.ts';
import { SpareWriters } from '../../../src/core/spare-writers.ts';
import { sinkSuite } from '../../sink-suite.ts';
import { bodiesOf, bodyOf, message, messages, patient } from '../../support/messages.ts';
import { createSink, proxyBefore, recorder, snsHarness } from './fixture.ts';

sinkSuite('SNS', snsHarness);

const delivered = (count: number): Outcome[] => Array.from({ length: count }, () => 'delivered');
const TABLE = { schema: 'public', table: 'users', action: 'insert' } as const;

describe('delivering', () => {
  test('a FIFO topic gets group and deduplication ids, and shows no message twice (C245)', async () => {
    const topics = await recorder();
    const arn = topics.createTopic('users.fifo');
    const batch = messages(10, { group: 'public.users:1' });
    // A new sink is what a restart makes.
    for (let start = 0; start < 2; start++) {
      const sink = await createSink({ topic_arn: arn, emulator_base_url: topics.url });
      expect(await sink.deliver(batch, patient)).toEqual(delivered(10));
    }
    expect(bodiesOf(topics.messages)).toEqual(batch.map(bodyOf));
    expect(topics.messages.every(({ group }) => group === 'public.users:1')).toBe(true);
  });

  test('after a rewind, and from another sink, the same message is seen again', async () => {
    const topics = await recorder();
    const destination = { topic_arn: topics.createTopic('users.fifo'), emulator_base_url: topics.url };
    for (const context of [{}, { rewinds: 1 }, { rewinds: 2 }, { name: 'other' }]) {
      await (await createSink(destination, context)).deliver([message()], patient);
    }
    expect(topics.messages).toHaveLength(4);
  });

  test('a standard topic gets a group id only from a template, and no deduplication id', async () => {
    const topics = await recorder();
    const arn = topics.createTopic('events');
    const sink = await createSink({ topic_arn: arn, emulator_base_url: topics.url });
    const batch = [message({ index: 0 }), message({ index: 1, groupId: 'tenant-7' })];
    expect(await sink.deliver(batch, patient)).toEqual(delivered(2));
    expect(topics.messages.map(({ group }) => group)).toEqual([undefined, 'tenant-7']);
    expect(topics.messages.map(({ dedup }) => dedup)).toEqual([undefined, undefined]);
    expect(sink.routeOf(TABLE)).toMatchObject({ id: arn, keepsOrder: false });
  });

  test('message attributes are sent when asked for', async () => {
    const topics = await recorder();
    const sink = await createSink({
      topic_arn: topics.createTopic('users.fifo'),
      emulator_base_url: topics.url,
      message_attributes: true,
    });
    const batch = [message({ action: 'update' }), message({ table: 'odd"&=\u0001', index: 1 })];
    expect(await sink.deliver(batch, patient)).toEqual(delivered(2));
    expect(topics.messages.map(({ attributes }) => attributes)).toEqual([
      { schema: 'public', table: 'users', action: 'update', idempotency_key: 'key-1-64-0' },
      { schema: 'public', table: 'odd"&=\\u0001', action: 'insert', idempotency_key: 'key-1-64-1' },
    ]);
  });
});

describe('limits', () => {
  test.each([
    ['256 KiB by default', {}, 262_144],
    ['what the topic says', { MaximumMessageSize: '2048' }, 2048],
    ['up to 1 MiB', { MaximumMessageSize: '1048576' }, 1_048_576],
  ])('of a message and of a batch are %s', async (_, attributes, bytes) => {
    const topics = await recorder();
    const sink = await createSink({
      topic_arn: topics.createTopic('users.fifo', attributes),
      emulator_base_url: topics.url,
      lanes: 4,
    });
    const { limits } = sink.routeOf(TABLE)!;
    // Before it is known nothing may be called too large.
    expect(limits).toMatchObject({ messageBytes: 1_048_576, batchBytes: 1_048_576 });
    await sink.check(patient, { create: false });
    expect(limits).toMatchObject({
      messageBytes: bytes,
      batchBytes: bytes,
      batchCount: 10,
      lanesPerRoute: 4,
    });
    const fits = message({ body: 'x'.repeat(bytes) });
    expect(await sink.deliver([fits], patient)).toEqual(delivered(1));
  });

  test('that were lowered while running are read again; what still fits arrives', async () => {
    const topics = await recorder();
    const sink = await createSink({
      topic_arn: topics.createTopic('users.fifo'),
      emulator_base_url: topics.url,
    });
    await sink.check(patient, { create: true });
    topics.createTopic('users.fifo', { MaximumMessageSize: '1024' });
    const batch = messages(4, { body: JSON.stringify('x'.repeat(500)) });
    expect(await sink.deliver(batch, patient)).toEqual(delivered(4));
    expect(sink.routeOf(TABLE)!.limits).toMatchObject({ batchBytes: 1024, messageBytes: 1024 });
  });

  test('that may not be read are 256 KiB; only a check that creates nothing complains', async () => {
    const topics = await recorder();
    topics.answer = (action) =>
      action === 'GetTopicAttributes'
        ? { status: 403, code: 'AuthorizationError', message: 'no sns:GetTopicAttributes' }
        : undefined;
    const sink = await createSink({
      topic_arn: topics.createTopic('users.fifo', { MaximumMessageSize: '1048576' }),
      emulator_base_url: topics.url,
    });
    expect(await sink.deliver([message()], patient)).toEqual(delivered(1));
    expect(sink.routeOf(TABLE)!.limits.messageBytes).toBe(262_144);
    await sink.check(patient, { create: true });
    await expect(sink.check(patient, { create: false })).rejects.toMatchObject({
      code: 'AuthorizationError',
      hint: expect.stringContaining('no sns:GetTopicAttributes'),
    });
  });
});

describe('topics', () => {
  test('a name is looked for, page by page', async () => {
    const topics = await recorder();
    topics.pageSize = 2;
    for (const name of ['a', 'b', 'my-users', 'users-2', 'users']) topics.createTopic(name);
    const sink = await createSink({ topic_name: 'users', emulator_base_url: topics.url });
    expect(await sink.deliver([message()], patient)).toEqual(delivered(1));
    expect(topics.messages[0]?.queue).toBe('users');
  });

  test.each(['topic_name', 'topic_arn'])('a topic missing by %s is used once it exists', async (key) => {
    const topics = await recorder();
    const sink = await createSink({
      [key]: key === 'topic_arn' ? topics.topicArn('users.fifo') : 'users.fifo',
      emulator_base_url: topics.url,
    });
    const [outcome] = await sink.deliver([message()], patient);
    expect(outcome).toMatchObject({
      kind: 'retryable',
      scope: 'route',
      code: 'NotFound',
      hint: expect.stringContaining('create the topic'),
    });
    topics.createTopic('users.fifo');
    expect(await sink.deliver([message()], patient)).toEqual(delivered(1));
    topics.deleteTopic('users.fifo');
    expect(await sink.deliver([message({ index: 1 })], patient)).toMatchObject([{ code: 'NotFound' }]);
    topics.createTopic('users.fifo');
    expect(await sink.deliver([message({ index: 1 })], patient)).toEqual(delivered(1));
  });

  test.each(['topic_name', 'topic_arn'])('create_if_not_exists makes it, by %s', async (key) => {
    const topics = await recorder();
    const sink = await createSink({
      [key]: key === 'topic_arn' ? topics.topicArn('users.fifo') : 'users.fifo',
      create_if_not_exists: true,
      emulator_base_url: topics.url,
    });
    await expect(sink.check(patient, { create: false })).rejects.toMatchObject({ code: 'NotFound' });
    expect(topics.topicAttributes('users.fifo')).toBeUndefined();
    await sink.check(patient, { create: true });
    expect(topics.topicAttributes('users.fifo')).toEqual({
      FifoTopic: 'true',
      FifoThroughputScope: 'MessageGroup',
      ContentBasedDeduplication: 'false',
    });
    topics.deleteTopic('users.fifo');
    await sink.deliver([message()], patient);
    expect(await sink.deliver([message()], patient)).toEqual(delivered(1));
  });

  test('a topic that was made by its name is made again, where it is gone, without a list of all', async () => {
    const topics = await recorder();
    const sink = await createSink({
      topic_name: 'users',
      create_if_not_exists: true,
      emulator_base_url: topics.url,
    });
    await sink.check(patient, { create: true });
    topics.deleteTopic('users');
    const asked: string[] = [];
    topics.answer = (action) => void asked.push(action);
    await sink.deliver([message()], patient);
    expect(await sink.deliver([message()], patient)).toEqual(delivered(1));
    expect(asked).toEqual(['PublishBatch', 'GetTopicAttributes', 'CreateTopic', 'PublishBatch']);
  });

  test('the ARN of another topic in the answer to CreateTopic is no topic of ours: nothing is sent there', async () => {
    const topics = await recorder();
    const others = topics.createTopic('others.fifo');
    const sink = await createSink({
      topic_name: 'users.fifo',
      create_if_not_exists: true,
      emulator_base_url: topics.url,
    });
    vi.spyOn(topics, 'topicArn').mockReturnValue(others);
    expect(await sink.deliver([message()], patient)).toMatchObject([
      { kind: 'retryable', scope: 'route', code: 'MALFORMED_REPLY' },
    ]);
    expect(topics.messages).toEqual([]);
  });

  test('an ARN in another account than the credentials’ is not delivered to', async () => {
    const topics = await recorder();
    const sink = await createSink({
      topic_arn: 'arn:aws:sns:us-east-1:999999999999:users',
      create_if_not_exists: true,
      emulator_base_url: topics.url,
    });
    const [outcome] = await sink.deliver([message()], patient);
    expect(outcome).toMatchObject({ scope: 'route', hint: expect.stringContaining('another account') });
  });
});

describe('a route in trouble', () => {
  test.each([
    { status: 429, code: 'Throttled' },
    { status: 500, code: 'InternalError' },
    { status: 403, code: 'AuthorizationError' },
    { status: 403, code: 'InvalidClientTokenId' },
    { status: 400, code: 'KMSDisabled' },
    { status: 418, code: 'NeverHeardOf' },
  ])('$code blames the route, not the messages, and nothing is lost', async ({ status, code }) => {
    const topics = await recorder();
    const arn = topics.createTopic('users.fifo');
    const proxy = await proxyBefore(topics.url);
    const sink = await createSink({ topic_arn: arn, emulator_base_url: proxy.url });
    proxy.failNext({ kind: 'error', status, code });
    const expected = expect.objectContaining({ kind: 'retryable', scope: 'route', code });
    expect(await sink.deliver(messages(2), patient)).toEqual([expected, expected]);
    expect(await sink.deliver(messages(2), patient)).toEqual(delivered(2));
    expect(topics.messages).toHaveLength(2);
  });

  test.each([
    '',
    '<a>',
    '{"Successful":[{"Id":"0"}]}',
    '<PublishResponse><PublishResult/></PublishResponse>',
  ])('the answer %j delivers nothing', async (body) => {
    const topics = await recorder();
    const arn = topics.createTopic('users.fifo');
    const proxy = await proxyBefore(topics.url);
    const sink = await createSink({ topic_arn: arn, emulator_base_url: proxy.url });
    proxy.failNext({ kind: 'malformed', body });
    expect(await sink.deliver([message()], patient)).toMatchObject([
      { kind: 'retryable', scope: 'route', code: 'MALFORMED_REPLY' },
    ]);
  });

  test('a message that the answer does not name is not delivered; the repeat is absorbed', async () => {
    const topics = await recorder();
    const arn = topics.createTopic('users.fifo');
    const proxy = await proxyBefore(topics.url);
    const sink = await createSink({ topic_arn: arn, emulator_base_url: proxy.url });
    proxy.failNext({
      kind: 'rewrite',
      rewrite: ({ Successful = [] }) => ({ Successful: Successful.slice(1) }),
    });
    const outcomes = await sink.deliver(messages(3), patient);
    expect(outcomes[0]).toMatchObject({ kind: 'retryable', scope: 'route', code: 'MISSING_RESULT' });
    expect(outcomes.slice(1)).toEqual(delivered(2));
    await sink.deliver([message()], patient);
    expect(topics.messages).toHaveLength(3);
  });
});

test('the buffer of a request is another’s as soon as the kernel has all of it, also where a stop ends the request', async () => {
  const topics = await recorder();
  const arn = topics.createTopic('users.fifo');
  const proxy = await proxyBefore(topics.url);
  const sink = await createSink({ topic_arn: arn, emulator_base_url: proxy.url });
  await sink.deliver([message()], patient);
  const givenBack = vi.spyOn(SpareWriters.prototype, 'giveBack');
  onTestFinished(() => givenBack.mockRestore());
  const stop = new AbortController();
  proxy.failNext({ kind: 'hang' });
  const ended = sink.deliver([message({ index: 1 })], stop.signal).catch((error: unknown) => error);
  await setTimeout(50);
  stop.abort(new Error('stopped'));
  expect(await ended).toMatchObject({ message: 'stopped' });
  expect(givenBack).toHaveBeenCalledTimes(1);
  expect(await sink.deliver([message({ index: 2 })], patient)).toEqual(delivered(1));
  expect(givenBack).toHaveBeenCalledTimes(2);
});
