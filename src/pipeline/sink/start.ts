// What a sink's `start` means: where one that is new begins to read the log.
import type { Logger } from 'pino';
import { ZERO_LSN, toLsn, type Lsn } from '../../core/lsn.ts';
import { ORIGIN, type Position } from '../../core/position.ts';
import type { LogReader } from '../../log/reader.ts';
import type { LogSignals } from '../../log/signals.ts';
import type { Cursor } from '../../store/ledger.ts';
import type { SinkSettings } from '../settings.ts';

type StartOptions = {
  readonly settings: SinkSettings;
  readonly signals: LogSignals;
  readonly newSinkStart: 'earliest' | 'end';
  readonly logger: Logger;
};

/** Where a sink without a ledger begins. Everything before that counts as settled. */
export async function startOfNewSink(options: StartOptions, reader: LogReader): Promise<Cursor> {
  const { settings, signals, newSinkStart, logger } = options;
  const { start } = settings;
  const { epoch, lastCommitLsn: commitLsn, lastEndLsn: endLsn } = signals.end();
  const end: Cursor = { position: { epoch, commitLsn, index: AFTER_LAST }, endLsn };
  const earliest: Cursor = { position: { ...ORIGIN, index: 0 }, endLsn: ZERO_LSN };
  logger.info(
    { sink: settings.name, start: start.from === 'default' ? newSinkStart : start.from },
    'sink is new',
  );
  switch (start.from) {
    case 'default':
      return newSinkStart === 'earliest' ? earliest : end;
    case 'earliest':
      return earliest;
    case 'lsn':
      return { position: await positionOfLsn(toLsn(start.lsn), reader, epoch), endLsn: ZERO_LSN };
    case 'time': {
      const position = await reader.findTime(start.timeUs);
      // Everything after it was committed at that time or later.
      return position === undefined
        ? end
        : { position: { ...position, index: position.index + 1 }, endLsn: ZERO_LSN };
    }
    default:
      return start satisfies never;
  }
}

/** An index behind every row event of a transaction. */
const AFTER_LAST = 0xffff_ffff;

/**
 * The place before everything committed at `lsn` or above: in the first epoch, in the order of the log, that has come so far.
 * An LSN may have been used in several: then more is delivered, not less. Where the first epoch has let go of it, a later one
 * may begin below it. `epoch`: of the log's end, for an LSN that is still to come.
 */
export async function positionOfLsn(lsn: Lsn, reader: LogReader, epoch: number): Promise<Position> {
  const first = reader.firstPosition();
  const found = await reader.findLsn(lsn);
  const isGone = lsn <= first.commitLsn && (found === undefined || found.epoch === first.epoch);
  const later = isGone ? await laterEpochWith(lsn, reader, first.epoch) : undefined;
  return { epoch: later ?? found?.epoch ?? epoch, commitLsn: lsn, index: 0 };
}

/** The first epoch after `epoch` that begins at or below an LSN and goes on above it; undefined: none does. */
async function laterEpochWith(lsn: Lsn, reader: LogReader, epoch: number): Promise<number | undefined> {
  for (let after = epoch; ;) {
    const begin = await reader.findLsn(ZERO_LSN, after);
    if (begin === undefined) return undefined;
    const found = begin.commitLsn > lsn ? undefined : await reader.findLsn(lsn, after);
    if (found?.epoch === begin.epoch) return found.epoch;
    after = begin.epoch;
  }
}
