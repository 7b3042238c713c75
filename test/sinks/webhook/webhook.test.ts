import { createServer, type AddressInfo } from 'node:net';
import { Webhook } from 'standardwebhooks';
import { describe, expect, onTestFinished, test } from 'vitest';
import type { DeliveryError, Outcome } from '../../../src/core/errors.ts';
import { sinkSuite } from '../../sink-suite.ts';
import { bodyOf, message, messages, patient } from '../../support/messages.ts';
import type { WebhookFault } from '../../support/webhook-server.ts';
import { createSink, endpoint, webhookHarness } from './fixture.ts';

sinkSuite('webhook', webhookHarness);

const delivered = (count: number): Outcome[] => Array.from({ length: count }, () => 'delivered');
const answer = (status: number, headers: Record<string, string> = {}, body = ''): WebhookFault => ({
  kind: 'answer',
  status,
  headers,
  body,
});

describe('a request', () => {
  test('of a batch holds the messages in `data`, as Sequin has it, also a single one', async () => {
    const server = await endpoint();
    const sink = await createSink({ url: `${server.url}/hook` });
    expect(await sink.deliver(messages(2), patient)).toEqual(delivered(2));
    expect(await sink.deliver([message()], patient)).toEqual(delivered(1));
    expect(server.requests.map(({ body }) => body)).toEqual([
      '{"data":[{"record":{"id":0}},{"record":{"id":1}}]}',
      '{"data":[{"record":{"id":0}}]}',
    ]);
  });

  test('without batches is the message itself', async () => {
    const server = await endpoint();
    const sink = await createSink({ url: server.url, batch: false });
    expect(sink.routeOf({ schema: 'public', table: 't', action: 'insert' })?.limits.batchCount).toBe(1);
    await sink.deliver([message()], patient);
    expect(server.requests[0]).toMatchObject({ path: '/', body: '{"record":{"id":0}}' });
    expect(server.requests[0]!.headers).toMatchObject({ 'content-type': 'application/json' });
  });

  test('of messages that have a content type of their own says it, and a batch of them is an array', async () => {
    const server = await endpoint();
    const media = { message: 'application/cloudevents+json', batch: 'application/cloudevents-batch+json' };
    const batches = await createSink({ url: server.url }, { media });
    const singles = await createSink({ url: server.url, batch: false }, { media });
    await batches.deliver(messages(2), patient);
    await singles.deliver([message()], patient);
    expect(server.requests.map(({ headers, body }) => [headers['content-type'], body])).toEqual([
      [media.batch, '[{"record":{"id":0}},{"record":{"id":1}}]'],
      [media.message, '{"record":{"id":0}}'],
    ]);
  });

  test('in binary mode has the attributes in headers, encoded where they are no printable ASCII, and the data alone as its body', async () => {
    const server = await endpoint();
    const media = { message: 'm', batch: 'b', headerPrefix: 'ce-' };
    // An endpoint's header is no attribute of the event.
    const own = { 'Ce-Id': 'mine', 'Ce-Extra': 'mine' };
    const sink = await createSink({ url: server.url, batch: false, encrypted_headers: own }, { media });
    const subject = 'a "b" 50%\r\nx-injected: 1 \u00e9\u{1f600} ,"data":';
    const event = {
      id: 'key-1',
      subject,
      datacontenttype: 'application/json',
      data: { id: 1, data: { data: 2 } },
    };
    await sink.deliver([message({ body: JSON.stringify(event) })], patient);
    const [request] = server.requests;
    expect(request!.body).toBe('{"id":1,"data":{"data":2}}');
    expect(request!.headers).toMatchObject({
      'content-type': 'application/json',
      'ce-id': 'key-1',
      'ce-subject': 'a%20%22b%22%2050%25%0D%0Ax-injected:%201%20%C3%A9%F0%9F%98%80%20,%22data%22:',
    });
    expect(decodeURIComponent(request!.headers['ce-subject'] as string)).toBe(subject);
    expect(request!.headers).not.toHaveProperty('x-injected');
    expect(request!.headers).not.toHaveProperty('ce-datacontenttype');
    expect(request!.headers).not.toHaveProperty('ce-extra');
  });

  test('carries the headers; encrypted ones win, whatever their case', async () => {
    const server = await endpoint();
    const sink = await createSink({
      url: server.url,
      headers: [
        { key: 'Content-Type', value: 'application/vnd.shop+json' },
        { key: 'x-api-key', value: 'public' },
      ],
      encrypted_headers: { 'X-Api-Key': 'secret', Authorization: 'Bearer token' },
    });
    await sink.deliver([message()], patient);
    expect(server.requests[0]!.headers).toMatchObject({
      'content-type': 'application/vnd.shop+json',
      'x-api-key': 'secret',
      authorization: 'Bearer token',
    });
  });

  test.each([
    { url: '/hook', path: undefined, asked: '/hook' },
    { url: '/hook/', path: '/users', asked: '/hook/users' },
    { url: '/hook?token=a', path: '/users?x=1', asked: '/hook/users?token=a&x=1' },
    { url: '/hook', path: '?x=1', asked: '/hook?x=1' },
    { url: '', path: '/a%20b', asked: '/a%20b' },
  ])('to $url with the path $path asks for $asked', async ({ url, path, asked }) => {
    const server = await endpoint();
    const sink = await createSink({ url: server.url + url, http_endpoint_path: path });
    await sink.deliver([message()], patient);
    expect(server.requests[0]?.path).toBe(asked);
    const route = sink.routeOf({ schema: 'public', table: 't', action: 'insert' });
    expect(route?.id).toBe(server.url + asked.replace(/\?.*/, ''));
  });

  test('is compressed where a header says so, and the signature is of what was compressed', async () => {
    const server = await endpoint();
    const secret = secretOf('a');
    const sink = await createSink({
      url: server.url,
      headers: { 'Content-Encoding': 'gzip' },
      signing_secrets: [secret],
    });
    const batch = messages(50);
    expect(await sink.deliver(batch, patient)).toEqual(delivered(50));
    const [request] = server.requests;
    expect(server.taken).toEqual(batch.map(bodyOf));
    expect(request!.bytes.length).toBeLessThan(request!.body.length);
    expect(request!.headers['content-length']).toBe(String(request!.bytes.length));
    new Webhook(secret).verify(request!.body, request!.headers as Record<string, string>);
  });

  test('after another goes over the connections that are there, whatever the answers hold', async () => {
    const server = await endpoint();
    const sink = await createSink({ url: server.url });
    const long = 'x'.repeat(3 * 1024 * 1024);
    const faults = [answer(200, {}, long), answer(500, {}, 'no'), answer(202), answer(204)];
    for (const fault of [...faults, ...faults]) {
      server.failNext(fault);
      await sink.deliver([message()], patient);
    }
    expect(server.requests).toHaveLength(8);
    // The pool may open a second one while the first is being put back.
    expect(server.connections).toBeLessThanOrEqual(2);
  });
});

