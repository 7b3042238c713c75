// Which transactions a backfill finds running when it begins: any of them may have been streamed, and not be visible yet.
import type { Client } from 'pg';
import { begunBefore, runningXids } from '../look.ts';
import { parseSnapshot, type Snapshot } from './snapshot.ts';

/** `begun`: no id at or above it was given out before the question, 64 bits wide. Rejects with what `pg` throws. */
export async function openTransactions(
  client: Client,
): Promise<{ readonly snapshot: Snapshot; readonly begun: bigint }> {
  // In this order: what had begun and runs no more in the first is visible to the second.
  const running = await runningXids(client);
  const snapshot = await currentSnapshot(client);
  return { snapshot, begun: begunBefore(running, snapshot.xmax) };
}

export async function currentSnapshot(client: Client): Promise<Snapshot> {
  const { rows } = await client.query<{ snapshot: string }>('select pg_current_snapshot()::text as snapshot');
  return parseSnapshot(rows[0]!.snapshot);
}

/** Who may end a prepared transaction just now. Not a walsender that streams; a role that may not see what others do is told of each. */
const MAY_END_PREPARED = `datid = (select oid from pg_database where datname = current_database()) and pid <> pg_backend_pid()
  and coalesce(state = 'active', true) and backend_xid is null and backend_xmin is null
  and pid not in (select pid from pg_stat_replication where state in ('streaming', 'catchup'))`;

/**
 * Ids of transactions of which it is certain that the stream had not brought them before the question: they wait for a command of their
 * client, or are prepared and nobody ends them, or are of another database. A role that may not see what others do is told of the latter
 * alone.
 * https://www.postgresql.org/docs/current/monitoring-stats.html#MONITORING-PG-STAT-ACTIVITY-VIEW
 */
export async function uncommittedTransactions(client: Client): Promise<readonly number[]> {
  // The view takes a backend's state first, and then its transaction: that has not come further than to wait, then.
  const { rows: found } = await client.query<{ xids: readonly number[]; ending: boolean }>(
    `select coalesce(json_agg(backend_xid::text::int8) filter (where backend_xid is not null
         and (state like 'idle in transaction%' or datid <> (select oid from pg_database where datname = current_database()))), '[]') as xids,
       coalesce(bool_or(${MAY_END_PREPARED}), false) as ending
     from pg_stat_activity`,
  );
  const { xids, ending } = found[0]!;
  // In this order: what is still prepared now had not been committed by somebody who was there then. https://www.postgresql.org/docs/current/two-phase.html
  const { rows: prepared } = await client.query<{ xids: readonly number[] }>(
    `select coalesce(json_agg(transaction::text::int8), '[]') as xids from pg_prepared_xacts
     where database <> current_database() or not $1`,
    [ending],
  );
  return [...xids, ...prepared[0]!.xids];
}
