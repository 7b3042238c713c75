// Where a sink stood, as the store writes it down: with the log that it is a place of.
import type { LogLife } from '../core/log-life.ts';
import { formatLsn, readLsn, ZERO_LSN, type Lsn } from '../core/lsn.ts';
import type { Position } from '../core/position.ts';
import { fromStore, parseStored } from './errors.ts';
import type { Cursor } from './ledger.ts';

/** Where a sink stood, and in which log; undefined: noted before logs had a life of their own. */
export type KnownPlace = { readonly cursor: Cursor; readonly log: LogLife | undefined };

/** Up to where a place says that everything is settled. A cursor that a user named has no end LSN yet. */
export const settledLsn = ({ position, endLsn }: Cursor): Lsn =>
  endLsn === ZERO_LSN ? position.commitLsn : endLsn;

/** A place in JSON. */
type StoredPlace = {
  readonly epoch: number;
  readonly commit_lsn: string;
  readonly change_index: number;
  readonly end_lsn: string;
  readonly timeline?: number;
  readonly log?: LogLife;
};

export const writePlace = ({ cursor: { position, endLsn, timeline }, log }: KnownPlace): string =>
  JSON.stringify({
    epoch: position.epoch,
    commit_lsn: formatLsn(position.commitLsn),
    change_index: position.index,
    end_lsn: formatLsn(endLsn),
    ...(timeline !== undefined && { timeline }),
    ...(log !== undefined && { log }),
  } satisfies StoredPlace);

/** Throws STORE_DAMAGED. */
export function readPlace(text: string): KnownPlace {
  const { log, timeline, ...stored } = parseStored(text) as StoredPlace;
  const endLsn = fromStore(() => readLsn(stored.end_lsn));
  const cursor = { position: positionOf(stored), endLsn, ...(timeline !== undefined && { timeline }) };
  return { cursor, log };
}

/** The position in a row that has `epoch`, `commit_lsn` and `change_index`. */
export const positionOf = (row: Readonly<Record<string, unknown>>): Position => ({
  epoch: Number(row['epoch']),
  commitLsn: fromStore(() => readLsn(String(row['commit_lsn']))),
  index: Number(row['change_index']),
});
