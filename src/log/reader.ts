// Reading the log: from a position on, waiting at the tail, in any thread or process.
import type { Position } from '../core/position.ts';
import type { BlockContext } from './format.ts';
import type { LogSignals } from './signals.ts';

/**
 * Where to begin. `position`: everything after it (a cursor: the last position that the reader is done with;
 * index −1 stands before the first row event of its transaction). `offset`: the block that holds this offset.
 */
export type ReadFrom = { readonly position: Position } | { readonly offset: number } | 'earliest' | 'end';

/** One block. Valid until the next one is asked for: its buffer is used again. */
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
};

export interface LogReader {
  /**
   * The blocks from `from` on, then those to come, until `signal` aborts (the iteration ends, it does not throw).
   * The first blocks may hold row events before `from`: the consumer skips them by position.
   * Throws LOG_POSITION_NOT_RETAINED (`firstRetained` says what is), LOG_CORRUPT.
   */
  read(from: ReadFrom, signal: AbortSignal): AsyncIterable<LogBlock>;
  /** A copy of `length` bytes at a logical offset. Throws LOG_POSITION_NOT_RETAINED. */
  readFrames(offset: number, length: number): Buffer;
  /** Everything after this position is retained. */
  firstPosition(): Position;
  /** Where to read from for the transactions committed at `timeUs` (µs since 1970) or later; undefined: none yet. */
  findTime(timeUs: bigint): Promise<Position | undefined>;
  close(): void;
}

export function openLogReader(_directory: string, _signals: LogSignals): LogReader {
  throw new Error('being written');
}
