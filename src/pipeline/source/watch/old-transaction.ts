// A transaction that stays open, or prepared, for long: the slot keeps all WAL since it began, whatever was delivered. Named, and left alone.
import { escapeLiteral, type Client } from 'pg';
import { TailraceError } from '../../../core/errors.ts';
import type { Slot } from '../../../postgres/preflight/slot.ts';
import type { DatabaseSettings } from '../../../postgres/settings.ts';
import { Still } from './progress.ts';
import { inMegabytes } from './slot-limits.ts';

export type OldTransaction = {
  readonly xid: string;
  /** Absent: it is prepared. */
  readonly pid?: number;
  readonly gid?: string;
  readonly applicationName?: string;
  readonly state?: string;
  readonly database?: string;
  /** ISO 8601. A role that may not see others' activity is not told. */
  readonly since?: string;
};

/** The oldest that has written. Locks are shown to every role; what holds them is not. */
async function oldestTransaction(client: Client): Promise<OldTransaction | undefined> {
  const { rows } = await client.query<{ transaction: OldTransaction }>(
    `select json_strip_nulls(json_build_object('xid', h.transactionid::text, 'pid', a.pid, 'gid', p.gid,
         'applicationName', nullif(a.application_name, ''), 'state', a.state,
         'database', coalesce(a.datname, p.database),
         'since', to_char(coalesce(a.xact_start, p.prepared) at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"'))) as transaction
     from pg_locks h
     left join pg_stat_activity a on a.pid = h.pid
     left join pg_prepared_xacts p on p.transaction = h.transactionid
     where h.locktype = 'transactionid' and h.mode = 'ExclusiveLock' and h.granted and h.pid is distinct from pg_backend_pid()
     order by age(h.transactionid) desc limit 1`,
  );
  return rows[0]?.transaction;
}

/** `heldBytes`: of WAL that the slot keeps for it alone. */
function oldTransactionAlarm(
  transaction: OldTransaction,
  heldBytes: number,
  { name, slot }: DatabaseSettings,
): TailraceError {
  const { xid, pid, gid, applicationName, state, database, since } = transaction;
  const began = since === undefined ? '' : ` since ${since}`;
  const who =
    gid === undefined
      ? `transaction ${xid} of process ${pid ?? 'unknown'}${applicationName === undefined ? '' : ` of "${applicationName}"`} (${state ?? 'open'}${began})`
      : `transaction ${xid}, prepared as ${escapeLiteral(gid)}${began}`;
  const cure =
    gid === undefined
      ? `let it end, or SELECT pg_terminate_backend(${pid});`
      : `in database "${database}": COMMIT PREPARED ${escapeLiteral(gid)}; or ROLLBACK PREPARED ${escapeLiteral(gid)};`;
  return new TailraceError(
    `database "${name}": slot "${slot.name}" keeps ${inMegabytes(heldBytes)} of WAL for ${who}: everything since it began, whatever was delivered`,
    { code: 'TRANSACTION_HOLDS_WAL', kind: 'retryable', hint: cure },
  );
}

export class OldTransactionWatch {
  readonly #ports: { readonly client: Client; readonly settings: DatabaseSettings };
  readonly #oldest = new Still<string>();

  constructor(ports: { readonly client: Client; readonly settings: DatabaseSettings }) {
    this.#ports = ports;
  }

  /**
   * Asks only where the slot keeps more than `slot.max_retained` below what it was told that it may forget. The alarm comes once the
   * oldest transaction has been the oldest for as long as anything may stand still.
   */
  async look(
    { confirmedFlush, restart }: Pick<Slot, 'confirmedFlush' | 'restart'>,
    nowMs: number,
  ): Promise<TailraceError | undefined> {
    const { client, settings } = this.#ports;
    const heldBytes = restart === undefined ? 0 : Number(confirmedFlush - restart);
    if (heldBytes <= settings.slot.maxRetainedBytes) return undefined;
    const transaction = await oldestTransaction(client);
    if (transaction === undefined) return undefined;
    const isOld = this.#oldest.forMs(transaction.xid, nowMs) > settings.receiveTimeoutMs;
    return isOld ? oldTransactionAlarm(transaction, heldBytes, settings) : undefined;
  }
}
