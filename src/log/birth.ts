// The beginning of a log's life, and the epoch that it goes on with.
import { randomUUID } from 'node:crypto';
import type { LogBirth } from '../core/log-life.ts';
import type { Lsn } from '../core/lsn.ts';

/** The history a block's transactions belong to (architecture §3: epochs). */
export type History = { readonly epoch: number; readonly timeline: number };

/**
 * The log's birth, made where it has none: a log that was used before it had one is adopted, and where it began is not known.
 *
 * Epochs never go back as long as the log, the store or one ledger remains. A log made anew begins above all that others
 * know. One that others are ahead of is an older copy of itself, and what it logs from now on is another history.
 */
export function beginLife(
  found: { readonly birth: LogBirth | undefined; readonly isUnused: boolean; readonly history: History },
  { beganAt, knownEpoch = -1 }: { readonly beganAt?: Lsn | undefined; readonly knownEpoch?: number },
): { readonly birth: LogBirth; readonly history: History } {
  const { birth, isUnused, history } = found;
  const isMade = birth === undefined && isUnused;
  return {
    birth: birth ?? {
      life: randomUUID(),
      beganAt: isMade ? beganAt : undefined,
      adoptedEpoch: isMade ? undefined : history.epoch,
    },
    history:
      isMade || knownEpoch > history.epoch
        ? { ...history, epoch: Math.max(history.epoch, knownEpoch + 1) }
        : history,
  };
}

/** The higher epoch counts; within one, the higher timeline. */
export function laterHistory(a: History, b: History): History {
  const later = a.epoch === b.epoch ? a.timeline >= b.timeline : a.epoch > b.epoch;
  const { epoch, timeline } = later ? a : b;
  return { epoch, timeline };
}
