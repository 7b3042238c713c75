import { setTimeout } from 'node:timers/promises';
import { inspect } from 'node:util';
import { describe, expect, onTestFinished, test, vi } from 'vitest';
import type { Outcome } from '../../../src/core/errors.ts';
import { SpareWriters } from '../../../src/core/spare-writers.ts';
import { sinkSuite } from '../../sink-suite.ts';
import { startFaultProxy } from '../../support/fault-proxy.ts';
import { bodiesOf, bodyOf, message, messages, patient } from '../../support/messages.ts';
import { createSink, emulator, NO_STATIC, recorder, sqsHarness } from './fixture.ts';

sinkSuite('SQS', sqsHarness);

const delivered = (count: number): Outcome[] => Array.from({ length: count }, () => 'delivered');

describe('delivering', () => {
  test('a batch arrives in order on a FIFO queue, with group and deduplication ids', async () => {
    const queues = await emulator();
    queues.createQueue('users.fifo');
    const sink = await createSink({ queue_name: 'users.fifo', emulator_base_url: queues.url });
    const batch = messages(10, { group: 'public.users:1' });
    expect(await sink.deliver(batch, patient)).toEqual(delivered(10));
    const received = queues.messagesOf('users.fifo');
    expect(bodiesOf(received)).toEqual(batch.map(bodyOf));
    expect(received.every(({ group }) => group === 'public.users:1')).toBe(true);
    expect(new Set(received.map(({ dedup }) => dedup)).size).toBe(10);
  });

  test('the same message sent again is not seen twice on a FIFO queue (C228)', async () => {
    const queues = await emulator();
    queues.createQueue('users.fifo');
    const destination = { queue_name: 'users.fifo', emulator_base_url: queues.url };
    const batch = messages(3);
    // A new sink is what a restart makes.
    for (let start = 0; start < 2; start++) {
      expect(await (await createSink(destination)).deliver(batch, patient)).toEqual(delivered(3));
    }
    expect(queues.messagesOf('users.fifo')).toHaveLength(3);
  });

  test('after a rewind, and from another sink, the same message is seen again', async () => {
    const queues = await emulator();
    queues.createQueue('users.fifo');
    const destination = { queue_name: 'users.fifo', emulator_base_url: queues.url };
    for (const context of [{}, { rewinds: 1 }, { rewinds: 2 }, { name: 'other' }]) {
      await (await createSink(destination, context)).deliver([message()], patient);
    }
    expect(queues.messagesOf('users.fifo')).toHaveLength(4);
  });

  test('two equal rows are two messages although the queue deduplicates by content (C229)', async () => {
    const queues = await emulator();
    queues.createQueue('users.fifo', { ContentBasedDeduplication: 'true' });
    const sink = await createSink({ queue_name: 'users.fifo', emulator_base_url: queues.url });
    await sink.deliver(messages(2, { body: '{"same":true}' }), patient);
    expect(queues.messagesOf('users.fifo')).toHaveLength(2);
  });

  test('a standard queue gets a group id only from a template (C230)', async () => {
    const queues = await recorder();
    queues.createQueue('events');
    const sink = await createSink({ queue_url: queues.queueUrl('events') });
    const route = queues.queueUrl('events');
    const outcomes = await sink.deliver(
      [message({ route, index: 0 }), message({ route, index: 1, groupId: 'tenant-7' })],
      patient,
    );
    expect(outcomes).toEqual(delivered(2));
    expect(queues.messages.map(({ group }) => group)).toEqual([undefined, 'tenant-7']);
    expect(queues.messages.map(({ dedup }) => dedup)).toEqual([undefined, undefined]);
  });

  test('the template’s group id goes before the message group; what SQS does not take is hashed', async () => {
    const queues = await recorder();
    queues.createQueue('users.fifo');
    const sink = await createSink({ queue_url: queues.queueUrl('users.fifo') });
    const route = queues.queueUrl('users.fifo');
    const batch = [
      message({ route, index: 0, groupId: 'a"\\b' }),
      message({ route, index: 1, groupId: '' }),
      message({ route, index: 2, group: 'größe 😀' }),
    ];
    expect(await sink.deliver(batch, patient)).toEqual(delivered(3));
    expect(queues.messages.map(({ group }) => group)).toEqual([
      'a"\\b',
      expect.stringMatching(/^h-[\w-]{43}$/),
      expect.stringMatching(/^h-[\w-]{43}$/),
    ]);
  });

  test('message attributes are sent when asked for, in characters that SQS takes', async () => {
    const queues = await recorder();
    queues.createQueue('users.fifo');
    const route = queues.queueUrl('users.fifo');
    const sink = await createSink({ queue_url: route, message_attributes: true });
    const batch = [
      message({ route, action: 'update', index: 0 }),
      message({ route, table: 'odd"\u0001\uffff', index: 1 }),
    ];
    expect(await sink.deliver(batch, patient)).toEqual(delivered(2));
    expect(queues.messages.map(({ attributes }) => attributes)).toEqual([
      { schema: 'public', table: 'users', action: 'update', idempotency_key: 'key-1-64-0' },
      { schema: 'public', table: 'odd"\\u0001\\uffff', action: 'insert', idempotency_key: 'key-1-64-1' },
    ]);
  });
});