const secretOf = (character: string): string =>
  `whsec_${Buffer.from(character.repeat(32)).toString('base64')}`;

describe('a signed request', () => {
  test('is accepted by the official library, with each of two secrets', async () => {
    const server = await endpoint();
    const secrets = [secretOf('a'), secretOf('b')];
    const sink = await createSink({ url: server.url, signing_secrets: secrets });
    await sink.deliver([message({ body: '{"a":"é 😀"}' })], patient);
    const { body, headers } = server.requests[0]!;
    for (const secret of secrets) {
      expect(new Webhook(secret).verify(body, headers as Record<string, string>)).toEqual({
        data: [{ a: 'é 😀' }],
      });
    }
    const forged = body.replace('é', 'e');
    expect(() => new Webhook(secrets[0]!).verify(forged, headers as Record<string, string>)).toThrow(
      'No matching signature',
    );
    expect(() => new Webhook(secretOf('c')).verify(body, headers as Record<string, string>)).toThrow(
      'No matching signature',
    );
  });

  test('keeps its id through retries and restarts, and another batch, sink or rewind has another', async () => {
    const server = await endpoint();
    const destination = { url: server.url, signing_secrets: [secretOf('a')] };
    const sink = await createSink(destination);
    server.failNext(answer(500));
    const batch = messages(3);
    await sink.deliver(batch, patient);
    await sink.deliver(batch, patient);
    await (await createSink(destination)).deliver(batch, patient);
    await sink.deliver(batch.slice(0, 2), patient);
    await sink.deliver(batch.slice(0, 1), patient);
    await (await createSink(destination, { name: 'other' })).deliver(batch, patient);
    await (await createSink(destination, { rewinds: 1 })).deliver(batch, patient);
    const ids = server.requests.map(({ headers }) => headers['webhook-id']);
    expect(server.requests.map(({ headers }) => headers['idempotency-key'])).toEqual(ids);
    expect(new Set(ids.slice(0, 3)).size).toBe(1);
    expect(new Set(ids).size).toBe(5);
    expect(ids.filter((id) => !/^[\w-]{1,128}$/.test(String(id)))).toEqual([]);
    // A single message is known by the key that stands in its metadata.
    expect(ids[4]).toContain(batch[0]!.idempotencyKey);
  });

  test('is not signed without a secret', async () => {
    const server = await endpoint();
    const sink = await createSink({ url: server.url });
    await sink.deliver([message()], patient);
    expect(Object.keys(server.requests[0]!.headers).filter((name) => name.startsWith('webhook-'))).toEqual(
      [],
    );
  });
});

