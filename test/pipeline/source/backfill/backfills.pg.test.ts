// Backfills of a real source beside a real stream: what the log holds at the end is the table, and no row comes after a newer change of it.
import type { Client } from 'pg';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { DatabaseSettings } from '../../../../src/postgres/settings.ts';
import { ask, completed, Consumer, found, keepWriting, progressOf } from '../../../support/backfilled.ts';
import { databaseSettings } from '../../../support/database-settings.ts';
import { connect, createTestDatabase, type TestDatabase } from '../../../support/postgres.ts';
import {
  createSourceDirectory,
  startTestSource,
  type SourceDirectory,
  type TestSource,
} from '../../../support/source.ts';
import { waitFor } from '../../../support/wait.ts';

let database: TestDatabase;
let client: Client;
let directory: SourceDirectory;
const running: TestSource[] = [];

beforeEach(async () => {
  database = await createTestDatabase();
  client = database.client;
  directory = createSourceDirectory();
});
afterEach(async () => {
  await Promise.all(running.splice(0).map((source) => source.stop()));
  directory.remove();
  await database.drop();
});

async function start(
  settings: Partial<DatabaseSettings> = {},
  options: Parameters<typeof startTestSource>[2] = {},
): Promise<TestSource> {
  const source = startTestSource({ ...databaseSettings(database), ...settings }, directory, options);
  source.ended.catch(() => undefined);
  running.push(source);
  await source.ready;
  return source;
}

const rowsOf = async (table = 'notes', order = 'id'): Promise<string[][]> =>
  (
    await client.query({
      text: `select * from ${table} order by ${order}`,
      rowMode: 'array',
      types: { getTypeParser: () => String },
    })
  ).rows;

/** What a consumer has once the stream has brought everything. */
async function consumed(source: TestSource): Promise<Consumer> {
  await client.query('create table if not exists ends (id int primary key, v int)');
  const expected = await rowsOf();
  return waitFor(
    async () => {
      const { rows } = await source.read();
      const consumer = new Consumer(rows.filter(({ table }) => table === 'notes'));
      return JSON.stringify(consumer.table) === JSON.stringify(expected) && consumer;
    },
    'the consumer to have what the table has',
    60_000,
  );
}

describe('a table that is there already', () => {
  test('is read into the log whole, for whom it was asked for', async () => {
    await client.query(
      `create table notes (id int primary key, v int, "Text" text); insert into notes select i, 1, 'n' || i from generate_series(1, 3000) i; analyze notes`,
    );
    const source = await start();
    const id = ask(source, { sinks: [] });
    const backfill = await completed(source, id);
    const { rows, reads } = await source.read();
    expect(rows.map(({ action, values }) => [action, ...values])).toEqual(
      (await rowsOf()).map((values) => ['read', ...values]),
    );
    expect(rows[0]!.relation).toMatchObject({ schema: 'public', table: 'notes', key: ['id'] });
    expect(new Set(rows.map(({ index }) => index)).size).toBe(3000);
    expect(reads.every(({ backfill: of, sinks }) => of === id && sinks === undefined)).toBe(true);
    expect(progressOf(backfill)).toMatchObject({
      scanned: 3000,
      appended: 3000,
      dropped: 0,
      readAgain: 0,
      restarts: 0,
      estimatedRows: 3000,
    });
  });
});

describe('a table that is written to meanwhile', () => {
  test('is the consumer’s at the end, with no row after a newer change of it', async () => {
    await client.query(
      `create table notes (id int primary key, v int, note text); insert into notes select i, 0, 'n' || i from generate_series(1, 20000) i`,
    );
    const source = await start();
    const stopping = new AbortController();
    const writer = await connect(database.url);
    const writing = keepWriting((i) => {
      const id = (step: number): number => ((i * 7919 * step) % 20_000) + 1;
      return writer.query(
        `begin; update notes set v = ${i} where id between ${id(1)} and ${id(1) + 5}; delete from notes where id = ${id(3)};
         insert into notes values (${id(5)}, ${i}, 'again') on conflict (id) do update set v = ${i}; commit`,
      );
    }, stopping.signal);
    const id = ask(source);
    const backfill = await completed(source, id);
    stopping.abort();
    expect(await writing).toBeGreaterThan(10);
    await writer.end();
    const consumer = await consumed(source);
    expect(consumer.stale).toEqual([]);
    expect(progressOf(backfill).appended).toBeGreaterThan(15_000);
    expect(found(source, id).heldBy).toBeUndefined();
  });
});
