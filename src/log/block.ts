// A block of the log, as readers get it.
import type { ByteWriter } from '../core/byte-writer.ts';
import type { BlockContext } from './format.ts';

/** A block's place among those that are kept, and what was made of it. */
export type Kept = {
  /** Of no other block in this thread. */
  readonly number: number;
  /** It made room for others: whoever has it in hand goes on with it, and nothing is made of it for others any more. */
  readonly isGone: boolean;
  /** What was made of the block under this name, or `make`s it. It is gone with the block. */
  of<Made>(name: string, make: () => Made): Made;
  /** An empty buffer for what is made of the block; gone with it, and used again. */
  takeWriter(): ByteWriter;
  /** What is made of the block takes so many bytes more. */
  grow(bytes: number): void;
};

/** One block. Valid until the next one is asked for: its buffer is used again, unless it is kept for other readers, too. */
export type LogBlock = {
  readonly buffer: Buffer;
  /** The frames are `buffer[start, end)`. */
  readonly start: number;
  readonly end: number;
  /** Logical offset of `buffer[start]`. */
  readonly offset: number;
  /** Logical offset of the next block. Everything below it is done when this block is. */
  readonly blockEnd: number;
  /**
   * Where the stream stands at `start`. Take it over at every block: after a restart of the writer an unfinished
   * transaction is cut off and comes again from its Begin, in a block whose context is outside of a transaction.
   */
  readonly context: BlockContext;
  /** The opening of a segment: relations in force, most of them known already. */
  readonly prologue: boolean;
  /** Only R, e and Y frames, of blocks before the place where reading begins: `offset` means nothing. */
  readonly relationsOnly: boolean;
  /** Set where other readers of the thread have the same block: what they make of it alike is kept there. */
  readonly kept?: Kept | undefined;
};
