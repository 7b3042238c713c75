// Where a sink stands in the log when it begins to run or to rest: its ledger opened, rewinds done, gaps recorded.
import type { Logger } from 'pino';
import { wallTime } from '../../core/clock.ts';
import type { OnGap } from '../../core/gaps.ts';
import { lifeOf, type FollowedLog } from '../../core/log-life.ts';
import { formatLsn, maxLsn, ZERO_LSN, type Lsn } from '../../core/lsn.ts';
import { presentCursor, type Partings } from '../../core/partings.ts';
import { comparePositions, type Position } from '../../core/position.ts';
import type { SinkGap } from '../../core/status.ts';
import { openLogReader, type LogReader, type ReadFrom } from '../../log/reader.ts';
import type { LogSignals } from '../../log/signals.ts';
import {
  createLedger,
  readLedger,
  resetLedger,
  resumeLedger,
  type Cursor,
  type Ledger,
  type StoredLedger,
} from '../../store/ledger.ts';
import { settledLsn, type KnownPlace } from '../../store/places.ts';
import type { SinkId, SinkRecord } from '../../store/sink-records.ts';
import type { Store } from '../../store/sqlite.ts';
import type { RepeatedLines } from '../../telemetry/repeated-lines.ts';
import type { SinkSettings } from '../settings.ts';
import { beginningOf, missingSince, type Beginning, type Missing, type PresentLog } from './belonging.ts';
import { CURSOR_KEPT_DAYS, giveUpCursor, isCursorKept, placeOf } from './kept-cursors.ts';
import { accountForLost } from './lost-history.ts';
import { startOfNewSink } from './start.ts';

export type PlaceOptions = {
  readonly settings: SinkSettings;
  readonly logDirectory: string;
  readonly log: FollowedLog;
  readonly signals: LogSignals;
  /** The sink's place in `signals`. */
  readonly slot: number;
  readonly ledgerFile: string;
  /** Where a sink that is new begins, when its settings do not say. */
  readonly newSinkStart: 'earliest' | 'end';
  /** Does it halt where changes are missing that it was to have? */
  readonly onGap: OnGap;
  /** May markers in the log make this sink skip changes? */
  readonly heedsSkips: boolean;
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
  /** Where the histories in the log had parted by then: what is lost is accounted for, and not to be sent. */
  readonly partings: Partings;
  /** The latest gaps, this place's among them. */
  readonly gaps: readonly SinkGap[];
};

export const idOf = ({ settings }: Pick<PlaceOptions, 'settings'>): SinkId => ({
  database: settings.database,
  sink: settings.name,
});

/** Takes the sink's place, and holds the log from there on. Whoever asks closes ledger and reader. */
export async function openPlace(options: PlaceOptions): Promise<SinkPlace> {
  const { settings, store, signals } = options;
  const id = idOf(options);
  const now = wallTime();
  settlePast(options, now);
  const reader = openLogReader(options.logDirectory, signals);
  let taking: Taking | undefined;
  try {
    const partings = signals.partings();
    taking = await decide(options, reader, partings);
    const { wanted, start, gaps } = taking;
    // A new sink is known once its ledger says where it begins: a crash in between must not make it begin anywhere else. Of
    // one that was there before, what is missing is on record before its ledger forgets where it stood.
    if (taking.beginning.at === 'settings') takeLedger(options, taking, wanted);
    if (taking.lost !== undefined) declareLost(options, taking.lost, now);
    const place = { cursor: start, log: lifeOf(options.log) };
    const rewinds = store.sinks.started(id, gaps, { configured: settings.status, now, place });
    const ledger = taking.ledger ?? takeLedger(options, taking, start);
    if (comparePositions(start.position, wanted.position) > 0) {
      ledger.advance(start);
      await ledger.sync();
    }
    await accountForLost({
      id,
      store,
      settings,
      partings,
      ledger,
      reader,
      logger: options.logger,
      heedsSkips: options.heedsSkips,
      isNew: taking.beginning.at === 'settings',
      writtenEnd: signals.writtenEnd(),
    });
    const { fromOrigin } = taking;
    const offset = fromOrigin ? signals.firstOffset() : reader.locate(before(start.position)).offset;
    publish(options, start, { offset, partings });
    const readFrom: ReadFrom = fromOrigin ? 'earliest' : { position: before(start.position) };
    return { ledger, reader, start, readFrom, offset, rewinds, partings, gaps: store.sinks.gaps(id) };
  } catch (error) {
    taking?.stored?.restored.close();
    taking?.ledger?.close();
    reader.close();
    throw error;
  }
}

/** A place that is being taken. */
type Taking = {
  readonly beginning: Beginning;
  readonly stored: StoredLedger | undefined;
  /** Where its settings or its ledger would have it begin, and where it can: the log may have let go of what is in between. */
  readonly wanted: Cursor;
  readonly start: Cursor;
  /** From the log's very beginning: nothing can be missing. */
  readonly fromOrigin: boolean;
  readonly gaps: readonly SinkGap[];
  /** Of the gaps, the one that nobody has asked for. */
  readonly lost: SinkGap | undefined;
  ledger: Ledger | undefined;
};

