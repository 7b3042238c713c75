// The client of one HTTP endpoint: kept-alive connections, guarded, with the TLS that was asked for.
import { isIP } from 'node:net';
import type { ConnectionOptions } from 'node:tls';
import { openSocket, wholeBody, type ReceivedReply, type SocketOptions } from './connection.ts';
import type { EndpointTls } from './endpoint.ts';
import { networkError } from './errors.ts';
import { HttpPool } from './pool.ts';
import { isPrivateAddress, privateAddressError, publicLookup } from './private-addresses.ts';

/** Below what servers wait by default (Node's: 5 s), or a reset would meet the next request. */
const KEEP_ALIVE_MS = 4000;
/** Of a body that is read, a thousand messages with their keys have room here. */
const MAX_REPLY_BYTES = 1024 * 1024;

export type HttpClientOptions = {
  /** Its path does not matter. */
  readonly url: URL;
  /** For connecting; and again from the request to the last byte of its reply. */
  readonly timeoutMs: number;
  readonly connections: number;
  readonly tls?: EndpointTls | undefined;
  readonly denyPrivateAddresses?: boolean;
  /** Are bodies of replies wanted, or dropped as they come? */
  readonly keepsBodies?: boolean;
};

export type HttpRequest = {
  readonly method: 'POST' | 'HEAD' | 'GET' | 'PUT' | 'PATCH' | 'DELETE';
  /** With the query. */
  readonly path: string;
  /** Names and values as `headers.ts` checks them. Host and content-length are the client's. */
  readonly headers: Readonly<Record<string, string>>;
  readonly body: Buffer;
};

export class HttpClient {
  readonly #origin: URL;
  readonly #timeoutMs: number;
  readonly #pool: HttpPool;
  readonly #socket: SocketOptions;
  /** An address that stands in the URL is never looked up. */
  readonly #deniedHost: string | undefined;

  constructor(options: HttpClientOptions) {
    const { url, timeoutMs, connections, tls, denyPrivateAddresses = false, keepsBodies = false } = options;
    const host = url.hostname.replace(/^\[|\]$/g, '');
    this.#origin = url;
    this.#timeoutMs = timeoutMs;
    this.#deniedHost = denyPrivateAddresses && isIP(host) !== 0 && isPrivateAddress(host) ? host : undefined;
    this.#socket = { tls: tlsOptions(tls), ...(denyPrivateAddresses && { lookup: publicLookup }) };
    this.#pool = new HttpPool({
      origin: url,
      timeoutMs,
      maxConnections: connections,
      keepAliveMs: KEEP_ALIVE_MS,
      reply: { maxBytes: MAX_REPLY_BYTES, keepsBody: keepsBodies },
      socket: this.#socket,
    });
  }

  /**
   * Resolves with the reply, whatever its status; redirects are not followed. Throws NoReplyError when there is none, and
   * the signal's reason when it aborts. The body must not change, also after an error.
   */
  async request({ method, path, headers, body }: HttpRequest, signal: AbortSignal): Promise<ReceivedReply> {
    this.#guard();
    let head = `${method} ${path} HTTP/1.1\r\nhost: ${this.#origin.host}\r\n`;
    for (const name in headers) head += `${name}: ${headers[name]}\r\n`;
    head += `content-length: ${body.length}\r\n\r\n`;
    return await this.#pool.request(head, wholeBody(body), signal);
  }

  /** Connects (TLS too) and hangs up: what can be known of an endpoint without sending it anything. Throws as `request` does. */
  async probe(signal: AbortSignal): Promise<void> {
    this.#guard();
    signal.throwIfAborted();
    await new Promise<void>((resolve, reject) => {
      const socket = openSocket(this.#origin, this.#timeoutMs, this.#socket);
      const end = (settle: () => void): void => {
        clearTimeout(deadline);
        signal.removeEventListener('abort', abort);
        socket.destroy();
        settle();
      };
      const abort = (): void => end(() => reject(signal.reason as Error));
      const late = { code: 'ETIMEDOUT', message: `no connection within ${this.#timeoutMs} ms` };
      const deadline = setTimeout(() => end(() => reject(networkError(late))), this.#timeoutMs);
      signal.addEventListener('abort', abort, { once: true });
      socket.on('error', (error) => end(() => reject(networkError(error))));
      socket.once(this.#origin.protocol === 'https:' ? 'secureConnect' : 'connect', () => end(resolve));
    });
  }

  /** Ends every connection, also those with a request in flight. */
  close(): Promise<void> {
    this.#pool.close();
    return Promise.resolve();
  }

  #guard(): void {
    if (this.#deniedHost !== undefined) throw networkError(privateAddressError(this.#deniedHost));
  }
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
