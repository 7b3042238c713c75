// HTTP requests to one webhook endpoint: kept-alive connections, one deadline for a whole exchange, bounded answers.
import type { IncomingHttpHeaders } from 'node:http';
import { isIP } from 'node:net';
import type { ConnectionOptions } from 'node:tls';
import { buildConnector, Pool } from 'undici';
import { isPrivateAddress, privateAddressError, publicLookup } from './private-addresses.ts';
import type { WebhookTls } from './webhook-config.ts';

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

export type WebhookClientOptions = {
  readonly url: URL;
  readonly timeoutMs: number;
  readonly connections: number;
  readonly tls: WebhookTls | undefined;
  readonly denyPrivateAddresses: boolean;
  /** Are bodies of answers read, or dropped as they come? */
  readonly readsReplies: boolean;
};

export class WebhookClient {
  readonly #options: WebhookClientOptions;
  readonly #connect: buildConnector.connector;
  readonly #pool: Pool;
  readonly #path: string;

  constructor(options: WebhookClientOptions) {
    const { url, timeoutMs, connections } = options;
    this.#options = options;
    this.#path = url.pathname + url.search;
    this.#connect = guardedConnector(options);
    this.#pool = new Pool(url.origin, {
      connect: this.#connect,
      connections,
      pipelining: 1,
      allowH2: false,
      // Both measure silence; an endpoint that trickles bytes is never silent. The deadline below measures the whole.
      headersTimeout: timeoutMs,
      bodyTimeout: timeoutMs,
    });
  }

  /** POSTs `body`, which must not change. Throws ExchangeError, and the signal's reason when it aborts. */
  post(headers: Readonly<Record<string, string>>, body: Buffer, signal: AbortSignal): Promise<HttpReply> {
    signal.throwIfAborted();
    const { timeoutMs, readsReplies } = this.#options;
    return new Promise((resolve, reject) => {
      let controller: { abort(reason: Error): void } | undefined;
      let failure: Error | undefined;
      let status = 0;
      let replyHeaders: IncomingHttpHeaders = {};
      let received = 0;
      const chunks: Buffer[] = [];
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
      const settled = (): void => {
        clearTimeout(deadline);
        signal.removeEventListener('abort', abort);
      };
      this.#pool.dispatch(
        { path: this.#path, method: 'POST', headers, body },
        {
          onRequestStart(started) {
            controller = started;
            if (failure !== undefined) started.abort(failure);
          },
          onResponseStart(_, statusCode, headers) {
            status = statusCode;
            replyHeaders = headers;
          },
          onResponseData(_, chunk) {
            if (!readsReplies) return;
            received += chunk.length;
            if (received > MAX_REPLY_BYTES) fail(new ExchangeError('the answer is too long', REPLY_TOO_LONG));
            else chunks.push(chunk);
          },
          onResponseEnd() {
            settled();
            resolve({ status, headers: replyHeaders, body: Buffer.concat(chunks) });
          },
          onResponseError(_, error) {
            settled();
            reject(failure ?? exchangeError(error));
          },
        },
      );
    });
  }

  /** Connects (TLS too) and hangs up: what can be known of an endpoint without sending it a message. */
  probe(signal: AbortSignal): Promise<void> {
    signal.throwIfAborted();
    const { protocol, hostname, host, port } = this.#options.url;
    return new Promise((resolve, reject) => {
      const abort = (): void => reject(signal.reason as Error);
      signal.addEventListener('abort', abort, { once: true });
      this.#connect({ protocol, hostname: hostname.replace(/^\[|\]$/g, ''), host, port }, (error, socket) => {
        signal.removeEventListener('abort', abort);
        socket?.destroy();
        if (error === null) resolve();
        else reject(exchangeError(error));
      });
    });
  }

  /** Ends every connection, also those with a request in flight. */
  async close(): Promise<void> {
    await this.#pool.destroy();
  }
}

function guardedConnector(options: WebhookClientOptions): buildConnector.connector {
  const { timeoutMs: timeout, tls, denyPrivateAddresses } = options;
  const connect = buildConnector({ timeout, allowH2: false, ...tlsOptions(tls) });
  if (!denyPrivateAddresses) return connect;
  const guarded = buildConnector({
    timeout,
    allowH2: false,
    ...tlsOptions(tls),
    lookup: publicLookup,
  });
  return (target, callback) => {
    // An address that stands in the URL is never looked up.
    if (isIP(target.hostname) !== 0 && isPrivateAddress(target.hostname)) {
      callback(privateAddressError(target.hostname), null);
    } else {
      guarded(target, callback);
    }
  };
}

type TlsOptions = Pick<
  ConnectionOptions,
  'ca' | 'cert' | 'key' | 'rejectUnauthorized' | 'checkServerIdentity'
>;

function tlsOptions(tls: WebhookTls | undefined): TlsOptions {
  if (tls === undefined) return {};
  const { mode, ca, cert, key } = tls;
  return {
    ...(ca === undefined ? {} : { ca }),
    ...(cert === undefined ? {} : { cert }),
    ...(key === undefined ? {} : { key }),
    rejectUnauthorized: mode !== 'require',
    ...(mode === 'verify-ca' ? { checkServerIdentity: () => undefined } : {}),
  };
}

const timeoutError = (timeoutMs: number): ExchangeError =>
  new ExchangeError(`no whole answer within ${timeoutMs} ms`, EXCHANGE_TIMEOUT);

function exchangeError(error: Error & { code?: string }): ExchangeError {
  // Node tries every address of a name (happy eyeballs): the first one's failure stands for all.
  const first = error instanceof AggregateError ? (error.errors[0] as Error & { code?: string }) : error;
  return new ExchangeError(first.message, error.code ?? first.code ?? UNNAMED, error);
}
