// Delivery of one sink: decides what may go, sends it in batches, and what an outcome means. The sink only classifies.
import type { SinkCounts } from '../../core/counts.ts';
import type { DeliveryError, Outcome } from '../../core/errors.ts';
import { backoffMs, type RetryPolicy } from '../../core/retry.ts';
import type { Sink } from '../../sinks/sink.ts';
import { takeBatch } from './batch.ts';
import { MISSING_OUTCOME, thrownError, tooLargeError } from './delivery-errors.ts';
import { LatencyWindow } from './latency.ts';
import type { Outcomes } from './outcomes.ts';
import type { Pending } from './pending.ts';
import type { RouteQueue } from './route-queue.ts';
import type { Routes } from './routes.ts';
import { MAX_DOWN_ROUTE_IN_MEMORY, type Unsettled } from './unsettled.ts';

export type DispatcherSettings = {
  readonly ordered: boolean;
  readonly retry: RetryPolicy;
  readonly maxRetryCount: number | undefined;
  readonly batchSize: number | undefined;
  readonly maxBuffered: number | undefined;
  readonly maxParked: number;
};

export type DispatcherPorts = {
  readonly sink: Pick<Sink, 'deliver' | 'sizeOf'>;
  /** What is let in: messages enter there, and leave here. */
  readonly unsettled: Unsettled;
  readonly routes: Routes;
  /** Renders a parked message again. */
  render(message: Pending): void;
  readonly outcomes: Outcomes;
  readonly counts: SinkCounts;
  warn(event: string, fields: Record<string, unknown>): void;
  nowMs(): number;
  chance(): number;
};

const MAX_NAMED_GROUPS = 10;

export class Dispatcher {
  readonly latency = new LatencyWindow();
  readonly #settings: DispatcherSettings;
  readonly #ports: DispatcherPorts;
  readonly #counts: SinkCounts;
  readonly #unsettled: Unsettled;
  /** Unsettled messages that were refused themselves: each holds back its group. */
  readonly #failing = new Set<Pending>();
  readonly #backingOff = new Map<Pending, NodeJS.Timeout>();
  readonly #abort = new AbortController();
  #routeTimer: NodeJS.Timeout | undefined;
  #dispatchIsDue = false;
  #stopping = false;
  #discardBelow = 0;
  #inFlight = 0;
  #requestsInFlight = 0;

  constructor(settings: DispatcherSettings, ports: DispatcherPorts) {
    this.#settings = settings;
    this.#ports = ports;
    this.#counts = ports.counts;
    this.#unsettled = ports.unsettled;
  }

