// The cursors of sinks that do not run: how long they are kept, and what is left of one that was given up.
import { existsSync, rmSync } from 'node:fs';
import { TailraceError } from '../../core/errors.ts';
import { removeLeases } from '../../store/leases.ts';
import { readLedger, type StoredLedger } from '../../store/ledger.ts';
import type { KnownPlace } from '../../store/places.ts';
import type { SinkId } from '../../store/sink-records.ts';
import type { Store } from '../../store/sqlite.ts';

/** How long the cursor of a sink that is disabled or not configured is kept: within that it goes on where it was. */
export const CURSOR_KEPT_DAYS = 7;
const DAY_MS = 86_400_000;

export const isCursorKept = (letGoAt: Date, now: Date): boolean =>
  now.getTime() - letGoAt.getTime() <= CURSOR_KEPT_DAYS * DAY_MS;

/** Forgets where a sink stood. If it comes back it is new, with a gap on record. */
export function giveUpCursor(store: Store, id: SinkId, ledgerFile: string): void {
  if (!existsSync(ledgerFile)) return;
  const place = readablePlace(ledgerFile, id);
  // First the store: a crash in between leaves a cursor that is kept a little longer.
  if (place !== undefined) store.sinks.giveUp(id, place);
  rmSync(ledgerFile);
  removeLeases(ledgerFile);
}

/** Undefined: nothing can be learnt from the ledger; the store's note of the place stands. */
function readablePlace(ledgerFile: string, id: SinkId): KnownPlace | undefined {
  try {
    const stored = readLedger(ledgerFile, id);
    stored?.restored.close();
    return stored && placeOf(stored);
  } catch (error) {
    if (error instanceof TailraceError && error.code === 'LEDGER_DAMAGED') return undefined;
    throw error;
  }
}

export const placeOf = ({ identity, restored }: StoredLedger): KnownPlace => ({
  cursor: restored.cursor,
  log: identity.log,
});
