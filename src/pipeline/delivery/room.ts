// What one sink may hold in memory (invariant 8): rendered messages by count and bytes, parked ones by count.
import { Arenas } from './arena.ts';
import type { Pending } from './pending.ts';
import type { RouteQueue } from './route-queue.ts';

/**
 * Rendered messages of one sink in memory, beside those in requests; more wait in the log. Few stay in a processor's cache, and outlive
 * few collections of garbage. Sinks that share a thread have so many together, but each enough to go on with while its requests are under way.
 */
const DEFAULT_MAX_BUFFERED = 1000;
const MAX_BUFFERED_OF_A_THREAD = 3000;
const LEAST_BUFFERED = 250;
/** For each message of a failed request there is room for so many that wait for it in its groups: others go on. */
const HELD_BACK = 4;
const MAX_BUFFERED_BYTES = 32 * 1024 * 1024;
/** Reading goes on when no more than this share of the room is taken. */
const RESUME_SHARE = 0.75;
/** Of each route that rows have named, up to so many routes: with room for a whole request to each, a request carries more than a message or two. */
const MESSAGES_PER_ROUTE = 10;
const MAX_ROUTES_SERVED = 1000;
/** With messages on their way to this many, what else would fill a request is hardly read before the room is full. */
const MANY_ROUTES = 900;
/** What is parked takes no room, but its routes do, each named by one row perhaps: from so many on nothing more is read. */
const MAX_ROUTES_IN_USE = 12_000;
/**
 * What the routes that are down may have in memory together, of the room there is: the rest is parked, so that they cannot
 * take the room of the others, however many they are.
 */
const DOWN_ROUTES_SHARE = 1 / 8;
export const MAX_DOWN_ROUTES_IN_MEMORY = 250;
const MAX_DOWN_ROUTES_BYTES = MAX_BUFFERED_BYTES * DOWN_ROUTES_SHARE;
/** Arenas may take so many times the bytes of the messages in memory, and so much more: they are left in no order. */
const SPARSE = 2;
const SPARSE_BYTES = 16 * 1024 * 1024;
/** As a count of bytes: it has none in memory. */
const PARKED = -1;

export type RoomSettings = {
  /** Those in requests are among them. Undefined: `DEFAULT_MAX_BUFFERED` at most, and those in requests. */
  readonly maxBuffered?: number | undefined;
  readonly maxParked: number;
};

export type RoomPorts = {
  /** How many sinks share the thread, this one among them. */
  readonly company: () => number;
};

const ALONE: RoomPorts = { company: () => 1 };

export class Room {
  readonly #ports: RoomPorts;
  /** Somebody has set it. */
  readonly #fixed: number | undefined;
  /** What routes that rows have named need. */
  #forRoutes = 0;
  readonly #maxParked: number;
  /** Where the rendered ones lie. */
  readonly arenas = new Arenas();
  #bytes = 0;
  /** Not before the arenas take so much: twice what they have taken at least since it was looked at last. */
  #sparseAbove = 0;
  /** Rendered messages. */
  buffered = 0;
  /** Of them, those in requests without an answer. */
  inFlight = 0;
  /** And those of a request that has failed, which wait for their time. */
  held = 0;
  /** Messages of which only the log offset is kept. */
  parked = 0;
  /** Of `buffered` and its bytes, what is on its way to routes that are down. */
  #downBuffered = 0;
  #downBytes = 0;
  /** Routes that rows have named, and that messages are on their way to. */
  #routesByRow = 0;
  /** Those of them that nothing is on its way to, the one idle for the longest first. */
  readonly idleRoutes = new Set<RouteQueue<Pending>>();
  /** Somebody waits for room. */
  #roomMade: (() => void) | undefined;

  constructor(limits: RoomSettings, ports = ALONE) {
    this.#ports = ports;
    this.#fixed = limits.maxBuffered;
    this.#maxParked = limits.maxParked;
  }

  /** So many messages more are in requests: there is room for them, and for as many that wait for them, unless somebody set a limit. */
  send(count: number): void {
    this.inFlight += count;
    this.#tell();
  }

  /** So many messages of a failed request wait for their time: there is room for what waits for them. */
  hold(count: number): void {
    this.held += count;
    this.#tell();
  }

  /** Rows have named so many routes: there is room for some messages of each, unless somebody set a limit. */
  serveRoutes(count: number): void {
    this.#forRoutes = Math.max(this.#forRoutes, Math.min(count, MAX_ROUTES_SERVED) * MESSAGES_PER_ROUTE);
  }

