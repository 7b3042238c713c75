// The tables of the store, as steps from version to version; a file is brought up to date in one transaction, after a copy.
import { rmSync } from 'node:fs';
import type { DatabaseSync } from 'node:sqlite';
import { TailraceError } from '../core/errors.ts';
import { prepareSqliteFile } from '../data-directory/files.ts';

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
`;

/**
 * started_at: null for a sink of which only a wish is known · let_go_at: since when nothing is held for it. A change may be
 * two messages (`key_changes: split`), and each a dead letter of its own: they differ in their action.
 */
const VERSION_2 = `
  alter table sinks rename to sinks_of_version_1;
  create table sinks (
    database text not null,
    name text not null,
    rewinds integer not null default 0,
    started_at text,
    configured_status text,
    chosen_status text,
    let_go_at text,
    left_lsn text,
    rewind_to text,
    replay_rate real,
    dead_letters_dropped integer not null default 0,
    primary key (database, name)
  ) strict;
  insert into sinks (database, name, rewinds, started_at)
    select database, name, rewinds, created_at from sinks_of_version_1;
  drop table sinks_of_version_1;
  create table sink_gaps (
    database text not null,
    sink text not null,
    from_lsn text not null,
    to_lsn text not null,
    reason text not null,
    changes integer,
    recorded_at text not null,
    unique (database, sink, from_lsn, to_lsn)
  ) strict;
  alter table dead_letters rename to dead_letters_of_version_1;
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
    state text not null default 'dead' check (state in ('dead', 'replaying')),
    last_failed_at text,
    unique (database, sink, epoch, commit_lsn, change_index, action)
  ) strict;
  insert into dead_letters select *, 'dead', null from dead_letters_of_version_1;
  drop table dead_letters_of_version_1;
  create index dead_letters_by_state on dead_letters (database, sink, state, id);
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

/**
 * databases: those that were started once, with the sinks that were there then (starts_first) · place: where a sink stood
 * when that was last noted, with the log that it is a place of · gaps: to_lsn is null while a gap goes on, tables for any;
 * ends: what it waits for then.
 */
const VERSION_3 = `
  create table databases (
    name text primary key,
    first_started_at text not null
  ) strict;
  alter table sinks add column starts_first integer not null default 0;
  alter table sinks add column place text;
  create table gaps (
    id integer primary key autoincrement,
    database text not null,
    cause text not null,
    from_lsn text not null,
    to_lsn text,
    reason text not null,
    tables text,
    sink text,
    ends text not null,
    halts integer not null,
    skips integer not null,
    declared_at text not null,
    accepted_at text
  ) strict;
  create index gaps_by_database on gaps (database, accepted_at);
  create table look_catalogs (
    id integer primary key autoincrement,
    fold text not null,
    seen text not null
  ) strict;
  create table looks (
    id integer primary key autoincrement,
    database text not null,
    taken_at text not null,
    publication text not null,
    server text not null,
    wal_before text not null,
    wal_after text not null,
    xmin integer not null,
    begun integer not null,
    proved integer not null,
    catalog integer not null references look_catalogs (id)
  ) strict;
  create index looks_by_database on looks (database, id);
  create table renumbered_transactions (
    id integer primary key autoincrement,
    database text not null,
    epoch integer not null,
    from_lsn text not null,
    to_lsn text not null,
    salt text not null
  ) strict;
`;

/**
 * lost_histories: which partings a sink has accounted for · orphans: what it had delivered of what was lost, the first of each ·
 * drains: nulls until it is done · adoptions: of another server, under the log that was left.
 */
const VERSION_4 = `
  create table partings (
    database text not null,
    epoch integer not null,
    lsn text not null,
    log_end text not null,
    timeline integer not null,
    why text not null,
    found_at text not null,
    primary key (database, epoch)
  ) strict;
  create table lost_histories (
    database text not null,
    sink text not null,
    epoch integer not null,
    lsn text not null,
    discarded integer not null,
    orphaned integer not null,
    primary key (database, sink, epoch)
  ) strict;
  create table orphans (
    id integer primary key autoincrement,
    database text not null,
    sink text not null,
    parting integer not null,
    epoch integer not null,
    commit_lsn text not null,
    change_index integer not null,
    schema_name text not null,
    table_name text not null,
    action text not null,
    row_key text
  ) strict;
  create index orphans_by_database on orphans (database, id);
  create table drains (
    database text primary key,
    asked_at text not null,
    lsn text,
    system_identifier text,
    drained_at text
  ) strict;
  create table adoptions (
    database text not null,
    life text not null,
    nothing_missing_from text,
    adopted_at text not null,
    primary key (database, life)
  ) strict;
`;

/** standby_slots: where slots of ours were made on standbys; address: '' but for a name that stands for several servers. */
const VERSION_5 = `
  create table standby_slots (
    database text not null,
    host text not null,
    port integer not null,
    address text not null,
    slot text not null,
    primary key (database, host, port, address, slot)
  ) strict;
`;

