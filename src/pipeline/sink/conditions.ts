// What a sink that does not deliver says of itself: at rest, halted by a gap, or by what its runner failed of.
import { wallTime } from '../../core/clock.ts';
import { TailraceError } from '../../core/errors.ts';
import { shortageOf } from '../../core/shortages.ts';
import { acceptHint, describeGap, haltingGap } from '../../core/gaps.ts';
import type { Condition } from '../../core/status.ts';
import { storeError } from '../../store/errors.ts';
import type { SinkOptions } from './options.ts';

export const healthyNow = (): Condition => ({ health: 'healthy', since: wallTime().toISOString() });

/** Why a gap keeps a sink from delivering, and what to do about it. */
export function gapCondition({ store, settings }: SinkOptions, before: Condition): Condition {
  const { database } = settings;
  const gap = haltingGap(store.gaps.unaccepted(database), settings, 'halt');
  // It was accepted this moment.
  if (gap === undefined) return before;
  return {
    health: 'halted',
    reason: `a gap: ${describeGap(gap)}`,
    cure: acceptHint(database, gap),
    since: gap.since,
  };
}

/** Why a sink cannot go on. `before`: its condition until now, which may be the same one still. */
export function conditionOf(failure: unknown, before: Condition | undefined): Condition {
  const error = storeError(failure);
  const cure = error instanceof TailraceError ? error.hint : shortageOf(error)?.cure;
  return {
    health: 'halted',
    reason: error instanceof Error ? error.message : String(error),
    ...(cure === undefined ? {} : { cure }),
    since: before?.since ?? wallTime().toISOString(),
  };
}
