// The only file that wires the parts together: configuration in, a running service out.
import { mkdir } from 'node:fs/promises';
import { availableParallelism } from 'node:os';
import { dirname } from 'node:path';
import { startHttp, type HttpServers } from './api/server.ts';
import { describeError, TailraceError } from './core/errors.ts';
import { stableUuid, streamKey } from './core/idempotency.ts';
import type { DatabaseStatus, Health, ServiceStatus, SinkStatus, WantedStatus } from './core/status.ts';
import type { Envelope } from './formats/format.ts';
import { lockDirectory } from './data-directory/lock.ts';
import { LogSignals, MAX_SINKS_PER_DATABASE } from './log/signals.ts';
import { createControl } from './pipeline/service/control.ts';
import { ledgerDirectory, ledgerFile, logDirectory } from './data-directory/places.ts';
import { keepDeadLetterLimits } from './pipeline/service/dead-letter-limits.ts';
import { notRunning } from './pipeline/sink/pull/answers.ts';
import { pullStreams, sinkId } from './pipeline/sink/pull/streams.ts';
import type { RunningService, StartOptions } from './pipeline/service/service.ts';
import type { ServiceSettings, SinkSettings } from './pipeline/settings.ts';
import { recallSinks } from './pipeline/sink/life.ts';
import { newSinkStatus } from './pipeline/sink/status.ts';
import { startSinkThread, type SinkThread } from './pipeline/sink/thread.ts';
import type { SinkWorkerData } from './pipeline/sink/worker.ts';
import { startSourceThread, type SourceReady, type SourceThread } from './pipeline/source/thread.ts';
import type { DatabaseSettings } from './postgres/settings.ts';
import type { SinkId } from './store/sink-records.ts';
import { openStore, type Store } from './store/sqlite.ts';
import { createMetrics } from './telemetry/metrics.ts';
import { statisticsLine } from './telemetry/statistics.ts';

/** Of the shutdown timeout, the share that deliveries in flight get; the rest is for closing and confirming. */
const DELIVERY_SHARE = 0.7;

type Database = {
  readonly settings: DatabaseSettings;
  /** With the status that holds. */
  readonly sinks: SinkSettings[];
  readonly signals: LogSignals;
  readonly source: SourceThread;
  /** Each with the names of its sinks. */
  readonly sinkThreads: { readonly names: ReadonlySet<string>; readonly thread: SinkThread }[];
};

/** Starts sources, sinks and HTTP. Rejects with TailraceError when it cannot; faults of a database or a sink are status. */
export async function startService(
  settings: ServiceSettings,
  options: StartOptions,
): Promise<RunningService> {
  const { logger, version } = options;
  await makeDirectory(settings.dataDir);
  const lock = lockDirectory(settings.dataDir);
  const startedAt = new Date().toISOString();
  let store: Store | undefined;
  let http: HttpServers | undefined;
  const databases: Database[] = [];
  let endWith!: (end: { exitCode: number }) => void;
  const ended = new Promise<{ exitCode: number }>((done) => (endWith = done));
  let stopping: Promise<void> | undefined;

  const status = (): ServiceStatus => {
    const sources = databases.map((database) => database.source.status());
    const sinks = databases.flatMap(sinkStatuses);
    return {
      status: worst([...sources, ...sinks]),
      version,
      startedAt,
      pid: process.pid,
      dataDir: settings.dataDir,
      databases: sources,
      sinks,
    };
  };

  const stop = (exitCode: number): Promise<void> => {
    stopping ??= (async () => {
      clearInterval(statistics);
      stopLimits?.();
      const deadlineMs = Date.now() + settings.shutdownTimeoutMs * DELIVERY_SHARE;
      // Sinks first: what they settle last is what the sources confirm last.
      await Promise.all(
        databases.flatMap(({ sinkThreads }) => sinkThreads.map(({ thread }) => thread.stop(deadlineMs))),
      );
      await Promise.all(databases.map(({ source }) => source.stop()));
      await http?.close();
      store?.close();
      lock.release();
      endWith({ exitCode });
    })();
    return stopping;
  };
  const failed = (error: unknown): void => {
    if (stopping !== undefined) return;
    logger.fatal({ err: error }, describeError(error));
    void stop(1);
  };

  let previous: ServiceStatus | undefined;
  let statistics: NodeJS.Timeout | undefined;
  let stopLimits: (() => void) | undefined;
  try {
    store = openStore(settings.state.file);
    stopLimits = keepDeadLetterLimits(store, settings.deadLetters, logger);
    const newSinkStarts = registeredBefore(store, settings);
    const sinks = recallSinks(settings, store, logger);
    for (const database of settings.databases) {
      await makeDirectory(logDirectory(settings, database.name));
      await makeDirectory(ledgerDirectory(settings, database.name));
      databases.push(startDatabase({ database, sinks, settings, options, store, newSinkStarts, failed }));
    }
    // After the databases: a service that has none yet would call itself ready.
    const control = createControl({
      store,
      sinks: () => status().sinks,
      configuredStatus: (id) => settings.sinks.find(isSink(id))!.status,
      threadOf: (id) => threadOf(databases, id),
      startAs: (id, wanted) => startAs(databases, id, wanted),
    });
    http = await startHttp({
      settings,
      status,
      control,
      metricsText: createMetrics(status),
      streams: pullStreams(settings.sinks, (sink, request, options) => {
        const thread = threadOf(databases, { database: sink.database, sink: sink.name });
        if (thread === undefined) throw notRunning(sink.name);
        return thread.request(sink.name, request, options);
      }),
      logger,
    });
  } catch (error) {
    await stop(1);
    throw error;
  }
  if (settings.statsIntervalMs > 0) {
    statistics = setInterval(() => {
      const now = status();
      logger.info(statisticsLine(now, previous, settings.statsIntervalMs / 1000), 'statistics');
      previous = now;
    }, settings.statsIntervalMs);
  }
  return { status, apiUrl: http.apiUrl, stop: () => stop(0), ended };
}

