// A source with backfills in this process, and what a consumer of its log makes of them: each row as the last message has it.
import { setTimeout as sleep } from 'node:timers/promises';
import type { Client } from 'pg';
import { afterEach, beforeEach } from 'vitest';
import type { Backfill, BackfillRequest } from '../../src/core/backfill.ts';
import { wallTime } from '../../src/core/clock.ts';
import { LogSignals } from '../../src/log/signals.ts';
import type { DatabaseSettings } from '../../src/postgres/settings.ts';
import { databaseSettings } from './database-settings.ts';
import type { EmbeddedPostgres } from '../../src/cli/demo/embedded-postgres.ts';
import { createTestDatabase, type TestDatabase } from './postgres.ts';
import { LogConsumer, sortedRows, type ConsumedRow } from './log-consumer.ts';
import { createSourceDirectory, startTestSource, type SourceDirectory, type TestSource } from './source.ts';
import { waitFor } from './wait.ts';

/** Slow machines read slowly. */
const LIMIT_MS = 90_000;

/** The log is read whole, each time. */
const RETRY_MS = 200;

/** By its name, its slot: whoever reads the log back in the tests. */
const CONSUMER: ReadonlyMap<string, number> = new Map([['consumer', 0]]);

export const NOTES = { schema: 'public', table: 'notes' };

let count = 0;

/** Asks for a backfill, at full speed unless its limits say otherwise, and has the source look at once. */
export function ask(source: TestSource, request: Partial<BackfillRequest> = {}): string {
  const id = `b${++count}`;
  source.store.backfills.create(
    {
      database: 'shop',
      sinks: [],
      tables: [NOTES],
      ...request,
      limits: { queryTimeoutMs: 5000, givesWay: false, ...request.limits },
    },
    { id, now: wallTime() },
  );
  source.backfillsChanged();
  return id;
}

export const found = (source: TestSource, id: string): Backfill => source.store.backfills.find('shop', id)!;

/** Waits until it is over; rejects where it failed. */
export async function completed(source: TestSource, id: string, limitMs = LIMIT_MS): Promise<Backfill> {
  return waitFor(
    () => {
      const backfill = found(source, id);
      if (backfill.state === 'failed') throw new Error(`the backfill failed: ${backfill.reason}`);
      return backfill.state === 'completed' && backfill;
    },
    'the backfill to complete',
    limitMs,
  );
}

export const progressOf = ({ tables = [] }: Backfill, table = NOTES.table) =>
  tables.find((one) => one.table === table)!.progress;

/** Writes until it is stopped: updates, deletes, inserts, in transactions of several rows. */
export async function keepWriting(
  write: (i: number) => Promise<unknown>,
  signal: AbortSignal,
  pauseMs = 0,
): Promise<number> {
  let written = 0;
  for (let i = 1; !signal.aborted; i++) {
    await write(i);
    written++;
    if (pauseMs > 0) await sleep(pauseMs);
  }
  return written;
}

export type BackfillRoom = {
  database: TestDatabase;
  client: Client;
  directory: SourceDirectory;
  start(
    settings?: Partial<DatabaseSettings>,
    options?: Parameters<typeof startTestSource>[2],
  ): Promise<TestSource>;
  /** Rows of a table, as texts. */
  rowsOf(table?: string, order?: string): Promise<string[][]>;
  /** What a consumer has once the stream has brought everything: of each of these (as SQL names them) what is there. */
  consumed(source: TestSource, ...tables: readonly string[]): Promise<LogConsumer>;
};

/** A database, a directory, and sources that end with the test. `server`: of the test's own, which it may do anything to. */
export function backfillRoom({
  server,
  encoding,
}: { readonly server?: () => EmbeddedPostgres; readonly encoding?: string } = {}): BackfillRoom {
  const running: TestSource[] = [];
  const room: BackfillRoom = {
    database: undefined as never,
    client: undefined as never,
    directory: undefined as never,
    start: async (settings = {}, options = {}) => {
      const { sinkSlots = CONSUMER, signals = new LogSignals() } = options;
      // Nobody reads for sinks that hold nothing.
      for (const slot of sinkSlots.values()) signals.setHolding(slot, true);
      const source = startTestSource({ ...databaseSettings(room.database), ...settings }, room.directory, {
        ...options,
        sinkSlots,
        signals,
      });
      source.ended.catch(() => undefined);
      running.push(source);
      await source.ready;
      return source;
    },
    rowsOf: async (table = 'notes', order = 'id') => {
      const text = `select * from ${table} order by ${order}`;
      const types = { getTypeParser: () => String };
      return (await room.client.query<string[]>({ text, rowMode: 'array', types } as never)).rows;
    },
    consumed: async (source, ...tables) => {
      let left: Present[] = [];
      for (const table of tables.length === 0 ? ['notes'] : tables)
        left.push(await presentRows(room.client, table));
      const told = (): string => left.map(({ table }) => table).join(', ');
      return waitFor(
        async () => {
          const consumer = new LogConsumer((await source.read()).rows);
          left = left.filter(
            ({ table, columns, rows }) =>
              sortedRows(consumer.rowsOf(table), columns).join() !== sortedRows(rows, columns).join(),
          );
          if (left.length === 0) return consumer;
          // The source has the same processor.
          await sleep(RETRY_MS);
          return false;
        },
        () => `the consumer to have what the tables have: ${told()}`,
      );
    },
  };
  beforeEach(async () => {
    room.database = await createTestDatabase(server?.().url(), encoding);
    room.client = room.database.client;
    room.directory = createSourceDirectory();
  });
  afterEach(async () => {
    await Promise.all(running.splice(0).map((source) => source.stop()));
    room.directory.remove();
    await room.database.drop();
  });
  return room;
}

type Present = {
  readonly table: string;
  readonly columns: readonly string[];
  readonly rows: readonly ConsumedRow[];
};

/** As the stream writes the values. */
async function presentRows(client: Client, table: string): Promise<Present> {
  const text = `select * from ${table}`;
  await client.query(`set timezone = 'UTC'; set intervalstyle = 'iso_8601'; set extra_float_digits = 3`);
  const { fields, rows } = await client.query<ConsumedRow>({
    text,
    types: { getTypeParser: () => String },
  } as never);
  const name = table.slice(table.lastIndexOf('.') + 1).replaceAll('"', '');
  return { table: name, columns: fields.map((field) => field.name), rows };
}
