// Makes the parts of one sink, bottom-up: each is given what is there already.
import { setTimeout as sleep } from 'node:timers/promises';
import { spareMs, steadyMs, unsetWallMs, wallMs, wallTime } from '../../core/clock.ts';
import { zeroCounts, type SinkCounts } from '../../core/counts.ts';
import { deletesTeller } from '../intake/where-identity.ts';
import { isLost } from '../../core/partings.ts';
import { tellsTransactions, type MessageFormat } from '../../formats/format.ts';
import { formats } from '../../formats/registry.ts';
import { sinkDefinition } from '../../sinks/registry.ts';
import type { Sink, SinkContext } from '../../sinks/sink.ts';
import { RepeatedLines } from '../../telemetry/repeated-lines.ts';
import { leaseFileOf, openLeaseStore } from '../../store/leases.ts';
import { Dispatcher, type DispatcherSettings } from '../delivery/dispatcher.ts';
import type { Pending, PendingTransaction } from '../delivery/pending.ts';
import { Routes } from '../delivery/routes.ts';
import { Barriers } from '../delivery/table-order.ts';
import { Unsettled } from '../delivery/unsettled.ts';
import { LogWalker } from '../intake/log-walker.ts';
import { SinkMarkers } from '../intake/markers.ts';
import type { RowIntake } from '../intake/row-intake.ts';
import { sinkIntake, type SinkIntakeOptions } from '../intake/sink-intake.ts';
import { agreementStep } from '../intake/where-server/agreement.ts';
import { labelLookUp } from '../intake/where-server/enum-labels.ts';
import type { SinkSettings } from '../settings.ts';
import { keepDeadLetter } from './dead-letter-store.ts';
import { KeptLetters } from './kept-letters.ts';
import { LedgerWrites } from './ledger-writes.ts';
import { LoadShedding } from './load-shedding.ts';
import type { SinkOptions } from './options.ts';
import { sinkOutcomes } from './outcomes.ts';
import { idOf, notePlace, type SinkPlace } from './place.ts';
import { ReplayedLetters } from './replayed-letters.ts';
import { Replays } from './replays.ts';
import { Restored } from './restored.ts';
import { RowRewinds } from './rows/row-rewinds.ts';
import { Settlement } from './settlement.ts';

/** What is there before the sink's parts: where it stands, and who is told that it cannot go on. */
export type Ground = {
  readonly place: SinkPlace;
  readonly ledgerWrites: LedgerWrites;
  readonly fail: (error: unknown) => void;
};

/** What is let in and not settled: made first, because both sides of it hold on to it. */
type Inflow = {
  readonly unsettled: Unsettled;
  readonly routes: Routes;
  readonly barriers: Barriers<Pending>;
  readonly counts: SinkCounts;
};

/** From the log to there. */
type Reading = {
  readonly restored: Restored;
  readonly markers: SinkMarkers;
  readonly shedding: LoadShedding;
  readonly intake: RowIntake;
  readonly walker: LogWalker;
  /** The same way again, for some rows. */
  readonly rowRewinds: RowRewinds;
};

/** From there to the sink, and what becomes of it. */
type Sending = {
  readonly settlement: Settlement;
  readonly dispatcher: Dispatcher;
  readonly replays: Replays;
};

export type SinkParts = { readonly sink: Sink } & Inflow & Reading & Sending;

export const layGround = (place: SinkPlace, fail: (error: unknown) => void): Ground => ({
  place,
  ledgerWrites: new LedgerWrites(place.ledger, fail),
  fail,
});

function mediaOf({ format, formatOptions }: SinkSettings): SinkContext['media'] {
  const { mediaOf }: MessageFormat = formats[format];
  return mediaOf?.(formatOptions);
}

/** The sink itself, of the type that its settings name. */
export async function createSink(options: SinkOptions, { place, ledgerWrites }: Ground): Promise<Sink> {
  const { settings, logger } = options;
  const { name, actions, destination } = settings;
  const definition = sinkDefinition(destination.type);
  if (definition === undefined) throw new Error(`there is no sink type ${destination.type}`);
  return definition.create(destination.config, {
    name,
    actions,
    media: mediaOf(settings),
    rewinds: place.rewinds,
    logger,
    pull: {
      openLeases: () => openLeaseStore(leaseFileOf(options.ledgerFile)),
      remembered: () => ledgerWrites.recorded(),
    },
  });
}

