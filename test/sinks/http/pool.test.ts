// Our HTTP connections against real servers, with and without TLS.
import { createServer as createHttpServer, type RequestListener } from 'node:http';
import { createServer as createHttpsServer } from 'node:https';
import {
  connect,
  createServer as createTcpServer,
  type AddressInfo,
  type LookupFunction,
  type Server,
  type Socket,
} from 'node:net';
import { execFile } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { setTimeout } from 'node:timers/promises';
import { promisify } from 'node:util';
import { getCACertificates, setDefaultCACertificates } from 'node:tls';
import { buffer } from 'node:stream/consumers';
import { Worker } from 'node:worker_threads';
import { beforeAll, describe, expect, onTestFinished, test } from 'vitest';
import { HttpPool, type HttpPoolOptions } from '../../../src/sinks/http/pool.ts';
import { patient } from '../../support/messages.ts';
import { selfSignedCertificate } from '../../support/tls.ts';
import { waitFor } from '../../support/wait.ts';

const certificate = selfSignedCertificate();
beforeAll(() => setDefaultCACertificates([...getCACertificates('default'), certificate.cert]));

async function listening(server: Server): Promise<number> {
  const sockets = new Set<Socket>();
  server.on('connection', (socket: Socket) => {
    sockets.add(socket);
    socket.once('close', () => sockets.delete(socket));
  });
  await new Promise<void>((done) => server.listen(0, '127.0.0.1', done));
  onTestFinished(async () => {
    for (const socket of sockets) socket.destroy();
    await new Promise((done) => server.close(done));
  });
  return (server.address() as AddressInfo).port;
}

function poolTo(origin: string, options: Partial<HttpPoolOptions> = {}): HttpPool {
  const pool = new HttpPool({
    origin: new URL(origin),
    maxConnections: 4,
    timeoutMs: 30_000,
    keepAliveMs: 30_000,
    reply: { maxBytes: 1_000_000, keepsBody: true },
    ...options,
  });
  onTestFinished(() => pool.close());
  return pool;
}

/** Sends a body with its head in the room before it, or without that room. */
function post(
  pool: HttpPool,
  body: string,
  how: { room?: number; signal?: AbortSignal; release?: () => void } = {},
) {
  const content = Buffer.from(body);
  const head = `POST / HTTP/1.1\r\nhost: localhost\r\ncontent-length: ${content.length}\r\n\r\n`;
  const bodyStart = how.room ?? 200;
  const bytes = Buffer.concat([Buffer.alloc(bodyStart), content]);
  const { release } = how;
  const request = { buffer: bytes, bodyStart, end: bytes.length, ...(release && { release }) };
  return pool.request(head, request, how.signal ?? patient);
}

/** Answers with what it was sent; counts connections. */
const echo: RequestListener = (request, response) => {
  void buffer(request).then((body) => response.end(body));
};

