// The routes of one sink: one queue for each queue URL, topic or endpoint. Those that rows decide are opened when a row wants
// them, and closed when nothing is on its way there and others need the place: the one idle for the longest first.
import type { Route, RouteByRow, RouteFault } from '../../sinks/sink.ts';
import type { Pending } from './pending.ts';
import { MAX_ROUTES_BY_ROW, type Room } from './room.ts';
import { RouteQueue } from './route-queue.ts';
import { Turns } from './turns.ts';

export type RouteSettings = {
  /** A cap on the messages of one request; undefined: the route's. */
  readonly batchSize?: number | undefined;
};

/** No id begins with it: what a row is refused for may be the name of a route that is there. */
const NOWHERE_MARK = '\0';

/** What has no route waits here for its turn to become a dead letter, in its place among the others. Nothing is sent. */
const NOWHERE: Pick<RouteByRow, 'open'> = {
  open: (key) => ({
    id: key.slice(NOWHERE_MARK.length),
    keepsOrder: false,
    limits: {
      batchCount: 1000,
      batchBytes: Number.MAX_SAFE_INTEGER,
      messageBytes: Number.MAX_SAFE_INTEGER,
      lanesPerRoute: 1,
    },
    groupTemplate: undefined,
    target: undefined,
  }),
};

type Opening = Pick<RouteByRow, 'open' | 'closed'>;

export const isFault = (found: unknown): found is RouteFault =>
  typeof found === 'object' && found !== null && 'hint' in found;

/** How a row has opened it. */
type Opened = { readonly key: string; readonly by: Opening };

export class Routes {
  readonly #room: Room;
  readonly #queues = new Map<string, RouteQueue<Pending>>();
  /** Those of `#queues` that stay. */
  readonly #fixed = new Set<RouteQueue<Pending>>();
  /** Those of `#queues` that may be closed. */
  readonly #opened = new Map<RouteQueue<Pending>, Opened>();
  /** The same, as far as they have something to send. */
  readonly turns: Turns;

  constructor(settings: RouteSettings, room: Room) {
    this.#room = room;
    this.turns = new Turns(settings.batchSize ?? Infinity);
  }

  /** The queue of a route that stays; the same id gives the same queue. */
  queue(route: Route): RouteQueue<Pending> {
    const queue = this.#queues.get(route.id) ?? this.#open(route.id, route);
    if (this.#opened.delete(queue)) {
      this.#room.keepRoute(queue);
      this.turns.leave(queue);
    }
    this.#fixed.add(queue);
    return queue;
  }

  /**
   * The queue of the route with this id, which a row wants. It stays open as long as messages are on their way there. What is wrong
   * with the id, where it is none of the sink's.
   */
  queueByRow(id: string, by: Opening): RouteQueue<Pending> | RouteFault {
    const known = this.#queues.get(id);
    if (known !== undefined) {
      // It is used: others are closed before it.
      if (this.#room.idleRoutes.delete(known)) this.#room.idleRoutes.add(known);
      return known;
    }
    const route = by.open(id);
    if (isFault(route)) return route;
    this.#closeIdle();
    const queue = this.#open(id, route);
    queue.isByRow = true;
    this.#opened.set(queue, { key: id, by });
    this.#room.idleRoutes.add(queue);
    this.#room.serveRoutes(this.#opened.size);
    this.turns.join(queue);
    return queue;
  }

  /** The queue of messages without a route: what is known of it is its name. */
  nowhere({ id }: Pick<RouteFault, 'id'>): RouteQueue<Pending> {
    const queue = this.queueByRow(NOWHERE_MARK + id, NOWHERE) as RouteQueue<Pending>;
    queue.isNowhere = true;
    return queue;
  }

  all(): Iterable<RouteQueue<Pending>> {
    return this.#queues.values();
  }
  /** Those that no row has opened. */
  fixed(): Iterable<RouteQueue<Pending>> {
    return this.#fixed;
  }

  #open(key: string, route: Route): RouteQueue<Pending> {
    const queue = new RouteQueue<Pending>(route);
    this.#queues.set(key, queue);
    return queue;
  }

  /** Makes place for one more. Where all have messages on their way there is none: then reading stops soon (`Room.isFull`). */
  #closeIdle(): void {
    for (const queue of this.#room.idleRoutes) {
      if (this.#opened.size < MAX_ROUTES_BY_ROW) return;
      const { key, by } = this.#opened.get(queue)!;
      this.#room.idleRoutes.delete(queue);
      this.#opened.delete(queue);
      this.#queues.delete(key);
      this.turns.leave(queue);
      by.closed?.(queue.route);
    }
  }
}
