// Appends rows of a chunk to the log, with what their backfill is at behind them.
import { ByteWriter } from '../../../core/byte-writer.ts';
import { maxLsn, type Lsn } from '../../../core/lsn.ts';
import type { TableName } from '../../../core/selection.ts';
import type { Chunk } from '../../../postgres/backfill/chunk-reader.ts';
import type { SourceLog } from '../log.ts';
import { lastEnd, type LetIn } from './admission.ts';
import { writeChunk } from './chunk-block.ts';
import { keyedId, restingOn, type LeafPlace, type PlacedProgress } from './place.ts';
import type { LoggedProgress } from './recall.ts';

export type AppendPorts = {
  readonly id: string;
  /** By name; none: all of the database. */
  readonly sinks: readonly string[];
  readonly opened: Pick<SourceLog, 'log' | 'directory' | 'feed' | 'keeper' | 'epoch'>;
  readonly walBlockBytes: number;
  /** The log takes nothing more. */
  readonly logFailed: (error: unknown) => void;
};

export function progressAfter(
  progress: PlacedProgress,
  step: {
    readonly chunk: Pick<Chunk, 'scanned' | 'watermark' | 'rows'>;
    readonly admission: LetIn;
    readonly leaf: LeafPlace;
    readonly epoch: number;
    /** What the stream had brought by then: of a row that changed meanwhile it has the last word. */
    readonly streamedTo: Lsn;
    readonly activeMs: number;
    readonly note: string | undefined;
  },
): PlacedProgress {
  const { chunk, admission, leaf, epoch, streamedTo, activeMs, note } = step;
  const { kept, partly } = admission;
  const { starts, ends, count } = chunk.rows;
  return {
    ...progress,
    scanned: progress.scanned + chunk.scanned,
    appended: progress.appended + kept.length,
    dropped: progress.dropped + count - kept.length,
    readAgain: progress.readAgain + partly.length,
    activeMs: progress.activeMs + activeMs,
    bytes: progress.bytes + kept.reduce((sum, i) => sum + ends[i]! - starts[i]!, 0),
    notes: note === undefined ? progress.notes : noted(progress.notes, note),
    // Also where no row was let in: what kept them out, or was not there any more, may be lost with its history.
    cursor: restingOn({ ...progress.cursor, leaf }, { epoch, lsn: maxLsn(chunk.watermark, streamedTo) }),
  };
}

/** Each once. */
export const noted = (notes: readonly string[], note: string): readonly string[] =>
  notes.includes(note) ? notes : [...notes, note];

/** One is enough: nobody else appends meanwhile. */
const WRITER = new ByteWriter();

/** Between two transactions. Throws as the log does. */
export function appendRows(
  { id, sinks, opened, walBlockBytes, logFailed }: AppendPorts,
  rows: {
    readonly name: TableName;
    readonly description: { readonly relation: Buffer; readonly enrichment: Buffer };
    readonly chunk: Chunk;
    readonly kept: readonly number[];
    readonly progress: PlacedProgress;
  },
): void {
  const { log, feed, keeper } = opened;
  const { name, description, chunk, kept, progress } = rows;
  const { schema, table } = name;
  // What is for the store alone is left out.
  const logged: LoggedProgress = {
    id,
    schema,
    table,
    progress: { ...progress, cursor: { ...progress.cursor, marks: [] } },
  };
  WRITER.reset();
  writeChunk(
    WRITER,
    {
      backfill: keyedId(id, progress.cursor.turn),
      sinks: sinks.length === 0 ? undefined : sinks,
      watermark: chunk.watermark,
      readAtUs: chunk.readAtUs,
      firstIndex: log.readIndex,
      ...description,
      progress: logged,
    },
    { rows: chunk.rows, kept, places: chunk.places },
  );
  const endLsn = maxLsn(lastEnd(chunk.watermark, walBlockBytes), log.context.lastEndLsn);
  try {
    feed.appendReads(WRITER.buffer, WRITER.length, endLsn);
  } catch (error) {
    logFailed(error);
    throw error;
  }
  keeper.appendedReads();
}
