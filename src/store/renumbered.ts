// Transactions that come again with their changes numbered otherwise, so that their idempotency keys must differ from before.
import type { DatabaseSync } from 'node:sqlite';
import { formatLsn, parseLsn, ZERO_LSN, type Lsn } from '../core/lsn.ts';

/** Salts by the end LSN of the transaction logged before. */
export type Salts = ReadonlyMap<Lsn, string>;

export class Renumbered {
  readonly #db: DatabaseSync;

  constructor(db: DatabaseSync) {
    this.#db = db;
  }

  /** The first transaction logged behind `previousEndLsn` has this salt. Durable when it returns. */
  add(database: string, previousEndLsn: Lsn, salt: string): void {
    this.#db
      .prepare(
        `insert into renumbered_transactions (database, previous_end_lsn, salt) values (?, ?, ?)
         on conflict do update set salt = excluded.salt`,
      )
      .run(database, formatLsn(previousEndLsn), salt);
  }

  salts(database: string): Salts {
    const rows = this.#db
      .prepare('select previous_end_lsn, salt from renumbered_transactions where database = ?')
      .all(database);
    return new Map(
      rows.map((row) => [parseLsn(String(row['previous_end_lsn'])) ?? ZERO_LSN, String(row['salt'])]),
    );
  }
}
