// Which transactions markers kept from a sink: the record that invariant 3 asks for.
import type { DatabaseSync } from 'node:sqlite';
import type { SkippedTransaction } from '../core/status.ts';
import { transaction, type SinkId } from './sink-records.ts';

/** Of a sink the store keeps this many, the last ones (invariant 8). */
const MAX_KEPT = 100_000;

export class SkippedTransactions {
  readonly #db: DatabaseSync;

  constructor(db: DatabaseSync) {
    this.#db = db;
  }

  /** In log order. Durable when it returns; the same one is stored once. */
  add({ database, sink }: SinkId, skipped: readonly SkippedTransaction[]): void {
    const insert = this.#db.prepare(`
      insert into skipped_transactions (database, sink, epoch, commit_lsn, xid, changes, committed_at)
      values (?, ?, ?, ?, ?, ?, ?)
      on conflict do update set changes = max(changes, excluded.changes)`);
    transaction(this.#db, () => {
      for (const { epoch, commitLsn, xid, changes, committedAt } of skipped) {
        insert.run(database, sink, epoch, commitLsn, xid, changes, committedAt);
      }
      this.#db
        .prepare(
          `delete from skipped_transactions where id <= (select id from skipped_transactions
           where database = ? and sink = ? order by id desc limit 1 offset ?) and database = ? and sink = ?`,
        )
        .run(database, sink, MAX_KEPT, database, sink);
    });
  }

  /** Oldest first. */
  list({ database, sink }: SinkId): SkippedTransaction[] {
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
}
