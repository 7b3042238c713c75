// What goes into the log with the rows of a chunk: the place up to which it has come never goes back.
import { expect, test } from 'vitest';
import { toLsn, type Lsn } from '../../../../src/core/lsn.ts';
import { appendRows } from '../../../../src/pipeline/source/backfill/appending.ts';
import { firstPlace } from '../../../../src/pipeline/source/backfill/place.ts';
import { NO_PROGRESS } from '../../../../src/core/backfill.ts';

const NO_ROWS = { bytes: Buffer.alloc(0), count: 0, starts: new Int32Array(0), ends: new Int32Array(0) };

/** The log, as far as it is asked; answers where it is told to have come to. */
function endAfter({ watermark, lastEndLsn }: { watermark: Lsn; lastEndLsn: Lsn }): Lsn | undefined {
  let told: Lsn | undefined;
  const opened = {
    log: { readIndex: 0, context: { lastEndLsn } },
    feed: { appendReads: (_frames: Buffer, _length: number, endLsn: Lsn) => void (told = endLsn) },
    keeper: { appendedReads: () => undefined },
  };
  appendRows(
    {
      id: 'b1',
      sinks: [],
      opened: opened as never,
      walBlockBytes: 8192,
      logFailed: (error) => {
        throw error;
      },
    },
    {
      name: { schema: 'public', table: 't' },
      description: { relation: Buffer.alloc(0), enrichment: Buffer.alloc(0) },
      chunk: { rows: NO_ROWS, places: [], watermark, readAtUs: 0n } as never,
      kept: [],
      progress: { ...NO_PROGRESS, cursor: firstPlace('life', 0) },
    },
  );
  return told;
}

test('rows that were read end where the WAL did behind them, or where the log ends already', () => {
  expect(endAfter({ watermark: toLsn(900n), lastEndLsn: toLsn(500n) })).toBe(900n);
  expect(endAfter({ watermark: toLsn(500n), lastEndLsn: toLsn(900n) })).toBe(900n);
});
