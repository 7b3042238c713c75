// On which standbys slots of ours were made: each keeps WAL there until it is dropped, also where its host has left the list.
import type { DatabaseSync } from 'node:sqlite';

export type StandbySlot = {
  readonly host: string;
  readonly port: number;
  /** Of a name that stands for several servers. */
  readonly address?: string;
  readonly slot: string;
};

export class StandbySlots {
  readonly #db: DatabaseSync;

  constructor(db: DatabaseSync) {
    this.#db = db;
  }

  /** Durable when it returns: before the slot is made. */
  add(database: string, { host, port, address = '', slot }: StandbySlot): void {
    this.#db
      .prepare(
        'insert or ignore into standby_slots (database, host, port, address, slot) values (?, ?, ?, ?, ?)',
      )
      .run(database, host, port, address, slot);
  }

  forget(database: string, { host, port, address = '', slot }: StandbySlot): void {
    this.#db
      .prepare(
        'delete from standby_slots where database = ? and host = ? and port = ? and address = ? and slot = ?',
      )
      .run(database, host, port, address, slot);
  }

  list(database: string): StandbySlot[] {
    return this.#db
      .prepare('select * from standby_slots where database = ? order by host, port, address, slot')
      .all(database)
      .map((row) => ({
        host: String(row['host']),
        port: Number(row['port']),
        ...(row['address'] !== '' && { address: String(row['address']) }),
        slot: String(row['slot']),
      }));
  }
}
