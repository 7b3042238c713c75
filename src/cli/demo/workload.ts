// The demo's application: small transactions that insert, update and delete users and orders.
import { setTimeout as sleep } from 'node:timers/promises';
import type { Client } from 'pg';
import type { Accounting, DemoChange } from './accounting.ts';

export const DEMO_TABLES = ['users', 'orders'] as const;
type Table = (typeof DEMO_TABLES)[number];

const SCHEMA = `
  create table users (
    id bigint generated always as identity primary key,
    name text not null, email text not null, version int not null);
  create table orders (
    id bigint generated always as identity primary key,
    user_id bigint not null, status text not null, total numeric(10, 2) not null, version int not null)`;

export type WorkloadOptions = {
  readonly client: Client;
  readonly accounting: Accounting;
  /** Ends after so many row changes; undefined: goes on until `signal` aborts, at a pace to watch. */
  readonly rows: number | undefined;
  readonly signal: AbortSignal;
  /** In [0, 1). */
  readonly random: () => number;
};

/** About twenty changes a second, two to a transaction. */
const WATCHING_PAUSE_MS = 100;
const MAX_CHANGES_WATCHING = 3;
const MAX_CHANGES_BULK = 20;
/** The consumer is slower than a writer without pauses: further behind than this, the writer waits for it. */
const MAX_OUTSTANDING = 2_000;
const BEHIND_PAUSE_MS = 20;
/** Live rows of a table, above which deletes become as likely as inserts. */
const MANY_ROWS = 200;
const ROLLBACK_SHARE = 0.05;

const NAMES = ['Ada', 'Björn', 'Chloé', 'Dmitri', 'Eun-ji', 'Fatima', 'Grace', 'Hiroshi'];
const STATUSES = ['new', 'paid', 'packed', 'sent', 'returned'];

export async function createDemoTables(client: Client): Promise<void> {
  await client.query(SCHEMA);
}

type LiveRow = { readonly id: number; version: number };
type LiveRows = Readonly<Record<Table, LiveRow[]>>;

/** Every change is announced to `accounting` before its commit. */
export async function runWorkload(options: WorkloadOptions): Promise<void> {
  const { client, accounting, rows, signal, random } = options;
  const live: LiveRows = { users: [], orders: [] };
  let left = rows ?? Number.POSITIVE_INFINITY;
  while (left > 0 && !signal.aborted) {
    if (random() < ROLLBACK_SHARE) await rollBackSomething(client, random);
    const most = rows === undefined ? MAX_CHANGES_WATCHING : MAX_CHANGES_BULK;
    const count = Math.min(left, 1 + Math.floor(random() * most));
    await client.query('begin');
    const changes: DemoChange[] = [];
    for (let i = 0; i < count; i++) changes.push(await changeSomething(client, live, random));
    accounting.expect(changes);
    await client.query('commit');
    left -= count;
    if (rows === undefined) await sleep(WATCHING_PAUSE_MS * 2 * random());
    while (accounting.verdict().outstanding > MAX_OUTSTANDING && !signal.aborted) {
      await sleep(BEHIND_PAUSE_MS);
    }
  }
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
