// Logical replication over a socket taken over from `pg`: START_REPLICATION, batches of messages, status replies.
// https://www.postgresql.org/docs/current/protocol-replication.html
import { setTimeout as sleep } from 'node:timers/promises';
import type { Socket } from 'node:net';
import { steadyMs, wallMs } from '../../core/clock.ts';
import { TailraceError } from '../../core/errors.ts';
import type { Lsn } from '../../core/lsn.ts';
import { formatTarget, type ReplicationConnection } from '../connection/connection.ts';
import { connectionFault, protocolFault } from '../connection/fault.ts';
import { isSilent, judgeSilence, ReadPacing, REST_MS } from './read-pacing.ts';
import { ReplicationInput, type ControlMessage, type StreamBatch } from './input.ts';
import {
  BACKEND,
  CONNECTION_SILENT,
  COPY_DONE_MESSAGE,
  isPublicationMissing,
  parseError,
  queryMessage,
  startCommand,
  statusUpdate,
  streamFault,
  TERMINATE_MESSAGE,
  type StreamOptions,
} from './protocol.ts';

export type { StreamBatch, StreamOptions };
export { RANGE } from './input.ts';

/**
 * Beyond this, what has been read and not yet taken stops the reading: it comes as one block of the log, which each sink takes as a whole.
 * With a quarter of it, requests to thousands of queues that rows name have fewer messages each (npm run bench -- routes).
 */
const READ_AHEAD_BYTES = 1024 * 1024;
/** The server drops a client that it has not heard of for its timeout: speak this many times within it. */
const REPLIES_PER_TIMEOUT = 3;
const MIN_TICK_MS = 50;
const CLOSE_TIMEOUT_MS = 2_000;

/** Starts streaming. Rejects with TailraceError (a missing slot, one in use, …); the connection is then closed. */
export async function startReplication(
  connection: ReplicationConnection,
  options: StreamOptions,
): Promise<ReplicationStream> {
  const stream = new ReplicationStream(connection, options);
  try {
    await stream.started;
    return stream;
  } catch (error) {
    stream.destroy();
    throw error;
  }
}

/**
 * Invariant: what `confirm` was told last goes out with every reply, and replies go out as long as the socket lives,
 * whether anybody reads or not.
 */
export class ReplicationStream {
  /** Settles once the server has answered START_REPLICATION. */
  readonly started: Promise<void>;
  readonly #connection: ReplicationConnection;
  readonly #options: StreamOptions;
  readonly #input: ReplicationInput;
  readonly #socket: Socket;
  readonly #pacing = new ReadPacing();
  readonly #timer: NodeJS.Timeout;
  #resting: NodeJS.Timeout | undefined;
  #confirmed: Lsn;
  #failure: TailraceError | undefined;
  #ended = false;
  #interrupted = false;
  #stopping = false;
  #reading = true;
  #lastHeardMs: number;
  #askedMs: number | undefined;
  #lastReplyMs = 0;
  #onStarted: { resolve(): void; reject(error: TailraceError): void } | undefined;
  #onInput: (() => void) | undefined;
  /** Changes that came with the answer to START_REPLICATION. */
  #first: StreamBatch | undefined;
  /** Bytes read from the socket. */
  receivedBytes = 0;
  /** Told when the server says that it decodes without the publication, as Postgres 18 does. */
  onPublicationMissing: () => void = () => undefined;

  constructor(connection: ReplicationConnection, options: StreamOptions) {
    this.#connection = connection;
    this.#options = options;
    this.#confirmed = options.confirmed;
    this.#lastHeardMs = steadyMs();
    this.#input = new ReplicationInput(options.maxMessageBytes);
    this.started = new Promise((resolve, reject) => (this.#onStarted = { resolve, reject }));
    this.#socket = connection.takeOver((bytes) => this.#receive(bytes));
    this.#socket.on('error', (error) =>
      this.#fail(connectionFault(error, connection.settings, connection.target)),
    );
    this.#socket.on('close', () =>
      this.#fail(this.#fault('CONNECTION_CLOSED', 'the server closed the connection')),
    );
    this.#socket.write(queryMessage(startCommand(options)));
    this.#timer = setInterval(() => this.#tick(), tickMs(options));
  }

