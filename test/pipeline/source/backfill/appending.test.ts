// What goes into the log with the rows of a chunk: the place up to which it has come never goes back.
import { describe, expect, test } from 'vitest';
import { toLsn, type Lsn } from '../../../../src/core/lsn.ts';
import { appendRows, progressAfter } from '../../../../src/pipeline/source/backfill/appending.ts';
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

describe('what the place of a table rests on', () => {
  const lastAfter = (chunk: { watermark: Lsn; count: number }, kept: readonly number[], streamedTo: Lsn) => {
    const offsets = Int32Array.from({ length: chunk.count }, (_, i) => i);
    return progressAfter(
      { ...NO_PROGRESS, cursor: { ...firstPlace('life', 0), last: { epoch: 0, watermark: '0/1' } } },
      {
        chunk: {
          scanned: chunk.count,
          watermark: chunk.watermark,
          rows: { bytes: Buffer.alloc(0), count: chunk.count, starts: offsets, ends: offsets },
        },
        admission: { verdict: 'let in', kept, partly: [] },
        leaf: { oid: 1, key: [], fileNode: 1, again: [] },
        epoch: 0,
        streamedTo,
        activeMs: 0,
        note: undefined,
      },
    ).cursor.last;
  };

  const at = (watermark: string) => ({ epoch: 0, watermark });

  test('is what a chunk saw, also where it saw no row', () => {
    expect(lastAfter({ watermark: toLsn(32n), count: 1 }, [0], toLsn(16n))).toEqual(at('0/20'));
    expect(lastAfter({ watermark: toLsn(32n), count: 0 }, [], toLsn(16n))).toEqual(at('0/20'));
  });

  test('and what the stream had brought: a change that kept rows out may have come after they were read', () => {
    expect(lastAfter({ watermark: toLsn(32n), count: 2 }, [1], toLsn(48n))).toEqual(at('0/30'));
    expect(lastAfter({ watermark: toLsn(32n), count: 2 }, [], toLsn(48n))).toEqual(at('0/30'));
  });
});
