// Which sink runs where: every database with its source thread and its sink threads, found by the sink's name.
import type { Logger } from 'pino';
import type { ProcessLife } from '../../core/process-life.ts';
import type { DatabaseStatus, SinkStatus, WantedStatus } from '../../core/status.ts';
import type { SinkId } from '../../store/sink-records.ts';
import type { Store } from '../../store/sqlite.ts';
import type { ServiceSettings } from '../settings.ts';
import { recallSinks } from '../sink/life.ts';
import type { SinkThread } from '../sink/thread.ts';
import { Database } from './database.ts';

export type TopologyOptions = {
  readonly settings: ServiceSettings;
  readonly store: Store;
  readonly version: string;
  /** Of this process, under the lock of the data directory. */
  readonly life: ProcessLife;
  readonly logger: Logger;
  /** The service cannot go on. */
  readonly failed: (error: unknown) => void;
  /** Aborts when the service is not wanted any more: what has not started yet does not start. */
  readonly signal: AbortSignal;
};

export class Topology {
  readonly #databases: Database[] = [];

  /** Starts one database after the other. Throws TailraceError; those that run already are to be stopped then. */
  async start(options: TopologyOptions): Promise<void> {
    const { settings, store, logger } = options;
    const sinks = recallSinks(settings, store, logger);
    for (const database of settings.databases) {
      const own = sinks.filter((sink) => sink.database === database.name);
      const started = await Database.start({ ...options, database, sinks: own });
      if (started === undefined) return;
      this.#databases.push(started);
    }
  }

  databases(): readonly DatabaseStatus[] {
    return this.#databases.map((database) => database.status());
  }

  sinks(): readonly SinkStatus[] {
    return this.#databases.flatMap((database) => database.sinks());
  }

  /** The thread that runs a sink; undefined while its database has no log yet. */
  threadOf({ database, sink }: SinkId): SinkThread | undefined {
    return this.#find(database)?.threadOf(sink);
  }

  /** Another status for a sink that does not run yet. */
  startAs({ database, sink }: SinkId, status: WantedStatus): void {
    this.#find(database)?.startAs(sink, status);
  }

  /** The store has other backfills of a database than before, or in other states. */
  backfillsChanged(database: string): void {
    this.#find(database)?.backfillsChanged();
  }

  /** Sinks first: what they settle last is what the sources confirm last. */
  async stop(deadlineMs: number): Promise<void> {
    await Promise.all(this.#databases.map((database) => database.stopSinks(deadlineMs)));
    await Promise.all(this.#databases.map((database) => database.stopSource()));
  }

  #find(name: string): Database | undefined {
    return this.#databases.find((database) => database.name === name);
  }
}
