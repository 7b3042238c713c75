// The connections to one webhook endpoint: kept alive, guarded, with the TLS that was asked for.
import { isIP } from 'node:net';
import type { ConnectionOptions } from 'node:tls';
import { buildConnector, Pool } from 'undici';
import type { EndpointTls } from '../http/endpoint.ts';
import { exchange, exchangeError, type HttpReply } from '../http/exchange.ts';
import { isPrivateAddress, privateAddressError, publicLookup } from '../http/private-addresses.ts';

export type WebhookClientOptions = {
  readonly url: URL;
  readonly timeoutMs: number;
  readonly connections: number;
  readonly tls: EndpointTls | undefined;
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
    const { url, connections } = options;
    this.#options = options;
    this.#path = url.pathname + url.search;
    this.#connect = guardedConnector(options);
    this.#pool = new Pool(url.origin, {
      connect: this.#connect,
      connections,
      pipelining: 1,
      allowH2: false,
      // An exchange has a deadline of its own.
      headersTimeout: 0,
      bodyTimeout: 0,
    });
  }

  /** POSTs `body`, which must not change. Throws ExchangeError, and the signal's reason when it aborts. */
  post(headers: Readonly<Record<string, string>>, body: Buffer, signal: AbortSignal): Promise<HttpReply> {
    const { timeoutMs, readsReplies } = this.#options;
    const options = { path: this.#path, method: 'POST', headers, body } as const;
    return exchange(options, { pool: this.#pool, timeoutMs, readsReply: readsReplies, signal });
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

function guardedConnector({
  timeoutMs: timeout,
  tls,
  denyPrivateAddresses,
}: WebhookClientOptions): buildConnector.connector {
  const guard = denyPrivateAddresses ? { lookup: publicLookup } : {};
  const connect = buildConnector({ timeout, allowH2: false, ...tlsOptions(tls), ...guard });
  if (!denyPrivateAddresses) return connect;
  return (target, callback) => {
    // An address that stands in the URL is never looked up.
    if (isIP(target.hostname) !== 0 && isPrivateAddress(target.hostname)) {
      callback(privateAddressError(target.hostname), null);
    } else {
      connect(target, callback);
    }
  };
}

type TlsOptions = Pick<
  ConnectionOptions,
  'ca' | 'cert' | 'key' | 'rejectUnauthorized' | 'checkServerIdentity'
>;

function tlsOptions(tls: EndpointTls | undefined): TlsOptions {
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
