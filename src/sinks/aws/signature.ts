// AWS Signature Version 4 for one shape of request: POST, a fixed set of headers.
// Hot file: what does not depend on the body is put together once a second, so a request costs four hashes (bench/micro/sqs.ts).
// https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html
import { createHmac, hash } from 'node:crypto';
import { canonicalPath, canonicalQuery, canonicalValue } from './canonical.ts';

export type AwsCredentials = {
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
  readonly sessionToken?: string;
};

export type SignableRequest = {
  /** With the port, unless it is the scheme's own. */
  readonly host: string;
  /** Percent-encoded, beginning with `/`. */
  readonly path: string;
  /** With its `?`, or empty. */
  readonly search: string;
  readonly contentType: string;
  /** The operation (`AmazonSQS.SendMessageBatch`); undefined where the body names it. */
  readonly target: string | undefined;
  readonly body: Uint8Array;
  readonly credentials: AwsCredentials;
  readonly nowMs: number;
};

/** All but the body and the second: it is the same in nearly all requests of a client. */
type Aim = Omit<SignableRequest, 'body' | 'nowMs'>;

/** What the requests of one second have in common. */
type Prepared = {
  readonly aim: Aim;
  readonly second: number;
  /** The canonical request up to the body's hash. */
  readonly canonical: string;
  /** The text to sign up to the canonical request's hash. */
  readonly toSign: string;
  /** The head up to the length of the body, from there to the signature. */
  readonly untilLength: string;
  readonly untilSignature: string;
};

export class RequestSigner {
  readonly #service: string;
  readonly #region: string;
  /** The day's signing key. */
  #keySecret = '';
  #keyDate = '';
  #hmac: ShortHmac | undefined;
  #prepared: Prepared | undefined;

  constructor(service: string, region: string) {
    this.#service = service;
    this.#region = region;
  }

  /** The head of the signed request: request line, headers, empty line. */
  head(request: SignableRequest): string {
    const second = Math.floor(request.nowMs / 1000);
    let prepared = this.#prepared;
    if (prepared === undefined || prepared.second !== second || !isSameAim(prepared.aim, request)) {
      prepared = this.#prepared = this.#prepare(request, second);
    }
    const { body } = request;
    const canonicalHash = hash('sha256', prepared.canonical + hash('sha256', body));
    const signature = this.#hmac!.of(prepared.toSign + canonicalHash);
    return `${prepared.untilLength}${body.length}${prepared.untilSignature}${signature}\r\n\r\n`;
  }

  #prepare({ host, path, search, contentType, target, credentials }: Aim, second: number): Prepared {
    const { accessKeyId, secretAccessKey, sessionToken: token } = credentials;
    const query = canonicalQuery(search);
    const time = basicTime(second);
    const date = time.slice(0, 8);
    this.#keepKey(secretAccessKey, date);
    const tokenName = token === undefined ? '' : ';x-amz-security-token';
    const tokenLine = token === undefined ? '' : `x-amz-security-token:${canonicalValue(token)}\n`;
    const tokenHeader = token === undefined ? '' : `x-amz-security-token: ${token}\r\n`;
    const targetName = target === undefined ? '' : ';x-amz-target';
    const targetLine = target === undefined ? '' : `x-amz-target:${target}\n`;
    const targetHeader = target === undefined ? '' : `x-amz-target: ${target}\r\n`;
    const signedNames = `content-type;host;x-amz-date${tokenName}${targetName}`;
    const scope = `${date}/${this.#region}/${this.#service}/aws4_request`;
    return {
      aim: { host, path, search, contentType, target, credentials },
      second,
      canonical:
        `POST\n${canonicalPath(path)}\n${query}\n` +
        `content-type:${contentType}\nhost:${host}\nx-amz-date:${time}\n${tokenLine}${targetLine}\n` +
        `${signedNames}\n`,
      toSign: `AWS4-HMAC-SHA256\n${time}\n${scope}\n`,
      untilLength:
        `POST ${query === '' ? path : `${path}?${query}`} HTTP/1.1\r\nhost: ${host}\r\n` +
        `content-type: ${contentType}\r\ncontent-length: `,
      untilSignature:
        `\r\nx-amz-date: ${time}\r\n${targetHeader}${tokenHeader}authorization: AWS4-HMAC-SHA256 ` +
        `Credential=${accessKeyId}/${scope}, SignedHeaders=${signedNames}, Signature=`,
    };
  }

  #keepKey(secret: string, date: string): void {
    if (this.#hmac !== undefined && secret === this.#keySecret && date === this.#keyDate) return;
    const hmac = (key: string | Buffer, text: string): Buffer =>
      createHmac('sha256', key).update(text).digest();
    const steps = [date, this.#region, this.#service, 'aws4_request'];
    this.#hmac = new ShortHmac(steps.reduce<Buffer>(hmac, Buffer.from(`AWS4${secret}`)));
    this.#keySecret = secret;
    this.#keyDate = date;
  }
}

const isSameAim = (a: Aim, b: Aim): boolean =>
  a.credentials === b.credentials &&
  a.target === b.target &&
  a.path === b.path &&
  a.search === b.search &&
  a.host === b.host &&
  a.contentType === b.contentType;

/** `20260102T030405Z`. */
const basicTime = (second: number): string =>
  new Date(second * 1000).toISOString().replace(/[:-]|\.\d{3}/g, '');

const BLOCK_BYTES = 64;
const HASH_BYTES = 32;
const INNER_PAD = 0x36;
const OUTER_PAD = 0x5c;

/**
 * HMAC-SHA-256 of short texts with one key, by two hashes in buffers that are used again: `createHmac` makes a stream of each, and
 * takes twice the time. https://www.rfc-editor.org/rfc/rfc2104
 */
class ShortHmac {
  #inner = Buffer.alloc(BLOCK_BYTES);
  readonly #outer = Buffer.alloc(BLOCK_BYTES + HASH_BYTES);

  /** `key`: no longer than a block. */
  constructor(key: Buffer) {
    this.#inner.set(key);
    this.#outer.set(key);
    for (let i = 0; i < BLOCK_BYTES; i++) {
      this.#inner[i]! ^= INNER_PAD;
      this.#outer[i]! ^= OUTER_PAD;
    }
  }

  /** In hexadecimal, of a text in ASCII. */
  of(text: string): string {
    const length = BLOCK_BYTES + text.length;
    // Texts to sign differ in length where services or regions do, and those do not change.
    if (this.#inner.length !== length) this.#inner = Buffer.concat([this.#inner], length);
    this.#inner.write(text, BLOCK_BYTES, 'latin1');
    this.#outer.write(hash('sha256', this.#inner, 'latin1'), BLOCK_BYTES, 'latin1');
    return hash('sha256', this.#outer);
  }
}
