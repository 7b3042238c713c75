// How large the next chunk of a backfill is: as large as can be read in a short time, and held in memory. Pure.

/** What one chunk took. `size`: so much it was, in rows or pages. */
export type ChunkCost = {
  readonly size: number;
  readonly elapsedMs: number;
  readonly bytes: number;
};

export type ChunkAims = { readonly targetMs: number; readonly targetBytes: number; readonly maxSize: number };

/** A first guess that is quick on any table. */
export const FIRST_CHUNK_SIZE = 100;

/** One chunk that was quick says little of the next: growth is slow, shrinking is not. */
const MAX_GROWTH = 3;

/**
 * The size at which such a chunk would have cost what is aimed at, a step at a time. Several are read at once, of sizes that were right when
 * they were begun, and some end early: one that was cheap never makes chunks smaller, and one that was not never larger.
 */
export function nextChunkSize(
  present: number,
  { size, elapsedMs, bytes }: ChunkCost,
  aims: ChunkAims,
): number {
  const spent = Math.max(elapsedMs / aims.targetMs, bytes / aims.targetBytes);
  const factor = spent <= 0 ? MAX_GROWTH : Math.min(MAX_GROWTH, 1 / spent);
  const aimed = Math.floor(size * factor);
  return clamp(spent > 1 ? Math.min(present, aimed) : Math.max(present, aimed), aims.maxSize);
}

/** After a chunk that the server cut short. Undefined: it cannot be smaller. */
export const smallerChunkSize = (size: number): number | undefined =>
  size <= 1 ? undefined : Math.max(1, Math.floor(size / 4));

const clamp = (size: number, maxSize: number): number => Math.max(1, Math.min(size, maxSize));