  /**
   * Sends what may go. Call it after a block was read: batches fill naturally. What is settled is recorded first, so that
   * a kill can repeat only requests in flight: not also those whose lanes are in use again.
   */
  dispatch(): void {
    if (this.#stopping) return;
    this.#ports.outcomes.record();
    const now = this.#ports.nowMs();
    let probeAt = Infinity;
    for (const queue of this.#ports.routes.all()) {
      while (queue.mayStart(now)) {
        const { batch, tooLarge } = takeBatch(queue, {
          ordered: this.#settings.ordered,
          maxCount: this.#settings.batchSize ?? Infinity,
          sizeOf: (message) => this.#renderedSize(message),
        });
        if (tooLarge.length > 0) this.#rejectTooLarge(queue, tooLarge);
        if (batch.length > 0) void this.#send(queue, batch);
      }
      if (queue.isDown && queue.lanesInUse === 0) probeAt = Math.min(probeAt, queue.retryAtMs);
    }
    clearTimeout(this.#routeTimer);
    if (probeAt !== Infinity) {
      this.#routeTimer = setTimeout(() => this.dispatch(), Math.max(1, probeAt - now));
    }
  }

  /** Starts nothing new, waits for what is in flight until `deadlineMs`, then aborts it: it will be sent again. */
  async stop(deadlineMs: number): Promise<void> {
    this.#stopping = true;
    clearTimeout(this.#routeTimer);
    for (const timer of this.#backingOff.values()) clearTimeout(timer);
    this.#backingOff.clear();
    const timer = setTimeout(() => this.#abort.abort(), Math.max(0, deadlineMs - this.#ports.nowMs()));
    while (this.#requestsInFlight > 0) await new Promise<void>((done) => (this.#idle = done));
    clearTimeout(timer);
  }
  #idle: (() => void) | undefined;

  /** Messages: in requests without an answer, in memory, and those of which only the log offset is kept. */
  gauges(): { inFlight: number; buffered: number; parked: number } {
    const { buffered, parked } = this.#unsettled.room;
    return { inFlight: this.#inFlight, buffered, parked };
  }
  /** Groups held back by a message that failed. */
  blockedGroups(): string[] {
    const names = new Set<string>();
    for (const message of this.#failing) {
      names.add(message.group);
      if (names.size === MAX_NAMED_GROUPS) break;
    }
    return [...names];
  }

  #rejectTooLarge(queue: RouteQueue<Pending>, messages: readonly Pending[]): void {
    const limit = queue.route.limits.messageBytes;
    const dead = messages.map((message) => ({ message, error: tooLargeError(message, limit) }));
    for (const { error } of dead)
      this.#ports.warn('message too large', { route: queue.id, hint: error.hint });
    this.#settle([], dead);
  }

  /** The wire size of a message whose turn has come; a parked one is rendered first. */
  #renderedSize(message: Pending): number {
    if (message.rawBytes > 0) return Infinity;
    if (message.isParked) {
      this.#unsettled.room.leave(message);
      this.#ports.render(message);
      this.#unsettled.room.enter(message);
    }
    // A dead letter that was discarded while it waited for its turn has nothing to send.
    return message.isParked ? Infinity : this.#ports.sink.sizeOf(message);
  }

  async #send(queue: RouteQueue<Pending>, batch: readonly Pending[]): Promise<void> {
    const { failures: startedAt } = queue;
    queue.lanesInUse++;
    this.#inFlight += batch.length;
    this.#requestsInFlight++;
    this.#counts.requests++;
    let outcomes: readonly Outcome[] | undefined;
    try {
      outcomes = await this.#ports.sink.deliver(batch, this.#abort.signal);
    } catch (error) {
      // Aborted by a stop: nothing is known of these messages, and nothing is wrong with their route.
      const failure = this.#abort.signal.aborted ? undefined : thrownError(error);
      outcomes = failure === undefined ? undefined : batch.map(() => failure);
    }
    queue.lanesInUse--;
    this.#inFlight -= batch.length;
    this.#requestsInFlight--;
    if (outcomes !== undefined) this.#conclude(queue, { batch, startedAt }, outcomes);
    if (this.#requestsInFlight === 0) this.#idle?.();
    this.#dispatchSoon();
  }

  /** Once for all answers of this turn of the event loop. */
  #dispatchSoon(): void {
    if (this.#dispatchIsDue) return;
    this.#dispatchIsDue = true;
    setImmediate(() => {
      this.#dispatchIsDue = false;
      this.dispatch();
    });
  }

  /** `startedAt`: the route's failures in a row when the request started. */
  #conclude(
    queue: RouteQueue<Pending>,
    { batch, startedAt }: { readonly batch: readonly Pending[]; readonly startedAt: number },
    outcomes: readonly Outcome[],
  ): void {
    const delivered: Pending[] = [];
    const failed: { message: Pending; error: DeliveryError }[] = [];
    let routeError: DeliveryError | undefined;
    for (let i = 0; i < batch.length; i++) {
      const message = batch[i]!;
      const outcome = outcomes[i] ?? MISSING_OUTCOME;
      if (outcome === 'delivered') {
        delivered.push(message);
        continue;
      }
      if (outcome.kind === 'fatal') this.#ports.outcomes.halted(outcome);
      failed.push({ message, error: outcome });
      if (outcome.scope === 'route' || outcome.scope === 'sink') routeError = outcome;
    }
    if (routeError === undefined) queue.recover();
    else this.#failRoute(queue, routeError, startedAt);
    this.#settleBatch(queue, delivered, failed);
  }

  #failRoute(queue: RouteQueue<Pending>, error: DeliveryError, startedAt: number): void {
    this.#counts.failedRequests++;
    const wasDown = queue.isDown;
    const ports = this.#ports;
    queue.fail(error, this.#settings.retry, {
      startedAt,
      nowMs: ports.nowMs(),
      chance: ports.chance(),
    });
    if (wasDown) return;
    this.#ports.warn('route is down', { route: queue.id, code: error.code, hint: error.hint });
    let kept = 0;
    for (const message of this.#unsettled.all()) {
      if (message.routeQueue !== queue || message.isParked || message.state === 'sending') continue;
      if (kept++ >= MAX_DOWN_ROUTE_IN_MEMORY) this.#unsettled.room.park(message);
    }
  }

  #settleBatch(
    queue: RouteQueue<Pending>,
    delivered: readonly Pending[],
    failed: readonly { message: Pending; error: DeliveryError }[],
  ): void {
    const dead: { message: Pending; error: DeliveryError }[] = [];
    const again: Pending[] = [];
    let discarded = 0;
    for (const { message, error } of failed) {
      if (message.letterId === 0 && message.offset < this.#discardBelow) {
        discarded += this.#discard(message);
        continue;
      }
      message.state = 'waiting';
      if (error.kind === 'fatal' || error.scope !== 'message') {
        again.push(message);
        continue;
      }
      message.attempts++;
      const { maxRetryCount } = this.#settings;
      const exhausted = maxRetryCount !== undefined && message.attempts > maxRetryCount;
      if (error.kind === 'rejected' || exhausted) dead.push({ message, error });
      else this.#backOff(message, error);
    }
    if (discarded > 0) this.#ports.outcomes.discarded(discarded);
    this.#countInversions(delivered);
    this.#settle(delivered, dead);
    // What failed with its route, or was not tried, keeps its place at the front of the queue.
    const heads = again.filter((message) => message.waitsOn === 0 && message.state === 'waiting');
    for (const message of heads) message.state = 'ready';
    if (heads.length > 0) queue.ready.pushFront(heads);
  }

  /** A failing message holds back its own group only, and of that group only log offsets are kept. */
  #backOff(message: Pending, error: DeliveryError): void {
    this.#counts.retried++;
    message.state = 'backing-off';
    this.#failing.add(message);
    const wait =
      error.retryAfterMs ?? backoffMs(this.#settings.retry, message.attempts, this.#ports.chance());
    if (message.attempts === 1) {
      this.#ports.warn('message failed', {
        position: message.idempotencyKey,
        code: error.code,
        hint: error.hint,
      });
    }
    this.#unsettled.parkFollowers(message);
    const timer = setTimeout(() => {
      this.#backingOff.delete(message);
      message.state = 'waiting';
      if (message.waitsOn === 0) {
        message.state = 'ready';
        message.routeQueue.ready.pushFront([message]);
      }
      this.dispatch();
    }, wait);
    this.#backingOff.set(message, timer);
  }

  #countInversions(delivered: readonly Pending[]): void {
    for (const message of delivered) {
      if (message.links?.previous === undefined) continue;
      const older = message.links.previous.message;
      if (delivered.includes(older)) continue;
      this.#counts.inversions++;
      this.#ports.warn('a later message of a group was accepted before an earlier one', {
        earlier: older.idempotencyKey,
        later: message.idempotencyKey,
      });
    }
  }

  /**
   * Gives up every message of the log before this offset, but those in requests: these are given up if their request
   * fails. Who calls has a record of it made before the cursor moves. Answers how many were given up at once.
   */
  discardBelow(offset: number): number {
    this.#discardBelow = offset;
    let count = 0;
    for (const message of this.#unsettled.all()) {
      if (message.offset >= offset) break;
      if (message.state !== 'sending') count += this.#discard(message);
    }
    return count;
  }

  #discard(message: Pending): number {
    clearTimeout(this.#backingOff.get(message));
    this.#backingOff.delete(message);
    this.#leave(message);
    // Of a change in two halves the second one counts.
    return message.settlesChange() ? 1 : 0;
  }

  /** Invariant 3: delivered, or kept as a dead letter and then settled. */
  #settle(delivered: readonly Pending[], dead: readonly { message: Pending; error: DeliveryError }[]): void {
    for (const { message, error } of dead) {
      this.#ports.outcomes.deadLetter(message, error);
      if (message.letterId === 0) this.#counts.deadLettered++;
    }
    const now = this.#ports.nowMs();
    for (const message of delivered) {
      this.#counts.delivered++;
      this.#counts.bytes += message.jsonBytes;
      if (message.letterId !== 0) continue;
      this.latency.add(now, now - Number(message.transaction.commitTimeUs) / 1000);
    }
    const settled = dead.length === 0 ? delivered : [...delivered, ...dead.map(({ message }) => message)];
    if (settled.length === 0) return;
    this.#ports.outcomes.settled(settled);
    for (const message of settled) message.state = 'settled';
    for (const message of settled) this.#leave(message);
  }

  #leave(message: Pending): void {
    if (message.attempts > 0) this.#failing.delete(message);
    this.#unsettled.leave(message);
  }
}
