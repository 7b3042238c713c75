// One service over every table of a database, and what of it arrives for some SQL: the ground of the cases of conformance.
import type { Client } from 'pg';

import { configText } from '../support/config.ts';
import { serverVersion } from '../support/database-settings.ts';
import { connect, createTestDatabase } from '../support/postgres.ts';
import { startTestServer } from '../support/server.ts';
import { createWorkDirectory, startService, type ServiceProcess } from '../support/service.ts';
import { startSqsRecorder } from '../support/sqs-recorder.ts';
import { waitFor } from '../support/wait.ts';

export type Arrived = {
  readonly action: string;
  readonly record: Readonly<Record<string, unknown>>;
  readonly changes: Readonly<Record<string, unknown>> | null;
  readonly group: string | undefined;
  readonly metadata: {
    readonly table_schema: string;
    readonly table_name: string;
    readonly partition?: { readonly table_name: string };
    readonly commit_lsn: number;
    readonly commit_idx: number;
    readonly commit_timestamp: string;
    readonly unchanged_columns?: readonly string[];
  };
};

export type ConformanceService = {
  readonly client: Client;
  readonly serverVersion: number;
  readonly service: ServiceProcess;
  /** Another connection to the database, ended with the world. */
  connect(): Promise<Client>;
  start(): Promise<void>;
  /** Runs the statements, each text as a transaction of its own, and answers what arrived for them. */
  changesOf(statements: string | readonly string[], count: number): Promise<Arrived[]>;
  /** The same of what is written elsewhere; `count` changes, in the order of the log. */
  arrivedSince(mark: number, count: number): Promise<Arrived[]>;
  /** How many messages came so far. */
  mark(): number;
  end(task: Parameters<ServiceProcess['end']>[0]): Promise<void>;
};

/** `table action record`, then what an update says was there before, and what it leaves out. */
export function brief({ action, record, changes, metadata }: Arrived): string {
  const { table_schema: schema, table_name: table, partition, unchanged_columns: unchanged } = metadata;
  const name = schema === 'public' ? table : `${schema}.${table}`;
  const was = changes === null || Object.keys(changes).length === 0 ? '' : ` was ${JSON.stringify(changes)}`;
  const of = partition === undefined ? '' : ` of ${partition.table_name}`;
  const without = unchanged === undefined ? '' : ` without ${unchanged.join()}`;
  return `${name} ${action}${of} ${JSON.stringify(record)}${was}${without}`;
}

/** A server that takes prepared transactions, a database, a publication of all its tables, a FIFO queue. */
export async function conformanceService(): Promise<ConformanceService> {
  const server = await startTestServer({ settings: { max_prepared_transactions: '5' } });
  const database = await createTestDatabase(server.url());
  const { client } = database;
  await client.query(
    `create table sentinel (id int primary key); create publication ${database.name} for all tables`,
  );
  const recorder = await startSqsRecorder({ createMissing: true });
  const directory = createWorkDirectory();
  const config = configText({
    database,
    endpoint: recorder.url,
    sinks: [{ tables: [], source: '{}', extra: 'actions: [insert, update, delete, truncate]' }],
  });
  const others: Client[] = [];
  let service: ServiceProcess | undefined;
  let sentinels = 0;
  let parsed = 0;
  const messages: Arrived[] = [];
  const take = (): Arrived[] => {
    for (; parsed < recorder.messages.length; parsed++) {
      const { body, group } = recorder.messages[parsed]!;
      messages.push({ ...(JSON.parse(body) as Arrived), group });
    }
    return messages;
  };

  const world: ConformanceService = {
    client,
    serverVersion: await serverVersion(client),
    get service() {
      return service!;
    },
    connect: async () => {
      const other = await connect(database.url);
      others.push(other);
      return other;
    },
    start: async () => {
      service = startService({ directory: directory.path, config });
      await service.ready();
    },
    changesOf: async (statements, count) => {
      const mark = world.mark();
      for (const statement of typeof statements === 'string' ? [statements] : statements) {
        await client.query(statement);
      }
      return world.arrivedSince(mark, count);
    },
    arrivedSince: async (mark, count) => {
      const sentinel = ++sentinels;
      await client.query('insert into sentinel values ($1)', [sentinel]);
      const since = (): Arrived[] => take().slice(mark);
      const isSentinel = ({ metadata }: Arrived): boolean => metadata.table_name === 'sentinel';
      await waitFor(() => {
        if (service?.child.exitCode !== null) throw new Error('no service runs');
        return since().some(isSentinel) && since().length > count;
      }, `${count} changes and a sentinel`).catch(async (error: unknown) => {
        const health = await world.service.health().then(JSON.stringify, String);
        throw new Error(`${String(error)}; there were ${since().map(brief).join('\n')}; ${health}`);
      });
      const changes = since().filter((change) => !isSentinel(change));
      expectOrder(changes);
      return changes.toSorted(byPosition);
    },
    mark: () => take().length,
    end: async (task) => {
      await service?.end(task);
      await recorder.stop();
      await Promise.all(others.map((other) => other.end().catch(() => undefined)));
      await client.end();
      await server.remove();
      directory.remove();
    },
  };
  return world;
}

const byPosition = (a: Arrived, b: Arrived): number =>
  a.metadata.commit_lsn - b.metadata.commit_lsn || a.metadata.commit_idx - b.metadata.commit_idx;

/** Messages of one group come in the order of the log, and a TRUNCATE between the rows before and after it. */
function expectOrder(changes: readonly Arrived[]): void {
  const lastOfGroup = new Map<string, Arrived>();
  const lastTruncate = new Map<string, Arrived>();
  const lastOfTable = new Map<string, Arrived>();
  for (const change of changes) {
    const { table_name: table } = change.metadata;
    const before =
      change.action === 'truncate'
        ? [lastOfTable.get(table)]
        : [lastOfGroup.get(`${table} ${change.group}`), lastTruncate.get(table)];
    for (const earlier of before) {
      if (earlier !== undefined && byPosition(earlier, change) >= 0) {
        throw new Error(`${brief(change)} came after ${brief(earlier)}`);
      }
    }
    lastOfGroup.set(`${table} ${change.group}`, change);
    if (change.action === 'truncate') lastTruncate.set(table, change);
    const last = lastOfTable.get(table);
    if (last === undefined || byPosition(last, change) < 0) lastOfTable.set(table, change);
  }
}
