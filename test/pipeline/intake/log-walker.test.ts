import { expect, test } from 'vitest';
import type { Position } from '../../../src/core/position.ts';
import { toLsn, ZERO_LSN } from '../../../src/core/lsn.ts';
import type { LogBlock } from '../../../src/log/block.ts';
import { LogWalker } from '../../../src/pipeline/intake/log-walker.ts';
import type { PendingTransaction } from '../../../src/pipeline/delivery/pending.ts';
import { begin, commit, row } from '../../log/stream.ts';
import { BLOCK_BYTES, blocksOf } from '../../support/log-blocks.ts';
import { patient } from '../../support/messages.ts';
import { logicalMessage } from '../../support/pgoutput-messages.ts';

const TRANSACTION = { commitLsn: 200n, rows: 5 };
const START = {
  position: { epoch: 0, commitLsn: toLsn(0n), index: 0 } as Position,
  endLsn: ZERO_LSN,
  offset: 0,
};

/** A walker that keeps every marker's prefix as the annotation of the rows after it. `between`: told how many rows there were so far. */
function walk(blocks: readonly LogBlock[], between?: (rows: number) => void) {
  const rows: string[] = [];
  const offsets: number[] = [];
  const events: string[] = [];
  const walker = new LogWalker('key', START, {
    relation: () => undefined,
    truncate: () => undefined,
    letIn: () => true,
    oversize: () => undefined,
    reads: () => undefined,
    row: ({ transaction, index }) => void rows.push(`${index}:${transaction.annotations ?? '-'}`),
    marker: (transaction, { prefix }): PendingTransaction => ({
      ...transaction,
      annotations: prefix,
    }),
    markersLost: () => events.push('lost'),
    committed: ({ transaction: { commitLsn } }) => events.push(`committed ${commitLsn}`),
  });
  for (const block of blocks) {
    void walker.block(block, patient, between && (() => between(rows.length)));
    offsets.push(walker.head.offset);
  }
  return { rows, offsets, events };
}

const blocks = blocksOf(
  [begin(TRANSACTION), row(0)],
  [row(1), logicalMessage('a', ''), row(2)],
  [row(3)],
  [logicalMessage('b', ''), row(4), commit(TRANSACTION)],
);

test('a marker holds for the rows after it, over blocks, and counts for no row number', () => {
  expect(walk(blocks)).toMatchObject({
    rows: ['0:-', '1:-', '2:a', '3:a', '4:b'],
    events: ['committed 200'],
  });
});

test('while a marked transaction is open the log is needed from the block of its first marker on', () => {
  expect(walk(blocks).offsets.map((offset) => offset / BLOCK_BYTES)).toEqual([1, 1, 1, 4]);
});

test('a later marker of an open transaction does not let go of an earlier one', () => {
  const open = blocksOf(
    [begin(TRANSACTION), logicalMessage('a', '')],
    [row(0)],
    [logicalMessage('b', ''), row(1)],
  );
  expect(walk(open).offsets).toEqual([0, 0, 0]);
});

test('a walk that begins after the markers of a transaction says that they are lost', () => {
  expect(walk(blocks.slice(1)).events).toEqual(['committed 200']);
  expect(walk(blocks.slice(2)).events).toEqual(['lost', 'committed 200']);
});

test('a message outside of a transaction says nothing of any row (C140)', () => {
  const [outside] = blocksOf([logicalMessage('a', ''), begin(TRANSACTION), row(0)]);
  expect(walk([outside!]).rows).toEqual(['0:-']);
});

test('in the course of a block it is told now and then how far it is, behind whole rows', () => {
  const rows = 300;
  const [block] = blocksOf([
    begin({ ...TRANSACTION, rows }),
    ...Array.from({ length: rows }, (_, i) => row(i)),
  ]);
  const told: number[] = [];
  walk([block!, ...blocks], (count) => told.push(count));
  expect(told).toEqual([63, 127, 191, 255]);
});
