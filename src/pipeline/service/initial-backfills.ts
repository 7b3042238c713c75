// The backfill that a new sink begins with, once, because its configuration says so.
import type { Logger } from 'pino';
import { wallTime } from '../../core/clock.ts';
import type { Store } from '../../store/sqlite.ts';
import type { SinkSettings } from '../settings.ts';
import { newBackfillId } from './backfill-id.ts';

/** To be called before the sinks begin: whoever has begun is not new. Nothing is read for a sink before it has its place. */
export function createInitialBackfills(
  sinks: readonly SinkSettings[],
  store: Pick<Store, 'sinks' | 'backfills'>,
  logger: Logger,
): void {
  for (const { name, database, backfill } of sinks) {
    const { initial, limits } = backfill;
    if (initial === undefined) continue;
    const id = { database, sink: name };
    if (store.sinks.find(id)?.hasBegun === true) {
      if (store.backfills.hadInitial(id)) continue;
      logger.info(
        id,
        `sink "${name}" is there already, and initial_backfill is for new ones: tailrace backfill start ${name} reads what there is`,
      );
      continue;
    }
    const request = { database, limits, ...(initial === 'all' ? {} : { tables: initial }) };
    const created = store.backfills.createInitial(name, request, { id: newBackfillId(), now: wallTime() });
    if (created !== undefined)
      logger.info({ ...id, backfill: created.id }, 'a new sink has its initial backfill');
  }
}
