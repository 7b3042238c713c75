import * as fc from 'fast-check';
import { expect, onTestFinished, test, vi } from 'vitest';
import { ReplyReader, type HttpReply } from '../../../src/sinks/http/reply.ts';

const MAX_BODY_BYTES = 1000;
const reader = (): ReplyReader => new ReplyReader({ maxBytes: MAX_BODY_BYTES, keepsBody: true });
const read = (text: string): HttpReply | undefined => reader().push(Buffer.from(text, 'latin1'));
const body = (reply: HttpReply | undefined): string | undefined => reply?.body.toString();

const CHUNKED = 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n';

const replies: readonly (readonly [what: string, text: string, body: string, keepAlive: boolean])[] = [
  ['with a length', 'HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello', 'hello', true],
  ['without a body', 'HTTP/1.1 204 No Content\r\n\r\n', '', true],
  [
    'that has none, though it tells a length',
    'HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n',
    '',
    true,
  ],
  ['without a reason', 'HTTP/1.1 500\r\ncontent-length:0\r\n\r\n', '', true],
  ['after a 100', 'HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\na', 'a', true],
  [
    'that ends the connection',
    'HTTP/1.1 200 OK\r\nConnection: Close\r\nContent-Length: 1\r\n\r\na',
    'a',
    false,
  ],
  [
    'that ends the connection, among other options',
    'HTTP/1.1 200 OK\r\nConnection: x, close\r\nConnection: y\r\nContent-Length: 1\r\n\r\na',
    'a',
    false,
  ],
  ['of an old server', 'HTTP/1.0 200 OK\r\nContent-Length: 1\r\n\r\na', 'a', false],
  [
    'of an old server that keeps',
    'HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 1\r\n\r\na',
    'a',
    true,
  ],
  ['in chunks', `${CHUNKED}5\r\nhello\r\n6;x=y\r\n world\r\n0\r\n\r\n`, 'hello world', true],
  [
    'whose lines end with LF alone',
    'HTTP/1.1 200 OK\nContent-Length: 5\nX: y\n\nh\r\n\r\n',
    'h\r\n\r\n',
    true,
  ],
  ['whose lines end with either', 'HTTP/1.1 200 OK\r\nContent-Length: 1\nX: y\n\r\na', 'a', true],
  [
    'in chunks whose lines end with LF alone',
    'HTTP/1.1 200 OK\nTransfer-Encoding: chunked\n\n2\nok\n1;x\n!\n0\nx: y\n\n',
    'ok!',
    true,
  ],
  [
    'after two that only inform',
    'HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\nHTTP/1.1 100\n\nHTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\na',
    'a',
    true,
  ],
  [
    'after one that only informs, and claims a body all the same',
    'HTTP/1.1 102 Processing\r\nContent-Length: 41\r\nTransfer-Encoding: chunked\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\na',
    'a',
    true,
  ],
  [
    'without a body, with the end of one behind it',
    `HTTP/1.1 204 No Content\r\nTransfer-Encoding: chunked\r\n\r\n`,
    '',
    true,
  ],
  [
    'with a head of 20 KB',
    `HTTP/1.1 200 OK\r\nSet-Cookie: ${'x'.repeat(20_000)}\r\nContent-Length: 1\r\n\r\na`,
    'a',
    true,
  ],
  [
    'behind an empty line too many',
    '\r\nHTTP/1.1 100 Continue\r\n\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\na',
    'a',
    true,
  ],
  [
    'with a header that is folded',
    'HTTP/1.1 200 OK\r\nX: y\r\n z\r\n\tContent-Length: 9\r\nContent-Length: 1\r\n\r\na',
    'a',
    true,
  ],
  ['in chunks whose sizes are padded', `${CHUNKED}0000000000000001\r\na\r\n0000000000\r\n\r\n`, 'a', true],
  ['in chunks with trailers', `${CHUNKED}A\r\n0123456789\r\n0\r\nx: y\r\nz: w\r\n\r\n`, '0123456789', true],
];

