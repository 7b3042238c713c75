// One HTTP/1.1 connection: a request is one buffer and one write, a reply is read in place. Hot file (bench/micro/sqs.ts).
import { connect as connectTcp, isIP, type LookupFunction, type OnReadOpts, type Socket } from 'node:net';
import { connect as connectTls, type ConnectionOptions } from 'node:tls';
import { steadyMs } from '../../core/clock.ts';
import { networkError } from './errors.ts';
import { ReplyReader, type HttpReply, type ReplyLimits } from './reply.ts';

export type HttpConnectionOptions = {
  /** `http:` or `https:`; its path does not matter. */
  readonly origin: URL;
  /** For connecting; and again for the request with its whole reply. */
  readonly timeoutMs: number;
  /** An idle connection is closed after this long, or before the server says that it closes it. */
  readonly keepAliveMs: number;
  /** A connection carries no further request after about this long; default: `MAX_AGE_MS`. */
  readonly maxAgeMs?: number;
  readonly reply: ReplyLimits;
  readonly socket?: SocketOptions;
};

/** How a socket is opened, beyond what the URL says. */
export type SocketOptions = { readonly tls?: ConnectionOptions; readonly lookup?: LookupFunction };

/** A server that closes an idle connection after N seconds must not meet a request that was sent just before. */
const KEEP_ALIVE_MARGIN_MS = 1000;

/**
 * Only a new connection asks where the name is by now: one that is never idle would stay for ever with an address that others have
 * left, and with the one server of many that was there first.
 */
const MAX_AGE_MS = 300_000;
/** What was opened together is not closed together: up to this share of their age later. */
const AGE_SPREAD = 0.5;

/** The body is `buffer[bodyStart, end)`; what is before it is room for the head. */
export type RequestBytes = {
  readonly buffer: Buffer;
  readonly bodyStart: number;
  readonly end: number;
  /**
   * Called once nobody reads the bytes any more: when the kernel has them all, or with the reply. Never where there was none: a socket may
   * still hold them.
   */
  readonly release?: () => void;
};

/** A body without room for the head. */
export const wholeBody = (body: Buffer): RequestBytes => ({ buffer: body, bodyStart: 0, end: body.length });

export type ReceivedReply = HttpReply & {
  /** For a reply that is none to what was asked: what comes over this connection next may be no better. */
  hangUp(): void;
};

type Exchange = {
  readonly signal: AbortSignal;
  /** Of its bytes, while a socket may hold them. */
  release: (() => void) | undefined;
  readonly resolve: (reply: ReceivedReply) => void;
  readonly reject: (error: unknown) => void;
};

type PoolPorts = {
  /** It may be used again; `hasFailed`: after the others. */
  idle(hasFailed: boolean): void;
  gone(): void;
};

export class HttpConnection {
  readonly #options: HttpConnectionOptions;
  readonly #pool: PoolPorts;
  readonly #reader: ReplyReader;
  readonly #socket: Socket;
  readonly #isTls: boolean;
  #isConnected = false;
  #isGone = false;
  #deadlineMs: number;
  readonly #retiresAtMs: number;
  /** The last answer was an error of the server's. */
  #hasFailed = false;
  #exchange: Exchange | undefined;
  /** A success that came while the request was, as far as the socket knows, not written whole. */
  #early: HttpReply | undefined;
  readonly #hangUp = (): void => this.destroy(networkError(HUNG_UP));

