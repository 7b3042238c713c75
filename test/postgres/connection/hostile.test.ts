// Servers that are no Postgres, or mean harm: a connection to them fails with a name, and neither ends the process nor
// holds it up.
import { createServer, type AddressInfo, type Socket } from 'node:net';
import { expect, onTestFinished, test, vi } from 'vitest';
import { connectOrdinary, connectReplication } from '../../../src/postgres/connection/connection.ts';
import { findPrimary } from '../../../src/postgres/connection/hosts.ts';
import { startReplication } from '../../../src/postgres/replication/stream.ts';
import { toLsn } from '../../../src/core/lsn.ts';
import { databaseSettings } from '../../support/database-settings.ts';
import { backendMessage, errorResponse } from '../../support/postgres-wire.ts';

const READY = backendMessage('Z', Buffer.from('I'));
const WELCOME = Buffer.concat([backendMessage('R', Buffer.alloc(4)), READY]);
const PASSWORD = 0x70;
const COPY_BOTH = backendMessage('W', Buffer.alloc(3));
const lengthOf = (type: string, length: number, content = ''): Buffer => {
  const message = backendMessage(type, Buffer.from(content));
  message.writeUInt32BE(length, 1);
  return message;
};
/** pgoutput, as the server has it in its stream. */
const walData = (content = ''): Buffer =>
  backendMessage('d', Buffer.concat([Buffer.from('w'), Buffer.alloc(24), Buffer.from(content)]));

/** Answers the start-up with `greeting`, every query with what `answer` says. */
async function server(greeting: Buffer, answer: (sql: string) => Buffer = () => READY): Promise<number> {
  const sockets = new Set<Socket>();
  const listener = createServer((socket) => {
    sockets.add(socket);
    socket.on('error', () => undefined);
    socket.once('data', () => {
      socket.write(greeting);
      socket.on('data', (bytes: Buffer) => {
        if (bytes[0] === 0x51 || bytes[0] === 0x50) socket.write(answer(bytes.toString('utf8', 5)));
      });
    });
  });
  await new Promise<void>((done) => listener.listen(0, '127.0.0.1', done));
  onTestFinished(async () => {
    for (const socket of sockets) socket.destroy();
    await new Promise((done) => listener.close(done));
  });
  return (listener.address() as AddressInfo).port;
}

const startsReplication = (sql: string): boolean => sql.startsWith('START_REPLICATION');
const OPTIONS = {
  slot: 'slot',
  publication: 'publication',
  startLsn: toLsn(1n),
  confirmed: toLsn(1n),
  messages: false,
  statusIntervalMs: 10_000,
  receiveTimeoutMs: 60_000,
  senderTimeoutMs: 60_000,
  maxMessageBytes: 1_000_000,
};
const NOTHING = Buffer.alloc(0);

const settingsTo = (port: number) => databaseSettings({ name: 'app', host: '127.0.0.1', port });

/** With the first query, where the greeting is one. */
test.each([
  ['says an error without an end', backendMessage('E', Buffer.from('SFATAL\0Mno'))],
  ['says an error without fields', backendMessage('E', Buffer.alloc(0))],
  ['warns without an end', Buffer.concat([WELCOME, backendMessage('N', Buffer.from('Mno'))])],
  ['has a message of length 0', lengthOf('R', 0)],
  ['has a negative length', lengthOf('S', 0xffff_ffff)],
  ['announces an error of 4 GB', lengthOf('E', 0xffff_fff0, 'SFATAL\0')],
  ['wants a proof that nobody knows', backendMessage('R', Buffer.from([0, 0, 0, 99]))],
  ['sends a proof that is cut', backendMessage('R', Buffer.from([0, 0]))],
])('a server that %s', async (_, greeting) => {
  await expect(findPrimary(settingsTo(await server(greeting)))).rejects.toMatchObject({
    code: 'PROTOCOL_BROKEN',
    kind: 'retryable',
    message: expect.stringContaining('127.0.0.1') as string,
  });
});

/** Where the connection is to be encrypted, what comes before it is would be taken for the server's own words. */
test.each([
  ['welcomes us in the same breath as it agrees to TLS', Buffer.concat([Buffer.from('S'), WELCOME])],
  ['welcomes us in the same breath as it refuses TLS', Buffer.concat([Buffer.from('N'), WELCOME])],
  ['welcomes us instead', WELCOME],
  ['agrees twice', Buffer.from('SS')],
  ['says an error instead', errorResponse('53300', 'sorry, too many clients already')],
  ['speaks HTTP', Buffer.from('HTTP/1.1 400 Bad Request\r\n\r\n')],
])('a server that is asked for TLS and %s is not believed', async (_, greeting) => {
  for (const mode of ['verify-full', 'require', 'prefer'] as const) {
    const asked: string[] = [];
    const port = await server(greeting, (sql) => {
      asked.push(sql);
      return READY;
    });
    const settings = databaseSettings({ name: 'app', host: '127.0.0.1', port }, { tls: { mode } });
    const broken = { code: 'PROTOCOL_BROKEN', kind: 'retryable' };
    await expect(findPrimary(settings)).rejects.toMatchObject(broken);
    await expect(connectReplication(settings, settings.hosts[0]!)).rejects.toMatchObject(broken);
    expect(asked).toEqual([]);
  }
});

