// The identity and the order of a change: history (epoch), commit, place inside the transaction.
import { formatLsn, ZERO_LSN, type Lsn } from './lsn.ts';

/**
 * `epoch` counts histories (LSNs order changes only within one), `commitLsn` is the LSN of the commit record,
 * `index` numbers the row events of the transaction from 0.
 */
export type Position = { readonly epoch: number; readonly commitLsn: Lsn; readonly index: number };

/** Before every change. */
export const ORIGIN: Position = { epoch: 0, commitLsn: ZERO_LSN, index: -1 };

/** Negative when `a` comes first, 0 when they are the same change. */
export function comparePositions(a: Position, b: Position): number {
  if (a.epoch !== b.epoch) return a.epoch - b.epoch;
  if (a.commitLsn !== b.commitLsn) return a.commitLsn < b.commitLsn ? -1 : 1;
  return a.index - b.index;
}

/** `epoch:LSN:index`, for logs and for people. */
export const formatPosition = (position: Position): string =>
  `${position.epoch}:${formatLsn(position.commitLsn)}:${position.index}`;
