// How many sink threads a database has, and which sink runs on which.
import { availableParallelism } from 'node:os';
import type { Logger } from 'pino';
import type { SinkStatus } from '../../core/status.ts';
import { startSinkThread, type SinkThread } from '../sink/thread.ts';
import type { SinkWorkerData } from '../sink/worker.ts';

export type SinkWork = SinkWorkerData['sinks'][number];

export type SinkPool = {
  /** As last reported; a sink whose thread has not reported yet is missing. */
  statuses(): readonly SinkStatus[];
  /** The thread that runs a sink, by its name. */
  threadOf(sink: string): SinkThread | undefined;
  /** Resolves when every sink has settled what was in flight, or the deadline has passed. */
  stop(deadlineMs: number): Promise<void>;
};

export type SinkPoolOptions = {
  /** Databases of the service: each has a pool. */
  readonly databases: number;
  readonly storeFile: string;
  readonly logLevel: string;
  readonly logger: Logger;
  /** A thread has died by itself. */
  readonly failed: (error: unknown) => void;
};

/** A small pool: one core is left to the sources and Postgres, and no thread is without a sink. */
export const sinkThreadCount = (sinks: number, databases: number, cores: number): number =>
  Math.min(sinks, Math.max(1, Math.floor((cores - 1) / databases)));

export function startSinkPool(work: readonly SinkWork[], options: SinkPoolOptions): SinkPool {
  const { storeFile, logLevel, logger, failed } = options;
  const count = sinkThreadCount(work.length, options.databases, availableParallelism());
  const threads: SinkThread[] = [];
  const bySink = new Map<string, SinkThread>();
  for (let number = 0; number < count; number++) {
    const sinks = work.filter((_, i) => i % count === number);
    const thread = startSinkThread({ sinks, storeFile, logLevel }, logger);
    thread.died.catch(failed);
    threads.push(thread);
    for (const { settings } of sinks) bySink.set(settings.name, thread);
  }
  return {
    statuses: () => threads.flatMap((thread) => thread.statuses()),
    threadOf: (sink) => bySink.get(sink),
    stop: async (deadlineMs) => {
      await Promise.all(threads.map((thread) => thread.stop(deadlineMs)));
    },
  };
}
