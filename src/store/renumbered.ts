// Transactions that may come again with their changes numbered otherwise, so that their idempotency keys must differ from before.
import type { DatabaseSync } from 'node:sqlite';
import type { TransactionContext } from '../core/change.ts';
import { formatLsn, readLsn, type Lsn } from '../core/lsn.ts';

/**
 * The transactions committed at `from` or behind it, and below `to`, have this salt where the log has them in this epoch or a later one: what
 * it holds in an earlier one of a transaction that was given up has the numbers that it had.
 */
export type SaltedRange = {
  readonly epoch: number;
  readonly from: Lsn;
  readonly to: Lsn;
  readonly salt: string;
};

/** The last first: where two have a transaction in common, it was read with the later one. */
export type Salts = readonly SaltedRange[];

export function saltOf(
  salts: Salts,
  { epoch, commitLsn }: Pick<TransactionContext, 'epoch' | 'commitLsn'>,
): string | undefined {
  for (const { epoch: since, from, to, salt } of salts) {
    if (epoch >= since && commitLsn >= from && commitLsn < to) return salt;
  }
  return undefined;
}

export class Renumbered {
  readonly #db: DatabaseSync;

  constructor(db: DatabaseSync) {
    this.#db = db;
  }

  /** Durable when it returns. */
  add(database: string, { epoch, from, to, salt }: SaltedRange): void {
    this.#db
      .prepare(
        'insert into renumbered_transactions (database, epoch, from_lsn, to_lsn, salt) values (?, ?, ?, ?, ?)',
      )
      .run(database, epoch, formatLsn(from), formatLsn(to), salt);
  }

  salts(database: string): Salts {
    return this.#db
      .prepare(
        `select epoch, from_lsn, to_lsn, salt from renumbered_transactions
         where database = ? order by id desc`,
      )
      .all(database)
      .map((row) => ({
        epoch: Number(row['epoch']),
        from: readLsn(String(row['from_lsn'])),
        to: readLsn(String(row['to_lsn'])),
        salt: String(row['salt']),
      }));
  }
}
