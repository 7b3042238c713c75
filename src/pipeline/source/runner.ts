// Follows one database: a connection after the other, until it is stopped or meets a fault that time does not mend.
import { setTimeout as sleep } from 'node:timers/promises';
import { steadyMs, wallMs } from '../../core/clock.ts';
import { describeError, TailraceError } from '../../core/errors.ts';
import { maxLsn, ZERO_LSN, type Lsn } from '../../core/lsn.ts';
import { Outage, Repeats } from '../../core/repeats.ts';
import { codeOf, connectionFault, INTERNAL_ERROR } from '../../postgres/connection/fault.ts';
import { TEXT_UNDECODABLE } from '../../postgres/replication/protocol.ts';
import type { ReplicationStream } from '../../postgres/replication/stream.ts';
import { LOG_DISK_FULL } from '../../log/errors.ts';
import { storeError } from '../../store/errors.ts';
import { RepeatedLines } from '../../telemetry/repeated-lines.ts';
import type { SourceLog } from './log.ts';
import type { SourceOptions, SourceReady } from './options.ts';
import { askedFor, DRAINED, drainedFault, DRAIN_INTERVAL_MS } from './drain.ts';
import { Backfills } from './backfill/backfills.ts';
import { Barrier } from './watch/barrier.ts';
import { GapKeeper, GAPS_INTERVAL_MS } from './gaps.ts';
import { followAlone } from './last-server.ts';
import { LookKeeper } from './looks.ts';
import type { StoppedDecoding } from './joining.ts';
import { reconnectMs } from './reconnect.ts';
import { runSession } from './session.ts';
import { SourceState } from './status.ts';
import { SPOOL_GIVEN_UP } from './spool/spools.ts';
import { isHealing } from './watch/heals.ts';
import type { DatabaseStatus } from '../../core/status.ts';

export interface Source {
  status(): DatabaseStatus;
  /**
   * Resolves when the log can be followed: the stream runs for the first time, or it does not begin, and the log holds something.
   * Rejects when neither comes.
   */
  readonly ready: Promise<SourceReady>;
  /** Resolves after `stop`; rejects with TailraceError when the source cannot go on by itself. */
  readonly ended: Promise<void>;
  /** The store has other backfills than before, or other states of them. */
  backfillsChanged(): void;
  /** Stops reading, makes the log durable, confirms, closes. Safe to call again. */
  stop(): Promise<void>;
}

/**
 * They found no room here, or the server met an error of its own: some it meets only while it decodes what may yet be rolled back, as with
 * a TRUNCATE in a savepoint that was undone ("could not map filenumber … to relation OID").
 */
const NOT_IN_PROGRESS: ReadonlySet<string> = new Set([SPOOL_GIVEN_UP, LOG_DISK_FULL, INTERNAL_ERROR]);

export function startSource(options: SourceOptions): Source {
  const run = new SourceRun(options);
  const ready = Promise.withResolvers<SourceReady>();
  const ended = run.run(ready.resolve);
  ended.then(() => ready.reject(stoppedEarly(options.settings.name)), ready.reject);
  ready.promise.catch(() => undefined);
  return {
    status: () => run.status(),
    ready: ready.promise,
    ended,
    backfillsChanged: () => run.backfillsChanged(),
    stop: async () => {
      run.stop();
      await ended.catch(() => undefined);
    },
  };
}

class SourceRun {
  readonly #options: SourceOptions;
  readonly #state: SourceState;
  readonly #stopping = new AbortController();
  readonly #gaps: GapKeeper;
  readonly #looks: LookKeeper;
  readonly #barrier: Barrier | undefined;
  readonly #backfills: Backfills;
  #stopped: StoppedDecoding | undefined;
  #opened: SourceLog | undefined;
  #stream: ReplicationStream | undefined;
  #connections = 0;
  #streamedBefore = false;
  /** Do sinks follow the log since before any server was connected to? */
  #isFollowedAlone = false;
  /** In a row, without anything having come meanwhile. */
  #failures = 0;
  /** What is said of connections that fail. */
  readonly #outage = new Outage();
  readonly #faults = new Repeats();
  readonly #lines: RepeatedLines;
  /** Everything up to here has come, on whatever connection. */
  #reached: Lsn = ZERO_LSN;
  /** Where the server's WAL ended when the connection began: whoever gets there has had all that there was. */
  #walEndBefore: Lsn = ZERO_LSN;
  /** The server could not convert a text: the run that follows takes it as it is. */
  #ownEncoding = false;
  /** Transactions in progress could not be read when the WAL ended there: they are read once they are committed. */
  #wholeUntil: Lsn | undefined;
  /** On the connections before this one. */
  #receivedBytes = 0;

