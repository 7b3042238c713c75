import { request, type IncomingHttpHeaders } from 'node:http';
import { connect, createServer, type AddressInfo, type Server } from 'node:net';
import { afterEach, expect, test } from 'vitest';
import { startHttp, type HttpServers } from '../../src/api/server.ts';
import type { ServiceStatus } from '../../src/core/status.ts';
import type { ListenSettings } from '../../src/pipeline/settings.ts';
import { createLogger } from '../../src/telemetry/logger.ts';
import { testControl } from '../support/control.ts';
import { databaseStatus, serviceStatus, serviceThatIs, sinkStatus } from '../support/status.ts';

const at = (host: string, port = 0, explicit = false): ListenSettings => ({ host, port, explicit });

const closing: (() => Promise<void>)[] = [];
afterEach(async () => {
  for (const close of closing.splice(0)) await close();
});

type Options = {
  readonly api?: ListenSettings;
  readonly metrics?: ListenSettings;
  readonly tokens?: readonly string[];
  readonly login?: { readonly username: string; readonly password: string };
  readonly status?: () => ServiceStatus;
};

async function start(options: Options): Promise<HttpServers & { lines: string[] }> {
  const lines: string[] = [];
  const servers = await startHttp({
    settings: {
      api: { listen: options.api ?? 'off', tokens: options.tokens ?? [] },
      metrics: { listen: options.metrics ?? 'off', ...(options.login && { login: options.login }) },
    },
    status: options.status ?? serviceStatus,
    control: testControl(),
    metricsText: async () => 'tailrace_info 1\n',
    streams: { find: () => undefined },
    logger: createLogger({ level: 'info', destination: { write: (line) => lines.push(line) } }),
  });
  closing.push(() => servers.close());
  return { ...servers, lines };
}

type Answer = { status: number; headers: IncomingHttpHeaders; body: string };

/** `fetch` sets Host by itself; this request says what a test wants. */
const get = (url: string, headers: Record<string, string> = {}): Promise<Answer> =>
  new Promise((done, fail) => {
    request(url, { headers, agent: false }, (response) => {
      let body = '';
      response.on('data', (chunk: Buffer) => (body += chunk.toString()));
      response.on('end', () => done({ status: response.statusCode ?? 0, headers: response.headers, body }));
    })
      .on('error', fail)
      .end();
  });

async function takenPort(): Promise<number> {
  const server: Server = createServer();
  await new Promise<void>((done) => server.listen(0, '127.0.0.1', done));
  closing.push(() => new Promise<void>((done) => server.close(() => done())));
  return (server.address() as AddressInfo).port;
}

test('a path that cannot be read is an unknown route, and the longest names that a configuration may have are found', async () => {
  const { apiUrl } = await start({ api: at('127.0.0.1') });
  for (const path of ['/%', '/api/sinks/%ff', `/api/sinks/${'x'.repeat(1000)}`]) {
    const answer = await get(`${apiUrl}${path}`);
    expect({ path, ...answer }).toMatchObject({
      path,
      status: 404,
      body: '{"errors":{"detail":"Not Found"}}',
    });
  }
  const name = `${'d'.repeat(128)}%2F${'%73'.repeat(128)}`;
  const answer = await get(`${apiUrl}/api/sinks/${name}`);
  expect(JSON.parse(answer.body)).toMatchObject({ code: 'SINK_UNKNOWN' });
});

test('on loopback /health answers one document with the status, reason and cure of every part', async () => {
  const broken = sinkStatus({ health: 'degraded', reason: 'access denied', cure: 'allow sqs:SendMessage' });
  const { apiUrl } = await start({
    api: at('127.0.0.1'),
    status: () => serviceStatus({ status: 'degraded', sinks: [broken] }),
  });
  const answer = await get(`${apiUrl}/health`);
  expect(answer.status).toBe(200);
  expect(JSON.parse(answer.body)).toMatchObject({
    status: 'degraded',
    databases: [{ name: 'shop', status: 'healthy', host: 'db-1.internal:5432' }],
    sinks: [
      {
        name: 'users',
        status: 'degraded',
        reason: 'access denied',
        cure: 'allow sqs:SendMessage',
        since: '2026-01-02T03:04:05.000Z',
      },
    ],
  });
});

test('/health is 503 when the service is halted', async () => {
  const { apiUrl } = await start({ api: at('127.0.0.1'), status: () => serviceThatIs('halted') });
  expect((await get(`${apiUrl}/health`)).status).toBe(503);
});