describe.each(['http', 'https'])('over %s', (scheme) => {
  const start = async (listener: RequestListener) => {
    const server = scheme === 'http' ? createHttpServer(listener) : createHttpsServer(certificate, listener);
    let connections = 0;
    server.on('connection', () => connections++);
    const port = await listening(server);
    return { url: `${scheme}://localhost:${port}`, server, connections: () => connections };
  };

  test('bodies of any size arrive whole, and so do replies, over one connection', async () => {
    const server = await start(echo);
    const pool = poolTo(server.url);
    for (const [length, room] of [
      [0, 200],
      [10, 0],
      [200_000, 200],
      [900_000, 0],
    ] as const) {
      const body = 'é'.repeat(length / 2);
      const reply = await post(pool, body, { room });
      expect(reply.status).toBe(200);
      expect(reply.body.toString() === body).toBe(true);
    }
    expect(server.connections()).toBe(1);
  });

  test('the bytes of requests are released when nobody reads them any more: each changed then, all arrive as they were', async () => {
    const server = await start(echo);
    const pool = poolTo(server.url);
    const bodies = Array.from({ length: 20 }, (_, i) => `${i}`.repeat(i % 2 === 0 ? 10 : 300_000));
    const requests = bodies.map(async (body, i) => {
      const content = Buffer.from(body);
      const head = `POST / HTTP/1.1\r\nhost: localhost\r\ncontent-length: ${content.length}\r\n\r\n`;
      const bodyStart = i % 3 === 0 ? 0 : 200;
      const buffer = Buffer.concat([Buffer.alloc(bodyStart), content]);
      let released = 0;
      const release = (): void => {
        released++;
        buffer.fill('#');
      };
      const reply = await pool.request(head, { buffer, bodyStart, end: buffer.length, release }, patient);
      return { isSame: reply.body.toString() === body, released };
    });
    expect(await Promise.all(requests)).toEqual(bodies.map(() => ({ isSame: true, released: 1 })));
  });

  test('more requests than connections wait for their turn, and none is mixed up', async () => {
    const server = await start(echo);
    const pool = poolTo(server.url);
    const bodies = Array.from({ length: 100 }, (_, i) => `body ${i}`);
    const replies = await Promise.all(bodies.map((body) => post(pool, body)));
    expect(replies.map((reply) => reply.body.toString())).toEqual(bodies);
    expect(server.connections()).toBeLessThanOrEqual(4);
  });

  test('an abort ends the requests in flight with its reason, and their connections', async () => {
    let requests = 0;
    const server = await start(() => requests++);
    const pool = poolTo(server.url);
    const controller = new AbortController();
    const pending = [1, 2].map(() => post(pool, 'x', { signal: controller.signal }));
    const failures = Promise.allSettled(pending);
    await waitFor(() => requests === 2, 'both requests');
    controller.abort(new Error('stopping'));
    for (const result of await failures) expect(result).toMatchObject({ reason: new Error('stopping') });
    await expect(post(pool, 'x', { signal: controller.signal })).rejects.toThrow('stopping');
  });

  test('an abort leaves the requests of others alone, also those that wait for a connection', async () => {
    const held: (() => void)[] = [];
    const server = await start((request, response) => {
      request.resume();
      held.push(() => response.end('taken'));
    });
    const pool = poolTo(server.url, { maxConnections: 2 });
    const controller = new AbortController();
    const ended = post(pool, 'x', { signal: controller.signal }).catch((error: unknown) => error);
    const others = [post(pool, 'y'), post(pool, 'z')];
    await waitFor(() => held.length === 2, 'both connections to be in use');
    const waiting = post(pool, 'x', { signal: controller.signal }).catch((error: unknown) => error);
    controller.abort(new Error('stopping'));
    expect(await ended).toEqual(new Error('stopping'));
    await waitFor(() => held.length === 3, 'the one that waited to be sent');
    for (const answer of held) answer();
    const replies = await Promise.all(others);
    expect(replies.map(({ body }) => body.toString())).toEqual(['taken', 'taken']);
    expect(await waiting).toEqual(new Error('stopping'));
  });

  test('no whole answer in time is ETIMEDOUT, and the next request has another connection', async () => {
    let first = true;
    const server = await start((request, response) => {
      if (first) {
        first = false;
        response.writeHead(200, { 'content-length': 10 });
        response.write('begun');
      } else {
        echo(request, response);
      }
    });
    const pool = poolTo(server.url, { timeoutMs: 3000 });
    await expect(post(pool, 'x')).rejects.toMatchObject({ code: 'ETIMEDOUT' });
    expect((await post(pool, 'y')).body.toString()).toBe('y');
    expect(server.connections()).toBe(2);
  });

  test('a connection that the server closes while it is idle is not used again', async () => {
    const server = await start(echo);
    const pool = poolTo(server.url);
    await post(pool, 'x');
    server.server.closeIdleConnections();
    await waitFor(async () => {
      const reply = await post(pool, 'y').catch(() => undefined);
      return reply?.body.toString() === 'y';
    }, 'another connection to serve');
    expect(server.connections()).toBe(2);
  });
});

test('an idle connection is closed by us when its time is over', async () => {
  const server = createHttpServer(echo);
  let closed = 0;
  server.on('connection', (socket: Socket) => socket.once('close', () => closed++));
  const pool = poolTo(`http://127.0.0.1:${await listening(server)}`, { keepAliveMs: 20 });
  await post(pool, 'x');
  await waitFor(() => closed === 1, 'the connection to be closed');
  expect((await post(pool, 'y')).body.toString()).toBe('y');
});

test('an idle connection whose time was over while this thread was held up is not used again', async () => {
  const server = createHttpServer(echo);
  let connections = 0;
  server.on('connection', () => connections++);
  const pool = poolTo(`http://127.0.0.1:${await listening(server)}`, { keepAliveMs: 100 });
  await post(pool, 'x');
  // No timer has looked when the next request goes.
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 200);
  expect((await post(pool, 'y')).body.toString()).toBe('y');
  expect(connections).toBe(2);
});

