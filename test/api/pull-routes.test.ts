import { request } from 'node:http';
import { describe, expect, onTestFinished, test } from 'vitest';
import { startHttp } from '../../src/api/server.ts';
import { TailraceError } from '../../src/core/errors.ts';
import type { PullStream } from '../../src/pipeline/sink/pull/streams.ts';
import type { Sink } from '../../src/sinks/sink.ts';
import { stream } from '../../src/sinks/stream/stream.ts';
import { message, messages, patient, silent } from '../support/messages.ts';
import { testControl } from '../support/control.ts';
import { serviceStatus } from '../support/status.ts';
import { waitFor } from '../support/wait.ts';

const TOKEN = 'a-token';
const JSON_BODY = { 'content-type': 'application/json' };

/** The API before a real stream called `orders`, in this thread. */
async function world(options: { readonly tokens?: readonly string[]; readonly maxWaiting?: number } = {}) {
  const leases = { load: () => [], save: () => undefined, remove: () => undefined, close: () => undefined };
  const config = stream.config.parse({ type: 'sequin_stream', max_waiting: options.maxWaiting ?? 20 });
  const sink: Sink = await stream.create(config, {
    name: 'orders',
    rewinds: 0,
    logger: silent,
    pull: { openLeases: () => leases, remembered: () => Promise.resolve() },
  });
  const servers = await startHttp({
    settings: {
      api: { listen: { host: '127.0.0.1', port: 0, explicit: true }, tokens: options.tokens ?? [] },
      metrics: { listen: 'off' },
    },
    status: serviceStatus,
    metricsText: async () => '',
    control: testControl(),
    streams: { find: (name) => (name === 'orders' ? sink.pull : name === 'broken' ? broken : undefined) },
    logger: silent,
  });
  onTestFinished(async () => {
    await servers.close();
    await sink.close();
  });
  const call = async (
    path: string,
    init: RequestInit = {},
  ): Promise<{ status: number; body: unknown; headers: Headers }> => {
    const response = await fetch(`${servers.apiUrl}/api/${path}`, { headers: JSON_BODY, ...init });
    return { status: response.status, body: await response.json(), headers: response.headers };
  };
  const post = (path: string, body: unknown, headers: Record<string, string> = JSON_BODY) =>
    call(path, { method: 'POST', headers, body: typeof body === 'string' ? body : JSON.stringify(body) });
  return {
    sink,
    servers,
    call,
    post,
    deliver: (count: number, body?: string) => {
      const sent = messages(count, body === undefined ? {} : { body });
      return sent.map((one) => sink.deliver([one], patient, sink.routeOf(one)!).catch(() => undefined));
    },
  };
}

const gone = (): Promise<never> =>
  Promise.reject(
    new TailraceError('the sink "broken" does not run yet', {
      code: 'SINK_NOT_RUNNING',
      kind: 'retryable',
      hint: 'ask again',
    }),
  );
const broken: PullStream = { receive: gone, ack: gone, nack: gone };

type Received = { data: { ack_id: string; data: { record: { id: number } } }[] };
const idsIn = (body: unknown): string[] => (body as Received).data.map(({ ack_id: id }) => id);

const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/;

test.each(['http_pull_consumers', 'sequin_streams'])(
  'under /api/%s a message is received, acknowledged, and gone',
  async (prefix) => {
    const w = await world();
    const [delivery] = w.deliver(1);
    const received = await w.call(`${prefix}/orders/receive`);
    expect(received.status).toBe(200);
    expect(received.headers.get('content-type')).toMatch(/^application\/json/);
    expect(received.body).toEqual({
      data: [{ ack_id: expect.stringMatching(UUID), data: { record: { id: 0 } } }],
    });
    const acked = await w.post(`${prefix}/orders/ack`, { ack_ids: idsIn(received.body) });
    expect(acked).toMatchObject({ status: 200, body: { success: true } });
    expect(await delivery).toEqual(['delivered']);
    expect((await w.call(`${prefix}/orders/receive`)).body).toEqual({ data: [] });
  },
);

