// Reads whole tables chunk by chunk, for tests of backfills.
import type { Client } from 'pg';
import { createRowEvent } from '../../src/core/change.ts';
import { decodeRow } from '../../src/pgoutput/messages.ts';
import { asRead, keyTexts } from '../../src/pgoutput/row-keys.ts';
import {
  beginReading,
  ChunkReader,
  type Chunk,
  type ChunkLimits,
  type ChunkOutcome,
  type Cut,
  type ReadingContext,
} from '../../src/postgres/backfill/chunk-reader.ts';
import type { ChunkCursor, ChunkRange } from '../../src/postgres/backfill/chunk-sql.ts';
import { leavesOf, readBackfillTable, type BackfillTable } from '../../src/postgres/backfill/table.ts';
import { connectOrdinary } from '../../src/postgres/connection/connection.ts';
import { closeConnection } from '../../src/postgres/connection/connection.ts';
import { databaseSettings, serverVersion } from './database-settings.ts';
import type { TestDatabase } from './postgres.ts';

export type ReadRow = Readonly<Record<string, string | null>>;

export const CHUNK_LIMITS: ChunkLimits = {
  statementTimeoutMs: 30_000,
  targetMs: 100,
  maxRows: 10_000,
  maxBytes: 1_000_000,
  maxRowBytes: 64_000_000,
};

/** A reader, over the one connection. */
export type TestReader = {
  cut(cursor: ChunkCursor | undefined): Promise<Cut>;
  read(range: ChunkRange): Promise<ChunkOutcome>;
  /** The ranges of all chunks, before any of them is read. */
  cutAll(): Promise<readonly ChunkRange[]>;
};

export type TestReading = {
  readonly client: Client;
  readonly context: ReadingContext;
  table(name: string): Promise<BackfillTable>;
  reader(table: BackfillTable, how?: { where?: string; limits?: Partial<ChunkLimits> }): TestReader;
  close(): Promise<void>;
};

/** A session as the source's, and the publication that the tests' tables are in. */
export async function openReading(
  database: TestDatabase,
  { publication, username = 'postgres' }: { readonly publication: string; readonly username?: string },
): Promise<TestReading> {
  const settings = databaseSettings(database, { username });
  const client = await connectOrdinary(settings, settings.hosts[0]!);
  await beginReading(client, CHUNK_LIMITS);
  const context = { publication, serverVersion: await serverVersion(database.client), role: username };
  return {
    client,
    context,
    table: async (name) => {
      const [leaf] = (await leavesOf(client, { schema: 'public', table: name }))!;
      return (await readBackfillTable(client, leaf!, context))!;
    },
    reader: (table, { where, limits } = {}) => {
      const what = { context, encoding: 'UTF8', limits: { ...CHUNK_LIMITS, ...limits } };
      return testReader(client, new ChunkReader({ table, where }, what));
    },
    close: () => closeConnection(client),
  };
}

const EVENT = createRowEvent();

/** The rows of a chunk, column by column. */
export const rowsOf = ({ rows }: Chunk, { relation }: BackfillTable): readonly ReadRow[] =>
  Array.from({ length: rows.count }, (_, i) => {
    decodeRow(rows.bytes, rows.starts[i]!, rows.ends[i]!, EVENT);
    const { starts, lengths } = EVENT.newTuple;
    return Object.fromEntries(
      relation.columns.map(({ name }, column) => {
        const [start, length] = [starts[column]!, lengths[column]!];
        return [name, length < 0 ? null : rows.bytes.toString('utf8', start, start + length)];
      }),
    );
  });

/** The keys of its rows that the table does not have, in the order of the table's key. */
export const goneKeysOf = (
  { rows }: Chunk,
  { relation, key }: BackfillTable,
): readonly (readonly string[])[] =>
  Array.from({ length: rows.count }, (_, i) => {
    decodeRow(rows.bytes, rows.starts[i]!, rows.ends[i]!, EVENT);
    if (EVENT.hasNew) throw new Error('the table has the row');
    const indexes = key.map(({ name }) => relation.columns.findIndex((column) => column.name === name));
    return asRead(keyTexts(EVENT, EVENT.oldTuple, undefined, indexes)!);
  });

/** All chunks to the table's end. */
export async function readChunks(reader: TestReader): Promise<readonly Chunk[]> {
  const chunks: Chunk[] = [];
  let cursor: ChunkCursor | undefined;
  do {
    const { range, next } = await reader.cut(cursor);
    chunks.push(...(await readWhole(reader, range)));
    cursor = next;
  } while (cursor !== undefined);
  return chunks;
}

/** The chunks of one range: more than one where it is too much at once. */
export async function readWhole(reader: TestReader, range: ChunkRange): Promise<readonly Chunk[]> {
  const chunks: Chunk[] = [];
  for (let rest: ChunkRange | undefined = range; rest !== undefined;) {
    const outcome = await reader.read(rest);
    if (outcome.kind !== 'chunk') throw new Error(`the table was ${outcome.kind}`);
    chunks.push(outcome.chunk);
    ({ rest } = outcome.chunk);
  }
  return chunks;
}

function testReader(client: Client, reader: ChunkReader): TestReader {
  const signal = AbortSignal.timeout(300_000);
  const cut: TestReader['cut'] = async (cursor) =>
    reader.cut(client, cursor ?? (await reader.first(client)), signal);
  return {
    cut,
    read: (range) => reader.read(client, range, signal),
    cutAll: async () => {
      const ranges: ChunkRange[] = [];
      for (let cursor: ChunkCursor | undefined, isLast = false; !isLast;) {
        const { range, next } = await cut(cursor);
        ranges.push(range);
        cursor = next;
        isLast = next === undefined;
      }
      return ranges;
    },
  };
}

/** A range that is all of a table with a key. */
export const WHOLE: ChunkRange = { by: 'key', after: undefined, upTo: undefined };
