// The routes of one sink: one queue for each queue URL, topic or endpoint. Those that rows decide come when a row names them; they are open
// while something is sent there (open-routes.ts), and go when nothing is on its way there and others have been used since.
import type { Route, RouteByRow, RouteFault } from '../../sinks/sink.ts';
import { OpenRoutes } from './open-routes.ts';
import type { Pending } from './pending.ts';
import type { Room } from './room.ts';
import { RouteQueue } from './route-queue.ts';
import { Turns } from './turns.ts';

export type RouteSettings = {
  /** A cap on the messages of one request; undefined: the route's. */
  readonly batchSize?: number | undefined;
};

/** Routes of rows that nothing is on its way to: that many are remembered. */
export const MAX_UNUSED_ROUTES = 1000;

/** No id begins with it: what a row is refused for may be the name of a route that is there. */
const NOWHERE_MARK = '\0';

type Opening = Pick<RouteByRow, 'open'>;

/** What has no route waits here for its turn to become a dead letter, in its place among the others. Nothing is sent. */
const NOWHERE: Opening = {
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

export const isFault = (found: unknown): found is RouteFault =>
  typeof found === 'object' && found !== null && 'hint' in found;

export class Routes {
  readonly #room: Room;
  readonly #queues = new Map<string, RouteQueue<Pending>>();
  /** Those of `#queues` that stay. */
  readonly #fixed = new Set<RouteQueue<Pending>>();
  /** Those of `#queues` that rows have named, with their keys there. */
  readonly #byRow = new Map<RouteQueue<Pending>, string>();
  /** Of those. */
  readonly open = new OpenRoutes();
  /** The same, as far as they have something to send. */
  readonly turns: Turns;

  constructor(settings: RouteSettings, room: Room) {
    this.#room = room;
    this.turns = new Turns(settings.batchSize ?? Infinity);
  }

  /** The queue of a route that stays; the same id gives the same queue. */
  queue(route: Route): RouteQueue<Pending> {
    const queue = this.#queues.get(route.id) ?? this.#add(route.id, route);
    if (this.#byRow.delete(queue)) {
      this.open.keep(queue);
      this.#room.keepRoute(queue);
      this.turns.leave(queue);
    }
    queue.open();
    this.#fixed.add(queue);
    return queue;
  }

  /**
   * The queue of the route with this id, which a row names. It stays as long as messages are on their way there. What is wrong with the id,
   * where it is none of the sink's.
   */
  queueByRow(id: string, by: Opening): RouteQueue<Pending> | RouteFault {
    const known = this.#queues.get(id);
    if (known !== undefined) {
      // It is used: others are let go of before it.
      if (this.#room.idleRoutes.delete(known)) this.#room.idleRoutes.add(known);
      return known;
    }
    const route = by.open(id);
    if (isFault(route)) return route;
    this.#dropUnused();
    const queue = this.#add(id, route);
    queue.isByRow = true;
    queue.isNowhere = by === NOWHERE;
    this.#byRow.set(queue, id);
    this.#room.idleRoutes.add(queue);
    this.#room.serveRoutes(this.#byRow.size);
    this.turns.join(queue);
    return queue;
  }

  /** The queue of messages without a route: what is known of it is its name. */
  nowhere({ id }: Pick<RouteFault, 'id'>): RouteQueue<Pending> {
    return this.queueByRow(NOWHERE_MARK + id, NOWHERE) as RouteQueue<Pending>;
  }

  all(): Iterable<RouteQueue<Pending>> {
    return this.#queues.values();
  }
  /** Those that no row has named. */
  fixed(): Iterable<RouteQueue<Pending>> {
    return this.#fixed;
  }

  #add(key: string, route: Route): RouteQueue<Pending> {
    const queue = new RouteQueue<Pending>(route);
    this.#queues.set(key, queue);
    return queue;
  }

  /** Makes place for one more. */
  #dropUnused(): void {
    const unused = this.#room.idleRoutes;
    while (unused.size >= MAX_UNUSED_ROUTES) {
      const queue = unused.values().next().value!;
      unused.delete(queue);
      this.open.close(queue);
      this.#queues.delete(this.#byRow.get(queue)!);
      this.#byRow.delete(queue);
      this.turns.leave(queue);
    }
  }
}
