// The WAL of `drain` and `log`: inserts, updates and deletes in transactions of 1 to 1,000 rows.
import type { Client } from 'pg';

export const TABLE_COLUMNS = `id serial primary key, string_field text, numeric_field numeric, timestamp_field timestamptz,
  json_field jsonb, inserted_at timestamp, updated_at timestamp`;

/** An INSERT of `$1` rows of about 200 bytes. */
export const insertRows = (table: string): string =>
  `insert into ${table} (string_field, numeric_field, timestamp_field, json_field, inserted_at, updated_at)
   select 'a string of some length, number ' || i, i * 1.25, now(), jsonb_build_object('key', i, 'name', 'value "' || i || '"'), now(), now()
   from generate_series(1, $1::int) i`;

export type ChangeCounts = { inserts: number; updates: number; deletes: number };

export const changesIn = ({ inserts, updates, deletes }: ChangeCounts): number => inserts + updates + deletes;

/** Called when so many changes are left to come, between two transactions. */
export type Milestone = { readonly remaining: number; readonly reached: () => Promise<void> };

const SIZES = [1, 10, 100, 1000];
const KINDS = ['insert', 'update', 'insert', 'delete'] as const;

/**
 * Makes `changes` changes; returns how many of each kind come after each milestone, in the milestones' order. Every
 * size meets every kind; updates take the newest rows, deletes the oldest. No one else writes to the table.
 */
export async function loadMixed(
  client: Client,
  table: string,
  options: { readonly changes: number; readonly milestones: readonly Milestone[] },
): Promise<ChangeCounts[]> {
  const milestones = options.milestones.map((milestone) => ({
    ...milestone,
    after: { inserts: 0, updates: 0, deletes: 0 },
    isReached: false,
  }));
  let lowest = 1;
  let highest = 0;
  let made = 0;
  for (let round = 0; ; round++) {
    const remaining = options.changes - made;
    for (const milestone of milestones) {
      if (milestone.isReached || milestone.remaining < remaining) continue;
      await milestone.reached();
      milestone.isReached = true;
    }
    if (remaining === 0) return milestones.map(({ after }) => after);
    const nextStop = Math.max(
      0,
      ...milestones.filter((each) => !each.isReached).map((each) => each.remaining),
    );
    const kind = KINDS[Math.floor(round / SIZES.length) % KINDS.length]!;
    const live = highest - lowest + 1;
    const size = Math.min(
      SIZES[round % SIZES.length]!,
      remaining - nextStop,
      kind === 'insert' ? Infinity : live,
    );
    if (size === 0) continue;
    if (kind === 'insert') {
      await client.query(insertRows(table), [size]);
      highest += size;
    } else if (kind === 'update') {
      await client.query(
        `update ${table} set updated_at = now(), numeric_field = numeric_field + 1 where id > $1 and id <= $2`,
        [highest - size, highest],
      );
    } else {
      await client.query(`delete from ${table} where id >= $1 and id < $2`, [lowest, lowest + size]);
      lowest += size;
    }
    made += size;
    for (const { after, isReached } of milestones) if (isReached) after[`${kind}s`] += size;
  }
}
