// Where rendered messages lie: one behind the other in buffers that are used again when all of theirs are gone.
import { ByteWriter } from '../../core/byte-writer.ts';

/** Small enough to stay in a processor's cache with a few others. */
const ARENA_BYTES = 256 * 1024;
/** Room for the last message, which is begun below the limit. */
const SPARE_BYTES = 32 * 1024;
/** Of those that are not in use: of all sinks of a thread, each of which has most in memory at another moment. */
const MAX_FREE = 48;
const free: Arena[] = [];

export class Arena {
  readonly writer = new ByteWriter(ARENA_BYTES + SPARE_BYTES);
  /** Messages that lie here. */
  live = 0;
}

export class Arenas {
  #current = new Arena();

  /** The arena that the next message is written to; it counts as one of its messages. */
  enter(): Arena {
    if (this.#current.writer.length >= ARENA_BYTES) this.#current = this.#next();
    this.#current.live++;
    return this.#current;
  }

  /** A message is gone. */
  leave(arena: Arena): void {
    arena.live--;
    // One that a huge message has made grow is not kept.
    const isOrdinary = arena.writer.buffer.length <= ARENA_BYTES + SPARE_BYTES;
    if (arena.live > 0 || arena === this.#current || !isOrdinary) return;
    if (free.length < MAX_FREE) free.push(arena);
  }

  #next(): Arena {
    const arena = this.#current.live === 0 ? this.#current : (free.pop() ?? new Arena());
    arena.writer.reset();
    return arena;
  }
}
