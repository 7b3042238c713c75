// One HTTP exchange: a request and its whole answer, within one deadline, of bounded size.
import type { IncomingHttpHeaders } from 'node:http';
import type { Dispatcher, Pool } from 'undici';

/** Of an answer that is read, a thousand messages with their keys have room here. */
const MAX_REPLY_BYTES = 1024 * 1024;

export const REPLY_TOO_LONG = 'REPLY_TOO_LONG';
export const EXCHANGE_TIMEOUT = 'EXCHANGE_TIMEOUT';
/** What is no failure of the network, of TLS or of HTTP. */
const UNNAMED = 'REQUEST_FAILED';

/** There was no answer, or not a whole one. */
export class ExchangeError extends Error {
  readonly code: string;

  constructor(message: string, code: string, cause?: unknown) {
    super(message, { cause });
    this.name = 'ExchangeError';
    this.code = code;
  }
}

export type HttpReply = {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  /** Empty unless asked for. */
  readonly body: Buffer;
};

export type ExchangeOptions = {
  readonly pool: Pool;
  /** From connecting to the last byte of the answer: an endpoint that trickles bytes is never silent. */
  readonly timeoutMs: number;
  /** Is the body of the answer read, or dropped as it comes? */
  readonly readsReply: boolean;
  readonly signal: AbortSignal;
};

/** Throws ExchangeError, and the signal's reason when it aborts. The body of the request must not change. */
export function exchange(
  request: Dispatcher.DispatchOptions,
  { pool, timeoutMs, readsReply, signal }: ExchangeOptions,
): Promise<HttpReply> {
  signal.throwIfAborted();
  return new Promise((resolve, reject) => {
    let controller: Dispatcher.DispatchController | undefined;
    let failure: Error | undefined;
    let status = 0;
    let headers: IncomingHttpHeaders = {};
    let received = 0;
    const chunks: Buffer[] = [];
    const settled = (): void => {
      clearTimeout(deadline);
      signal.removeEventListener('abort', abort);
    };
    const fail = (error: Error): void => {
      failure ??= error;
      settled();
      // A request that waits for its connection has no controller yet: it is aborted when it gets one.
      controller?.abort(failure);
      reject(failure);
    };
    const abort = (): void => fail(signal.reason as Error);
    const deadline = setTimeout(() => fail(timeoutError(timeoutMs)), timeoutMs);
    signal.addEventListener('abort', abort, { once: true });
    pool.dispatch(request, {
      onRequestStart(started) {
        controller = started;
        if (failure !== undefined) started.abort(failure);
      },
      onResponseStart(_, statusCode, replyHeaders) {
        status = statusCode;
        headers = replyHeaders;
      },
      onResponseData(_, chunk) {
        if (!readsReply) return;
        received += chunk.length;
        if (received > MAX_REPLY_BYTES) fail(new ExchangeError('the answer is too long', REPLY_TOO_LONG));
        else chunks.push(chunk);
      },
      onResponseEnd() {
        settled();
        resolve({ status, headers, body: Buffer.concat(chunks) });
      },
      onResponseError(_, error) {
        settled();
        reject(failure ?? exchangeError(error));
      },
    });
  });
}

const timeoutError = (timeoutMs: number): ExchangeError =>
  new ExchangeError(`no whole answer within ${timeoutMs} ms`, EXCHANGE_TIMEOUT);

export function exchangeError(error: Error & { code?: string }): ExchangeError {
  // Node tries every address of a name (happy eyeballs): the first one's failure stands for all.
  const first = error instanceof AggregateError ? (error.errors[0] as Error & { code?: string }) : error;
  return new ExchangeError(first.message, error.code ?? first.code ?? UNNAMED, error);
}
