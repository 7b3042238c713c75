// Signed requests on the wire: POSTs to one endpoint over kept-alive connections, with a deadline each.
// Hot file: undici's dispatcher without its conveniences (bench/micro/sqs.ts).
import type { IncomingHttpHeaders } from 'node:http';
import { Pool, type Dispatcher } from 'undici';
import { MALFORMED_REPLY, RequestError } from './aws-errors.ts';

/** Connections to one endpoint, whatever the number of routes and lanes. */
const MAX_CONNECTIONS = 256;

/** Idle connections are closed by us before the server does, or its reset would meet the next request. */
const KEEP_ALIVE_MS = 15_000;

/** Answers are at most ten entries long. */
const MAX_REPLY_BYTES = 1024 * 1024;

export type HttpRequest = {
  /** Name, value, name, value, … */
  readonly headers: string[];
  /** Must not change before the request settles, nor after an error: a dead socket may still hold it. */
  readonly body: Uint8Array;
  readonly signal: AbortSignal;
};

export type HttpReply = {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly bytes: Buffer;
};

export class AwsHttp {
  readonly #pool: Pool;
  readonly #path: string;
  readonly #timeoutMs: number;

  constructor({ endpoint, timeoutMs }: { readonly endpoint: URL; readonly timeoutMs: number }) {
    this.#path = endpoint.pathname;
    this.#timeoutMs = timeoutMs;
    this.#pool = new Pool(endpoint.origin, {
      connections: MAX_CONNECTIONS,
      keepAliveTimeout: KEEP_ALIVE_MS,
      // `post` has a deadline for the whole: an answer byte by byte would never be late here.
      headersTimeout: 0,
      bodyTimeout: 0,
      connect: { timeout: timeoutMs },
    });
  }

  /**
   * Resolves with any answer. Throws RequestError when there is none, not in time or not whole, and the signal's
   * reason when it aborts.
   */
  post({ headers, body, signal }: HttpRequest): Promise<HttpReply> {
    return new Promise((resolve, reject) => {
      let controller: Dispatcher.DispatchController | undefined;
      let given: Error | undefined;
      let head: { status: number; headers: IncomingHttpHeaders } = { status: 0, headers: {} };
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
      const timer = setTimeout(() => giveUp(lateAfter(this.#timeoutMs)), this.#timeoutMs);
      signal.addEventListener('abort', abort, { once: true });
      this.#pool.dispatch(
        { path: this.#path, method: 'POST', headers, body },
        {
          onRequestStart(started) {
            controller = started;
            if (given !== undefined) started.abort(given);
          },
          onResponseStart(_, status, headers) {
            head = { status, headers };
          },
          onResponseData(controller, chunk) {
            received += chunk.length;
            if (received > MAX_REPLY_BYTES) controller.abort(new Error('the answer is too long'));
            else chunks.push(chunk);
          },
          onResponseEnd() {
            settled();
            resolve({ ...head, bytes: chunks.length === 1 ? chunks[0]! : Buffer.concat(chunks) });
          },
          onResponseError(_, error) {
            settled();
            reject(given ?? networkError(error));
          },
        },
      );
    });
  }

  /** Ends every connection, also those with a request in flight. */
  async close(): Promise<void> {
    await this.#pool.destroy();
  }
}

const lateAfter = (timeoutMs: number): RequestError =>
  new RequestError({ code: 'ETIMEDOUT', message: `no complete answer within ${timeoutMs} ms` });

function networkError(error: Error & { code?: string }): RequestError {
  // Node tries every address of a name (happy eyeballs): the first one's code stands for all.
  const first = error instanceof AggregateError ? (error.errors[0] as Error & { code?: string }) : error;
  const code = error.code ?? first.code ?? MALFORMED_REPLY;
  return new RequestError({ code, message: first.message, cause: error });
}
