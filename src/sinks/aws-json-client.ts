// Calls of an AWS service that speaks JSON: signed POST requests over kept-alive connections.
// Hot file: the SDK's client takes ten times the CPU for the one call that counts (bench/micro/sqs.ts).
// https://smithy.io/2.0/aws/protocols/aws-json-1_0-protocol.html
import type { IncomingHttpHeaders } from 'node:http';
import { Pool, type Dispatcher } from 'undici';
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

type HttpReply = { readonly status: number; readonly headers: IncomingHttpHeaders; readonly text: string };

export class AwsJsonClient {
  readonly #options: AwsJsonClientOptions;
  readonly #pool: Pool;
  readonly #signer: RequestSigner;
  readonly #path: string;
  /** AWS's clock minus ours, once AWS has complained. */
  #clockOffsetMs = 0;

  constructor(options: AwsJsonClientOptions) {
    const { endpoint, timeoutMs } = options;
    this.#options = options;
    this.#signer = new RequestSigner(options.service, options.region);
    this.#path = endpoint.pathname;
    this.#pool = new Pool(endpoint.origin, {
      connections: MAX_CONNECTIONS,
      keepAliveTimeout: KEEP_ALIVE_MS,
      // `send` has a deadline for the whole: a reply byte by byte would never be late here.
      headersTimeout: 0,
      bodyTimeout: 0,
      connect: { timeout: timeoutMs },
    });
  }

  /**
   * Calls `action` with `body`, JSON in UTF-8; resolves with the parsed answer. Throws RequestError when AWS refuses
   * or nobody answers, and the signal's reason when it aborts. `body` must not change before this settles, nor after
   * an error (a dead socket may still hold it).
   */
  async call(action: string, body: Uint8Array, signal: AbortSignal): Promise<unknown> {
    signal.throwIfAborted();
    const found = this.#options.credentials.get();
    const credentials = found instanceof Promise ? await awaitCredentials(found) : found;
    const headers = this.#signer.headers({
      host: this.#options.endpoint.host,
      path: this.#path,
      contentType: CONTENT_TYPE,
      target: `${this.#options.targetPrefix}.${action}`,
      body,
      credentials,
      nowMs: Date.now() + this.#clockOffsetMs,
    });
    const reply = await send(
      { pool: this.#pool, timeoutMs: this.#options.timeoutMs, signal },
      { path: this.#path, method: 'POST', headers, body },
    );
    if (reply.status === 200) return parseReply(reply);
    const error = refusalOf(reply);
    this.#learnFrom(error, reply, credentials);
    throw error;
  }

  get region(): string {
    return this.#options.region;
  }

  /** Ends every connection, also those with a request in flight. */
  async close(): Promise<void> {
    await this.#pool.destroy();
  }

  #learnFrom(error: RequestError, reply: HttpReply, credentials: AwsCredentials): void {
    if (mayBeCuredByNewCredentials(error.code)) this.#options.credentials.refused(credentials);
    if (mayBeCuredByClock(error.code)) {
      const difference = Date.parse(reply.headers.date ?? '') - Date.now();
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

type Exchange = { readonly pool: Pool; readonly timeoutMs: number; readonly signal: AbortSignal };

function send(
  { pool, timeoutMs, signal }: Exchange,
  options: Dispatcher.DispatchOptions,
): Promise<HttpReply> {
  return new Promise((resolve, reject) => {
    let controller: Dispatcher.DispatchController | undefined;
    let given: Error | undefined;
    let status = 0;
    let headers: IncomingHttpHeaders = {};
    let received = 0;
    const chunks: Buffer[] = [];
    const settled = (): void => {
      clearTimeout(timer);
      signal.removeEventListener('abort', abort);
    };
    const giveUp = (error: Error): void => {
      settled();
      given = error;
      // Before the request has a connection there is no controller yet: it is aborted when it gets one.
      controller?.abort(error);
      reject(error);
    };
    const abort = (): void => giveUp(signal.reason as Error);
    const timer = setTimeout(() => giveUp(noReplyWithin(timeoutMs)), timeoutMs);
    signal.addEventListener('abort', abort, { once: true });
    pool.dispatch(options, {
      onRequestStart(started) {
        controller = started;
        if (given !== undefined) started.abort(given);
      },
      onResponseStart(_, statusCode, responseHeaders) {
        status = statusCode;
        headers = responseHeaders;
      },
      onResponseData(controller, chunk) {
        received += chunk.length;
        if (received > MAX_REPLY_BYTES) controller.abort(new Error('the answer is too long'));
        else chunks.push(chunk);
      },
      onResponseEnd() {
        settled();
        const bytes = chunks.length === 1 ? chunks[0]! : Buffer.concat(chunks);
        resolve({ status, headers, text: bytes.toString() });
      },
      onResponseError(_, error) {
        settled();
        reject(given ?? networkError(error));
      },
    });
  });
}

const noReplyWithin = (timeoutMs: number): RequestError =>
  new RequestError({ code: 'ETIMEDOUT', message: `no complete answer within ${timeoutMs} ms` });

function networkError(error: Error & { code?: string }): RequestError {
  // Node tries every address of a name (happy eyeballs): the first one's code stands for all.
  const first = error instanceof AggregateError ? (error.errors[0] as Error & { code?: string }) : error;
  const code = error.code ?? first.code ?? MALFORMED_REPLY;
  return new RequestError({ code, message: first.message, cause: error });
}

function parseReply(reply: HttpReply): unknown {
  try {
    return JSON.parse(reply.text);
  } catch (cause) {
    throw new RequestError({ code: MALFORMED_REPLY, status: reply.status, message: 'not JSON', cause });
  }
}

/** `{"__type":"com.amazonaws.sqs#QueueDoesNotExist","message":"…"}`; a proxy in between may answer anything. */
function refusalOf(reply: HttpReply): RequestError {
  const { status } = reply;
  try {
    const body = JSON.parse(reply.text) as Readonly<Record<string, unknown>> | null;
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
