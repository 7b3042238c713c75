// Random requests to the HTTP API as bytes on a socket: right ones, wrong ones, and what is no HTTP. The same for the same seed.
import { connect } from 'node:net';
import { seededRandom } from './workload.ts';

type Random = () => number;

const pick = <T>(random: Random, list: readonly T[]): T => list[Math.floor(random() * list.length)]!;
const chance = (random: Random, share: number): boolean => random() < share;

const METHODS = [
  'GET',
  'POST',
  'PATCH',
  'PUT',
  'DELETE',
  'HEAD',
  'OPTIONS',
  'TRACE',
  'PROPFIND',
  'get',
  'G\u0000T',
  '',
];
const NAMES = [
  'queue',
  'stream',
  'shop/queue',
  'shop%2Fstream',
  'nobody',
  '__proto__',
  'constructor',
  '%',
  '%zz',
  '%00',
  '%c0%ae',
  '..',
  '%2e%2e%2f',
  '\u00e9',
  '%F0%9F%98%80',
  'x'.repeat(800),
  '%41'.repeat(300),
  '',
];
const PATHS = [
  '/health',
  '/ready',
  '/metrics',
  '/',
  '//',
  '*',
  '/api',
  '/api/sinks',
  '/api/sinks/NAME',
  '/api/sinks/NAME/rewind',
  '/api/sinks/NAME/dead_letters',
  '/api/sinks/NAME/dead_letters/NUMBER',
  '/api/sinks/NAME/dead_letters/discard',
  '/api/sinks/NAME/dead_letters/replay',
  '/api/databases/NAME/gaps',
  '/api/databases/shop/gaps/NUMBER',
  '/api/databases/shop/gaps/NUMBER/accept',
  '/api/sequin_streams/NAME/receive',
  '/api/sequin_streams/stream/receive',
  '/api/sequin_streams/stream/ack',
  '/api/sequin_streams/stream/nack',
  '/api/http_pull_consumers/NAME/ack',
  '/api/http_pull_consumers/stream/receive',
  'http://evil.example/api/sinks',
  '/api/sinks/../../health',
  '\\api\\sinks',
];
const NUMBERS = [
  '0',
  '1',
  '-1',
  '1e999',
  '9007199254740993',
  '0x10',
  'NaN',
  '1.5',
  '',
  '%20',
  '00',
  '18446744073709551616',
  '١',
];
const QUERIES = [
  'limit=NUMBER',
  'after=NUMBER',
  'batch_size=NUMBER',
  'batch_size=2',
  'max_batch_size=1',
  'wait_for=NUMBER',
  'wait_for=5ms',
  'wait_for=-5s',
  'database=NAME',
  'table=NAME',
  'table=public.users',
  'since=lately',
  'since=2026-01-01T00:00:00Z',
  'code=',
  '=&&=',
  '__proto__=1',
  '__proto__[x]=1',
  'limit=1&limit=2',
  'ids[]=1',
  '%',
  '%zz=%zz',
  `a=${'b'.repeat(4000)}`,
  '?',
  '#',
];
const HEADERS = [
  'Content-Type: application/json',
  'Content-Type: application/json; charset=utf-16',
  'Content-Type: text/plain',
  'Content-Type: ',
  'Content-Type: multipart/form-data',
  'Content-Type: application/json, text/html',
  'Authorization: Bearer x',
  'Authorization: Basic \u00ff',
  'Origin: null',
  'Origin: http://evil.example',
  'Host: evil.example',
  'Sec-Fetch-Site: cross-site',
  'Sec-Fetch-Site: none',
  'Expect: 100-continue',
  'Expect: more',
  'Transfer-Encoding: chunked',
  'Transfer-Encoding: gzip',
  'Content-Length: -1',
  'Content-Length: 5',
  'Content-Length: 99999999999999999999',
  'Content-Encoding: gzip',
  'Upgrade: websocket',
  'Connection: Upgrade',
  'Connection: keep-alive',
  'Accept: \u0000',
  'X: a\u0001b',
  'no colon',
  ': no name',
  ' folded: x',
  '__proto__: x',
  `X-Long: ${'y'.repeat(20_000)}`,
  'Range: bytes=0-',
  'Cookie: a=b',
  'Accept-Version: 9',
  'If-None-Match: *',
  'X-HTTP-Method-Override: DELETE',
  'Host: ',
];
const VALUES = [
  'null',
  'true',
  '0',
  '-1',
  '1',
  '1e999',
  '9007199254740993',
  '1'.repeat(400),
  '""',
  '"\\u0000"',
  '"\\ud800"',
  '"paused"',
  '"active"',
  '"disabled"',
  '"earliest"',
  '"16/B374D848"',
  '"2026-01-02T03:04:05Z"',
  '"public.users"',
  '"5ms"',
  '[]',
  '{}',
  '[1]',
  '[[1]]',
  '[null]',
  '["00000000-0000-4000-8000-000000000000"]',
  '{"__proto__":{"x":1}}',
  '"x"',
  '[1,1,1]',
  '[0]',
  '["1"]',
  '2',
  '0.5',
];
const KEYS = [
  'status',
  'now',
  'to',
  'ids',
  'all',
  'table',
  'code',
  'since',
  'per_second',
  'ack_ids',
  'batch_size',
  'max_batch_size',
  'wait_for',
  '__proto__',
  'constructor',
  'toString',
  'hasOwnProperty',
  '',
  'x',
];

