// When the next chunk of a backfill may be read: not faster than somebody wants, not into trouble, and behind live changes.
import { setTimeout as sleep } from 'node:timers/promises';
import { givesWayOf, type Backfill } from '../../../core/backfill.ts';
import { steadyMs } from '../../../core/clock.ts';
import type { SourceLog } from '../log.ts';
import type { SourceOptions } from '../options.ts';
import type { SourceState } from '../status.ts';
import { LoadGuard } from './guard.ts';
import type { LiveFirst } from './live-first.ts';
import { Pace, type ReadRate } from './pace.ts';
import type { PassPorts } from './pass.ts';

/** While it waits, how often to look whether it may go on. A wait is told of when it has lasted so long. */
const TROUBLE_INTERVAL_MS = 50;
const TELL_AFTER_MS = 1_000;
/** What is kept for chunks to come is looked through so often, then. */
const FORGET_INTERVAL_MS = 500;

export type ReadinessPorts = {
  readonly options: Pick<SourceOptions, 'signals' | 'sinkSlots'>;
  readonly state: SourceState;
  readonly opened: Pick<SourceLog, 'log'>;
  readonly liveFirst: LiveFirst;
  /** What is read at a pace is told to it. */
  readonly rate: ReadRate;
  readonly hold: PassPorts['hold'];
  /** Lets go of what chunks to come do not need. */
  readonly forget: () => Promise<void>;
};

export function readiness(
  { sinks, limits }: Backfill,
  { options, state, opened, liveFirst, rate, hold, forget }: ReadinessPorts,
): Pick<PassPorts, 'mostAtOnce' | 'ready' | 'ended'> {
  const pace = new Pace(limits.maxRowsPerSecond);
  const { signals, sinkSlots } = options;
  const guard = new LoadGuard(sinks, { state, log: opened.log, signals, sinkSlots });
  const isGivingWay = givesWayOf(limits);
  /** To how long it took. */
  const untilOutOfTrouble = async (signal: AbortSignal): Promise<number> => {
    let trouble = guard.trouble();
    if (trouble === undefined) return 0;
    const sinceMs = steadyMs();
    for (let forgotMs = sinceMs; trouble !== undefined; trouble = guard.trouble()) {
      if (steadyMs() - sinceMs >= TELL_AFTER_MS) hold(trouble);
      await sleep(TROUBLE_INTERVAL_MS, undefined, { signal });
      if (steadyMs() - forgotMs < FORGET_INTERVAL_MS) continue;
      await forget();
      forgotMs = steadyMs();
    }
    hold(undefined);
    return steadyMs() - sinceMs;
  };
  return {
    mostAtOnce: () => (isGivingWay ? liveFirst.mostAtOnce : Infinity),
    ready: async (signal) => {
      const waitMs = pace.waitMs(steadyMs());
      if (waitMs > 0) await sleep(waitMs, undefined, { signal });
      const heldMs = await untilOutOfTrouble(signal);
      if (isGivingWay) await liveFirst.turn(signal);
      return heldMs;
    },
    ended: (read) => {
      pace.hasRead(read.rows, steadyMs());
      rate.hasRead(read.rows, steadyMs(), liveFirst.pace !== undefined);
      if (isGivingWay) liveFirst.ended(read);
    },
  };
}
