// Calls of an AWS service, whatever its protocol: signed, with credentials and clock kept right. It never retries.
// Hot file: the SDK's client takes ten times the CPU for the one call that counts (bench/micro/sqs.ts).
import { wallMs } from '../../core/clock.ts';
import { descriptorShortage } from '../../core/descriptors.ts';
import { shortageOf } from '../../core/shortages.ts';
import type { CredentialCache } from './credentials.ts';
import {
  bareCode,
  CREDENTIALS_MISSING,
  MALFORMED_REPLY,
  mayBeCuredByClock,
  mayBeCuredByNewCredentials,
  RequestError,
} from './errors.ts';
import { awsHttp } from './http.ts';
import { RequestSigner, type AwsCredentials } from './signature.ts';
import type { ReceivedReply, RequestBytes } from '../http/connection.ts';
import { httpDateMs } from '../http/date.ts';
import { NoReplyError } from '../http/errors.ts';
import type { HttpPool } from '../http/pool.ts';
import type { HttpReply } from '../http/reply.ts';

/** A clock that differs by less than this is not what AWS complains of. */
const MIN_CLOCK_DIFFERENCE_MS = 4 * 60_000;

/** What tells AWS' protocols apart: `json.ts`, `query.ts`. */
export type AwsProtocol = {
  readonly contentType: string;
  /** The header `x-amz-target` for an action; undefined: the body names it. */
  target(action: string): string | undefined;
  /** The answer in an answer's body; throws when it is none to this action. */
  read(text: string, action: string): unknown;
  /** What the body of a refusal says; undefined, or a throw: nothing (a proxy in between may answer anything). */
  readRefusal(text: string): { readonly code: string; readonly message: string | undefined } | undefined;
};

/** An answer with status 200. */
export type AwsAnswer = {
  readonly body: Buffer;
  /** As the protocol reads it; throws when it is none to the action. */
  parse(): unknown;
};

export type AwsClientOptions = {
  /** As the signature's scope names it. */
  readonly service: string;
  readonly protocol: AwsProtocol;
  readonly endpoint: URL;
  readonly region: string;
  readonly credentials: CredentialCache;
  readonly timeoutMs: number;
};

export class AwsClient {
  readonly #options: AwsClientOptions;
  readonly #http: HttpPool;
  readonly #signer: RequestSigner;
  /** AWS's clock minus ours, once AWS has complained. */
  #clockOffsetMs = 0;

  constructor(options: AwsClientOptions) {
    this.#options = options;
    this.#signer = new RequestSigner(options.service, options.region);
    this.#http = awsHttp(options.endpoint, options.timeoutMs);
  }

  /**
   * Calls `action` with `body`, in the protocol's bytes; resolves with what `read` makes of the answer. Throws
   * RequestError when AWS refuses or nobody answers, and the signal's reason when it aborts. What `read` throws says that
   * this answers something else: RequestError, and the connection is closed. The bytes must not change before they are
   * released.
   */
  async call<Answer>(
    action: string,
    body: RequestBytes,
    signal: AbortSignal,
    read: (answer: AwsAnswer) => Answer,
  ): Promise<Answer> {
    signal.throwIfAborted();
    const { protocol, endpoint, credentials: cache } = this.#options;
    const found = cache.get();
    const credentials = found instanceof Promise ? await awaitCredentials(found) : found;
    const head = this.#signer.head({
      host: endpoint.host,
      path: endpoint.pathname,
      search: endpoint.search,
      contentType: protocol.contentType,
      target: protocol.target(action),
      body: body.buffer.subarray(body.bodyStart, body.end),
      credentials,
      nowMs: wallMs() + this.#clockOffsetMs,
    });
    let reply: ReceivedReply;
    try {
      reply = await this.#http.request(head, body, signal);
    } catch (error) {
      if (!(error instanceof NoReplyError)) throw error;
      throw new RequestError({ code: error.code, message: error.message, cause: error });
    }
    if (reply.status === 200) return readWith(read, { protocol, reply, action });
    const error = refusalOf(protocol, reply);
    this.#learnFrom(error, reply, credentials);
    throw error;
  }

  get region(): string {
    return this.#options.region;
  }

  get endpoint(): URL {
    return this.#options.endpoint;
  }

  /** Ends every connection, also those with a request in flight. */
  close(): void {
    this.#http.close();
  }

  #learnFrom(error: RequestError, reply: HttpReply, credentials: AwsCredentials): void {
    if (mayBeCuredByNewCredentials(error.code)) this.#options.credentials.refused(credentials);
    const theirMs = mayBeCuredByClock(error.code) ? httpDateMs(reply.header('date')) : undefined;
    if (theirMs === undefined) return;
    const difference = theirMs - wallMs();
    // Somebody may have set ours right since it was found wrong.
    this.#clockOffsetMs = Math.abs(difference) > MIN_CLOCK_DIFFERENCE_MS ? difference : 0;
  }
}

async function awaitCredentials(found: Promise<AwsCredentials>): Promise<AwsCredentials> {
  try {
    return await found;
  } catch (cause) {
    if (cause instanceof RequestError) throw cause;
    const message = cause instanceof Error ? cause.message : String(cause);
    // The SDK's providers say of a file that cannot be opened, or a host that cannot be reached, that there are none.
    const shortage = shortageOf(cause) ?? descriptorShortage();
    if (shortage !== undefined)
      throw new RequestError({ code: shortage.code, message: shortage.what, cause });
    throw new RequestError({ code: CREDENTIALS_MISSING, message: `no AWS credentials: ${message}`, cause });
  }
}

type Answered = {
  readonly protocol: AwsProtocol;
  readonly reply: ReceivedReply;
  readonly action: string;
};

function readWith<Answer>(
  read: (answer: AwsAnswer) => Answer,
  { protocol, reply, action }: Answered,
): Answer {
  const { body } = reply;
  try {
    return read({ body, parse: () => protocol.read(body.toString(), action) });
  } catch (cause) {
    reply.hangUp();
    if (cause instanceof RequestError) throw cause;
    const { status } = reply;
    throw new RequestError({ code: MALFORMED_REPLY, status, message: `no answer to ${action}`, cause });
  }
}

function refusalOf(protocol: AwsProtocol, reply: HttpReply): RequestError {
  const { status } = reply;
  try {
    const refusal = protocol.readRefusal(reply.body.toString());
    const code = refusal && bareCode(refusal.code);
    if (refusal !== undefined && code !== undefined) {
      return new RequestError({ code, status, message: refusal.message ?? code });
    }
  } catch {
    // No refusal of AWS: the status says what can be said.
  }
  const code = status >= 500 || status === 429 || status === 413 ? `HTTP_${status}` : MALFORMED_REPLY;
  return new RequestError({ code, status, message: `HTTP ${status} without an error code` });
}
