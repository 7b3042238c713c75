// Reading the log: from a position on, waiting at the tail, in any thread or process.
import { closeSync, constants, readSync } from 'node:fs';
import { setImmediate } from 'node:timers/promises';
import { ZERO_LSN, type Lsn } from '../core/lsn.ts';
import { formatPosition, ORIGIN, type Position } from '../core/position.ts';
import { openFile } from '../data-directory/files.ts';
import type { LogBlock } from './block.ts';
import type { BlockCursor, RawBlock } from './block-cursor.ts';
import { rowsStartWithin, startsWithin } from './context.ts';
import { corruptError, isMissing, PositionNotRetainedError } from './errors.ts';
import {
  findPlace,
  findTransaction,
  nextBlock,
  openUnlessMissing,
  segmentsSince,
  segmentsWithLsn,
} from './search.ts';
import { listSegments, readSegmentContext, type SegmentFile } from './segments.ts';
import type { SharedBlocks, SharedReader } from './shared-blocks.ts';
import type { LogSignals } from './signals.ts';

/**
 * Where to begin. `position`: everything after it (a cursor: the last position that the reader is done with;
 * index −1 stands before the first row event of its transaction). Behind the last row event of a transaction comes its commit. `offset`: the block that holds this offset.
 */
export type ReadFrom = { readonly position: Position } | { readonly offset: number } | 'earliest' | 'end';

export interface LogReader {
  /**
   * The blocks from `from` on, then those to come, until `signal` aborts (the iteration ends, it does not throw).
   * The first blocks may hold row events before `from`: the consumer skips them by position.
   * Throws LOG_POSITION_NOT_RETAINED (`firstRetained` says what is), LOG_CORRUPT. `shared`: what other readers of this log have read is
   * not read again.
   */
  read(from: ReadFrom, signal: AbortSignal, shared?: SharedBlocks): AsyncIterable<LogBlock>;
  /** A copy of `length` bytes at a logical offset. Throws LOG_POSITION_NOT_RETAINED. */
  readFrames(offset: number, length: number): Buffer;
  /** Everything after this position is retained. */
  firstPosition(): Position;
  /**
   * A log offset at or before the first change after `position` (0 while the log is empty), and the end LSN of the last
   * transaction wholly before that offset. Throws LOG_POSITION_NOT_RETAINED.
   */
  locate(position: Position): { readonly offset: number; readonly endLsn: Lsn };
  /** Commit time (µs since 1970) of the first transaction that is retained; undefined: there is none. */
  firstCommitTimeUs(): bigint | undefined;
  /** Where to read from for the transactions committed at `timeUs` (µs since 1970) or later; undefined: none yet. */
  findTime(timeUs: bigint): Promise<Position | undefined>;
  /**
   * Where to read from for the transactions committed at `lsn` or above, in whichever epoch that comes first; `afterEpoch`:
   * in a later one than this. Undefined: none yet.
   */
  findLsn(lsn: Lsn, afterEpoch?: number): Promise<Position | undefined>;
  close(): void;
}

/** Segments whose files stay open for `readFrames`. */
const MAX_OPEN_SEGMENTS = 8;

/** Nothing is opened before it is read. A log that no writer has opened yet looks empty: reading waits. */
export function openLogReader(directory: string, signals: LogSignals): LogReader {
  return new Reader(directory, signals);
}

/** How one reading shares blocks with others. */
type Sharing = { readonly blocks: SharedBlocks; readonly place: SharedReader };

class Reader implements LogReader {
  readonly #directory: string;
  readonly #signals: LogSignals;
  /** For `readFrames`: the segments as of when the log ended at `#listedEnd`, and open files by start offset. */
  #segments: readonly SegmentFile[] = [];
  #listedEnd = 0;
  /** Least recently used first. */
  readonly #files = new Map<number, number>();

  constructor(directory: string, signals: LogSignals) {
    this.#directory = directory;
    this.#signals = signals;
  }

  async *read(
    from: ReadFrom,
    signal: AbortSignal,
    shared?: SharedBlocks,
  ): AsyncGenerator<LogBlock, void, undefined> {
    await this.#signals.waitForAppend(0, signal);
    if (signal.aborted) return;
    let cursor = this.#openAt(from);
    let sharing: Sharing | undefined;
    try {
      yield* this.#approach(cursor, from);
      sharing = shared && { blocks: shared, place: shared.join(cursor.offset) };
      for (;;) {
        yield* this.#follow(cursor, signal, sharing);
        if (signal.aborted) return;
        const next = await this.#openNext(cursor, signal);
        if (next === undefined) return;
        cursor.close();
        cursor = next;
        if (sharing !== undefined) sharing.place.offset = cursor.offset;
      }
    } finally {
      cursor.close();
      sharing?.blocks.leave(sharing.place);
    }
  }

