// What is remembered of each sink beside its ledger: its life, its rewinds, its gaps.
import type { DatabaseSync, StatementSync } from 'node:sqlite';
import { formatLsn, parseLsn, ZERO_LSN, type Lsn } from '../core/lsn.ts';
import { comparePositions, type Position } from '../core/position.ts';
import type { SinkGap, WantedStatus } from '../core/status.ts';
import type { Cursor } from './ledger.ts';

/** A sink's identity. */
export type SinkId = { readonly database: string; readonly sink: string };

export type SinkRecord = {
  readonly rewinds: number;
  /** Since when nothing is held for it: it was disabled, or is not in the configuration. */
  readonly letGoAt: Date | undefined;
  /** Its cursor was given up there: what follows, until it starts anew, is a gap to record. */
  readonly leftLsn: Lsn | undefined;
  /** A rewind that its ledger does not have yet. */
  readonly rewindTo: Cursor | undefined;
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
    return {
      rewinds: Number(row['rewinds']),
      letGoAt: letGoAt === null ? undefined : new Date(letGoAt),
      leftLsn: leftLsn === null ? undefined : readLsn(leftLsn),
      rewindTo: rewindTo === null ? undefined : readCursor(rewindTo),
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
    const update = this.#db.prepare('update sinks set let_go_at = ? where database = ? and name = ?');
    for (const { database, sink, letGoAt } of gone) update.run(letGoAt.toISOString(), database, sink);
    return gone;
  }

  /** Its cursor is not kept any longer. */
  giveUp({ database, sink }: SinkId, cursor: Cursor): void {
    this.#db
      .prepare('update sinks set left_lsn = ?, let_go_at = null where database = ? and name = ?')
      .run(formatLsn(cursor.endLsn), database, sink);
  }

  /** The sink has its place: remembers it, with the gaps before that place. Returns how often it was rewound. */
  started({ database, sink }: SinkId, gaps: readonly SinkGap[], { configured, now }: Wish): number {
    return transaction(this.#db, () => {
      const insertGap = this.#db.prepare(
        'insert into sink_gaps (database, sink, from_lsn, to_lsn, reason, recorded_at) values (?, ?, ?, ?, ?, ?) on conflict do nothing',
      );
      for (const gap of gaps) insertGap.run(database, sink, gap.from, gap.to, gap.reason, now.toISOString());
      const row = this.#db
        .prepare(
          `insert into sinks (database, name, started_at, configured_status) values (?, ?, ?, ?)
           on conflict do update set started_at = coalesce(started_at, excluded.started_at),
             configured_status = coalesce(configured_status, excluded.configured_status),
             let_go_at = null, left_lsn = null
           returning rewinds`,
        )
        .get(database, sink, now.toISOString(), configured);
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
    cursor: Cursor,
  ): { readonly rewinds: number; readonly withdrawn: number } {
    return transaction(this.#db, () => {
      const row = this.#db
        .prepare(
          'update sinks set rewinds = rewinds + 1, rewind_to = ? where database = ? and name = ? returning rewinds',
        )
        .get(writeCursor(cursor), database, sink);
      const letters = this.#db
        .prepare(
          'select id, epoch, commit_lsn, change_index from dead_letters where database = ? and sink = ?',
        )
        .all(database, sink);
      const again = letters.filter((letter) => comparePositions(positionOf(letter), cursor.position) >= 0);
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
const readLsn = (text: string): Lsn => parseLsn(text) ?? ZERO_LSN;

/** The position in a row that has `epoch`, `commit_lsn` and `change_index`. */
export const positionOf = (row: Readonly<Record<string, unknown>>): Position => ({
  epoch: Number(row['epoch']),
  commitLsn: readLsn(String(row['commit_lsn'])),
  index: Number(row['change_index']),
});

type StoredCursor = {
  readonly epoch: number;
  readonly commit_lsn: string;
  readonly change_index: number;
  readonly end_lsn: string;
};

const writeCursor = ({ position, endLsn }: Cursor): string =>
  JSON.stringify({
    epoch: position.epoch,
    commit_lsn: formatLsn(position.commitLsn),
    change_index: position.index,
    end_lsn: formatLsn(endLsn),
  } satisfies StoredCursor);

function readCursor(text: string): Cursor {
  const stored = JSON.parse(text) as StoredCursor;
  return { position: positionOf(stored), endLsn: readLsn(stored.end_lsn) };
}

/** All of it or nothing; durable when it returns. */
export function transaction<T>(db: DatabaseSync, work: () => T): T {
  db.exec('begin immediate');
  try {
    const result = work();
    db.exec('commit');
    return result;
  } catch (error) {
    db.exec('rollback');
    throw error;
  }
}
