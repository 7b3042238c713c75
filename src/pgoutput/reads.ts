// Rows that a backfill has read, as they stand in the log: a header that says whose they are and what they look like, then the rows.
//
// They stand between transactions, and describe themselves: the relations that the stream has in force are not touched by them. Their
// numbers go on from one header to the next, until a transaction is committed.
import type { Relation } from '../core/change.ts';
import { toLsn, type Lsn } from '../core/lsn.ts';
import { FRAME } from './frames.ts';
import { buildRelation, decodeEnrichment } from './enrichment.ts';
import { decodeRelation } from './messages.ts';

/** What all rows behind one header share. */
export type Reads = {
  readonly backfill: string;
  /** The sinks that they are for, by name; undefined: all of the database. */
  readonly sinks: readonly string[] | undefined;
  /** All that they show was committed before this: what they say is of the history up to here. */
  readonly watermark: Lsn;
  /** By the server's clock, in microseconds since 1970. */
  readonly readAtUs: bigint;
  /** The number of the first row among the reads since the last commit. */
  readonly firstIndex: number;
};

/** How far the backfill is with them, for who goes on with it: what that means is its own affair. */
export type Progress = Readonly<Record<string, unknown>>;

type Said = Pick<Reads, 'backfill' | 'sinks'> & { readonly progress: Progress };

const FIXED_BYTES = 21;

/** A frame's content. `relation`: a Relation message; `enrichment`: what an `e` frame has. */
export function encodeReads(
  reads: Reads & { readonly relation: Buffer; readonly enrichment: Buffer; readonly progress: Progress },
): Buffer {
  const { backfill, sinks, progress, relation, enrichment } = reads;
  const fixed = Buffer.alloc(FIXED_BYTES);
  fixed[0] = FRAME.reads;
  fixed.writeUInt32BE(reads.firstIndex, 1);
  fixed.writeBigUInt64BE(reads.watermark, 5);
  fixed.writeBigInt64BE(reads.readAtUs, 13);
  const said: Said = { backfill, sinks, progress };
  return Buffer.concat([fixed, sized(relation), sized(enrichment), Buffer.from(JSON.stringify(said))]);
}

const sized = (bytes: Buffer): Buffer => {
  const length = Buffer.alloc(4);
  length.writeUInt32BE(bytes.length);
  return Buffer.concat([length, bytes]);
};

/** Of the header at `start`, the number of its first row. */
export const firstIndexOf = (bytes: Buffer, start: number): number => bytes.readUInt32BE(start + 1);

/** Reads what `encodeReads` wrote. The log's checksums vouch for the content. */
export function decodeReads(
  bytes: Buffer,
  start: number,
  end: number,
): Reads & { readonly relation: Relation; readonly progress: Progress } {
  const relationAt = start + FIXED_BYTES + 4;
  const relationEnd = relationAt + bytes.readUInt32BE(relationAt - 4);
  const enrichmentAt = relationEnd + 4;
  const enrichmentEnd = enrichmentAt + bytes.readUInt32BE(relationEnd);
  const { backfill, sinks, progress } = JSON.parse(bytes.toString('utf8', enrichmentEnd, end)) as Said;
  const raw = decodeRelation(bytes, relationAt, relationEnd);
  const relation = buildRelation(raw, decodeEnrichment(bytes, enrichmentAt, enrichmentEnd));
  return {
    backfill,
    sinks,
    progress,
    firstIndex: firstIndexOf(bytes, start),
    watermark: toLsn(bytes.readBigUInt64BE(start + 5)),
    readAtUs: bytes.readBigInt64BE(start + 13),
    // The stream's own relation of this id may look otherwise by now, or not yet.
    relation: { ...relation, id: readRelationId(raw.id) },
  };
}

/** Under which rows of backfills find their relation: an id that no relation of the stream has. */
export const readRelationId = (relationId: number): number => -relationId;

/**
 * The commit LSN of positions of rows that stand behind the transaction committed at `lastCommitLsn`. Records are longer than this: no
 * transaction is committed there.
 */
export const readsLsn = (lastCommitLsn: Lsn): Lsn => toLsn(lastCommitLsn + 1n);
