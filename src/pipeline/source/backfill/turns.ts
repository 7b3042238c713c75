// Turns that are waited for, and given one after the other, in the order of asking.

type Waiter = { readonly signal: AbortSignal; readonly go: () => void; readonly stop: () => void };

/** How long the next turn is to be waited for, in milliseconds; 0: it is given; Infinity: until `look` is called. */
type WaitMs = () => number;

export class Turns {
  readonly #waitMs: WaitMs;
  readonly #given: () => void;
  readonly #waiting: Waiter[] = [];
  #timer: NodeJS.Timeout | undefined;

  /** `given`: called with each turn, before the next one is thought of. */
  constructor(waitMs: WaitMs, given: () => void) {
    this.#waitMs = waitMs;
    this.#given = given;
  }

  /** Resolves when it is given; rejects as soon as `signal` aborts, and leaves those behind it their place. */
  take(signal: AbortSignal): Promise<void> {
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    const stop = (): void => {
      this.#waiting.splice(this.#waiting.indexOf(waiter), 1);
      reject(signal.reason as Error);
    };
    const waiter: Waiter = { signal, go: resolve, stop };
    this.#waiting.push(waiter);
    signal.addEventListener('abort', stop, { once: true });
    if (signal.aborted) stop();
    this.look();
    return promise;
  }

  /** Something has changed that may make the wait shorter. */
  look(): void {
    clearTimeout(this.#timer);
    for (let next = this.#waiting[0]; next !== undefined; next = this.#waiting[0]) {
      const waitMs = this.#waitMs();
      if (waitMs > 0) {
        if (waitMs < Infinity) this.#timer = setTimeout(() => this.look(), waitMs);
        return;
      }
      this.#waiting.shift();
      next.signal.removeEventListener('abort', next.stop);
      this.#given();
      next.go();
    }
  }
}
