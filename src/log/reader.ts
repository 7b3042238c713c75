// Reading the log: from a position on, waiting at the tail, in any thread or process.
import { closeSync, openSync, readSync } from 'node:fs';
import { setImmediate } from 'node:timers/promises';
import { formatPosition, type Position } from '../core/position.ts';
import { BlockCursor, type RawBlock } from './block-cursor.ts';
import { readBegin, startsWithin } from './context.ts';
import { corruptError, isMissing, PositionNotRetainedError } from './errors.ts';
import type { BlockContext } from './format.ts';
import { describesRelations, FRAME, frameBytes, FRAME_HEADER_BYTES } from './frames.ts';
import { listSegments, readSegmentContext, type SegmentFile } from './segments.ts';
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

/** Segments whose files stay open for `readFrames`. */
const MAX_OPEN_SEGMENTS = 8;

/** Nothing is opened before it is read. A log that no writer has opened yet looks empty: reading waits. */
export function openLogReader(directory: string, signals: LogSignals): LogReader {
  return new Reader(directory, signals);
}

class Reader implements LogReader {
  readonly #directory: string;
  readonly #signals: LogSignals;
  /** By start offset, least recently used first. */
  readonly #files = new Map<number, number>();

  constructor(directory: string, signals: LogSignals) {
    this.#directory = directory;
    this.#signals = signals;
  }

  async *read(from: ReadFrom, signal: AbortSignal): AsyncGenerator<LogBlock, void, undefined> {
    await this.#signals.waitForAppend(0, signal);
    if (signal.aborted) return;
    let cursor = this.#openAt(from);
    try {
      yield* this.#approach(cursor, from);
      for (;;) {
        yield* this.#follow(cursor, signal);
        if (signal.aborted) return;
        const next = await this.#openNext(cursor, signal);
        if (next === undefined) return;
        cursor.close();
        cursor = next;
      }
    } finally {
      cursor.close();
    }
  }

  /** The segment to begin in, standing at its prologue. */
  #openAt(from: ReadFrom): BlockCursor {
    for (;;) {
      try {
        return new BlockCursor(this.#segmentFor(from));
      } catch (error) {
        // Retention was faster: look again.
        if (!isMissing(error)) throw error;
      }
    }
  }

  #segmentFor(from: ReadFrom): SegmentFile {
    const segments = listSegments(this.#directory);
    const found =
      from === 'earliest'
        ? segments[0]
        : from === 'end'
          ? segments.at(-1)
          : 'offset' in from
            ? segments.findLast((segment) => segment.startOffset <= from.offset)
            : segments.findLast((segment) => startsWithin(readSegmentContext(segment), from.position));
    if (found === undefined) throw new PositionNotRetainedError(describeFrom(from), this.firstPosition());
    return found;
  }

  /** Yields the prologue and the relations up to the place to begin at, and leaves the cursor there. */
  *#approach(cursor: BlockCursor, from: ReadFrom): Generator<LogBlock> {
    if (from === 'earliest') return;
    const end = this.#signals.writtenEnd();
    const prologue = cursor.next(end);
    if (typeof prologue === 'string') throw corruptError(cursor.path, cursor.offset, 'the prologue is bad');
    const { context } = prologue;
    yield toLogBlock(prologue);
    const { target, relations } = findPlace(cursor, from === 'end' ? { offset: end } : from, end);
    if (relations.length > 0) {
      yield {
        buffer: relations,
        start: 0,
        end: relations.length,
        offset: prologue.blockEnd,
        blockEnd: target,
        context,
        prologue: false,
        relationsOnly: true,
      };
    }
    cursor.seek(target);
  }

  /** The blocks of this segment, waiting at the tail, until it has no more. */
  async *#follow(cursor: BlockCursor, signal: AbortSignal): AsyncGenerator<LogBlock, void, undefined> {
    while (!signal.aborted) {
      const end = this.#signals.writtenEnd();
      if (cursor.offset >= end) {
        await this.#signals.waitForAppend(cursor.offset, signal);
        continue;
      }
      const block = cursor.next(end);
      if (block === 'end') return;
      if (block === 'bad') throw corruptError(cursor.path, cursor.offset, 'a checksum does not fit');
      yield toLogBlock(block);
      // A long backlog must not starve timers and sockets: blocks in memory cost no turn of the event loop, reads do.
      if (cursor.isDrained && cursor.offset < this.#signals.writtenEnd()) await setImmediate();
    }
  }

  /** The segment after the one that `cursor` has read to its end; undefined when `signal` aborts. */
  async #openNext(cursor: BlockCursor, signal: AbortSignal): Promise<BlockCursor | undefined> {
    while (!signal.aborted) {
      const writtenEnd = this.#signals.writtenEnd();
      const segment = listSegments(this.#directory).find(({ startOffset }) => startOffset >= cursor.offset);
      if (segment === undefined) {
        // The writer is recovering: it has cut what was announced, and will go on above it.
        await this.#signals.waitForAppend(writtenEnd, signal);
        continue;
      }
      const next = openUnlessMissing(segment);
      if (next === undefined) continue;
      if (next.header.previousEnd <= cursor.offset) return next;
      next.close();
      if (cursor.offset < this.#signals.firstOffset()) {
        throw new PositionNotRetainedError(`offset ${cursor.offset}`, this.firstPosition());
      }
      throw corruptError(cursor.path, cursor.offset, 'the segment that follows is missing');
    }
    return undefined;
  }

  readFrames(offset: number, length: number): Buffer {
    const bytes = Buffer.allocUnsafe(length);
    const { startOffset, fd } = this.#fileFor(offset);
    const count = readSync(fd, bytes, 0, length, offset - startOffset);
    if (count < length) throw new PositionNotRetainedError(`offset ${offset}`, this.firstPosition());
    return bytes;
  }

  #fileFor(offset: number): { startOffset: number; fd: number } {
    const segment = listSegments(this.#directory).findLast(({ startOffset }) => startOffset <= offset);
    if (segment === undefined) throw new PositionNotRetainedError(`offset ${offset}`, this.firstPosition());
    const { startOffset, path } = segment;
    const fd = this.#files.get(startOffset) ?? openSync(path, 'r');
    this.#files.delete(startOffset);
    this.#files.set(startOffset, fd);
    if (this.#files.size > MAX_OPEN_SEGMENTS) this.#closeFile(this.#files.keys().next().value!);
    return { startOffset, fd };
  }

  #closeFile(startOffset: number): void {
    closeSync(this.#files.get(startOffset)!);
    this.#files.delete(startOffset);
  }

  firstPosition(): Position {
    for (;;) {
      const first = listSegments(this.#directory)[0];
      if (first === undefined) return ORIGIN;
      try {
        return readSegmentContext(first).before;
      } catch (error) {
        if (!isMissing(error)) throw error;
      }
    }
  }

  async findTime(timeUs: bigint): Promise<Position | undefined> {
    for (const segment of segmentsFrom(listSegments(this.#directory), timeUs)) {
      const cursor = openUnlessMissing(segment);
      if (cursor === undefined) continue;
      try {
        const found = findTimeInSegment(cursor, timeUs, this.#signals.writtenEnd());
        if (found !== undefined) return found;
      } finally {
        cursor.close();
      }
      await setImmediate();
    }
    return undefined;
  }

  close(): void {
    for (const startOffset of [...this.#files.keys()]) this.#closeFile(startOffset);
  }
}
