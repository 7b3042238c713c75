// Backfills: what was asked for, and how far each is. Asked for by one thread, read by another; a state moves only as it may.
import type { DatabaseSync } from 'node:sqlite';
import {
  BACKFILL_STATES,
  isOver,
  statesBefore,
  type Backfill,
  type BackfillLimits,
  type BackfillRequest,
  type BackfillState,
  type BackfillTableRequest,
  type BackfillTableStatus,
  type TableProgress,
} from '../core/backfill.ts';
import type { TableName } from '../core/selection.ts';
import { parseStored } from './errors.ts';
import { present } from './rows.ts';
import { transaction, type SinkId } from './sink-records.ts';

/** Of a database, those that are over and kept as a record. */
const MAX_OVER = 100;

const OPEN_STATES = JSON.stringify(BACKFILL_STATES.filter((state) => !isOver(state)));

type Row = Readonly<Record<string, unknown>>;
type Making = { readonly id: string; readonly now: Date };

export class Backfills {
  readonly #db: DatabaseSync;

  constructor(db: DatabaseSync) {
    this.#db = db;
  }

  /** Durable when it returns. It waits. */
  create(request: BackfillRequest, making: Making): Backfill {
    return transaction(this.#db, () => this.#insert(request, making, { initial: false }));
  }

  /** A sink's first one. Undefined: it has had it. Durable when it returns. */
  createInitial(
    sink: string,
    request: Omit<BackfillRequest, 'sinks'>,
    { id, now }: Making,
  ): Backfill | undefined {
    return transaction(this.#db, () => {
      const { changes } = this.#db
        .prepare(
          `insert into sinks (database, name, initial_backfill_at) values (?, ?, ?)
           on conflict do update set initial_backfill_at = excluded.initial_backfill_at where initial_backfill_at is null`,
        )
        .run(request.database, sink, now.toISOString());
      if (changes === 0) return undefined;
      return this.#insert({ ...request, sinks: [sink] }, { id, now }, { initial: true });
    });
  }

  hadInitial({ database, sink }: SinkId): boolean {
    const row = this.#db
      .prepare('select initial_backfill_at as at from sinks where database = ? and name = ?')
      .get(database, sink);
    return typeof row?.['at'] === 'string';
  }