/** used_shapes: the place is that of the first row that was written with the shape. */
const VERSION_6 = `
  create table used_shapes (
    id integer primary key autoincrement,
    database text not null,
    server text not null,
    relation_id integer not null,
    schema_name text not null,
    table_name text not null,
    epoch integer not null,
    commit_lsn text not null,
    change_index integer not null,
    shape text not null,
    unique (database, server, relation_id, epoch, commit_lsn, change_index)
  ) strict;
  create index used_shapes_by_name on used_shapes (database, server, schema_name, table_name);
`;

/**
 * backfills: sinks and limits as JSON · backfill_tables: keys, cursor and notes as JSON; ended_at null while there is more to read ·
 * initial_backfill_at: a sink has had its first one.
 */
const VERSION_7 = `
  alter table sinks add column initial_backfill_at text;
  create table backfills (
    id text primary key,
    database text not null,
    sinks text not null,
    limits text not null,
    initial integer not null,
    has_tables integer not null,
    state text not null,
    reason text,
    held_by text,
    created_at text not null,
    ended_at text
  ) strict;
  create index backfills_by_state on backfills (database, state);
  create table backfill_tables (
    backfill text not null references backfills (id) on delete cascade,
    place integer not null,
    schema_name text not null,
    table_name text not null,
    filter text,
    sort_column text,
    sort_from text,
    keys text,
    key_count integer,
    cursor text,
    scanned integer not null default 0,
    appended integer not null default 0,
    dropped integer not null default 0,
    read_again integer not null default 0,
    bytes integer not null default 0,
    restarts integer not null default 0,
    active_ms integer not null default 0,
    estimated_rows real,
    started_at text,
    ended_at text,
    failure text,
    notes text not null default '[]',
    primary key (backfill, schema_name, table_name)
  ) strict;
`;

/** The backfill that repairs a gap: its record stays as long as the gap's. */
const VERSION_8 = `
  alter table gaps add column repair text;
`;

/** gone: keys that somebody has, as JSON · row_rewinds: request as JSON; the place is null before anything of it is settled. */
const VERSION_9 = `
  alter table backfill_tables add column gone text;
  alter table backfill_tables add column gone_count integer;
  create table row_rewinds (
    id integer primary key autoincrement,
    database text not null,
    sink text not null,
    request text not null,
    state text not null default 'running',
    reason text,
    row_count integer not null,
    changes integer not null,
    sent integer not null default 0,
    epoch integer,
    commit_lsn text,
    change_index integer,
    asked_at text not null,
    ended_at text
  ) strict;
  create index row_rewinds_by_sink on row_rewinds (database, sink, state);
`;

/** pace: rows a second, while a backfill gives way to live changes. */
const VERSION_10 = `
  alter table backfills add column pace integer;
`;

/** Step i leads from version i to i + 1. Never changed once released: a new version is a new step. */
const STEPS: readonly string[] = [
  VERSION_1,
  VERSION_2,
  VERSION_3,
  VERSION_4,
  VERSION_5,
  VERSION_6,
  VERSION_7,
  VERSION_8,
  VERSION_9,
  VERSION_10,
];
export const NEWEST = STEPS.length;

/** `PRAGMA user_version` of the file. https://www.sqlite.org/pragma.html#pragma_user_version */
export const versionOf = (db: DatabaseSync): number =>
  (db.prepare('pragma user_version').get() as { user_version: number }).user_version;

/** Makes the tables, or brings those of an older version up to date. Was there nothing before? Throws STORE_VERSION. */
export function migrate(db: DatabaseSync, file: string): boolean {
  const before = versionOf(db);
  if (before > 0 && before < NEWEST) copyBefore(db, `${file}.version-${before}`);
  db.exec('begin immediate');
  try {
    // Asked again: another thread may have been faster.
    const version = versionOf(db);
    if (version > NEWEST) {
      throw new TailraceError(
        `the store ${file} has version ${version}, newer than ${NEWEST}, the newest known here`,
        {
          code: 'STORE_VERSION',
          kind: 'fatal',
          hint: 'run the version of Tailrace that wrote it, or a newer one',
        },
      );
    }
    for (const step of STEPS.slice(version)) db.exec(step);
    db.exec(`pragma user_version = ${NEWEST}`);
    db.exec('commit');
    return version === 0;
  } catch (error) {
    db.exec('rollback');
    throw error;
  }
}

/** With what stands in the write-ahead log of SQLite too. https://www.sqlite.org/lang_vacuum.html#vacuuminto */
function copyBefore(db: DatabaseSync, copy: string): void {
  // Of a migration that did not come to its end: the file is still as it was.
  rmSync(copy, { force: true });
  // An empty file is taken, with the rights that it has.
  prepareSqliteFile(copy);
  db.prepare('vacuum into ?').run(copy);
}
