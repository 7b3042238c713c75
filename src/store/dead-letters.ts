// Where dead letters are kept: messages that were refused for good, with payload and reason, until they are replayed or discarded.
import type { DatabaseSync, SQLInputValue, StatementSync } from 'node:sqlite';
import { formatLsn } from '../core/lsn.ts';
import type { Position } from '../core/position.ts';
import { positionOf } from './places.ts';
import { transaction, type SinkId } from './sink-records.ts';

export type DeadLetter = SinkId & {
  readonly position: Position;
  readonly idempotencyKey: string;
  readonly schema: string;
  readonly table: string;
  readonly action: string;
  readonly group: string;
  readonly route: string;
  /** The rendered message; undefined when the row was too large to be kept. */
  readonly payload: Uint8Array | undefined;
  readonly payloadBytes: number;
} & Failure;

/** Why it was refused, and after how many tries. */
export type Failure = { readonly code: string; readonly reason: string; readonly attempts: number };

export type StoredDeadLetter = DeadLetter & {
  readonly id: number;
  /** `replaying`: it will be sent again, or is being sent. */
  readonly state: 'dead' | 'replaying';
  readonly createdAt: string;
  readonly lastFailedAt: string;
};
export type DeadLetterSummary = Omit<StoredDeadLetter, 'payload'> & { readonly hasPayload: boolean };

/** Which letters of a sink: all conditions hold. */
export type DeadLetterFilter = {
  readonly ids?: readonly number[];
  readonly schema?: string;
  readonly table?: string;
  readonly code?: string;
  /** Made at this time or later. */
  readonly since?: Date;
};

/** What each sink may keep; 0: no limit. */
export type DeadLetterLimits = {
  readonly retentionMs: number;
  readonly maxCount: number;
  readonly maxBytes: number;
};

export type DroppedLetters = SinkId & {
  readonly count: number;
  readonly limit: 'retention' | 'max_count' | 'max_bytes';
};

const SUMMARY = `id, database, sink, epoch, commit_lsn, change_index, idempotency_key, schema_name, table_name, action,
  message_group, route, payload_bytes, code, reason, attempts, state, created_at, last_failed_at, payload is not null as has_payload`;

export class DeadLetters {
  readonly #db: DatabaseSync;
  readonly #insert: StatementSync;
  /** Asked with every status: prepared once. */
  readonly #counts: StatementSync;
  readonly #dropped: StatementSync;

