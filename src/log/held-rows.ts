// The rows of a transaction of which the log has the beginning: a server that sends them again is held to them.
import type { Lsn } from '../core/lsn.ts';
import { FRAME, frameBytes, FRAME_HEADER_BYTES } from '../pgoutput/frames.ts';
import { RowDigest } from '../pgoutput/row-digest.ts';
import { rowEventsIn } from '../pgoutput/row-numbers.ts';
import { readBegin } from './context.ts';
import type { BlockContext } from './format.ts';
import { nextBlock, openUnlessMissing } from './search.ts';
import { readSegmentContext, type SegmentFile } from './segments.ts';

export type HeldRows = {
  readonly epoch: number;
  readonly commitLsn: Lsn;
  /** µs since 1970. */
  readonly commitTimeUs: bigint;
  readonly xid: number;
  /** Row events below this number are not in the digest: retention has deleted them. Mostly 0. */
  readonly firstRow: number;
  /** Row events below this number were logged. */
  readonly rows: number;
  /** Of the messages of those from `firstRow` on (row-digest.ts). */
  readonly digest: string;
};

type Counting = Omit<HeldRows, 'rows' | 'digest'> & { rows: number; readonly digest: RowDigest };

/**
 * What `segments` hold, below the log offset `limit`, of a transaction that does not end there; undefined: there is none, or nothing
 * of its rows. Reads as it is asked, a block at a time. Throws LOG_CORRUPT.
 */
export function* readHeldRows(
  segments: readonly SegmentFile[],
  limit: number,
): Generator<undefined, HeldRows | undefined> {
  const below = segments.filter(({ startOffset }) => startOffset < limit);
  const first = Math.max(
    0,
    below.findLastIndex((segment) => readSegmentContext(segment)?.inTransaction === false),
  );
  let counting: Counting | undefined;
  for (const segment of below.slice(first)) {
    const cursor = openUnlessMissing(segment);
    if (cursor === undefined) continue;
    try {
      for (let block = nextBlock(cursor, limit); block !== undefined; block = nextBlock(cursor, limit)) {
        if (block.prologue) continue;
        const { context } = block;
        // One that has no end was given up by a later epoch.
        if (!context.inTransaction) counting = undefined;
        else counting ??= countingFrom(context, context.index);
        for (let at = block.start; at < block.end; at += frameBytes(block.buffer, at)) {
          counting = count(counting, block.buffer, at, context.epoch);
        }
        yield;
      }
    } finally {
      cursor.close();
    }
  }
  return counting === undefined || counting.rows === counting.firstRow
    ? undefined
    : { ...counting, digest: counting.digest.end() };
}

function count(
  counting: Counting | undefined,
  buffer: Buffer,
  at: number,
  epoch: number,
): Counting | undefined {
  const body = at + FRAME_HEADER_BYTES;
  const type = buffer[body];
  if (type === FRAME.begin) return countingFrom({ ...readBegin(buffer, at), epoch }, 0);
  if (counting === undefined || type === FRAME.commit) return undefined;
  const rows = rowEventsIn(buffer, body);
  if (rows > 0) {
    counting.rows += rows;
    counting.digest.add(buffer, body, at + frameBytes(buffer, at));
  }
  return counting;
}

const countingFrom = (
  { epoch, commitLsn, commitTimeUs, xid }: Pick<BlockContext, 'epoch' | 'commitLsn' | 'commitTimeUs' | 'xid'>,
  row: number,
): Counting => ({ epoch, commitLsn, commitTimeUs, xid, firstRow: row, rows: row, digest: new RowDigest() });
