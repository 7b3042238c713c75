// Rewinds of rows: what was asked for, and how far each is. Asked for by one thread, done by another.
import type { DatabaseSync } from 'node:sqlite';
import { formatLsn } from '../core/lsn.ts';
import type { Position } from '../core/position.ts';
import type { FollowedRequest, RowRewind, RowRewindState } from '../core/row-rewind.ts';
import { parseStored } from './errors.ts';
import { positionOf } from './places.ts';
import { present } from './rows.ts';
import type { SinkId } from './sink-records.ts';

/** Of a sink, those that are over and kept as a record. */
const MAX_OVER = 20;

type Row = Readonly<Record<string, unknown>>;

export class RowRewinds {
  readonly #db: DatabaseSync;

  constructor(db: DatabaseSync) {
    this.#db = db;
  }

  /** Durable when it returns. */
  create(
    { database, sink }: SinkId,
    what: { readonly request: FollowedRequest; readonly rows: number; readonly changes: number },
    now: Date,
  ): RowRewind {
    this.#db
      .prepare(
        `delete from row_rewinds where id in (select id from row_rewinds where database = ? and sink = ?
           and state <> 'running' order by id desc limit -1 offset ${MAX_OVER})`,
      )
      .run(database, sink);
    const row = this.#db
      .prepare(
        `insert into row_rewinds (database, sink, request, row_count, changes, asked_at) values (?, ?, ?, ?, ?, ?) returning *`,
      )
      .get(database, sink, JSON.stringify(what.request), what.rows, what.changes, now.toISOString());
    return read(row!);
  }

  /** Those that are not over, oldest first. */
  open({ database, sink }: SinkId): RowRewind[] {
    return this.#db
      .prepare(`select * from row_rewinds where database = ? and sink = ? and state = 'running' order by id`)
      .all(database, sink)
      .map(read);
  }

  /** Newest first. */
  list({ database, sink }: SinkId): RowRewind[] {
    return this.#db
      .prepare('select * from row_rewinds where database = ? and sink = ? order by id desc')
      .all(database, sink)
      .map(read);
  }

  /** All before `place` is settled. Durable when it returns. */
  note(id: number, { sent, place }: { readonly sent: number; readonly place: Position }): void {
    this.#db
      .prepare('update row_rewinds set sent = ?, epoch = ?, commit_lsn = ?, change_index = ? where id = ?')
      .run(sent, place.epoch, formatLsn(place.commitLsn), place.index, id);
  }

  /** Is it over by this? Not where it is over already. Durable when it returns. */
  end(id: number, state: Exclude<RowRewindState, 'running'>, now: Date, reason?: string): boolean {
    const { changes } = this.#db
      .prepare(
        `update row_rewinds set state = ?, reason = ?, ended_at = ? where id = ? and state = 'running'`,
      )
      .run(state, reason ?? null, now.toISOString(), id);
    return changes > 0;
  }
}

function read(row: Row): RowRewind {
  return {
    id: Number(row['id']),
    database: String(row['database']),
    sink: String(row['sink']),
    request: parseStored(row['request']) as FollowedRequest,
    state: row['state'] as RowRewindState,
    ...present(row, { reason: 'reason' }),
    rows: Number(row['row_count']),
    changes: Number(row['changes']),
    sent: Number(row['sent']),
    ...(row['commit_lsn'] === null ? {} : { place: positionOf(row) }),
    askedAt: String(row['asked_at']),
    ...present(row, { endedAt: 'ended_at' }),
  };
}
