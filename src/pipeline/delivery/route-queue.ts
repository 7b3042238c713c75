// One route of a sink (a queue URL, a topic, an endpoint): what is ready for it, its lanes, and its health.
import type { RouteLimit } from '../../core/status.ts';
import type { Route, SinkLimits } from '../../sinks/sink.ts';
import { Outage } from '../../core/repeats.ts';
import { LaneLimit } from './lane-limit.ts';
import { Pace } from './pace.ts';
import { RouteHealth } from './route-health.ts';

/** Thousands of routes that rows decide open in a second for a message or two. */
const FIRST_PLACES = 2;

/** A first-in-first-out queue whose head can also be pushed back: a ring, so that nothing moves where as many come as go. */
class ReadyQueue<Message> {
  /** A power of two of places. */
  #places = emptyPlaces<Message>(FIRST_PLACES);
  #head = 0;
  #length = 0;
  /** Told how many have come. */
  grown: ((added: number) => void) | undefined;

  get length(): number {
    return this.#length;
  }
  push(message: Message): void {
    this.#reserve(1);
    this.#places[this.#placeOf(this.#length++)] = message;
    this.grown?.(1);
  }
  pushFront(messages: readonly Message[]): void {
    this.#reserve(messages.length);
    this.#head = this.#placeOf(-messages.length);
    for (const [i, message] of messages.entries()) this.#places[this.#placeOf(i)] = message;
    this.#length += messages.length;
    this.grown?.(messages.length);
  }
  peek(): Message | undefined {
    return this.#places[this.#head];
  }
  /** The one that so many others are before. */
  at(place: number): Message | undefined {
    return place < this.#length ? this.#places[this.#placeOf(place)] : undefined;
  }
  *all(): Generator<Message> {
    for (let place = 0; place < this.#length; place++) yield this.#places[this.#placeOf(place)]!;
  }
  shift(): Message | undefined {
    const message = this.#places[this.#head];
    if (message === undefined) return undefined;
    this.#places[this.#head] = undefined;
    this.#head = this.#placeOf(1);
    this.#length--;
    return message;
  }

  #placeOf(place: number): number {
    return (this.#head + place) & (this.#places.length - 1);
  }
  #reserve(more: number): void {
    const before = this.#places;
    if (this.#length + more <= before.length) return;
    const count = 2 ** Math.ceil(Math.log2(this.#length + more));
    const places = emptyPlaces<Message>(count);
    for (let i = 0; i < this.#length; i++) places[i] = before[this.#placeOf(i)];
    this.#places = places;
    this.#head = 0;
  }
}

function emptyPlaces<Message>(count: number): (Message | undefined)[] {
  const places: (Message | undefined)[] = [];
  for (let i = 0; i < count; i++) places.push(undefined);
  return places;
}

/** What is known of what a route takes while it is open. */
class Traffic {
  readonly limit: LaneLimit;
  readonly pace = new Pace();

  constructor({ lanesPerRoute, lanesAtFirst = lanesPerRoute }: SinkLimits) {
    this.limit = new LaneLimit({ first: lanesAtFirst, most: lanesPerRoute });
  }
}

/** A lane is one of a route's requests in flight. */
export class RouteQueue<Message> {
  readonly id: string;
  readonly route: Route;
  readonly ready = new ReadyQueue<Message>();
  /** Undefined: it is not open. */
  #traffic: Traffic | undefined;
  lanesInUse = 0;
  /** When its last request started. */
  startedMs = -Infinity;
  /** The last look at which messages waited for a lane, when all that may be sent had been; 0: at none. */
  #shortAtLook = 0;
  /** Messages in them. */
  inFlight = 0;
  /** Messages that are on their way there, parked ones too. */
  unsettled = 0;
  /** A row has named it: it is open while something is sent there, and until others need the place. */
  isByRow = false;
  /** It is none: here waits what has no route, to become dead letters. */
  isNowhere = false;
  /** What its next request carries is being rendered. */
  isPreparing = false;
  readonly health = new RouteHealth();
  /** What is said of its being down. */
  readonly outage = new Outage();
  /** Requests that have failed, and whose messages wait. */
  heldRequests = 0;
  /** Lanes that wait with them. */
  restingLanes = 0;
  /** Rendered messages that are on their way there, and their bytes. */
  buffered = 0;
  bufferedBytes = 0;
  /** Do they count as those of a route that is down (room.ts)? */
  isCountedAsDown = false;

  constructor(route: Route) {
    this.id = route.id;
    this.route = route;
  }

  /** Has it always as many lanes as it may have? Then those of all routes of the sink do not bound them. */
  get hasFixedLanes(): boolean {
    const { lanesPerRoute, lanesAtFirst = lanesPerRoute } = this.route.limits;
    return lanesAtFirst >= lanesPerRoute;
  }

  get isOpen(): boolean {
    return this.#traffic !== undefined;
  }
  /** Before anything is sent there. */
  open(): void {
    this.#traffic ??= new Traffic(this.route.limits);
  }
  /** Opened again, it is as one that was never used, but for its health. */
  close(): void {
    this.#traffic = undefined;
  }
  /** Is nothing under way there, nor anything known that what is sent next depends on: that it takes less than it is given? */
  isIdle(nowMs: number): boolean {
    if (this.lanesInUse > 0) return false;
    if (this.unsettled === 0) return true;
    if (this.heldRequests > 0) return false;
    // One that is down is probed whatever its pace, and rests for an hour perhaps.
    return this.ready.length === 0 || this.isDown || !this.pace.isNeeded(nowMs);
  }

  /** Of an open route, like those that follow. */
  get limit(): LaneLimit {
    return this.#traffic!.limit;
  }
  get pace(): Pace {
    return this.#traffic!.pace;
  }
  get lanes(): number {
    return this.limit.lanes;
  }

  get isDown(): boolean {
    return this.health.isDown;
  }

  /** May another request start, as far as the route is concerned? One that is down is probed by one request at a time. */
  mayStart(nowMs: number): boolean {
    if (this.ready.length === 0 || this.isPreparing) return false;
    if (this.isDown) return this.lanesInUse === 0 && nowMs >= this.health.retryAtMs;
    if (!this.isOpen) return true;
    return this.lanesInUse + this.restingLanes < this.lanes && nowMs >= this.pace.nextMs;
  }

  /** All that may be sent has been, at this of all the looks at the sink's routes. */
  look(look: number): void {
    const isShort = this.isOpen && this.ready.length > 0 && this.lanesInUse + this.restingLanes >= this.lanes;
    this.#shortAtLook = isShort ? look : 0;
  }
  /** Did messages wait for a lane at this look? A route whose turn did not come was not seen: they waited for that. */
  wasShortOfLanes(look: number): boolean {
    return this.#shortAtLook === look;
  }

  /** Undefined: nothing waits for its time alone: what else it waits for will tell. */
  waitsUntilMs(nowMs: number): number | undefined {
    if (this.ready.length === 0 || this.isPreparing) return undefined;
    if (this.isDown) return this.lanesInUse === 0 ? this.health.retryAtMs : undefined;
    if (!this.isOpen) return undefined;
    const { nextMs } = this.pace;
    return nextMs > nowMs ? nextMs : undefined;
  }

  /** What holds it back: status.ts. */
  limitedBy(nowMs: number): RouteLimit {
    if (this.pace.isNeeded(nowMs)) return 'throttled';
    // What the limit knows is of its last window: there is none while nothing is sent, nor while nothing is answered.
    const areLanesWanted = this.limit.isLimiting || this.lanesInUse >= this.limit.lanes;
    if (areLanesWanted && this.ready.length > 0) return this.limit.isAtMost ? 'lanes' : 'destination';
    return this.ready.length === 0 && this.unsettled > this.inFlight ? 'order' : 'source';
  }
}
