import { mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, truncateSync, writeFileSync } from 'node:fs';
import { DatabaseSync } from 'node:sqlite';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { beforeEach, expect, onTestFinished, test } from 'vitest';
import { openStore } from '../../src/store/sqlite.ts';
import { letterAt, SINK } from '../support/letters.ts';

/** As the first version made it. */
const VERSION_1 = `
  create table sinks (
    database text not null,
    name text not null,
    rewinds integer not null default 0,
    created_at text not null,
    primary key (database, name)
  ) strict;
  create table dead_letters (
    id integer primary key autoincrement,
    database text not null,
    sink text not null,
    epoch integer not null,
    commit_lsn text not null,
    change_index integer not null,
    idempotency_key text not null,
    schema_name text not null,
    table_name text not null,
    action text not null,
    message_group text not null,
    route text not null,
    payload blob,
    payload_bytes integer not null,
    code text not null,
    reason text not null,
    attempts integer not null,
    created_at text not null,
    unique (database, sink, epoch, commit_lsn, change_index)
  ) strict;
  insert into sinks values ('shop', 'users', 3, '2026-01-02T03:04:05.000Z');
  insert into dead_letters values (7, 'shop', 'users', 0, '1/A', 2, 'key-1-10000000a-2', 'public', 't', 'insert', 'g', 'q',
    x'7b7d', 2, 'BAD', 'refused', 4, '2026-01-02T03:04:06.000Z');
  pragma user_version = 1;
`;

let file: string;
beforeEach(() => {
  const directory = mkdtempSync(join(tmpdir(), 'tailrace-store-'));
  onTestFinished(() => rmSync(directory, { recursive: true }));
  file = join(directory, 'tailrace.db');
});

function makeVersion1(): void {
  const old = new DatabaseSync(file);
  old.exec(`pragma journal_mode = wal; ${VERSION_1}`);
  old.close();
}

test('a store of version 1 is brought up to date with everything in it, after a copy', () => {
  makeVersion1();
  // What a migration that did not come to its end has left.
  writeFileSync(`${file}.version-1`, 'half');
  const store = openStore(file);
  expect(store.sinks.names('shop')).toEqual(['users']);
  expect(store.sinks.find(SINK)).toEqual({
    rewinds: 3,
    hasBegun: true,
    place: undefined,
    letGoAt: undefined,
    leftLsn: undefined,
    rewindTo: undefined,
    replayRate: undefined,
  });
  expect(store.sinks.reconcile(SINK, { configured: 'paused', now: new Date() })).toBe('paused');
  expect(store.deadLetters.find(SINK, 7)).toMatchObject({
    position: { epoch: 0, commitLsn: 0x1_0000_000an, index: 2 },
    payload: Uint8Array.from(Buffer.from('{}')),
    attempts: 4,
    state: 'dead',
    createdAt: '2026-01-02T03:04:06.000Z',
    lastFailedAt: '2026-01-02T03:04:06.000Z',
  });
  store.close();

  const copy = new DatabaseSync(`${file}.version-1`, { readOnly: true });
  expect(copy.prepare('pragma user_version').get()).toEqual({ user_version: 1 });
  expect(copy.prepare('select rewinds, created_at from sinks').all()).toEqual([
    { rewinds: 3, created_at: '2026-01-02T03:04:05.000Z' },
  ]);
  expect(copy.prepare('select id, payload from dead_letters').all()).toHaveLength(1);
  copy.close();
  expect(statSync(`${file}.version-1`).mode & 0o777).toBe(0o600);

  const again = openStore(file);
  expect(again.deadLetters.counts(SINK).kept).toBe(1);
  again.close();
});

test('a migration that fails leaves the store of version 1 as it was', () => {
  makeVersion1();
  const old = new DatabaseSync(file);
  old.exec('create table sink_gaps (in_the_way text)');
  old.close();
  expect(() => openStore(file)).toThrow('cannot be opened');
  const still = new DatabaseSync(file, { readOnly: true });
  expect(still.prepare('pragma user_version').get()).toEqual({ user_version: 1 });
  expect(still.prepare('select name, created_at from sinks').all()).toHaveLength(1);
  still.close();
});

test('what is no store is refused with a cure that says what goes with it', () => {
  const directory = mkdtempSync(join(tmpdir(), 'tailrace-store-'));
  onTestFinished(() => rmSync(directory, { recursive: true }));
  const file = join(directory, 'tailrace.db');
  writeFileSync(file, 'x'.repeat(8192));
  const refused = expect.objectContaining({
    code: 'STORE_UNUSABLE',
    hint: expect.stringMatching(/moved away with its -wal and -shm.*dead letters/) as string,
  });
  expect(() => openStore(file)).toThrow(refused);
  rmSync(file);
  mkdirSync(file);
  expect(() => openStore(file)).toThrow(refused);
});

test('a store that a newer version wrote is refused', () => {
  const newer = new DatabaseSync(file);
  newer.exec('pragma user_version = 99');
  newer.close();
  expect(() => openStore(file)).toThrow(expect.objectContaining({ code: 'STORE_VERSION' }));
});

/** A store of many pages, one of which the disk has lost: one that opening it does not read. */
function loseAPage(): void {
  const store = openStore(file);
  for (let i = 1; i <= 200; i++) store.deadLetters.add(letterAt(i), new Date());
  store.close();
  const bytes = readFileSync(file);
  const pageBytes = bytes.readUInt16BE(16);
  const pages = bytes.length / pageBytes;
  expect(pages).toBeGreaterThan(20);
  bytes.fill(0xff, (pages - 4) * pageBytes, (pages - 3) * pageBytes);
  writeFileSync(file, bytes);
}

test('a page that is lost is found when the store is opened by the service, not when it is needed', () => {
  loseAPage();
  openStore(file).close();
  expect(() => openStore(file, { check: true })).toThrow(
    expect.objectContaining({
      code: 'STORE_UNUSABLE',
      message: expect.stringContaining('damaged') as string,
    }),
  );
});

test('a store that is large is not looked through: that would take long', () => {
  loseAPage();
  // Behind its pages there is nothing, which SQLite passes over.
  truncateSync(file, 65 * 1024 * 1024);
  const store = openStore(file, { check: true });
  expect(store.isNew).toBe(false);
  store.close();
});