/** 0700: rows lie here (invariant 9). */
async function makeDirectory(directory: string): Promise<void> {
  try {
    await mkdir(directory, { recursive: true, mode: 0o700 });
  } catch (cause) {
    throw new TailraceError(`the data directory ${directory} cannot be made: ${(cause as Error).message}`, {
      code: 'DATA_DIRECTORY_UNUSABLE',
      kind: 'fatal',
      hint: `make ${dirname(directory)} writable, or name another directory with --data-dir`,
      cause,
    });
  }
}

/** Where a sink that is new begins: the very first of a database at the slot, later ones at the log's end. */
function registeredBefore(store: Store, settings: ServiceSettings): Map<string, 'earliest' | 'end'> {
  return new Map(
    settings.databases.map(({ name }) => [name, store.sinks.names(name).length === 0 ? 'earliest' : 'end']),
  );
}

/** The thread that runs a sink; undefined while its database has no log yet. */
function threadOf(databases: readonly Database[], id: SinkId): SinkThread | undefined {
  const database = databases.find(({ settings }) => settings.name === id.database);
  return database?.sinkThreads.find(({ names }) => names.has(id.sink))?.thread;
}

/** Another status for a sink that does not run yet. */
function startAs(databases: readonly Database[], id: SinkId, status: WantedStatus): void {
  const { sinks, signals } = databases.find(({ settings }) => settings.name === id.database)!;
  const slot = sinks.findIndex(isSink(id));
  sinks[slot] = { ...sinks[slot]!, status };
  signals.setHolding(slot, status !== 'disabled');
}

const isSink =
  ({ database, sink }: SinkId) =>
  (settings: SinkSettings): boolean =>
    settings.database === database && settings.name === sink;

