// Making a replication slot: what Postgres waits for meanwhile, how it is called off, and what a refusal means.
// https://www.postgresql.org/docs/current/functions-admin.html#FUNCTIONS-REPLICATION
import { setTimeout as sleep } from 'node:timers/promises';
import { escapeIdentifier, escapeLiteral, type Client } from 'pg';
import { aborted } from '../../core/abort.ts';
import { TailraceError } from '../../core/errors.ts';
import { readLsn, type Lsn } from '../../core/lsn.ts';
import {
  backendPid,
  closeConnection,
  connectOrdinary,
  type ReplicationConnection,
  type Target,
} from '../connection/connection.ts';
import { sqlStateOf } from '../connection/fault.ts';
import type { DatabaseSettings } from '../settings.ts';
import { maySnapshot } from './kept-slot.ts';
import { NO_SLOT_FREE, SLOT_BEING_MADE, type Slot } from './slot.ts';
import { CHECKS_CONNECTION, HAS_FAILOVER_SLOTS } from '../versions.ts';

/** How often to say what a slot being made waits for. */
const WAIT_NOTICE_MS = 2_000;
/** How long a called off backend may take to say so. */
const CANCEL_MS = 2_000;
/** How often the maker's backend looks whether we are still there (14+): else it would wait on, long after we were killed. */
const CONNECTION_CHECK_MS = 1_000;

/** What a slot being made waits for: a transaction that began before it. */
export type SlotBlocker = {
  readonly xid: string;
  /** Of the backend that runs it; undefined: it is prepared, and has none. */
  readonly pid: number | undefined;
  readonly applicationName: string | undefined;
  /** `idle in transaction` and so on. */
  readonly state: string | undefined;
  /** Of a prepared transaction. */
  readonly gid: string | undefined;
  readonly database: string | undefined;
  /** ISO 8601: when the transaction began, or was prepared. */
  readonly since: string | undefined;
};

type BlockerRow = { [K in keyof SlotBlocker]: Exclude<SlotBlocker[K], undefined> | null };

/** Undefined: the backend waits for no transaction (now). https://www.postgresql.org/docs/current/view-pg-locks.html */
export async function slotBlocker(client: Client, makerPid: number): Promise<SlotBlocker | undefined> {
  const { rows } = await client.query<BlockerRow>(
    `select w.transactionid::text as xid, a.pid, a.application_name as "applicationName", a.state, p.gid,
            coalesce(a.datname, p.database) as database,
            to_char(coalesce(a.xact_start, p.prepared) at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"') as since
     from pg_locks w
     left join pg_locks h on h.locktype = 'transactionid' and h.transactionid = w.transactionid and h.granted
     left join pg_stat_activity a on a.pid = h.pid
     left join pg_prepared_xacts p on p.transaction = w.transactionid
     where w.pid = $1 and w.locktype = 'transactionid' and not w.granted
     limit 1`,
    [makerPid],
  );
  const [row] = rows;
  if (row === undefined) return undefined;
  return {
    xid: row.xid ?? '',
    pid: row.pid ?? undefined,
    applicationName: row.applicationName || undefined,
    state: row.state ?? undefined,
    gid: row.gid ?? undefined,
    database: row.database ?? undefined,
    since: row.since ?? undefined,
  };
}

/** Degrades the source while a slot is being made, by us or by somebody else. */
export function slotWait(slotName: string, blocker: SlotBlocker | undefined): TailraceError {
  const waits = (what: string, hint: string): TailraceError =>
    new TailraceError(`slot "${slotName}" is being made and waits for ${what}`, {
      code: SLOT_BEING_MADE,
      kind: 'retryable',
      hint,
    });
  if (blocker === undefined) {
    return waits('the server to note a consistent point', 'it comes by itself, within seconds as a rule');
  }
  const { xid, pid, gid, applicationName, state, since, database } = blocker;
  const began = since === undefined ? '' : ` since ${since}`;
  if (gid !== undefined) {
    return waits(
      `transaction ${xid}, which is prepared as ${escapeLiteral(gid)}${began}`,
      `in database "${database}": COMMIT PREPARED ${escapeLiteral(gid)}; or ROLLBACK PREPARED ${escapeLiteral(gid)};`,
    );
  }
  const who = applicationName === undefined ? '' : ` of "${applicationName}"`;
  return waits(
    `transaction ${xid} of process ${pid}${who} (${state}${began})`,
    `let it end, or SELECT pg_terminate_backend(${pid});`,
  );
}

