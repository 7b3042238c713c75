// Rows of a chunk as the log holds them: a header, and a frame a row. Hot: once for every row that a backfill reads.
import type { ByteWriter } from '../../../core/byte-writer.ts';
import { COLUMN } from '../../../pgoutput/bytes.ts';
import { appendFrame, FRAME, FRAME_HEADER_BYTES } from '../../../pgoutput/frames.ts';
import { encodeEnrichment, type Enrichment } from '../../../pgoutput/enrichment.ts';
import { relationIdOfRow, type RawRelation } from '../../../pgoutput/messages.ts';
import { encodeRelation } from '../../../pgoutput/relation-message.ts';
import { encodeReads } from '../../../pgoutput/reads.ts';
import type { ChunkRows } from '../../../postgres/backfill/copy-rows.ts';
import { oversizeFrame } from '../oversize-rows.ts';

/** Rows, of which those with these numbers are wanted; `places`: what each is known by, where not by its key. */
export type BlockRows = {
  readonly rows: ChunkRows;
  readonly kept: readonly number[];
  readonly places: readonly string[];
};

/**
 * A system column, so no column of the user's has its name. It comes along as generated ones do, for a key's sake: in no message, where
 * nobody asks for it.
 */
export const PLACE_COLUMN = { name: 'ctid', type: 27, typeModifier: -1, identity: false } as const;

/** How rows of a table are described; `hasPlaces`: it has no key, and each row comes with its place. */
export function describeReads(
  relation: RawRelation,
  enrichment: Enrichment,
  { hasPlaces }: { readonly hasPlaces: boolean },
): { readonly relation: Buffer; readonly enrichment: Buffer } {
  if (!hasPlaces) return { relation: encodeRelation(relation), enrichment: encodeEnrichment(enrichment) };
  const { generated = [] } = enrichment;
  return {
    relation: encodeRelation({ ...relation, columns: [...relation.columns, PLACE_COLUMN] }),
    enrichment: encodeEnrichment({ ...enrichment, generated: [...generated, PLACE_COLUMN.name] }),
  };
}

/** Of an Insert message: its type, the relation's id and the tuple's letter. The column count follows. */
const COLUMN_COUNT_AT = 6;

/** Appends the frames; in the log they are one block. Of a row that is too large it has the size. */
export function writeChunk(
  writer: ByteWriter,
  header: Parameters<typeof encodeReads>[0],
  what: BlockRows,
): void {
  const { rows, kept, places } = what;
  const encoded = encodeReads(header);
  appendFrame(writer, encoded, 0, encoded.length);
  if (places.length > 0 || (rows.tooLarge?.size ?? 0) > 0) {
    for (const i of kept) writeOne(writer, what, i);
    return;
  }
  // They are frames already: those that stand side by side are copied at once.
  for (let from = 0; from < kept.length;) {
    let last = from;
    while (kept[last + 1] === kept[last]! + 1) last++;
    writer.bytes(rows.bytes, rows.starts[kept[from]!]! - FRAME_HEADER_BYTES, rows.ends[kept[last]!]);
    from = last + 1;
  }
}

function writeOne(writer: ByteWriter, { rows, places }: BlockRows, i: number): void {
  const totalBytes = rows.tooLarge?.get(i);
  if (totalBytes !== undefined) {
    const relationId = relationIdOfRow(rows.bytes, rows.starts[i]!);
    const frame = oversizeFrame({ type: FRAME.read, relationId, totalBytes });
    return appendFrame(writer, frame, 0, frame.length);
  }
  const at = writer.length + FRAME_HEADER_BYTES;
  appendFrame(writer, rows.bytes, rows.starts[i]!, rows.ends[i]!);
  const place = places[i];
  if (place !== undefined) addColumn(writer, at, place);
}

/** One column more, at the end of the frame that was written last. */
function addColumn(writer: ByteWriter, at: number, text: string): void {
  writer.byte(COLUMN.text);
  writer.reserve(4);
  writer.length = writer.buffer.writeUInt32BE(text.length, writer.length);
  writer.latin1(text);
  const { buffer } = writer;
  buffer.writeUInt16BE(buffer.readUInt16BE(at + COLUMN_COUNT_AT) + 1, at + COLUMN_COUNT_AT);
  buffer.writeUInt32BE(writer.length - at, at - FRAME_HEADER_BYTES);
}
