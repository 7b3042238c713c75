// The backfills of one database: which are to be read, begun where a connection streams, ended where somebody wants that.
import { setTimeout as sleep } from 'node:timers/promises';
import type { Client } from 'pg';
import type { Backfill } from '../../../core/backfill.ts';
import { steadyMs, wallTime } from '../../../core/clock.ts';
import { describeError, TailraceError } from '../../../core/errors.ts';
import { ZERO_LSN } from '../../../core/lsn.ts';
import { openTransactions, uncommittedTransactions } from '../../../postgres/backfill/open-transactions.ts';
import { codeOf, connectionFault } from '../../../postgres/connection/fault.ts';
import type { SourceOptions } from '../options.ts';
import { LiveFirst } from './live-first.ts';
import { reconcile } from './reconciling.ts';
import { runBackfill, type BackfillConnection, type Watching } from './run.ts';
import { StreamWatch } from './stream-watch.ts';
import { StreamedTransactions } from './streamed-transactions.ts';

/** How often it is looked whether there is one to read, where nobody says so. */
const LOOK_INTERVAL_MS = 2_000;
/** Read at once; others wait for their turn. */
const MAX_AT_ONCE = 4;
/** One that met a fault which passes is begun again after this, twice as long each time. */
const FIRST_RETRY_MS = 500;
const LONGEST_RETRY_MS = 30_000;

/** Lives as long as the source. */
export class Backfills {
  readonly #options: SourceOptions;
  #wake: (() => void) | undefined;
  /** The log whose rows are known. */
  #recalled: unknown;

  constructor(options: SourceOptions) {
    this.#options = options;
  }

  /** Somebody has asked for one, or wants one to stop. */
  changed(): void {
    this.#wake?.();
  }

  /** While a connection streams. Rejects where the log takes nothing more, or the store does not answer. */
  async follow(streaming: Omit<BackfillConnection, 'liveFirst'>, signal: AbortSignal): Promise<void> {
    const { settings, store, signals, sinkSlots } = this.#options;
    const { log, feed } = streaming.opened;
    const liveFirst = new LiveFirst({
      signals,
      sinkSlots,
      log,
      changes: () => feed.changes,
      isCaughtUp: () => streaming.gate.reached >= (streaming.look()?.walAfter ?? ZERO_LSN),
      nowMs: steadyMs,
    });
    const connection = { ...streaming, liveFirst };
    const running = new Map<string, { readonly stop: AbortController; readonly ended: Promise<void> }>();
    const session = new WatchedStream(connection);
    let isReconciled = false;
    try {
      while (!signal.aborted) {
        // Not before the server is known to be the log's: what parts from it is on record then.
        if (connection.opened.proved) {
          if (!isReconciled) await this.#reconcile(connection);
          isReconciled = true;
          const due = store.backfills.due(settings.name);
          for (const [id, { stop }] of running) if (!due.some((other) => other.id === id)) stop.abort();
          for (const backfill of due) {
            if (running.size >= MAX_AT_ONCE) break;
            if (running.has(backfill.id)) continue;
            const stop = new AbortController();
            const ended = this.#run(
              backfill,
              connection,
              session,
              AbortSignal.any([signal, stop.signal]),
            ).finally(() => {
              running.delete(backfill.id);
              this.changed();
            });
            ended.catch((error: unknown) => connection.logFailed(error));
            running.set(backfill.id, { stop, ended });
          }
          if (running.size === 0) session.end();
        }
        await this.#pause(signal);
      }
    } finally {
      for (const { stop } of running.values()) stop.abort();
      await Promise.allSettled([...running.values()].map(({ ended }) => ended));
      session.end();
    }
  }

  /** Once for each log, and at each connection: its history may have parted from the log's. */
  async #reconcile(connection: BackfillConnection): Promise<void> {
    const { opened } = connection;
    const isKnown = this.#recalled === opened.log;
    await reconcile(this.#options, opened, { isKnown });
    this.#recalled = opened.log;
  }

  async #pause(signal: AbortSignal): Promise<void> {
    const waiting = new AbortController();
    const woken = new Promise<void>((resolve) => (this.#wake = resolve));
    const ended = AbortSignal.any([signal, waiting.signal]);
    await Promise.race([
      woken,
      sleep(LOOK_INTERVAL_MS, undefined, { signal: ended, ref: false }).catch(() => undefined),
    ]);
    this.#wake = undefined;
    waiting.abort();
  }

  /** Resolves when it is over, for whatever reason that is its own. */
  async #run(
    backfill: Backfill,
    connection: BackfillConnection,
    session: WatchedStream,
    signal: AbortSignal,
  ): Promise<void> {
    const { settings, store, logger } = this.#options;
    const { id } = backfill;
    const owner = { database: settings.name, id };
    for (let retryMs = FIRST_RETRY_MS; !signal.aborted; retryMs = Math.min(retryMs * 2, LONGEST_RETRY_MS)) {
      const present =
        store.backfills.setState(owner, 'running', { now: wallTime() }) ??
        store.backfills.find(settings.name, id);
      if (present?.state !== 'running') return;
      try {
        await runBackfill(present, connection, (client) => session.watch(client), signal);
        if (store.backfills.setState(owner, 'completed', { now: wallTime() }) !== undefined)
          logger.info({ database: settings.name, backfill: id }, `backfill ${id} is complete`);
        return;
      } catch (error) {
        if (signal.aborted) return;
        const fault = this.#faultOf(error, connection);
        const message = describeError(fault);
        if (fault.kind === 'fatal') {
          store.backfills.setState(owner, 'failed', { reason: message, now: wallTime() });
          logger.error(
            { database: settings.name, backfill: id, code: fault.code },
            `backfill ${id}: ${message}`,
          );
          return;
        }
        store.backfills.hold(id, message);
        logger.warn(
          { database: settings.name, backfill: id, code: fault.code, retryMs },
          `backfill ${id}: ${message}`,
        );
      }
      await sleep(retryMs, undefined, { signal }).catch(() => undefined);
    }
  }

  #faultOf(error: unknown, { followed }: BackfillConnection): TailraceError {
    if (error instanceof TailraceError) return error;
    if (codeOf(error) !== '') return connectionFault(error, this.#options.settings, followed.target);
    return new TailraceError(describeError(error), {
      code: 'INTERNAL',
      kind: 'fatal',
      cause: error,
    });
  }
}

/** What the stream brings is told only while somebody reads beside it: without a backfill it costs what it did. */
class WatchedStream {
  readonly #connection: BackfillConnection;
  #watched: Promise<Watching> | undefined;

  constructor(connection: BackfillConnection) {
    this.#connection = connection;
  }

  watch(client: Client): Promise<Watching> {
    this.#watched ??= this.#begin(client).catch((error: unknown) => {
      this.end();
      throw error;
    });
    return this.#watched;
  }

  async #begin(client: Client): Promise<Watching> {
    // What comes from here on is kept; what may have come before is what runs now.
    const early: number[] = [];
    let streamed: StreamedTransactions | undefined;
    const watching = new StreamWatch({
      came: (xid) => (streamed === undefined ? void early.push(xid) : streamed.came(xid)),
    });
    this.#connection.gate.tell(watching);
    const { snapshot, begun } = await openTransactions(client);
    const kept = new StreamedTransactions(snapshot, begun);
    kept.cleared(await uncommittedTransactions(client));
    for (const xid of early) kept.came(xid);
    streamed = kept;
    return { watching, streamed };
  }

  end(): void {
    this.#connection.gate.tell(undefined);
    this.#watched = undefined;
  }
}