  constructor(db: DatabaseSync) {
    this.#db = db;
    this.#counts = db.prepare(
      'select state, count(*) as n from dead_letters where database = ? and sink = ? group by state',
    );
    this.#dropped = db.prepare('select dead_letters_dropped as n from sinks where database = ? and name = ?');
    this.#insert = db.prepare(`
      insert into dead_letters (database, sink, epoch, commit_lsn, change_index, idempotency_key, schema_name, table_name,
        action, message_group, route, payload, payload_bytes, code, reason, attempts, created_at)
      values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
      on conflict do nothing`);
  }

  /** Durable when it returns. The same message of the same sink is stored once. */
  add(letter: DeadLetter, now: Date): void {
    const { position } = letter;
    this.#insert.run(
      letter.database,
      letter.sink,
      position.epoch,
      formatLsn(position.commitLsn),
      position.index,
      letter.idempotencyKey,
      letter.schema,
      letter.table,
      letter.action,
      letter.group,
      letter.route,
      letter.payload ?? null,
      letter.payloadBytes,
      letter.code,
      letter.reason,
      letter.attempts,
      now.toISOString(),
    );
  }

  /** In the order in which they were made, from the one after `after` on. */
  list(
    sink: SinkId,
    filter: DeadLetterFilter,
    page: { readonly after?: number; readonly limit: number },
  ): DeadLetterSummary[] {
    const { where, values } = conditions(sink, filter);
    const rows = this.#db
      .prepare(`select ${SUMMARY} from dead_letters where ${where} and id > ? order by id limit ?`)
      .all(...values, page.after ?? 0, page.limit);
    return rows.map(readSummary);
  }

  find({ database, sink }: SinkId, id: number): StoredDeadLetter | undefined {
    const row = this.#db
      .prepare(`select ${SUMMARY}, payload from dead_letters where database = ? and sink = ? and id = ?`)
      .get(database, sink, id);
    if (row === undefined) return undefined;
    const { hasPayload: _, ...letter } = readSummary(row);
    return { ...letter, payload: (row['payload'] as Uint8Array | null) ?? undefined };
  }

  /** `dropped`: by a limit, since there is this store. */
  counts({ database, sink }: SinkId): {
    readonly kept: number;
    readonly replaying: number;
    readonly dropped: number;
  } {
    let kept = 0;
    let replaying = 0;
    for (const row of this.#counts.all(database, sink)) {
      kept += Number(row['n']);
      if (row['state'] === 'replaying') replaying = Number(row['n']);
    }
    return { kept, replaying, dropped: Number(this.#dropped.get(database, sink)?.['n'] ?? 0) };
  }

  /** Returns how many there were. */
  discard(sink: SinkId, filter: DeadLetterFilter): number {
    const { where, values } = conditions(sink, filter);
    return Number(this.#db.prepare(`delete from dead_letters where ${where}`).run(...values).changes);
  }

  /**
   * Marks letters to be sent again; those without a payload cannot be, and those that `isWithheld` stay. Durable when it returns.
   */
  replay(
    sink: SinkId,
    filter: DeadLetterFilter,
    isWithheld: (position: Position) => boolean = () => false,
  ): { readonly replaying: number; readonly withoutPayload: number; readonly withheld: number } {
    const { where: chosen, values: choosing } = conditions(sink, filter);
    return transaction(this.#db, () => {
      const withheld = this.#db
        .prepare(`select id, epoch, commit_lsn, change_index from dead_letters where ${chosen}`)
        .all(...choosing)
        .flatMap((row) => (isWithheld(positionOf(row)) ? [Number(row['id'])] : []));
      const where = `${chosen} and id not in (select value from json_each(?))`;
      const values = [...choosing, JSON.stringify(withheld)];
      const lost = this.#db
        .prepare(`select count(*) as n from dead_letters where ${where} and payload is null`)
        .get(...values);
      const marked = this.#db
        .prepare(`update dead_letters set state = 'replaying' where ${where} and payload is not null`)
        .run(...values);
      return {
        replaying: Number(marked.changes),
        withoutPayload: Number(lost?.['n']),
        withheld: withheld.length,
      };
    });
  }

  /** Of all letters of an epoch and later ones: of which change each is. */
  *places(
    { database, sink }: SinkId,
    from: { readonly epoch: number },
  ): Generator<{ readonly position: Position; readonly key: string; readonly action: string }> {
    const rows = this.#db
      .prepare(
        `select epoch, commit_lsn, change_index, idempotency_key, action from dead_letters
         where database = ? and sink = ? and epoch >= ?`,
      )
      .iterate(database, sink, from.epoch);
    for (const row of rows) {
      const [key, action] = [String(row['idempotency_key']), String(row['action'])];
      yield { position: positionOf(row), key, action };
    }
  }

  /** Letters to be replayed after the one with id `after`, in the order in which they were made. */
  replays(
    { database, sink }: SinkId,
    page: { readonly after: number; readonly limit: number },
  ): DeadLetterSummary[] {
    const rows = this.#db
      .prepare(
        `select ${SUMMARY} from dead_letters where database = ? and sink = ? and state = 'replaying' and id > ?
         order by id limit ?`,
      )
      .all(database, sink, page.after, page.limit);
    return rows.map(readSummary);
  }

  /** They were accepted: nothing is left to keep. Durable when it returns. */
  delivered(ids: readonly number[]): void {
    transaction(this.#db, () => {
      const remove = this.#db.prepare('delete from dead_letters where id = ?');
      for (const id of ids) remove.run(id);
    });
  }

  /** A replay was refused as well: the letter waits for the next one. */
  returned(id: number, failure: Failure, now: Date): void {
    this.#db
      .prepare(
        `update dead_letters set state = 'dead', code = ?, reason = ?, attempts = attempts + ?, last_failed_at = ? where id = ?`,
      )
      .run(failure.code, failure.reason, failure.attempts, now.toISOString(), id);
  }

  /** Drops what is above the limits, oldest first, and counts it. What is being replayed stays. */
  enforce(limits: DeadLetterLimits, now: Date): DroppedLetters[] {
    const sinks = this.#db.prepare('select distinct database, sink from dead_letters').all();
    return sinks.flatMap((row) => {
      const sink = { database: String(row['database']), sink: String(row['sink']) };
      return transaction(this.#db, () => this.#enforceOne(sink, limits, now));
    });
  }

  #enforceOne(sink: SinkId, limits: DeadLetterLimits, now: Date): DroppedLetters[] {
    const { database, sink: name } = sink;
    const drop = (
      limit: DroppedLetters['limit'],
      which: string,
      ...values: SQLInputValue[]
    ): DroppedLetters => {
      const sql = `delete from dead_letters where database = ? and sink = ? and state = 'dead' and ${which}`;
      return { ...sink, limit, count: Number(this.#db.prepare(sql).run(database, name, ...values).changes) };
    };
    const dropped: DroppedLetters[] = [];
    if (limits.retentionMs > 0) {
      const oldest = new Date(now.getTime() - limits.retentionMs).toISOString();
      dropped.push(drop('retention', 'coalesce(last_failed_at, created_at) < ?', oldest));
    }
    if (limits.maxCount > 0) {
      const newest = `id not in (select id from dead_letters where database = ? and sink = ? order by id desc limit ?)`;
      dropped.push(drop('max_count', newest, database, name, limits.maxCount));
    }
    if (limits.maxBytes > 0) {
      const above = `id in (select id from (select id, sum(coalesce(length(payload), 0)) over (order by id desc) as bytes
        from dead_letters where database = ? and sink = ?) where bytes > ?)`;
      dropped.push(drop('max_bytes', above, database, name, limits.maxBytes));
    }
    const count = dropped.reduce((sum, { count }) => sum + count, 0);
    if (count > 0) {
      this.#db
        .prepare(
          'update sinks set dead_letters_dropped = dead_letters_dropped + ? where database = ? and name = ?',
        )
        .run(count, database, name);
    }
    return dropped.filter((limit) => limit.count > 0);
  }
}

function conditions(sink: SinkId, filter: DeadLetterFilter): { where: string; values: SQLInputValue[] } {
  const parts = ['database = ?', 'sink = ?'];
  const values: SQLInputValue[] = [sink.database, sink.sink];
  const add = (part: string, value: SQLInputValue | undefined): void => {
    if (value === undefined) return;
    parts.push(part);
    values.push(value);
  };
  // json_each: a list of any length is one parameter. https://www.sqlite.org/json1.html#jeach
  add(
    'id in (select value from json_each(?))',
    filter.ids === undefined ? undefined : JSON.stringify(filter.ids),
  );
  add('schema_name = ?', filter.schema);
  add('table_name = ?', filter.table);
  add('code = ?', filter.code);
  add('created_at >= ?', filter.since?.toISOString());
  return { where: parts.join(' and '), values };
}

const readSummary = (row: Readonly<Record<string, unknown>>): DeadLetterSummary => ({
  id: Number(row['id']),
  database: String(row['database']),
  sink: String(row['sink']),
  position: positionOf(row),
  idempotencyKey: String(row['idempotency_key']),
  schema: String(row['schema_name']),
  table: String(row['table_name']),
  action: String(row['action']),
  group: String(row['message_group']),
  route: String(row['route']),
  payloadBytes: Number(row['payload_bytes']),
  hasPayload: row['has_payload'] === 1,
  code: String(row['code']),
  reason: String(row['reason']),
  attempts: Number(row['attempts']),
  state: row['state'] as 'dead' | 'replaying',
  createdAt: String(row['created_at']),
  lastFailedAt: String(row['last_failed_at'] ?? row['created_at']),
});
