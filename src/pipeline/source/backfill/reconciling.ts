// What the store remembers of backfills, brought together with what the log holds of them, and with the history that it goes on in.
import { isOver, type Backfill, type BackfillTableStatus } from '../../../core/backfill.ts';
import { maxLsn, readLsn, ZERO_LSN, type Lsn } from '../../../core/lsn.ts';
import type { Logger } from 'pino';
import type { LogSignals } from '../../../log/signals.ts';
import type { SourceLog } from '../log.ts';
import type { SourceOptions } from '../options.ts';
import { anew, firstPlace, placedIn, withoutLost, type PlacedProgress, type TablePlace } from './place.ts';
import { progressKey, recallProgress, type LoggedProgress } from './recall.ts';

type Ports = Pick<SourceOptions, 'settings' | 'store'> & {
  readonly signals: LogSignals;
  readonly logger: Pick<Logger, 'warn'>;
};

/**
 * `isKnown`: the store has all that the log holds. Before anything is appended behind that. Rejects with TailraceError where the log cannot
 * be read.
 */
export async function reconcile(
  { settings, store, signals, logger }: Ports,
  opened: Pick<SourceLog, 'log' | 'directory'>,
  { isKnown }: { readonly isKnown: boolean },
): Promise<void> {
  const { log, directory } = opened;
  const { recovered, birth, partings } = log;
  const backfills = store.backfills
    .list(settings.name)
    .filter(({ state }) => state !== 'cancelled')
    .map((backfill) => ({ backfill, tables: begunOf(backfill) }))
    .filter(({ tables }) => tables.length > 0);
  if (backfills.length === 0) return;
  // Of a log that has lost what was durable, nobody knows what else it had: what it still has is believed.
  const isCut = recovered.damaged || recovered.behind;
  const open = backfills.filter(({ backfill }) => !isOver(backfill.state)).flatMap(({ tables }) => tables);
  const from = isCut ? 0 : Math.min(...open.map(({ progress }) => progress.cursor.offset));
  const logged: ReadonlyMap<string, LoggedProgress> =
    isKnown || open.length === 0 ? new Map() : await recallProgress({ directory, signals }, from);
  const end = log.writtenEnd;
  for (const { backfill, tables } of backfills) {
    const steps = tables.map(({ table, progress }) => {
      const found = logged.get(progressKey(backfill.id, table))?.progress;
      const isAsked = !isKnown && !isOver(backfill.state);
      const next = isAsked ? believed(progress, found, { life: birth.life, isCut, end }) : progress;
      const back = withoutLost(next, partings);
      return { table, back, isNoted: isAsked || back !== undefined, progress: back ?? next };
    });
    if (steps.some(({ back }) => back !== undefined)) {
      const message = 'rows that it had read are of a history that is lost: they are read again';
      logger.warn({ database: settings.name, backfill: backfill.id }, `backfill ${backfill.id}: ${message}`);
      // Ahead of the notes: whoever is killed in between finds by these that they are of a history that is lost.
      store.backfills.reopen(backfill.id, message);
    }
    for (const { table, isNoted, progress } of steps)
      if (isNoted) store.backfills.note(backfill.id, table, progress);
  }
}

type Begun = { readonly table: BackfillTableStatus; readonly progress: PlacedProgress };

const begunOf = ({ tables = [] }: Backfill): readonly Begun[] =>
  tables.flatMap((table) => {
    const progress = placedIn(table);
    return progress === undefined ? [] : [{ table, progress }];
  });

/** What was committed before this has been read into this log, in its epoch, by some backfill that goes back where it is lost. */
export function readUpTo(
  { settings, store }: Pick<Ports, 'settings' | 'store'>,
  { epoch, log: { birth } }: Pick<SourceLog, 'epoch' | 'log'>,
): Lsn {
  const lasts = store.backfills
    .list(settings.name)
    .filter(({ state }) => state !== 'cancelled')
    .flatMap((backfill) => begunOf(backfill).map(({ progress }) => progress.cursor))
    .flatMap((cursor) => (cursor.life === birth.life ? [cursor.last] : []));
  return lasts.reduce(
    (most, last) => (last?.epoch === epoch ? maxLsn(most, readLsn(last.watermark)) : most),
    ZERO_LSN,
  );
}

/** `end`: of the log, which was looked through up to there. */
function believed(
  stored: PlacedProgress,
  logged: PlacedProgress | undefined,
  { life, isCut, end }: { readonly life: string; readonly isCut: boolean; readonly end: number },
): PlacedProgress {
  const { turn, marks } = stored.cursor;
  if (stored.cursor.life !== life || (isCut && logged === undefined))
    return anew(stored, { ...firstPlace(life, end), turn: turn + 1 });
  // Marks may be of what was cut off.
  if (logged !== undefined && isCut)
    return { ...logged, cursor: { ...atEnd(logged.cursor, end), marks: [] } };
  const isLater = logged !== undefined && (logged.appended > stored.appended || logged.cursor.turn > turn);
  const last = isLater ? logged : stored;
  return { ...last, cursor: { ...atEnd(last.cursor, end), marks } };
}

/** What is behind the log's end will come again. */
const atEnd = (cursor: TablePlace, end: number): TablePlace => ({
  ...cursor,
  offset: end,
  watchedTo: Math.min(cursor.watchedTo, end),
});
