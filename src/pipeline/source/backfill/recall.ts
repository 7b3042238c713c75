// What the log says of backfills behind what the store remembers: a source that was killed goes on behind the rows that it appended last.
import { FRAME, FRAME_HEADER_BYTES, frameBytes } from '../../../pgoutput/frames.ts';
import { decodeReads } from '../../../pgoutput/reads.ts';
import type { LogBlock } from '../../../log/block.ts';
import { openLogReader } from '../../../log/reader.ts';
import type { LogSignals } from '../../../log/signals.ts';
import type { TableName } from '../../../core/selection.ts';
import type { PlacedProgress } from './place.ts';

/** A log, to be read. */
export type LogPlace = { readonly directory: string; readonly signals: LogSignals };

/** What a header of rows says of how far their backfill is with them. */
export type LoggedProgress = TableName & { readonly id: string; readonly progress: PlacedProgress };

/** The blocks of the log from `offset` on, or the first that it has, to `end`. Rejects with TailraceError. */
export async function* blocksBetween(
  { directory, signals }: LogPlace,
  { offset, end }: { readonly offset: number; readonly end: number },
): AsyncGenerator<LogBlock> {
  if (offset >= end) return;
  const reader = openLogReader(directory, signals);
  const done = new AbortController();
  try {
    const from = offset <= signals.firstOffset() ? 'earliest' : { offset };
    for await (const block of reader.read(from, done.signal)) {
      yield block;
      if (block.blockEnd >= end) return;
    }
  } finally {
    done.abort();
    reader.close();
  }
}

/** By backfill and table, the last one in the log from `offset` on. Rejects with TailraceError. */
export async function recallProgress(
  place: LogPlace,
  offset: number,
): Promise<ReadonlyMap<string, LoggedProgress>> {
  const found = new Map<string, LoggedProgress>();
  for await (const block of blocksBetween(place, { offset, end: place.signals.writtenEnd() })) {
    const { buffer, start, end, relationsOnly } = block;
    // Rows that were appended at once are a block.
    const body = start + FRAME_HEADER_BYTES;
    if (relationsOnly || body >= end || buffer[body] !== FRAME.reads) continue;
    const { progress } = decodeReads(buffer, body, start + frameBytes(buffer, start));
    const logged = progress as unknown as LoggedProgress;
    found.set(progressKey(logged.id, logged), logged);
  }
  return found;
}

export const progressKey = (id: string, { schema, table }: TableName): string =>
  JSON.stringify([id, schema, table]);
