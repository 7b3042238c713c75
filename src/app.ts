// The only file that wires the parts together: configuration in, a running service out.
import { steadyMs, wallTime } from './core/clock.ts';
import type { HttpServers } from './api/server.ts';
import { judge } from './core/health.ts';
import type { ServiceStatus, WantedStatus } from './core/status.ts';
import { makeDirectory } from './data-directory/directory.ts';
import { inspectDirectory } from './data-directory/inspection.ts';
import { hasLedgers } from './data-directory/places.ts';
import { lockDirectory, type DirectoryLock } from './data-directory/lock.ts';
import { createControl } from './pipeline/service/control.ts';
import { keepDeadLetterLimits } from './pipeline/service/dead-letter-limits.ts';
import type { RunningService, StartOptions } from './pipeline/service/service.ts';
import { logStatistics } from './pipeline/service/statistics.ts';
import { Topology } from './pipeline/service/topology.ts';
import type { ServiceSettings } from './pipeline/settings.ts';
import { untilDescriptorsFree } from './pipeline/threads/descriptors.ts';
import { giveBackIdleMemory } from './pipeline/threads/idle-memory.ts';
import { suitHeaps } from './pipeline/threads/memory.ts';
import { notRunning } from './pipeline/sink/pull/answers.ts';
import { pullStreams } from './pipeline/sink/pull/streams.ts';
import type { SinkId } from './store/sink-records.ts';
import { beginLife } from './store/instance.ts';
import { openStore, type Store } from './store/sqlite.ts';

/** Of the shutdown timeout, the share that deliveries in flight get; the rest is for closing and confirming. */
const DELIVERY_SHARE = 0.7;

/** Starts sources, sinks and HTTP (`StartService`). Faults of a database or a sink are status. */
export async function startService(
  settings: ServiceSettings,
  { logger, version, pg2sqsNames = false, signal }: StartOptions,
): Promise<RunningService> {
  const { dataDir, shutdownTimeoutMs, statsIntervalMs } = settings;
  suitHeaps();
  const startedAt = wallTime().toISOString();
  const topology = new Topology();
  const ended = Promise.withResolvers<{ exitCode: number }>();
  /** Who looks at the service now and then. */
  const watchers: (() => void)[] = [];
  const ending = new AbortController();
  /** Aborts when a start is not wanted any more. */
  const unwanted = signal === undefined ? ending.signal : AbortSignal.any([ending.signal, signal]);
  let lock: DirectoryLock | undefined;
  let store: Store | undefined;
  let http: HttpServers | undefined;
  let stopping: Promise<void> | undefined;

  const status = (): ServiceStatus => {
    const databases = topology.databases();
    const sinks = topology.sinks();
    const refusedConnections = http?.refusedConnections() ?? 0;
    return judge({ version, startedAt, pid: process.pid, dataDir, refusedConnections, databases, sinks });
  };
  const configuredStatus = ({ database, sink }: SinkId): WantedStatus =>
    settings.sinks.find((configured) => configured.database === database && configured.name === sink)!.status;
  const stopAll = async (exitCode: number): Promise<void> => {
    ending.abort();
    // Until nothing is opened any more that would stay open.
    await starting.catch(() => undefined);
    for (const stopWatching of watchers) stopWatching();
    await topology.stop(steadyMs() + shutdownTimeoutMs * DELIVERY_SHARE);
    await http?.close();
    store?.close();
    lock?.release();
    ended.resolve({ exitCode });
  };
  const stop = (exitCode: number): Promise<void> => (stopping ??= stopAll(exitCode));
  const failed = (error: unknown): void => {
    if (stopping !== undefined) return;
    logger.fatal({ err: error }, 'the service cannot go on');
    void stop(1);
  };

  const start = async (): Promise<void> => {
    await untilDescriptorsFree('the service', logger, unwanted);
    if (unwanted.aborted) return;
    await makeDirectory(dataDir);
    for (const note of inspectDirectory(dataDir, settings.state.file)) logger.warn(note);
    lock = lockDirectory(dataDir);
    watchers.push(lock.watch({ renewed: (note) => logger.warn(note), lost: failed }));
    store = openStore(settings.state.file, { check: true });
    if (store.isNew && hasLedgers(dataDir)) {
      logger.warn(
        { store: settings.state.file },
        'the store is missing or empty, and there are ledgers: the sinks go on where these say; dead letters, and gaps that only the store had, are gone',
      );
    }
    watchers.push(keepDeadLetterLimits(store, settings.deadLetters, logger));
    const life = beginLife(dataDir);
    await topology.start({ settings, store, version, life, logger, failed, signal: unwanted });
    // After the databases: a service that has none yet would call itself ready. Loaded while they connect: nothing else is as large.
    await untilDescriptorsFree('HTTP', logger, unwanted);
    if (unwanted.aborted) return;
    const [{ startHttp }, { createMetrics }] = await Promise.all([
      import('./api/server.ts'),
      import('./telemetry/metrics/metrics.ts'),
    ]);
    if (unwanted.aborted) return;
    http = await startHttp({
      settings,
      status,
      control: createControl({ store, topology, settings, configuredStatus }),
      metricsText: createMetrics(status),
      streams: pullStreams(settings.sinks, (sink, request, options) => {
        const thread = topology.threadOf({ database: sink.database, sink: sink.name });
        if (thread === undefined) throw notRunning(sink.name);
        return thread.request(sink.name, request, options);
      }),
      logger,
    });
    watchers.push(giveBackIdleMemory());
    watchers.push(logStatistics(status, { intervalMs: statsIntervalMs, pg2sqsNames }, logger));
  };
  const starting = start();
  try {
    await starting;
  } catch (error) {
    // What fails once it is not wanted any more is no news.
    if (!unwanted.aborted) {
      await stop(1);
      throw error;
    }
  }
  if (unwanted.aborted) await stop(0);
  return {
    status,
    get apiUrl() {
      return http?.apiUrl;
    },
    stop: () => stop(0),
    ended: ended.promise,
  };
}
