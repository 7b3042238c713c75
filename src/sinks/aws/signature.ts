// AWS Signature Version 4 for one shape of request: POST, a fixed set of headers.
// Hot file: the day's signing key is kept, so a request costs two hashes and one HMAC (bench/micro/sqs.ts).
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

export class RequestSigner {
  readonly #service: string;
  readonly #region: string;
  // The key depends on these two and nothing else that changes; the time is text once a second.
  #keySecret = '';
  #keyDate = '';
  #key: Buffer = Buffer.alloc(0);
  #second = -1;
  #time = '';
  // So do these: an endpoint is the same in all requests to it, and a token in all requests with the same credentials.
  #path = '';
  #search = '';
  #target = '/';
  #canonicalTarget = '/\n';
  #token = '';
  #canonicalToken = '';

  constructor(service: string, region: string) {
    this.#service = service;
    this.#region = region;
  }

  /** The head of the signed request: request line, headers, empty line. */
  head(request: SignableRequest): string {
    const { host, contentType, target, credentials } = request;
    const token = credentials.sessionToken;
    if (request.path !== this.#path || request.search !== this.#search) this.#aimAt(request);
    const time = this.#basicTime(request.nowMs);
    const date = time.slice(0, 8);
    const [tokenName, tokenLine] =
      token === undefined
        ? ['', '']
        : [';x-amz-security-token', `x-amz-security-token:${this.#canonicalOf(token)}\n`];
    const [targetName, targetLine] =
      target === undefined ? ['', ''] : [';x-amz-target', `x-amz-target:${target}\n`];
    const signedNames = `content-type;host;x-amz-date${tokenName}${targetName}`;
    const canonicalRequest =
      `POST\n${this.#canonicalTarget}\n` +
      `content-type:${contentType}\nhost:${host}\nx-amz-date:${time}\n${tokenLine}${targetLine}\n` +
      `${signedNames}\n${hash('sha256', request.body)}`;
    const scope = `${date}/${this.#region}/${this.#service}/aws4_request`;
    const textToSign = `AWS4-HMAC-SHA256\n${time}\n${scope}\n${hash('sha256', canonicalRequest)}`;
    const signature = createHmac('sha256', this.#signingKey(credentials.secretAccessKey, date))
      .update(textToSign)
      .digest('hex');
    const authorization = `AWS4-HMAC-SHA256 Credential=${credentials.accessKeyId}/${scope}, SignedHeaders=${signedNames}, Signature=${signature}`;
    const tokenHeader = token === undefined ? '' : `x-amz-security-token: ${token}\r\n`;
    const targetHeader = target === undefined ? '' : `x-amz-target: ${target}\r\n`;
    return (
      `POST ${this.#target} HTTP/1.1\r\nhost: ${host}\r\ncontent-type: ${contentType}\r\ncontent-length: ${request.body.length}\r\n` +
      `x-amz-date: ${time}\r\n${targetHeader}${tokenHeader}authorization: ${authorization}\r\n\r\n`
    );
  }

  #aimAt({ path, search }: SignableRequest): void {
    const query = canonicalQuery(search);
    this.#path = path;
    this.#search = search;
    this.#target = query === '' ? path : `${path}?${query}`;
    this.#canonicalTarget = `${canonicalPath(path)}\n${query}`;
  }

  #canonicalOf(token: string): string {
    if (token !== this.#token) {
      this.#token = token;
      this.#canonicalToken = canonicalValue(token);
    }
    return this.#canonicalToken;
  }

  #signingKey(secret: string, date: string): Buffer {
    if (secret !== this.#keySecret || date !== this.#keyDate) {
      const hmac = (key: string | Buffer, text: string): Buffer =>
        createHmac('sha256', key).update(text).digest();
      const steps = [date, this.#region, this.#service, 'aws4_request'];
      this.#key = steps.reduce<Buffer>(hmac, Buffer.from(`AWS4${secret}`));
      this.#keySecret = secret;
      this.#keyDate = date;
    }
    return this.#key;
  }

  /** `20260102T030405Z`. */
  #basicTime(ms: number): string {
    const second = Math.floor(ms / 1000);
    if (second !== this.#second) {
      this.#second = second;
      this.#time = new Date(ms).toISOString().replace(/[:-]|\.\d{3}/g, '');
    }
    return this.#time;
  }
}