export type Watching = {
  /** Looks on while another connection makes the slot. */
  readonly client: Client;
  readonly serverVersion: number;
  /** Told every other second; `slotWait` says it in words. */
  readonly onWait: (blocker: SlotBlocker | undefined) => void;
  readonly signal: AbortSignal;
};

/**
 * Runs `make`, which makes a slot on the connection `maker`. Aborted, it calls the maker's backend off, which leaves no slot
 * behind, and rejects with the signal's reason.
 */
export async function watchMaking<T>(maker: Client, watching: Watching, make: () => Promise<T>): Promise<T> {
  const { client, serverVersion, onWait, signal } = watching;
  signal.throwIfAborted();
  if (serverVersion >= CHECKS_CONNECTION) {
    await maker.query(`SET client_connection_check_interval = ${CONNECTION_CHECK_MS}`);
  }
  const pid = await backendPid(maker);
  const notice = setInterval(() => {
    slotBlocker(client, pid).then(onWait, () => undefined);
  }, WAIT_NOTICE_MS);
  try {
    const made = make();
    await Promise.race([made, aborted(signal)]);
    if (!signal.aborted) return await made;
    await callOff(client, pid, made);
    throw signal.reason;
  } finally {
    clearInterval(notice);
  }
}

/** How often the primary is asked for what a slot that is being made on a standby begins with. */
const SNAPSHOT_INTERVAL_MS = 2_000;

/**
 * Runs `make`, which makes a slot on a standby: it begins with a record that the primary writes by itself every 15 seconds, and only where
 * something is written, or when it is asked for it. Undefined: the primary does not answer.
 */
export async function hurryingMaking<T>(primary: Client | undefined, make: () => Promise<T>): Promise<T> {
  const done = new AbortController();
  if (primary !== undefined) void hurry(primary, done.signal);
  try {
    return await make();
  } finally {
    done.abort();
  }
}

async function hurry(primary: Client, signal: AbortSignal): Promise<void> {
  try {
    if (!(await maySnapshot(primary))) return;
    await sleep(SNAPSHOT_INTERVAL_MS / 4, undefined, { signal, ref: false });
    while (!signal.aborted) {
      await primary.query('select pg_log_standby_snapshot()');
      await sleep(SNAPSHOT_INTERVAL_MS, undefined, { signal, ref: false });
    }
  } catch {
    // It is over, or the primary is: then it has to come by itself.
  }
}

export type SlotMaking = Watching & {
  readonly target: Target;
  readonly settings: DatabaseSettings;
  /** There it cannot be one that standbys take over. */
  readonly isOnStandby?: boolean;
};

/** Makes the slot, on a connection of its own, and answers its consistent point: it comes when every transaction that runs now has ended. */
export async function makeSlot(making: SlotMaking): Promise<Lsn> {
  const { target, settings, serverVersion, isOnStandby = false } = making;
  const failover = settings.slot.failover && !isOnStandby && serverVersion >= HAS_FAILOVER_SLOTS;
  const maker = await connectOrdinary(settings, target);
  try {
    return await watchMaking(maker, making, () => createSlot(maker, settings, failover));
  } finally {
    await closeConnection(maker);
  }
}

/**
 * Makes a slot that is there one that standbys take over, where that is wanted and the server has such slots. Only while nobody reads
 * from it. Answers what keeps it from that.
 * https://www.postgresql.org/docs/current/protocol-replication.html (ALTER_REPLICATION_SLOT)
 */