test('of several servers behind one address one that fails is soon left alone, however fast it fails', async () => {
  const bad = new WeakSet<Socket>();
  let connections = 0;
  const server = createHttpServer((request, response) => {
    response.statusCode = bad.has(request.socket) ? 500 : 200;
    echo(request, response);
  });
  // A balancer gives every second connection to the one that fails.
  server.on('connection', (socket: Socket) => void (connections++ % 2 === 0 && bad.add(socket)));
  const pool = poolTo(`http://127.0.0.1:${await listening(server)}`);
  const statuses: number[] = [];
  for (let i = 0; i < 50; i++) statuses.push((await post(pool, `${i}`)).status);
  expect(statuses.filter((status) => status === 500)).toHaveLength(2);
  expect(connections).toBe(2);
  // Beside others it is asked last.
  const together = await Promise.all(Array.from({ length: 4 }, (_, i) => post(pool, `${i}`)));
  expect(together.filter(({ status }) => status === 500).length).toBeGreaterThan(0);
  statuses.length = 0;
  for (let i = 0; i < 50; i++) statuses.push((await post(pool, `${i}`)).status);
  expect(statuses.filter((status) => status === 500)).toEqual([]);
});

test('a name that means another address by now is followed, also while requests never cease', async () => {
  const servers = ['127.0.0.1', '127.0.0.2'];
  const named = (name: string): RequestListener => {
    return (request, response) => void request.resume().on('end', () => response.end(name));
  };
  const port = await listening(createHttpServer(named(servers[0]!)));
  const second = createHttpServer(named(servers[1]!));
  await new Promise<void>((done) => second.listen(port, servers[1], done));
  onTestFinished(() => {
    second.closeAllConnections();
    second.close();
  });
  let [address] = servers;
  const lookup: LookupFunction = (_host, _options, done) => done(null, [{ address: address!, family: 4 }]);
  const pool = poolTo(`http://localhost:${port}`, { socket: { lookup }, maxAgeMs: 200 });
  const serving = async (): Promise<string> => (await post(pool, 'x')).body.toString();
  expect(await serving()).toBe(servers[0]);
  address = servers[1];
  await waitFor(async () => (await serving()) === servers[1], 'the other address to serve');
});

test('of a name with several addresses one that is far away is waited for, where the others do not answer', async () => {
  // In a thread that is busy, with a queue that is full: the first attempt to connect goes unheard, and is made again a second later.
  const server = new Worker(
    `const { parentPort } = require('node:worker_threads');
     const server = require('node:http').createServer((request, response) => {
       request.resume().on('end', () => response.end('taken'));
     });
     server.listen({ port: 0, host: '127.0.0.1', backlog: 1 }, () => {
       parentPort.postMessage(server.address().port);
       parentPort.once('message', () => {
         parentPort.postMessage('busy');
         Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 800);
       });
     });`,
    { eval: true },
  );
  onTestFinished(() => void server.terminate());
  const [port] = (await once(server, 'message')) as [number];
  server.postMessage('be busy');
  await once(server, 'message');
  const others = Array.from({ length: 4 }, () => connect({ port, host: '127.0.0.1' }));
  onTestFinished(() => {
    for (const socket of others) socket.destroy();
  });
  await waitFor(() => others.filter(({ connecting }) => !connecting).length === 2, 'the queue to be full');
  const addresses = [
    { address: '127.0.0.1', family: 4 },
    { address: '::1', family: 6 },
  ];
  const lookup: LookupFunction = (_host, _options, done) => done(null, addresses);
  const pool = poolTo(`http://localhost:${port}`, { socket: { lookup } });
  expect((await post(pool, 'x')).body.toString()).toBe('taken');
});

test('a connection is given up before the server, as it says, closes it', async () => {
  let connections = 0;
  const server = createHttpServer((_, response) => {
    response.setHeader('keep-alive', 'timeout=1').end();
  });
  server.on('connection', () => connections++);
  const pool = poolTo(`http://127.0.0.1:${await listening(server)}`);
  for (let i = 0; i < 3; i++) await post(pool, 'x');
  expect(connections).toBe(3);
});

test('a server that hangs up in the middle of an answer is ECONNRESET', async () => {
  const port = await listening(
    createTcpServer((socket) => {
      socket.once('data', () => socket.end('HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhalf'));
    }),
  );
  await expect(post(poolTo(`http://127.0.0.1:${port}`), 'x')).rejects.toMatchObject({ code: 'ECONNRESET' });
});

