// Which shapes the rows of each table had, with the place of the first row of each: what a change of a schema is told from. A few of
// each table are kept, because what is read again after a crash lies before the newest.
import type { DatabaseSync } from 'node:sqlite';
import { formatLsn, readLsn } from '../core/lsn.ts';
import type { Position } from '../core/position.ts';
import type { TableShape } from '../core/schema-change.ts';
import { transaction } from './sink-records.ts';

/** Of one table: what a log may have lost to a crash is younger than the oldest of these. */
const MAX_SHAPES_OF_TABLE = 16;
/** Of a database. Those that were noted longest ago go first: tables that are gone are among them. */
const MAX_SHAPES = 200_000;

export type UsedShape = {
  readonly shape: TableShape;
  readonly at: Position;
  /** By rows that a backfill has read, or was looked at before any row came. */
  readonly isRead?: true | undefined;
};

/** As it is written. */
type StoredShape = TableShape & Pick<UsedShape, 'isRead'>;

/** `server`: shapes of another one say nothing. */
export type ShapeOwner = { readonly database: string; readonly server: string };

export class UsedShapes {
  readonly #db: DatabaseSync;

  constructor(db: DatabaseSync) {
    this.#db = db;
  }

  /** Durable when it returns. One that begins where another of its table does takes its place. */
  add({ database, server }: ShapeOwner, used: readonly UsedShape[]): void {
    const insert = this.#db.prepare(`
      insert or replace into used_shapes
        (database, server, relation_id, schema_name, table_name, epoch, commit_lsn, change_index, shape)
      values (?, ?, ?, ?, ?, ?, ?, ?, ?)`);
    const prune = this.#db.prepare(`
      delete from used_shapes where database = ? and server = ? and relation_id = ? and id not in (
        select id from used_shapes where database = ? and server = ? and relation_id = ?
        order by id desc limit ${MAX_SHAPES_OF_TABLE})`);
    transaction(this.#db, () => {
      for (const { shape, at, isRead } of used) {
        const { relationId, schema, table } = shape;
        const lsn = formatLsn(at.commitLsn);
        const json = JSON.stringify({ ...shape, isRead } satisfies StoredShape);
        insert.run(database, server, relationId, schema, table, at.epoch, lsn, at.index, json);
        prune.run(database, server, relationId, database, server, relationId);
      }
      this.#db
        .prepare(
          `delete from used_shapes where database = ? and id <= (
             select id from used_shapes where database = ? order by id desc limit 1 offset ${MAX_SHAPES})`,
        )
        .run(database, database);
    });
  }

  /** Those of a table by its OID, and of whatever else had its name. */
  of(
    { database, server }: ShapeOwner,
    table: Pick<TableShape, 'relationId' | 'schema' | 'table'>,
  ): UsedShape[] {
    return this.#db
      .prepare(
        // With OR SQLite looks at every shape of the database (measured).
        `select id, epoch, commit_lsn, change_index, shape from used_shapes
           where database = ? and server = ? and relation_id = ?
         union select id, epoch, commit_lsn, change_index, shape from used_shapes
           where database = ? and server = ? and schema_name = ? and table_name = ?`,
      )
      .all(database, server, table.relationId, database, server, table.schema, table.table)
      .map((row) => {
        const { isRead, ...shape } = JSON.parse(String(row['shape'])) as StoredShape;
        const at = {
          epoch: Number(row['epoch']),
          commitLsn: readLsn(String(row['commit_lsn'])),
          index: Number(row['change_index']),
        };
        return { shape, at, isRead };
      });
  }
}
