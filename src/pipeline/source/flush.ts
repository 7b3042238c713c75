// Makes the log durable in groups and tells Postgres what it may forget: the two loops beside the reading one.
import { setTimeout as sleep } from 'node:timers/promises';
import { nextFlush } from '../../core/ack.ts';
import { TailraceError } from '../../core/errors.ts';
import { maxLsn, minLsn, ZERO_LSN, type Lsn } from '../../core/lsn.ts';
import type { LogSignals } from '../../log/signals.ts';
import type { History, LogWriter } from '../../log/writer.ts';
import type { ReplicationStream } from '../../postgres/replication/stream.ts';
import type { DatabaseSettings } from '../../postgres/settings.ts';
import type { SourceState } from './status.ts';

/** A flush is remembered on disk before it is sent: at most this often. */
export const FLUSH_INTERVAL_MS = 1_000;
/** What may wait for the disk before reading stops. */
const MAX_UNSYNCED_BYTES = 64 * 1024 * 1024;
/** Between two fdatasyncs, so that a trickle of small transactions shares them. */
const SYNC_PAUSE_MS = 10;

export type FlushPorts = {
  readonly log: LogWriter;
  readonly signals: LogSignals;
  readonly settings: DatabaseSettings;
  /** Does the log's directory outlive the process? */
  readonly durableDirectory: boolean;
  readonly state: SourceState;
};

/** Invariant 1: `flushed` never passes what is durable here or settled everywhere, and is remembered before it is sent. */
export class FlushKeeper {
  readonly #ports: FlushPorts;
  /** Where the server's history stood when this connection began. */
  history: History = { epoch: 0, timeline: 0 };
  #durableEnd: number;
  #durableLsn: Lsn;
  #onAppend: (() => void) | undefined;
  #openTransaction = false;
  /** Our walsender is a synchronous standby: flush as durable, at once. */
  synchronous = false;
  /** What this connection's server was told. */
  flushed: Lsn = ZERO_LSN;
  /** The highest that a server of this history was told. */
  #told: Lsn = ZERO_LSN;
  /** Has this connection brought the transaction that the log ends with? */
  #brought = false;
  /** Has a connection begun with this log? */
  #hasBegun = false;
  /** WAL end of the last keepalive; set once everything before it is in the log. */
  walEnd: Lsn = ZERO_LSN;

  constructor(ports: FlushPorts) {
    this.#ports = ports;
    // Opening a log makes all of it durable.
    this.#durableEnd = ports.log.writtenEnd;
    this.#durableLsn = ports.log.context.lastEndLsn;
  }

  /** The highest that a server of this history was told: more than the present one knows of after its crash. */
  get told(): Lsn {
    return this.#told;
  }

  /**
   * A connection begins: the slot says that it was told `confirmed`, and servers of this history were told `told`. Remembers
   * it with the history.
   */
  async begin(confirmed: Lsn, history: History, told: Lsn): Promise<void> {
    this.flushed = confirmed;
    this.walEnd = confirmed;
    this.#told = maxLsn(told, confirmed);
    this.#brought = false;
    this.history = history;
    const { log } = this.#ports;
    // Somebody else may have moved the slot past what our disk has of the log (invariant 1).
    await this.sync();
    // A new log holds nothing from before: what Postgres was told by then is nobody's any more.
    const isNew = log.recovered.created && !this.#hasBegun;
    await log.remember({
      flushed: this.#told,
      ...(isNew ? { settled: confirmed } : {}),
      history,
    });
    this.#hasBegun = true;
    this.#report();
  }

  /** The log goes on in another history, which has nothing in common with what servers were told above the parting. */
  parted(history: History, lsn: Lsn): void {
    this.history = history;
    this.#told = minLsn(this.#told, lsn);
    this.#durableLsn = minLsn(this.#durableLsn, lsn);
  }

  /** A batch is in the log, and so is everything before `walEnd`. `brought`: this connection has brought the log's end. */
  appended(walEnd: Lsn, openTransaction: boolean, brought: boolean): void {
    this.walEnd = walEnd;
    this.#openTransaction = openTransaction;
    this.#brought = brought;
    const { log, signals } = this.#ports;
    // Invariant 5: what is open may have been committed before that.
    if (!openTransaction && !log.context.inTransaction) {
      signals.publishQuiet({ offset: log.writtenEnd, lsn: walEnd, timeline: this.history.timeline });
    }
    this.#onAppend?.();
  }

