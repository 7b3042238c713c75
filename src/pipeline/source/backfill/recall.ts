// What the log says of backfills behind what the store remembers: a source that was killed goes on behind the rows that it appended last.
import { FRAME, FRAME_HEADER_BYTES } from '../../../pgoutput/frames.ts';
import { decodeReads } from '../../../pgoutput/reads.ts';
import { openLogReader } from '../../../log/reader.ts';
import type { LogSignals } from '../../../log/signals.ts';
import type { TableName } from '../../../core/selection.ts';
import type { PlacedProgress } from './place.ts';

/** What a header of rows says of how far their backfill is with them. */
export type LoggedProgress = TableName & { readonly id: string; readonly progress: PlacedProgress };

/** By backfill and table, the last one in the log from `offset` on. Rejects with TailraceError. */
export async function recallProgress(
  directory: string,
  signals: LogSignals,
  offset: number,
): Promise<ReadonlyMap<string, LoggedProgress>> {
  const found = new Map<string, LoggedProgress>();
  const end = signals.writtenEnd();
  if (offset >= end) return found;
  const reader = openLogReader(directory, signals);
  const done = new AbortController();
  try {
    const from = offset <= signals.firstOffset() ? 'earliest' : { offset };
    for await (const { buffer, start, end: blockDone, blockEnd, relationsOnly } of reader.read(
      from,
      done.signal,
    )) {
      // Rows that were appended at once are a block.
      const body = start + FRAME_HEADER_BYTES;
      if (!relationsOnly && body < blockDone && buffer[body] === FRAME.reads) {
        const { progress } = decodeReads(buffer, body, body + buffer.readUInt32BE(start));
        const logged = progress as unknown as LoggedProgress;
        found.set(progressKey(logged.id, logged), logged);
      }
      if (blockEnd >= end) break;
    }
  } finally {
    done.abort();
    reader.close();
  }
  return found;
}

export const progressKey = (id: string, { schema, table }: TableName): string =>
  JSON.stringify([id, schema, table]);
