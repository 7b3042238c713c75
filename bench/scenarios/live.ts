// A database with the bench's table and a service that streams from it, for the scenarios that load while it runs.
import { TABLE_COLUMNS } from '../load/mixed.ts';
import { startTailrace, type BenchSink, type Tailrace, type TailraceOptions } from '../tailrace.ts';
import type { Database, Workbench } from '../workbench.ts';

export const QUEUE = 'bench.fifo';
export const SINK: BenchSink = { name: 'bench', queue: QUEUE, table: 't' };

export type Live = {
  readonly database: Database;
  readonly options: TailraceOptions;
  readonly tailrace: Tailrace;
  /** Stops the service, drops the database. */
  readonly end: () => Promise<void>;
};

/** Resolves when the service streams. The endpoint begins anew. */
export async function startLive(
  bench: Workbench,
  what: {
    readonly sinks: readonly BenchSink[];
    readonly slotOptions?: Readonly<Record<string, string>>;
    /** Fills the table before anything reads it. */
    readonly fill?: (database: Database) => Promise<void>;
  },
): Promise<Live> {
  await bench.endpoint.reset();
  const database = await bench.newDatabase();
  await database.client.query(`create table t (${TABLE_COLUMNS})`);
  const { fill, ...served } = what;
  await fill?.(database);
  await database.client.query('create publication bench for table t');
  const options: TailraceOptions = { database, slot: database.name, publication: 'bench', ...served };
  const directory = bench.newDirectory();
  const tailrace = startTailrace(bench, directory.path, options);
  await tailrace.until(tailrace.service.ready());
  return {
    database,
    options,
    tailrace,
    end: async () => {
      await tailrace.stop();
      directory.remove();
      await database.drop();
    },
  };
}