test('/health says "ok" as Sequin\'s does, and the status code with it', async () => {
  let status: ServiceStatus['status'] = 'healthy';
  const { apiUrl } = await start({
    api: at('0.0.0.0'),
    tokens: ['open-sesame'],
    status: () => serviceThatIs(status),
  });
  const url = apiUrl!.replace('0.0.0.0', '127.0.0.1');
  for (const headers of [{}, { authorization: 'Bearer open-sesame' }]) {
    status = 'degraded';
    expect(await get(`${url}/health`, headers)).toMatchObject({
      status: 200,
      // What health checks of Sequin's containers look for.
      body: expect.stringContaining('"ok":true'),
    });
    status = 'halted';
    expect(await get(`${url}/health`, headers)).toMatchObject({
      status: 503,
      body: expect.stringContaining('"ok":false'),
    });
  }
});

test('beyond loopback /health shows status words only, and everything to a token', async () => {
  const { apiUrl } = await start({ api: at('0.0.0.0'), tokens: ['open-sesame'] });
  const url = apiUrl!.replace('0.0.0.0', '127.0.0.1');
  const open = await get(`${url}/health`);
  expect(open.status).toBe(200);
  expect(JSON.parse(open.body)).toEqual({
    ok: true,
    status: 'healthy',
    databases: [{ status: 'healthy' }],
    sinks: [{ status: 'healthy' }],
  });
  const full = await get(`${url}/health`, { authorization: 'Bearer open-sesame' });
  expect(JSON.parse(full.body)).toMatchObject({ databases: [{ host: 'db-1.internal:5432' }] });
  expect((await get(`${url}/health`, { authorization: 'Bearer wrong' })).status).toBe(401);
  expect((await get(`${url}/metrics`, { authorization: 'Bearer wrong' })).status).toBe(200);
});

test('tokens are demanded on loopback too, of everything that shows or changes data', async () => {
  const { apiUrl } = await start({ api: at('127.0.0.1'), tokens: ['open-sesame'] });
  const paths = ['/api/sinks', '/api/databases/shop/gaps', '/api/http_pull_consumers/a/receive'];
  const headers = [
    {},
    ...['Basic x', 'Bearer ', 'open-sesame', 'Bearer other'].map((text) => ({ authorization: text })),
  ];
  for (const path of paths) {
    for (const header of headers) {
      const { status } = await get(`${apiUrl}${path}`, header);
      expect([path, header, status]).toEqual([path, header, 401]);
    }
    const { status } = await get(`${apiUrl}${path}`, { authorization: 'Bearer open-sesame' });
    expect([path, status]).not.toEqual([path, 401]);
  }
  expect(JSON.parse((await get(`${apiUrl}/health`)).body)).toEqual({
    ok: true,
    status: 'healthy',
    databases: [{ status: 'healthy' }],
    sinks: [{ status: 'healthy' }],
  });
  expect((await get(`${apiUrl}/health`, { authorization: 'Basic x' })).status).toBe(401);
});

test('metrics with a user and a password demand them on both listeners, and nothing else does', async () => {
  const login = { username: 'prometheus', password: 'secret' };
  const { apiUrl, metricsUrl } = await start({
    api: at('127.0.0.1'),
    metrics: at('127.0.0.1'),
    tokens: ['open-sesame'],
    login,
  });
  const authorization = `Basic ${Buffer.from('prometheus:secret').toString('base64')}`;
  for (const url of [apiUrl!, metricsUrl!]) {
    const refused = await get(`${url}/metrics`);
    expect(refused.status).toBe(401);
    expect(refused.headers['www-authenticate']).toContain('Basic realm=');
    expect((await get(`${url}/metrics`, { authorization: 'Basic eDp5' })).status).toBe(401);
    expect((await get(`${url}/metrics`, { authorization })).body).toBe('tailrace_info 1\n');
    expect((await get(`${url}/metrics`, { authorization: 'Bearer open-sesame' })).status).toBe(200);
    expect((await get(`${url}/ready`)).status).toBe(200);
    expect((await get(`${url}/health`)).status).toBe(200);
  }
  const open = await start({ metrics: at('127.0.0.1'), login });
  expect((await get(`${open.metricsUrl}/metrics`)).status).toBe(401);
});

test('on loopback a request for another host name or from another origin is refused', async () => {
  const { apiUrl } = await start({ api: at('127.0.0.1') });
  expect((await get(`${apiUrl}/health`, { host: 'evil.example' })).status).toBe(403);
  expect((await get(`${apiUrl}/health`, { origin: 'https://evil.example' })).status).toBe(403);
  expect((await get(`${apiUrl}/health`, { origin: apiUrl! })).status).toBe(200);
});

test('/ready is 200 once every source streams (C254)', async () => {
  let state = 'connecting';
  const { apiUrl } = await start({
    api: at('127.0.0.1'),
    status: () => serviceStatus({ databases: [databaseStatus(), databaseStatus({ name: 'b', state })] }),
  });
  expect((await get(`${apiUrl}/ready`)).status).toBe(503);
  state = 'streaming';
  expect((await get(`${apiUrl}/ready`)).status).toBe(200);
});

