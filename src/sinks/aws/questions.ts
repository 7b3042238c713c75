// What is asked of AWS about queues and topics, of which it answers few in a second: so many at once, the others wait for their turn; and
// where it says that they are too many, nobody asks for a moment.
import { steadyMs } from '../../core/clock.ts';
import { errorFamily, RequestError } from './errors.ts';

/** What was refused to one for too many requests nobody tries again at once. */
export const REFUSED_MS = 200;

export const isThrottled = (error: unknown): error is RequestError =>
  error instanceof RequestError && errorFamily(error.code, error.status) === 'throttled';

/** The last refusal for too many requests, while it holds for all. */
export class Refusal {
  readonly #nowMs: () => number;
  #last: { readonly error: RequestError; readonly atMs: number } | undefined;

  constructor(nowMs: () => number = steadyMs) {
    this.#nowMs = nowMs;
  }

  /** Remembers it if it is one. */
  note(error: unknown): void {
    if (isThrottled(error)) this.#last = { error, atMs: this.#nowMs() };
  }

  /** Throws it while it holds. */
  throwIfRecent(): void {
    if (this.#last !== undefined && this.#nowMs() - this.#last.atMs < REFUSED_MS) throw this.#last.error;
  }
}

export class Questions {
  readonly #most: number;
  readonly #refusal: Refusal;
  #running = 0;
  readonly #waiting: (() => void)[] = [];

  constructor(most: number, nowMs?: () => number) {
    this.#most = most;
    this.#refusal = new Refusal(nowMs);
  }

  /** Rejects as `work` does, or as that of another did which was one too many. */
  async ask<Answer>(work: () => Promise<Answer>): Promise<Answer> {
    if (this.#running < this.#most) this.#running++;
    // Whoever ends gives its place on.
    else await new Promise<void>((turn) => this.#waiting.push(turn));
    try {
      this.#refusal.throwIfRecent();
      return await work().catch((error: unknown) => {
        this.#refusal.note(error);
        throw error;
      });
    } finally {
      const next = this.#waiting.shift();
      if (next === undefined) this.#running--;
      else next();
    }
  }
}