  /** Do arenas take far more than the messages in them? A few small ones of each have stayed, while others came and went. */
  isSparse(): boolean {
    this.#sparseAbove = Math.min(this.#sparseAbove, 2 * this.arenas.bytes);
    return this.arenas.bytes > Math.max(this.#bytes * SPARSE + SPARSE_BYTES, this.#sparseAbove);
  }

  /** These have been given bytes of their own; what is left is not looked at again before there are twice as many. */
  gathered(): void {
    this.#sparseAbove = 2 * this.arenas.bytes;
  }

  enter(message: Pending): void {
    if (message.isParked) {
      this.parked++;
      message.countedBytes = PARKED;
    } else {
      message.countedBytes = message.byteLength;
      this.#count(message.routeQueue, 1, message.byteLength);
    }
  }

  leave(message: Pending): void {
    if (message.countedBytes === PARKED) {
      this.parked--;
    } else {
      this.#count(message.routeQueue, -1, -message.countedBytes);
    }
  }

  #count(route: RouteQueue<Pending>, messages: number, bytes: number): void {
    this.buffered += messages;
    this.#bytes += bytes;
    route.buffered += messages;
    route.bufferedBytes += bytes;
    if (!route.isCountedAsDown) return;
    this.#downBuffered += messages;
    this.#downBytes += bytes;
  }

  /** A route is down, or up again. */
  countAsDown(route: RouteQueue<Pending>, isDown: boolean): void {
    if (route.isCountedAsDown === isDown) return;
    route.isCountedAsDown = isDown;
    this.#downBuffered += isDown ? route.buffered : -route.buffered;
    this.#downBytes += isDown ? route.bufferedBytes : -route.bufferedBytes;
  }

  /** Have the routes that are down as much in memory as they may have together? */
  get hasEnoughOfDownRoutes(): boolean {
    const most = Math.min(MAX_DOWN_ROUTES_IN_MEMORY, this.#maxBuffered * DOWN_ROUTES_SHARE);
    return this.#downBuffered >= most || this.#downBytes >= MAX_DOWN_ROUTES_BYTES;
  }

  /** A message begins its way to this route. */
  enterRoute(route: RouteQueue<Pending>): void {
    if (route.unsettled++ > 0 || !route.isByRow) return;
    this.#routesByRow++;
    this.idleRoutes.delete(route);
  }

  leaveRoute(route: RouteQueue<Pending>): void {
    if (--route.unsettled > 0 || !route.isByRow) return;
    this.#routesByRow--;
    this.idleRoutes.add(route);
  }

  /** A route that a row has named stays, and does not count any more. */
  keepRoute(route: RouteQueue<Pending>): void {
    if (route.unsettled > 0 && route.isByRow) this.#routesByRow--;
    this.idleRoutes.delete(route);
    route.isByRow = false;
  }

  /** A parked message was rendered, perhaps some time ago: it may have settled since. */
  recount(message: Pending): void {
    if (message.state === 'settled') {
      message.drop(this.arenas);
    } else {
      this.leave(message);
      this.enter(message);
    }
  }

  /** Drops the payload of a message that stays: it is rendered again when its turn comes. */
  park(message: Pending): void {
    this.leave(message);
    message.drop(this.arenas);
    this.enter(message);
    this.#tell();
  }

  /** Lets go of a message that is settled. */
  free(message: Pending): void {
    this.leave(message);
    message.drop(this.arenas);
    this.#tell();
  }

  /** Beside those in requests. */
  get #maxBuffered(): number {
    if (this.#fixed !== undefined) return this.#fixed;
    const share = MAX_BUFFERED_OF_A_THREAD / this.#ports.company();
    return Math.max(LEAST_BUFFERED, Math.min(DEFAULT_MAX_BUFFERED, share), this.#forRoutes);
  }

  get #limit(): number {
    if (this.#fixed !== undefined) return this.#fixed;
    const underWay = this.inFlight + this.held;
    return underWay + Math.max(underWay, this.#maxBuffered) + this.held * HELD_BACK;
  }

  /** Do messages wait for many routes, and is there hardly room for more, which would fill their requests? */
  get isCrowded(): boolean {
    return this.#routesByRow >= MANY_ROUTES && !this.hasRoomAgain();
  }

  isFull(): boolean {
    return (
      this.buffered >= this.#limit ||
      this.#bytes >= MAX_BUFFERED_BYTES ||
      this.parked >= this.#maxParked ||
      this.#routesByRow >= MAX_ROUTES_IN_USE
    );
  }

  hasRoomAgain(): boolean {
    return (
      this.buffered <= this.#limit * RESUME_SHARE &&
      this.#bytes <= MAX_BUFFERED_BYTES * RESUME_SHARE &&
      this.parked < this.#maxParked &&
      this.#routesByRow < MAX_ROUTES_IN_USE
    );
  }

  /** Resolves when there is room again, or when `signal` aborts. One at a time may wait. */
  async untilRoom(signal: AbortSignal): Promise<void> {
    while (!this.hasRoomAgain() && !signal.aborted) {
      const { promise, resolve } = Promise.withResolvers<void>();
      const go = (): void => resolve();
      this.#roomMade = go;
      signal.addEventListener('abort', go, { once: true });
      await promise;
      signal.removeEventListener('abort', go);
    }
    this.#roomMade = undefined;
  }

  #tell(): void {
    if (this.#roomMade !== undefined && this.hasRoomAgain()) this.#roomMade();
  }
}
