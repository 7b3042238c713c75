// Delivery of one sink: decides what may go, sends it in batches, and what an outcome means. The sink only classifies.
import type { DeliveryError, Outcome } from '../core/errors.ts';
import { backoffMs, type RetryPolicy } from '../core/retry.ts';
import type { Route, Sink } from '../sinks/sink.ts';
import type { Arenas } from './arena.ts';
import { Groups } from './groups.ts';
import { LatencyWindow } from './latency.ts';
import type { Pending } from './pending.ts';
import { Room } from './room.ts';
import { RouteQueue, takeBatch } from './route-queue.ts';
import { settleRow, type TableBarriers } from './table-order.ts';

export type DispatcherSettings = {
  readonly ordered: boolean;
  readonly retry: RetryPolicy;
  readonly maxRetryCount: number | undefined;
  readonly batchSize: number | undefined;
  readonly lanesPerRoute: number | undefined;
  readonly maxBuffered: number | undefined;
  readonly maxParked: number;
};

export type DispatcherPorts = {
  readonly sink: Pick<Sink, 'deliver' | 'sizeOf'>;
  /** Renders a parked message again, from the log. */
  render(message: Pending): void;
  /** Keeps a message that will not be sent; durable when it returns. */
  keepDeadLetter(message: Pending, error: DeliveryError): void;
  /** Remembers settled messages. */
  remember(messages: readonly Pending[]): void;
  /** Hands what is remembered to the operating system: it survives `kill -9`. */
  record(): void;
  /** Messages in failed requests were given up (`discardBelow`). */
  discarded(changes: number): void;
  /** Something settled, or the room changed. */
  changed(): void;
  /** The sink cannot go on. */
  halt(error: DeliveryError): void;
  warn(event: string, fields: Record<string, unknown>): void;
  nowMs(): number;
  chance(): number;
};

/** A group longer than this keeps only log offsets of its tail, so that it cannot take the room of the others. */
const MAX_GROUP_IN_MEMORY = 256;
/** Of a route that is down: the rest is parked, so that it cannot take the room of other routes. */
const MAX_DOWN_ROUTE_IN_MEMORY = 250;
const MAX_NAMED_GROUPS = 10;

export class Dispatcher {
  readonly counters = {
    delivered: 0,
    deadLettered: 0,
    retried: 0,
    requests: 0,
    failedRequests: 0,
    bytes: 0,
    inversions: 0,
    discarded: 0,
  };
  readonly latency = new LatencyWindow();
  readonly #settings: DispatcherSettings;
  readonly #ports: DispatcherPorts;
  readonly #room: Room;
  readonly #groups = new Groups();
  readonly #routes = new Map<string, RouteQueue>();
  /** Unsettled messages that were refused themselves: each holds back its group. */
  readonly #failing = new Set<Pending>();
  readonly #backingOff = new Map<Pending, NodeJS.Timeout>();
  readonly #abort = new AbortController();
  #routeTimer: NodeJS.Timeout | undefined;
  #dispatchIsDue = false;
  #stopping = false;
  #discardBelow = 0;
  #first: Pending | undefined;
  #last: Pending | undefined;
  #inFlight = 0;
  #requestsInFlight = 0;

  constructor(settings: DispatcherSettings, ports: DispatcherPorts) {
    this.#settings = settings;
    this.#ports = ports;
    this.#room = new Room(settings);
  }

  /** Where messages are rendered to. */
  get arenas(): Arenas {
    return this.#room.arenas;
  }

  /** The queue of a route; the same id gives the same queue. */
  routeQueue(route: Route): RouteQueue {
    let queue = this.#routes.get(route.id);
    if (queue === undefined) {
      const { lanesPerRoute, batchSize } = this.#settings;
      const { limits } = route;
      queue = new RouteQueue(route, lanesPerRoute ?? limits.lanesPerRoute);
      this.#routes.set(route.id, queue);
      this.#room.serve(queue.lanes * Math.min(limits.batchCount, batchSize ?? Infinity));
    }
    return queue;
  }

  /** The oldest unsettled message: everything before it is settled (invariant 2). */
  get oldest(): Pending | undefined {
    return this.#first;
  }

