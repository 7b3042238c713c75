// Which of the routes that rows have named have something to send, so that nobody has to look at hundreds that have not: those that have
// enough for a whole request, and all of them in the order in which they began to wait.
import type { Pending } from './pending.ts';
import type { RouteQueue } from './route-queue.ts';

/** So often at most is looked which of those that are down are to be probed. */
const MIN_REST_MS = 20;

/** Is it down, with something to be sent that nobody may send now? */
const isToRest = (queue: RouteQueue<Pending>, nowMs: number): boolean =>
  queue.isDown && queue.ready.length > 0 && nowMs < queue.health.retryAtMs;

/** Many sinks have nothing to send most of the time, and each looks after every block. */
const NONE: readonly RouteQueue<Pending>[] = [];

export class Turns {
  /** A cap on the messages of one request. */
  readonly #maxCount: number;
  readonly #waiting = new Set<RouteQueue<Pending>>();
  readonly #full = new Set<RouteQueue<Pending>>();
  /** Those of both that are down, until they are to be probed: with thousands of them nobody looks at each every time. */
  readonly #resting = new Set<RouteQueue<Pending>>();
  /** When the first of them is. */
  #wakeAtMs = Infinity;
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
    this.#resting.delete(queue);
  }

  /** Does something wait for a route to be opened? */
  get isAnyClosed(): boolean {
    for (const queue of this.#waiting)
      if (!queue.isOpen && queue.unsettled > 0 && queue.ready.length > 0) return true;
    return false;
  }

  nowhere(): Iterable<RouteQueue<Pending>> {
    return this.#nowhere.size === 0 ? NONE : this.#eachNowhere();
  }
  *#eachNowhere(): Generator<RouteQueue<Pending>> {
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

  /** When one that is down is to be probed. */
  get wakeAtMs(): number {
    return this.#wakeAtMs;
  }

  /** Those that are to be probed have their turn again. */
  wakeDue(nowMs: number): void {
    if (nowMs < this.#wakeAtMs) return;
    this.#wakeAtMs = Infinity;
    for (const queue of this.#resting) {
      if (isToRest(queue, nowMs)) this.#wakeBy(queue, nowMs);
      else this.wake(queue);
    }
  }

  /** It is up again, or to be probed. */
  wake(queue: RouteQueue<Pending>): void {
    if (!this.#resting.delete(queue) || queue.ready.length === 0) return;
    this.#waiting.add(queue);
    if (this.isFull(queue)) this.#full.add(queue);
  }

  #rest(queue: RouteQueue<Pending>, nowMs: number): void {
    this.#full.delete(queue);
    this.#waiting.delete(queue);
    this.#resting.add(queue);
    this.#wakeBy(queue, nowMs);
  }

  #wakeBy({ health }: RouteQueue<Pending>, nowMs: number): void {
    this.#wakeAtMs = Math.min(this.#wakeAtMs, Math.max(health.retryAtMs, nowMs + MIN_REST_MS));
  }

  /** What was sent to goes behind the others: as many as have all the lanes would keep them. */
  full(nowMs: number): Iterable<RouteQueue<Pending>> {
    return this.#full.size === 0 ? NONE : this.#eachFull(nowMs);
  }
  *#eachFull(nowMs: number): Generator<RouteQueue<Pending>> {
    for (const queue of this.#full) {
      if (isToRest(queue, nowMs)) {
        this.#rest(queue, nowMs);
        continue;
      }
      const had = queue.ready.length;
      if (this.isFull(queue)) yield queue;
      const isFull = this.isFull(queue);
      if (isFull && queue.ready.length === had) continue;
      this.#full.delete(queue);
      if (isFull) this.#full.add(queue);
    }
  }

  /** The one that has waited for the longest first. What has nothing left waits anew when it has. */
  waiting(nowMs: number): Iterable<RouteQueue<Pending>> {
    return this.#waiting.size === 0 ? NONE : this.#eachWaiting(nowMs);
  }
  *#eachWaiting(nowMs: number): Generator<RouteQueue<Pending>> {
    for (const queue of this.#waiting) {
      if (isToRest(queue, nowMs)) {
        this.#rest(queue, nowMs);
        continue;
      }
      const had = queue.ready.length;
      if (had > 0) yield queue;
      if (queue.ready.length === had && had > 0) continue;
      this.#waiting.delete(queue);
      if (queue.ready.length > 0) this.#waiting.add(queue);
    }
  }
}