describe('an answer', () => {
  test.each([200, 201, 202, 204, 299])('of %i is delivered', async (status) => {
    const server = await endpoint();
    const sink = await createSink({ url: server.url });
    server.failNext(answer(status));
    expect(await sink.deliver(messages(2), patient)).toEqual(delivered(2));
  });

  test.each([408, 425, 429, 500, 501, 502, 503, 504, 401, 403, 404, 405, 407, 410])(
    'of %i is the route’s fault, with a cure, and nothing is split',
    async (status) => {
      const server = await endpoint();
      const sink = await createSink({ url: server.url, on_client_error: 'reject' });
      server.failNext(answer(status, {}, 'row values'));
      const [outcome] = await sink.deliver(messages(2), patient);
      expect(outcome).toMatchObject({ kind: 'retryable', scope: 'route', code: `HTTP_${status}` });
      expect((outcome as DeliveryError).hint).toMatch(/answers \d+ — .{10}/);
      expect(server.requests).toHaveLength(1);
    },
  );

  test.each([
    { status: 400, on: 'retry', kind: 'retryable' },
    { status: 409, on: 'retry', kind: 'retryable' },
    { status: 422, on: 'retry', kind: 'retryable' },
    { status: 400, on: 'reject', kind: 'rejected' },
    { status: 404, on: 'reject', kind: 'rejected' },
    { status: 413, on: 'retry', kind: 'rejected' },
  ])('of $status to one message is $kind with on_client_error: $on', async ({ status, on, kind }) => {
    const server = await endpoint();
    const sink = await createSink({ url: server.url, on_client_error: on, message_statuses: [404] });
    server.failNext(answer(status));
    expect(await sink.deliver([message()], patient)).toEqual([
      expect.objectContaining({ kind, scope: 'message', code: `HTTP_${status}` }),
    ]);
  });

  test.each([301, 302, 303, 307, 308])('of %i is not followed, and says where it leads', async (status) => {
    const server = await endpoint();
    const target = await endpoint();
    const sink = await createSink({ url: server.url });
    server.failNext(answer(status, { location: `${target.url}/new?token=secret` }));
    const [outcome] = await sink.deliver([message()], patient);
    expect(outcome).toMatchObject({ kind: 'retryable', scope: 'route', code: `HTTP_${status}` });
    expect((outcome as DeliveryError).hint).toContain(`${target.url}/new`);
    expect((outcome as DeliveryError).hint).not.toContain('secret');
    expect(target.requests).toEqual([]);
  });

  test.each([
    ['two seconds', { 'retry-after': '2' }, 2000],
    [
      'a date, by the endpoint’s own clock',
      { date: 'Wed, 21 Oct 2015 07:28:00 GMT', 'retry-after': 'Wed, 21 Oct 2015 07:29:30 GMT' },
      90_000,
    ],
    ['next year', { 'retry-after': '31536000' }, 3_600_000],
    ['no wait', { 'retry-after': '0' }, undefined],
    [
      'a date that is past',
      { date: 'Wed, 21 Oct 2015 07:28:00 GMT', 'retry-after': 'Wed, 21 Oct 2015 07:27:00 GMT' },
      undefined,
    ],
    ['nonsense', { 'retry-after': 'soon' }, undefined],
  ] as const)('that asks for %s is heard', async (_, headers, retryAfterMs) => {
    const server = await endpoint();
    const sink = await createSink({ url: server.url });
    for (const status of [429, 503]) {
      server.failNext(answer(status, headers));
      const [outcome] = await sink.deliver([message()], patient);
      expect(outcome).toMatchObject({ kind: 'retryable', scope: 'route' });
      expect((outcome as DeliveryError).retryAfterMs).toBe(retryAfterMs);
    }
  });

  test('of 200 that ends in the middle delivers nothing', async () => {
    const server = await endpoint();
    const sink = await createSink({ url: server.url });
    server.failNext({ kind: 'truncate', takes: false });
    expect(await sink.deliver([message()], patient)).toEqual([
      expect.objectContaining({ kind: 'retryable', scope: 'route' }),
    ]);
    expect(await sink.deliver([message()], patient)).toEqual(delivered(1));
  });
});