  #insert(
    { database, sinks, limits, tables }: BackfillRequest,
    { id, now }: Making,
    { initial }: Pick<Backfill, 'initial'>,
  ): Backfill {
    this.#db
      .prepare(
        `insert into backfills (id, database, sinks, limits, initial, has_tables, state, created_at)
         values (?, ?, ?, ?, ?, 0, 'waiting', ?)`,
      )
      .run(id, database, JSON.stringify(sinks), JSON.stringify(limits), Number(initial), now.toISOString());
    if (tables !== undefined) this.#insertTables(id, tables);
    this.#prune(database);
    return this.find(database, id)!;
  }

  /** Of one that was asked for without: which tables there are, now that this is known. Durable when it returns. */
  setTables(id: string, tables: readonly BackfillTableRequest[]): void {
    transaction(this.#db, () => this.#insertTables(id, tables));
  }

  #insertTables(id: string, tables: readonly BackfillTableRequest[]): void {
    const insert = this.#db.prepare(`
      insert into backfill_tables
        (backfill, place, schema_name, table_name, filter, sort_column, sort_from, keys, key_count, gone,
         gone_count)
      values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`);
    for (const [place, { schema, table, where, sort, keys, gone }] of tables.entries()) {
      insert.run(
        id,
        place,
        schema,
        table,
        where ?? null,
        sort?.column ?? null,
        sort?.from ?? null,
        keys === undefined ? null : JSON.stringify(keys),
        keys?.length ?? null,
        gone === undefined ? null : JSON.stringify(gone),
        gone?.length ?? null,
      );
    }
    this.#db.prepare('update backfills set has_tables = 1 where id = ?').run(id);
  }

  #prune(database: string): void {
    this.#db
      .prepare(
        `delete from backfills where id in (
           select id from backfills where database = ? and ended_at is not null
             and id not in (select repair from gaps where repair is not null)
             order by ended_at desc limit -1 offset ${MAX_OVER})`,
      )
      .run(database);
  }

  /** Newest first; of one sink, where it is named. */
  list(database: string, { sink }: { readonly sink?: string } = {}): Backfill[] {
    return this.#db
      .prepare('select * from backfills where database = ? order by created_at desc, rowid desc')
      .all(database)
      .map((row) => this.#read(row))
      .filter(({ sinks }) => sink === undefined || sinks.includes(sink));
  }

  /** Those that may still read a row, newest first. */
  open(database: string): Backfill[] {
    return this.#db
      .prepare(
        `select * from backfills where database = ? and state in (select value from json_each(?))
         order by created_at desc, rowid desc`,
      )
      .all(database, OPEN_STATES)
      .map((row) => this.#read(row));
  }

  /** Undefined: there is none. */
  find(database: string, id: string): Backfill | undefined {
    const row = this.#db.prepare('select * from backfills where database = ? and id = ?').get(database, id);
    return row && this.#read(row);
  }

  /**
   * Those to read, oldest first: of whose sinks each has a place in the log. What is appended before a sink begins, it never sees.
   */
  due(database: string): Backfill[] {
    return this.#db
      .prepare(
        `select * from backfills b where database = ? and state in ('waiting', 'running') and not exists (
           select 1 from json_each(b.sinks) where value not in
             (select name from sinks where sinks.database = b.database and started_at is not null))
         order by created_at, rowid`,
      )
      .all(database)
      .map((row) => this.#read(row));
  }

  /** The keys of the rows that are asked for; undefined: all rows are. */
  keys(id: string, name: TableName): readonly (readonly string[])[] | undefined {
    return this.#keysIn('keys', id, name);
  }

  /** The keys that somebody has. */
  gone(id: string, name: TableName): readonly (readonly string[])[] {
    return this.#keysIn('gone', id, name) ?? [];
  }

  #keysIn(column: 'keys' | 'gone', id: string, { schema, table }: TableName): string[][] | undefined {
    const row = this.#db
      .prepare(
        `select ${column} as keys from backfill_tables where backfill = ? and schema_name = ? and table_name = ?`,
      )
      .get(id, schema, table);
    const keys = row?.['keys'] ?? undefined;
    return keys === undefined ? undefined : (parseStored(keys) as string[][]);
  }

  /**
   * Brings it into another state. Undefined: there is none, or it may not become that any more. Nobody is asked first, so that of two
   * threads one wins. Durable when it returns.
   */
  setState(
    { database, id }: { readonly database: string; readonly id: string },
    state: BackfillState,
    { reason, now }: { readonly reason?: string | undefined; readonly now: Date },
  ): Backfill | undefined {
    const hasEnded = isOver(state) || state === 'failed';
    const row = this.#db
      .prepare(
        `update backfills set state = ?, reason = ?, held_by = null, pace = null, ended_at = ? where database = ? and id = ?
           and state in (select value from json_each(?)) returning *`,
      )
      .get(
        state,
        reason ?? null,
        hasEnded ? now.toISOString() : null,
        database,
        id,
        JSON.stringify(statesBefore(state)),
      );
    return row && this.#read(row);
  }

  /** One that was completed waits again: rows that it read are of a history that is lost. Durable when it returns. */
  reopen(id: string, reason: string): void {
    this.#db
      .prepare(
        `update backfills set state = 'waiting', reason = ?, ended_at = null where id = ? and state = 'completed'`,
      )
      .run(reason, id);
  }

  /** What keeps one that is to be read from going on; undefined: nothing does any more. */
  hold(id: string, heldBy: string | undefined): void {
    this.#db
      .prepare(`update backfills set held_by = ? where id = ? and state in ('waiting', 'running')`)
      .run(heldBy ?? null, id);
  }

  /** In place of what was noted of this table before, and of the backfill's pace. Durable when it returns. */
  note(id: string, name: TableName, progress: TableProgress, { pace }: Pick<Backfill, 'pace'> = {}): void {
    transaction(this.#db, () => {
      this.#noteTable(id, name, progress);
      this.#db
        .prepare(`update backfills set pace = ? where id = ? and state = 'running'`)
        .run(pace ?? null, id);
    });
  }

  #noteTable(id: string, { schema, table }: TableName, progress: TableProgress): void {
    this.#db
      .prepare(
        `update backfill_tables set cursor = ?, scanned = ?, appended = ?, dropped = ?, read_again = ?, bytes = ?, restarts = ?,
           active_ms = ?, estimated_rows = ?, started_at = ?, ended_at = ?, failure = ?, notes = ?
         where backfill = ? and schema_name = ? and table_name = ?`,
      )
      .run(
        progress.cursor === undefined ? null : JSON.stringify(progress.cursor),
        progress.scanned,
        progress.appended,
        progress.dropped,
        progress.readAgain,
        progress.bytes,
        progress.restarts,
        Math.round(progress.activeMs),
        progress.estimatedRows ?? null,
        progress.startedAt ?? null,
        progress.endedAt ?? null,
        progress.failure ?? null,
        JSON.stringify(progress.notes),
        id,
        schema,
        table,
      );
  }

  #read(row: Row): Backfill {
    const tables = row['has_tables'] === 1 ? this.#tables(String(row['id'])) : undefined;
    return {
      id: String(row['id']),
      database: String(row['database']),
      sinks: parseStored(row['sinks']) as string[],
      limits: parseStored(row['limits']) as BackfillLimits,
      initial: row['initial'] === 1,
      state: row['state'] as BackfillState,
      ...present(row, { reason: 'reason', heldBy: 'held_by' }),
      ...(row['pace'] === null ? {} : { pace: Number(row['pace']) }),
      ...(tables === undefined ? {} : { tables }),
      createdAt: String(row['created_at']),
      ...present(row, { endedAt: 'ended_at' }),
    };
  }

  #tables(id: string): BackfillTableStatus[] {
    return this.#db
      .prepare(`select ${TABLE_COLUMNS} from backfill_tables where backfill = ? order by place`)
      .all(id)
      .map(readTable);
  }
}

/** Without the keys, which may be many. */
const TABLE_COLUMNS = `schema_name, table_name, filter, sort_column, sort_from, key_count, gone_count, cursor, scanned, appended, dropped, read_again,
  bytes, restarts, active_ms, estimated_rows, started_at, ended_at, failure, notes`;

function readTable(row: Row): BackfillTableStatus {
  const { column, from } = present(row, { column: 'sort_column', from: 'sort_from' });
  const sort = column === undefined ? undefined : { column, ...(from === undefined ? {} : { from }) };
  return {
    schema: String(row['schema_name']),
    table: String(row['table_name']),
    ...present(row, { where: 'filter' }),
    ...(sort === undefined ? {} : { sort }),
    ...(row['key_count'] === null ? {} : { keyCount: Number(row['key_count']) }),
    ...(row['gone_count'] === null ? {} : { goneCount: Number(row['gone_count']) }),
    progress: {
      ...(row['cursor'] === null ? {} : { cursor: parseStored(row['cursor']) }),
      scanned: Number(row['scanned']),
      appended: Number(row['appended']),
      dropped: Number(row['dropped']),
      readAgain: Number(row['read_again']),
      bytes: Number(row['bytes']),
      restarts: Number(row['restarts']),
      activeMs: Number(row['active_ms']),
      ...(row['estimated_rows'] === null ? {} : { estimatedRows: Number(row['estimated_rows']) }),
      ...present(row, { startedAt: 'started_at', endedAt: 'ended_at', failure: 'failure' }),
      notes: parseStored(row['notes']) as string[],
    },
  };
}
