// Calls of an AWS service that speaks JSON: signed POST requests over kept-alive connections.
// Hot file: the SDK's client takes ten times the CPU for the one call that counts (bench/micro/sqs.ts).
// https://smithy.io/2.0/aws/protocols/aws-json-1_0-protocol.html
import type { CredentialCache } from './aws-credentials.ts';
import {
  bareCode,
  CREDENTIALS_MISSING,
  MALFORMED_REPLY,
  mayBeCuredByClock,
  mayBeCuredByNewCredentials,
  RequestError,
} from './aws-errors.ts';
import { RequestSigner, type AwsCredentials } from './aws-signature.ts';
import type { RequestBytes } from './http-connection.ts';
import { HttpPool } from './http-pool.ts';
import type { HttpReply } from './http-reply.ts';

const CONTENT_TYPE = 'application/x-amz-json-1.0';

/** Connections to one endpoint, whatever the number of queues and lanes. */
const MAX_CONNECTIONS = 256;

/** Idle connections are closed by us before the server does, or its reset would meet the next request. */
const KEEP_ALIVE_MS = 15_000;

/** Answers are at most ten entries long. */
const MAX_REPLY_BYTES = 1024 * 1024;

/** A clock that differs by less than this is not what AWS complains of. */
const MIN_CLOCK_DIFFERENCE_MS = 4 * 60_000;

export type AwsJsonClientOptions = {
  /** As the signature's scope names it. */
  readonly service: string;
  /** `AmazonSQS` in `AmazonSQS.SendMessageBatch`. */
  readonly targetPrefix: string;
  readonly endpoint: URL;
  readonly region: string;
  readonly credentials: CredentialCache;
  readonly timeoutMs: number;
};

export class AwsJsonClient {
  readonly #options: AwsJsonClientOptions;
  readonly #pool: HttpPool;
  readonly #signer: RequestSigner;
  readonly #path: string;
  /** AWS's clock minus ours, once AWS has complained. */
  #clockOffsetMs = 0;

  constructor(options: AwsJsonClientOptions) {
    const { endpoint, timeoutMs } = options;
    this.#options = options;
    this.#signer = new RequestSigner(options.service, options.region);
    this.#path = endpoint.pathname;
    this.#pool = new HttpPool({
      origin: endpoint,
      maxConnections: MAX_CONNECTIONS,
      timeoutMs,
      keepAliveMs: KEEP_ALIVE_MS,
      maxReplyBytes: MAX_REPLY_BYTES,
    });
  }

  /**
   * Calls `action` with a body that is JSON in UTF-8; resolves with the parsed answer. Throws RequestError when AWS
   * refuses or nobody answers, and the signal's reason when it aborts. The bytes must not change before this settles,
   * nor after an error (a dead socket may still hold them).
   */
  async call(action: string, body: RequestBytes, signal: AbortSignal): Promise<unknown> {
    signal.throwIfAborted();
    const found = this.#options.credentials.get();
    const credentials = found instanceof Promise ? await awaitCredentials(found) : found;
    const head = this.#signer.head({
      host: this.#options.endpoint.host,
      path: this.#path,
      contentType: CONTENT_TYPE,
      target: `${this.#options.targetPrefix}.${action}`,
      body: body.buffer.subarray(body.bodyStart, body.end),
      credentials,
      nowMs: Date.now() + this.#clockOffsetMs,
    });
    const reply = await this.#pool.request(head, body, signal);
    if (reply.status === 200) return parseReply(reply);
    const error = refusalOf(reply);
    this.#learnFrom(error, reply, credentials);
    throw error;
  }

  get region(): string {
    return this.#options.region;
  }

  /** Ends every connection, also those with a request in flight. */
  close(): void {
    this.#pool.close();
  }

  #learnFrom(error: RequestError, reply: HttpReply, credentials: AwsCredentials): void {
    if (mayBeCuredByNewCredentials(error.code)) this.#options.credentials.refused(credentials);
    if (mayBeCuredByClock(error.code)) {
      const difference = Date.parse(reply.header('date') ?? '') - Date.now();
      if (Math.abs(difference) > MIN_CLOCK_DIFFERENCE_MS) this.#clockOffsetMs = difference;
    }
  }
}

async function awaitCredentials(found: Promise<AwsCredentials>): Promise<AwsCredentials> {
  try {
    return await found;
  } catch (cause) {
    const message = cause instanceof Error ? cause.message : String(cause);
    throw new RequestError({ code: CREDENTIALS_MISSING, message: `no AWS credentials: ${message}`, cause });
  }
}

function parseReply(reply: HttpReply): unknown {
  try {
    return JSON.parse(reply.body.toString());
  } catch (cause) {
    throw new RequestError({ code: MALFORMED_REPLY, status: reply.status, message: 'not JSON', cause });
  }
}

/** `{"__type":"com.amazonaws.sqs#QueueDoesNotExist","message":"…"}`; a proxy in between may answer anything. */
function refusalOf(reply: HttpReply): RequestError {
  const { status } = reply;
  try {
    const body = JSON.parse(reply.body.toString()) as Readonly<Record<string, unknown>> | null;
    const type = body?.['__type'];
    if (typeof type === 'string') {
      const code = bareCode(type);
      const message = body?.['message'] ?? body?.['Message'];
      return new RequestError({ code, status, message: typeof message === 'string' ? message : code });
    }
  } catch {
    // Not JSON: the status says what can be said.
  }
  const code = status >= 500 || status === 429 ? `HTTP_${status}` : MALFORMED_REPLY;
  return new RequestError({ code, status, message: `HTTP ${status} without an error code` });
}
