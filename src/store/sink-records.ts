// What is remembered of each sink beside its ledger: its life, its rewinds, its gaps.
import type { DatabaseSync, StatementSync } from 'node:sqlite';
import { formatLsn, readLsn, type Lsn } from '../core/lsn.ts';
import { comparePositions } from '../core/position.ts';
import type { SinkGap, WantedStatus } from '../core/status.ts';
import { positionOf, readPlace, settledLsn, writePlace, type KnownPlace } from './places.ts';

/** A sink's identity. */
export type SinkId = { readonly database: string; readonly sink: string };

export type SinkRecord = {
  readonly rewinds: number;
  /** It has begun once. */
  readonly hasBegun: boolean;
  /** Where it stood when that was last noted: not far behind its ledger. */
  readonly place: KnownPlace | undefined;
  /** Since when nothing is held for it: it was disabled, or is not in the configuration. */
  readonly letGoAt: Date | undefined;
  /** Its cursor was given up there: what follows, until it starts anew, is a gap to record. */
  readonly leftLsn: Lsn | undefined;
  /** A rewind that its ledger does not have yet. */
  readonly rewindTo: KnownPlace | undefined;
  /** Dead letters a second that a replay may send; undefined: as fast as they go. */
  readonly replayRate: number | undefined;
};

/** The status that holds, by what was chosen while running and what the configuration says. */
export type Wish = { readonly configured: WantedStatus; readonly now: Date };

export class SinkRecords {
  readonly #db: DatabaseSync;
  readonly #find: StatementSync;

  constructor(db: DatabaseSync) {
    this.#db = db;
    this.#find = db.prepare('select * from sinks where database = ? and name = ?');
  }

