// One route of a sink (a queue URL, a topic, an endpoint): what is ready for it, its lanes, and its health.
import type { Route } from '../../sinks/sink.ts';
import { Outage } from '../../core/repeats.ts';
import { RouteHealth } from './route-health.ts';

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
  readonly health = new RouteHealth();
  /** Lanes of which the last request has failed, and that wait with its messages. */
  restingLanes = 0;
  /** Rendered messages that are on their way there, and their bytes. */
  buffered = 0;
  bufferedBytes = 0;
  /** Do they count as those of a route that is down (room.ts)? */
  isCountedAsDown = false;
  /** What is said of its being down. */
  readonly outage = new Outage();

  constructor(route: Route, lanes: number) {
    this.id = route.id;
    this.route = route;
    this.lanes = lanes;
  }

  get isDown(): boolean {
    return this.health.isDown;
  }

  /** May another request start? A route that is down is probed by one request at a time. */
  mayStart(nowMs: number): boolean {
    if (this.ready.length === 0 || this.isPreparing) return false;
    if (this.isDown) return this.lanesInUse === 0 && nowMs >= this.health.retryAtMs;
    return this.lanesInUse + this.restingLanes < this.lanes;
  }
}
