// Which slot of a log's signals is whose: given out by the sink's name, and kept as long as the process lives.
import { TailraceError } from '../core/errors.ts';
import { MAX_SINKS_PER_DATABASE } from './signals.ts';

export class LogSlots {
  readonly #database: string;
  readonly #slots = new Map<string, number>();

  /** `database`: whose log it is, for the error. */
  constructor(database: string) {
    this.#database = database;
  }

  /** The slot of this sink: a free one when it asks for the first time, the same from then on. */
  of(sink: string): number {
    const known = this.#slots.get(sink);
    if (known !== undefined) return known;
    const slot = this.#slots.size;
    if (slot >= MAX_SINKS_PER_DATABASE) throw tooManySinks(this.#database);
    this.#slots.set(sink, slot);
    return slot;
  }

  /** By name, all that were given out. A copy: it may cross into another thread. */
  byName(): ReadonlyMap<string, number> {
    return new Map(this.#slots);
  }
}

const tooManySinks = (database: string): TailraceError =>
  new TailraceError(
    `database "${database}" has more than ${MAX_SINKS_PER_DATABASE} sinks, ${MAX_SINKS_PER_DATABASE} are possible`,
    { code: 'TOO_MANY_SINKS', kind: 'fatal', hint: 'run a second service with a slot of its own' },
  );
