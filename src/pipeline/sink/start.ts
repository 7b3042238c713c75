// What a sink's `start` means: where one that is new begins to read the log.
import { toLsn, ZERO_LSN } from '../../core/lsn.ts';
import { ORIGIN } from '../../core/position.ts';
import type { LogReader } from '../../log/reader.ts';
import type { LogSignals } from '../../log/signals.ts';
import type { Cursor } from '../../store/ledger.ts';
import type { SinkSettings } from '../settings.ts';
import type { Logger } from 'pino';

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
  const epoch = signals.epoch();
  const endLsn = signals.lastEndLsn();
  const end: Cursor = { position: { epoch, commitLsn: signals.lastCommitLsn(), index: AFTER_LAST }, endLsn };
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
      return { position: { epoch, commitLsn: toLsn(start.lsn), index: 0 }, endLsn: ZERO_LSN };
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
