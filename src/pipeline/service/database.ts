// One database while the service runs: its source thread, its log's signals, and its sinks' threads once there is a log to follow.
import type { BackfillStatus } from '../../core/backfill-progress.ts';
import type { Logger } from 'pino';
import { backfillStatus } from '../../core/backfill-progress.ts';
import { wallTime } from '../../core/clock.ts';
import { describeGap, haltingGap, type Gap } from '../../core/gaps.ts';
import { streamKey } from '../../core/idempotency.ts';
import type { ProcessLife } from '../../core/process-life.ts';
import type { DatabaseStatus, LostHistories, SinkStatus, WantedStatus } from '../../core/status.ts';
import { makeDirectory } from '../../data-directory/directory.ts';
import { ledgerDirectory, ledgerFile, logDirectory } from '../../data-directory/places.ts';
import { LogSignals } from '../../log/signals.ts';
import { LogSlots } from '../../log/slots.ts';
import type { DatabaseSettings } from '../../postgres/settings.ts';
import { highestEpochIn } from '../../store/ledger.ts';
import type { Store } from '../../store/sqlite.ts';
import type { ServiceSettings, SinkSettings } from '../settings.ts';
import { asksOfOldRows } from '../intake/route-needs.ts';
import { hasFilter } from '../intake/table-filter.ts';
import { envelopeOf } from '../sink/envelope.ts';
import { newSinkStatus } from '../sink/status.ts';
import type { SinkThread } from '../sink/thread.ts';
import { untilDescriptorsFree } from '../threads/descriptors.ts';
import { startSourceThread, type SourceReady, type SourceThread } from '../source/thread.ts';
import { keepsBack, namesOf } from '../source/wanted-names.ts';
import { createInitialBackfills } from './initial-backfills.ts';
import { startSinkPool, type SinkPool, type SinkWork } from './sink-pool.ts';

export type DatabaseOptions = {
  readonly database: DatabaseSettings;
  /** This database's sinks, with the status that holds. */
  readonly sinks: readonly SinkSettings[];
  readonly settings: ServiceSettings;
  readonly store: Store;
  readonly version: string;
  readonly life: ProcessLife;
  readonly logger: Logger;
  /** The service cannot go on. */
  readonly failed: (error: unknown) => void;
  /** Aborts when it is not wanted any more while it waits to start. */
  readonly signal: AbortSignal;
};

export class Database {
  readonly #options: DatabaseOptions;
  /** By name, with the status that holds. */
  readonly #sinks: Map<string, SinkSettings>;
  readonly #signals: LogSignals;
  readonly #slots: LogSlots;
  readonly #source: SourceThread;
  readonly #stopping = new AbortController();
  /** Undefined while there is no log to follow. */
  #pool: SinkPool | undefined;
  #lost: LostHistories | undefined;
  #backfills: readonly BackfillStatus[] | undefined;

