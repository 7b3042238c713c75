import { createHash, createHmac, type Hash, type Hmac } from 'node:crypto';
import { SignatureV4 } from '@smithy/signature-v4';
import * as fc from 'fast-check';
import { expect, test } from 'vitest';
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
  target: string | undefined;
  body: Uint8Array;
  credentials: AwsCredentials;
  nowMs: number;
};

const CONTENT_TYPE = 'application/x-amz-json-1.0';

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
      query: {},
      headers: {
        host: request.host,
        'content-type': CONTENT_TYPE,
        ...(request.target !== undefined && { 'x-amz-target': request.target }),
      },
      body: request.body,
    },
    { signingDate: new Date(request.nowMs) },
  );
  return signed.headers;
}

function ourHeaders(signer: RequestSigner, request: Case): Record<string, string> {
  const [requestLine, ...lines] = signer.head({ ...request, contentType: CONTENT_TYPE }).split('\r\n');
  expect(requestLine).toBe(`POST ${request.path} HTTP/1.1`);
  expect(lines.splice(-2)).toEqual(['', '']);
  const headers = Object.fromEntries(lines.map((line) => line.split(': ') as [string, string]));
  const { 'content-length': length, ...signed } = headers;
  expect(length).toBe(String(request.body.length));
  return signed;
}

test('a request is signed as the SDK signs it, whatever keys, day and body follow one another', async () => {
  const signer = new RequestSigner('sqs', 'eu-west-1');
  const secret = fc.constantFrom('secret/one', 'secret+two');
  const request = fc.record({
    host: fc.constantFrom('sqs.eu-west-1.amazonaws.com', 'localhost:4566'),
    path: fc.constantFrom('/', '/prefix/'),
    target: fc.constantFrom('AmazonSQS.SendMessageBatch', undefined),
    body: fc.uint8Array({ maxLength: 300 }),
    credentials: fc.record(
      {
        accessKeyId: fc.constant('AKIDEXAMPLE'),
        secretAccessKey: secret,
        sessionToken: fc.constant('token/=='),
      },
      { requiredKeys: ['accessKeyId', 'secretAccessKey'] },
    ),
    nowMs: fc.integer({ min: Date.UTC(2026, 0, 1), max: Date.UTC(2026, 0, 4) }),
  });
  await fc.assert(
    fc.asyncProperty(request, async (request) => {
      expect(ourHeaders(signer, request)).toEqual(await sdkHeaders(request));
    }),
  );
});
