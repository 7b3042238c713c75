// The beginnings of the whole transactions in the log, read from its files: what a server that sends them again is compared with.
import type { Lsn } from '../core/lsn.ts';
import { isLost, type Partings } from '../core/partings.ts';
import { FRAME, frameBytes, FRAME_HEADER_BYTES } from '../pgoutput/frames.ts';
import { readBegin } from './context.ts';
import { nextBlock, openUnlessMissing } from './search.ts';
import { listSegments, readSegmentContext, type SegmentFile } from './segments.ts';

export type LoggedBegin = { readonly commitLsn: Lsn; readonly commitTimeUs: bigint; readonly xid: number };

/** Which part of the log is asked for. */
export type BeginsWanted = {
  readonly from: Lsn;
  /** A log offset. */
  readonly limit: number;
  /** What is of a history that is lost is left out. */
  readonly partings: Partings;
};

/**
 * Those committed at `from` or later, in log order, below the log offset `limit`: as many as are retained. Reads as it is asked,
 * a block at a time. Throws LOG_CORRUPT.
 */
export function* loggedBegins(
  directory: string,
  { from, limit, partings }: BeginsWanted,
): Generator<LoggedBegin> {
  const segments = listSegments(directory);
  const first = Math.max(
    0,
    segments.findLastIndex((segment) => beginsBefore(segment, from)),
  );
  // One that has no end was given up: another epoch has it whole, or another history has others in its place.
  let begun: (LoggedBegin & { readonly epoch: number }) | undefined;
  for (const segment of segments.slice(first)) {
    if (segment.startOffset >= limit) return;
    for (const found of edgesOf(segment, limit)) {
      if (found !== 'end') {
        begun = found;
        continue;
      }
      if (begun !== undefined && begun.commitLsn >= from && !isLost(partings, begun)) {
        const { commitLsn, commitTimeUs, xid } = begun;
        yield { commitLsn, commitTimeUs, xid };
      }
      begun = undefined;
    }
  }
}

/** Is nothing that was committed at `from` or later begun before this segment? */
function beginsBefore(segment: SegmentFile, from: Lsn): boolean {
  const context = readSegmentContext(segment);
  if (context === undefined) return false;
  return context.lastCommitLsn < from && !(context.inTransaction && context.commitLsn >= from);
}

/** Where transactions begin and end. */
function* edgesOf(
  segment: SegmentFile,
  limit: number,
): Generator<(LoggedBegin & { readonly epoch: number }) | 'end'> {
  const cursor = openUnlessMissing(segment);
  if (cursor === undefined) return;
  try {
    for (let block = nextBlock(cursor, limit); block !== undefined; block = nextBlock(cursor, limit)) {
      const { buffer, context } = block;
      for (let at = block.start; at < block.end; at += frameBytes(buffer, at)) {
        const type = buffer[at + FRAME_HEADER_BYTES];
        if (type === FRAME.begin) yield { ...readBegin(buffer, at), epoch: context.epoch };
        else if (type === FRAME.commit) yield 'end';
      }
    }
  } finally {
    cursor.close();
  }
}