describe('a batch that is refused whole', () => {
  test('is split until the culprit is alone; its mates are delivered once, in order', async () => {
    const server = await endpoint();
    server.decide = ({ body }) => (body.includes('poison') ? answer(400) : undefined);
    const sink = await createSink({ url: server.url });
    const batch = messages(10).with(6, message({ index: 6, body: '"poison"' }));
    const outcomes = await sink.deliver(batch, patient);
    expect(outcomes[6]).toMatchObject({ kind: 'retryable', scope: 'message', code: 'HTTP_400' });
    expect(outcomes.toSpliced(6, 1)).toEqual(delivered(9));
    expect(server.taken).toEqual(batch.toSpliced(6, 1).map(bodyOf));
  });

  test('sends nothing that follows the culprit in its group', async () => {
    const server = await endpoint();
    server.decide = ({ body }) => (body.includes('poison') ? answer(422) : undefined);
    const sink = await createSink({ url: server.url, on_client_error: 'reject' });
    const group = 'public.users:1';
    const batch = messages(8).map((other, index) => (index % 2 === 1 ? { ...other, group } : other));
    const poisoned = batch.with(3, message({ index: 3, body: '"poison"', group }));
    const outcomes = await sink.deliver(poisoned, patient);
    expect(outcomes.map((outcome) => (outcome === 'delivered' ? outcome : outcome.scope))).toEqual([
      'delivered',
      'delivered',
      'delivered',
      'message',
      'delivered',
      'group',
      'delivered',
      'group',
    ]);
    expect(server.taken).toEqual([0, 1, 2, 4, 6].map((index) => bodyOf(batch[index]!)));
  });

  test('stops where the endpoint breaks down: what was not tried is not blamed', async () => {
    const server = await endpoint();
    const sink = await createSink({ url: server.url });
    for (const status of [400, 200, 503])
      server.failNext({ ...answer(status), takes: () => status === 200 } as WebhookFault);
    const outcomes = await sink.deliver(messages(4), patient);
    expect(outcomes.slice(0, 2)).toEqual(delivered(2));
    expect(outcomes.slice(2)).toEqual([
      expect.objectContaining({ scope: 'route', code: 'HTTP_503' }),
      expect.objectContaining({ scope: 'route', code: 'HTTP_503' }),
    ]);
  });

  test('may share a request with its group only where one answer covers it', async () => {
    const routeOf = async (destination: object) =>
      (await createSink({ url: 'http://127.0.0.1:1', ...destination })).routeOf({
        schema: 'public',
        table: 't',
        action: 'insert',
      });
    expect((await routeOf({}))?.keepsOrder).toBe(true);
    expect((await routeOf({ partial_acknowledgement: true }))?.keepsOrder).toBe(false);
    expect((await routeOf({ batch: false }))?.keepsOrder).toBe(false);
  });
});

