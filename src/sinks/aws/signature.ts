// AWS Signature Version 4 for one shape of request: POST, a fixed set of headers.
// Hot file: what does not depend on the body is put together once a second, so a request costs a hash of its body and five or six blocks (bench/micro/sqs.ts).
// https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html
import { createHmac, hash } from 'node:crypto';
import {
  BLOCK_BYTES,
  HEX_DIGITS,
  HmacKey,
  INITIAL_STATE,
  STATE_WORDS,
  takeBlocks,
  takeEnd,
  writeHex,
} from '../../core/sha256.ts';
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
  /** Of canonical requests: up to the body's hash they are the same. */
  readonly canonical: DigestsBehind;
  /** Of texts to sign, behind the key: up to the canonical request's hash they are the same. */
  readonly toSign: DigestsBehind;
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
  #key: HmacKey | undefined;
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
    const { canonical, toSign } = prepared;
    canonical.digest(hash('sha256', body));
    toSign.digestOfDigest();
    this.#key!.finish(STATE);
    writeHex(STATE, HEX, 0);
    const signature = HEX.toString('latin1');
    return `${prepared.untilLength}${body.length}${prepared.untilSignature}${signature}\r\n\r\n`;
  }

  #prepare({ host, path, search, contentType, target, credentials }: Aim, second: number): Prepared {
    const { accessKeyId, secretAccessKey, sessionToken: token } = credentials;
    const query = canonicalQuery(search);
    const time = basicTime(second);
    const date = time.slice(0, 8);
    const key = this.#keepKey(secretAccessKey, date);
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
      canonical: new DigestsBehind(
        `POST\n${canonicalPath(path)}\n${query}\n` +
          `content-type:${contentType}\nhost:${host}\nx-amz-date:${time}\n${tokenLine}${targetLine}\n` +
          `${signedNames}\n`,
        INITIAL_STATE,
        0,
      ),
      toSign: new DigestsBehind(`AWS4-HMAC-SHA256\n${time}\n${scope}\n`, key.inner, BLOCK_BYTES),
      untilLength:
        `POST ${query === '' ? path : `${path}?${query}`} HTTP/1.1\r\nhost: ${host}\r\n` +
        `content-type: ${contentType}\r\ncontent-length: `,
      untilSignature:
        `\r\nx-amz-date: ${time}\r\n${targetHeader}${tokenHeader}authorization: AWS4-HMAC-SHA256 ` +
        `Credential=${accessKeyId}/${scope}, SignedHeaders=${signedNames}, Signature=`,
    };
  }

  #keepKey(secret: string, date: string): HmacKey {
    if (this.#key !== undefined && secret === this.#keySecret && date === this.#keyDate) return this.#key;
    const hmac = (key: string | Buffer, text: string): Buffer =>
      createHmac('sha256', key).update(text).digest();
    const steps = [date, this.#region, this.#service, 'aws4_request'];
    this.#key = new HmacKey(steps.reduce<Buffer>(hmac, Buffer.from(`AWS4${secret}`)));
    this.#keySecret = secret;
    this.#keyDate = date;
    return this.#key;
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

/** One each is enough: a request is signed without a pause. */
const STATE = new Int32Array(STATE_WORDS);
const HEX = Buffer.alloc(HEX_DIGITS);

/**
 * Digests of texts that begin alike and end with a digest in hexadecimal: what they begin with is taken in once, but for what does not fill
 * a block. A call of node:crypto costs several times the blocks that are left.
 */
class DigestsBehind {
  readonly #state: Int32Array;
  readonly #before: number;
  /** The rest of the beginning, and room for the digits. */
  readonly #text: Buffer;
  readonly #digitsAt: number;

  /** `state`: what is before it, so many bytes. */
  constructor(beginning: string, state: Int32Array, before: number) {
    const bytes = Buffer.from(beginning);
    this.#state = state.slice();
    const rest = takeBlocks(this.#state, bytes, 0, bytes.length);
    this.#before = before + rest;
    this.#digitsAt = bytes.length - rest;
    this.#text = Buffer.concat([bytes.subarray(rest), Buffer.alloc(HEX_DIGITS)]);
  }

  /** Makes `STATE` the digest of the text with these digits. */
  digest(digits: string): void {
    this.#text.write(digits, this.#digitsAt, 'latin1');
    this.#digest();
  }

  /** The same with the digits of the digest that `STATE` is. */
  digestOfDigest(): void {
    writeHex(STATE, this.#text, this.#digitsAt);
    this.#digest();
  }

  #digest(): void {
    STATE.set(this.#state);
    takeEnd(STATE, this.#before, this.#text, 0, this.#text.length);
  }
}
