// Which of the routes that rows have named are open: a route opens when something is sent there, and is closed for another that needs its
// place when nothing is under way there any more, the one unused for the longest first. What waits for a route waits whether it is open or not.
import type { Pending } from './pending.ts';
import type { RouteQueue } from './route-queue.ts';

/** Of one sink. Each has lanes and a pace of its own. */
export const MAX_OPEN_ROUTES = 1000;

export class OpenRoutes {
  /** The one used last at the end. */
  readonly #open = new Set<RouteQueue<Pending>>();
  /** Those of them that may be closed. */
  readonly #idle = new Set<RouteQueue<Pending>>();
  /** Since when something waits for a place, and none has been free; undefined: nothing does. */
  #fullSinceMs: number | undefined;

  /** May something be sent to one more? Where none is idle, the next answer tells. */
  hasPlace(nowMs: number): boolean {
    if (this.#open.size < MAX_OPEN_ROUTES) return true;
    for (const queue of this.#idle) {
      if (queue.isIdle(nowMs)) return true;
      // Something has come for it, and waits for its time.
      this.#idle.delete(queue);
    }
    return false;
  }

  /** The same, asked for something that waits for it. */
  mayOpen(nowMs: number): boolean {
    if (this.hasPlace(nowMs)) return true;
    this.#fullSinceMs ??= nowMs;
    return false;
  }

  /** Nothing waits for a place. */
  areWantedByNobody(): void {
    this.#fullSinceMs = undefined;
  }

  /** For how long something waits for a place, while all are in use: nothing is sent to others. */
  fullForMs(nowMs: number): number {
    return this.#fullSinceMs === undefined ? 0 : nowMs - this.#fullSinceMs;
  }

  get count(): number {
    return this.#open.size;
  }

  /** The one unused for the longest first. */
  all(): Iterable<RouteQueue<Pending>> {
    return this.#open;
  }

  /** A request to this route begins; it is opened where it is not open, which it may be just now. */
  use(queue: RouteQueue<Pending>): void {
    if (!queue.isOpen) {
      if (this.#open.size >= MAX_OPEN_ROUTES) this.close(this.#idle.values().next().value!);
      queue.open();
      this.#fullSinceMs = undefined;
    }
    this.#idle.delete(queue);
    this.#open.delete(queue);
    this.#open.add(queue);
  }

  /** Something has ended there: a request, the wait of messages whose request had failed, messages that were given up. */
  leave(queue: RouteQueue<Pending>, nowMs: number): void {
    if (!this.#open.has(queue) || !queue.isIdle(nowMs)) return;
    this.#idle.add(queue);
    this.#fullSinceMs = undefined;
  }

  /** What is known of it is let go of. */
  close(queue: RouteQueue<Pending>): void {
    if (!this.#forget(queue)) return;
    queue.close();
    this.#fullSinceMs = undefined;
  }

  /** It is no row's any more: it stays open, and takes no place. */
  keep(queue: RouteQueue<Pending>): void {
    if (this.#forget(queue)) this.#fullSinceMs = undefined;
  }

  /** Was it open? */
  #forget(queue: RouteQueue<Pending>): boolean {
    this.#idle.delete(queue);
    return this.#open.delete(queue);
  }
}
