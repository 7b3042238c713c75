// Random changes on several tables, and the proof that what arrived makes the same tables: exactly once, in order.
import { isDeepStrictEqual } from 'node:util';
import type { Client } from 'pg';

export const TABLES = ['users', 'orders', 'events'] as const;

/** Tables with a version that grows with each change of a row, so that order shows in the messages. */
export async function createTables(client: Client): Promise<void> {
  for (const table of TABLES) {
    await client.query(
      `create table ${table} (id int primary key, version bigint not null, note text, amount numeric(12,2))`,
    );
    await client.query(`alter table ${table} replica identity ${table === 'orders' ? 'full' : 'default'}`);
  }
}

/** A generator of numbers in [0, 1) that gives the same for the same seed (mulberry32). */
export function seededRandom(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

/**
 * One transaction of `count` changes: inserts, updates, changed keys and deletes. `ids` is the range of keys this writer
 * owns, `version` a counter that only grows. Returns how many row events it made.
 */
export async function writeTransaction(
  client: Client,
  options: {
    readonly random: () => number;
    readonly count: number;
    readonly ids: { readonly from: number; readonly to: number };
    readonly nextVersion: () => number;
  },
): Promise<number> {
  const { random, ids, nextVersion } = options;
  const id = (): number => ids.from + Math.floor(random() * (ids.to - ids.from));
  let events = 0;
  await client.query('begin');
  for (let done = 0; done < options.count;) {
    const table = TABLES[Math.floor(random() * TABLES.length)]!;
    const chance = random();
    const version = nextVersion();
    if (chance < 0.45) {
      // A multi-row statement, as applications and COPY make them.
      const size = Math.min(options.count - done, 1 + Math.floor(random() * 40));
      const rows = new Set(Array.from({ length: size }, id));
      const result = await client.query(
        `insert into ${table} select id, $2, 'note "' || id || '"\\', id * 1.25 from unnest($1::int[]) as t(id)
         on conflict (id) do update set version = excluded.version, note = excluded.note`,
        [[...rows], version],
      );
      events += result.rowCount ?? 0;
      done += rows.size;
    } else if (chance < 0.75) {
      const result = await client.query(
        `update ${table} set version = $2, amount = amount + 1 where id = $1`,
        [id(), version],
      );
      events += result.rowCount ?? 0;
      done++;
    } else if (chance < 0.85) {
      const result = await client.query(
        `update ${table} set id = $2, version = $3 where id = $1 and not exists (select from ${table} where id = $2)`,
        [id(), id(), version],
      );
      events += result.rowCount ?? 0;
      done++;
    } else {
      const result = await client.query(`delete from ${table} where id = $1`, [id()]);
      events += result.rowCount ?? 0;
      done++;
    }
  }
  await client.query('commit');
  return events;
}

/** A message in Sequin's shape, as far as the accounting reads it. */
export type ChangeMessage = {
  record: Record<string, unknown>;
  changes: Record<string, unknown> | null;
  action: string;
  metadata: { table_name: string; idempotency_key: string; commit_lsn: number; commit_idx: number };
};

type Row = Record<string, unknown>;

/** Applies messages in the order of arrival, each change once, and says where the order of a row was broken. */
export class Replica {
  readonly #tables = new Map<string, Map<string, Row>>();
  readonly #seen = new Set<string>();
  readonly #lastVersion = new Map<string, number>();
  repeats = 0;
  readonly faults: string[] = [];

  /** What messages with these bodies make, in this order. */
  static of(messages: readonly { readonly body: string }[]): Replica {
    const replica = new Replica();
    for (const { body } of messages) replica.apply(JSON.parse(body) as ChangeMessage);
    return replica;
  }

  get changes(): number {
    return this.#seen.size;
  }

  apply(message: ChangeMessage): void {
    const { record, changes, action, metadata } = message;
    if (this.#seen.has(metadata.idempotency_key)) {
      this.repeats++;
      return;
    }
    this.#seen.add(metadata.idempotency_key);
    const table = this.#tables.get(metadata.table_name) ?? new Map<string, Row>();
    this.#tables.set(metadata.table_name, table);
    const id = String(record['id']);
    const oldId = changes !== null && 'id' in changes ? String(changes['id']) : id;
    if (action === 'delete') {
      if (!table.delete(id)) this.#fault(message, 'deletes a row that is not there');
      return;
    }
    this.#checkVersion(message, oldId);
    const before = table.get(oldId);
    if (action === 'update') {
      if (before === undefined) this.#fault(message, 'updates a row that is not there');
      table.delete(oldId);
      table.set(id, { ...before, ...record });
    } else {
      if (table.has(id)) this.#fault(message, 'inserts a row that is there');
      table.set(id, record);
    }
  }

  /** Throws unless the tables in Postgres are what the messages made, in order. */
  async compareWith(client: Client): Promise<void> {
    if (this.faults.length > 0) throw new Error(this.faults.slice(0, 5).join('\n'));
    for (const table of TABLES) {
      const { rows } = await client.query<Row>(
        `select id, version::int8::text as version, note, amount::text as amount from ${table} order by id`,
      );
      const expected = rows.map((row) => ({ ...row, version: Number(row['version']) }));
      const made = [...(this.#tables.get(table)?.values() ?? [])].sort(
        (a, b) => Number(a['id']) - Number(b['id']),
      );
      if (made.length !== expected.length) {
        throw new Error(`${table} has ${expected.length} rows, the messages made ${made.length}`);
      }
      const other = expected.findIndex((row, i) => !isDeepStrictEqual({ ...made[i] }, row));
      if (other !== -1) {
        throw new Error(
          `${table}: ${JSON.stringify(expected[other])} arrived as ${JSON.stringify(made[other])}`,
        );
      }
    }
  }

  #checkVersion({ record, metadata, ...message }: ChangeMessage, oldId: string): void {
    const version = Number(record['version']);
    for (const key of [`${metadata.table_name}/${oldId}`, `${metadata.table_name}/${String(record['id'])}`]) {
      const last = this.#lastVersion.get(key);
      if (last !== undefined && version < last) {
        this.#fault({ record, metadata, ...message }, `comes after version ${last} of ${key}`);
      }
      this.#lastVersion.set(key, version);
    }
  }

  #fault({ action, record, metadata }: ChangeMessage, what: string): void {
    const { table_name: table, commit_lsn: lsn, commit_idx: index } = metadata;
    this.faults.push(`${action} of ${table} ${String(record['id'])} at ${lsn}/${index} ${what}`);
  }
}
