// Rows of a backfill as frames of the log, for tests that need no server.
import { ByteWriter } from '../../src/core/byte-writer.ts';
import type { Relation } from '../../src/core/change.ts';
import { toLsn } from '../../src/core/lsn.ts';
import type { Progress } from '../../src/pgoutput/reads.ts';
import { appendFrame, FRAME, frameBytes, FRAME_HEADER_BYTES } from '../../src/pgoutput/frames.ts';
import { describeReads, writeChunk } from '../../src/pipeline/source/backfill/chunk-block.ts';
import { insertMessage, type Cell } from './pgoutput-messages.ts';

const TEXT = 25;

export type TestReads = {
  readonly table?: string;
  readonly firstIndex?: number;
  readonly backfill?: string;
  readonly sinks?: readonly string[];
  readonly watermark?: bigint;
  /** The table's key; default: `id`. */
  readonly key?: readonly string[];
  readonly rows: readonly (readonly Cell[])[];
  readonly places?: readonly string[];
  readonly kept?: readonly number[];
  readonly progress?: Progress;
  readonly untold?: Relation['untold'];
};

/** The messages of one chunk of a table with the columns `id` and `note`: its header, then its rows. */
export function readsOf(reads: TestReads): Buffer[] {
  const { table = 't1', key = ['id'], places = [], rows } = reads;
  const starts = new Int32Array(rows.length);
  const ends = new Int32Array(rows.length);
  const framed = new ByteWriter(64);
  rows.forEach((row, i) => {
    const message = insertMessage(1, row);
    message[0] = FRAME.read;
    starts[i] = framed.length + FRAME_HEADER_BYTES;
    appendFrame(framed, message, 0, message.length);
    ends[i] = framed.length;
  });
  const writer = new ByteWriter(64);
  const columns = ['id', 'note'].map((name) => ({
    name,
    type: TEXT,
    typeModifier: -1,
    identity: key.includes(name),
  }));
  writeChunk(
    writer,
    {
      backfill: reads.backfill ?? 'b1',
      sinks: reads.sinks,
      watermark: toLsn(reads.watermark ?? 1000n),
      readAtUs: 1_767_323_045_000_000n,
      firstIndex: reads.firstIndex ?? 0,
      ...describeReads(
        { id: 1, schema: 'public', table, replicaIdentity: 'default', columns },
        { relationId: 1, key, keySince: 0, types: new Map(), untold: reads.untold },
        { hasPlaces: places.length > 0 },
      ),
      progress: reads.progress ?? { rows: rows.length },
    },
    {
      rows: { bytes: framed.buffer, count: rows.length, starts, ends },
      kept: reads.kept ?? rows.map((_, i) => i),
      places,
    },
  );
  const content = writer.buffer.subarray(0, writer.length);
  const split: Buffer[] = [];
  for (let start = 0; start < content.length; start += frameBytes(content, start))
    split.push(Buffer.from(content.subarray(start + FRAME_HEADER_BYTES, start + frameBytes(content, start))));
  return split;
}