test.each(replies)('a reply %s is read, in one piece or byte by byte', (_, text, expected, keepAlive) => {
  const bytes = Buffer.from(text);
  expect(body(read(text))).toBe(expected);
  fc.assert(
    fc.property(fc.array(fc.integer({ min: 1, max: bytes.length })), (cuts) => {
      const places = [...new Set([0, ...cuts, bytes.length])].sort((a, b) => a - b);
      const one = reader();
      let reply: HttpReply | undefined;
      for (let i = 1; i < places.length; i++) {
        expect(reply).toBeUndefined();
        // The reader may not keep what it is given: the buffer is used again.
        const piece = Buffer.from(bytes.subarray(places[i - 1], places[i]));
        reply = one.push(piece);
        piece.fill(0);
      }
      expect(body(reply)).toBe(expected);
      expect(reply?.keepAlive).toBe(keepAlive);
    }),
  );
});

test('a reply without a length ends with the connection', () => {
  const one = reader();
  expect(one.push(Buffer.from('HTTP/1.1 200 OK\r\n\r\nsome'))).toBeUndefined();
  expect(one.push(Buffer.from(' more'))).toBeUndefined();
  expect(one.end()).toMatchObject({ status: 200, keepAlive: false, body: Buffer.from('some more') });
});

test('a reply that is cut off is no reply', () => {
  const one = reader();
  one.push(Buffer.from('HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhel'));
  expect(one.end()).toBeUndefined();
});

test('headers are found by their names in any case, and repeated ones are joined', () => {
  const reply = read(
    'HTTP/1.1 429 Slow\r\nRetry-After:  7 \r\nX-A: 1\r\nx-a: 2\r\nContent-Length: 0\r\n\r\n',
  );
  expect(reply?.header('retry-after')).toBe('7');
  expect(reply?.header('x-a')).toBe('1, 2');
  expect(reply?.header('date')).toBeUndefined();
});

test('one connection carries reply after reply, and bytes that nobody asked for end it', () => {
  const one = reader();
  const text = 'HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\na';
  expect(body(one.push(Buffer.from(text)))).toBe('a');
  expect(one.push(Buffer.from(text))).toMatchObject({ keepAlive: true });
  expect(one.push(Buffer.from(`${text}HTTP`))).toMatchObject({ keepAlive: false });
});

test.each([
  ['no HTTP', 'SSH-2.0-OpenSSH\r\n\r\n'],
  ['another protocol, before its first empty line', '220 mail.example.com ESMTP\r\n'],
  ['the first byte of TLS', '\x15'],
  ['a length that is folded', 'HTTP/1.1 200 OK\r\nContent-Length: 1\r\n 0\r\n\r\na'],
  ['a chunk of more than 4 GiB', `${CHUNKED}100000000\r\n`],
  ['another version', 'HTTP/2 200 OK\r\n\r\n'],
  ['a header without a name', 'HTTP/1.1 200 OK\r\n: x\r\n\r\n'],
  ['a length that is no number', 'HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n'],
  ['two lengths', 'HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\na'],
  ['a length and chunks', 'HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\na'],
  ['another encoding', 'HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\na'],
  ['a chunk without a size', `${CHUNKED}x\r\n`],
  ['a chunk longer than it says', `${CHUNKED}1\r\nab\r\n`],
  ['a line without end between chunks', `${CHUNKED}1;${'x'.repeat(20_000)}`],
  ['another encoding after chunks', `${CHUNKED.slice(0, -2)}Transfer-Encoding: gzip\r\n\r\n`],
  ['too long a head', `HTTP/1.1 200 OK\r\n${'x: y\r\n'.repeat(20_000)}`],
])('%s is refused as no reply', (_, text) => {
  expect(() => read(text)).toThrow(/the reply cannot be read/);
});

const TOO_LONG = [
  ['with a length', `HTTP/1.1 200 OK\r\nContent-Length: ${MAX_BODY_BYTES + 1}\r\n\r\n`],
  ['in chunks', `${CHUNKED}${'1\r\na\r\n'.repeat(MAX_BODY_BYTES + 1)}`],
  ['without a length', `HTTP/1.1 200 OK\r\n\r\n${'a'.repeat(MAX_BODY_BYTES + 1)}`],
] as const;

