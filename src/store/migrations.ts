// The shapes that the store has had, each made from the one before: an older file is brought up to date in one transaction.
import { existsSync } from 'node:fs';
import type { DatabaseSync } from 'node:sqlite';
import { TailraceError } from '../core/errors.ts';

const FIRST = `
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
`;

/** A change may be two messages (`key_changes: split`): each can be a dead letter of its own. */
const SPLIT_CHANGES = `
  create table messages (
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
    unique (database, sink, epoch, commit_lsn, change_index, action)
  ) strict;
  insert into messages select * from dead_letters;
  drop table dead_letters;
  alter table messages rename to dead_letters;
  create table skipped_transactions (
    id integer primary key autoincrement,
    database text not null,
    sink text not null,
    epoch integer not null,
    commit_lsn text not null,
    xid integer not null,
    changes integer not null,
    committed_at text not null,
    unique (database, sink, epoch, commit_lsn)
  ) strict;
  create table streamed_tables (
    id integer primary key autoincrement,
    database text not null,
    schema_name text not null,
    table_name text not null,
    from_lsn text not null,
    joined_at text not null,
    unique (database, schema_name, table_name, from_lsn)
  ) strict;
`;

/** Never change an entry that a release has: add one. */
const MIGRATIONS: readonly string[] = [FIRST, SPLIT_CHANGES];

/** `PRAGMA user_version` of the file. https://www.sqlite.org/pragma.html#pragma_user_version */
const versionOf = (db: DatabaseSync): number =>
  Number(db.prepare('pragma user_version').get()?.['user_version']);

/** Throws STORE_VERSION when a later version wrote the file. The file as it was stays beside it, named after its version. */
export function migrate(db: DatabaseSync, file: string): void {
  const found = versionOf(db);
  if (found > MIGRATIONS.length) throw tooNew(file, found);
  if (found === MIGRATIONS.length) return;
  const copy = `${file}.v${found}`;
  if (found > 0 && !existsSync(copy)) db.prepare('vacuum into ?').run(copy);
  db.exec('begin immediate');
  try {
    // Another thread may have been faster.
    for (const migration of MIGRATIONS.slice(versionOf(db))) db.exec(migration);
    db.exec(`pragma user_version = ${MIGRATIONS.length}`);
    db.exec('commit');
  } catch (error) {
    db.exec('rollback');
    throw error;
  }
}

const tooNew = (file: string, version: number): TailraceError =>
  new TailraceError(
    `the store ${file} has version ${version}, newer than ${MIGRATIONS.length}, the newest known here`,
    {
      code: 'STORE_VERSION',
      kind: 'fatal',
      hint: 'run the version of Tailrace that wrote it, or a newer one',
    },
  );
