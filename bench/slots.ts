// Replication slots as Postgres tells of them: made before the load, watched during a run.
import { wallClockMs } from './clock.ts';
import { cpuUsOf } from './process-figures.ts';
import type { Database } from './workbench.ts';

/** Between two looks: the clock of a run starts at most so much late. */
const LOOK_INTERVAL_MS = 2;

export async function createSlots(database: Database, names: readonly string[]): Promise<void> {
  for (const name of names) {
    await database.client.query("select pg_create_logical_replication_slot($1, 'pgoutput')", [name]);
  }
}

/** The walsender that serves a slot. */
export type Walsender = { readonly pid: number; readonly activeSinceMs: number };

/** Resolves when somebody starts to read the slot: here a run's clock starts, whoever reads. */
export async function whenActive({ client }: Database, slot: string): Promise<Walsender> {
  for (;;) {
    const { rows } = await client.query<{ active_pid: number | null }>(
      'select active_pid from pg_replication_slots where slot_name = $1',
      [slot],
    );
    const pid = rows[0]?.active_pid;
    if (pid !== undefined && pid !== null) return { pid, activeSinceMs: wallClockMs() };
    await new Promise((done) => setTimeout(done, LOOK_INTERVAL_MS));
  }
}

/** CPU of a walsender that is still connected; NaN when it is gone. */
export const walsenderCpuUs = ({ pid }: Walsender): number => cpuUsOf(pid) ?? Number.NaN;

/** The end of the WAL so far, and something behind it, so that a reader that waits for this place passes it. */
export async function endOfWal({ client }: Database): Promise<string> {
  const { rows } = await client.query<{ lsn: string }>('select pg_current_wal_insert_lsn()::text as lsn');
  await client.query("select pg_logical_emit_message(false, 'bench', '', true)");
  return rows[0]!.lsn;
}
