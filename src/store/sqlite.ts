// The rare things, in one SQLite file: which sinks exist, and dead letters.
import { DatabaseSync, type StatementSync } from 'node:sqlite';
import { TailraceError } from '../core/errors.ts';
import { formatLsn, parseLsn, ZERO_LSN } from '../core/lsn.ts';
import type { Position } from '../core/position.ts';

/** `PRAGMA user_version` of the file. https://www.sqlite.org/pragma.html#pragma_user_version */
const SCHEMA_VERSION = 1;
const BUSY_TIMEOUT_MS = 10_000;

const SCHEMA = `
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

export type DeadLetter = {
  readonly database: string;
  readonly sink: string;
  readonly position: Position;
  readonly idempotencyKey: string;
  readonly schema: string;
  readonly table: string;
  readonly action: string;
  readonly group: string;
  readonly route: string;
  /** The rendered message; undefined when the row was too large to be kept. */
  readonly payload: Uint8Array | undefined;
  readonly payloadBytes: number;
  readonly code: string;
  readonly reason: string;
  readonly attempts: number;
};

export type StoredDeadLetter = DeadLetter & { readonly id: number; readonly createdAt: string };

export interface Store {
  /** Names of the sinks that this database has had. */
  sinkNames(database: string): string[];
  /** Remembers a sink; returns how often it was rewound. */
  registerSink(database: string, name: string, now: Date): number;
  /** Durable when it returns. The same change of the same sink is stored once. */
  addDeadLetter(letter: DeadLetter, now: Date): void;
  deadLetters(database: string, sink: string): StoredDeadLetter[];
  countDeadLetters(database: string, sink: string): number;
  close(): void;
}

/** Opens the store's file, making it or migrating it. Several threads may have it open. */
export function openStore(file: string): Store {
  let db: DatabaseSync;
  try {
    db = new DatabaseSync(file, { timeout: BUSY_TIMEOUT_MS });
    // A dead letter is durable before its change counts as settled (architecture §6).
    db.exec('pragma journal_mode = wal; pragma synchronous = full');
    migrate(db, file);
  } catch (cause) {
    if (cause instanceof TailraceError) throw cause;
    throw new TailraceError(`the store ${file} cannot be opened: ${(cause as Error).message}`, {
      code: 'STORE_UNUSABLE',
      kind: 'fatal',
      hint: 'the directory must be writable by the user that runs Tailrace, and the file a SQLite database',
      cause,
    });
  }
  return new SqliteStore(db);
}

function migrate(db: DatabaseSync, file: string): void {
  db.exec('begin immediate');
  try {
    const { user_version: version } = db.prepare('pragma user_version').get() as { user_version: number };
    if (version > SCHEMA_VERSION) {
      throw new TailraceError(
        `the store ${file} has version ${version}, newer than ${SCHEMA_VERSION}, the newest known here`,
        {
          code: 'STORE_VERSION',
          kind: 'fatal',
          hint: 'run the version of Tailrace that wrote it, or a newer one',
        },
      );
    }
    if (version === 0) db.exec(SCHEMA);
    db.exec(`pragma user_version = ${SCHEMA_VERSION}`);
    db.exec('commit');
  } catch (error) {
    db.exec('rollback');
    throw error;
  }
}

class SqliteStore implements Store {
  readonly #db: DatabaseSync;
  readonly #insert: StatementSync;
  /** Asked with every status: prepared once. */
  readonly #count: StatementSync;

  constructor(db: DatabaseSync) {
    this.#db = db;
    this.#count = db.prepare('select count(*) as n from dead_letters where database = ? and sink = ?');
    this.#insert = db.prepare(`
      insert into dead_letters (database, sink, epoch, commit_lsn, change_index, idempotency_key, schema_name, table_name,
        action, message_group, route, payload, payload_bytes, code, reason, attempts, created_at)
      values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
      on conflict do nothing`);
  }

  sinkNames(database: string): string[] {
    const rows = this.#db.prepare('select name from sinks where database = ?').all(database);
    return rows.map((row) => String(row['name']));
  }

  registerSink(database: string, name: string, now: Date): number {
    this.#db
      .prepare('insert into sinks (database, name, created_at) values (?, ?, ?) on conflict do nothing')
      .run(database, name, now.toISOString());
    const row = this.#db
      .prepare('select rewinds from sinks where database = ? and name = ?')
      .get(database, name);
    return Number(row?.['rewinds'] ?? 0);
  }

  addDeadLetter(letter: DeadLetter, now: Date): void {
    this.#insert.run(
      letter.database,
      letter.sink,
      letter.position.epoch,
      formatLsn(letter.position.commitLsn),
      letter.position.index,
      letter.idempotencyKey,
      letter.schema,
      letter.table,
      letter.action,
      letter.group,
      letter.route,
      letter.payload ?? null,
      letter.payloadBytes,
      letter.code,
      letter.reason,
      letter.attempts,
      now.toISOString(),
    );
  }

  deadLetters(database: string, sink: string): StoredDeadLetter[] {
    const rows = this.#db
      .prepare('select * from dead_letters where database = ? and sink = ? order by id')
      .all(database, sink);
    return rows.map((row) => ({
      id: Number(row['id']),
      createdAt: String(row['created_at']),
      database: String(row['database']),
      sink: String(row['sink']),
      position: {
        epoch: Number(row['epoch']),
        commitLsn: parseLsn(String(row['commit_lsn'])) ?? ZERO_LSN,
        index: Number(row['change_index']),
      },
      idempotencyKey: String(row['idempotency_key']),
      schema: String(row['schema_name']),
      table: String(row['table_name']),
      action: String(row['action']),
      group: String(row['message_group']),
      route: String(row['route']),
      payload: (row['payload'] as Uint8Array | null) ?? undefined,
      payloadBytes: Number(row['payload_bytes']),
      code: String(row['code']),
      reason: String(row['reason']),
      attempts: Number(row['attempts']),
    }));
  }

  countDeadLetters(database: string, sink: string): number {
    return Number(this.#count.get(database, sink)?.['n'] ?? 0);
  }

  close(): void {
    this.#db.close();
  }
}