async function decide(options: PlaceOptions, reader: LogReader, partings: Partings): Promise<Taking> {
  const { store, signals, ledgerFile } = options;
  const present = (place: KnownPlace): KnownPlace => inPresentHistory(place, options, partings);
  const stored = readLedger(ledgerFile, idOf(options));
  const record = store.sinks.find(idOf(options));
  const log: PresentLog = { ...options.log, epoch: signals.epoch(), first: reader.firstPosition() };
  const isLeft = record?.leftLsn !== undefined;
  const place = record?.place && present(record.place);
  const ledger = stored && present(placeOf(stored));
  const beginning = handedOver(
    options,
    ledger,
    beginningOf({ ledger, record: record?.hasBegun === true && !isLeft ? { place } : undefined }, log),
  );
  if (stored !== undefined && stored.cutBytes > 0) warnOfCut(options, stored);
  const { wanted, missing, fromOrigin, ...found } = await startOf(beginning, { options, reader, log });
  const start = presentCursor(partings, found.start);
  const gapBefore = missing && warned(options, missing, REASONS[whyOf(beginning)]);
  const gaps = [
    ...gapSinceLeft(options, {
      record: record && { ...record, place },
      start: fromOrigin ? log.first.commitLsn : settledLsn(start),
      log,
    }),
    ...(gapBefore === undefined ? [] : [gapBefore]),
  ];
  // What the log let go of is given up by the user's own word: a sink that held nothing, or that sheds.
  const isLost = beginning.at === 'first' && beginning.why !== 'let go';
  if (beginning.at === 'first' && missing === undefined) warnOfRepeats(options, beginning.why, start);
  return {
    beginning,
    stored,
    wanted,
    start,
    fromOrigin,
    gaps,
    lost: isLost ? gapBefore : undefined,
    ledger: undefined,
  };
}

/** Another server was adopted, after all that the one before had was delivered: what is left behind is nothing that is missing. */
function handedOver(
  { store, settings }: PlaceOptions,
  ledger: KnownPlace | undefined,
  beginning: Beginning,
): Beginning {
  const isHandedOver =
    beginning.at === 'first' &&
    beginning.why === 'another log' &&
    ledger !== undefined &&
    store.handovers.isHandedOver(settings.database, ledger);
  return isHandedOver ? { ...beginning, missing: undefined } : beginning;
}

/** What is settled of a lost history is no place in the present one. A place in another log is not touched: its epochs are others. */
const inPresentHistory = (place: KnownPlace, { log }: PlaceOptions, partings: Partings): KnownPlace =>
  place.log === undefined || place.log.life === log.life
    ? { ...place, cursor: presentCursor(partings, place.cursor) }
    : place;

async function startOf(
  beginning: Beginning,
  { options, reader, log }: { options: PlaceOptions; reader: LogReader; log: PresentLog },
): Promise<Pick<Taking, 'wanted' | 'start' | 'fromOrigin'> & { readonly missing: Missing | undefined }> {
  const first = (): Cursor => sinceBirth(cursorAt(after(log.first), reader), log);
  switch (beginning.at) {
    case 'cursor': {
      const { cursor } = beginning;
      return { wanted: cursor, start: cursor, fromOrigin: false, missing: undefined };
    }
    case 'first': {
      const start = first();
      return { wanted: start, start, fromOrigin: false, missing: beginning.missing };
    }
    case 'settings': {
      const wanted = sinceBirth(await startOfNewSink(options, reader), log);
      const fromOrigin = wanted.position.commitLsn === ZERO_LSN;
      const isThere = fromOrigin || comparePositions(before(wanted.position), log.first) >= 0;
      const missing = isThere ? undefined : { from: settledLsn(wanted), to: log.first.commitLsn };
      return { wanted, start: isThere ? wanted : first(), fromOrigin, missing };
    }
    default:
      return beginning satisfies never;
  }
}

/** Before everything in the log is what was committed before the log began: that is nothing to wait for. */
const sinceBirth = (cursor: Cursor, { beganAt = ZERO_LSN }: PresentLog): Cursor =>
  cursor.position.commitLsn === ZERO_LSN ? { ...cursor, endLsn: maxLsn(cursor.endLsn, beganAt) } : cursor;

/** The ledger that says so, on the disk. One whose log has let go of changes keeps what is settled above them. */
function takeLedger({ ledgerFile, log, ...options }: PlaceOptions, taking: Taking, cursor: Cursor): Ledger {
  const { beginning, stored } = taking;
  const goesOn = beginning.at === 'cursor' || (beginning.at === 'first' && beginning.why === 'let go');
  if (stored !== undefined && goesOn) {
    taking.ledger = resumeLedger(stored, lifeOf(log));
  } else {
    stored?.restored.close();
    taking.ledger = createLedger(ledgerFile, { ...idOf(options), log: lifeOf(log) }, cursor);
  }
  return taking.ledger;
}