export function assemble(options: SinkOptions, sink: Sink, ground: Ground): SinkParts {
  const inflow = makeInflow(options);
  const reading = makeReading(options, sink, ground, inflow);
  const sending = makeSending(options, sink, ground, { ...inflow, ...reading });
  return { sink, ...inflow, ...reading, ...sending };
}

function makeInflow({ settings, blocks }: SinkOptions): Inflow {
  const unsettled = new Unsettled(settings, { company: () => blocks?.readers ?? 1 });
  const routes = new Routes(settings, unsettled.room);
  return { unsettled, routes, barriers: new Barriers<Pending>(), counts: zeroCounts() };
}

function makeReading(options: SinkOptions, sink: Sink, { place, fail }: Ground, inflow: Inflow): Reading {
  const { settings, store, signals, slot, heedsSkips, logger } = options;
  const { unsettled, routes, barriers, counts } = inflow;
  const id = idOf(options);
  const restored = new Restored(place.ledger);
  const isTold = tellsTransactions(formats[settings.format], settings.formatOptions, sink.encoding);
  const letters = { letters: store.deadLetters, tellsTransactions: isTold };
  const kept = new KeptLetters({ id, ...letters, ledger: place.ledger, start: place.start });
  const wasSettled = (transaction: PendingTransaction, index: number): boolean =>
    restored.has(transaction, index) || isLost(place.partings, transaction);
  const markers = new SinkMarkers({
    sink: settings.name,
    heedsSkips,
    keep: (skipped) => store.skipped.add(id, skipped),
    logger,
  });
  const shedding = new LoadShedding({
    sink: settings.name,
    gaps: place.gaps,
    keep: (gap) => store.sinks.addGap(id, gap, wallTime()),
    counts,
    logger,
  });
  const readFrames = (offset: number, length: number): Buffer => place.reader.readFrames(offset, length);
  const staysLong = sink.pull !== undefined;
  const warn = (fields: Readonly<Record<string, unknown>>, message: string): void =>
    logger.warn(fields, message);
  const intake = sinkIntake({
    settings,
    envelope: options.envelope,
    counts,
    sink,
    routes,
    barriers,
    markers,
    unsettled,
    isDone: (transaction, index, offset) =>
      wasSettled(transaction, index) ||
      kept.has(transaction, index) ||
      // It was told of transactions when that was settled.
      (index === 0 && !isTold && restored.hasPart(transaction, index, 'row')) ||
      shedding.givesUp(offset),
    // Transactions are lost as a whole, and what is given up ends once.
    isAllNew: () => restored.isOver && kept.isEmpty,
    isPartDone: (transaction, index, part) =>
      restored.hasPart(transaction, index, part) || kept.hasPart(transaction, index, part),
    readFrames,
    staysLong,
    transactions: {
      wasSettled,
      isGivenUp: (offset) => offset < shedding.below,
      givenUp: () => shedding.count(1),
    },
    hasCompany: options.blocks !== undefined,
    ...questions(options),
    truncated: (row) => rowRewinds.truncated(row),
    described: deletesTeller(settings, warn),
  });
  const salts = store.renumbered.salts(id.database);
  const walker = new LogWalker(options.streamKey, { ...place.start, offset: place.offset }, intake, salts);
  const writtenBefore = signals.writtenEnd();
  const rowRewinds = new RowRewinds({
    id,
    settings,
    stored: store.rowRewinds,
    reader: place.reader,
    signals,
    slot,
    streamKey: options.streamKey,
    salts,
    partings: place.partings,
    first: walker,
    hasPassedSettled: () => restored.isOver || walker.head.offset >= writtenBefore,
    unsettled,
    makeIntake: (again) =>
      sinkIntake({
        ...again,
        // How the table changed is no change of a row, and what is not sent again was counted once.
        settings: { ...settings, ddl: 'ignore' },
        envelope: options.envelope,
        counts: zeroCounts(),
        sink,
        routes,
        barriers,
        markers: new SinkMarkers({ sink: settings.name, heedsSkips, keep: () => undefined, logger }),
        isPartDone: () => false,
        readFrames,
        staysLong,
        ...questions(options),
      }),
    warn,
    fail,
    nowMs: steadyMs,
    wallTime,
  });
  return { restored, markers, shedding, intake, walker, rowRewinds };
}

