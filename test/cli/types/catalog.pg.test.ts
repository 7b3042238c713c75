// `tailrace types` beside what a catalog may hold: rows of every kind of table, names that mean something, and that all of it compiles. Runs on
// every version of Postgres.
import { execFile } from 'node:child_process';
import { writeFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { promisify } from 'node:util';
import { expect, test } from 'vitest';
import { pageBlocks } from '../../support/page.ts';
import { compileMessages } from '../../support/typed-messages.ts';
import { ORDERS, typesRoom, USERS } from '../../support/types-room.ts';

const run = promisify(execFile);
const root = resolve(import.meta.dirname, '../../..');

const room = typesRoom();

/** What the compiler says of a file, which has nothing unused. */
async function compile(file: string, text: string): Promise<string> {
  await writeFile(join(room.directory, file), text);
  await writeFile(join(room.directory, 'package.json'), '{ "type": "module" }');
  const tsc = join(root, 'node_modules/typescript/lib/tsc.js');
  const flags = ['--strict', '--noEmit', '--module', 'nodenext', '--noUnusedLocals', '--types', ''];
  const ran = await run(process.execPath, [tsc, ...flags, file], { cwd: room.directory }).catch(
    (error: unknown) => error as { stdout: string },
  );
  return ran.stdout;
}

test('the types of a row: enums, NULLs, exact numerics, arrays, what an update may lack, what a delete has', async () => {
  await room.configure(ORDERS);
  const { code, stdout } = await room.types();
  expect(code).toBe(0);
  expect(stdout).toContain(`export type OrdersRecord = {
  /** integer */
  id: number;
  /** public.state */
  state: "new" | "paid";
  /** numeric(10,2) */
  price: string | null;
  /** character varying(20) */
  note: string | null;
  /** text[] */
  tags: Dimensions<string> | null;
};`);
  expect(stdout).toContain(`  note?: string | null;
  /** text[] */
  tags?: Dimensions<string> | null;`);
  expect(stdout).toContain(`export type OrdersDeleteRecord = {
  /** integer */
  id: number;
};`);
  expect(stdout).toContain('export type Orders = OrdersInsert | OrdersUpdate | OrdersDelete | OrdersRead;');
});

test('a partitioned table, a generated column, a domain and a composite are as their rows are', async () => {
  await room.database.client.query(`create domain positive as int check (value > 0);
    create type place as (street text, number positive);
    create table parts (id positive, at place, twice int generated always as (1) stored, region text, primary key (id, region)) partition by list (region);
    create table parts_eu partition of parts for values in ('eu'); create table parts_us partition of parts for values in ('us');
    alter table parts_us replica identity full`);
  await room.configure({ name: 'parts', tables: ['parts'], extra: 'format: tailrace' });
  const { stdout } = await room.types();
  expect(stdout).toContain(`export type PartsRecord = {
  /** public.positive */
  id: number;
  /** public.place */
  at: {
    street: string | null;
    number: number | null;
  } | null;
  /** text */
  region: string;
};`);
  // Of one partition a delete has every column, of the other one the key's alone.
  expect(stdout).toMatch(
    /PartsDeleteRecord = \{\s+\/\*\* public\.positive \*\/\s+id: number;\s+\/\*\* public\.place \*\/\s+at\?: /,
  );
});

test('several sinks in one text are namespaces, which compile', async () => {
  await room.configure(ORDERS, USERS, { ...ORDERS, name: 'events', extra: 'format: cloudevents' });
  const { code, stdout } = await room.types();
  expect(code).toBe(0);
  await writeFile(join(room.directory, 'all.ts'), stdout);
  expect(
    await compile(
      'use.ts',
      `import type { OrdersSink, Events } from './all.js';
export const state: OrdersSink.OrdersRecord['state'] = 'paid';
export const type: Events.Orders['type'] = 'tailrace.insert';
// @ts-expect-error
export const wrong: OrdersSink.OrdersRecord['state'] = 'lost';\n`,
    ),
  ).toBe('');
});

test('names of tables and columns that mean something to TypeScript, or look alike, do no harm', async () => {
  await room.database.client
    .query(`create table users_insert (id int primary key); create table "Users" (id int primary key);
    create table "string" (id int primary key, "a""b" int, "*/" int); create table record (id int primary key);
    create table "int8" (id int8 primary key, a int[]); create table "../up" (id int primary key); create table "1st" (id int primary key);
    create table "таблица" (id int primary key); create table any_message (id int primary key); create table "index" (id int primary key);
    create schema shop; create table shop.users (id int primary key)`);
  await room.configure({ name: 'all', tables: [], source: '{ exclude_tables: [public.orders] }' });
  expect(await room.types('--out', 'types')).toMatchObject({ code: 0, stderr: '' });
  const all = await room.files();
  const lower = all.map((file) => file.toLowerCase());
  expect(new Set(lower).size).toBe(all.length);
  expect(all.filter((file) => /[^\w./-]/.test(file) || file.includes('..'))).toEqual([]);
  expect(all.filter((file) => file.endsWith('.schema.json'))).toHaveLength(12);
  expect(await compileMessages(join(room.directory, 'types'), [])).toBe('');
});

test('the example of docs/types.md compiles beside the types of a table as most are', async () => {
  await room.database.client.query('alter table users add email text not null');
  await room.configure({ ...USERS, name: 'users' });
  await room.types('--out', 'messages');
  const example = pageBlocks('docs/types.md').find(({ language }) => language === 'ts')!.text;
  const declared = 'declare const console: { log(...values: unknown[]): void };\nexport { handle };\n';
  expect(await compile('use.ts', example + declared)).toBe('');
  // As the page says of changes.
  const wrong = example.replace(
    /=> \{/,
    `$&\n  if (message.action === 'update') console.log(message.changes.email);`,
  );
  expect(await compile('use.ts', wrong + declared)).toMatch(/'email' does not exist on type 'UsersChanges'/);
});
