// The routes of one sink: one queue for each queue URL, topic or endpoint.
import type { Route } from '../../sinks/sink.ts';
import type { Room } from './room.ts';
import type { Pending } from './pending.ts';
import { RouteQueue } from './route-queue.ts';

export class Routes {
  readonly #settings: { readonly batchSize: number | undefined };
  readonly #room: Room;
  readonly #queues = new Map<string, RouteQueue<Pending>>();

  constructor(settings: { readonly batchSize: number | undefined }, room: Room) {
    this.#settings = settings;
    this.#room = room;
  }

  /** The queue of a route; the same id gives the same queue. */
  queue(route: Route): RouteQueue<Pending> {
    let queue = this.#queues.get(route.id);
    if (queue === undefined) {
      const { batchSize } = this.#settings;
      const { limits } = route;
      queue = new RouteQueue(route, limits.lanesPerRoute);
      this.#queues.set(route.id, queue);
      this.#room.serve(queue.lanes * Math.min(limits.batchCount, batchSize ?? Infinity));
    }
    return queue;
  }

  all(): Iterable<RouteQueue<Pending>> {
    return this.#queues.values();
  }
}
