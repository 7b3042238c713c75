// One route of a sink (a queue URL, a topic, an endpoint): what is ready for it, its lanes, and its health.
import type { DeliveryError } from '../../core/errors.ts';
import { backoffMs, type RetryPolicy } from '../../core/retry.ts';
import type { Route } from '../../sinks/sink.ts';

/** A first-in-first-out queue whose head can also be pushed back. */
class ReadyQueue<Message> {
  #items: (Message | undefined)[] = [];
  #head = 0;

  get length(): number {
    return this.#items.length - this.#head;
  }
  push(message: Message): void {
    this.#items.push(message);
  }
  pushFront(messages: readonly Message[]): void {
    this.#items.splice(0, this.#head, ...messages);
    this.#head = 0;
  }
  peek(): Message | undefined {
    return this.#items[this.#head];
  }
  /** The one that so many others are before. */
  at(place: number): Message | undefined {
    return this.#items[this.#head + place];
  }
  shift(): Message | undefined {
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
export class RouteQueue<Message> {
  readonly id: string;
  readonly route: Route;
  readonly ready = new ReadyQueue<Message>();
  readonly lanes: number;
  lanesInUse = 0;
  /** Messages that are on their way there, parked ones too. */
  unsettled = 0;
  /** A row has opened it: it is closed when nothing is on its way there and others need the place. */
  isByRow = false;
  /** What its next request carries is being rendered. */
  isPreparing = false;
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
    if (this.ready.length === 0 || this.lanesInUse >= this.lanes || this.isPreparing) return false;
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
