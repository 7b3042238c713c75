// A database that moves to another server: that its old one is to be drained, or has been, and up to where; that another was adopted.
import type { DatabaseSync } from 'node:sqlite';
import { formatLsn, readLsn, type Lsn } from '../core/lsn.ts';
import { settledLsn, type KnownPlace } from './places.ts';
import { transaction } from './sink-records.ts';

export type Drain = {
  /** ISO 8601, when it was asked for. */
  readonly askedAt: string;
  /** Undefined: not yet. */
  readonly done:
    | {
        /** All that the server had up to there is delivered, and confirmed to it. */
        readonly lsn: Lsn;
        readonly systemIdentifier: string;
        /** ISO 8601. */
        readonly at: string;
      }
    | undefined;
};

export type Adoption = {
  /** Of the log that was left. */
  readonly life: string;
  /** What the old server had up to there is delivered, and nothing is missing between that and the new one; undefined: not known. */
  readonly nothingMissingFrom: Lsn | undefined;
};

export class Handovers {
  readonly #db: DatabaseSync;

  constructor(db: DatabaseSync) {
    this.#db = db;
  }

  /** One that was asked for before stays as it is. */
  ask(database: string, now: Date): void {
    this.#db
      .prepare('insert or ignore into drains (database, asked_at) values (?, ?)')
      .run(database, now.toISOString());
  }

  /** Reading goes on. Answers whether there was anything to take back. */
  takeBack(database: string): boolean {
    return Number(this.#db.prepare('delete from drains where database = ?').run(database).changes) > 0;
  }

  drain(database: string): Drain | undefined {
    const row = this.#db.prepare('select * from drains where database = ?').get(database);
    if (row === undefined) return undefined;
    const done =
      row['drained_at'] === null
        ? undefined
        : {
            lsn: readLsn(String(row['lsn'])),
            systemIdentifier: String(row['system_identifier']),
            at: String(row['drained_at']),
          };
    return { askedAt: String(row['asked_at']), done };
  }

  /** Durable when it returns. */
  drained(
    database: string,
    { lsn, systemIdentifier }: { lsn: Lsn; systemIdentifier: string },
    now: Date,
  ): void {
    this.#db
      .prepare('update drains set lsn = ?, system_identifier = ?, drained_at = ? where database = ?')
      .run(formatLsn(lsn), systemIdentifier, now.toISOString(), database);
  }

  /** Durable when it returns; the drain has served. No gap of the old server says where the new one's stream goes on. */
  adopt(database: string, { life, nothingMissingFrom }: Adoption, now: Date): void {
    transaction(this.#db, () => {
      this.#db
        .prepare(
          'insert or replace into adoptions (database, life, nothing_missing_from, adopted_at) values (?, ?, ?, ?)',
        )
        .run(
          database,
          life,
          nothingMissingFrom === undefined ? null : formatLsn(nothingMissingFrom),
          now.toISOString(),
        );
      this.#db.prepare('update gaps set skips = 0 where database = ?').run(database);
      this.takeBack(database);
    });
  }

  /** Had a sink settled all that its old server had, when another was adopted that goes on from there? */
  isHandedOver(database: string, { cursor, log }: KnownPlace): boolean {
    if (log === undefined) return false;
    const row = this.#db
      .prepare('select nothing_missing_from from adoptions where database = ? and life = ?')
      .get(database, log.life);
    const from = row?.['nothing_missing_from'];
    return typeof from === 'string' && settledLsn(cursor) >= readLsn(from);
  }
}
