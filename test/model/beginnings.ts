// Where a sink that nobody knew of begins: which rows it is to have from there on, and which it must not have.
import type { Lsn } from '../../src/core/lsn.ts';
import type { SinkStart } from '../../src/pipeline/settings.ts';
import type { Row, Transaction } from './server-state.ts';

export type BeginningFacts = {
  readonly start: Exclude<SinkStart, { from: 'default' }> | { readonly from: 'end' };
  /** What the log holds, whole transactions up to there. */
  readonly inLog: ReadonlySet<number>;
  readonly lastCommitLsn: Lsn;
  /** What the slot was told. */
  readonly confirmed: Lsn;
  /** How many there were by then. */
  readonly commits: number;
};

/** What happened later, or before. */
export type BeginningDoubts = {
  /** An epoch has begun: LSNs may name several transactions, and more may come than has to. */
  readonly hasParted: boolean;
  /** Commit times may go back. */
  readonly hasClockMoved: boolean;
};

/** It has to come. */
export function isDue(
  row: Row,
  transaction: Transaction,
  facts: BeginningFacts,
  doubts: BeginningDoubts,
): boolean {
  const { start, inLog, lastCommitLsn, confirmed, commits } = facts;
  const { commitLsn, endLsn, timeUs, number } = transaction;
  const isThere = inLog.has(row.id);
  const isUnfinished = commitLsn > lastCommitLsn;
  const comes = number > commits || isThere || (isUnfinished && endLsn > confirmed);
  if (!comes) return false;
  switch (start.from) {
    case 'end':
      return number > commits || isUnfinished;
    case 'earliest':
      return true;
    case 'lsn':
      return commitLsn >= start.lsn;
    case 'time':
      if (number > commits || isUnfinished) return true;
      return timeUs >= start.timeUs && !doubts.hasClockMoved;
    default:
      return start satisfies never;
  }
}

/** It must not come. */
export function isBefore(
  row: Row,
  transaction: Transaction,
  facts: BeginningFacts,
  doubts: BeginningDoubts,
): boolean {
  const { start, inLog, lastCommitLsn } = facts;
  const { commitLsn, timeUs } = transaction;
  const wasWhole = inLog.has(row.id) && commitLsn <= lastCommitLsn;
  switch (start.from) {
    case 'end':
      return wasWhole && !doubts.hasParted;
    case 'earliest':
      return false;
    case 'lsn':
      return commitLsn < start.lsn && !doubts.hasParted;
    case 'time':
      return wasWhole && timeUs < start.timeUs && !doubts.hasClockMoved;
    default:
      return start satisfies never;
  }
}