  constructor(options: HttpConnectionOptions, readBuffer: Buffer, pool: PoolPorts) {
    this.#options = options;
    this.#pool = pool;
    this.#reader = new ReplyReader(options.reply);
    const { origin, maxAgeMs = MAX_AGE_MS } = options;
    const now = steadyMs();
    this.#deadlineMs = now + options.timeoutMs;
    this.#retiresAtMs = now + maxAgeMs * (1 + AGE_SPREAD * Math.random());
    this.#isTls = origin.protocol === 'https:';
    this.#socket = openSocket(origin, options.timeoutMs, options.socket, {
      buffer: readBuffer,
      callback: (count) => {
        this.#receive(readBuffer.subarray(0, count));
        return true;
      },
    });
    this.#socket.setNoDelay(true);
    this.#socket.once(this.#isTls ? 'secureConnect' : 'connect', () => {
      this.#isConnected = true;
      this.#deadlineMs = steadyMs() + options.timeoutMs;
    });
    this.#socket.once('end', () => this.#end());
    this.#socket.once('error', (error) => this.destroy(networkError(error)));
    this.#socket.once('close', () => this.destroy(networkError(HUNG_UP)));
  }

  get isConnected(): boolean {
    return this.#isConnected;
  }

  /** One request at a time. */
  send(head: string, bytes: RequestBytes, signal: AbortSignal): Promise<ReceivedReply> {
    return new Promise((resolve, reject) => {
      const exchange: Exchange = { signal, release: bytes.release, resolve, reject };
      this.#exchange = exchange;
      this.#deadlineMs = steadyMs() + this.#options.timeoutMs;
      this.#reader.expect(head.startsWith('HEAD '));
      const start = bytes.bodyStart - head.length;
      if (start >= 0) {
        bytes.buffer.write(head, start, 'latin1');
        this.#socket.write(bytes.buffer.subarray(start, bytes.end));
      } else {
        this.#socket.cork();
        this.#socket.write(head, 'latin1');
        this.#socket.write(bytes.buffer.subarray(bytes.bodyStart, bytes.end));
        this.#socket.uncork();
      }
      if (!this.#isTls && this.#isAllWritten) release(exchange);
    });
  }

  /** Of TLS it is known a turn of the event loop late. https://github.com/nodejs/node/blob/main/src/crypto/crypto_tls.cc (TLSWrap::DoWrite) */
  get #isAllWritten(): boolean {
    return this.#socket.writableLength === 0;
  }

  /** Ends the request that this signal belongs to, and the connection with it: a reply may still be on its way. */
  abort(signal: AbortSignal): void {
    if (this.#exchange?.signal === signal) this.destroy(signal.reason);
  }

  /** Ends it when its time is over. Was it? */
  checkDeadline(nowMs: number): boolean {
    if (nowMs < this.#deadlineMs) return false;
    const { timeoutMs } = this.#options;
    this.destroy(
      this.#isConnected
        ? networkError({ code: 'ETIMEDOUT', message: `no complete answer within ${timeoutMs} ms` })
        : networkError({ code: 'ETIMEDOUT', message: `no connection within ${timeoutMs} ms` }),
    );
    return true;
  }

  destroy(reason: unknown): void {
    if (this.#isGone) return;
    this.#isGone = true;
    this.#socket.destroy();
    this.#exchange?.reject(reason);
    this.#exchange = undefined;
    this.#pool.gone();
  }

  #receive(chunk: Buffer): void {
    if (this.#isGone) return;
    if (this.#isJudging()) return;
    // Nobody asked: a server that says why it hangs up, or one that has lost count.
    if (this.#exchange === undefined) return this.destroy(undefined);
    try {
      const reply = this.#reader.push(chunk);
      if (reply !== undefined) this.#take(reply);
    } catch (error) {
      this.destroy(error);
    }
  }

  /**
   * Where it is known late that all was written, the reply may be here by then. The next turn tells which of the two it is.
   */
  #take(reply: HttpReply): void {
    const isWritten = this.#isAllWritten;
    // A refusal holds, however much it has read.
    if (isWritten || reply.status >= 300) return this.#answer(reply, !isWritten);
    this.#early = reply;
    setImmediate(() => {
      const early = this.#early;
      this.#early = undefined;
      if (early !== undefined && !this.#isGone) this.#answer(early, !this.#isAllWritten);
    });
  }

  /** What comes behind a reply that is still judged is not asked for: nothing else is sent over this connection. */
  #isJudging(): boolean {
    if (this.#early === undefined) return false;
    this.#early = { ...this.#early, keepAlive: false };
    return true;
  }

  #answer(reply: HttpReply, isEarly: boolean): void {
    // Nobody can have taken what was not sent yet, whatever the answer says.
    if (isEarly && reply.status < 300) return this.destroy(networkError(EARLY));
    const { keepAlive, keepAliveMs } = reply;
    if (!isEarly) release(this.#exchange!);
    this.#exchange!.resolve({ ...reply, hangUp: this.#hangUp });
    this.#exchange = undefined;
    // What is left of an unread request would go out before the next one, from bytes that are the caller's again.
    if (!keepAlive || isEarly) return this.destroy(undefined);
    const serverMs = (keepAliveMs ?? Number.POSITIVE_INFINITY) - KEEP_ALIVE_MARGIN_MS;
    const now = steadyMs();
    if (serverMs <= 0 || now >= this.#retiresAtMs) return this.destroy(undefined);
    // Of several servers behind one address the one that fails is there again soonest: it would have most of the requests, and all of few.
    const hasFailed = reply.status >= 500;
    if (hasFailed && this.#hasFailed) return this.destroy(undefined);
    this.#hasFailed = hasFailed;
    this.#deadlineMs = now + Math.min(this.#options.keepAliveMs, serverMs);
    this.#pool.idle(hasFailed);
  }

  #end(): void {
    if (this.#isJudging()) return;
    const reply = this.#exchange === undefined ? undefined : this.#reader.end();
    if (reply !== undefined) return this.#take({ ...reply, keepAlive: false });
    this.destroy(networkError(HUNG_UP));
  }
}

function release(exchange: Exchange): void {
  exchange.release?.();
  exchange.release = undefined;
}

/** For us it has hung up: before it had the request. */
const EARLY = { code: 'ECONNRESET', message: 'the endpoint answered before it had the whole request' };
const HUNG_UP = { code: 'ECONNRESET', message: 'the endpoint closed the connection' };

/**
 * Of a name with several addresses the next one is tried after this, or a share of the time that there is, and the one before is given
 * up: after 250 or 500 ms, as Node has it, it may only be far away. https://nodejs.org/api/net.html#socketconnectoptions-connectlistener
 */
const ATTEMPT_MS = 2000;
const ATTEMPTS = 4;

/** `timeoutMs`: for the connection in all. Without `onread` nothing is read of it. */
export function openSocket(
  origin: URL,
  timeoutMs: number,
  options: SocketOptions = {},
  onread?: OnReadOpts,
): Socket {
  const host = origin.hostname.replace(/^\[|\]$/g, '');
  const isTls = origin.protocol === 'https:';
  const port = Number(origin.port || (isTls ? 443 : 80));
  const { tls, lookup } = options;
  const target = {
    host,
    port,
    autoSelectFamilyAttemptTimeout: Math.min(ATTEMPT_MS, Math.ceil(timeoutMs / ATTEMPTS)),
    ...(lookup && { lookup }),
    ...(onread && { onread }),
  };
  if (!isTls) return connectTcp(target);
  // An address has no server name. https://www.rfc-editor.org/rfc/rfc6066#section-3
  const servername = isIP(host) === 0 ? host : undefined;
  return connectTls({ ...target, ALPNProtocols: ['http/1.1'], ...(servername && { servername }), ...tls });
}