test('an answer that nobody asked for is never taken for one', async () => {
  const port = await listening(
    createTcpServer((socket) => {
      let requests = 0;
      socket.on('data', () => {
        requests++;
        const reply = (body: string): string => `HTTP/1.1 200 OK\r\ncontent-length: 1\r\n\r\n${body}`;
        socket.write(requests === 1 ? reply('1') + reply('?') : reply('2'));
      });
    }),
  );
  const pool = poolTo(`http://127.0.0.1:${port}`, { maxConnections: 1 });
  expect((await post(pool, 'x')).body.toString()).toBe('1');
  expect((await post(pool, 'y')).body.toString()).not.toBe('?');
});

test('what a server says on an idle connection ends it', async () => {
  let closed = 0;
  let say: ((text: string) => void) | undefined;
  const port = await listening(
    createTcpServer((socket) => {
      socket.once('close', () => closed++);
      say = (text) => void socket.write(text);
      socket.once('data', () => say!('HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n'));
    }),
  );
  const pool = poolTo(`http://127.0.0.1:${port}`, { keepAliveMs: 3_600_000 });
  await post(pool, 'x');
  say!('HTTP/1.1 200 OK\r\ncontent-');
  await waitFor(() => closed > 0, 'the connection to be closed');
  expect(closed).toBe(1);
});

test('a request has its whole time, however little was left for an idle connection', async () => {
  const held: (() => void)[] = [];
  const server = createHttpServer((_, response) => void held.push(() => response.end()));
  let closed = 0;
  server.on('connection', (socket: Socket) => socket.once('close', () => closed++));
  const pool = poolTo(`http://127.0.0.1:${await listening(server)}`, { keepAliveMs: 100 });
  const both = [post(pool, 'x'), post(pool, 'x')];
  await waitFor(() => held.length === 2, 'two connections');
  for (const answer of held.splice(0)) answer();
  await Promise.all(both);
  const third = post(pool, 'y');
  await waitFor(() => closed > 0 && held.length === 1, 'the other one to be closed as idle');
  held[0]!();
  expect(await third).toMatchObject({ status: 200 });
  expect(closed).toBe(1);
});

test('an answer before the request was read ends the connection: the rest of it does not go before the next one', async () => {
  let connections = 0;
  const port = await listening(
    createTcpServer((socket) => {
      const isFirst = ++connections === 1;
      socket.on('error', () => {});
      socket.on('data', () => {
        if (isFirst) socket.pause();
        socket.write(`HTTP/1.1 ${isFirst ? 503 : 200}\r\ncontent-length: 0\r\n\r\n`);
      });
    }),
  );
  const pool = poolTo(`http://127.0.0.1:${port}`);
  // More than the buffers of both sockets take.
  expect((await post(pool, 'x'.repeat(32 * 1024 * 1024))).status).toBe(503);
  expect((await post(pool, 'y')).status).toBe(200);
  expect(connections).toBe(2);
});

test('the bytes of a request are released as soon as the kernel has them all, and never while a socket may hold them', async () => {
  const port = await listening(
    createTcpServer((socket) => {
      socket.on('error', () => {});
      socket.on('data', ({ length }) => {
        if (length > 10_000) socket.pause();
        else socket.write('HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n');
      });
    }),
  );
  const pool = poolTo(`http://127.0.0.1:${port}`, { maxConnections: 1 });
  let released = 0;
  const release = (): void => void released++;
  const first = post(pool, 'x', { release });
  // There is no connection yet.
  expect(released).toBe(0);
  await first;
  expect(released).toBe(1);
  const second = post(pool, 'y', { release });
  expect(released).toBe(2);
  await second;
  expect(released).toBe(2);
  const stop = new AbortController();
  // More than the buffers of both sockets take.
  const third = post(pool, 'z'.repeat(32 * 1024 * 1024), { release, signal: stop.signal }).catch(
    (error: unknown) => error,
  );
  await setTimeout(50);
  stop.abort(new Error('stopped'));
  expect(await third).toMatchObject({ message: 'stopped' });
  expect(released).toBe(2);
});

test('nobody there is ECONNREFUSED, and a closed pool takes nothing', async () => {
  const server = createTcpServer();
  await new Promise<void>((done) => server.listen(0, '127.0.0.1', done));
  const { port } = server.address() as AddressInfo;
  await new Promise((done) => server.close(done));
  const pool = poolTo(`http://127.0.0.1:${port}`);
  await expect(post(pool, 'x')).rejects.toMatchObject({ code: 'ECONNREFUSED' });
  pool.close();
  await expect(post(pool, 'x')).rejects.toMatchObject({ code: 'ECONNRESET' });
});