function makeSending(options: SinkOptions, sink: Sink, ground: Ground, before: Inflow & Reading): Sending {
  const { settings, store, signals, slot, logger } = options;
  const { place, ledgerWrites, fail } = ground;
  const { unsettled, routes, barriers, counts, restored, markers, shedding, intake, walker, rowRewinds } =
    before;
  const { name } = settings;
  const { encoding } = sink;
  const repeated = new RepeatedLines(logger);
  const settlement = new Settlement({
    ledger: place.ledger,
    signals,
    slot,
    unsettled,
    walker,
    restored,
    start: place.start,
    partings: place.partings,
    beforeMove: ({ cursor, offset }) => {
      markers.write();
      shedding.record({ endLsn: cursor.endLsn, offset });
    },
    note: (cursor) => notePlace(options, cursor, repeated),
    fail,
    nowMs: steadyMs,
  });
  const letters = { id: idOf(options), letters: store.deadLetters, fail, wallTime };
  const replayed = new ReplayedLetters({ ...letters, encoding, arenas: unsettled.arenas });
  const dispatcher = new Dispatcher(deliverySettings(settings), {
    sink,
    unsettled,
    routes,
    counts,
    prepare: (messages) => {
      for (const message of messages) {
        if (message.isOfTheLog) intake.renderParked(message);
        else if (message.letterId !== 0) replayed.render(message);
        else rowRewinds.renderParked(message);
      }
    },
    outcomes: sinkOutcomes({
      sink: name,
      replayed,
      rowRewinds,
      ledger: ledgerWrites,
      settlement,
      shedding,
      keepDeadLetter: (message, error) => keepDeadLetter(message, error, { settings, store, encoding }),
      fail,
      repeated,
    }),
    warn: (event, fields) => logger.warn({ sink: name, ...fields }, event),
    warnRepeated: (message, fields, kind = message) =>
      repeated.say({ level: 'warn', message, fields: { sink: name, ...fields }, kind }),
    nowMs: steadyMs,
    wallMs,
    chance: () => Math.random(),
    spareMs,
    unsetWallMs,
    live: (latencyMs) => signals.latencies.add(slot, latencyMs),
  });
  const replays = new Replays({
    ...letters,
    nowMs: steadyMs,
    replayed,
    sink,
    routes,
    unsettled,
    barriers,
    dispatcher,
    grouped: settings.messageGrouping,
    maxParked: settings.maxParked,
    rate: () => store.sinks.find(letters.id)?.replayRate,
  });
  rowRewinds.onLetIn(() => dispatcher.dispatch());
  return { settlement, dispatcher, replays };
}

const deliverySettings = (settings: SinkSettings): DispatcherSettings => ({
  ordered: settings.sameGroup === 'ordered',
  retry: settings.retry,
  maxRetryCount: settings.maxRetryCount,
  batchSize: settings.batchSize,
});

/** Where there is a server to be asked what the sink's filters mean, and which labels enums have. */
function questions({ settings, asker, logger }: SinkOptions): Pick<SinkIntakeOptions, 'steps' | 'lookUp'> {
  if (asker === undefined) return {};
  const repeated = new RepeatedLines(logger);
  const warn = (message: string, fields: object): void =>
    repeated.say({ level: 'warn', message, fields: { sink: settings.name, ...fields } });
  const resting = (ms: number): Promise<void> => sleep(ms, undefined, { ref: false });
  const agree = agreementStep(settings, {
    compare: async (filter, relation) => (await asker()).compare(filter, relation),
    unanswered: ({ place }, error) =>
      warn('no server says what the filter means there: it is taken as it is understood here', {
        filter: place,
        err: error,
      }),
    nowMs: steadyMs,
    sleep: resting,
  });
  const lookUp = labelLookUp({
    labelsOf: async (oid) => (await asker()).labelsOf(oid),
    unanswered: (error) =>
      warn('no server says which labels an enum has now: rows whose label is not known are dead letters', {
        err: error,
      }),
    sleep: resting,
  });
  return { lookUp, ...(agree && { steps: { agree } }) };
}