export async function letStandbysTakeOver(
  { client }: ReplicationConnection,
  { name, slot: wanted }: DatabaseSettings,
  slot: Slot,
): Promise<TailraceError | undefined> {
  if (!isToBeAltered(wanted, slot)) return undefined;
  try {
    await client.query(`ALTER_REPLICATION_SLOT ${escapeIdentifier(slot.name)} ( FAILOVER true )`);
    return undefined;
  } catch (cause) {
    if (sqlStateOf(cause) === undefined) throw cause;
    return new TailraceError(
      `database "${name}": slot "${slot.name}" cannot be made one that standbys take over: ${(cause as Error).message}`,
      {
        code: 'FAILOVER_NOT_SET',
        kind: 'retryable',
        hint: 'it is tried again at the next connection; slot.failover: false leaves it as it is',
        cause,
      },
    );
  }
}

/** Is it to be made one that standbys take over? */
export const isToBeAltered = (
  { failover, staysUnaltered }: DatabaseSettings['slot'],
  slot: Pick<Slot, 'failover'>,
): boolean => failover && staysUnaltered !== true && slot.failover === false;

/** A slot that nobody reads from. Rejects with what `pg` throws. */
export async function dropSlot(client: Client, name: string): Promise<void> {
  await client.query('select pg_drop_replication_slot($1)', [name]);
}

/** Where the server does not answer any more, its backend finds out by itself that we are gone. */
async function callOff(client: Client, pid: number, made: Promise<unknown>): Promise<void> {
  const settled = made.catch(() => undefined);
  const cancelled = client.query('select pg_cancel_backend($1)', [pid]).then(() => settled);
  await Promise.race([cancelled.catch(() => undefined), aborted(AbortSignal.timeout(CANCEL_MS))]);
}

async function createSlot(client: Client, settings: DatabaseSettings, failover: boolean): Promise<Lsn> {
  const { slot } = settings;
  try {
    const { rows } = await client.query<{ lsn: string }>(
      failover
        ? `select lsn from pg_create_logical_replication_slot($1, 'pgoutput', false, false, true)`
        : `select lsn from pg_create_logical_replication_slot($1, 'pgoutput')`,
      [slot.name],
    );
    return readLsn(rows[0]?.lsn ?? '');
  } catch (cause) {
    throw slotFault(settings, cause);
  }
}

/** By SQLSTATE. https://www.postgresql.org/docs/current/errcodes-appendix.html */
function slotFault({ slot, username }: DatabaseSettings, cause: unknown): unknown {
  const sqlState = sqlStateOf(cause);
  if (sqlState === undefined) return cause;
  const { message } = cause as Error;
  const fault = (code: string, kind: 'retryable' | 'fatal', hint: string): TailraceError =>
    new TailraceError(`slot "${slot.name}" cannot be made: ${message}`, { code, kind, hint, cause });
  switch (sqlState) {
    case '42710':
      return fault(
        SLOT_BEING_MADE,
        'retryable',
        'another process has made it meanwhile: it is looked at again',
      );
    case '53400':
      return fault(NO_SLOT_FREE.code, 'fatal', NO_SLOT_FREE.cure);
    case '42501':
      return fault('SLOT_NOT_CREATED', 'fatal', `ALTER ROLE ${escapeIdentifier(username)} REPLICATION;`);
    // Cancelled, ended, shut down, crashed: the next try makes it.
    case '57014':
    case '57P01':
    case '57P02':
    case '57P03':
      return fault(
        'SLOT_NOT_CREATED',
        'retryable',
        'somebody ended the process that made it: it is tried again',
      );
    default:
      return fault(
        'SLOT_NOT_CREATED',
        'fatal',
        `make it by hand: SELECT pg_create_logical_replication_slot(${escapeLiteral(slot.name)}, 'pgoutput');`,
      );
  }
}