test('without a descriptor for one more connection, requests take turns on those that there are', async () => {
  const server = createHttpServer(echo);
  let connections = 0;
  server.on('connection', () => connections++);
  const port = await listening(server);
  let asked = 0;
  const lookup: LookupFunction = (_host, _options, done) => {
    asked++;
    if (asked === 1) return done(null, [{ address: '127.0.0.1', family: 4 }]);
    done(Object.assign(new Error('connect EMFILE'), { code: 'EMFILE' }), []);
  };
  const pool = poolTo(`http://localhost:${port}`, { socket: { lookup } });
  await post(pool, 'first');
  const replies = await Promise.all(['a', 'b', 'c', 'd', 'e'].map((body) => post(pool, body)));
  expect(replies.map(({ body }) => body.toString())).toEqual(['a', 'b', 'c', 'd', 'e']);
  expect(connections).toBe(1);
  expect(asked).toBeGreaterThan(1);
});

/** Prints how many connections a pool has opened to the server beside it, once `argv[1]` wait there, for 64 requests at once. */
const HOARDING = `
  const { createServer } = await import('node:http');
  const { HttpPool } = await import(${JSON.stringify(join(import.meta.dirname, '../../../src/sinks/http/pool.ts'))});
  const [, held] = process.argv;
  let connections = 0;
  let waiting = [];
  const server = createServer((request, response) => {
    request.resume();
    waiting?.push(response);
    if (waiting === undefined) return response.end();
    if (waiting.length < Number(held)) return;
    for (const one of waiting) one.end();
    waiting = undefined;
  });
  server.on('connection', () => connections++);
  await new Promise((done) => server.listen(0, '127.0.0.1', done));
  const origin = new URL('http://127.0.0.1:' + server.address().port);
  const pool = new HttpPool({ origin, maxConnections: 64, timeoutMs: 60_000, keepAliveMs: 60_000,
    reply: { maxBytes: 1000, keepsBody: true } });
  const head = 'POST / HTTP/1.1\\r\\nhost: x\\r\\ncontent-length: 0\\r\\n\\r\\n';
  const bytes = { buffer: Buffer.alloc(0), bodyStart: 0, end: 0 };
  const { signal } = new AbortController();
  await Promise.all(Array.from({ length: 64 }, () => pool.request(head, bytes, signal)));
  console.log(connections);
  process.exit(0);`;

test.each([
  [120, 30],
  [1024, 64],
])('of %i descriptors a pool takes a quarter at most', async (limit, connections) => {
  const { stdout } = await promisify(execFile)('sh', [
    '-c',
    `ulimit -n ${limit} && exec "$0" --input-type=module -e "$1" "$2"`,
    process.execPath,
    HOARDING,
    String(connections),
  ]);
  expect(Number(stdout)).toBe(connections);
});

test('without a descriptor for any connection, a request fails with the code of that', async () => {
  const lookup: LookupFunction = (_host, _options, done) =>
    done(Object.assign(new Error('connect EMFILE'), { code: 'EMFILE' }), []);
  const pool = poolTo('http://localhost:1', { socket: { lookup } });
  const all = await Promise.allSettled(['a', 'b', 'c'].map((body) => post(pool, body)));
  expect(all).toEqual(
    Array.from({ length: 3 }, () => ({
      status: 'rejected',
      reason: expect.objectContaining({ code: 'EMFILE' }) as Error,
    })),
  );
});

test('a reply over TLS that is there before the write is known to be over is heard, and the connection is used again', async () => {
  // In a thread of its own: it answers while this one is busy.
  const server = new Worker(
    `const { parentPort, workerData } = require('node:worker_threads');
     const server = require('node:https').createServer(workerData, (request, response) => {
       request.resume().on('end', () => response.end('taken'));
     });
     server.listen(0, '127.0.0.1', () => parentPort.postMessage(server.address().port));`,
    { eval: true, workerData: certificate },
  );
  onTestFinished(() => void server.terminate());
  const [port] = (await once(server, 'message')) as [number];
  const pool = poolTo(`https://localhost:${port}`, { maxConnections: 1 });
  await post(pool, 'the connection is open');
  for (let request = 0; request < 3; request++) {
    // Sent where the dispatcher sends: what is read next comes before Node has told that all is written.
    const reply = await new Promise<Promise<{ body: Buffer }>>((sent) =>
      setImmediate(() => {
        sent(post(pool, 'x'));
        Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 200);
      }),
    );
    expect(reply.body.toString()).toBe('taken');
  }
});