  /**
   * A database's log is open. If that is the first time ever, its sinks of now are the first ones: they begin where the log
   * does, whatever crashes before they have. Answers which of the first ones have not begun yet. One transaction.
   */
  met(database: string, sinks: readonly string[], now: Date): ReadonlySet<string> {
    return transaction(this.#db, () => {
      const { changes } = this.#db
        .prepare('insert into databases (name, first_started_at) values (?, ?) on conflict do nothing')
        .run(database, now.toISOString());
      // Where an older version was here before, the first ones have begun.
      if (changes > 0 && this.names(database).length === 0) {
        const mark = this.#db.prepare(
          'insert into sinks (database, name, starts_first) values (?, ?, 1) on conflict do update set starts_first = 1',
        );
        for (const sink of sinks) mark.run(database, sink);
      }
      const rows = this.#db
        .prepare('select name from sinks where database = ? and starts_first = 1 and started_at is null')
        .all(database);
      return new Set(rows.map((row) => String(row['name'])));
    });
  }

  /** The highest epoch in anything that is known of a database's sinks; -1: none is. */
  highestEpoch(database: string): number {
    const places = this.#db
      .prepare('select place, rewind_to from sinks where database = ?')
      .all(database)
      .flatMap((row) => [row['place'], row['rewind_to']])
      .filter((place) => place !== null)
      .map((place) => readPlace(String(place)).cursor.position.epoch);
    const { epoch } = this.#db
      .prepare(
        `select max(epoch) as epoch from
           (select epoch from dead_letters where database = ?1
            union all select epoch from skipped_transactions where database = ?1)`,
      )
      .get(database) as { epoch: number | null };
    return Math.max(epoch ?? -1, ...places);
  }

  /** Sinks of this database that have begun. */
  names(database: string): string[] {
    const rows = this.#db
      .prepare('select name from sinks where database = ? and started_at is not null')
      .all(database);
    return rows.map((row) => String(row['name']));
  }

  find({ database, sink }: SinkId): SinkRecord | undefined {
    const row = this.#find.get(database, sink);
    if (row === undefined) return undefined;
    const letGoAt = row['let_go_at'] as string | null;
    const leftLsn = row['left_lsn'] as string | null;
    const rewindTo = row['rewind_to'] as string | null;
    const place = row['place'] as string | null;
    return {
      rewinds: Number(row['rewinds']),
      hasBegun: row['started_at'] !== null,
      place: place === null ? undefined : readPlace(place),
      letGoAt: letGoAt === null ? undefined : new Date(letGoAt),
      leftLsn: leftLsn === null ? undefined : readLsn(leftLsn),
      rewindTo: rewindTo === null ? undefined : readPlace(rewindTo),
      replayRate: (row['replay_rate'] as number | null) ?? undefined,
    };
  }

  /**
   * At a start: the status that holds. What was chosen while running counts until the configuration says something
   * else than it did then.
   */
  reconcile({ database, sink }: SinkId, { configured, now }: Wish): WantedStatus {
    const row = this.#find.get(database, sink);
    if (row === undefined) return configured;
    const before = (row['configured_status'] as WantedStatus | null) ?? configured;
    const chosen = before === configured ? (row['chosen_status'] as WantedStatus | null) : null;
    const status = chosen ?? configured;
    this.#db
      .prepare(
        'update sinks set configured_status = ?, chosen_status = ?, let_go_at = coalesce(let_go_at, ?) where database = ? and name = ?',
      )
      .run(configured, chosen, status === 'disabled' ? now.toISOString() : null, database, sink);
    return status;
  }

  /** A status chosen while running. Durable when it returns. */
  choose({ database, sink }: SinkId, status: WantedStatus, { configured, now }: Wish): void {
    this.#db
      .prepare(
        `insert into sinks (database, name, configured_status, chosen_status, let_go_at) values (?, ?, ?, ?, ?)
         on conflict do update set configured_status = excluded.configured_status,
           chosen_status = excluded.chosen_status, let_go_at = coalesce(let_go_at, excluded.let_go_at)`,
      )
      .run(database, sink, configured, status, status === 'disabled' ? now.toISOString() : null);
  }

  /** Every sink but those is not in the configuration: from now on nothing is held for it. Returns all such sinks. */
  letGoOfOthers(configured: readonly SinkId[], now: Date): (SinkId & { readonly letGoAt: Date })[] {
    const kept = new Set(configured.map(keyOf));
    const rows = this.#db.prepare('select database, name, let_go_at from sinks').all();
    const gone = rows
      .map((row) => ({
        database: String(row['database']),
        sink: String(row['name']),
        letGoAt: new Date((row['let_go_at'] as string | null) ?? now),
      }))
      .filter((sink) => !kept.has(keyOf(sink)));
    const update = this.#db.prepare(
      'update sinks set let_go_at = ?, starts_first = 0 where database = ? and name = ?',
    );
    for (const { database, sink, letGoAt } of gone) update.run(letGoAt.toISOString(), database, sink);
    return gone;
  }

  /** Its cursor is not kept any longer. */
  giveUp({ database, sink }: SinkId, place: KnownPlace): void {
    this.#db
      .prepare('update sinks set left_lsn = ?, place = ?, let_go_at = null where database = ? and name = ?')
      .run(formatLsn(settledLsn(place.cursor)), writePlace(place), database, sink);
  }

  /** Notes where a sink stands, should its ledger be lost. */
  stands({ database, sink }: SinkId, place: KnownPlace): void {
    this.#db
      .prepare('update sinks set place = ? where database = ? and name = ?')
      .run(writePlace(place), database, sink);
  }

  /** The sink has its place: remembers it, with the gaps before that place. Returns how often it was rewound. */
  started(
    { database, sink }: SinkId,
    gaps: readonly SinkGap[],
    { configured, now, place }: Wish & { readonly place?: KnownPlace },
  ): number {
    return transaction(this.#db, () => {
      const insertGap = this.#db.prepare(
        'insert into sink_gaps (database, sink, from_lsn, to_lsn, reason, recorded_at) values (?, ?, ?, ?, ?, ?) on conflict do nothing',
      );
      for (const gap of gaps) insertGap.run(database, sink, gap.from, gap.to, gap.reason, now.toISOString());
      const row = this.#db
        .prepare(
          `insert into sinks (database, name, started_at, configured_status, place) values (?, ?, ?, ?, ?)
           on conflict do update set started_at = coalesce(started_at, excluded.started_at),
             configured_status = coalesce(configured_status, excluded.configured_status),
             let_go_at = null, left_lsn = null, place = coalesce(excluded.place, place)
           returning rewinds`,
        )
        .get(database, sink, now.toISOString(), configured, place === undefined ? null : writePlace(place));
      return Number(row?.['rewinds']);
    });
  }

  /** A gap that grows: one that begins where another does takes its place. Durable when it returns. Returns the latest ones. */
  addGap(id: SinkId, gap: SinkGap, now: Date): SinkGap[] {
    const { database, sink } = id;
    transaction(this.#db, () => {
      this.#db
        .prepare(
          'delete from sink_gaps where database = ? and sink = ? and from_lsn = ? and changes is not null',
        )
        .run(database, sink, gap.from);
      this.#db
        .prepare(
          'insert into sink_gaps (database, sink, from_lsn, to_lsn, reason, changes, recorded_at) values (?, ?, ?, ?, ?, ?, ?) on conflict do nothing',
        )
        .run(database, sink, gap.from, gap.to, gap.reason, gap.changes ?? null, now.toISOString());
    });
    return this.gaps(id);
  }

  /** The latest gaps of a sink, oldest first. */
  gaps({ database, sink }: SinkId): SinkGap[] {
    const rows = this.#db
      .prepare(
        'select from_lsn, to_lsn, reason, changes from sink_gaps where database = ? and sink = ? order by rowid desc limit ?',
      )
      .all(database, sink, MAX_GAPS_SHOWN);
    return rows.toReversed().map((row) => ({
      from: String(row['from_lsn']),
      to: String(row['to_lsn']),
      reason: String(row['reason']),
      ...(row['changes'] !== null && { changes: Number(row['changes']) }),
    }));
  }

  /**
   * Decides a rewind: when this returns it will happen, whatever crashes. Dead letters from there on are withdrawn, as
   * their changes are sent again.
   */
  rewind(
    { database, sink }: SinkId,
    place: KnownPlace,
  ): { readonly rewinds: number; readonly withdrawn: number } {
    return transaction(this.#db, () => {
      const row = this.#db
        .prepare(
          'update sinks set rewinds = rewinds + 1, rewind_to = ? where database = ? and name = ? returning rewinds',
        )
        .get(writePlace(place), database, sink);
      const letters = this.#db
        .prepare(
          'select id, epoch, commit_lsn, change_index from dead_letters where database = ? and sink = ?',
        )
        .all(database, sink);
      const again = letters.filter(
        (letter) => comparePositions(positionOf(letter), place.cursor.position) >= 0,
      );
      const remove = this.#db.prepare('delete from dead_letters where id = ?');
      for (const letter of again) remove.run(letter['id']!);
      return { rewinds: Number(row?.['rewinds']), withdrawn: again.length };
    });
  }

  /** The ledger stands where the rewind wanted it. */
  rewound({ database, sink }: SinkId): void {
    this.#db.prepare('update sinks set rewind_to = null where database = ? and name = ?').run(database, sink);
  }

  setReplayRate({ database, sink }: SinkId, perSecond: number | undefined): void {
    this.#db
      .prepare('update sinks set replay_rate = ? where database = ? and name = ?')
      .run(perSecond ?? null, database, sink);
  }
}

/** What a status shows; older ones stay in the store. */
const MAX_GAPS_SHOWN = 20;

const keyOf = ({ database, sink }: SinkId): string => JSON.stringify([database, sink]);
/** All of it or nothing; durable when it returns. */
export function transaction<T>(db: DatabaseSync, work: () => T): T {
  db.exec('begin immediate');
  try {
    const result = work();
    db.exec('commit');
    return result;
  } catch (error) {
    // Where the disk is full SQLite may have done so by itself.
    if (db.isTransaction) db.exec('rollback');
    throw error;
  }
}
