// The store: what it keeps beside dead letters, and how an older file is brought up to date.
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { DatabaseSync } from 'node:sqlite';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, test } from 'vitest';
import { toLsn } from '../../src/core/lsn.ts';
import { openStore, type DeadLetter } from '../../src/store/sqlite.ts';

const directory = mkdtempSync(join(tmpdir(), 'tailrace-store-'));
afterAll(() => rmSync(directory, { recursive: true }));
let files = 0;
const newFile = (): string => join(directory, `${++files}.db`);

const letter = (action: string): DeadLetter => ({
  database: 'shop',
  sink: 'users',
  position: { epoch: 0, commitLsn: toLsn(0x10n), index: 3 },
  idempotencyKey: `key-${action}`,
  schema: 'public',
  table: 'users',
  action,
  group: 'g',
  route: 'q',
  payload: Buffer.from('{}'),
  payloadBytes: 2,
  code: 'REFUSED',
  reason: 'refused',
  attempts: 1,
});

const skipped = (commitLsn: string, changes: number) => ({
  xid: 700,
  epoch: 0,
  commitLsn,
  changes,
  committedAt: '2026-01-02T03:04:05.000Z',
});

test('both halves of a change can be dead letters, each once', () => {
  const store = openStore(newFile());
  for (const action of ['delete', 'insert', 'delete']) store.addDeadLetter(letter(action), new Date());
  expect(store.deadLetters('shop', 'users').map(({ action }) => action)).toEqual(['delete', 'insert']);
  store.close();
});

test('a skipped transaction is kept once, for its sink', () => {
  const store = openStore(newFile());
  store.addSkipped('shop', 'users', [skipped('0/10', 5), skipped('0/20', 1)]);
  store.addSkipped('shop', 'users', [skipped('0/10', 5)]);
  expect(store.skipped('shop', 'users')).toEqual([skipped('0/10', 5), skipped('0/20', 1)]);
  expect(store.skipped('shop', 'orders')).toEqual([]);
  store.close();
});

test('the tables of a database that joined the publication are kept with their positions', () => {
  const store = openStore(newFile());
  const tables = [{ schema: 'public', table: 'a', from: '0/10', at: '2026-01-02T03:04:05.000Z' }];
  store.addStreamedTables('shop', tables);
  store.addStreamedTables('shop', tables);
  expect(store.streamedTables('shop')).toEqual(tables);
  store.close();
});

test('a file of the first version keeps its dead letters, takes what is new, and a copy of it stays', () => {
  const file = newFile();
  const db = new DatabaseSync(file);
  db.exec(`
    create table sinks (database text not null, name text not null, rewinds integer not null default 0,
      created_at text not null, primary key (database, name)) strict;
    create table dead_letters (id integer primary key autoincrement, database text not null, sink text not null,
      epoch integer not null, commit_lsn text not null, change_index integer not null, idempotency_key text not null,
      schema_name text not null, table_name text not null, action text not null, message_group text not null,
      route text not null, payload blob, payload_bytes integer not null, code text not null, reason text not null,
      attempts integer not null, created_at text not null,
      unique (database, sink, epoch, commit_lsn, change_index)) strict;
    insert into dead_letters values (7, 'shop', 'users', 0, '0/10', 3, 'key-delete', 'public', 'users', 'delete', 'g', 'q',
      x'7b7d', 2, 'REFUSED', 'refused', 1, '2026-01-02T03:04:05.000Z');
    insert into sinks values ('shop', 'users', 2, '2026-01-02T03:04:05.000Z');
    pragma user_version = 1`);
  db.close();
  const store = openStore(file);
  store.addDeadLetter(letter('insert'), new Date());
  expect(store.deadLetters('shop', 'users').map(({ id, action }) => [id, action])).toEqual([
    [7, 'delete'],
    [8, 'insert'],
  ]);
  expect(store.registerSink('shop', 'users', new Date())).toBe(2);
  store.close();
  expect(existsSync(`${file}.v1`)).toBe(true);
  openStore(file).close();
});

test('a file of a later version is refused by name', () => {
  const file = newFile();
  const db = new DatabaseSync(file);
  db.exec('pragma user_version = 99');
  db.close();
  expect(() => openStore(file)).toThrow('has version 99');
});
