// When a line that would repeat is said: the rule alone, for everything that may happen a million times. Pure: the time is an argument.

/** What goes on is said at most this often. */
export const REPEAT_INTERVAL_MS = 60_000;
/** Invariant 8: of so many kinds at most is remembered what was said; one that is forgotten is new when it comes again. */
const MAX_KINDS = 1000;

type Kind = { saidAtMs: number; /** Since then. */ unsaid: number };

/** Things that happen: each kind is said at once, then at most once an interval with how often it happened. */
export class Repeats {
  readonly #kinds = new Map<string, Kind>();
  readonly #onForgotten: (kind: string, unsaid: number) => void;

  /** `onForgotten`: told of a kind that has to make room, with what was counted of it and not said. */
  constructor(onForgotten: (kind: string, unsaid: number) => void = () => undefined) {
    this.#onForgotten = onForgotten;
  }

  /** How many to say now, this one among them; 0: nothing, it is counted. */
  note(kind: string, nowMs: number): number {
    const known = this.#kinds.get(kind);
    if (known !== undefined && nowMs - known.saidAtMs < REPEAT_INTERVAL_MS) {
      known.unsaid++;
      return 0;
    }
    this.#kinds.delete(kind);
    if (this.#kinds.size >= MAX_KINDS) this.#forgetOldest();
    this.#kinds.set(kind, { saidAtMs: nowMs, unsaid: 0 });
    return (known?.unsaid ?? 0) + 1;
  }

  #forgetOldest(): void {
    const [kind, { unsaid }] = this.#kinds.entries().next().value!;
    this.#kinds.delete(kind);
    this.#onForgotten(kind, unsaid);
  }

  /** What was counted and not said, once its interval is over; then it counts anew. 0: nothing, or not yet. */
  due(kind: string, nowMs: number): number {
    const known = this.#kinds.get(kind);
    if (known === undefined || known.unsaid === 0 || nowMs - known.saidAtMs < REPEAT_INTERVAL_MS) return 0;
    const { unsaid } = known;
    known.saidAtMs = nowMs;
    known.unsaid = 0;
    return unsaid;
  }
}

/** What is to be said of an outage: `attempts` that failed in it so far, and how long it is. */
export type OutageLine = {
  readonly what: 'down' | 'still down' | 'up again';
  readonly attempts: number;
  readonly forMs: number;
};

/**
 * Something that is down for a while: said when it begins, once an interval while it lasts, and when it is over. What goes down
 * and up again and again is said once an interval.
 */
export class Outage {
  #sinceMs: number | undefined;
  #attempts = 0;
  #saidAtMs = -Infinity;
  #isSaid = false;

  /** `nextMs`: when it is tried again. Where that is an interval or more from now, nothing else would say that it is down. */
  failed(nowMs: number, nextMs = nowMs): OutageLine | undefined {
    if (this.#sinceMs === undefined) {
      this.#sinceMs = nowMs;
      this.#attempts = 0;
      this.#isSaid = false;
    }
    this.#attempts++;
    const isUnheard = !this.#isSaid && nextMs - nowMs >= REPEAT_INTERVAL_MS;
    if (nowMs - this.#saidAtMs < REPEAT_INTERVAL_MS && !isUnheard) return undefined;
    const what = this.#isSaid ? 'still down' : 'down';
    this.#saidAtMs = nowMs;
    this.#isSaid = true;
    return this.#line(what, nowMs);
  }

  /** Undefined: it was not down, or nobody was told. */
  recovered(nowMs: number): OutageLine | undefined {
    if (this.#sinceMs === undefined) return undefined;
    const line = this.#isSaid ? this.#line('up again', nowMs) : undefined;
    this.#sinceMs = undefined;
    return line;
  }

  #line(what: OutageLine['what'], nowMs: number): OutageLine {
    return { what, attempts: this.#attempts, forMs: Math.round(nowMs - this.#sinceMs!) };
  }
}
