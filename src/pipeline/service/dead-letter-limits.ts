// Drops dead letters above their limits now and then, and says so: nothing goes silently.
import type { Logger } from 'pino';
import { wallTime } from '../../core/clock.ts';
import type { DeadLetterLimits } from '../../store/dead-letters.ts';
import { RepeatedLines } from '../../telemetry/repeated-lines.ts';
import type { Store } from '../../store/sqlite.ts';

/** Between two looks; in between there may be more than the limits say. */
const INTERVAL_MS = 10_000;

/** Looks at once, then regularly until the answer is called. */
export function keepDeadLetterLimits(store: Store, limits: DeadLetterLimits, logger: Logger): () => void {
  const lines = new RepeatedLines(logger);
  /** By limit and sink, since the start: a line stands for several looks. */
  const soFar = new Map<string, number>();
  const look = (): void => {
    try {
      for (const dropped of store.deadLetters.enforce(limits, wallTime())) {
        const { database, sink, limit, count } = dropped;
        const kind = JSON.stringify([limit, database, sink]);
        const droppedSoFar = (soFar.get(kind) ?? 0) + count;
        soFar.set(kind, droppedSoFar);
        const message = `dead letters above dead_letters.${limit} are dropped: they cannot be replayed any more`;
        lines.say({ level: 'warn', message, fields: { ...dropped, droppedSoFar }, kind });
      }
    } catch (error) {
      // Another writer has the store: there is a next time.
      const message = 'the limits of the dead letters could not be enforced';
      lines.say({ level: 'warn', message, fields: { err: error } });
    }
  };
  look();
  const timer = setInterval(look, INTERVAL_MS);
  return () => clearInterval(timer);
}