/** What was decided while nobody had the ledger: a rewind, or that its cursor was kept long enough. */
function settlePast(options: PlaceOptions, now: Date): void {
  const { store, ledgerFile } = options;
  const id = idOf(options);
  const record = store.sinks.find(id);
  if (record?.rewindTo !== undefined) {
    const { cursor, log } = record.rewindTo;
    resetLedger(ledgerFile, { ...id, log }, cursor);
    store.sinks.rewound(id);
  }
  if (record?.letGoAt !== undefined && !isCursorKept(record.letGoAt, now))
    giveUpCursor(store, id, ledgerFile);
}

/** Notes where the sink stands, should its ledger be lost. */
export function notePlace(
  { store, log, ...options }: PlaceOptions,
  cursor: Cursor,
  lines: Pick<RepeatedLines, 'say'>,
): void {
  try {
    store.sinks.stands(idOf(options), { cursor, log: lifeOf(log) });
  } catch (error) {
    // An older note says less, and nothing wrong.
    const message = 'the place of the sink could not be noted';
    lines.say({ level: 'warn', message, fields: { sink: options.settings.name, err: error } });
  }
}

const REASONS = {
  settings: 'the log no longer held these changes: it went on at the first one retained',
  'let go': 'the log no longer held these changes: it went on at the first one retained',
  'another log':
    'the change log was made anew after the sink had settled that, and does not reach back to there',
  'no ledger':
    'the ledger of the sink was lost, and the change log does not reach back to what it had settled',
} as const;

const whyOf = (beginning: Beginning): keyof typeof REASONS =>
  beginning.at === 'first' ? beginning.why : 'settings';

function gapSinceLeft(
  options: PlaceOptions,
  { record, start, log }: { record: SinkRecord | undefined; start: Lsn; log: PresentLog },
): SinkGap[] {
  if (record?.leftLsn === undefined) return [];
  const missing = missingSince(record.place, { left: record.leftLsn, start }, log);
  const reason = `it held nothing for more than ${CURSOR_KEPT_DAYS} days, and started anew`;
  return missing === undefined ? [] : [warned(options, missing, reason)];
}

/** On record when it returns, and the sink reads no further before somebody has accepted it, unless it is to go on. */
function declareLost({ settings, store, signals, slot, onGap }: PlaceOptions, gap: SinkGap, now: Date): void {
  const { name: sink, database } = settings;
  const declared = { ...gap, cause: 'place_lost', sink, halts: true, skips: false, ends: [] } as const;
  const { acceptedAt } = store.gaps.declare(database, declared, now);
  if (onGap === 'halt' && acceptedAt === undefined) signals.setHalted(slot, true);
}

/** Invariant 10: a gap is declared. */
function warned(options: PlaceOptions, { from, to, elsewhere }: Missing, why: string): SinkGap {
  const reason =
    elsewhere === undefined
      ? why
      : `${why}; the sink had settled up to ${formatLsn(elsewhere)} in another history (of another server, or of one that parted from this one), and later changes of that one may be missing too`;
  const gap = { from: formatLsn(from), to: formatLsn(to), reason };
  options.logger.warn({ sink: options.settings.name, ...gap }, 'the sink misses changes');
  return gap;
}

function warnOfRepeats({ settings, logger }: PlaceOptions, why: string, start: Cursor): void {
  logger.warn(
    { sink: settings.name, why, from: formatLsn(settledLsn(start)) },
    'the sink begins at the first change of the log: nothing is missing, and what it had delivered from there on comes again',
  );
}

function warnOfCut({ settings, logger }: PlaceOptions, { file, cutBytes }: StoredLedger): void {
  logger.warn(
    { sink: settings.name, file, cutBytes },
    'the end of the ledger was not written in full, or is damaged, and is cut off: deliveries that only it knew of are repeated',
  );
}

/**
 * Invariant 1: the ledger is synced by now. Not where the cursor is of another history, or of a log that was lost: its
 * LSN says nothing here until the sink has read on.
 */
export function publish(
  { signals, slot }: PlaceOptions,
  start: Cursor,
  { offset, partings }: Pick<SinkPlace, 'offset' | 'partings'>,
): void {
  const { position, endLsn } = start;
  const isOfThisLog = position.epoch === signals.epoch() && endLsn <= signals.lastEndLsn();
  signals.publishSettled(slot, { offset, lsn: isOfThisLog ? endLsn : ZERO_LSN, partings });
}

/** The cursor at a position, with the end LSN that the log knows for it. */
export function cursorAt(position: Position, reader: LogReader): Cursor {
  return { position, endLsn: reader.locate(before(position)).endLsn };
}

/** A reader is given the position that it is done with, a cursor the one that comes next. */
export const before = (position: Position): Position => ({ ...position, index: position.index - 1 });
export const after = (position: Position): Position => ({ ...position, index: position.index + 1 });
