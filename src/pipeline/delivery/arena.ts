// Where rendered messages lie: one behind the other in buffers that are used again when all of theirs are gone.
import type { ByteWriter } from '../../core/byte-writer.ts';
import { SpareWriters } from '../../core/spare-writers.ts';

/** Small enough to stay in a processor's cache with a few others. */
const ARENA_BYTES = 256 * 1024;
/** And room for the last message, which is begun below the limit. */
const BUFFER_BYTES = ARENA_BYTES + 32 * 1024;
/** Of those that are not in use. */
const MAX_FREE = 48;

/** Of all sinks of a thread, each of which has most in memory at another moment. One that a huge message has made grow is not kept. */
const buffers = new SpareWriters({
  initial: BUFFER_BYTES,
  each: BUFFER_BYTES,
  all: MAX_FREE * BUFFER_BYTES,
});

export class Arena {
  readonly writer: ByteWriter = buffers.take();
  /** Messages that lie here. */
  live = 0;
  /** As it was counted when the next one began: a huge message makes it grow. */
  countedBytes = 0;
}

export class Arenas {
  #current = new Arena();
  /** Of those in use, without the current one. */
  #bytes = 0;

  /** The arena that the next message is written to; it counts as one of its messages. */
  enter(): Arena {
    if (this.#current.writer.length >= ARENA_BYTES) this.#next();
    this.#current.live++;
    return this.#current;
  }

  /** A message is gone. */
  leave(arena: Arena): void {
    arena.live--;
    if (arena.live > 0 || arena === this.#current) return;
    this.#bytes -= arena.countedBytes;
    buffers.giveBack(arena.writer);
  }

  /** Bytes of memory, whatever lies in them. */
  get bytes(): number {
    return this.#bytes + this.#current.writer.buffer.length;
  }

  #next(): void {
    const last = this.#current;
    if (last.live === 0) buffers.giveBack(last.writer);
    else {
      last.countedBytes = last.writer.buffer.length;
      this.#bytes += last.countedBytes;
    }
    this.#current = new Arena();
  }
}