  private constructor(options: DatabaseOptions) {
    const { database, sinks, settings } = options;
    this.#options = options;
    this.#sinks = new Map(sinks.map((sink) => [sink.name, sink]));
    this.#signals = new LogSignals();
    if (database.barrier !== undefined) this.#signals.holdBack();
    this.#slots = new LogSlots(database.name);
    const gaps = recallGaps(options);
    for (const sink of sinks) {
      const { name, status, loadShedding } = sink;
      const slot = this.#slots.of(name);
      this.#signals.setHolding(slot, status !== 'disabled');
      this.#signals.setSheds(slot, loadShedding === 'discard');
      this.#signals.setHalted(slot, haltingGap(gaps, sink, database.onGap) !== undefined);
    }
    this.#source = startSourceThread({
      settings: database,
      selections: sinks.map(namesOf),
      // What is renamed must not let out what stayed here under its old name (intake/columns/fit.ts, renamed-table.ts).
      tellsSchemas: sinks.some(({ ddl, tables }) => ddl === 'events' || tables.some(keepsBack)),
      withoutUpdates: new Set(sinks.filter((sink) => !takesUpdates(sink)).map(({ name }) => name)),
      sinkSlots: this.#slots.byName(),
      streamed: (tables) => this.#recordStreamed(tables),
      log: settings.log,
      storeFile: settings.state.file,
      directory: logDirectory(settings, database.name),
      knownEpoch: highestEpochOf(options),
      signals: this.#signals,
      version: options.version,
      life: options.life,
      logLevel: settings.logLevel,
      logger: options.logger,
    });
    this.#source.failed.catch(options.failed);
    this.#source.ready.then(
      async (ready) => {
        try {
          const who = `the sinks of database "${database.name}"`;
          await untilDescriptorsFree(who, options.logger, this.#stopping.signal);
          if (!this.#stopping.signal.aborted) this.#pool = this.#startSinks(ready);
        } catch (error) {
          options.failed(error);
        }
      },
      () => undefined, // `failed` says why
    );
  }

  /** Makes the directories, starts the source, and the sinks when it is ready; undefined: `signal` aborted before. Throws TailraceError. */
  static async start(options: DatabaseOptions): Promise<Database | undefined> {
    const { settings, database, logger, signal } = options;
    await makeDirectory(logDirectory(settings, database.name));
    await makeDirectory(ledgerDirectory(settings, database.name));
    await untilDescriptorsFree(`the source of database "${database.name}"`, logger, signal);
    return signal.aborted ? undefined : new Database(options);
  }

  get name(): string {
    return this.#options.database.name;
  }

  status(): DatabaseStatus {
    this.#lost = readLost(this.#options) ?? this.#lost;
    this.#backfills = readBackfills(this.#options) ?? this.#backfills;
    return {
      ...this.#source.status(),
      ...(this.#backfills && { backfills: this.#backfills }),
      ...(this.#lost && { lostHistories: this.#lost }),
    };
  }

  sinks(): readonly SinkStatus[] {
    const reported = new Map(this.#pool?.statuses().map((status) => [status.name, status]));
    return [...this.#sinks.values()].map(
      (sink) => reported.get(sink.name) ?? waitingSink(sink, this.#source.status()),
    );
  }

  /** The thread that runs a sink; undefined while there is no log to follow. */
  threadOf(sink: string): SinkThread | undefined {
    return this.#pool?.threadOf(sink);
  }

  /** Another status for a sink that does not run yet. */
  startAs(sink: string, status: WantedStatus): void {
    this.#sinks.set(sink, { ...this.#sinks.get(sink)!, status });
    this.#signals.setHolding(this.#slots.of(sink), status !== 'disabled');
  }

  /** The store has other backfills than before, or in other states. */
  backfillsChanged(): void {
    this.#source.backfillsChanged();
  }

  async stopSinks(deadlineMs: number): Promise<void> {
    this.#stopping.abort();
    await this.#pool?.stop(deadlineMs);
  }

  async stopSource(): Promise<void> {
    await this.#source.stop();
  }

  #startSinks(ready: SourceReady): SinkPool {
    const { settings, store, logger, failed } = this.#options;
    createInitialBackfills([...this.#sinks.values()], store, logger);
    const firstSinks = store.sinks.met(this.name, [...this.#sinks.keys()], wallTime());
    const work = [...this.#sinks.values()].map((sink) => ({
      ...this.#workOf(sink, ready),
      // Where it begins if it is new: the very first ones of a database at the slot, later ones at the log's end.
      newSinkStart: firstSinks.has(sink.name) ? ('earliest' as const) : ('end' as const),
    }));
    const pool = startSinkPool(work, {
      databases: settings.databases.length,
      storeFile: settings.state.file,
      logLevel: settings.logLevel,
      logger,
      failed,
    });
    this.backfillsChanged();
    return pool;
  }

  #workOf(sink: SinkSettings, ready: SourceReady): Omit<SinkWork, 'newSinkStart'> {
    const { database, settings } = this.#options;
    return {
      settings: sink,
      envelope: envelopeOf(sink, database, ready.host),
      streamKey: streamKey({
        databaseName: database.name,
        systemIdentifier: ready.log.systemIdentifier,
      }),
      logDirectory: logDirectory(settings, database.name),
      log: ready.log,
      onGap: database.onGap,
      signals: this.#signals.buffer,
      slot: this.#slots.of(sink.name),
      ledgerFile: ledgerFile(settings, { database: database.name, sink: sink.name }),
      heedsSkips: database.markers.skip && !sink.ignoreMarkers,
      ...((hasFilter(sink) || asksOfOldRows(sink)) && { server: database }),
    };
  }

  #recordStreamed(tables: DatabaseStatus['joinedTables']): void {
    const { store, logger } = this.#options;
    try {
      store.streamedTables.add(this.name, tables);
    } catch (error) {
      // They are streamed all the same, and the log line of the source says from where.
      logger.error({ err: error }, `database "${this.name}": joined tables cannot be recorded`);
    }
  }
}

/** While the store is busy what was read last holds. */
function readLost({ store, database }: DatabaseOptions): LostHistories | undefined {
  try {
    return store.partings.totals(database.name);
  } catch {
    return undefined;
  }
}

function readBackfills({ store, database }: DatabaseOptions): readonly BackfillStatus[] | undefined {
  try {
    return store.backfills.open(database.name).map(backfillStatus);
  } catch {
    return undefined;
  }
}

/** Epochs never go back as long as the store or one ledger remains. */
const highestEpochOf = ({ store, settings, database: { name } }: DatabaseOptions): number =>
  Math.max(store.sinks.highestEpoch(name), highestEpochIn(ledgerDirectory(settings, name)));

/** The gaps that nobody has accepted: what the configuration accepts is accepted from now on. */
function recallGaps({ store, database, logger }: DatabaseOptions): readonly Gap[] {
  const { name, acceptedGaps } = database;
  for (const gap of store.gaps.acceptNamed(name, acceptedGaps, wallTime())) {
    logger.warn({ database: name, gap: gap.id }, `the configuration accepts a gap: ${describeGap(gap)}`);
  }
  return store.gaps.unaccepted(name);
}

/** A sink whose thread has not reported yet: it waits for the log, which the source opens. */
const waitingSink = (sink: SinkSettings, source: DatabaseStatus): SinkStatus =>
  newSinkStatus(sink, {
    health: source.health,
    ...(source.health === 'healthy' ? {} : { reason: `waits for database "${source.name}"` }),
    since: source.since,
  });

/** Of every table. */
const takesUpdates = ({ actions, tables }: SinkSettings): boolean =>
  [actions, ...tables.map((table) => table.actions ?? actions)].every((taken) => taken.includes('update'));