test('a server that agrees to TLS, and goes on in clear, is not believed', async () => {
  const listener = createServer((socket) => {
    socket.on('error', () => undefined);
    socket.once('data', () => {
      socket.write('S');
      socket.once('data', () => socket.write(WELCOME));
    });
  });
  await new Promise<void>((done) => listener.listen(0, '127.0.0.1', done));
  onTestFinished(() => void listener.close());
  const at = { name: 'app', host: '127.0.0.1', port: (listener.address() as AddressInfo).port };
  await expect(findPrimary(databaseSettings(at, { tls: { mode: 'require' } }))).rejects.toMatchObject({
    code: 'PROTOCOL_BROKEN',
  });
});

test('a server that asks for the password in clear gets it, as from libpq, unless require_auth excludes that', async () => {
  const given: string[] = [];
  const listener = createServer((socket) => {
    socket.on('error', () => undefined);
    socket.once('data', () => {
      socket.write(backendMessage('R', Buffer.from([0, 0, 0, 3])));
      socket.once('data', (bytes: Buffer) => {
        if (bytes[0] === PASSWORD) given.push(bytes.toString('utf8', 5, bytes.length - 1));
        socket.end(errorResponse('28P01', 'no'));
      });
    });
  });
  await new Promise<void>((done) => listener.listen(0, '127.0.0.1', done));
  onTestFinished(() => void listener.close());
  const at = { name: 'app', host: '127.0.0.1', port: (listener.address() as AddressInfo).port };
  const only = { methods: ['scram-sha-256'], channelBinding: 'prefer' } as const;
  await expect(findPrimary(databaseSettings(at, { authentication: only }))).rejects.toMatchObject({
    code: 'AUTHENTICATION_UNWANTED',
  });
  expect(given).toEqual([]);
  await expect(findPrimary(databaseSettings(at))).rejects.toMatchObject({ code: 'PASSWORD_REFUSED' });
  expect(given).toEqual(['postgres']);
});

test.each([
  ['describes columns that are not there', backendMessage('T', Buffer.from([0x7f, 0xff]))],
  ['has a row of fewer than no columns', backendMessage('D', Buffer.from([0xff, 0xff]))],
  ['has a row that is cut', backendMessage('D', Buffer.from([0, 9]))],
])('a server that answers and %s', async (_, bytes) => {
  const port = await server(WELCOME, () => bytes);
  await expect(findPrimary(settingsTo(port))).rejects.toMatchObject({ code: 'PROTOCOL_BROKEN' });
});

test('what a server says of an error is not told without end', async () => {
  const text = 'x'.repeat(500_000);
  const failure: unknown = await findPrimary(settingsTo(await server(errorResponse('XX000', text)))).catch(
    (error: unknown) => error,
  );
  expect(failure).toMatchObject({ code: 'POSTGRES_XX000' });
  expect((failure as Error).message.length).toBeLessThan(3_000);
});

test.each([
  ['a message of length 0', lengthOf('d', 0)],
  ['data without its kind', lengthOf('d', 4)],
  ['WAL data that ends before it begins', backendMessage('d', Buffer.from('w'))],
  ['an error of 4 GB', lengthOf('E', 0xffff_ffff, 'SFATAL\0')],
  ['data of no known kind, without end', lengthOf('d', 0x7fff_ffff, 'x'.repeat(500))],
])('a stream with %s breaks, and what came before it is read', async (_, bytes) => {
  const port = await server(WELCOME, (sql) =>
    startsReplication(sql) ? Buffer.concat([COPY_BOTH, walData('sound'), bytes]) : READY,
  );
  const settings = settingsTo(port);
  const connection = await connectReplication(settings, settings.hosts[0]!);
  const stream = await startReplication(connection, OPTIONS);
  onTestFinished(() => stream.destroy());
  const batch = await stream.read();
  expect(batch?.bytes.toString('utf8', batch.starts[0], batch.ends[0])).toBe('sound');
  const rest = async (): Promise<void> => {
    while ((await stream.read()) !== undefined);
  };
  await expect(rest()).rejects.toMatchObject({ code: 'PROTOCOL_BROKEN', kind: 'retryable' });
});

test('a server that never answers START_REPLICATION is given up', async () => {
  const settings = settingsTo(await server(WELCOME, (sql) => (startsReplication(sql) ? NOTHING : READY)));
  const connection = await connectReplication(settings, settings.hosts[0]!);
  await expect(startReplication(connection, { ...OPTIONS, receiveTimeoutMs: 300 })).rejects.toMatchObject({
    code: 'CONNECTION_SILENT',
    kind: 'retryable',
  });
});

test.each([
  ['an ordinary connection', connectOrdinary],
  ['one for replication', connectReplication],
])('a server that lets us in and then says nothing more is given up: %s', async (_, connect) => {
  const asked: string[] = [];
  const port = await server(WELCOME, (sql) => {
    asked.push(sql);
    return NOTHING;
  });
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
  onTestFinished(() => void vi.useRealTimers());
  const settings = settingsTo(port);
  const failed = connect(settings, settings.hosts[0]!).catch((error: unknown) => error);
  while (asked.length === 0) await new Promise((done) => setImmediate(done));
  await vi.advanceTimersByTimeAsync(120_000);
  expect(await failed).toMatchObject({ kind: 'retryable' });
});
