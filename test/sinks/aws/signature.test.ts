import { createHash, createHmac, type Hash, type Hmac } from 'node:crypto';
import { SignatureV4 } from '@smithy/signature-v4';
import * as fc from 'fast-check';
import { expect, test } from 'vitest';
import { canonicalPath } from '../../../src/sinks/aws/canonical.ts';
import { RequestSigner, type AwsCredentials } from '../../../src/sinks/aws/signature.ts';

type Bytes = string | ArrayBuffer | ArrayBufferView;

/** The hash that the SDK's signer asks for. */
class Sha256 {
  readonly #hash: Hash | Hmac;
  constructor(secret?: Bytes) {
    this.#hash = secret === undefined ? createHash('sha256') : createHmac('sha256', bytesOf(secret));
  }
  update(chunk: Bytes): void {
    this.#hash.update(bytesOf(chunk));
  }
  digest(): Promise<Uint8Array> {
    return Promise.resolve(this.#hash.digest());
  }
  reset(): void {
    throw new Error('the signer makes a new one instead');
  }
}

function bytesOf(data: Bytes): Uint8Array {
  if (typeof data === 'string') return Buffer.from(data);
  return ArrayBuffer.isView(data)
    ? new Uint8Array(data.buffer, data.byteOffset, data.byteLength)
    : new Uint8Array(data);
}

type Case = {
  host: string;
  path: string;
  search: string;
  target: string | undefined;
  body: Uint8Array;
  credentials: AwsCredentials;
  nowMs: number;
  contentType?: string;
};

const CONTENT_TYPE = 'application/x-amz-json-1.0';

/** As the SDK takes it from an endpoint: several values of a key are a list. */
function queryOf(search: string): Record<string, string | string[]> {
  const query = new URLSearchParams(search);
  return Object.fromEntries(
    [...new Set(query.keys())].map((key) => {
      const values = query.getAll(key).toSorted();
      return [key, values.length === 1 ? values[0]! : values];
    }),
  );
}

async function sdkHeaders(request: Case): Promise<Record<string, string>> {
  const signer = new SignatureV4({
    service: 'sqs',
    region: 'eu-west-1',
    credentials: request.credentials,
    sha256: Sha256,
    applyChecksum: false,
  });
  const [hostname, port] = request.host.split(':');
  const signed = await signer.sign(
    {
      method: 'POST',
      protocol: 'https:',
      hostname: hostname!,
      ...(port !== undefined && { port: Number(port) }),
      path: request.path,
      query: queryOf(request.search),
      headers: {
        host: request.host,
        'content-type': request.contentType ?? CONTENT_TYPE,
        ...(request.target !== undefined && { 'x-amz-target': request.target }),
      },
      body: request.body,
    },
    { signingDate: new Date(request.nowMs) },
  );
  return signed.headers;
}

function ourHeaders(signer: RequestSigner, request: Case): Record<string, string> {
  const [requestLine, ...lines] = signer.head({ contentType: CONTENT_TYPE, ...request }).split('\r\n');
  const [path, query = ''] = requestLine!.replace(/^POST (.*) HTTP\/1\.1$/, '$1').split('?');
  expect(path).toBe(request.path);
  expect(queryOf(query)).toEqual(queryOf(request.search));
  expect(lines.splice(-2)).toEqual(['', '']);
  const headers = Object.fromEntries(lines.map((line) => line.split(/: (.*)/s) as [string, string]));
  const { 'content-length': length, ...signed } = headers;
  expect(length).toBe(String(request.body.length));
  return signed;
}

/** Of URLs as they are configured; the URL parser spells them as they are sent. */
const pathAndQuery = fc
  .record({
    path: fc.array(
      fc.oneof(
        fc.constantFrom(
          '/',
          '//',
          '.',
          '..',
          '%20',
          '%2F',
          '%2f',
          '%25',
          '+',
          '(',
          ')',
          ':',
          '@',
          '!',
          "'",
          '*',
          '~',
        ),
        fc.string({ unit: 'grapheme', maxLength: 3 }),
      ),
      { maxLength: 8 },
    ),
    query: fc.array(
      fc.tuple(fc.string({ unit: 'grapheme', maxLength: 3 }), fc.string({ unit: 'grapheme', maxLength: 5 })),
      { maxLength: 4 },
    ),
    raw: fc.constantFrom('', '&a', '&a=', '&a=b+c', '&a=%20&a=%2B&a=!', '&=x', '&%zz=%'),
  })
  .map(({ path, query, raw }) => {
    const url = new URL('http://localhost/');
    url.pathname = path.join('');
    const search = new URLSearchParams(query).toString() + raw;
    if (search !== '') url.search = search;
    return { path: url.pathname, search: url.search };
  });

/** What may stand in a header: the credentials' own rule is stricter. */
const token = fc.oneof(
  fc.constant('token/=='),
  fc
    .array(fc.constantFrom('a', 'B/', '=', ' ', '   ', '\t', ' \t '), { minLength: 1, maxLength: 8 })
    .map((parts) => parts.join(''))
    .filter((text) => text.trim() !== ''),
);

test('a request is signed as the SDK signs it, whatever keys, path, query, day and body follow one another', async () => {
  const signer = new RequestSigner('sqs', 'eu-west-1');
  const secret = fc.constantFrom('secret/one', 'secret+two');
  const request = fc
    .record({
      host: fc.constantFrom('sqs.eu-west-1.amazonaws.com', 'localhost:4566'),
      place: pathAndQuery,
      target: fc.constantFrom('AmazonSQS.SendMessageBatch', undefined),
      body: fc.uint8Array({ maxLength: 300 }),
      credentials: fc.record(
        { accessKeyId: fc.constant('AKIDEXAMPLE'), secretAccessKey: secret, sessionToken: token },
        { requiredKeys: ['accessKeyId', 'secretAccessKey'] },
      ),
      nowMs: fc.integer({ min: Date.UTC(2026, 0, 1), max: Date.UTC(2026, 0, 4) }),
    })
    .map(({ place, ...rest }) => ({ ...place, ...rest }));
  await fc.assert(
    fc.asyncProperty(request, async (request) => {
      expect(ourHeaders(signer, request)).toEqual(await sdkHeaders(request));
    }),
    { numRuns: 300 },
  );
});

test('what differs between requests of one second is signed as the SDK signs it', async () => {
  const signer = new RequestSigner('sqs', 'eu-west-1');
  const first: Case = {
    host: 'localhost:4566',
    path: '/',
    search: '',
    target: 'AmazonSQS.SendMessageBatch',
    body: Buffer.from('{}'),
    credentials: { accessKeyId: 'AKIDEXAMPLE', secretAccessKey: 'secret/one' },
    nowMs: Date.UTC(2026, 0, 2, 3, 4, 5),
  };
  const others: Partial<Case>[] = [
    { nowMs: first.nowMs + 999 },
    { nowMs: first.nowMs + 1000 },
    { host: 'localhost:4567' },
    { path: '/a' },
    { search: '?a=b' },
    { target: 'AmazonSQS.GetQueueUrl' },
    { target: undefined },
    { contentType: 'application/x-www-form-urlencoded' },
    { body: Buffer.from('{"a":1}') },
    { credentials: { accessKeyId: 'AKIDEXAMPLE', secretAccessKey: 'secret/two' } },
    { credentials: { accessKeyId: 'AKIDOTHER', secretAccessKey: 'secret/one' } },
    { credentials: { ...first.credentials, sessionToken: 'token' } },
  ];
  for (const other of others) {
    for (const request of [first, { ...first, ...other }])
      expect(ourHeaders(signer, request)).toEqual(await sdkHeaders(request));
  }
});

test.each([
  ['/', '/'],
  ['/a/../b', '/b'],
  ['/../a', '/a'],
  ['/./a//b/', '/a/b/'],
  ['/a%2Fb', '/a%252Fb'],
])('the path %s is signed as %s', (path, canonical) => {
  expect(canonicalPath(path)).toBe(canonical);
});