  /** The segment to begin in, standing at its prologue. */
  #openAt(from: ReadFrom): BlockCursor {
    return untilPresent(() => openUnlessMissing(this.#segmentFor(from)));
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
            : this.#segmentWith(segments, from.position);
    if (found === undefined) throw new PositionNotRetainedError(describeFrom(from), this.firstPosition());
    return found;
  }

  /** Not one that begins inside a transaction and after its markers, while those are retained. */
  #segmentWith(segments: readonly SegmentFile[], position: Position): SegmentFile | undefined {
    let latest: SegmentFile | undefined;
    for (const [i, segment] of [...segments.entries()].toReversed()) {
      const context = readSegmentContext(segment);
      // Where the log has let go of the commit, it has all rows after the position.
      const isWithin = i === 0 ? rowsStartWithin : startsWithin;
      if (context === undefined || !isWithin(context, position)) continue;
      if (!context.marked) return segment;
      latest ??= segment;
    }
    return latest;
  }

  /** Yields the prologue and the relations up to the place to begin at, and leaves the cursor there. */
  *#approach(cursor: BlockCursor, from: ReadFrom): Generator<LogBlock> {
    if (from === 'earliest') return;
    const end = this.#signals.writtenEnd();
    const prologue = nextBlock(cursor, end);
    if (prologue === undefined) return;
    yield toLogBlock(prologue);
    const { target, relations } = findPlace(cursor, from === 'end' ? { offset: end } : from, end);
    if (relations.length > 0) {
      yield {
        buffer: relations,
        start: 0,
        end: relations.length,
        offset: prologue.blockEnd,
        blockEnd: target,
        context: prologue.context,
        prologue: false,
        relationsOnly: true,
      };
    }
    cursor.seek(target);
  }

  /** The blocks of this segment, waiting at the tail, until it has no more. */
  async *#follow(
    cursor: BlockCursor,
    signal: AbortSignal,
    sharing: Sharing | undefined,
  ): AsyncGenerator<LogBlock, void, undefined> {
    while (!signal.aborted) {
      const end = this.#signals.writtenEnd();
      if (cursor.offset >= end) {
        await this.#signals.waitForAppend(cursor.offset, signal);
        continue;
      }
      const turn = sharing?.blocks.turn(sharing.place, end, signal);
      if (turn !== undefined) {
        await turn;
        if (signal.aborted) return;
      }
      const kept = sharing?.blocks.find(sharing.place);
      if (kept !== undefined) {
        cursor.pass(kept.blockEnd);
        yield kept;
        sharing!.blocks.pass(sharing!.place, cursor.offset);
        continue;
      }
      const together = sharing?.blocks.read(sharing.place, cursor, end);
      const raw = together ?? nextBlock(cursor, end);
      if (raw === undefined || raw === 'end') return;
      const block = toLogBlock(raw);
      if (sharing === undefined) yield block;
      else {
        yield sharing.blocks.keep(sharing.place, block);
        sharing.blocks.pass(sharing.place, cursor.offset);
      }
      // A long backlog must not starve timers and sockets: blocks in memory cost no turn of the event loop, reads do.
      const isDrained = together === undefined ? cursor.isDrained : sharing!.blocks.isDrained;
      if (isDrained && cursor.offset < this.#signals.writtenEnd()) await setImmediate();
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
      if (cursor.offset < this.#signals.firstOffset()) throw this.#notRetained(cursor.offset);
      throw corruptError(cursor.path, cursor.offset, 'the segment that follows is missing');
    }
    return undefined;
  }

  readFrames(offset: number, length: number): Buffer {
    const bytes = Buffer.allocUnsafe(length);
    const { startOffset, fd } = this.#fileFor(offset);
    if (readSync(fd, bytes, 0, length, offset - startOffset) < length) throw this.#notRetained(offset);
    return bytes;
  }

  #fileFor(offset: number): { startOffset: number; fd: number } {
    if (offset >= this.#listedEnd) this.#list();
    const segment = this.#segments.findLast(({ startOffset }) => startOffset <= offset);
    if (segment === undefined) throw this.#notRetained(offset);
    const { startOffset } = segment;
    const fd = this.#files.get(startOffset) ?? this.#openFile(segment, offset);
    this.#files.delete(startOffset);
    this.#files.set(startOffset, fd);
    if (this.#files.size > MAX_OPEN_SEGMENTS) this.#closeFile(this.#files.keys().next().value!);
    return { startOffset, fd };
  }

  /** Looks which segments there are, and lets go of those that retention has deleted. */
  #list(): void {
    this.#listedEnd = this.#signals.writtenEnd();
    this.#segments = listSegments(this.#directory);
    const present = new Set(this.#segments.map((segment) => segment.startOffset));
    for (const startOffset of this.#files.keys()) {
      if (!present.has(startOffset)) this.#closeFile(startOffset);
    }
  }

  #openFile(segment: SegmentFile, offset: number): number {
    try {
      return openFile(segment.path, constants.O_RDONLY);
    } catch (error) {
      throw isMissing(error) ? this.#notRetained(offset) : error;
    }
  }

  #closeFile(startOffset: number): void {
    closeSync(this.#files.get(startOffset)!);
    this.#files.delete(startOffset);
  }

  #notRetained(offset: number): PositionNotRetainedError {
    return new PositionNotRetainedError(`offset ${offset}`, this.firstPosition());
  }

  firstPosition(): Position {
    return untilPresent(() => {
      const first = listSegments(this.#directory)[0];
      return first === undefined ? ORIGIN : readSegmentContext(first)?.before;
    });
  }

  locate(position: Position): { offset: number; endLsn: Lsn } {
    // Read first: it must not speak of anything above `end`.
    const lastEndLsn = this.#signals.lastEndLsn();
    const end = this.#signals.writtenEnd();
    if (end === 0) return { offset: 0, endLsn: ZERO_LSN };
    const cursor = this.#openAt({ position });
    try {
      // The prologue says where the segment begins: nothing of it is of a place after it.
      nextBlock(cursor, end);
      const { target } = findPlace(cursor, { position }, end);
      cursor.seek(target);
      return { offset: target, endLsn: nextBlock(cursor, end)?.context.lastEndLsn ?? lastEndLsn };
    } finally {
      cursor.close();
    }
  }

  firstCommitTimeUs(): bigint | undefined {
    const first = listSegments(this.#directory)[0];
    return first && findTransaction(first, this.#signals.writtenEnd(), () => true)?.commitTimeUs;
  }

  async findTime(timeUs: bigint): Promise<Position | undefined> {
    const limit = this.#signals.writtenEnd();
    for (const segment of segmentsSince(listSegments(this.#directory), timeUs, limit)) {
      const found = findTransaction(segment, limit, (transaction) => transaction.commitTimeUs >= timeUs);
      if (found !== undefined) return found.before;
      await setImmediate();
    }
    return undefined;
  }

  async findLsn(lsn: Lsn, afterEpoch = -1): Promise<Position | undefined> {
    const limit = this.#signals.writtenEnd();
    const segments = segmentsWithLsn(listSegments(this.#directory), lsn, readSegmentContext);
    for (const segment of segments) {
      const found = findTransaction(
        segment,
        limit,
        ({ epoch, commitLsn }) => epoch > afterEpoch && commitLsn >= lsn,
      );
      if (found !== undefined) return found.before;
      await setImmediate();
    }
    return undefined;
  }

  close(): void {
    for (const startOffset of this.#files.keys()) this.#closeFile(startOffset);
  }
}

/** Retention may delete a segment between seeing and opening it: look again then. */
function untilPresent<T>(look: () => T | undefined): T {
  for (;;) {
    const found = look();
    if (found !== undefined) return found;
  }
}

function toLogBlock(block: RawBlock): LogBlock {
  const { buffer, start, end, blockEnd, context, prologue } = block;
  return {
    buffer,
    start,
    end,
    offset: blockEnd - (end - start),
    blockEnd,
    context,
    prologue,
    relationsOnly: false,
  };
}

function describeFrom(from: ReadFrom): string {
  if (typeof from === 'string') return `the ${from} of it`;
  return 'offset' in from ? `offset ${from.offset}` : `position ${formatPosition(from.position)}`;
}
