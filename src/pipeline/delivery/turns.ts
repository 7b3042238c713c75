// Which of the routes that rows have named have something to send, so that nobody has to look at hundreds that have not: those that have
// enough for a whole request, and all of them in the order in which they began to wait.
import type { Pending } from './pending.ts';
import type { RouteQueue } from './route-queue.ts';

export class Turns {
  /** A cap on the messages of one request. */
  readonly #maxCount: number;
  readonly #waiting = new Set<RouteQueue<Pending>>();
  readonly #full = new Set<RouteQueue<Pending>>();
  /** Of those that are no routes: nothing is sent there, and nobody's turn is it. */
  readonly #nowhere = new Set<RouteQueue<Pending>>();

  constructor(maxCount: number) {
    this.#maxCount = maxCount;
  }

  join(queue: RouteQueue<Pending>): void {
    const { ready } = queue;
    if (queue.isNowhere) {
      ready.grown = () => void this.#nowhere.add(queue);
      return;
    }
    const fullAt = this.#fullAt(queue);
    // For every message: what is in a set already is not put there again.
    ready.grown = (added) => {
      const { length } = ready;
      if (length === added) this.#waiting.add(queue);
      if (length >= fullAt && length - added < fullAt) this.#full.add(queue);
    };
  }

  leave(queue: RouteQueue<Pending>): void {
    queue.ready.grown = undefined;
    this.#waiting.delete(queue);
    this.#full.delete(queue);
    this.#nowhere.delete(queue);
  }

  /** Does something wait for a route to be opened? */
  get isAnyClosed(): boolean {
    for (const queue of this.#waiting) if (!queue.isOpen && queue.ready.length > 0) return true;
    return false;
  }

  *nowhere(): Generator<RouteQueue<Pending>> {
    for (const queue of this.#nowhere) {
      yield queue;
      if (queue.ready.length === 0) this.#nowhere.delete(queue);
    }
  }

  /** Has it as much as a request carries? */
  isFull(queue: RouteQueue<Pending>): boolean {
    return queue.ready.length >= this.#fullAt(queue);
  }
  #fullAt({ route }: RouteQueue<Pending>): number {
    return Math.min(route.limits.batchCount, this.#maxCount);
  }

  *full(): Generator<RouteQueue<Pending>> {
    for (const queue of this.#full) {
      if (this.isFull(queue)) yield queue;
      if (!this.isFull(queue)) this.#full.delete(queue);
    }
  }

  /** The one that has waited for the longest first. What has nothing left waits anew when it has. */
  *waiting(): Generator<RouteQueue<Pending>> {
    for (const queue of this.#waiting) {
      const had = queue.ready.length;
      if (had > 0) yield queue;
      if (queue.ready.length === had && had > 0) continue;
      this.#waiting.delete(queue);
      if (queue.ready.length > 0) this.#waiting.add(queue);
    }
  }
}
