// What a sink's place is opened with, over a real log and a real store, and a look at one that is given back.
import type { SinkSettings } from '../../src/pipeline/settings.ts';
import { openPlace, type PlaceOptions, type SinkPlace } from '../../src/pipeline/sink/place.ts';
import { openStore } from '../../src/store/sqlite.ts';
import { FOLLOWED } from './ledger.ts';
import { SINK } from './letters.ts';
import { silent } from './messages.ts';

/** Of the settings only these matter for a place. */
export const PLACE_SETTINGS = {
  name: SINK.sink,
  database: SINK.database,
  status: 'active',
  start: { from: 'default' },
} as SinkSettings;

/** Of a sink in slot 0, which the log holds for. */
export function placeOptions(
  given: Pick<PlaceOptions, 'logDirectory' | 'signals' | 'ledgerFile'> & Partial<PlaceOptions>,
): PlaceOptions {
  given.signals.setHolding(0, true);
  return {
    settings: PLACE_SETTINGS,
    log: FOLLOWED,
    slot: 0,
    newSinkStart: 'earliest',
    onGap: 'halt',
    heedsSkips: false,
    store: openStore(':memory:'),
    logger: silent,
    ...given,
  };
}

/** Opens the place, looks at it, gives it back. */
export async function lookAtPlace(options: PlaceOptions): Promise<SinkPlace> {
  const opened = await openPlace(options);
  opened.ledger.close();
  opened.reader.close();
  return opened;
}
