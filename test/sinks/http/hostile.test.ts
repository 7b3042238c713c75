// Servers that mean harm, lie or break off, on real connections: never a false success, never a wait beyond the timeout,
// never more memory than the limits say, and the next request gets its own answer.
import { createServer as createTcpServer, type AddressInfo, type Server, type Socket } from 'node:net';
import { createServer as createTlsServer, getCACertificates, setDefaultCACertificates } from 'node:tls';
import { gzipSync } from 'node:zlib';
import { beforeAll, describe, expect, onTestFinished, test } from 'vitest';
import { HttpPool } from '../../../src/sinks/http/pool.ts';
import { patient } from '../../support/messages.ts';
import { selfSignedCertificate } from '../../support/tls.ts';
import { waitFor } from '../../support/wait.ts';

const certificate = selfSignedCertificate();
beforeAll(() => setDefaultCACertificates([...getCACertificates('default'), certificate.cert]));

const MAX_BODY_BYTES = 100_000;
/** Of a case that ends by it. */
const SHORT_TIMEOUT_MS = 300;
const LONG_TIMEOUT_MS = 30_000;

/** What the server does with the first request that comes. */
type Behaviour = (socket: Socket) => void;

const says =
  (text: string): Behaviour =>
  (socket) =>
    void socket.write(text, 'latin1');
const saysAndEnds =
  (text: string): Behaviour =>
  (socket) =>
    void socket.end(text, 'latin1');
const saysAndResets =
  (text: string): Behaviour =>
  (socket) =>
    void socket.write(text, 'latin1', () => socket.resetAndDestroy());
/** As fast as the client takes it, until it has had enough. */
const floods =
  (start: string, piece: string): Behaviour =>
  (socket) => {
    const pieces = Buffer.from(piece.repeat(Math.ceil(65_536 / piece.length)), 'latin1');
    socket.write(start, 'latin1');
    const pour = (): void => {
      while (!socket.destroyed && socket.write(pieces));
    };
    socket.on('drain', pour);
    pour();
  };
/** Byte by byte, for ever. */
const drips =
  (start: string, piece: string): Behaviour =>
  (socket) => {
    socket.write(start, 'latin1');
    let at = 0;
    const timer = setInterval(() => socket.write(piece[at++ % piece.length]!, 'latin1'), 5);
    socket.once('close', () => clearInterval(timer));
  };

const OK = 'HTTP/1.1 200 OK\r\n';
const CHUNKED = `${OK}Transfer-Encoding: chunked\r\n\r\n`;
const WHOLE = `${OK}Content-Length: 2\r\n\r\nok`;

type Reply = { readonly status: number; readonly body: string };
type Case = {
  readonly name: string;
  readonly does: Behaviour;
  /** The code of the failure, or the reply. */
  readonly expected: string | Reply;
  /** Bodies are dropped: there is no limit to them. */
  readonly drops?: true;
};

const reply = (status: number, body: string): Reply => ({ status, body });
const malformed = (name: string, text: string): Case => ({
  name,
  does: says(text),
  expected: 'MALFORMED_REPLY',
});
const framed = (name: string, headers: string, body = 'a'): Case =>
  malformed(name, `${OK}${headers}\r\n\r\n${body}`);

