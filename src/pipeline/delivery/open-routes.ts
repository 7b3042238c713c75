// Which of the routes that rows have named are open: a route opens when something is sent there, and is closed for another that needs its
// place when nothing is under way there any more, the one unused for the longest first. What waits for a route waits whether it is open or not.
import type { Pending } from './pending.ts';
import type { RouteQueue } from './route-queue.ts';

/** Of one sink. Each has lanes, a pace and a health of its own. */
export const MAX_OPEN_ROUTES = 1000;

export class OpenRoutes {
  #count = 0;
  /** Those that may be closed. */
  readonly #idle = new Set<RouteQueue<Pending>>();

  /** May something be sent to one more? Where none is idle, the next answer tells. */
  get mayOpen(): boolean {
    return this.#count < MAX_OPEN_ROUTES || this.#idle.size > 0;
  }

  /** How many are open, where none of them may be closed for another. */
  get exhausted(): number | undefined {
    return this.mayOpen ? undefined : this.#count;
  }

  /** A request to this route begins; it is opened where it is not open. Call it only where `mayOpen`, or where it is. */
  use(queue: RouteQueue<Pending>): void {
    if (queue.isOpen) {
      this.#idle.delete(queue);
      return;
    }
    if (this.#count >= MAX_OPEN_ROUTES) this.close(this.#idle.values().next().value!);
    queue.open();
    this.#count++;
  }

  /** A request to this route has its answers, or what was to be sent there never can be. */
  leave(queue: RouteQueue<Pending>, nowMs: number): void {
    if (queue.isOpen && queue.isIdle(nowMs)) this.#idle.add(queue);
  }

  /** What is known of it is let go of. */
  close(queue: RouteQueue<Pending>): void {
    if (!queue.isOpen) return;
    queue.close();
    this.#idle.delete(queue);
    this.#count--;
  }

  /** It is no row's any more, and stays open. */
  keep(queue: RouteQueue<Pending>): void {
    if (!queue.isOpen) return;
    this.#idle.delete(queue);
    this.#count--;
  }
}