test.each(TOO_LONG)('a body %s above the limit is refused', (_, text) => {
  expect(() => read(text)).toThrow(expect.objectContaining({ code: 'REPLY_TOO_LONG' }));
});

test('where bodies are dropped they may be of any length, and their end is found all the same', () => {
  const dropping = new ReplyReader({ maxBytes: 0, keepsBody: false });
  const length = 'HTTP/1.1 200 OK\r\nContent-Length: 5000\r\n\r\n' + 'a'.repeat(5000);
  const chunks = `${CHUNKED}${'1388\r\n' + 'a'.repeat(5000) + '\r\n'}0\r\n\r\n`;
  for (const text of [length, chunks]) {
    const bytes = Buffer.from(text);
    expect(dropping.push(bytes.subarray(0, 3000))).toBeUndefined();
    expect(dropping.push(bytes.subarray(3000))).toMatchObject({ keepAlive: true, body: Buffer.alloc(0) });
  }
});

test('the reply to HEAD has no body, whatever length it tells', () => {
  const one = reader();
  one.expect(true);
  const head = 'HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n';
  expect(one.push(Buffer.from(head))).toMatchObject({ status: 200, keepAlive: true });
  one.expect(false);
  expect(one.push(Buffer.from(head))).toBeUndefined();
});

test('how long the server keeps an idle connection is heard', () => {
  const hint = (value: string): number | undefined =>
    read(`HTTP/1.1 204 No Content\r\nKeep-Alive: ${value}\r\n\r\n`)?.keepAliveMs;
  expect([hint('timeout=5, max=100'), hint('max=3,Timeout=7'), hint('max=3')]).toEqual([
    5000,
    7000,
    undefined,
  ]);
});

test.each([
  ['a head', `HTTP/1.1 200 OK\r\n${'X: y\r\n'.repeat(8000)}Content-Length: 0\r\n\r\n`],
  ['a head of one line', `HTTP/1.1 200 OK\r\nX: ${'y'.repeat(50_000)}\r\nContent-Length: 0\r\n\r\n`],
  ['what only informs', `${'HTTP/1.1 103 Early\r\nX: y\r\n\r\n'.repeat(90)}HTTP/1.1 204 None\r\n\r\n`],
  ['chunks', `${CHUNKED}${'1;x=y\r\na\r\n'.repeat(900)}0\r\n${'x: y\r\n'.repeat(2000)}\r\n`],
  ['a chunk’s extension', `${CHUNKED}1;${'x'.repeat(16_000)}\r\na\r\n0\r\n\r\n`],
])('%s that comes byte by byte is looked at once, not anew at each read', (_, text) => {
  let [searched, copied] = [0, 0];
  const { indexOf, copy } = Buffer.prototype;
  vi.spyOn(Buffer.prototype, 'indexOf').mockImplementation(function (this: Buffer, ...args) {
    const found: number = Reflect.apply(indexOf, this, args);
    searched += (found === -1 ? this.length : found) - Number(args[1] ?? 0);
    return found;
  });
  vi.spyOn(Buffer.prototype, 'copy').mockImplementation(function (this: Buffer, ...args) {
    const count: number = Reflect.apply(copy, this, args);
    copied += count;
    return count;
  });
  const concat = vi.spyOn(Buffer, 'concat');
  onTestFinished(() => void vi.restoreAllMocks());
  const one = reader();
  let reply: HttpReply | undefined;
  for (const byte of Buffer.from(text)) reply = one.push(Buffer.of(byte));
  vi.restoreAllMocks();
  expect(reply?.status).toBeLessThan(300);
  // Growing room moves what is in it; two bytes at a line's end are looked at again.
  expect(searched).toBeLessThan(4 * text.length);
  expect(copied).toBeLessThan(4 * text.length);
  expect(concat).not.toHaveBeenCalled();
});
