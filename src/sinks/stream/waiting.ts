// Requests that wait for messages (long polls): woken in the order in which they came, or when their time is over.
import { TailraceError } from '../../core/errors.ts';

export class WaitingRequests {
  readonly #max: number;
  readonly #wakers = new Set<() => void>();

  constructor(max: number) {
    this.#max = max;
  }

  get count(): number {
    return this.#wakers.size;
  }

  /** Resolves when it is woken, after `waitMs`, or when `signal` aborts. Throws TailraceError when too many wait already. */
  async wait(waitMs: number, signal: AbortSignal): Promise<void> {
    if (this.#wakers.size >= this.#max) throw tooMany(this.#max);
    if (signal.aborted) return;
    await new Promise<void>((done) => {
      const wake = (): void => {
        clearTimeout(timer);
        signal.removeEventListener('abort', wake);
        this.#wakers.delete(wake);
        done();
      };
      const timer = setTimeout(wake, waitMs);
      signal.addEventListener('abort', wake, { once: true });
      this.#wakers.add(wake);
    });
  }

  /** False: nobody waits. */
  wakeFirst(): boolean {
    for (const wake of this.#wakers) {
      wake();
      return true;
    }
    return false;
  }

  wakeAll(): void {
    while (this.wakeFirst());
  }
}

export const TOO_MANY_WAITING = 'TOO_MANY_WAITING';

const tooMany = (max: number): TailraceError =>
  new TailraceError(`${max} requests wait for messages already`, {
    code: TOO_MANY_WAITING,
    kind: 'retryable',
    hint: 'ask again later, run fewer workers, or raise max_waiting',
  });