test('a message that was given back is received again, under the same id', async () => {
  const w = await world();
  const [delivery] = w.deliver(1);
  const first = await w.post('sequin_streams/orders/receive', { batch_size: 1 });
  expect(await w.post('sequin_streams/orders/nack', { ack_ids: idsIn(first.body) })).toMatchObject({
    status: 200,
    body: { success: true },
  });
  expect(await delivery).toMatchObject([{ code: 'NACKED' }]);
  void w.deliver(1);
  expect((await w.call('sequin_streams/orders/receive')).body).toEqual(first.body);
});

test('an acknowledgement may come twice, and for what nobody knows', async () => {
  const w = await world();
  const unknown = { ack_ids: ['0e6ae50d-4226-4498-8429-fc012737125b'] };
  for (const verb of ['ack', 'nack', 'ack']) {
    expect(await w.post(`sequin_streams/orders/${verb}`, unknown)).toMatchObject({
      status: 200,
      body: { success: true },
    });
  }
  expect(w.sink.pull!.status().unknownAcks).toBe(2);
});

test.each([
  ['the default is one', '', {}, 1],
  ['batch_size in the query', '?batch_size=2', undefined, 2],
  ['max_batch_size in the query', '?max_batch_size=3', undefined, 3],
  ['batch_size in the body', '', { batch_size: 2 }, 2],
  ['batch_size as a text in the body', '', { batch_size: '2' }, 2],
  ['the body before the query', '?batch_size=1', { batch_size: 4 }, 4],
])('how many messages come: %s', async (_, query, body, count) => {
  const w = await world();
  void w.deliver(5);
  const path = `http_pull_consumers/orders/receive${query}`;
  const { body: received } = body === undefined ? await w.call(path) : await w.post(path, body);
  expect(idsIn(received)).toHaveLength(count);
});

test('a POST without a body receives', async () => {
  const w = await world();
  void w.deliver(1);
  const path = 'http_pull_consumers/orders/receive';
  expect(idsIn((await w.call(path, { method: 'POST' })).body)).toHaveLength(1);
  expect(await w.post(path, '')).toMatchObject({ status: 200, body: { data: [] } });
});

test.each(['?batch_size=0', '?batch_size=-1', '?batch_size=abc', '?batch_size=1001', '?max_batch_size=1.5'])(
  'a receive with %s is a bad request',
  async (query) => {
    const w = await world();
    expect(await w.call(`sequin_streams/orders/receive${query}`)).toMatchObject({
      status: 400,
      body: { summary: expect.stringContaining('batch_size') },
    });
  },
);

test.each(['?wait_for=-1', '?wait_for=abc', '?wait_for=1000000', '?wait_for=6m', '?wait_for=5h'])(
  'a receive with %s is a bad request',
  async (query) => {
    const w = await world();
    expect(await w.call(`sequin_streams/orders/receive${query}`)).toMatchObject({
      status: 400,
      body: { summary: expect.stringContaining('wait_for') },
    });
  },
);

test.each([
  {},
  { ack_ids: [] },
  { ack_ids: 'x' },
  { ack_ids: ['MTYyeJ7abUjl1pO'] },
  { ack_ids: [''] },
  { ack_ids: [1] },
])('an acknowledgement of %j is a bad request', async (body) => {
  const w = await world();
  for (const verb of ['ack', 'nack']) {
    expect(await w.post(`sequin_streams/orders/${verb}`, body)).toMatchObject({
      status: 400,
      body: { summary: expect.stringContaining('ack_ids') },
    });
  }
});