test('/metrics is served on both listeners, as text', async () => {
  const { apiUrl, metricsUrl } = await start({ api: at('127.0.0.1'), metrics: at('127.0.0.1') });
  expect(apiUrl).not.toBe(metricsUrl);
  for (const url of [apiUrl, metricsUrl]) {
    const answer = await get(`${url}/metrics`);
    expect(answer.headers['content-type']).toContain('text/plain; version=0.0.4');
    expect(answer.body).toBe('tailrace_info 1\n');
  }
});

test('port 0 picks a free port and a log line says which', async () => {
  const { apiUrl, lines } = await start({ api: at('127.0.0.1', 0) });
  expect(apiUrl).toMatch(/^http:\/\/127\.0\.0\.1:[1-9]\d*$/);
  expect(lines.join('')).toContain(apiUrl);
});

test('"off" opens nothing', async () => {
  expect(await start({})).toMatchObject({ apiUrl: undefined, metricsUrl: undefined });
});

test('a busy port that nobody wrote down is one warning', async () => {
  const { apiUrl, lines } = await start({ api: at('127.0.0.1', await takenPort()) });
  expect(apiUrl).toBeUndefined();
  expect(lines).toHaveLength(1);
  expect(JSON.parse(lines[0]!)).toMatchObject({ level: 'warn' });
});

test('a busy port from the configuration ends the start, names the setting, and leaves no listener', async () => {
  const free = await takenPort();
  await closing.pop()!();
  const busy = await takenPort();
  const starting = start({ api: at('127.0.0.1', free), metrics: at('127.0.0.1', busy, true) });
  await expect(starting).rejects.toMatchObject({
    kind: 'fatal',
    code: 'EADDRINUSE',
    message: expect.stringContaining(`metrics.listen: cannot listen on 127.0.0.1:${busy}`),
  });
  await expect(get(`http://127.0.0.1:${free}/health`)).rejects.toThrow('ECONNREFUSED');
});

test('the same address for both is one listener', async () => {
  const port = await takenPort();
  await closing.pop()!();
  const both = at('127.0.0.1', port, true);
  const { apiUrl, metricsUrl } = await start({ api: both, metrics: both });
  expect(metricsUrl).toBe(apiUrl);
});

test('closing cuts a connection that a scraper keeps alive', async () => {
  const servers = await start({ api: at('127.0.0.1') });
  const { apiUrl } = servers;
  const socket = connect(Number(new URL(apiUrl!).port), '127.0.0.1');
  const closed = new Promise<void>((done) => socket.once('close', () => done()));
  socket.on('error', () => undefined);
  const answered = new Promise<void>((done) => socket.once('data', () => done()));
  socket.write('GET /ready HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: keep-alive\r\n\r\n');
  await answered;
  await servers.close();
  await closed;
  await expect(get(`${apiUrl}/ready`)).rejects.toThrow('ECONNREFUSED');
});

test("a path that does not exist is 404 in Sequin's words", async () => {
  const { apiUrl } = await start({ api: at('127.0.0.1') });
  for (const path of ['nothing', 'api/nothing', 'api/sinks/users/nothing/', 'api/sequin_streams/users']) {
    const answer = await get(`${apiUrl}/${path}`);
    expect(answer).toMatchObject({ status: 404, body: '{"errors":{"detail":"Not Found"}}' });
  }
});

test('a trailing slash is no other path, and shows no more', async () => {
  const { apiUrl, metricsUrl } = await start({
    api: at('0.0.0.0'),
    metrics: at('127.0.0.1'),
    tokens: ['open-sesame'],
  });
  const url = apiUrl!.replace('0.0.0.0', '127.0.0.1');
  for (const path of ['health', 'ready', 'metrics']) {
    expect((await get(`${metricsUrl}/${path}/`)).body).toBe((await get(`${metricsUrl}/${path}`)).body);
  }
  expect((await get(`${url}/health/`, { authorization: 'Bearer wrong' })).status).toBe(401);
  expect((await get(`${url}/api/sinks/`)).status).toBe(401);
});

test('a status that cannot be made is 500 without details, and the log has it', async () => {
  const { apiUrl, lines } = await start({
    api: at('127.0.0.1'),
    status: () => {
      throw new Error('internal detail');
    },
  });
  const answer = await get(`${apiUrl}/health`);
  expect(answer.status).toBe(500);
  expect(answer.body).not.toContain('internal detail');
  expect(lines.join('')).toContain('internal detail');
});

test('headers and bodies above the limits are refused, and the listener goes on', async () => {
  const { apiUrl } = await start({ api: at('127.0.0.1') });
  expect((await get(`${apiUrl}/ready`, { 'x-long': 'x'.repeat(17 * 1024) })).status).toBe(431);
  const tooLong = await fetch(`${apiUrl}/api/sinks/users/rewind`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ to: 'x'.repeat(1024 * 1024) }),
  });
  expect(tooLong.status).toBe(413);
  expect((await get(`${apiUrl}/ready`)).status).toBe(200);
});
