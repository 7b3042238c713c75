// Log lines of what may happen again and again: at once, then at most one a minute with `times`, and none is left uncounted.
import type { Logger } from 'pino';
import { steadyMs } from '../core/clock.ts';
import { REPEAT_INTERVAL_MS, Repeats } from '../core/repeats.ts';

export type RepeatedLine = {
  readonly level: 'info' | 'warn' | 'error';
  readonly message: string;
  readonly fields?: Readonly<Record<string, unknown>>;
  /** What makes it the same as another. Default: the message. */
  readonly kind?: string;
};

export class RepeatedLines {
  readonly #logger: Logger;
  readonly #repeats = new Repeats((kind, unsaid) => this.#forgotten(kind, unsaid));
  /** Kinds of which something is counted and not said. */
  readonly #counted = new Map<string, RepeatedLine>();
  #timer: NodeJS.Timeout | undefined;

  constructor(logger: Logger) {
    this.#logger = logger;
  }

  say(line: RepeatedLine): void {
    const kind = line.kind ?? line.message;
    const times = this.#repeats.note(kind, steadyMs());
    if (times > 0) {
      this.#counted.delete(kind);
      this.#write(line, times);
      return;
    }
    this.#counted.set(kind, line);
    this.#timer ??= setInterval(() => this.#sayDue(), REPEAT_INTERVAL_MS).unref();
  }

  /** Whoever invents codes without end gets no more memory for it, and is counted all the same. */
  #forgotten(kind: string, unsaid: number): void {
    const line = this.#counted.get(kind);
    if (line === undefined) return;
    this.#counted.delete(kind);
    this.#write(line, unsaid);
  }

  #sayDue(): void {
    for (const [kind, line] of this.#counted) {
      const times = this.#repeats.due(kind, steadyMs());
      if (times === 0) continue;
      this.#counted.delete(kind);
      this.#write(line, times);
    }
    if (this.#counted.size > 0) return;
    clearInterval(this.#timer);
    this.#timer = undefined;
  }

  #write({ level, message, fields }: RepeatedLine, times: number): void {
    this.#logger[level]({ ...fields, ...(times > 1 && { times }) }, message);
  }
}