  constructor(options: SourceOptions) {
    this.#options = options;
    this.#state = new SourceState(options.settings, wallMs);
    this.#lines = new RepeatedLines(options.logger);
    this.#gaps = new GapKeeper(options, this.#state);
    this.#looks = new LookKeeper(options, this.#gaps);
    this.#backfills = new Backfills(options);
    const { barrier } = options.settings;
    const warn = ({ code, message }: TailraceError): void =>
      this.#lines.say({ level: 'warn', message, fields: { code }, kind: code });
    this.#barrier = barrier && new Barrier(barrier, { ...options, state: this.#state, warn });
  }

  stop(): void {
    this.#stopping.abort();
  }

  backfillsChanged(): void {
    this.#backfills.changed();
  }

  status(): DatabaseStatus {
    const state = this.#state;
    state.transactions = this.#opened?.feed.transactions ?? 0;
    state.changes = this.#opened?.feed.changes ?? 0;
    state.receivedBytes = this.#receivedBytes + (this.#stream?.receivedBytes ?? 0);
    return state.status();
  }

  async run(onReady: (ready: SourceReady) => void): Promise<void> {
    const { signal } = this.#stopping;
    const looking = setInterval(() => this.#gaps.refresh(), GAPS_INTERVAL_MS);
    const holding = this.#barrier?.run(signal);
    try {
      while (!signal.aborted) {
        try {
          if (await this.#isDrained(onReady)) continue;
          await this.#connect(onReady);
        } catch (error) {
          const fault = this.#asFault(error);
          // While stopping, the connection is going anyway; the log is another matter.
          if (signal.aborted && fault.mend !== 'restart') break;
          await this.#wait(fault, onReady);
        }
      }
    } finally {
      clearInterval(looking);
      this.stop();
      await holding;
      this.#state.stops();
      await this.#opened?.log.close();
    }
  }

  /** Then nothing is read, until that is taken back: waits a moment. */
  async #isDrained(onReady: (ready: SourceReady) => void): Promise<boolean> {
    const { settings, store, logger } = this.#options;
    const done = askedFor(store.handovers, settings.name)?.done;
    if (done === undefined) return false;
    const fault = drainedFault(settings.name, done.lsn);
    if (this.#state.state !== 'drained') logger.warn({ code: fault.code }, describeError(fault));
    this.#state.drained(fault);
    if (!this.#streamedBefore && !this.#isFollowedAlone) this.#followAlone(onReady);
    const { signal } = this.#stopping;
    await sleep(DRAIN_INTERVAL_MS, undefined, { signal }).catch(() => undefined);
    return true;
  }

  async #connect(onReady: (ready: SourceReady) => void): Promise<void> {
    this.#receivedBytes += this.#stream?.receivedBytes ?? 0;
    this.#stream = undefined;
    this.#state.state = 'connecting';
    await runSession({
      options: this.#options,
      state: this.#state,
      gaps: this.#gaps,
      looks: this.#looks,
      backfills: this.#backfills,
      stopped: this.#stopped,
      opened: this.#opened,
      walsender: { ...this.#options.life, connection: ++this.#connections },
      isFollowedAlone: this.#isFollowedAlone,
      lines: this.#lines,
      onOpened: (opened) => this.#hasOpened(opened),
      ownEncoding: this.#ownEncoding,
      inProgress: this.#isInProgressWanted(),
      onStreaming: (stream, ready, walEnd) => {
        this.#stream = stream;
        if (this.#streamedBefore) this.#state.reconnects++;
        this.#streamedBefore = true;
        this.#walEndBefore = walEnd;
        this.#ownEncoding = false;
        this.#stopped = undefined;
        this.#sayStreams();
        onReady(ready);
      },
      onReached: (lsn) => this.#came(lsn),
      signal: this.#stopping.signal,
    });
  }

  #hasOpened(opened: SourceLog): void {
    const isNew = this.#opened !== opened;
    this.#opened = opened;
    const barrier = this.#barrier;
    if (barrier === undefined || !isNew) return;
    const { log, feed } = opened;
    barrier.follows(opened.systemIdentifier);
    const add = (timeline: number, endLsn: Lsn): void =>
      barrier.add({ offset: log.writtenEnd, endLsn, epoch: log.context.epoch, timeline });
    feed.onBoundary = add;
    // What it holds from before is let go as one.
    const { inTransaction, lastEndLsn, timeline } = log.context;
    if (!inTransaction && lastEndLsn > ZERO_LSN) add(timeline, lastEndLsn);
  }

  /** Where transactions in progress could not be read, not again before something committed later than all that was there has come. */
  #isInProgressWanted(): boolean {
    const logged = this.#opened?.log.context.lastEndLsn ?? ZERO_LSN;
    if (this.#wholeUntil !== undefined && logged > this.#wholeUntil) this.#wholeUntil = undefined;
    return this.#options.settings.slot.streaming !== undefined && this.#wholeUntil === undefined;
  }

  /** A stream that breaks at the same place each time has begun each time, too: only what comes of it counts. */
  #came(lsn: Lsn): void {
    if (this.#failures > 0 && (lsn > this.#reached || lsn >= this.#walEndBefore)) this.#failures = 0;
    this.#reached = maxLsn(this.#reached, lsn);
  }

  /** Waits before the next try; throws when there is none. */
  async #wait(fault: TailraceError, onReady: (ready: SourceReady) => void): Promise<void> {
    const { settings } = this.#options;
    // What is wanted is no failure.
    if (fault.code === DRAINED) return;
    if (fault.code === 'DECODING_STOPPED') this.#stopped = {};
    if (fault.code === TEXT_UNDECODABLE) this.#ownEncoding = true;
    if (NOT_IN_PROGRESS.has(fault.code)) this.#wholeUntil = this.#reached;
    if (isHealing(fault)) this.#state.stallsHealed++;
    const failures = ++this.#failures;
    const exhausted = settings.maxConnectionRetries > 0 && failures > settings.maxConnectionRetries;
    if (fault.mend === 'restart' || exhausted) throw fault;
    if (!this.#streamedBefore && !this.#isFollowedAlone) this.#followAlone(onReady);
    // At the first start a wrong configuration is told to whoever starts us; later its cause may go away again, and there is a log.
    if (fault.mend === 'operator' && this.#isFirstStart) throw fault;
    this.#state.waits(fault);
    const retryInMs = reconnectMs(settings.reconnect, { fault, failures, chance: Math.random() });
    this.#say(fault, retryInMs);
    await this.#sleep(retryInMs);
  }

  get #isFirstStart(): boolean {
    const hasLog = this.#opened?.log.recovered.created === false;
    return !this.#streamedBefore && !this.#isFollowedAlone && !hasLog;
  }

  /** The end of an outage that was told of is told at once; a connection that comes and goes is not, each time. */
  #sayStreams(): void {
    const { logger, settings } = this.#options;
    const { host } = this.#state;
    const message = `database "${settings.name}" streams`;
    const over = this.#outage.recovered(steadyMs());
    if (over === undefined) return this.#lines.say({ level: 'info', message, fields: { host } });
    logger.info({ host, failedAttempts: over.attempts, downForMs: over.forMs }, message);
  }

  /** Each kind of fault at once; what goes on, once a minute. */
  #say(fault: TailraceError, retryInMs: number): void {
    const { logger, settings } = this.#options;
    const nowMs = steadyMs();
    const line = this.#outage.failed(nowMs);
    const isNew = this.#faults.note(fault.code, nowMs) > 0;
    const fields = { database: settings.name, code: fault.code, retryInMs };
    if (line === undefined && !isNew) return logger.debug(fields, describeError(fault));
    if (line?.what === 'still down') {
      const { attempts, forMs } = line;
      logger.warn({ ...fields, attempts, forMs }, `the database is still not read: ${describeError(fault)}`);
    } else logger.warn(fields, describeError(fault));
  }

  /** What the log holds is nobody else's perhaps: it is delivered whether or not there is a server to read from. */
  #followAlone(onReady: (ready: SourceReady) => void): void {
    const ready = followAlone(this.#options, this.#opened, { state: this.#state, lines: this.#lines });
    if (ready === undefined) return;
    this.#isFollowedAlone = true;
    const { writtenEnd: offset, lastEndLsn: endLsn, epoch } = this.#options.signals.end();
    this.#barrier?.follows(ready.log.systemIdentifier);
    this.#barrier?.add({ offset, endLsn, epoch, timeline: ready.log.history.current });
    const { settings, logger } = this.#options;
    logger.info(`database "${settings.name}" is not read: meanwhile the sinks deliver what the log holds`);
    onReady(ready);
  }

  /** No longer than until somebody decides about the gap that the stream waits for. */
  async #sleep(ms: number): Promise<void> {
    const { signal } = this.#stopping;
    const gapId = this.#stopped?.gapId;
    const untilMs = steadyMs() + ms;
    for (let left = ms; left > 0 && !signal.aborted; left = untilMs - steadyMs()) {
      if (gapId !== undefined && this.#gaps.isDecidedByNow(gapId)) return;
      const slice = gapId === undefined ? left : Math.min(left, GAPS_INTERVAL_MS);
      await sleep(slice, undefined, { signal }).catch(() => undefined);
    }
  }

  /** What Postgres or the network answered to a query; a fault of our own goes on as it is. */
  #asFault(error: unknown): TailraceError {
    const fault = storeError(error);
    if (fault instanceof TailraceError) return fault;
    if (codeOf(error) === '') throw error;
    const { settings } = this.#options;
    return connectionFault(error, settings, settings.hosts[0]!);
  }
}

const stoppedEarly = (name: string): TailraceError =>
  new TailraceError(`database "${name}" was stopped before it streamed`, { code: 'STOPPED', kind: 'fatal' });