test('a body that is not JSON, no object, or of another type is refused with the cure', async () => {
  const w = await world();
  const path = 'sequin_streams/orders/ack';
  expect(await w.post(path, '{"ack_ids":')).toMatchObject({
    status: 400,
    body: { summary: expect.stringMatching(/JSON/) },
  });
  expect(await w.post(path, '[1]')).toMatchObject({
    status: 400,
    body: { summary: expect.stringMatching(/object/) },
  });
  expect(await w.post(path, 'ack_ids=1', { 'content-type': 'text/plain' })).toMatchObject({
    status: 400,
    body: { summary: expect.stringMatching(/^Content-Type: application\/json is required/) },
  });
  // As curl's `-d` sends it.
  const form = { 'content-type': 'application/x-www-form-urlencoded' };
  expect((await w.post(path, { ack_ids: [] }, form)).status).toBe(400);
  expect(await w.post(path, `{"ack_ids":"${'x'.repeat(2 ** 21)}"}`)).toMatchObject({
    status: 413,
    body: { summary: expect.any(String) },
  });
});

test('a trailing slash is no other path', async () => {
  const w = await world();
  expect(await w.call('sequin_streams/orders/receive/')).toMatchObject({ status: 200, body: { data: [] } });
  expect(await w.post('http_pull_consumers/orders/ack/', { ack_ids: [] })).toMatchObject({ status: 400 });
});

test('a stream that is not there is not found', async () => {
  const w = await world();
  for (const answer of [
    await w.call('sequin_streams/users/receive'),
    await w.post('http_pull_consumers/users/ack', { ack_ids: ['0e6ae50d-4226-4498-8429-fc012737125b'] }),
  ]) {
    expect(answer).toMatchObject({
      status: 404,
      body: { summary: expect.stringMatching(/^Not found: .*"users"/) },
    });
  }
});

test('without a token, or with a wrong one, nothing is shown', async () => {
  const w = await world({ tokens: [TOKEN] });
  void w.deliver(1);
  const path = 'sequin_streams/orders/receive';
  const wrong = await w.call(path, { headers: { authorization: 'Bearer other' } });
  expect(wrong).toMatchObject({ status: 401, body: { summary: expect.stringMatching(/token/) } });
  const right = await w.call(path, { headers: { authorization: `Bearer ${TOKEN}` } });
  expect(idsIn(right.body)).toHaveLength(1);
});

test('a page of another site cannot take messages, not even with an image', async () => {
  const w = await world();
  const path = 'sequin_streams/orders/receive';
  const foreign: Record<string, string>[] = [
    { origin: 'https://example.com' },
    { 'sec-fetch-site': 'cross-site' },
  ];
  for (const headers of foreign) expect((await w.call(path, { headers })).status).toBe(403);
  expect((await w.call(path, { headers: { 'sec-fetch-site': 'none' } })).status).toBe(200);
});

test('a HEAD request takes no messages', async () => {
  const w = await world();
  void w.deliver(1);
  const response = await fetch(`${w.servers.apiUrl}/api/sequin_streams/orders/receive`, { method: 'HEAD' });
  expect(response.status).toBe(404);
  expect(w.sink.pull!.status().available).toBe(1);
});

test('a request that waits is answered when a message comes', async () => {
  const w = await world();
  const waiting = w.call('sequin_streams/orders/receive?wait_for=60s&batch_size=10');
  await waitFor(() => w.sink.pull!.status().waiting === 1, 'the request to wait');
  void w.deliver(2);
  expect(idsIn((await waiting).body)).toHaveLength(2);
});

test('one request more than may wait is told to come later', async () => {
  const w = await world({ maxWaiting: 1 });
  const waiting = w.call('sequin_streams/orders/receive?wait_for=60s');
  await waitFor(() => w.sink.pull!.status().waiting === 1, 'the request to wait');
  const refused = await w.call('sequin_streams/orders/receive?wait_for=60s');
  expect(refused).toMatchObject({ status: 429, body: { summary: expect.stringMatching(/max_waiting/) } });
  expect(refused.headers.get('retry-after')).toBe('1');
  void w.deliver(1);
  await waiting;
});