const cases: readonly Case[] = [
  // No HTTP at all, or none that we speak.
  { name: 'says nothing and hangs up', does: saysAndEnds(''), expected: 'ECONNRESET' },
  { name: 'resets the connection', does: saysAndResets(''), expected: 'ECONNRESET' },
  { name: 'says nothing, ever', does: () => undefined, expected: 'ETIMEDOUT' },
  malformed('speaks HTTP/0.9', '<html>ok</html>'),
  malformed('speaks HTTP/2', 'HTTP/2 200\r\n\r\n'),
  malformed('speaks SSH', 'SSH-2.0-OpenSSH_9.9\r\n'),
  malformed('has a status of two digits', 'HTTP/1.1 20 OK\r\n\r\n'),
  malformed('has a status of four digits', 'HTTP/1.1 2000 OK\r\n\r\n'),
  malformed('has a status that begins with 0', 'HTTP/1.1 020 OK\r\n\r\n'),
  { name: 'sends empty lines only', does: floods('', '\r\n'), expected: 'ETIMEDOUT' },
  // Heads.
  { name: 'sends a header without end', does: floods(`${OK}X: `, 'x'), expected: 'MALFORMED_REPLY' },
  { name: 'sends headers without end', does: floods(OK, 'X: y\r\n'), expected: 'MALFORMED_REPLY' },
  { name: 'sends its head byte by byte', does: drips(OK, 'X: y\r\n'), expected: 'ETIMEDOUT' },
  { name: 'hangs up in its head', does: saysAndEnds(`${OK}Content-Len`), expected: 'ECONNRESET' },
  framed('folds something onto the status line', ' x\r\nContent-Length: 1'),
  framed('folds its length', 'Content-Length: 1\r\n 0'),
  framed('hides a header behind a carriage return', 'X: y\rContent-Length: 9\r\nContent-Length: 1'),
  framed('hides a header behind a NUL', 'X\0: y\r\nContent-Length: 1'),
  framed('has a NUL in a value', 'X: y\0\r\nContent-Length: 1'),
  framed('has a header without a colon', 'X\r\nContent-Length: 1'),
  framed('has a blank before a colon', 'Transfer-Encoding : chunked\r\nContent-Length: 1'),
  framed('has a tab before a colon', 'Content-Length\t: 1'),
  // Lengths.
  framed('has a negative length', 'Content-Length: -1'),
  framed('has a length with a sign', 'Content-Length: +1'),
  framed('has a length in hexadecimal', 'Content-Length: 0x1'),
  framed('has a length beyond all numbers', `Content-Length: ${'9'.repeat(400)}`),
  framed('has an empty length', 'Content-Length:'),
  framed('has a length behind a strange blank', 'Content-Length: \xa01'),
  framed('has two lengths', 'Content-Length: 1\r\nContent-Length: 2'),
  framed('has the same length twice', 'Content-Length: 1\r\nContent-Length: 1'),
  framed('has a list of lengths', 'Content-Length: 1, 1'),
  {
    name: 'has a length above the limit',
    does: says(`${OK}Content-Length: 999999999999999\r\n\r\n`),
    expected: 'REPLY_TOO_LONG',
  },
  {
    name: 'has a length that it never reaches',
    does: says(`${OK}Content-Length: 3\r\n\r\nok`),
    expected: 'ETIMEDOUT',
  },
  { name: 'sends its body byte by byte', does: drips(CHUNKED, '1\r\na\r\n'), expected: 'ETIMEDOUT' },
  {
    name: 'hangs up in its body',
    does: saysAndEnds(`${OK}Content-Length: 3\r\n\r\nok`),
    expected: 'ECONNRESET',
  },
  {
    name: 'resets the connection in its body',
    does: saysAndResets(`${OK}Content-Length: 3\r\n\r\nok`),
    expected: 'ECONNRESET',
  },
  { name: 'sends a body without end', does: floods(`${OK}\r\n`, 'x'), expected: 'REPLY_TOO_LONG' },
  {
    name: 'sends a body without end, which is dropped',
    does: floods(`${OK}\r\n`, 'x'),
    expected: 'ETIMEDOUT',
    drops: true,
  },
  // Chunks.
  framed('has chunks and a length', 'Transfer-Encoding: chunked\r\nContent-Length: 1'),
  framed('has a length and chunks', 'Content-Length: 1\r\nTransfer-Encoding: chunked'),
  framed('has chunks twice', 'Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked', '0\r\n\r\n'),
  framed(
    'has chunks and another encoding',
    'Transfer-Encoding: gzip\r\nTransfer-Encoding: chunked',
    '0\r\n\r\n',
  ),
  framed('has another encoding', 'Transfer-Encoding: identity'),
  framed('has chunks behind a strange blank', 'Transfer-Encoding: \vchunked', '0\r\n\r\n'),
  malformed('has a chunk of negative size', `${CHUNKED}-1\r\n`),
  malformed('has a chunk of a size in C', `${CHUNKED}0x1\r\na\r\n0\r\n\r\n`),
  malformed('has a chunk of more than 4 GiB', `${CHUNKED}fffffffff\r\n`),
  malformed('has a chunk longer than it says', `${CHUNKED}1\r\nab`),
  malformed('has a carriage return in a chunk’s extension', `${CHUNKED}1;a\rb\r\na\r\n0\r\n\r\n`),
  {
    name: 'has a chunk’s extension without end',
    does: floods(`${CHUNKED}1;`, 'x'),
    expected: 'MALFORMED_REPLY',
  },
  { name: 'sends chunks without end', does: floods(CHUNKED, '1\r\na\r\n'), expected: 'REPLY_TOO_LONG' },
  {
    name: 'sends chunks without end, which are dropped',
    does: floods(CHUNKED, '1;x\r\na\r\n'),
    expected: 'ETIMEDOUT',
    drops: true,
  },
  { name: 'sends trailers without end', does: floods(`${CHUNKED}0\r\n`, 'x: y\r\n'), expected: 'ETIMEDOUT' },
  {
    name: 'hangs up before the last chunk',
    does: saysAndEnds(`${CHUNKED}2\r\nok\r\n`),
    expected: 'ECONNRESET',
  },
  // What comes before the reply.
  {
    name: 'only informs',
    does: floods('', 'HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n'),
    expected: 'MALFORMED_REPLY',
  },
  malformed('changes to another protocol', 'HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\n'),
  malformed('gives a body to a 100', `HTTP/1.1 100 Continue\r\nContent-Length: 5\r\n\r\nhello${WHOLE}`),
  // Replies all the same; what they bring along is not taken for the next one.
  {
    name: 'gives a body to a 204',
    does: says(`HTTP/1.1 204 None\r\n\r\n${WHOLE}`),
    expected: reply(204, ''),
  },
  {
    name: 'gives a body to a 304',
    does: says(`HTTP/1.1 304 Same\r\nContent-Length: ${WHOLE.length}\r\n\r\n${WHOLE}`),
    expected: reply(304, ''),
  },
  { name: 'answers twice', does: says(WHOLE + WHOLE), expected: reply(200, 'ok') },
  { name: 'answers more than it says', does: says(`${WHOLE}, and more`), expected: reply(200, 'ok') },
  { name: 'answers and resets', does: saysAndResets(WHOLE), expected: reply(200, 'ok') },
  { name: 'speaks HTTP/1.0', does: saysAndEnds('HTTP/1.0 200 OK\r\n\r\nok'), expected: reply(200, 'ok') },
  {
    name: 'speaks HTTP/1.0 in chunks',
    does: says(
      `${CHUNKED.replace('1.1', '1.0').replace('\r\n\r\n', '\r\nConnection: keep-alive\r\n\r\n')}2\r\nok\r\n0\r\n\r\n`,
    ),
    expected: reply(200, 'ok'),
  },
  ...['close, x', 'x,close', 'Keep-Alive, CLOSE', 'x\r\nConnection: close'].map((value) => ({
    name: `says Connection: ${JSON.stringify(value)}`,
    does: says(`${OK}Connection: ${value}\r\nContent-Length: 2\r\n\r\nok`),
    expected: reply(200, 'ok'),
  })),
];