  /** All unsettled messages, in log order. */
  *unsettled(): Generator<Pending> {
    for (let message = this.#first; message !== undefined; message = message.after) yield message;
  }

  /** Should a message of this table, group and route keep only its log offset for now? */
  shouldPark(barriers: TableBarriers, group: string | undefined, route: RouteQueue): boolean {
    if (barriers.isClosed || (route.isDown && route.ready.length >= MAX_DOWN_ROUTE_IN_MEMORY)) return true;
    const queue = group === undefined ? undefined : this.#groups.get(group);
    if (queue === undefined) return false;
    return (
      queue.length >= MAX_GROUP_IN_MEMORY ||
      (queue.first !== undefined && queue.first.message.attempts > 0) ||
      queue.last?.message.isParked === true
    );
  }

  /** Is there no room for more? `changed` is called when that may have ended. */
  isFull(): boolean {
    return this.#room.isFull();
  }
  hasRoomAgain(): boolean {
    return this.#room.hasRoomAgain();
  }

  /** Lets a message in, in log order. It has been rendered, or is parked. */
  add(message: Pending, groups: { group: string | undefined; previousGroup: string | undefined }): void {
    // A replayed dead letter is not of the log: no cursor waits for it.
    if (message.letterId === 0) {
      message.before = this.#last;
      if (this.#last === undefined) this.#first = message;
      else this.#last.after = message;
      this.#last = message;
    }
    this.#room.enter(message);
    if (message.action === 'truncate') {
      message.plan.barriers.enterTruncate(message);
    } else {
      message.plan.barriers.enterRow(message);
      if (groups.group !== undefined) message.links = this.#groups.append(message, groups.group);
      if (groups.previousGroup !== undefined) {
        message.secondLink = this.#groups.append(message, groups.previousGroup);
      }
    }
    if (message.waitsOn === 0) this.#makeReady(message);
  }

  /**
   * Sends what may go. Call it after a block was read: batches fill naturally. What is settled is recorded first, so that
   * a kill can repeat only requests in flight: not also those whose lanes are in use again.
   */
  dispatch(): void {
    if (this.#stopping) return;
    this.#ports.record();
    const now = this.#ports.nowMs();
    let probeAt = Infinity;
    for (const queue of this.#routes.values()) {
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

  gauges(): { inFlight: number; buffered: number; parked: number; unsettled: boolean } {
    return {
      inFlight: this.#inFlight,
      buffered: this.#room.buffered,
      parked: this.#room.parked,
      unsettled: this.#first !== undefined,
    };
  }
  routes(): Iterable<RouteQueue> {
    return this.#routes.values();
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

  #rejectTooLarge(queue: RouteQueue, messages: readonly Pending[]): void {
    const limit = queue.route.limits.messageBytes;
    const dead = messages.map((message) => ({ message, error: tooLargeError(message, limit) }));
    for (const { error } of dead)
      this.#ports.warn('message too large', { route: queue.id, hint: error.hint });
    this.#settle([], dead);
  }

  #makeReady(message: Pending): void {
    message.state = 'ready';
    message.routeQueue.ready.push(message);
  }

  /** The wire size of a message whose turn has come; a parked one is rendered first. */
  #renderedSize(message: Pending): number {
    if (message.rawBytes > 0) return Infinity;
    if (message.isParked) {
      this.#room.leave(message);
      this.#ports.render(message);
      this.#room.enter(message);
    }
    // A dead letter that was discarded while it waited for its turn has nothing to send.
    return message.isParked ? Infinity : this.#ports.sink.sizeOf(message);
  }

  async #send(queue: RouteQueue, batch: readonly Pending[]): Promise<void> {
    const { failures: startedAt } = queue;
    queue.lanesInUse++;
    this.#inFlight += batch.length;
    this.#requestsInFlight++;
    this.counters.requests++;
    let outcomes: readonly Outcome[] | undefined;
    try {
      outcomes = await this.#ports.sink.deliver(batch, this.#abort.signal);
    } catch (error) {
      // Aborted by a stop: nothing is known of these messages, and nothing is wrong with their route.
      const failure = this.#abort.signal.aborted ? undefined : thrown(error);
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
    queue: RouteQueue,
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
      if (outcome.kind === 'fatal') this.#ports.halt(outcome);
      failed.push({ message, error: outcome });
      if (outcome.scope === 'route' || outcome.scope === 'sink') routeError = outcome;
    }
    if (routeError === undefined) queue.recover();
    else this.#failRoute(queue, routeError, startedAt);
    this.#settleBatch(queue, delivered, failed);
  }

  #failRoute(queue: RouteQueue, error: DeliveryError, startedAt: number): void {
    this.counters.failedRequests++;
    const wasDown = queue.isDown;
    const { nowMs, chance } = this.#ports;
    queue.fail(error, this.#settings.retry, { startedAt, nowMs: nowMs(), chance: chance() });
    if (wasDown) return;
    this.#ports.warn('route is down', { route: queue.id, code: error.code, hint: error.hint });
    let kept = 0;
    for (const message of this.unsettled()) {
      if (message.routeQueue !== queue || message.isParked || message.state === 'sending') continue;
      if (kept++ >= MAX_DOWN_ROUTE_IN_MEMORY) this.#room.park(message);
    }
  }

  #settleBatch(
    queue: RouteQueue,
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
    if (discarded > 0) this.#ports.discarded(discarded);
    this.#countInversions(delivered);
    this.#settle(delivered, dead);
    // What failed with its route, or was not tried, keeps its place at the front of the queue.
    const heads = again.filter((message) => message.waitsOn === 0 && message.state === 'waiting');
    for (const message of heads) message.state = 'ready';
    if (heads.length > 0) queue.ready.pushFront(heads);
  }

  /** A failing message holds back its own group only, and of that group only log offsets are kept. */
  #backOff(message: Pending, error: DeliveryError): void {
    this.counters.retried++;
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
    for (const link of [message.links, message.secondLink]) {
      for (let next = link?.next; next !== undefined; next = next.next) {
        const follower = next.message;
        if (follower.state === 'waiting' && !follower.isParked) this.#room.park(follower);
      }
    }
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
      this.counters.inversions++;
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
    for (const message of this.unsettled()) {
      if (message.offset >= offset) break;
      if (message.state !== 'sending') count += this.#discard(message);
    }
    if (count > 0) this.#ports.changed();
    return count;
  }