const filled = (random: Random, text: string): string =>
  text
    .replaceAll('NAME', () => (chance(random, 0.6) ? pick(random, ['queue', 'stream']) : pick(random, NAMES)))
    .replaceAll('NUMBER', () => pick(random, NUMBERS));

/** Method and path as the API has them. */
const RIGHT_TARGETS = [
  ['GET', '/health'],
  ['GET', '/metrics'],
  ['GET', '/api/sinks'],
  ['GET', '/api/sinks/NAME'],
  ['PATCH', '/api/sinks/NAME'],
  ['POST', '/api/sinks/NAME/rewind'],
  ['GET', '/api/sinks/NAME/dead_letters'],
  ['POST', '/api/sinks/NAME/dead_letters/discard'],
  ['POST', '/api/sinks/NAME/dead_letters/replay'],
  ['GET', '/api/databases/shop/gaps'],
  ['POST', '/api/sequin_streams/stream/receive'],
  ['GET', '/api/sequin_streams/stream/receive'],
  ['POST', '/api/http_pull_consumers/stream/receive'],
  ['POST', '/api/sequin_streams/stream/ack'],
  ['POST', '/api/sequin_streams/stream/nack'],
] as const;
/** Of a body that is understood. */
const RIGHT_FIELDS = [
  '"status":"paused"',
  '"status":"active"',
  '"status":"disabled"',
  '"status":"paused","now":true',
  '"to":"earliest"',
  '"to":"2026-01-02T03:04:05Z"',
  '"to":"0/1"',
  '"ids":[1]',
  '"all":true',
  '"table":"public.users"',
  '"ack_ids":["00000000-0000-4000-8000-000000000000"]',
  '"batch_size":2',
  '"wait_for":5',
];

/** One field of these: a wait of minutes would be a right answer to a right question. */
const field = (random: Random): string => {
  const key = pick(random, KEYS);
  const value = pick(random, VALUES);
  return `${JSON.stringify(key)}:${key === 'wait_for' && /^\d{3,}|^1e/.test(value) ? '"5ms"' : value}`;
};

function bodyOf(random: Random): string {
  const fields = Array.from({ length: Math.floor(random() * 4) }, () => field(random));
  const right = `{${fields.join(',')}}`;
  switch (Math.floor(random() * 16)) {
    case 0:
      return '';
    case 1:
      return pick(random, VALUES);
    case 2:
      return right.slice(0, -1);
    case 3:
      return '['.repeat(50_000);
    case 4:
      return `{"a":`.repeat(20_000) + '1' + '}'.repeat(20_000);
    case 5:
      return `\u0000${right}`;
    case 6:
      return `{"to":"${'x'.repeat(1_100_000)}"}`;
    case 7:
    case 8:
    case 9:
    case 10:
      return `{${pick(random, RIGHT_FIELDS)}}`;
    default:
      return right;
  }
}

