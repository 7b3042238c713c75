// Which tables joined a publication of ours, with the place in the WAL from which each is streamed.
import type { DatabaseSync } from 'node:sqlite';
import type { StreamedTable } from '../core/status.ts';
import { transaction } from './sink-records.ts';

export class StreamedTables {
  readonly #db: DatabaseSync;

  constructor(db: DatabaseSync) {
    this.#db = db;
  }

  add(database: string, tables: readonly StreamedTable[]): void {
    const insert = this.#db.prepare(`
      insert into streamed_tables (database, schema_name, table_name, from_lsn, joined_at)
      values (?, ?, ?, ?, ?) on conflict do nothing`);
    transaction(this.#db, () => {
      for (const { schema, table, from, at } of tables) insert.run(database, schema, table, from, at);
    });
  }

  /** Oldest first. */
  list(database: string): StreamedTable[] {
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
}
