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
 * know. One that others are ahead of is an older copy of itself, and what it logs from now on is another history. So is one that
 * lost an epoch's beginning to damage (`cutTo`: the epoch that it ends with): ledgers call settled what lies before places of that epoch.
 */
export function beginLife(
  found: {
    readonly birth: LogBirth | undefined;
    readonly isUnused: boolean;
    readonly history: History;
    readonly cutTo?: number | undefined;
  },
  { beganAt, knownEpoch = -1 }: { readonly beganAt?: Lsn | undefined; readonly knownEpoch?: number },
): { readonly birth: LogBirth; readonly history: History; readonly isBehind: boolean } {
  const { birth, isUnused, history, cutTo = history.epoch } = found;
  const isMade = birth === undefined && isUnused;
  const isBehind = !isMade && (knownEpoch > history.epoch || cutTo < history.epoch);
  return {
    birth: birth ?? {
      life: randomUUID(),
      beganAt: isMade ? beganAt : undefined,
      adoptedEpoch: isMade ? undefined : history.epoch,
    },
    history: isBehind
      ? { ...history, epoch: Math.max(history.epoch, knownEpoch) + 1 }
      : isMade
        ? { ...history, epoch: Math.max(history.epoch, knownEpoch + 1) }
        : history,
    isBehind,
  };
}

/** The higher epoch counts; within one, the higher timeline. */
export function laterHistory(a: History, b: History): History {
  const later = a.epoch === b.epoch ? a.timeline >= b.timeline : a.epoch > b.epoch;
  const { epoch, timeline } = later ? a : b;
  return { epoch, timeline };
}