describe('partial failure', () => {
  test('an entry that is throttled blames the route, although SQS calls it a sender fault (C223)', async () => {
    const queues = await emulator();
    queues.createQueue('users.fifo');
    const proxy = await queues.proxy();
    const sink = await createSink({ queue_name: 'users.fifo', emulator_base_url: proxy.url });
    const code = 'KMS.ThrottlingException';
    proxy.failNext({ kind: 'entries', refuse: (_, index) => index === 1, senderFault: true, code });
    const outcomes = await sink.deliver(messages(2), patient);
    expect(outcomes[1]).toMatchObject({ kind: 'retryable', scope: 'route', code });
  });

  test('a message that the answer does not name is not delivered; the repeat is absorbed (C224)', async () => {
    const queues = await emulator();
    queues.createQueue('users.fifo');
    const proxy = await queues.proxy();
    const sink = await createSink({ queue_name: 'users.fifo', emulator_base_url: proxy.url });
    proxy.failNext({
      kind: 'rewrite',
      rewrite: ({ Successful = [] }) => ({ Successful: Successful.slice(1) }),
    });
    const batch = messages(3);
    const outcomes = await sink.deliver(batch, patient);
    expect(outcomes[0]).toMatchObject({ kind: 'retryable', scope: 'route', code: 'MISSING_RESULT' });
    expect(outcomes.slice(1)).toEqual(delivered(2));
    await sink.deliver([batch[0]!], patient);
    expect(queues.messagesOf('users.fifo')).toHaveLength(3);
  });

  test('a request that is too long is split, and the next ones are made shorter (C218)', async () => {
    const queues = await emulator();
    queues.createQueue('users.fifo', { MaximumMessageSize: '262144' });
    const proxy = await queues.proxy();
    const sink = await createSink({ queue_name: 'users.fifo', emulator_base_url: proxy.url });
    const { limits } = sink.routeOf({ schema: 'public', table: 'users', action: 'insert' })!;
    expect(limits.batchBytes).toBe(1_048_576);
    proxy.decide = ({ entries }) =>
      entries.length > 2 ? { kind: 'error', status: 400, code: 'BatchRequestTooLong' } : undefined;
    expect(await sink.deliver(messages(5), patient)).toEqual(delivered(5));
    expect(limits).toMatchObject({ batchBytes: 262_144, messageBytes: 262_144 });
  });

  test('the rest of a split request is not sent once the route has failed', async () => {
    const queues = await emulator();
    queues.createQueue('users.fifo');
    const proxy = await queues.proxy();
    const sink = await createSink({ queue_name: 'users.fifo', emulator_base_url: proxy.url });
    proxy.failNext({ kind: 'error', status: 400, code: 'BatchRequestTooLong' });
    proxy.failNext({ kind: 'error', status: 500, code: 'InternalError' });
    const outcomes = await sink.deliver(messages(4), patient);
    expect(outcomes).toEqual(
      Array(4).fill(expect.objectContaining({ scope: 'route', code: 'InternalError' })),
    );
    expect(proxy.accepted).toEqual([]);
  });
});

