// Where the stream stands while backfills run, and the places in it where their rows may be let in: between two batches, and between two
// transactions. One for a connection. Hot: once a batch.
import { steadyMs } from '../../../core/clock.ts';
import { maxLsn, toLsn, ZERO_LSN, type Lsn } from '../../../core/lsn.ts';
import type { StreamBatch } from '../../../postgres/replication/stream.ts';
import type { LogFeed } from '../feed.ts';
import type { SourceLog } from '../log.ts';
import type { StreamWatch } from './stream-watch.ts';

/** Of the log, what is asked before anything is let in. */
type GatedLog = Pick<SourceLog, 'log' | 'keeper' | 'budget' | 'proved'> & {
  readonly feed: Pick<LogFeed, 'isBetween' | 'onCommitted' | 'commitLsn' | 'openTransaction' | 'brought'>;
};

/** While somebody waits. */
const ASK_INTERVAL_MS = 50;
/** What came so lately may be followed by more: for so long it is waited for that, before the first question. */
const LATELY_MS = 10;

export class StreamGate {
  readonly #opened: GatedLog;
  #reached: Lsn;
  #isBusy = false;
  /** When it brought something last: an answer to a question is nothing. */
  #cameAtMs = -Infinity;
  #watch: StreamWatch | undefined;
  /** Those who wait for a place between two transactions, and those for the end of a batch. */
  readonly #waiting = new Set<() => void>();
  readonly #resting: (() => void)[] = [];

  readonly #askPosition: () => void;

  /** `reached`: everything before it is in the log; `askPosition`: has the server say how far it is. */
  constructor(opened: GatedLog, reached: Lsn, askPosition: () => void) {
    this.#opened = opened;
    this.#reached = reached;
    this.#askPosition = askPosition;
  }

  /** Everything before this has come. */
  get reached(): Lsn {
    const { log, feed } = this.#opened;
    // What other connections brought may be of another history.
    return feed.brought ? maxLsn(this.#reached, log.context.lastEndLsn) : this.#reached;
  }

  /** Before the batch is taken into the log. */
  take(batch: StreamBatch): void {
    this.#isBusy = true;
    if (batch.count > 0) this.#cameAtMs = steadyMs();
    this.#watch?.take(batch);
  }

  /** The batch is in the log, and everything before `walEnd` has come. */
  taken(walEnd: Lsn): void {
    this.#isBusy = false;
    this.#reached = maxLsn(this.#reached, walEnd);
    for (const go of this.#resting.splice(0)) go();
    if (this.#waiting.size === 0) return;
    this.#askAll();
    // Where batches end in transactions, again and again.
    if (this.#waiting.size > 0 && !this.#opened.feed.isBetween)
      this.#opened.feed.onCommitted = () => this.#askAll();
  }

  /** From the next batch on what the stream brings is told to it; undefined: nobody asks any more. */
  tell(watch: StreamWatch | undefined): void {
    this.#watch = watch;
  }

  /**
   * Whoever has replayed up to here has all that has come, the transaction in the middle too: its commit record stands at its commit LSN,
   * and is replayed as a whole.
   */
  get streamedTo(): Lsn {
    const { feed } = this.#opened;
    const begun = feed.openTransaction || feed.brought ? feed.commitLsn : ZERO_LSN;
    return maxLsn(this.reached, toLsn(maxLsn(begun, this.#watch?.commitLsn ?? ZERO_LSN) + 1n));
  }

  /** Calls `act` where no batch is in hand: all that the stream has brought is in the log, and in force there. */
  async atRest<Result>(act: () => Result): Promise<Result> {
    while (this.#isBusy) await new Promise<void>((resolve) => this.#resting.push(resolve));
    return act();
  }

  /**
   * Calls `attempt` wherever rows may be let in, now and later, until it answers something. Rejects with what it throws, or when `signal`
   * aborts.
   */
  between<Answer>(attempt: () => Answer | undefined, signal: AbortSignal): Promise<Answer> {
    const { promise, resolve, reject } = Promise.withResolvers<Answer>();
    const done = (): void => {
      this.#waiting.delete(ask);
      signal.removeEventListener('abort', onAbort);
    };
    const onAbort = (): void => {
      done();
      reject(signal.reason as Error);
    };
    const ask = (): void => {
      try {
        const answer = attempt();
        if (answer === undefined) return;
        done();
        resolve(answer);
      } catch (error) {
        done();
        reject(error);
      }
    };
    this.#waiting.add(ask);
    signal.addEventListener('abort', onAbort);
    if (signal.aborted) onAbort();
    else if (!this.#isBusy && this.#isOpen) ask();
    if (!this.#waiting.has(ask)) return promise;
    // Of a database in which nothing happens the server says so seldom.
    const waitMs = LATELY_MS - (steadyMs() - this.#cameAtMs);
    let asking: NodeJS.Timeout | undefined;
    const askNow = (): void => {
      this.#askPosition();
      asking = setTimeout(askNow, ASK_INTERVAL_MS);
    };
    if (waitMs > 0) asking = setTimeout(askNow, waitMs);
    else askNow();
    return promise.finally(() => clearTimeout(asking));
  }

  #askAll(): void {
    if (!this.#isOpen) return;
    for (const ask of this.#waiting) ask();
  }

  /** Until the server is known to be the log's, and while the disk is behind or full, nothing is let in. */
  get #isOpen(): boolean {
    const { feed, keeper, budget, proved } = this.#opened;
    return feed.isBetween && proved && !keeper.behind && !budget.spent;
  }
}