  /** Rows of a backfill are in the log: of what Postgres may forget that says nothing. */
  appendedReads(): void {
    this.#onAppend?.();
  }

  /** Is there more in the page cache than may be? */
  get behind(): boolean {
    return this.unsyncedBytes > MAX_UNSYNCED_BYTES;
  }

  /** What waits for the disk, and up to where that has got. */
  get unsyncedBytes(): number {
    return this.#ports.log.writtenEnd - this.#durableEnd;
  }
  get durableEnd(): number {
    return this.#durableEnd;
  }

  /** Slots of the sinks that the flush waits for. */
  holders(): number[] {
    const { log, signals, state } = this.#ports;
    const lowest = state.acknowledging === 'delivered' ? signals.lowestSettled() : undefined;
    if (lowest === undefined || lowest.offset >= log.writtenEnd) return [];
    return [...signals.holders()].filter((slot) => signals.settled(slot).offset === lowest.offset);
  }

  async sync(): Promise<void> {
    const { log } = this.#ports;
    const lsn = log.context.lastEndLsn;
    this.#durableEnd = await log.sync();
    this.#durableLsn = lsn;
  }

  /** Syncs whenever something new is in the log, one fdatasync at a time. Rejects when the log is over. */
  async syncLoop(signal: AbortSignal): Promise<void> {
    const wake = (): void => this.#onAppend?.();
    signal.addEventListener('abort', wake);
    while (!signal.aborted) {
      if (this.#ports.log.writtenEnd === this.#durableEnd) {
        await new Promise<void>((resolve) => (this.#onAppend = resolve));
        this.#onAppend = undefined;
        continue;
      }
      await this.sync();
      if (!this.behind) await sleep(SYNC_PAUSE_MS);
    }
    signal.removeEventListener('abort', wake);
  }

  /** Decides once a second what Postgres may forget, and says so. Rejects when the log is over. */
  async flushLoop(stream: ReplicationStream, signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      await this.flush(stream);
      await sleep(FLUSH_INTERVAL_MS, undefined, { signal }).catch(() => undefined);
    }
  }

  async flush(stream: ReplicationStream): Promise<void> {
    const { log, signals, settings, durableDirectory, state } = this.#ports;
    const { slot } = settings;
    const decision = nextFlush({
      policy: slot.ack,
      acknowledging: state.acknowledging,
      durableDirectory,
      synchronous: this.synchronous,
      settledLsn: signals.lowestSettled()?.lsn,
      durableLsn: this.#durableLsn,
      loggedLsn: log.context.lastEndLsn,
      openTransaction: this.#openTransaction || log.context.inTransaction,
      walEnd: this.walEnd,
      previousFlush: this.flushed,
      received: this.#brought ? maxLsn(this.walEnd, log.context.lastEndLsn) : this.walEnd,
      maxRetainedBytes: slot.maxRetainedBytes,
    });
    state.acknowledging = decision.acknowledging;
    state.alarm('RETAINED', decision.alarm === 'retained' ? retainedAlarm(settings) : undefined);
    if (decision.flush > this.flushed) {
      const settled = decision.acknowledging === 'delivered' ? { settled: decision.flush } : {};
      this.#told = maxLsn(this.#told, decision.flush);
      await log.remember({ flushed: this.#told, ...settled, history: this.history });
      this.flushed = decision.flush;
      stream.confirm(decision.flush);
    }
    this.#report();
  }

  #report(): void {
    const { log, state } = this.#ports;
    state.walEnd = this.walEnd;
    state.logged = log.context.lastEndLsn;
    state.durable = this.#durableLsn;
    state.flushed = this.flushed;
    state.logBytes = log.bytes();
  }
}

const retainedAlarm = (settings: DatabaseSettings): TailraceError =>
  new TailraceError(
    `database "${settings.name}": Postgres keeps more than slot.max_retained for Tailrace, and the data directory does not outlive the process, so only deliveries free it`,
    {
      code: 'RETAINED',
      kind: 'retryable',
      hint: 'mount a persistent volume as data directory (or set slot.ack: durable), and see which sink is behind',
    },
  );
