// What a start finds of sinks from before: which status holds, and who is not in the configuration any more.
import type { Logger } from 'pino';
import { wallTime } from '../../core/clock.ts';
import { describeError, TailraceError } from '../../core/errors.ts';
import type { SinkId } from '../../store/sink-records.ts';
import type { Store } from '../../store/sqlite.ts';
import { ledgerFile } from '../../data-directory/places.ts';
import type { ServiceSettings, SinkSettings } from '../settings.ts';
import { CURSOR_KEPT_DAYS, giveUpCursor, isCursorKept } from './kept-cursors.ts';

/** The sinks with the status that holds. Cursors of sinks that are gone for long are given up. */
export function recallSinks(settings: ServiceSettings, store: Store, logger: Logger): SinkSettings[] {
  const now = wallTime();
  const ids = settings.sinks.map(({ database, name: sink }) => ({ database, sink }));
  for (const { letGoAt, ...id } of store.sinks.letGoOfOthers(ids, now)) {
    if (isCursorKept(letGoAt, now)) {
      logger.info(
        { ...id, since: letGoAt.toISOString() },
        `a sink is not in the configuration any more: its place is kept for ${CURSOR_KEPT_DAYS} days`,
      );
    } else {
      giveUp(settings, store, { id, logger });
    }
  }
  return settings.sinks.map((sink) => {
    const id = { database: sink.database, sink: sink.name };
    const status = store.sinks.reconcile(id, { configured: sink.status, now });
    if (status !== sink.status) {
      logger.warn(
        { sink: sink.name, status, configured: sink.status },
        'the status chosen while running holds',
      );
    }
    return { ...sink, status };
  });
}

/** No sink of the configuration waits for what is wrong with the ledger of one that is gone: the next start tries it again. */
function giveUp(
  settings: ServiceSettings,
  store: Store,
  { id, logger }: { readonly id: SinkId; readonly logger: Logger },
): void {
  try {
    giveUpCursor(store, id, ledgerFile(settings, id));
  } catch (error) {
    if (!(error instanceof TailraceError)) throw error;
    logger.warn(
      { ...id, code: error.code },
      `the place of a sink that is gone for more than ${CURSOR_KEPT_DAYS} days cannot be given up: ${describeError(error)}`,
    );
  }
}