function startDatabase(what: {
  database: DatabaseSettings;
  sinks: readonly SinkSettings[];
  settings: ServiceSettings;
  options: StartOptions;
  store: Store;
  newSinkStarts: ReadonlyMap<string, 'earliest' | 'end'>;
  failed: (error: unknown) => void;
}): Database {
  const { database, settings, options, store, newSinkStarts, failed } = what;
  const sinks = what.sinks.filter((sink) => sink.database === database.name);
  if (sinks.length > MAX_SINKS_PER_DATABASE) {
    throw new TailraceError(
      `database "${database.name}" has ${sinks.length} sinks, ${MAX_SINKS_PER_DATABASE} are possible`,
      {
        code: 'TOO_MANY_SINKS',
        kind: 'fatal',
        hint: 'run a second service with a slot of its own',
      },
    );
  }
  const signals = new LogSignals();
  sinks.forEach((sink, slot) => {
    signals.setHolding(slot, sink.status !== 'disabled');
    signals.setSheds(slot, sink.loadShedding === 'discard');
  });
  const directory = logDirectory(settings, database.name);
  const sinkThreads: Database['sinkThreads'] = [];
  const source = startSourceThread({
    settings: database,
    selections: sinks.map((sink) => sink.selection),
    sinkNames: sinks.map((sink) => sink.name),
    streamed: (tables) => {
      try {
        store.streamedTables.add(database.name, tables);
      } catch (error) {
        // They are streamed all the same, and the log line of the source says from where.
        options.logger.error({ err: error }, `database "${database.name}": joined tables cannot be recorded`);
      }
    },
    log: settings.log,
    directory,
    signals,
    version: options.version,
    logLevel: settings.logLevel,
    logger: options.logger,
  });
  source.failed.catch(failed);
  source.ready.then(
    (ready) => {
      const work = sinks.map((sink, slot) =>
        sinkWork({ database, sink, slot, ready, directory, signals, settings, newSinkStarts }),
      );
      for (const share of shares(work, settings.databases.length)) {
        const thread = startSinkThread(
          { sinks: share, storeFile: settings.state.file, logLevel: settings.logLevel },
          options.logger,
        );
        thread.died.catch(failed);
        sinkThreads.push({ names: new Set(share.map((work) => work.settings.name)), thread });
      }
    },
    () => undefined, // `failed` says why
  );
  return { settings: database, sinks, signals, source, sinkThreads };
}

type SinkWork = SinkWorkerData['sinks'][number];

function sinkWork(what: {
  database: DatabaseSettings;
  sink: SinkSettings;
  slot: number;
  ready: SourceReady;
  directory: string;
  signals: LogSignals;
  settings: ServiceSettings;
  newSinkStarts: ReadonlyMap<string, 'earliest' | 'end'>;
}): SinkWork {
  const { database, sink, ready, settings } = what;
  const envelope: Envelope = {
    sinkName: sink.name,
    sinkId: sinkId(database.name, sink.name),
    sinkAnnotations: sink.annotations,
    databaseName: database.name,
    databaseId: stableUuid('database', database.name),
    databaseAnnotations: database.annotations ?? {},
    postgresDatabase: database.database,
    hostname: ready.host,
  };
  return {
    settings: sink,
    envelope,
    streamKey: streamKey({
      databaseName: database.name,
      systemIdentifier: ready.systemIdentifier,
      streamOptions: ready.streamOptions,
    }),
    logDirectory: what.directory,
    signals: what.signals.buffer,
    slot: what.slot,
    ledgerFile: ledgerFile(settings, { database: database.name, sink: sink.name }),
    heedsSkips: database.markers.skip && !sink.ignoreMarkers,
    newSinkStart: what.newSinkStarts.get(database.name) ?? 'earliest',
  };
}

/** Deals the sinks out to a small pool of threads: one core is left to the source and Postgres. */
function shares(work: readonly SinkWork[], databases: number): SinkWork[][] {
  const threads = Math.max(1, Math.min(work.length, Math.floor((availableParallelism() - 1) / databases)));
  return Array.from({ length: work.length === 0 ? 0 : threads }, (_, thread) =>
    work.filter((_, i) => i % threads === thread),
  );
}

function sinkStatuses(database: Database): SinkStatus[] {
  const reported = database.sinkThreads.flatMap(({ thread }) => thread.statuses());
  return database.sinks.map(
    (sink) => reported.find(({ name }) => name === sink.name) ?? waitingSink(sink, database.source.status()),
  );
}

/** A sink whose thread has not reported yet: it waits for the log, which the source opens. */
const waitingSink = (sink: SinkSettings, source: DatabaseStatus): SinkStatus =>
  newSinkStatus(sink, {
    health: source.health,
    ...(source.health === 'healthy' ? {} : { reason: `waits for database "${source.name}"` }),
    since: source.since,
  });

const SEVERITY: readonly Health[] = ['healthy', 'degraded', 'halted'];

const worst = (parts: readonly { readonly health: Health }[]): Health =>
  SEVERITY[Math.max(0, ...parts.map(({ health }) => SEVERITY.indexOf(health)))]!;
