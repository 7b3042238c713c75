// The demo's application: small transactions that insert, update and delete users and orders.
import { setTimeout as sleep } from 'node:timers/promises';
import type { Client } from 'pg';
import type { Accounting, DemoChange } from './accounting.ts';

export const DEMO_TABLES = ['users', 'orders'] as const;
type Table = (typeof DEMO_TABLES)[number];

const SCHEMA = `
  create table if not exists users (
    id bigint generated always as identity primary key,
    name text not null, email text not null, version int not null);
  create table if not exists orders (
    id bigint generated always as identity primary key,
    user_id bigint not null, status text not null, total numeric(10, 2) not null, version int not null)`;

/** `watching`: about ten small transactions a second; `steady`: a hundred of one row; `bulk`: as fast as it goes, in larger ones. */
export type Pace = 'watching' | 'steady' | 'bulk';

const PACES: Readonly<Record<Pace, { readonly mostChanges: number; readonly pauseMs: number }>> = {
  watching: { mostChanges: 3, pauseMs: 100 },
  steady: { mostChanges: 1, pauseMs: 10 },
  bulk: { mostChanges: 20, pauseMs: 0 },
};

export type Work = {
  readonly pace: Pace;
  /** Ends after so many row changes; infinity: when `signal` aborts. */
  readonly changes: number;
  readonly signal: AbortSignal;
};

export type WorkloadOptions = {
  readonly client: Client;
  /** Every change is announced to it before its commit. */
  readonly accounting: Pick<Accounting, 'expect' | 'verdict'>;
  /** In [0, 1). */
  readonly random: () => number;
};

/** The consumer is slower than a writer without pauses: further behind than this, the writer waits for it. */
const MAX_OUTSTANDING = 2_000;
const BEHIND_PAUSE_MS = 20;
/** Live rows of a table, above which deletes become as likely as inserts. */
const MANY_ROWS = 200;
const ROLLBACK_SHARE = 0.05;

const NAMES = ['Ada', 'Björn', 'Chloé', 'Dmitri', 'Eun-ji', 'Fatima', 'Grace', 'Hiroshi'];
const STATUSES = ['new', 'paid', 'packed', 'sent', 'returned'];

/** Of each table the highest id that an earlier demo has given: messages of such rows are of its changes. */
export type EarlierRows = Readonly<Record<string, number>>;

export async function createDemoTables(client: Client): Promise<EarlierRows> {
  await client.query(SCHEMA);
  const earlier: Record<string, number> = {};
  for (const table of DEMO_TABLES) {
    // The sequence, not the rows: those that were deleted count too.
    const { rows } = await client.query<{ last: string }>(
      `select coalesce(pg_sequence_last_value(pg_get_serial_sequence($1, 'id')::regclass), 0) as last`,
      [table],
    );
    earlier[table] = Number(rows[0]!.last);
  }
  return earlier;
}

type LiveRow = { readonly id: number; version: number };
type LiveRows = Readonly<Record<Table, LiveRow[]>>;

/** An application that knows the rows it has made, over several pieces of work. */
export function createWorkload({
  client,
  accounting,
  random,
}: WorkloadOptions): (work: Work) => Promise<void> {
  const live: LiveRows = { users: [], orders: [] };
  return async ({ pace, changes, signal }) => {
    const { mostChanges, pauseMs } = PACES[pace];
    let left = changes;
    while (left > 0 && !signal.aborted) {
      if (random() < ROLLBACK_SHARE) await rollBackSomething(client, random);
      const count = Math.min(left, 1 + Math.floor(random() * mostChanges));
      await client.query('begin');
      const made: DemoChange[] = [];
      for (let i = 0; i < count; i++) made.push(await changeSomething(client, live, random));
      accounting.expect(made);
      await client.query('commit');
      left -= count;
      // On the average `pauseMs`, and never in step with anything.
      if (pauseMs > 0) await sleep(pauseMs * 2 * random());
      while (accounting.verdict().outstanding > MAX_OUTSTANDING && !signal.aborted) {
        await sleep(BEHIND_PAUSE_MS);
      }
    }
  };
}

const pick = <T>(items: readonly T[], random: () => number): T => items[Math.floor(random() * items.length)]!;

async function changeSomething(client: Client, live: LiveRows, random: () => number): Promise<DemoChange> {
  const table = pick(DEMO_TABLES, random);
  const rows = live[table];
  const chance = random();
  const deleteShare = rows.length > MANY_ROWS ? 0.4 : 0.15;
  if (rows.length === 0 || chance < 0.4) {
    const id = await insert(client, table, random);
    rows.push({ id, version: 1 });
    return { table, id, action: 'insert', version: 1 };
  }
  const at = Math.floor(random() * rows.length);
  const row = rows[at]!;
  row.version++;
  if (chance > 1 - deleteShare) {
    rows.splice(at, 1);
    await client.query(`delete from ${table} where id = $1`, [row.id]);
    return { table, id: row.id, action: 'delete', version: row.version };
  }
  await update(client, table, row, random);
  return { table, id: row.id, action: 'update', version: row.version };
}

async function insert(client: Client, table: Table, random: () => number): Promise<number> {
  const name = pick(NAMES, random);
  const { rows } =
    table === 'users'
      ? await client.query<{ id: string }>(
          'insert into users (name, email, version) values ($1, $2, 1) returning id',
          [name, `${name.toLowerCase()}@example.com`],
        )
      : await client.query<{ id: string }>(
          'insert into orders (user_id, status, total, version) values ($1, $2, $3, 1) returning id',
          [1 + Math.floor(random() * 100), 'new', price(random)],
        );
  return Number(rows[0]!.id);
}

const price = (random: () => number): string => (random() * 500).toFixed(2);

async function update(client: Client, table: Table, row: LiveRow, random: () => number): Promise<void> {
  if (table === 'users') {
    const email = `${pick(NAMES, random).toLowerCase()}.${row.version}@example.com`;
    await client.query('update users set email = $2, version = $3 where id = $1', [
      row.id,
      email,
      row.version,
    ]);
  } else {
    const status = pick(STATUSES, random);
    await client.query('update orders set status = $2, version = $3 where id = $1', [
      row.id,
      status,
      row.version,
    ]);
  }
}

/** Nothing of this may arrive anywhere. */
async function rollBackSomething(client: Client, random: () => number): Promise<void> {
  await client.query('begin');
  await insert(client, pick(DEMO_TABLES, random), random);
  await client.query('rollback');
}
