import { fastify } from 'fastify';
import { createServer, type Server } from 'node:http';
import { connect, type AddressInfo, type Socket } from 'node:net';
import { expect, onTestFinished, test } from 'vitest';
import { boundConnections, connectionLimits, LISTENER_LIMITS } from '../../src/api/connections.ts';
import { createLogger } from '../../src/telemetry/logger.ts';
import { waitFor } from '../support/wait.ts';

test.each([
  [64, { api: 16, metrics: 8, firstReserved: 40 }],
  [128, { api: 32, metrics: 8, firstReserved: 104 }],
  [1024, { api: 256, metrics: 64, firstReserved: 896 }],
  [1_048_576, { api: 2048, metrics: 128, firstReserved: 1_048_320 }],
  [Infinity, { api: 2048, metrics: 128, firstReserved: Infinity }],
])('of %d descriptors the listeners take a part, and leave a reserve', (descriptors, limits) => {
  expect(connectionLimits(descriptors)).toEqual(limits);
});

/** A bounded listener; `open` connects and says whether the other side let it. */
async function bounded(limits: { readonly maxConnections: number; readonly firstReserved: number }) {
  const lines: Record<string, unknown>[] = [];
  const server: Server = createServer((_request, response) => response.end('fine'));
  await new Promise<void>((done) => server.listen(0, '127.0.0.1', done));
  const write = (line: string): number => lines.push(JSON.parse(line) as Record<string, unknown>);
  // Of Node's own it would close what waits, and hide who does it.
  server.keepAliveTimeout = 0;
  const refused = boundConnections(server, {
    room: 'api',
    ...limits,
    logger: createLogger({ level: 'info', destination: { write } }),
  });
  const sockets: Socket[] = [];
  onTestFinished(() => {
    for (const socket of sockets) socket.destroy();
    server.closeAllConnections();
    server.close();
  });
  const { port } = server.address() as AddressInfo;
  const open = (): Socket => {
    const socket = connect(port, '127.0.0.1');
    socket.on('error', () => undefined);
    sockets.push(socket);
    return socket;
  };
  const ask = async (socket: Socket): Promise<string> => {
    let answer = '';
    socket.on('data', (bytes: Buffer) => (answer += bytes.toString()));
    socket.write('GET / HTTP/1.1\r\nHost: x\r\nConnection: keep-alive\r\n\r\n');
    await waitFor(() => answer.includes('fine') || socket.destroyed, 'an answer, or the end');
    return answer;
  };
  const held = (): Promise<number> =>
    new Promise((done, fail) =>
      server.getConnections((error, count) => (error === null ? done(count) : fail(error))),
    );
  return { lines, open, ask, held, refused };
}

test('one connection more than the limit is refused with one line in the log, and those that are open go on', async () => {
  const { lines, open, ask, held, refused } = await bounded({ maxConnections: 3, firstReserved: Infinity });
  const halfOpen = [open(), open(), open()];
  for (const socket of halfOpen) socket.write('GET / HT');
  await waitFor(async () => (await held()) === 3, 'three connections');
  const others = Array.from({ length: 20 }, open);
  await waitFor(() => others.every((socket) => socket.destroyed), 'the others to be refused');
  await waitFor(() => refused() === 20, 'each to be counted');
  expect(lines).toHaveLength(1);
  expect(lines[0]).toMatchObject({
    level: 'warn',
    msg: expect.stringContaining('3 are open') as string,
    hint: expect.stringContaining('ulimit') as string,
  });
  let answer = '';
  halfOpen[0]!.on('data', (bytes: Buffer) => (answer += bytes.toString()));
  halfOpen[0]!.write('TP/1.1\r\nHost: x\r\n\r\n');
  await waitFor(() => answer.includes('fine'), 'the half-open one to be answered');
  expect(await ask(halfOpen[0]!)).toContain('fine');
});

test('connections that wait between two requests make room for others', async () => {
  const { open, ask } = await bounded({ maxConnections: 2, firstReserved: Infinity });
  const idle = [open(), open()];
  for (const socket of idle) expect(await ask(socket)).toContain('fine');
  await ask(open());
  await waitFor(() => idle.every((socket) => socket.destroyed), 'the idle ones to be closed');
  expect(await ask(open())).toContain('fine');
});

test('a connection that would take a descriptor of the reserve is refused, and the listener lives', async () => {
  const { lines, open, held } = await bounded({ maxConnections: 10, firstReserved: 0 });
  const sockets = [open(), open(), open()];
  await waitFor(() => sockets.every((socket) => socket.destroyed), 'all to be refused');
  expect(await held()).toBe(0);
  expect(lines).toHaveLength(1);
  expect(lines[0]).toMatchObject({ msg: expect.stringContaining('kept for the log') as string });
});

test('a listener has the times that a request may take', async () => {
  const app = fastify({ ...LISTENER_LIMITS });
  onTestFinished(() => app.close());
  await app.ready();
  expect(app.server).toMatchObject({
    headersTimeout: 10_000,
    requestTimeout: 60_000,
    keepAliveTimeout: 72_000,
    timeout: 360_000,
  });
});
