// One route of a sink (a queue URL, a topic, an endpoint): what is ready for it, its lanes, and its health.
import type { DeliveryError } from '../../core/errors.ts';
import { backoffMs, type RetryPolicy } from '../../core/retry.ts';
import type { Route } from '../../sinks/sink.ts';
import type { Pending } from './pending.ts';

/** A first-in-first-out queue whose head can also be pushed back. */
class ReadyQueue {
  #items: (Pending | undefined)[] = [];
  #head = 0;

  get length(): number {
    return this.#items.length - this.#head;
  }
  push(message: Pending): void {
    this.#items.push(message);
  }
  pushFront(messages: readonly Pending[]): void {
    this.#items.splice(0, this.#head, ...messages);
    this.#head = 0;
  }
  peek(): Pending | undefined {
    return this.#items[this.#head];
  }
  shift(): Pending | undefined {
    const message = this.#items[this.#head];
    if (message === undefined) return undefined;
    this.#items[this.#head++] = undefined;
    if (this.#head > SPARE_SLOTS && this.#head * 2 > this.#items.length) {
      this.#items.splice(0, this.#head);
      this.#head = 0;
    }
    return message;
  }
}
const SPARE_SLOTS = 256;

/** A lane is one of a route's requests in flight: `lanes` of them at most. */
export class RouteQueue {
  readonly id: string;
  readonly route: Route;
  readonly ready = new ReadyQueue();
  readonly lanes: number;
  lanesInUse = 0;
  /** Failed requests in a row. */
  failures = 0;
  /** While down, the time (ms) of the next probe. */
  retryAtMs = 0;
  error: DeliveryError | undefined;
  downSinceMs = 0;

  constructor(route: Route, lanes: number) {
    this.id = route.id;
    this.route = route;
    this.lanes = lanes;
  }

  get isDown(): boolean {
    return this.failures > 0;
  }

  /** May another request start? A route that is down is probed by one request at a time. */
  mayStart(nowMs: number): boolean {
    if (this.ready.length === 0 || this.lanesInUse >= this.lanes) return false;
    if (!this.isDown) return true;
    return this.lanesInUse === 0 && nowMs >= this.retryAtMs;
  }

  /**
   * A request failed as a whole: no attempt of a message is counted, the route backs off. `startedAt`: the failures that
   * there were when it started. One fault fails all requests in flight, and counts once.
   */
  fail(
    error: DeliveryError,
    policy: RetryPolicy,
    at: { readonly startedAt: number; readonly nowMs: number; readonly chance: number },
  ): void {
    const { nowMs, chance } = at;
    if (at.startedAt < this.failures) return;
    if (!this.isDown) this.downSinceMs = nowMs;
    this.failures++;
    this.error = error;
    this.retryAtMs = nowMs + (error.retryAfterMs ?? backoffMs(policy, this.failures, chance));
  }

  /** A request went through. */
  recover(): void {
    this.failures = 0;
    this.error = undefined;
    this.retryAtMs = 0;
  }
}

/** What one request will carry, and what can never be sent. */
export type Taken = { readonly batch: Pending[]; readonly tooLarge: Pending[] };

/**
 * Takes the next batch of a route: as many as one request holds. Where the route keeps the order of a request and the
 * user says so (`ordered`), the messages that wait only for one of this batch follow it.
 */
export function takeBatch(
  queue: RouteQueue,
  options: {
    readonly ordered: boolean;
    readonly maxCount: number;
    readonly sizeOf: (message: Pending) => number;
  },
): Taken {
  const { limits } = queue.route;
  const maxCount = Math.min(limits.batchCount, options.maxCount);
  const batch: Pending[] = [];
  const tooLarge: Pending[] = [];
  let bytes = 0;
  const take = (message: Pending, size: number): void => {
    bytes += size;
    message.state = 'sending';
    batch.push(message);
  };
  while (batch.length < maxCount) {
    const next = queue.ready.peek();
    if (next === undefined) break;
    if (next.state === 'settled') {
      // It was given up while it waited here.
      queue.ready.shift();
      continue;
    }
    const size = options.sizeOf(next);
    if (size > limits.messageBytes) {
      queue.ready.shift();
      tooLarge.push(next);
      continue;
    }
    // A message may be larger than what is put together into a request: it goes alone.
    if (batch.length > 0 && bytes + size > limits.batchBytes) break;
    queue.ready.shift();
    take(next, size);
    if (!options.ordered || !queue.route.keepsOrder) continue;
    let follower = followerOf(next, queue);
    while (follower !== undefined && batch.length < maxCount) {
      const followerSize = options.sizeOf(follower);
      if (bytes + followerSize > limits.batchBytes) break;
      take(follower, followerSize);
      follower = followerOf(follower, queue);
    }
  }
  return { batch, tooLarge };
}

/** The next message of the group, if it waits for nothing but this one and goes the same way. */
function followerOf(message: Pending, queue: RouteQueue): Pending | undefined {
  const next = message.links?.next?.message;
  if (next === undefined || next.state !== 'waiting' || next.waitsOn !== 1) return undefined;
  // A replayed dead letter goes alone: what was refused once may be refused again.
  if (next.letterId !== 0 || message.letterId !== 0) return undefined;
  return next.routeQueue === queue && next.secondLink === undefined ? next : undefined;
}