  /** WAL end of the last keepalive that `read` passed: everything before it has been handed out. */
  get walEnd(): Lsn {
    return this.#input.walEnd;
  }

  /**
   * The next messages (none: only a keepalive came); undefined once the server has ended the stream, or after
   * `interrupt`. The batch is valid until the next call.
   */
  async read(): Promise<StreamBatch | undefined> {
    return this.#interrupted ? undefined : this.#next();
  }

  /** Makes `read` answer undefined, also one that waits now. */
  interrupt(): void {
    this.#interrupted = true;
    this.#wake();
  }

  async #next(): Promise<StreamBatch | undefined> {
    for (;;) {
      const first = this.#first;
      if (first !== undefined) {
        this.#first = undefined;
        return first;
      }
      if (this.#input.ready) {
        const batch = this.#input.take();
        if (!this.#reading && !this.#ended) this.#setReading(true);
        this.#afterTake();
        return batch;
      }
      if (this.#failure !== undefined) throw this.#failure;
      if (this.#ended || (this.#interrupted && !this.#stopping)) return undefined;
      await new Promise<void>((resolve) => (this.#onInput = resolve));
    }
  }

  /** Everything up to `flush`, an end LSN, is safe: Postgres may forget it. Never moves back. */
  confirm(flush: Lsn): void {
    if (flush <= this.#confirmed) return;
    this.#confirmed = flush;
    this.#reply(false);
  }

  /** Has the server say how far it is: with nothing to send it may be silent for long. */
  askPosition(): void {
    if (this.#failure === undefined && !this.#ended && !this.#stopping) this.#reply(true);
  }

  get confirmed(): Lsn {
    return this.#confirmed;
  }

  /** Ends the stream in good order: a last reply, CopyDone from both sides, Terminate. */
  async stop(): Promise<void> {
    this.#interrupted = true;
    this.#stopping = true;
    if (this.#failure === undefined && !this.#ended) {
      this.#reply(false);
      this.#socket.write(COPY_DONE_MESSAGE);
      await Promise.race([this.#discard(), sleep(CLOSE_TIMEOUT_MS, undefined, { ref: false })]);
    }
    if (this.#socket.writable) {
      const closed = new Promise<void>((resolve) => this.#socket.once('close', () => resolve()));
      this.#socket.end(TERMINATE_MESSAGE);
      await Promise.race([closed, sleep(CLOSE_TIMEOUT_MS, undefined, { ref: false })]);
    }
    this.destroy();
  }

  /** Lets go at once. */
  destroy(): void {
    clearInterval(this.#timer);
    clearTimeout(this.#resting);
    this.#socket.destroy();
    this.#fail(this.#fault('CONNECTION_CLOSED', 'the connection was closed by us'));
  }

  async #discard(): Promise<void> {
    try {
      while ((await this.#next()) !== undefined);
    } catch {
      // The connection is gone, which is what we want.
    }
  }

  #receive(bytes: Uint8Array): void {
    this.receivedBytes += bytes.length;
    const now = steadyMs();
    this.#lastHeardMs = now;
    this.#askedMs = undefined;
    this.#input.push(bytes);
    if (this.#onStarted !== undefined) this.#awaitStart();
    this.#failIfBroken();
    // A message longer than the bound must come whole, or in pieces.
    if (this.#input.buffered >= READ_AHEAD_BYTES && this.#input.ready) this.#setReading(false);
    else if (this.#pacing.shouldRest(bytes.length, now)) this.#rest();
    if (this.#input.ready) this.#wake();
  }

  #wake(): void {
    const wake = this.#onInput;
    this.#onInput = undefined;
    wake?.();
  }

  #rest(): void {
    this.#socket.pause();
    clearTimeout(this.#resting);
    this.#resting = setTimeout(() => {
      if (this.#reading) this.#socket.resume();
    }, REST_MS);
  }

  #setReading(reading: boolean): void {
    this.#reading = reading;
    if (reading) {
      // Silence while we did not listen says nothing.
      this.#lastHeardMs = steadyMs();
      this.#askedMs = undefined;
      this.#socket.resume();
    } else this.#socket.pause();
  }

  /** The answer to START_REPLICATION; the first changes may come in the same packet. */
  #awaitStart(): void {
    if (!this.#input.ready) return;
    const batch = this.#input.take();
    if (batch.count > 0) this.#first = batch;
    this.#afterTake();
  }

  #afterTake(): void {
    for (const message of this.#input.control) this.#handle(message);
    this.#input.control.length = 0;
    if (this.#input.replyRequested) {
      this.#input.replyRequested = false;
      this.#reply(false);
    }
    this.#failIfBroken();
  }

  #failIfBroken(): void {
    const { broken } = this.#input;
    if (broken === undefined) return;
    const { settings, target } = this.#connection;
    this.#fail(protocolFault(broken, settings, target));
  }

  #handle({ type, content }: ControlMessage): void {
    if (type === BACKEND.copyBoth) {
      this.#onStarted?.resolve();
      this.#onStarted = undefined;
    } else if (type === BACKEND.errorResponse) {
      this.#fail(streamFault(parseError(content), this.#connection, this.#options));
    } else if (type === BACKEND.notice && isPublicationMissing(parseError(content))) {
      this.onPublicationMissing();
    } else if (type === BACKEND.copyDone) {
      this.#ended = true;
      this.#wake();
    }
    // Other notices, parameter changes, CommandComplete and ReadyForQuery say nothing that we need.
  }

  #fail(error: TailraceError): void {
    if (this.#failure !== undefined) return;
    this.#failure = error;
    clearInterval(this.#timer);
    clearTimeout(this.#resting);
    this.#socket.destroy();
    this.#onStarted?.reject(error);
    this.#onStarted = undefined;
    this.#wake();
  }

  #fault(code: string, what: string): TailraceError {
    const { settings, target } = this.#connection;
    return new TailraceError(`database "${settings.name}": ${what} (${formatTarget(target)})`, {
      code,
      kind: 'retryable',
      hint: "Tailrace connects again by itself; if this repeats, the server's log says why",
    });
  }

  #failSilent(): void {
    const what = `nothing came for ${this.#options.receiveTimeoutMs} ms, not even an answer`;
    this.#fail(this.#fault(CONNECTION_SILENT, what));
  }

  #tick(): void {
    const now = steadyMs();
    // The command is answered at once, or never: a server may not be asked meanwhile.
    if (this.#onStarted !== undefined) {
      if (now - this.#lastHeardMs > this.#options.receiveTimeoutMs) this.#failSilent();
      return;
    }
    if (this.#reading && this.#options.senderTimeoutMs > 0 && !this.#input.ready) {
      const verdict = judgeSilence({
        silentForMs: now - this.#lastHeardMs,
        askedForMs: this.#askedMs === undefined ? undefined : now - this.#askedMs,
        limitMs: this.#options.receiveTimeoutMs,
      });
      if (verdict === 'dead') return this.#failSilent();
      if (verdict === 'ask') {
        this.#askedMs = now;
        return this.#reply(true);
      }
    }
    if (isSilent(now - this.#lastReplyMs, replyIntervalMs(this.#options) - tickMs(this.#options))) {
      this.#reply(false);
    }
  }

  /**
   * Written, flushed and applied are the same for us: end LSNs, never plus one, which would skip an adjacent commit.
   * https://www.postgresql.org/docs/current/protocol-replication.html (Standby status update)
   */
  #reply(request: boolean): void {
    if (!this.#socket.writable || this.#failure !== undefined) return;
    this.#lastReplyMs = steadyMs();
    this.#socket.write(statusUpdate(this.#confirmed, wallMs(), request));
  }
}

function replyIntervalMs(options: StreamOptions): number {
  const { statusIntervalMs, senderTimeoutMs } = options;
  return senderTimeoutMs === 0
    ? statusIntervalMs
    : Math.min(statusIntervalMs, senderTimeoutMs / REPLIES_PER_TIMEOUT);
}

/** The timer asks often enough for replies and for the watchdog. */
const tickMs = (options: StreamOptions): number =>
  Math.max(MIN_TICK_MS, Math.min(replyIntervalMs(options), options.receiveTimeoutMs / 4) / 2);