async function listening(server: Server): Promise<number> {
  const sockets = new Set<Socket>();
  server.on('connection', (socket: Socket) => {
    sockets.add(socket);
    socket.on('error', () => undefined);
    socket.once('close', () => sockets.delete(socket));
  });
  await new Promise<void>((done) => server.listen(0, '127.0.0.1', done));
  onTestFinished(async () => {
    for (const socket of sockets) socket.destroy();
    await new Promise((done) => server.close(done));
  });
  return (server.address() as AddressInfo).port;
}

/** The first connection is the hostile one; those after it answer each request with `next`. */
function hostileFirst(does: Behaviour) {
  const seen = { connections: 0 };
  const serve = (socket: Socket): void => {
    socket.on('error', () => undefined);
    if (++seen.connections === 1) socket.once('data', () => does(socket));
    else socket.on('data', () => socket.write(`${OK}Content-Length: 4\r\n\r\nnext`));
  };
  return Object.assign(seen, { serve });
}

function poolTo(origin: string, timeoutMs: number, keepsBody = true): HttpPool {
  const pool = new HttpPool({
    origin: new URL(origin),
    maxConnections: 1,
    timeoutMs,
    keepAliveMs: LONG_TIMEOUT_MS,
    reply: { maxBytes: MAX_BODY_BYTES, keepsBody },
  });
  onTestFinished(() => pool.close());
  return pool;
}

/** The reply, or the code of the failure. */
async function outcome(pool: HttpPool, body = 'x'): Promise<string | Reply> {
  const bytes = Buffer.from(body);
  const head = `POST / HTTP/1.1\r\nhost: localhost\r\ncontent-length: ${bytes.length}\r\n\r\n`;
  try {
    const { status, body } = await pool.request(
      head,
      { buffer: bytes, bodyStart: 0, end: bytes.length },
      patient,
    );
    return reply(status, body.toString('latin1'));
  } catch (error) {
    return (error as { code: string }).code;
  }
}

const NEXT = reply(200, 'next');
/** One connection's buffers, the body's limit twice, and room for what is not ours. */
const MAX_GROWTH_BYTES = 16 * 1024 * 1024;

/** What still comes over the first connection may arrive before the next request, or meet it: it is no answer to it. */
const expectOwnAnswer = (pool: HttpPool, expected: Reply): Promise<unknown> =>
  waitFor(async () => {
    const next = await outcome(pool);
    if (typeof next === 'object') expect(next).toEqual(expected);
    return typeof next === 'object';
  }, 'the next request to be answered');

