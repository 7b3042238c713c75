// Where the server's history parted from the log's, and what became of the changes that only the lost one has: for each sink how
// many were discarded, and how many it had delivered (orphans), with the first of them by name.
import type { DatabaseSync, StatementSync } from 'node:sqlite';
import type { Action } from '../core/change.ts';
import { formatLsn, readLsn, type Lsn } from '../core/lsn.ts';
import type { Parting } from '../core/partings.ts';
import type { LostHistories } from '../core/status.ts';
import { transaction, type SinkId } from './sink-records.ts';

/** Of one sink and one parting the store lists so many orphans by name: all of them are counted. */
export const MAX_LISTED_ORPHANS = 1000;

/** A parting as it goes on record. */
export type FoundParting = Parting & {
  /** Where the log ended. */
  readonly logEnd: Lsn;
  /** Of the server that the stream goes on with. */
  readonly timeline: number;
  readonly why: string;
  readonly at: Date;
};

/** A change that was delivered, and that the server's history does not have. */
export type Orphan = {
  readonly schema: string;
  readonly table: string;
  readonly action: Action;
  /** `schema.table:value…`, as message groups are written by default; undefined: its row is not kept whole. */
  readonly key: string | undefined;
  readonly epoch: number;
  readonly commitLsn: Lsn;
  readonly index: number;
};

/** What one sink has to do with one parting. */
export type LostHistory = Parting & {
  /** Changes that were not settled: they are not sent. */
  readonly discarded: number;
  /** Changes that it had settled. */
  readonly orphaned: number;
};

/** A parting with what it meant to the sinks. */
export type PartingRecord = {
  readonly epoch: number;
  /** LSN texts. */
  readonly lsn: string;
  readonly logEnd: string;
  readonly timeline: number;
  readonly why: string;
  /** ISO 8601. */
  readonly at: string;
  readonly sinks: readonly { readonly sink: string; readonly discarded: number; readonly orphaned: number }[];
};

export type OrphanRecord = Omit<Orphan, 'commitLsn' | 'key'> & {
  readonly id: number;
  readonly sink: string;
  readonly commitLsn: string;
  readonly key?: string;
};

export class PartingRecords {
  readonly #db: DatabaseSync;
  /** Asked with every status: prepared once. */
  readonly #totals: StatementSync;

  constructor(db: DatabaseSync) {
    this.#db = db;
    this.#totals = db.prepare(
      `select (select count(*) from partings where database = ?) as partings, coalesce(sum(orphaned), 0) as orphaned,
         coalesce(sum(discarded), 0) as discarded from lost_histories where database = ?`,
    );
  }

  /** Durable when it returns. */
  add(database: string, { epoch, lsn, logEnd, timeline, why, at }: FoundParting): void {
    this.#db
      .prepare(
        `insert or replace into partings (database, epoch, lsn, log_end, timeline, why, found_at)
         values (?, ?, ?, ?, ?, ?, ?)`,
      )
      .run(database, epoch, formatLsn(lsn), formatLsn(logEnd), timeline, why, at.toISOString());
  }

  /** The partings that a sink has accounted for. */
  ofSink({ database, sink }: SinkId): readonly LostHistory[] {
    return this.#db
      .prepare('select * from lost_histories where database = ? and sink = ? order by epoch')
      .all(database, sink)
      .map((row) => ({
        epoch: Number(row['epoch']),
        lsn: readLsn(String(row['lsn'])),
        discarded: Number(row['discarded']),
        orphaned: Number(row['orphaned']),
      }));
  }

  /** All of it, or nothing; durable when it returns. */
  account({ database, sink }: SinkId, lost: LostHistory, orphans: readonly Orphan[]): void {
    transaction(this.#db, () => {
      this.#db
        .prepare(
          `insert or replace into lost_histories (database, sink, epoch, lsn, discarded, orphaned) values (?, ?, ?, ?, ?, ?)`,
        )
        .run(database, sink, lost.epoch, formatLsn(lost.lsn), lost.discarded, lost.orphaned);
      const insert = this.#db.prepare(
        `insert into orphans (database, sink, parting, epoch, commit_lsn, change_index, schema_name, table_name, action, row_key)
         values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
      );
      for (const { epoch, commitLsn, index, schema, table, action, key } of orphans) {
        insert.run(
          database,
          sink,
          lost.epoch,
          epoch,
          formatLsn(commitLsn),
          index,
          schema,
          table,
          action,
          key ?? null,
        );
      }
    });
  }

  /** Oldest first. */
  list(database: string): readonly PartingRecord[] {
    const sinks = this.#db
      .prepare('select sink, epoch, discarded, orphaned from lost_histories where database = ? order by sink')
      .all(database);
    return this.#db
      .prepare('select * from partings where database = ? order by epoch')
      .all(database)
      .map((row) => ({
        epoch: Number(row['epoch']),
        lsn: String(row['lsn']),
        logEnd: String(row['log_end']),
        timeline: Number(row['timeline']),
        why: String(row['why']),
        at: String(row['found_at']),
        sinks: sinks
          .filter(({ epoch }) => epoch === row['epoch'])
          .map(({ sink, discarded, orphaned }) => ({
            sink: String(sink),
            discarded: Number(discarded),
            orphaned: Number(orphaned),
          })),
      }));
  }

  /** Over all of them and all sinks. */
  totals(database: string): LostHistories {
    const row = this.#totals.get(database, database);
    return {
      partings: Number(row?.['partings']),
      orphaned: Number(row?.['orphaned']),
      discarded: Number(row?.['discarded']),
    };
  }

  /** Those that are listed by name, in the order in which they were found; `after`: the id of the last one of the page before. */
  orphans(
    database: string,
    { after, limit }: { readonly after: number; readonly limit: number },
  ): readonly OrphanRecord[] {
    return this.#db
      .prepare('select * from orphans where database = ? and id > ? order by id limit ?')
      .all(database, after, limit)
      .map((row) => ({
        id: Number(row['id']),
        sink: String(row['sink']),
        schema: String(row['schema_name']),
        table: String(row['table_name']),
        action: String(row['action']) as Action,
        epoch: Number(row['epoch']),
        commitLsn: String(row['commit_lsn']),
        index: Number(row['change_index']),
        ...(row['row_key'] !== null && { key: String(row['row_key']) }),
      }));
  }
}
