// Where a sink stands in the log when it begins to run or to rest: its ledger opened, rewinds done, gaps recorded.
import { existsSync, rmSync } from 'node:fs';
import { formatLsn, ZERO_LSN, type Lsn } from '../../core/lsn.ts';
import { comparePositions, type Position } from '../../core/position.ts';
import type { SinkGap } from '../../core/status.ts';
import { openLogReader, type LogReader, type ReadFrom } from '../../log/reader.ts';
import type { LogSignals } from '../../log/signals.ts';
import { removeLeases } from '../../store/leases.ts';
import { openLedger, resetLedger, type Cursor, type Ledger } from '../../store/ledger.ts';
import type { SinkId } from '../../store/sink-records.ts';
import type { Store } from '../../store/sqlite.ts';
import type { SinkSettings } from '../settings.ts';
import { startOfNewSink } from './start.ts';
import type { Logger } from 'pino';

/** How long the cursor of a sink that is disabled or not configured is kept: within that it goes on where it was. */
export const CURSOR_KEPT_DAYS = 7;
const DAY_MS = 86_400_000;

export type PlaceOptions = {
  readonly settings: SinkSettings;
  readonly logDirectory: string;
  readonly signals: LogSignals;
  /** The sink's place in `signals`. */
  readonly slot: number;
  readonly ledgerFile: string;
  /** Where a sink that is new begins, when its settings do not say. */
  readonly newSinkStart: 'earliest' | 'end';
  readonly store: Store;
  readonly logger: Logger;
};

export type SinkPlace = {
  readonly ledger: Ledger;
  readonly reader: LogReader;
  /** Everything before it is settled. */
  readonly start: Cursor;
  readonly readFrom: ReadFrom;
  /** A log offset at or before the first change to read. */
  readonly offset: number;
  readonly rewinds: number;
  /** The latest gaps, this place's among them. */
  readonly gaps: readonly SinkGap[];
};

export const idOf = ({ settings }: Pick<PlaceOptions, 'settings'>): SinkId => ({
  database: settings.database,
  sink: settings.name,
});

export const isCursorKept = (letGoAt: Date, now: Date): boolean =>
  now.getTime() - letGoAt.getTime() <= CURSOR_KEPT_DAYS * DAY_MS;

/** Takes the sink's place, and holds the log from there on. Whoever asks closes ledger and reader. */
export async function openPlace(options: PlaceOptions): Promise<SinkPlace> {
  const { settings, store, signals } = options;
  const id = idOf(options);
  const now = new Date();
  settlePast(options, now);
  const ledger = openLedger(options.ledgerFile, id);
  const reader = openLogReader(options.logDirectory, signals);
  try {
    const isNew = ledger.restored === undefined;
    const wanted = ledger.restored ?? (await startOfNewSink(options, reader));
    // Before the sink counts as known: a crash in between must not make it begin anywhere else.
    if (isNew) ledger.advance(wanted);
    await ledger.sync();
    const fromOrigin = isNew && wanted.position.commitLsn === ZERO_LSN;
    const first = reader.firstPosition();
    const isRetained = fromOrigin || comparePositions(before(wanted.position), first) >= 0;
    const start = isRetained ? wanted : cursorAt(after(first), reader);
    const gaps = [
      ...gapLeft(options, fromOrigin ? first.commitLsn : lsnOf(start)),
      ...(isRetained ? [] : [gapBefore(wanted, first, options)]),
    ];
    const rewinds = store.sinks.started(id, gaps, { configured: settings.status, now });
    if (!isRetained) {
      ledger.advance(start);
      await ledger.sync();
    }
    const offset = fromOrigin ? signals.firstOffset() : reader.locate(before(start.position)).offset;
    publish(options, start, offset);
    const readFrom: ReadFrom = fromOrigin ? 'earliest' : { position: before(start.position) };
    return { ledger, reader, start, readFrom, offset, rewinds, gaps: store.sinks.gaps(id) };
  } catch (error) {
    ledger.close();
    reader.close();
    throw error;
  }
}

/** What was decided while nobody had the ledger: a rewind, or that its cursor was kept long enough. */
function settlePast(options: PlaceOptions, now: Date): void {
  const { store, ledgerFile } = options;
  const id = idOf(options);
  const record = store.sinks.find(id);
  if (record?.rewindTo !== undefined) {
    resetLedger(ledgerFile, id, record.rewindTo);
    store.sinks.rewound(id);
  }
  if (record?.letGoAt !== undefined && !isCursorKept(record.letGoAt, now))
    giveUpCursor(store, id, ledgerFile);
}

/** Forgets where a sink stood. If it comes back it is new, with a gap on record. */
export function giveUpCursor(store: Store, id: SinkId, ledgerFile: string): void {
  if (!existsSync(ledgerFile)) return;
  const ledger = openLedger(ledgerFile, id);
  ledger.close();
  // First the store: a crash in between leaves a cursor that is kept a little longer.
  if (ledger.restored !== undefined) store.sinks.giveUp(id, ledger.restored);
  rmSync(ledgerFile);
  removeLeases(ledgerFile);
}

/** A cursor that a user named has no end LSN yet. */
const lsnOf = ({ position, endLsn }: Cursor): Lsn => (endLsn === ZERO_LSN ? position.commitLsn : endLsn);

function gapLeft(options: PlaceOptions, start: Lsn): SinkGap[] {
  const left = options.store.sinks.find(idOf(options))?.leftLsn;
  if (left === undefined || start <= left) return [];
  const reason = `it held nothing for more than ${CURSOR_KEPT_DAYS} days, and started anew`;
  return [warned(options, { from: formatLsn(left), to: formatLsn(start), reason })];
}

function gapBefore(wanted: Cursor, first: Position, options: PlaceOptions): SinkGap {
  return warned(options, {
    from: formatLsn(lsnOf(wanted)),
    to: formatLsn(first.commitLsn),
    reason: 'the log no longer held these changes: it went on at the first one retained',
  });
}

/** Invariant 10: a gap is declared. */
function warned(options: PlaceOptions, gap: SinkGap): SinkGap {
  options.logger.warn({ sink: options.settings.name, ...gap }, 'the sink misses changes');
  return gap;
}

/**
 * Invariant 1: the ledger is synced by now. Not where the cursor is of another history, or of a log that was lost: its
 * LSN says nothing here until the sink has read on.
 */
export function publish({ signals, slot }: PlaceOptions, start: Cursor, offset: number): void {
  const { position, endLsn } = start;
  const isOfThisLog = position.epoch === signals.epoch() && endLsn <= signals.lastEndLsn();
  signals.publishSettled(slot, { offset, lsn: isOfThisLog ? endLsn : ZERO_LSN });
}

/** The cursor at a position, with the end LSN that the log knows for it. */
export function cursorAt(position: Position, reader: LogReader): Cursor {
  return { position, endLsn: reader.locate(before(position)).endLsn };
}

/** A reader is given the position that it is done with, a cursor the one that comes next. */
export const before = (position: Position): Position => ({ ...position, index: position.index - 1 });
export const after = (position: Position): Position => ({ ...position, index: position.index + 1 });
