// How far the reading of a table is, as it is written down: with its rows in the log, and in the store. Pure.
import type { BackfillTableStatus, TableProgress } from '../../../core/backfill.ts';
import { formatLsn, maxLsn, readLsn, ZERO_LSN, type Lsn } from '../../../core/lsn.ts';
import { isLost, type Partings } from '../../../core/partings.ts';
import type { ChunkCursor } from '../../../postgres/backfill/chunk-sql.ts';
import type { KeyColumn } from '../../../postgres/backfill/table.ts';

/**
 * Behind which row the pass over a table goes on; undefined: at its beginning. `list`: so many of the keys that were asked for are done ·
 * `gone`: its rows are read, and so many of the keys that somebody has were looked for.
 */
export type PassCursor =
  | ChunkCursor
  | { readonly by: 'list'; readonly done: number }
  | { readonly by: 'gone'; readonly done: number }
  | { readonly by: 'end' };

/** One table, or one partition, that is being read. */
export type LeafPlace = {
  readonly oid: number;
  /** What its rows are told apart by; where that, or the place of its rows, is another one, it is read from its beginning. */
  readonly key: readonly KeyColumn[];
  readonly fileNode: number;
  readonly cursor?: PassCursor;
  /** Keys of rows that have to be read once more. */
  readonly again: readonly (readonly string[])[];
};

/** What was read up to a moment in the history of the server. */
type Mark = {
  readonly epoch: number;
  /** All that was read up to here, and all that kept rows out of it, was committed before this. */
  readonly watermark: string;
  readonly watchedTo: number;
  readonly done: readonly number[];
  readonly leaf?: LeafPlace;
};

/** The cursor of a table's progress (core/backfill.ts). */
export type TablePlace = {
  /** The life of the log that holds its rows, and the offset behind which that may hold more of them than is written here. */
  readonly life: string;
  readonly offset: number;
  /** The offset up to which changes of the table were told to who reads it. */
  readonly watchedTo: number;
  /** How often rows that were read have been read as others, under the same keys: each time they need another idempotency key. */
  readonly turn: number;
  /** Partitions, or the table itself, that are read to their end. */
  readonly done: readonly number[];
  readonly leaf?: LeafPlace;
  /** Of what was seen last: a chunk that was let in, or that the catalog has no more to read. */
  readonly last?: Pick<Mark, 'epoch' | 'watermark'>;
  /** Oldest first. */
  readonly marks: readonly Mark[];
};

export type PlacedProgress = TableProgress & { readonly cursor: TablePlace };

/** Of a log with this life, which ends there. */
export const firstPlace = (life: string, offset: number): TablePlace => ({
  life,
  offset,
  watchedTo: offset,
  turn: 0,
  done: [],
  marks: [],
});

/** Undefined: nobody has begun with the table. */
export const placedIn = ({ progress }: Pick<BackfillTableStatus, 'progress'>): PlacedProgress | undefined =>
  progress.cursor === undefined ? undefined : (progress as PlacedProgress);

/** Does the place in `leaf` say where the reading of this table goes on? */
export const continues = (
  leaf: LeafPlace | undefined,
  table: { readonly oid: number; readonly key: readonly KeyColumn[]; readonly fileNode: number },
): boolean =>
  leaf !== undefined &&
  leaf.oid === table.oid &&
  JSON.stringify(leaf.key) === JSON.stringify(table.key) &&
  (table.key.length > 0 || leaf.fileNode === table.fileNode);

/** It rests on what was seen in this epoch up to there; and never on less than before, whichever of two chunks was read first. */
export function restingOn(place: TablePlace, { epoch, lsn }: { epoch: number; lsn: Lsn }): TablePlace {
  const { last } = place;
  const before = last?.epoch === epoch ? readLsn(last.watermark) : ZERO_LSN;
  return { ...place, last: { epoch, watermark: formatLsn(maxLsn(before, lsn)) } };
}

/** Marks of one table: the older they are, the fewer. */
const MAX_MARKS = 24;

/** As it is to be remembered in the store, where `offset` is durable and nothing of the table lies behind it. */
export function marked(place: TablePlace, offset: number): TablePlace {
  const { last, watchedTo, done, leaf, marks } = place;
  if (last === undefined) return { ...place, offset };
  const before = marks.at(-1);
  const isKnown = before?.watermark === last.watermark && before.epoch === last.epoch;
  const all = [
    ...(isKnown ? marks.slice(0, -1) : marks),
    { ...last, watchedTo, done, ...(leaf === undefined ? {} : { leaf }) },
  ];
  const thinned =
    all.length > MAX_MARKS ? all.filter((_, i) => i >= all.length - MAX_MARKS / 2 || i % 2 === 0) : all;
  return { ...place, offset, marks: thinned };
}

const isMarkLost = (partings: Partings, { epoch, watermark }: Pick<Mark, 'epoch' | 'watermark'>): boolean =>
  isLost(partings, { epoch, commitLsn: ZERO_LSN, readUpTo: readLsn(watermark) });

/** Where the log's history parts from what was read: back to what both have. Undefined: nothing that was read is lost. */
export function withoutLost(progress: PlacedProgress, partings: Partings): PlacedProgress | undefined {
  const { cursor, ...others } = progress;
  if (cursor.last === undefined || !isMarkLost(partings, cursor.last)) return undefined;
  const marks = cursor.marks.filter((mark) => !isMarkLost(partings, mark));
  return { ...notEnded(others), cursor: backTo(cursor, marks), restarts: progress.restarts + 1 };
}

/** The log that held the rows is not there any more, or not all of it: from the table's beginning. */
export const anew = (progress: TableProgress, place: TablePlace): PlacedProgress => ({
  ...notEnded(progress),
  cursor: place,
  restarts: progress.restarts + 1,
});

function notEnded(progress: TableProgress): TableProgress {
  const { endedAt: _endedAt, ...others } = progress;
  return others;
}

function backTo({ life, offset, watchedTo, turn }: TablePlace, marks: readonly Mark[]): TablePlace {
  const mark = marks.at(-1);
  const base = { life, offset, turn: turn + 1, marks };
  if (mark === undefined) return { ...base, watchedTo, done: [] };
  const { epoch, watermark, done, leaf } = mark;
  return {
    ...base,
    watchedTo: mark.watchedTo,
    done,
    ...(leaf === undefined ? {} : { leaf }),
    last: { epoch, watermark },
  };
}

/** The backfill's id as messages have it in their keys. */
export const keyedId = (id: string, turn: number): string => (turn === 0 ? id : `${id}.${turn}`);
