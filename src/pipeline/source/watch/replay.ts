// Does a standby that is read from replay what the primary writes? What it has not replayed does not come, and the stream, which has
// brought all that there is, says nothing of that. https://www.postgresql.org/docs/current/functions-admin.html#FUNCTIONS-RECOVERY-CONTROL
import { setTimeout as sleep } from 'node:timers/promises';
import { DatabaseError, type Client } from 'pg';
import { steadyMs } from '../../../core/clock.ts';
import { TailraceError } from '../../../core/errors.ts';
import { readLsn, type Lsn } from '../../../core/lsn.ts';
import type { Followed } from '../../../postgres/connection/hosts.ts';
import { formatTarget } from '../../../postgres/connection/target.ts';
import type { DatabaseSettings } from '../../../postgres/settings.ts';
import type { SourceState } from '../status.ts';
import { Still } from './progress.ts';

const INTERVAL_MS = 2_000;
const ALARM = 'STANDBY_REPLAY';

export type ReplayPorts = {
  readonly followed: Followed;
  /** Beside it, where it answers. */
  readonly primary: Client | undefined;
  readonly settings: DatabaseSettings;
  readonly state: SourceState;
  readonly warn: (error: TailraceError) => void;
};

type Replay = {
  readonly replayed: string;
  /** Null: nothing was streamed to it since it started. */
  readonly received: string | null;
  readonly isPaused: boolean;
  readonly isConnected: boolean;
  /** `primary_conninfo`: without it, or beside it, WAL comes out of an archive. Unknown counts as connecting. */
  readonly connects: boolean;
  /** `recovery_min_apply_delay`. */
  readonly delayMs: number;
};

const REPLAY = `select pg_last_wal_replay_lsn()::text as replayed, pg_last_wal_receive_lsn()::text as received,
  pg_is_wal_replay_paused() as "isPaused", exists (select from pg_stat_wal_receiver) as "isConnected",
  coalesce((select setting <> '' from pg_settings where name = 'primary_conninfo'), true) as connects,
  (select setting::int from pg_settings where name = 'recovery_min_apply_delay') as "delayMs"`;

/** Of a primary nothing. Rejects when the standby no longer answers. */
export async function watchReplay(ports: ReplayPorts, signal: AbortSignal): Promise<void> {
  const { followed, state, warn } = ports;
  if (!followed.inRecovery) return;
  const replayed = new Still<string>();
  try {
    while (!signal.aborted) {
      state.raise(ALARM, await look(ports, replayed), warn);
      await sleep(INTERVAL_MS, undefined, { signal, ref: false }).catch(() => undefined);
    }
  } finally {
    state.raise(ALARM, undefined, warn);
  }
}

async function look(
  { followed, primary, settings }: ReplayPorts,
  still: Still<string>,
): Promise<TailraceError | undefined> {
  const { rows } = await followed.client.query<Replay>(REPLAY);
  const { replayed, received, isPaused, isConnected, connects, delayMs } = rows[0]!;
  const stillMs = still.forMs(replayed, steadyMs());
  const alarm = (code: string, what: string, hint: string): TailraceError =>
    new TailraceError(
      `database "${settings.name}": the standby ${formatTarget(followed.target)} ${what}: nothing comes that was written after ${replayed}`,
      { code, kind: 'retryable', hint },
    );
  if (isPaused) {
    return alarm(
      'STANDBY_PAUSED',
      'has its replay paused',
      'SELECT pg_wal_replay_resume(); on the standby; if its log says that its parameters are lower than the primary’s, raise them and restart it instead',
    );
  }
  if (stillMs <= settings.receiveTimeoutMs + delayMs) return undefined;
  const at = readLsn(replayed);
  if (received !== null && readLsn(received) > at) {
    return alarm(
      'STANDBY_BEHIND',
      'does not replay what it has received',
      'see its log, and what runs there: a query that replay would disturb holds it up for max_standby_streaming_delay',
    );
  }
  if (isConnected || !connects || primary === undefined) return undefined;
  const end = await walEnd(primary);
  return end === undefined || end <= at
    ? undefined
    : alarm(
        'STANDBY_CUT_OFF',
        'receives nothing from its primary, which goes on',
        'see the log of the standby, its primary_conninfo and primary_slot_name',
      );
}

/** What standbys can have; undefined: it does not answer, which others say. */
async function walEnd(primary: Client): Promise<Lsn | undefined> {
  try {
    const { rows } = await primary.query<{ lsn: string }>('select pg_current_wal_flush_lsn()::text as lsn');
    return readLsn(rows[0]!.lsn);
  } catch (error) {
    if (error instanceof DatabaseError) throw error;
    return undefined;
  }
}
