// Writers, long transactions and ALTER TYPE at once, with restarts in between: no value ever stands under a name that is not its own.
import { join } from 'node:path';
import * as fc from 'fast-check';
import type { Client } from 'pg';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { openStore } from '../../../src/store/sqlite.ts';
import { connect, createTestDatabase, waitFor, type TestDatabase } from '../../support/postgres.ts';
import { databaseSettings } from '../../support/database-settings.ts';
import { renderValue } from '../../support/decode.ts';
import {
  createSourceDirectory,
  startTestSource,
  type LoggedRow,
  type SourceDirectory,
  type TestSource,
} from '../../support/source.ts';

/** Steps of each session, and how often the source is stopped and started again meanwhile. */
const STEPS = 60;
const RESTARTS = 2;
/** Names of attributes, of which a type has at least one. */
const NAMES = ['a', 'b', 'c', 'd', 'e', 'f'];
const LAST_ID = 1_000_000;

let database: TestDatabase;
let directory: SourceDirectory;
let store: ReturnType<typeof openStore>;
let source: TestSource | undefined;

beforeEach(async () => {
  database = await createTestDatabase();
  directory = createSourceDirectory();
  store = openStore(join(directory.path, 'store.db'));
  await database.client.query(`create type addr as (a text, b text); create domain home as addr;
    create type person as (home home, homes addr[]);
    create table t (id int primary key, a addr, p person);
    create table of_long_transactions (like t including all)`);
});
afterEach(async () => {
  await source?.stop();
  store.close();
  directory.remove();
  await database.drop();
});

const settings = () => databaseSettings(database, { publication: { refreshIntervalMs: 20 } });

/** Waits for two looks that begin after this. */
async function looked(): Promise<void> {
  const newest = () => store.looks.newest(settings().name)?.at;
  for (let i = 0; i < 2; i++) {
    const before = newest();
    await waitFor(() => Promise.resolve(newest() !== before), 'a look');
  }
}

async function start(): Promise<void> {
  source = startTestSource(databaseSettings(database, { publication: { refreshIntervalMs: 20 } }), directory);
  source.ended.catch(() => undefined);
  await source.ready;
}

/**
 * Who writes a row, and who alters the type, keep each other out for a statement, so that a writer knows the names at the place in
 * the WAL where its row will stand.
 */
const WRITING = 'select pg_advisory_lock_shared(1)';
const WRITTEN = 'select pg_advisory_unlock_shared(1)';
const ALTERING = 'select pg_advisory_lock(1)';
const ALTERED = 'select pg_advisory_unlock(1)';

async function namesNow(client: Client): Promise<readonly string[]> {
  const { rows } = await client.query<{ attname: string }>(
    `select attname from pg_attribute where attrelid = (select typrelid from pg_type where typname = 'addr')
     and attnum > 0 and not attisdropped order by attnum`,
  );
  return rows.map(({ attname }) => attname);
}

let ids = 0;

/** A row whose values are the names that they stand under. */
async function write(client: Client, table = 't'): Promise<void> {
  const names = await namesNow(client);
  const addr = `row(${names.map((name) => `'${name}'`).join(', ')})::addr`;
  await client.query(`insert into ${table} values (${++ids}, ${addr}, row(${addr}, array[${addr}, null]))`);
}

async function writeLocked(client: Client, table = 't'): Promise<void> {
  await client.query(WRITING);
  try {
    await write(client, table);
  } finally {
    await client.query(WRITTEN);
  }
}

/** One ALTER TYPE that is possible now. */
async function alter(client: Client, choice: number): Promise<void> {
  const names = await namesNow(client);
  const free = NAMES.filter((name) => !names.includes(name));
  const name = names[choice % names.length]!;
  const other = free[choice % free.length];
  const actions = [
    ...(other === undefined
      ? []
      : [`rename attribute ${name} to ${other} cascade`, `add attribute ${other} text cascade`]),
    ...(names.length > 1 ? [`drop attribute ${name} cascade`] : []),
  ];
  await client.query(`alter type addr ${actions[choice % actions.length]!}`);
}

async function alterLocked(client: Client, choice: number): Promise<void> {
  await client.query(ALTERING);
  try {
    // Looks before and after, while nothing is written: from one shape to the next without a row between that is text.
    const isAlone = choice % 4 === 0;
    if (isAlone) await looked();
    await client.query('begin');
    // The first choice is another name: nothing but the name tells the two shapes apart.
    await alter(client, isAlone ? 0 : choice);
    if (choice % 3 === 0) {
      await write(client);
      await alter(client, choice >> 2);
      await write(client);
    }
    await client.query(choice % 5 === 0 ? 'rollback' : 'commit');
    if (isAlone) await looked();
  } finally {
    await client.query(ALTERED);
  }
}

/** Transactions of several statements, between which the type may change. */
async function writeLong(client: Client, choice: number): Promise<void> {
  await client.query('begin');
  for (let i = 0; i <= choice % 4; i++) await writeLocked(client, 'of_long_transactions');
  await client.query('commit');
}

async function repeat(choices: readonly number[], step: (client: Client, choice: number) => Promise<void>) {
  const client = await connect(database.url);
  try {
    for (const choice of choices) await step(client, choice);
  } finally {
    await client.end();
  }
}

/** Everything that is logged once the last row is. */
async function everything(): Promise<readonly LoggedRow[]> {
  await database.client.query(`insert into t values (${LAST_ID}, null, null)`);
  return waitFor(async () => {
    const { rows } = await source!.read();
    return rows.at(-1)?.values[0] === String(LAST_ID) && rows.slice(0, -1);
  }, 'the log to have everything');
}

function rendered({ relation, values }: LoggedRow): unknown[] {
  return relation.columns
    .map(({ type }, i) => JSON.parse(renderValue(type, values[i]!, { types: relation.types })) as unknown)
    .slice(1);
}

/** Is each value what it is called? What is text is called nothing. */
function isTrue(value: unknown): boolean {
  if (typeof value !== 'object' || value === null) return true;
  if (Array.isArray(value)) return value.every(isTrue);
  return Object.entries(value).every(([name, member]) =>
    typeof member === 'string' && !'({'.includes(member[0]!) ? member === name : isTrue(member),
  );
}

test('every value that is not text stands under its own name, and some do', async () => {
  const draw = fc.sample(fc.array(fc.nat(1_000_000), { minLength: STEPS, maxLength: STEPS }), 3);
  let isDone = false;
  await start();
  const work = Promise.all([
    repeat(draw[0]!, (client) => writeLocked(client)),
    repeat(draw[1]!, writeLong),
    repeat(draw[2]!, alterLocked),
  ]).finally(() => (isDone = true));
  for (let i = 0; i < RESTARTS; i++) {
    const before = ids;
    await waitFor(() => Promise.resolve(isDone || ids > before + STEPS / 2), 'more rows');
    await source!.stop();
    await start();
  }
  await work;
  const rows = await everything();
  const values = rows.flatMap(rendered);
  expect(values.filter((value) => !isTrue(value))).toEqual([]);
  expect(values.some((value) => typeof value === 'object')).toBe(true);
  expect(values.some((value) => typeof value === 'string')).toBe(true);
});
