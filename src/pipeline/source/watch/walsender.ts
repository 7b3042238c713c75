// What the server says of our walsender, and of how much its decoder has put on disk.
import type { Client } from 'pg';
import type { WalsenderFacts } from './stall.ts';

/**
 * A role sees its own backends in pg_stat_activity, whatever else it may not see. Activity and Client: the walsender waits for WAL, or for
 * us. https://www.postgresql.org/docs/current/monitoring-stats.html#WAIT-EVENT-TABLE
 */
export async function readWalsender(client: Client, pid: number, slot: string): Promise<WalsenderFacts> {
  const { rows } = await client.query<{ waitsFor: 'wal' | 'standby' | null }>(
    `select case when wait_event = 'WaitForStandbyConfirmation' then 'standby'
                 when wait_event_type in ('Activity', 'Client') then 'wal' end as "waitsFor"
     from pg_stat_activity where pid = $1`,
    [pid],
  );
  const [backend] = rows;
  return {
    present: backend !== undefined,
    waitsFor: backend?.waitsFor ?? undefined,
    spilledBytes: await spilledBytes(client, slot),
  };
}

/** From 14 on. https://www.postgresql.org/docs/current/monitoring-stats.html#MONITORING-PG-STAT-REPLICATION-SLOTS-VIEW */
async function spilledBytes(client: Client, slot: string): Promise<number | undefined> {
  const { rows: views } = await client.query<{ there: boolean }>(
    `select to_regclass('pg_catalog.pg_stat_replication_slots') is not null as there`,
  );
  if (views[0]?.there !== true) return undefined;
  const { rows } = await client.query<{ bytes: number }>(
    'select spill_bytes::float8 as bytes from pg_stat_replication_slots where slot_name = $1',
    [slot],
  );
  return rows[0]?.bytes;
}
