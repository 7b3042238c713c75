// The rare things, in one SQLite file: which sinks exist, dead letters, what was skipped, from where tables are streamed.
import { DatabaseSync, type StatementSync } from 'node:sqlite';
import { TailraceError } from '../core/errors.ts';
import { formatLsn, parseLsn, ZERO_LSN } from '../core/lsn.ts';
import type { Position } from '../core/position.ts';
import type { SkippedTransaction, StreamedTable } from '../core/status.ts';
import { migrate } from './migrations.ts';

/** Of a sink's skipped transactions the store keeps this many, the last ones (invariant 8). */
const MAX_SKIPPED_KEPT = 100_000;

const BUSY_TIMEOUT_MS = 10_000;

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
  /** Durable when it returns. The same message of the same sink is stored once. */
  addDeadLetter(letter: DeadLetter, now: Date): void;
  deadLetters(database: string, sink: string): StoredDeadLetter[];
  countDeadLetters(database: string, sink: string): number;
  /** Transactions that a marker kept from a sink, in log order. Durable when it returns; the same one is stored once. */
  addSkipped(database: string, sink: string, skipped: readonly SkippedTransaction[]): void;
  /** Oldest first. */
  skipped(database: string, sink: string): SkippedTransaction[];
  /** Tables that joined the publication, with the place in the WAL from which they are streamed. */
  addStreamedTables(database: string, tables: readonly StreamedTable[]): void;
  streamedTables(database: string): StreamedTable[];
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

  addSkipped(database: string, sink: string, skipped: readonly SkippedTransaction[]): void {
    const insert = this.#db.prepare(`
      insert into skipped_transactions (database, sink, epoch, commit_lsn, xid, changes, committed_at)
      values (?, ?, ?, ?, ?, ?, ?)
      on conflict do update set changes = max(changes, excluded.changes)`);
    this.#atomically(() => {
      for (const { epoch, commitLsn, xid, changes, committedAt } of skipped) {
        insert.run(database, sink, epoch, commitLsn, xid, changes, committedAt);
      }
      this.#db
        .prepare(
          `delete from skipped_transactions where id <= (select id from skipped_transactions
           where database = ? and sink = ? order by id desc limit 1 offset ?) and database = ? and sink = ?`,
        )
        .run(database, sink, MAX_SKIPPED_KEPT, database, sink);
    });
  }

  skipped(database: string, sink: string): SkippedTransaction[] {
    const rows = this.#db
      .prepare('select * from skipped_transactions where database = ? and sink = ? order by id')
      .all(database, sink);
    return rows.map((row) => ({
      epoch: Number(row['epoch']),
      commitLsn: String(row['commit_lsn']),
      xid: Number(row['xid']),
      changes: Number(row['changes']),
      committedAt: String(row['committed_at']),
    }));
  }

  addStreamedTables(database: string, tables: readonly StreamedTable[]): void {
    const insert = this.#db.prepare(`
      insert into streamed_tables (database, schema_name, table_name, from_lsn, joined_at)
      values (?, ?, ?, ?, ?) on conflict do nothing`);
    this.#atomically(() => {
      for (const { schema, table, from, at } of tables) insert.run(database, schema, table, from, at);
    });
  }

  streamedTables(database: string): StreamedTable[] {
    const rows = this.#db
      .prepare('select * from streamed_tables where database = ? order by id')
      .all(database);
    return rows.map((row) => ({
      schema: String(row['schema_name']),
      table: String(row['table_name']),
      from: String(row['from_lsn']),
      at: String(row['joined_at']),
    }));
  }

  #atomically(work: () => void): void {
    this.#db.exec('begin immediate');
    try {
      work();
      this.#db.exec('commit');
    } catch (error) {
      this.#db.exec('rollback');
      throw error;
    }
  }

  close(): void {
    this.#db.close();
  }
}