test.each(cases)('a server that $name', async ({ does, expected, drops }) => {
  const server = hostileFirst(does);
  const port = await listening(createTcpServer(server.serve));
  const timeoutMs = expected === 'ETIMEDOUT' ? SHORT_TIMEOUT_MS : LONG_TIMEOUT_MS;
  const pool = poolTo(`http://127.0.0.1:${port}`, timeoutMs, drops !== true);
  const before = process.memoryUsage().arrayBuffers;
  let peak = before;
  const watch = setInterval(() => (peak = Math.max(peak, process.memoryUsage().arrayBuffers)), 5);
  onTestFinished(() => clearInterval(watch));
  expect(await outcome(pool)).toEqual(expected);
  expect(Math.max(peak, process.memoryUsage().arrayBuffers) - before).toBeLessThan(MAX_GROWTH_BYTES);
  await expectOwnAnswer(pool, drops === true ? reply(200, '') : NEXT);
  expect(server.connections).toBeGreaterThan(1);
});

test('a body that would be a thousand times as long unpacked is left as it is', async () => {
  const packed = gzipSync(Buffer.alloc(64 * 1024 * 1024)).toString('latin1');
  const head = `${OK}Content-Encoding: gzip\r\nContent-Length: ${packed.length}\r\n\r\n`;
  const server = hostileFirst(says(head + packed));
  const port = await listening(createTcpServer(server.serve));
  const answer = await outcome(poolTo(`http://127.0.0.1:${port}`, LONG_TIMEOUT_MS));
  expect(answer).toEqual(reply(200, packed));
});

describe('a server that answers before it has read the request', () => {
  /** More than the buffers of both sockets take. */
  const LARGE = 'x'.repeat(32 * 1024 * 1024);
  const answersAtOnce =
    (text: string, then: Behaviour = () => undefined): Behaviour =>
    (socket) => {
      socket.pause();
      socket.write(text, 'latin1', () => then(socket));
    };

  const endings: readonly (readonly [string, Behaviour])[] = [
    ['and stays', () => undefined],
    ['and hangs up', (socket) => void socket.end()],
    ['and resets the connection', (socket) => void socket.resetAndDestroy()],
  ];
  test.each(endings)('%s has not taken it, though it says so', async (_, then) => {
    const server = hostileFirst(answersAtOnce(WHOLE, then));
    const port = await listening(createTcpServer(server.serve));
    const pool = poolTo(`http://127.0.0.1:${port}`, LONG_TIMEOUT_MS);
    // A reset may overtake the answer, and the write that it meets has a name of its own.
    expect(await outcome(pool, LARGE)).toMatch(/^(ECONNRESET|EPIPE)$/);
    expect(await outcome(pool)).toEqual(NEXT);
  });

  test('behind TLS has not taken it either', async () => {
    const server = hostileFirst(answersAtOnce(WHOLE));
    const port = await listening(createTlsServer(certificate, server.serve));
    const pool = poolTo(`https://localhost:${port}`, LONG_TIMEOUT_MS);
    expect(await outcome(pool, LARGE)).toBe('ECONNRESET');
    expect(await outcome(pool)).toEqual(NEXT);
  });

  test('and refuses it is heard', async () => {
    const refusal = WHOLE.replace('200', '413');
    const server = hostileFirst(answersAtOnce(refusal));
    const pool = poolTo(
      `http://127.0.0.1:${await listening(createTcpServer(server.serve))}`,
      LONG_TIMEOUT_MS,
    );
    expect(await outcome(pool, LARGE)).toEqual(reply(413, 'ok'));
    expect(await outcome(pool)).toEqual(NEXT);
  });
});

describe('behind TLS, a server that cuts the connection without a word', () => {
  // No close_notify: that would be `end`.
  const cuts =
    (text: string): Behaviour =>
    (socket) =>
      void socket.write(text, 'latin1', () => socket.destroy());

  test.each([
    ['before its reply', '', 'ECONNRESET'],
    ['in its head', OK, 'ECONNRESET'],
    ['in its body', `${OK}Content-Length: 3\r\n\r\nok`, 'ECONNRESET'],
    ['between its chunks', `${CHUNKED}2\r\nok\r\n`, 'ECONNRESET'],
    ['after its reply', WHOLE, reply(200, 'ok')],
  ])('%s', async (_, text, expected) => {
    const server = hostileFirst(cuts(text));
    const port = await listening(createTlsServer(certificate, server.serve));
    const pool = poolTo(`https://localhost:${port}`, LONG_TIMEOUT_MS);
    expect(await outcome(pool)).toEqual(expected);
    await expectOwnAnswer(pool, NEXT);
  });
});