describe('a route in trouble', () => {
  test.each([
    { status: 400, code: 'ThrottlingException' },
    { status: 403, code: 'RequestThrottled' },
    { status: 500, code: 'InternalError' },
    { status: 503, code: 'ServiceUnavailable' },
    { status: 403, code: 'AccessDenied' },
    { status: 403, code: 'ExpiredToken' },
    { status: 400, code: 'KmsDisabled' },
    { status: 418, code: 'NeverHeardOf' },
  ])('$code blames the route, not the messages, and nothing is lost', async ({ status, code }) => {
    const queues = await emulator();
    queues.createQueue('users.fifo');
    const proxy = await queues.proxy();
    const sink = await createSink({ queue_name: 'users.fifo', emulator_base_url: proxy.url });
    proxy.failNext({ kind: 'error', status, code });
    const batch = messages(3);
    const expected = expect.objectContaining({ kind: 'retryable', scope: 'route', code });
    expect(await sink.deliver(batch, patient)).toEqual([expected, expected, expected]);
    expect(await sink.deliver(batch, patient)).toEqual(delivered(3));
    expect(bodiesOf(queues.messagesOf('users.fifo'))).toEqual(batch.map(bodyOf));
  });

  test.each(['', 'null', '[]', '<html>', '{"Successful":"all"}', '{"Successful":[7]}'])(
    'the answer %j delivers nothing',
    async (body) => {
      const queues = await emulator();
      queues.createQueue('users.fifo');
      const proxy = await queues.proxy();
      const sink = await createSink({ queue_name: 'users.fifo', emulator_base_url: proxy.url });
      proxy.failNext({ kind: 'malformed', body });
      const [outcome] = await sink.deliver([message()], patient);
      expect(outcome).toMatchObject({ kind: 'retryable', scope: 'route', code: 'MALFORMED_REPLY' });
    },
  );
});

describe('queues', () => {
  test('a queue that is missing at first is used once it exists', async () => {
    const queues = await emulator();
    const sink = await createSink({ queue_name: 'users.fifo', emulator_base_url: queues.url });
    const [outcome] = await sink.deliver([message()], patient);
    expect(outcome).toMatchObject({ kind: 'retryable', scope: 'route', code: 'QueueDoesNotExist' });
    queues.createQueue('users.fifo');
    expect(await sink.deliver([message()], patient)).toEqual(delivered(1));
  });

  test('a queue that is deleted and made again while running is found again', async () => {
    const queues = await emulator();
    queues.createQueue('users.fifo');
    const sink = await createSink({ queue_name: 'users.fifo', emulator_base_url: queues.url });
    expect(await sink.deliver(messages(1), patient)).toEqual(delivered(1));
    queues.deleteQueue('users.fifo');
    const [outcome] = await sink.deliver(messages(1), patient);
    expect(outcome).toMatchObject({
      scope: 'route',
      code: 'QueueDoesNotExist',
      hint: expect.stringContaining('create'),
    });
    queues.createQueue('users.fifo');
    expect(await sink.deliver(messages(1), patient)).toEqual(delivered(1));
  });

  test('create_if_not_exists makes a high-throughput FIFO queue', async () => {
    const queues = await emulator();
    const sink = await createSink({
      queue_name: 'users.fifo',
      create_if_not_exists: true,
      emulator_base_url: queues.url,
    });
    await sink.check(patient, { create: true });
    expect(queues.queueAttributes('users.fifo')).toMatchObject({
      FifoQueue: 'true',
      DeduplicationScope: 'messageGroup',
      FifoThroughputLimit: 'perMessageGroupId',
      ContentBasedDeduplication: 'false',
    });
  });

  test('create_if_not_exists makes the queue again when it is deleted while running', async () => {
    const queues = await emulator();
    const url = queues.createQueue('events');
    const sink = await createSink({
      queue_url: url,
      create_if_not_exists: true,
      emulator_base_url: queues.url,
    });
    expect(await sink.deliver([message({ route: url })], patient)).toEqual(delivered(1));
    queues.deleteQueue('events');
    await sink.deliver([message({ route: url })], patient);
    expect(await sink.deliver([message({ route: url })], patient)).toEqual(delivered(1));
    expect(queues.messagesOf('events')).toHaveLength(1);
  });

  test('a queue URL in another account than the credentials’ is not delivered to (C232)', async () => {
    const queues = await recorder();
    const route = `${queues.url}/999999999999/events`;
    const sink = await createSink({ queue_url: route, create_if_not_exists: true });
    const [outcome] = await sink.deliver([message({ route })], patient);
    expect(outcome).toMatchObject({ scope: 'route', hint: expect.stringContaining('another account') });
  });

  test('check reports every queue that is missing, and creates none unasked', async () => {
    const queues = await emulator();
    queues.createQueue('there');
    const sink = await createSink({
      queue_name: 'there',
      insert: { queue_name: 'gone' },
      delete: { queue_name: 'lost.fifo' },
      create_if_not_exists: true,
      emulator_base_url: queues.url,
      region: 'us-east-1',
    });
    await expect(sink.check(patient, { create: false })).rejects.toMatchObject({
      message: expect.stringMatching(/gone.*lost\.fifo/),
      code: 'QueueDoesNotExist',
      hint: expect.stringContaining('no queue gone in us-east-1'),
    });
    expect(queues.queueAttributes('gone')).toBeUndefined();
    await sink.check(patient, { create: true });
    await sink.check(patient, { create: false });
  });

  test('check refuses a queue with a FIFO name that is none', async () => {
    const queues = await recorder();
    queues.createQueue('users.fifo', { FifoQueue: 'false' });
    const sink = await createSink({ queue_url: queues.queueUrl('users.fifo') });
    await expect(sink.check(patient, { create: false })).rejects.toMatchObject({ code: 'QUEUE_NOT_FIFO' });
  });

  test('the queue’s own message limit counts once it is known', async () => {
    const queues = await emulator();
    queues.createQueue('small', { MaximumMessageSize: '2048' });
    const sink = await createSink({ queue_name: 'small', emulator_base_url: queues.url, lanes: 4 });
    const { limits } = sink.routeOf({ schema: 'public', table: 'users', action: 'insert' })!;
    expect(limits).toMatchObject({ messageBytes: 1_048_576, batchCount: 10, lanesPerRoute: 4 });
    await sink.check(patient, { create: false });
    expect(limits.messageBytes).toBe(2048);
    const fits = message({ route: 'small', body: 'x'.repeat(2048) });
    const tooLarge = message({ route: 'small', body: 'x'.repeat(2049) });
    expect([sink.sizeOf(fits), sink.sizeOf(tooLarge)]).toEqual([2048, 2049]);
    const outcomes = await sink.deliver([fits, tooLarge], patient);
    expect(outcomes).toEqual(['delivered', expect.objectContaining({ kind: 'rejected', scope: 'message' })]);
  });

  test('attributes that may not be read do not stop the delivery; a check that creates nothing reports them', async () => {
    const queues = await recorder();
    queues.createQueue('events');
    queues.answer = (action) =>
      action === 'GetQueueAttributes'
        ? { status: 403, code: 'AccessDenied', message: 'no sqs:getqueueattributes' }
        : undefined;
    const sink = await createSink({ queue_url: queues.queueUrl('events') });
    const route = queues.queueUrl('events');
    expect(await sink.deliver([message({ route })], patient)).toEqual(delivered(1));
    await sink.check(patient, { create: true });
    await expect(sink.check(patient, { create: false })).rejects.toMatchObject({
      code: 'AccessDenied',
      hint: expect.stringContaining('no sqs:getqueueattributes'),
    });
  });
});

