// Kept-alive HTTP/1.1 connections to one endpoint, one request at a time on each. Hot file (bench/micro/sqs.ts).
import { steadyMs } from '../../core/clock.ts';
import { descriptorLimit } from '../../core/descriptors.ts';
import { shortageNamed } from '../../core/shortages.ts';
import {
  HttpConnection,
  type HttpConnectionOptions,
  type ReceivedReply,
  type RequestBytes,
} from './connection.ts';
import { networkError, NoReplyError } from './errors.ts';

export type HttpPoolOptions = HttpConnectionOptions & { readonly maxConnections: number };

/** Replies are small; a longer one takes several reads. */
const READ_BYTES = 64 * 1024;
/** How often deadlines are looked at, at least four times within the shortest. */
const MAX_SWEEP_MS = 500;
/** Without a descriptor for one more connection, it is tried again after this long. */
const LIMITED_MS = 10_000;

export class HttpPool {
  readonly #options: HttpPoolOptions;
  /** What every connection reads into: a connection takes out what it needs before the next one reads. */
  readonly #readBuffer = Buffer.allocUnsafeSlow(READ_BYTES);
  readonly #connections = new Set<HttpConnection>();
  /** The one used last is used first: what is not needed grows old and is closed. One whose server has failed is used last. */
  readonly #idle: HttpConnection[] = [];
  readonly #waiting: (() => void)[] = [];
  /** Signals that end what is in flight when they abort. */
  readonly #watched = new WeakSet<AbortSignal>();
  /** Connections that it may have now: fewer for a while, where the system had no descriptor for one more. */
  #limit: number;
  #limitedUntilMs = 0;
  #sweep: NodeJS.Timeout | undefined;
  #closed = false;

  constructor(options: HttpPoolOptions) {
    // A quarter of what the process may have open: the log, the store and other sinks need theirs.
    const share = Math.max(1, Math.floor(descriptorLimit() / 4));
    this.#options = { ...options, maxConnections: Math.min(options.maxConnections, share) };
    this.#limit = this.#options.maxConnections;
  }

  /**
   * Sends one request: `head` (request line and headers with the empty line, ASCII) and the body; resolves with the
   * reply, whatever its status. Throws NoReplyError when there is none, and the signal's reason when it aborts. The
   * bytes must not change before they are released.
   */
  request(head: string, bytes: RequestBytes, signal: AbortSignal): Promise<ReceivedReply> {
    const connection = signal.aborted ? undefined : this.#takeIdle();
    if (connection === undefined) return this.#requestAnew(head, bytes, signal);
    this.#watch(signal);
    return connection.send(head, bytes, signal);
  }

  /** There is no connection that has nothing to do. */
  async #requestAnew(head: string, bytes: RequestBytes, signal: AbortSignal): Promise<ReceivedReply> {
    for (;;) {
      try {
        return await this.#exchange(head, bytes, signal);
      } catch (error) {
        if (!(error instanceof NoReplyError && isLacking(error))) throw error;
        const connected = [...this.#connections].filter(({ isConnected }) => isConnected).length;
        if (connected === 0) throw error;
        // The system had none for one more connection, and nothing was sent: it is the turn of one of those that there are.
        this.#limit = connected;
        this.#limitedUntilMs = steadyMs() + LIMITED_MS;
      }
    }
  }

  async #exchange(head: string, bytes: RequestBytes, signal: AbortSignal): Promise<ReceivedReply> {
    signal.throwIfAborted();
    let connection = this.#takeIdle();
    while (connection === undefined) {
      if (this.#closed) throw closedError();
      if (this.#connections.size < this.#mayHave()) connection = this.#open();
      else {
        await new Promise<void>((turn) => this.#waiting.push(turn));
        if (signal.aborted) {
          // Its turn is another's.
          this.#waiting.shift()?.();
          signal.throwIfAborted();
        }
        connection = this.#takeIdle();
      }
    }
    this.#watch(signal);
    return connection.send(head, bytes, signal);
  }

  /** Ends every connection, also those with a request in flight. */
  close(): void {
    this.#closed = true;
    for (const connection of this.#connections) connection.destroy(closedError());
    for (const turn of this.#waiting.splice(0)) turn();
  }

  /** While this thread was held up nobody has looked whose time is over: the server may have closed those. */
  #takeIdle(): HttpConnection | undefined {
    const now = steadyMs();
    let connection = this.#idle.pop();
    while (connection?.checkDeadline(now) === true) connection = this.#idle.pop();
    return connection;
  }

  #mayHave(): number {
    if (this.#limit < this.#options.maxConnections && steadyMs() >= this.#limitedUntilMs) {
      this.#limit = this.#options.maxConnections;
    }
    return this.#limit;
  }

  #open(): HttpConnection {
    const connection = new HttpConnection(this.#options, this.#readBuffer, {
      idle: (hasFailed) => {
        if (hasFailed) this.#idle.unshift(connection);
        else this.#idle.push(connection);
        this.#waiting.shift()?.();
      },
      gone: () => this.#forget(connection),
    });
    this.#connections.add(connection);
    this.#sweep ??= this.#startSweep();
    return connection;
  }

  #forget(connection: HttpConnection): void {
    this.#connections.delete(connection);
    const at = this.#idle.indexOf(connection);
    if (at !== -1) this.#idle.splice(at, 1);
    if (this.#connections.size === 0) {
      clearInterval(this.#sweep);
      this.#sweep = undefined;
    }
    this.#waiting.shift()?.();
  }

  /** One timer for all deadlines, none a request. */
  #startSweep(): NodeJS.Timeout {
    const { timeoutMs, keepAliveMs } = this.#options;
    const everyMs = Math.max(1, Math.min(MAX_SWEEP_MS, timeoutMs / 4, keepAliveMs / 4));
    return setInterval(() => {
      const now = steadyMs();
      for (const connection of this.#connections) connection.checkDeadline(now);
    }, everyMs);
  }

  /** One listener a signal, none a request. */
  #watch(signal: AbortSignal): void {
    if (this.#watched.has(signal)) return;
    this.#watched.add(signal);
    const abort = (): void => {
      for (const connection of this.#connections) connection.abort(signal);
    };
    signal.addEventListener('abort', abort, { once: true });
  }
}

const closedError = (): NoReplyError =>
  networkError({ code: 'ECONNRESET', message: 'the client was closed' });

const isLacking = ({ code }: NoReplyError): boolean => shortageNamed(code)?.kind === 'descriptors';