describe('partial acknowledgement', () => {
  const partial = async () => {
    const server = await endpoint();
    const sink = await createSink({ url: server.url, partial_acknowledgement: true });
    return { server, sink };
  };

  test('fails the messages that the answer names, by key or by place, and delivers the others', async () => {
    const { server, sink } = await partial();
    const batch = messages(5);
    const failures = [
      { itemIdentifier: batch[1]!.idempotencyKey },
      { itemIdentifier: batch[3]!.idempotencyKey, retry: false, reason: 'row values' },
      { itemIndex: 4 },
    ];
    server.failNext(answer(200, {}, JSON.stringify({ batchItemFailures: failures })));
    const outcomes = await sink.deliver(batch, patient);
    expect(outcomes).toEqual([
      'delivered',
      expect.objectContaining({ kind: 'retryable', scope: 'message' }),
      'delivered',
      expect.objectContaining({ kind: 'rejected', scope: 'message' }),
      expect.objectContaining({ kind: 'retryable', scope: 'message' }),
    ]);
    expect(JSON.stringify(outcomes)).not.toContain('row values');
  });

  test.each(['', ' ', 'null', '{}', '{"batchItemFailures":[]}', '{"batchItemFailures":null,"more":1}'])(
    'takes the answer %j for a batch that is taken whole',
    async (body) => {
      const { server, sink } = await partial();
      server.failNext(answer(200, {}, body));
      expect(await sink.deliver(messages(2), patient)).toEqual(delivered(2));
    },
  );

  test.each([
    'ok',
    '[]',
    '7',
    '{"ok":true}',
    '{"batchItemFailures":"key-1-64-0"}',
    '{"batchItemFailures":["key-1-64-0"]}',
    '{"batchItemFailures":[{}]}',
    '{"batchItemFailures":[{"itemIdentifier":null}]}',
    '{"batchItemFailures":[{"itemIdentifier":""}]}',
    '{"batchItemFailures":[{"itemIdentifier":"another"}]}',
    '{"batchItemFailures":[{"itemIndex":2}]}',
    '{"batchItemFailures":[{"itemIndex":-1}]}',
    '{"batchItemFailures":[{"itemIndex":0.5}]}',
    `{"batchItemFailures":[{"itemIdentifier":"key-1-64-0"},{"itemIdentifier":"x"}]}`,
  ])('takes the answer %j for none: the whole batch is sent again', async (body) => {
    const { server, sink } = await partial();
    server.failNext(answer(200, {}, body));
    const failure = expect.objectContaining({
      kind: 'retryable',
      scope: 'route',
      code: 'MALFORMED_ACKNOWLEDGEMENT',
    });
    expect(await sink.deliver(messages(2), patient)).toEqual([failure, failure]);
    expect(await sink.deliver(messages(2), patient)).toEqual(delivered(2));
  });

  test('takes an answer that may have been cut off before its body for none', async () => {
    const server = createServer((socket) => {
      socket.once('data', () => socket.end('HTTP/1.1 200 OK\r\n\r\n'));
    });
    await new Promise<void>((done) => server.listen(0, '127.0.0.1', done));
    onTestFinished(() => void server.close());
    const { port } = server.address() as AddressInfo;
    const sink = await createSink({ url: `http://127.0.0.1:${port}`, partial_acknowledgement: true });
    expect(await sink.deliver([message()], patient)).toEqual([
      expect.objectContaining({ kind: 'retryable', scope: 'route', code: 'MALFORMED_ACKNOWLEDGEMENT' }),
    ]);
  });

  test('reads no answer without end', async () => {
    const { server, sink } = await partial();
    server.failNext(answer(200, {}, ' '.repeat(2 * 1024 * 1024)));
    expect(await sink.deliver([message()], patient)).toEqual([
      expect.objectContaining({ kind: 'retryable', scope: 'route', code: 'REPLY_TOO_LONG' }),
    ]);
  });
});