describe('credentials', () => {
  test('refused credentials are asked for again, and the new ones pass (C233)', async () => {
    const queues = await recorder();
    queues.createQueue('events');
    const sink = await createSink({ ...NO_STATIC, queue_name: 'events', emulator_base_url: queues.url });
    const route = 'events';
    expect(await sink.deliver([message({ route })], patient)).toEqual(delivered(1));
    queues.answer = (_, headers) =>
      headers.authorization?.includes('Credential=ROTATED/') === true
        ? undefined
        : { status: 403, code: 'InvalidClientTokenId', message: 'The security token is invalid.' };
    process.env['AWS_ACCESS_KEY_ID'] = 'ROTATED';
    process.env['AWS_SECRET_ACCESS_KEY'] = 'secret';
    try {
      const [outcome] = await sink.deliver([message({ route })], patient);
      expect(outcome).toMatchObject({ kind: 'retryable', scope: 'route', code: 'InvalidClientTokenId' });
      expect(await sink.deliver([message({ route })], patient)).toEqual(delivered(1));
    } finally {
      delete process.env['AWS_ACCESS_KEY_ID'];
      delete process.env['AWS_SECRET_ACCESS_KEY'];
    }
  });

  test('a clock that AWS calls wrong is corrected by AWS’s own (C233)', async () => {
    const queues = await recorder();
    queues.createQueue('events');
    const hourAhead = new Date(Date.now() + 3_600_000);
    const hour = hourAhead.toISOString().slice(0, 13).replaceAll('-', '');
    queues.answer = (_, headers) =>
      String(headers['x-amz-date']).startsWith(hour)
        ? undefined
        : { status: 403, code: 'RequestExpired', headers: { date: hourAhead.toUTCString() } };
    const sink = await createSink({ queue_url: queues.queueUrl('events') });
    const route = queues.queueUrl('events');
    const [outcome] = await sink.deliver([message({ route })], patient);
    expect(outcome).toMatchObject({ kind: 'retryable', scope: 'route', code: 'RequestExpired' });
    expect(await sink.deliver([message({ route })], patient)).toEqual(delivered(1));
  });

  test('once somebody has set the clock right, AWS’s is left: what was learned before would be refused for ever', async () => {
    const queues = await recorder();
    queues.createQueue('events');
    let theirMs = Date.now() + 3_600_000;
    queues.answer = (_, headers) => {
      const time = String(headers['x-amz-date']).replace(/^(.{4})(..)(.{5})(..)/, '$1-$2-$3:$4:');
      return Math.abs(Date.parse(time) - theirMs) < 300_000
        ? undefined
        : { status: 403, code: 'RequestExpired', headers: { date: new Date(theirMs).toUTCString() } };
    };
    const sink = await createSink({ queue_url: queues.queueUrl('events') });
    const route = queues.queueUrl('events');
    const tries = async () => [
      await sink.deliver([message({ route })], patient),
      await sink.deliver([message({ route })], patient),
    ];
    const expired = [expect.objectContaining({ code: 'RequestExpired' })];
    expect(await tries()).toEqual([expired, delivered(1)]);
    theirMs = Date.now();
    expect(await tries()).toEqual([expired, delivered(1)]);
  });

  test.each(['Sat, 13 Sep 275760 00:00:00 GMT', '99999 GMT', 'NaN', ''])(
    'a time that is none (%j) is not taken for AWS’s',
    async (date) => {
      const queues = await recorder();
      queues.createQueue('events');
      let answers = 0;
      queues.answer = () =>
        ++answers === 1 ? { status: 403, code: 'RequestExpired', headers: { date } } : undefined;
      const sink = await createSink({ queue_url: queues.queueUrl('events') });
      const route = queues.queueUrl('events');
      const [outcome] = await sink.deliver([message({ route })], patient);
      expect(outcome).toMatchObject({ scope: 'route', code: 'RequestExpired' });
      expect(await sink.deliver([message({ route })], patient)).toEqual(delivered(1));
    },
  );

  test('a profile that does not exist is the route’s trouble, named', async () => {
    const queues = await recorder();
    const sink = await createSink({
      queue_url: queues.queueUrl('events'),
      ...NO_STATIC,
      profile: 'no-such-profile',
      region: 'eu-west-1',
    });
    const [outcome] = await sink.deliver([message({ route: queues.queueUrl('events') })], patient);
    expect(outcome).toMatchObject({
      kind: 'retryable',
      scope: 'route',
      code: 'CREDENTIALS_MISSING',
      hint: expect.stringContaining('no-such-profile'),
    });
  });
});