test('a client that goes while it waits is given nothing', async () => {
  const w = await world();
  const client = new AbortController();
  const waiting = w.call('sequin_streams/orders/receive?wait_for=60s', { signal: client.signal });
  await waitFor(() => w.sink.pull!.status().waiting === 1, 'the request to wait');
  client.abort();
  await expect(waiting).rejects.toThrow('aborted');
  await waitFor(() => w.sink.pull!.status().waiting === 0, 'the request to end');
  void w.deliver(1);
  expect(w.sink.pull!.status()).toMatchObject({ available: 1, outstanding: 0 });
});

test('a stream that does not run says so, and when to ask again', async () => {
  const w = await world();
  const answer = await w.call('sequin_streams/broken/receive');
  expect(answer).toMatchObject({ status: 503, body: { summary: expect.stringMatching(/does not run yet/) } });
  expect(answer.headers.get('retry-after')).toBe('1');
});

test('a message arrives as it was rendered, byte by byte', async () => {
  const w = await world();
  const body = '{"record":{"n":12345678901234567890,"f":1.10,"t":"é 漢 😀 \\u0001"}}';
  void w.sink.deliver([message({ body })], patient, w.sink.routeOf(message())!).catch(() => undefined);
  const response = await fetch(`${w.servers.apiUrl}/api/sequin_streams/orders/receive`, {
    headers: JSON_BODY,
  });
  expect(await response.text()).toContain(`"data":${body}}`);
});

describe('without tokens, on loopback', () => {
  test.each([
    ['a GET as an image or a link sends it', 'GET', {}],
    ['a GET that says of itself what any page may', 'GET', { accept: 'application/json' }],
    ['a form, filled in or not', 'POST', { 'content-type': 'text/plain' }],
    ['a form with a file', 'POST', { 'content-type': 'multipart/form-data; boundary=x' }],
    ['the usual form', 'POST', { 'content-type': 'application/x-www-form-urlencoded' }],
    ['a type that only begins as JSON', 'POST', { 'content-type': 'application/json-seq' }],
    ['a POST of another page', 'POST', { origin: 'http://evil.example' }],
    ['a name that another has bound to this address', 'POST', { host: 'evil.example', ...JSON_BODY }],
  ])('no web page elsewhere takes messages: %s', async (_how, method, headers) => {
    const w = await world();
    void w.deliver(1);
    for (const [verb, body] of [
      ['receive', ''],
      ['receive', '{"batch_size":10}'],
      ['ack', '{"ack_ids":[]}'],
      ['nack', '{"ack_ids":[]}'],
    ] as const) {
      if (method === 'GET' && body !== '') continue;
      const status = await rawStatus(w.servers.apiUrl!, `/api/sequin_streams/orders/${verb}`, {
        method,
        headers,
        body,
      });
      // No GET of the others exists.
      const isRight = verb !== 'receive' && method === 'GET' ? (code: number) => code === 404 : isRefusal;
      expect([verb, status]).toEqual([verb, expect.toSatisfy(isRight)]);
    }
    expect(idsIn((await w.post('sequin_streams/orders/receive', {})).body)).toHaveLength(1);
  });

  test('a GET that no page can send without asking takes messages: with the type of JSON, or a token', async () => {
    for (const headers of [JSON_BODY, { authorization: 'Bearer any' }]) {
      const w = await world();
      void w.deliver(1);
      expect(idsIn((await w.call('sequin_streams/orders/receive', { headers })).body)).toHaveLength(1);
    }
  });
});

const isRefusal = (status: number): boolean => status === 400 || status === 403;

/** Sends exactly these headers, as `fetch` does not. */
const rawStatus = (
  url: string,
  path: string,
  { method, headers, body }: { method: string; headers: Record<string, string>; body: string },
): Promise<number> =>
  new Promise((done, fail) => {
    const sent = request(`${url}${path}`, { method, headers, agent: false }, (response) => {
      response.resume();
      response.on('end', () => done(response.statusCode ?? 0));
    }).on('error', fail);
    sent.end(body);
  });
