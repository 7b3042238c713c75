// Does our walsender hold changes back until a standby has them (synchronized_standby_slots), and which standby does it wait for?
// https://www.postgresql.org/docs/current/monitoring-stats.html#WAIT-EVENT-ACTIVITY-TABLE (WaitForStandbyConfirmation)
import { setTimeout as sleep } from 'node:timers/promises';
import type { Client } from 'pg';
import { TailraceError } from '../../../core/errors.ts';
import { setStandbys, SYNCHRONIZED_STANDBYS } from '../../../postgres/preflight/synchronized-standbys.ts';
import type { DatabaseSettings } from '../../../postgres/settings.ts';
import type { SourceState } from '../status.ts';

const INTERVAL_MS = 5_000;

export type ConfirmationPorts = {
  readonly client: Client;
  /** Backend of the replication connection. */
  readonly pid: number;
  readonly settings: DatabaseSettings;
  /** Only for such slots a walsender waits. */
  readonly isFailoverSlot: boolean;
  readonly state: SourceState;
  readonly warn: (error: TailraceError) => void;
};

type Awaited = { readonly name: string; readonly active: boolean; readonly reached: string | null };

/** A wait as such is nothing: it is said where a standby has not moved from one look to the next. */
export async function watchConfirmation(ports: ConfirmationPorts, signal: AbortSignal): Promise<void> {
  const { client, pid, settings, isFailoverSlot, state, warn } = ports;
  if (!isFailoverSlot) return;
  let before: readonly Awaited[] = [];
  try {
    while (!signal.aborted) {
      const awaited = await readAwaited(client, pid);
      const stuck = awaited.filter((standby) => before.some((earlier) => isWhereItWas(earlier, standby)));
      const alarm = stuck.length === 0 ? undefined : awaitsStandby(settings.name, stuck, awaited);
      state.raise('STANDBY_AWAITED', alarm, warn);
      before = awaited;
      await sleep(INTERVAL_MS, undefined, { signal, ref: false }).catch(() => undefined);
    }
  } finally {
    state.alarm('STANDBY_AWAITED', undefined);
  }
}

const isWhereItWas = (before: Awaited, now: Awaited): boolean =>
  before.name === now.name && before.reached === now.reached;

/** The standbys that are named, while our walsender waits for one of them. */
async function readAwaited(client: Client, pid: number): Promise<readonly Awaited[]> {
  const { rows } = await client.query<Awaited>(
    `select n.name, n.active, n.restart_lsn::text as reached
     from pg_stat_activity a cross join ${SYNCHRONIZED_STANDBYS} n
     where a.pid = $1 and a.wait_event = 'WaitForStandbyConfirmation'`,
    [pid],
  );
  return rows;
}

function awaitsStandby(name: string, stuck: readonly Awaited[], named: readonly Awaited[]): TailraceError {
  // One that is connected gets there by itself, unless its replay is paused.
  const away = stuck.filter(({ active }) => !active);
  const culprits = away.length > 0 ? away : stuck;
  const rest = named.filter((standby) => !culprits.includes(standby));
  const who = culprits.map(
    (standby) =>
      `"${standby.name}" (${standby.active ? 'connected' : 'not connected'}, at ${standby.reached ?? 'nowhere'})`,
  );
  return new TailraceError(
    `database "${name}": Postgres holds changes back until the standby of slot ${who.join(', ')} has them (synchronized_standby_slots)`,
    {
      code: 'STANDBY_AWAITED',
      kind: 'retryable',
      hint: `start that standby, or go on without it: ${setStandbys(rest.map(({ name: slot }) => slot))}`,
    },
  );
}
