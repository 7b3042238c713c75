// Finding a place in the log: where reading begins, and what was committed at a time.
import { ByteWriter } from '../core/byte-writer.ts';
import type { Lsn } from '../core/lsn.ts';
import type { Position } from '../core/position.ts';
import { BlockCursor, type RawBlock } from './block-cursor.ts';
import { readBegin, startsWithin } from './context.ts';
import type { BlockContext } from './format.ts';
import { corruptError, isMissing } from './errors.ts';
import { describesRelations, FRAME, frameBytes, FRAME_HEADER_BYTES } from '../pgoutput/frames.ts';
import type { SegmentFile } from './segments.ts';

/** Opens a segment; undefined when retention has deleted it meanwhile. */
export function openUnlessMissing(
  segment: Pick<SegmentFile, 'path' | 'startOffset'>,
): BlockCursor | undefined {
  try {
    return new BlockCursor(segment);
  } catch (error) {
    if (isMissing(error)) return undefined;
    throw error;
  }
}

/** The next block below `limit`; undefined when there is none. Throws LOG_CORRUPT. */
export function nextBlock(cursor: BlockCursor, limit: number): RawBlock | undefined {
  const block = cursor.next(limit);
  if (block === 'bad') throw corruptError(cursor.path, cursor.offset, 'a checksum does not fit');
  return block === 'end' ? undefined : block;
}

/**
 * From the cursor's place on, the last block at which reading may begin without missing anything, and the frames
 * that describe relations in the blocks before it. Moves the cursor.
 */
export function findPlace(
  cursor: BlockCursor,
  from: { readonly position: Position } | { readonly offset: number },
  limit: number,
): { target: number; relations: Buffer } {
  const relations = new ByteWriter();
  let target = cursor.offset;
  let relationBytes = 0;
  for (;;) {
    const at = cursor.offset;
    const block = nextBlock(cursor, limit);
    const mayBeginHere =
      'offset' in from
        ? from.offset >= at
        : block !== undefined && startsWithin(block.context, from.position);
    // Whoever reads on inside a transaction must have read its markers.
    if (mayBeginHere && block?.context.marked !== true) {
      target = at;
      relationBytes = relations.length;
    }
    if (!mayBeginHere || block === undefined) break;
    for (const { start, end } of framesOf(block)) {
      if (describesRelations(block.buffer[start + FRAME_HEADER_BYTES]!)) {
        relations.bytes(block.buffer, start, end);
      }
    }
  }
  return { target, relations: relations.buffer.subarray(0, relationBytes) };
}

function* framesOf(block: RawBlock): Generator<{ start: number; end: number }> {
  for (let start = block.start; start < block.end;) {
    const end = start + frameBytes(block.buffer, start);
    yield { start, end };
    start = end;
  }
}

/** Those of `segments` that may hold the first transaction committed at `timeUs` or later. */
export function segmentsSince(
  segments: readonly SegmentFile[],
  timeUs: bigint,
  limit: number,
): SegmentFile[] {
  const earlier = segments.findLastIndex((segment) => {
    const first = findTransaction(segment, limit, () => true);
    return first !== undefined && first.commitTimeUs < timeUs;
  });
  return segments.slice(Math.max(0, earlier));
}

/** Those of `segments` that may hold the first transaction, in the order of the log, committed at `lsn` or above. */
export function segmentsWithLsn(
  segments: readonly SegmentFile[],
  lsn: Lsn,
  contextOf: (segment: SegmentFile) => BlockContext | undefined,
): SegmentFile[] {
  const contexts = segments.map(contextOf);
  return segments.filter((_, i) => {
    const begin = contexts[i];
    const end = contexts[i + 1];
    if (begin === undefined || end === undefined) return true;
    // LSNs order transactions within one epoch only: where it changes, each has to be looked at.
    return begin.epoch !== end.epoch || end.inTransaction || end.lastCommitLsn >= lsn;
  });
}

/** Which history a transaction is of, and where and when it was committed. */
export type Committed = {
  readonly epoch: number;
  readonly commitLsn: Lsn;
  readonly commitTimeUs: bigint;
};

export type FoundTransaction = Committed & {
  /** Reading from after this position gives the transaction, as far as it is in the segment. */
  readonly before: Position;
};

/** The first transaction of a segment that `matches`. */
export function findTransaction(
  segment: SegmentFile,
  limit: number,
  matches: (transaction: Committed) => boolean,
): FoundTransaction | undefined {
  const cursor = openUnlessMissing(segment);
  if (cursor === undefined) return undefined;
  try {
    for (;;) {
      const block = nextBlock(cursor, limit);
      if (block === undefined) return undefined;
      const { context } = block;
      const { epoch } = context;
      // The transaction in progress began in a segment before this one.
      if (block.prologue && context.inTransaction && matches(context)) {
        const { commitLsn, commitTimeUs, before } = context;
        return { epoch, commitLsn, commitTimeUs, before };
      }
      for (const { start } of framesOf(block)) {
        if (block.buffer[start + FRAME_HEADER_BYTES] !== FRAME.begin) continue;
        const { commitLsn, commitTimeUs } = readBegin(block.buffer, start);
        const found = { epoch, commitLsn, commitTimeUs };
        if (matches(found)) return { ...found, before: { epoch, commitLsn, index: -1 } };
      }
    }
  } finally {
    cursor.close();
  }
}
