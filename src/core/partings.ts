// Where the server's history parted from the log's: which changes in the log are of a history that is lost. Pure.
import { minLsn, ZERO_LSN, type Lsn } from './lsn.ts';
import type { Position } from './position.ts';

/**
 * From `epoch` on the log goes on in a history that has in common with the epochs before it what was committed below `lsn`, and
 * nothing else.
 */
export type Parting = { readonly epoch: number; readonly lsn: Lsn };

/** In the order of the log. One that a later parting takes in is left out: so their LSNs grow, too. */
export type Partings = readonly Parting[];

export const NO_PARTINGS: Partings = [];

/** So many are remembered of one log. */
export const MAX_PARTINGS = 32;

/** The epoch that the last one began; 0: there is none. */
export const lastParted = (partings: Partings): number => partings.at(-1)?.epoch ?? 0;

/** With one that comes after all of them: what it parts below makes those before it say nothing. */
export const withParting = (partings: Partings, parting: Parting): Partings => [
  ...partings.filter(({ lsn }) => lsn < parting.lsn),
  parting,
];

/** Is a transaction of the log one that the server's present history does not have? Hot: there are hardly ever any. */
export function isLost(
  partings: Partings,
  {
    epoch,
    commitLsn,
    readUpTo,
  }: Pick<Position, 'epoch' | 'commitLsn'> & { readonly readUpTo?: Lsn | undefined },
): boolean {
  for (let i = 0; i < partings.length; i++) {
    const parting = partings[i]!;
    if (epoch >= parting.epoch) continue;
    // Rows of a backfill show what was committed below `readUpTo`: perhaps by a transaction that is lost.
    if (readUpTo === undefined ? commitLsn >= parting.lsn : readUpTo > parting.lsn) return true;
  }
  return false;
}

/** Of what somebody has had up to `endLsn` in this epoch, where the present history ends to be the same. */
export function inPresent(partings: Partings, epoch: number, endLsn: Lsn): Lsn {
  let end = endLsn;
  for (const parting of partings) if (epoch < parting.epoch) end = minLsn(end, parting.lsn);
  return end;
}

/** A cursor as far as the present history goes. What it has settled of another one is no part of what it has had. */
export const presentCursor = <Cursor extends { readonly position: Position; readonly endLsn: Lsn }>(
  partings: Partings,
  cursor: Cursor,
): Cursor => {
  const endLsn = inPresent(partings, cursor.position.epoch, cursor.endLsn);
  return endLsn === cursor.endLsn ? cursor : { ...cursor, endLsn };
};

/** The end of a log that goes on behind a parting, before anything has come of it. */
export const partedEnd = <End extends { readonly lastCommitLsn: Lsn; readonly lastEndLsn: Lsn }>(
  end: End,
  { lsn }: Parting,
): End => ({
  ...end,
  // No transaction is committed there: the one before is below, and the next one at the parting or above.
  lastCommitLsn: lsn === ZERO_LSN ? ZERO_LSN : minLsn(end.lastCommitLsn, (lsn - 1n) as Lsn),
  lastEndLsn: minLsn(end.lastEndLsn, lsn),
});