test('a key of the environment that ends with a line break is named by the check, and stops the route only', async () => {
  vi.stubEnv('AWS_ACCESS_KEY_ID', 'AKID');
  vi.stubEnv('AWS_SECRET_ACCESS_KEY', 's3cret-of-all\n');
  onTestFinished(() => void vi.unstubAllEnvs());
  const queues = await recorder();
  queues.createQueue('users.fifo');
  const sink = await createSink({
    ...NO_STATIC,
    queue_name: 'users.fifo',
    emulator_base_url: queues.url.replace('127.0.0.1', 'localhost'),
  });
  const named = {
    code: 'CREDENTIALS_MALFORMED',
    kind: 'retryable',
    hint: expect.stringMatching(/secret access key in AWS_SECRET_ACCESS_KEY .*ends with a line break/),
  };
  const error = await sink.check(patient, { create: false }).catch((error: unknown) => error);
  expect(error).toMatchObject(named);
  expect(await sink.deliver([message()], patient)).toMatchObject([{ ...named, scope: 'route' }]);
  expect(inspect(error, { depth: 10 })).not.toContain('s3cret');
  expect(queues.messages).toEqual([]);
});

test('the buffer of a request is another’s as soon as the kernel has all of it, also where a stop ends the request', async () => {
  const queues = await recorder();
  queues.createQueue('users.fifo');
  const proxy = await startFaultProxy(queues.url);
  onTestFinished(() => proxy.stop());
  const sink = await createSink({ queue_name: 'users.fifo', emulator_base_url: proxy.url });
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
