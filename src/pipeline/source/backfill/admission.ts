// May the rows of a chunk go into the log now, and which? Pure: the rule that no row comes after a newer change of its key, and none is lost.
//
// What is before the window that opened ahead of the chunk's statement, the snapshot has to see. What comes in it, until the stream has
// passed the watermark that was read behind the statement, is remembered by key: of such rows the stream has the last word.
import { createRowEvent } from '../../../core/change.ts';
import { toLsn, type Lsn } from '../../../core/lsn.ts';
import { decodeRow } from '../../../pgoutput/messages.ts';
import { asRead, hashInRow, joined, keyTexts } from '../../../pgoutput/row-keys.ts';
import type { Chunk } from '../../../postgres/backfill/chunk-reader.ts';
import type { StreamedTransactions } from './streamed-transactions.ts';
import type { TableWatch } from './table-watch.ts';

/** Where everything stood ahead of a chunk's statement. */
export type Window = {
  /** Transactions that the stream had brought, by count. */
  readonly transactions: number;
  /** Everything before this had come. */
  readonly streamedTo: Lsn;
  /** The number of the table's next change. */
  readonly changes: number;
};

export const openWindow = (streamed: StreamedTransactions, watch: TableWatch, streamedTo: Lsn): Window => ({
  transactions: streamed.count,
  streamedTo,
  changes: watch.now,
});

/**
 * A primary's snapshot says which transactions it sees. A standby's hides what runs: there, what was replayed before the statement was
 * visible to it.
 */
export type ReadFrom = 'primary' | 'standby';

export type Facts = {
  readonly window: Window;
  readonly chunk: Pick<Chunk, 'rows' | 'snapshot' | 'watermark'>;
  readonly streamed: StreamedTransactions;
  readonly watch: TableWatch;
  /** In the chunk's rows, the columns of the watch's key. */
  readonly keyIndexes: readonly number[];
  /** Everything before this has come, and no transaction is in the middle. */
  readonly reached: Lsn;
  readonly walBlockBytes: number;
  /** Does the chunk show what the stream had brought when its window opened (`showsAllBefore`)? */
  readonly showsAll: boolean;
  /** Changes that may have been of any row do not count: it has been read again often enough. */
  readonly isForced?: boolean;
};

/**
 * wait: the stream has not come far enough · again: the chunk shows less than the stream has brought, or nobody knows · let in: these
 * rows, by number; of those in `partly` the stream has brought a part that is newer, and the rest has to be read again.
 */
export type Admission =
  | { readonly verdict: 'wait' }
  | { readonly verdict: 'again'; readonly why: 'not visible yet' | 'all changed' }
  | LetIn;

export type LetIn = {
  readonly verdict: 'let in';
  readonly kept: readonly number[];
  readonly partly: readonly (readonly string[])[];
};

const EVENT = createRowEvent();

export function admit(facts: Facts): Admission {
  const { window, chunk, streamed, watch, reached } = facts;
  // It does not get better by waiting.
  if (!facts.showsAll) return { verdict: 'again', why: 'not visible yet' };
  if (facts.isForced !== true && watch.hasChangedAll(window.changes))
    return { verdict: 'again', why: 'all changed' };
  if (reached < lastEnd(chunk.watermark, facts.walBlockBytes)) return { verdict: 'wait' };
  // What no statement has seen, no later one need be asked for.
  streamed.shown(chunk.snapshot);
  return { verdict: 'let in', ...rowsToLetIn(facts) };
}

/** Asked while the chunk's statement is known to `streamed`: chunks that are read beside it make that forget. */
export function showsAllBefore({
  readFrom,
  window,
  chunk,
  streamed,
}: {
  readonly readFrom: ReadFrom;
  readonly window: Window;
  readonly chunk: Pick<Chunk, 'snapshot' | 'walBefore'>;
  readonly streamed: StreamedTransactions;
}): boolean {
  return readFrom === 'primary'
    ? streamed.areSeenBy(chunk.snapshot, window.transactions)
    : chunk.walBefore >= window.streamedTo;
}

function rowsToLetIn({ chunk: { rows }, watch, window, keyIndexes }: Facts): {
  kept: readonly number[];
  partly: readonly (readonly string[])[];
} {
  if (keyIndexes.length === 0 || !watch.hasChanged(window.changes))
    return { kept: Array.from({ length: rows.count }, (_, i) => i), partly: [] };
  const changed = watch.changedSince(window.changes);
  const kept: number[] = [];
  const partly: (readonly string[])[] = [];
  for (let i = 0; i < rows.count; i++) {
    const hash = hashInRow(rows.bytes, rows.starts[i]!, keyIndexes);
    // Most of the time it is another row that has changed: no key need be made of this one.
    if (hash !== undefined && !changed.has(hash)) {
      kept.push(i);
      continue;
    }
    decodeRow(rows.bytes, rows.starts[i]!, rows.ends[i]!, EVENT);
    const key = keyTexts(EVENT, EVENT.hasNew ? EVENT.newTuple : EVENT.oldTuple, undefined, keyIndexes);
    const fate = key === undefined ? 'let in' : watch.fateOf(joined(key), window.changes);
    if (fate === 'let in') kept.push(i);
    // Of one that was not there, any part that came says that it is there.
    else if (fate === 'part came' && EVENT.hasNew) partly.push(asRead(key!));
  }
  return { kept, partly };
}

/** In front of a page's first record stands its header: 24 bytes, on the first page of a file 40. */
const PAGE_HEADERS: readonly bigint[] = [24n, 40n];

/**
 * Where what was written before an insert position ends. At the beginning of a page Postgres says where the next record will stand,
 * behind the page's header; the stream never gets there before that is written.
 * https://github.com/postgres/postgres/blob/REL_18_STABLE/src/backend/access/transam/xlog.c (XLogBytePosToRecPtr)
 */
export function lastEnd(insert: Lsn, walBlockBytes: number): Lsn {
  const inPage = insert % BigInt(walBlockBytes);
  return PAGE_HEADERS.includes(inPage) ? toLsn(insert - inPage) : insert;
}