const noise = (random: Random): string =>
  Array.from({ length: 1 + Math.floor(random() * 200) }, () =>
    String.fromCharCode(Math.floor(random() * 256)),
  ).join('');

export type FuzzedRequest = {
  readonly bytes: Buffer;
  /** Is it one that HTTP knows, to its end? Then it is answered. */
  readonly isWhole: boolean;
};

/** One request, and perhaps more behind it on the same connection. */
function requestText(random: Random): { text: string; isWhole: boolean } {
  if (chance(random, 0.03)) return { text: noise(random), isWhole: false };
  const query = chance(random, 0.4) ? `?${filled(random, pick(random, QUERIES))}` : '';
  const isOdd = chance(random, 0.4);
  const [method, path] = chance(random, 0.5)
    ? pick(random, RIGHT_TARGETS)
    : [isOdd ? pick(random, METHODS) : pick(random, ['GET', 'POST', 'PATCH']), pick(random, PATHS)];
  const version =
    isOdd && chance(random, 0.1) ? pick(random, ['HTTP/1.0', 'HTTP/2.0', 'HTTP/9', '']) : 'HTTP/1.1';
  const body = method !== 'GET' || isOdd ? bodyOf(random) : '';
  const extra = isOdd ? Array.from({ length: Math.floor(random() * 4) }, () => pick(random, HEADERS)) : [];
  const head = [
    `${method} ${filled(random, path)}${query} ${version}`,
    ...(isOdd && chance(random, 0.1) ? [] : ['Host: 127.0.0.1']),
    ...(chance(random, 0.9) ? ['Content-Type: application/json'] : []),
    ...(isOdd && chance(random, 0.1) ? [] : [`Content-Length: ${Buffer.byteLength(body)}`]),
    ...(chance(random, 0.7) ? ['Connection: close'] : []),
    ...extra,
  ];
  const text = `${head.join(isOdd && chance(random, 0.1) ? '\n' : '\r\n')}\r\n\r\n${body}`;
  if (chance(random, 0.03))
    return { text: text.slice(0, Math.floor(random() * text.length)), isWhole: false };
  return { text: chance(random, 0.1) ? text + requestText(random).text : text, isWhole: !isOdd };
}

/** The requests of a seed, one after the other. */
export function fuzzedRequests(seed: number): () => FuzzedRequest {
  const random = seededRandom(seed);
  return () => {
    const { text, isWhole } = requestText(random);
    const isLatin = !isWhole && chance(random, 0.2);
    return { bytes: Buffer.from(text, isLatin ? 'latin1' : 'utf8'), isWhole };
  };
}

/** Who has sent half a request, or has its answer, ends its side after this long without a byte. */
const QUIET_MS = 100;

/**
 * Sends a request and resolves with what came until the other side ended. Rejects when a whole one is not answered, or the other
 * side does not end, for `hangMs`.
 */
export function exchange(port: number, { bytes, isWhole }: FuzzedRequest, hangMs: number): Promise<string> {
  return new Promise((resolve, reject) => {
    const socket = connect({ port, host: '127.0.0.1', allowHalfOpen: true });
    let answer = '';
    const late = setTimeout(() => {
      socket.destroy();
      reject(new Error(`it hangs: ${JSON.stringify(bytes.toString('latin1').slice(0, 600))}`));
    }, hangMs);
    let quiet: NodeJS.Timeout | undefined;
    const whenQuiet = (): void => {
      clearTimeout(quiet);
      quiet = setTimeout(() => socket.end(), QUIET_MS);
    };
    socket.on('data', (chunk: Buffer) => {
      answer += chunk.toString('latin1');
      whenQuiet();
    });
    socket.on('end', () => socket.end());
    socket.on('error', () => undefined);
    socket.on('close', () => {
      clearTimeout(late);
      clearTimeout(quiet);
      resolve(answer);
    });
    socket.write(bytes);
    if (!isWhole) whenQuiet();
  });
}

/** Of every answer in what came back on one connection. */
export const statusesIn = (answer: string): number[] =>
  [...answer.matchAll(/HTTP\/1\.1 (\d{3}) [A-Z]/g)].map(([, status]) => Number(status));