  #discard(message: Pending): number {
    clearTimeout(this.#backingOff.get(message));
    this.#backingOff.delete(message);
    message.state = 'settled';
    this.#unlink(message);
    // Of a change in two halves the second one counts.
    const changes = message.settlesChange() ? 1 : 0;
    this.counters.discarded += changes;
    return changes;
  }

  /** Invariant 3: delivered, or kept as a dead letter and then settled. */
  #settle(delivered: readonly Pending[], dead: readonly { message: Pending; error: DeliveryError }[]): void {
    for (const { message, error } of dead) {
      this.#ports.keepDeadLetter(message, error);
      if (message.letterId === 0) this.counters.deadLettered++;
    }
    const now = this.#ports.nowMs();
    for (const message of delivered) {
      this.counters.delivered++;
      this.counters.bytes += message.jsonBytes;
      if (message.letterId !== 0) continue;
      this.latency.add(now, now - Number(message.transaction.commitTimeUs) / 1000);
    }
    const settled = dead.length === 0 ? delivered : [...delivered, ...dead.map(({ message }) => message)];
    if (settled.length === 0) return;
    this.#ports.remember(settled);
    for (const message of settled) message.state = 'settled';
    for (const message of settled) this.#unlink(message);
    this.#ports.changed();
  }

  #unlink(message: Pending): void {
    if (message.letterId === 0) {
      if (message.before === undefined) this.#first = message.after;
      else message.before.after = message.after;
      if (message.after === undefined) this.#last = message.before;
      else message.after.before = message.before;
    }
    this.#room.free(message);
    if (message.attempts > 0) this.#failing.delete(message);
    if (message.links !== undefined) this.#release(this.#groups.remove(message.links));
    if (message.secondLink !== undefined) this.#release(this.#groups.remove(message.secondLink));
    if (message.action === 'truncate') {
      for (const waiting of message.plan.barriers.settleTruncate(message)) this.#release(waiting);
    } else if (message.tableOrder !== undefined) {
      this.#release(settleRow(message.tableOrder));
    }
  }

  #release(message: Pending | undefined): void {
    if (message === undefined) return;
    message.waitsOn--;
    if (message.waitsOn === 0 && message.state === 'waiting') this.#makeReady(message);
  }
}

const MISSING_OUTCOME: DeliveryError = {
  kind: 'retryable',
  scope: 'sink',
  code: 'OUTCOME_MISSING',
  hint: 'the sink gave no outcome for a message; it is sent again',
};

const tooLargeError = (message: Pending, limit: number): DeliveryError => ({
  kind: 'rejected',
  scope: 'message',
  code: 'MESSAGE_TOO_LARGE',
  hint:
    message.rawBytes > 0
      ? `${message.action} of ${message.schema}.${message.table}: the row has ${message.rawBytes} bytes, more than the log takes; raise log.max_message_bytes`
      : `${message.action} of ${message.schema}.${message.table}: the message is larger than the ${limit} bytes that its route takes; list fewer columns`,
});

/** A throw is the sink's failure: nothing is known of any message (architecture §10). */
function thrown(error: unknown): DeliveryError {
  const code = (error as { code?: unknown } | null)?.code;
  return {
    kind: 'retryable',
    scope: 'sink',
    code: typeof code === 'string' ? code : 'SINK_ERROR',
    hint: error instanceof Error ? error.message : String(error),
  };
}
