// The replication slot: what state it is in, whether we may stream from it, and making one.
// https://www.postgresql.org/docs/current/view-pg-replication-slots.html
import { escapeLiteral, type Client } from 'pg';
import { TailraceError } from '../../core/errors.ts';
import { parseLsn, ZERO_LSN, type Lsn } from '../../core/lsn.ts';
import { failed, passed, warned, type Finding } from './finding.ts';
import type { DatabaseSettings } from '../settings.ts';

export type Slot = {
  readonly name: string;
  readonly type: string;
  readonly plugin: string | undefined;
  readonly database: string | undefined;
  readonly activePid: number | undefined;
  readonly temporary: boolean;
  readonly twoPhase: boolean;
  /** `reserved`, `extended`, `unreserved`, `lost`. */
  readonly walStatus: string | undefined;
  /** Why Postgres gave the slot up (17+); undefined when it did not. */
  readonly invalidation: string | undefined;
  readonly confirmedFlush: Lsn;
  /** How much more WAL may be written before Postgres gives the slot up; undefined: no limit is set. */
  readonly safeWalBytes: number | undefined;
};

/** One column a slot may have, depending on the version. */
type SlotColumns = {
  slot_name: string;
  slot_type: string;
  plugin: string | null;
  database: string | null;
  active_pid: number | null;
  temporary: boolean;
  two_phase?: boolean;
  wal_status: string | null;
  conflicting?: boolean | null;
  invalidation_reason?: string | null;
  confirmed_flush_lsn: string | null;
  safe_wal_size: number | null;
};

/** Undefined when there is no such slot. */
export async function readSlot(client: Client, name: string): Promise<Slot | undefined> {
  const { rows } = await client.query<{ slot: SlotColumns }>(
    'select to_jsonb(s) as slot from pg_replication_slots s where slot_name = $1',
    [name],
  );
  const slot = rows[0]?.slot;
  if (slot === undefined) return undefined;
  return {
    name: slot.slot_name,
    type: slot.slot_type,
    plugin: slot.plugin ?? undefined,
    database: slot.database ?? undefined,
    activePid: slot.active_pid ?? undefined,
    temporary: slot.temporary,
    twoPhase: slot.two_phase ?? false,
    walStatus: slot.wal_status ?? undefined,
    invalidation: slot.invalidation_reason ?? (slot.conflicting === true ? 'rows_removed' : undefined),
    confirmedFlush: parseLsn(slot.confirmed_flush_lsn ?? '') ?? ZERO_LSN,
    safeWalBytes: slot.safe_wal_size ?? undefined,
  };
}

const recreate = (name: string): string =>
  `SELECT pg_drop_replication_slot(${escapeLiteral(name)}); and let Tailrace make a new one (slot.create_if_not_exists: true); ` +
  'changes that the old slot had not delivered are then missing and must be read from the tables';

/** Everything that can be wrong with a slot that exists. A slot in use is not a fault: it may become free. */
export function inspectSlot(slot: Slot, settings: DatabaseSettings): Finding {
  const title = `slot "${slot.name}"`;
  const other = 'or name another slot in slot.name';
  const literal = escapeLiteral(slot.name);
  if (slot.type !== 'logical') {
    return failed({
      code: 'SLOT_PHYSICAL',
      title,
      detail: 'it is a physical slot, made for a standby; changes are read from a logical one',
      cure: `choose a free slot.name, or SELECT pg_drop_replication_slot(${literal});`,
    });
  }
  if (slot.database !== settings.database) {
    return failed({
      code: 'SLOT_OTHER_DATABASE',
      title,
      detail: `it belongs to database "${slot.database}", not to "${settings.database}"`,
      cure: `choose a free slot.name, or, in database "${slot.database}": SELECT pg_drop_replication_slot(${literal});`,
    });
  }
  if (slot.plugin !== 'pgoutput') {
    return failed({
      code: 'SLOT_WRONG_PLUGIN',
      title,
      detail: `its output plugin is ${slot.plugin}, and Tailrace reads pgoutput`,
      cure: `SELECT pg_drop_replication_slot(${literal}); SELECT pg_create_logical_replication_slot(${literal}, 'pgoutput'); ${other}`,
    });
  }
  if (slot.walStatus === 'lost' || slot.invalidation !== undefined) {
    return failed({
      code: 'SLOT_INVALIDATED',
      title,
      detail: `Postgres has invalidated it (${slot.invalidation ?? 'wal_removed'}): the changes it kept are gone`,
      cure: `${recreate(slot.name)}. To keep it from happening again: ALTER SYSTEM SET max_slot_wal_keep_size = '-1'; or a larger value`,
    });
  }
  if (slot.twoPhase) {
    return failed({
      code: 'SLOT_TWO_PHASE',
      title,
      detail: 'it was made with two_phase, so rows would come at PREPARE TRANSACTION, committed or not',
      cure: `SELECT pg_drop_replication_slot(${literal}); SELECT pg_create_logical_replication_slot(${literal}, 'pgoutput'); ${other}`,
    });
  }
  if (slot.walStatus === 'unreserved') {
    return warned({
      code: 'SLOT_NEAR_LIMIT',
      title,
      detail: 'it is about to be invalidated: it keeps more WAL than max_slot_wal_keep_size allows',
      cure: 'ALTER SYSTEM SET max_slot_wal_keep_size = …; (larger) and SELECT pg_reload_conf();',
    });
  }
  const use = slot.activePid === undefined ? 'free' : `in use by process ${slot.activePid}`;
  return passed(title, `logical, pgoutput, ${use}`);
}

/** A slot that is not there: will be made, or is missing. */
export function inspectMissingSlot(settings: DatabaseSettings): Finding {
  const title = `slot "${settings.slot.name}"`;
  if (!/^[a-z0-9_]{1,63}$/.test(settings.slot.name)) {
    return failed({
      code: 'SLOT_NAME',
      title,
      detail: 'Postgres allows small letters, digits and underscores in a slot name, at most 63',
      cure: 'correct slot.name',
    });
  }
  if (settings.slot.createIfNotExists) return passed(title, 'does not exist yet and will be made');
  return failed({
    code: 'SLOT_MISSING',
    title,
    detail: 'it does not exist',
    cure: `SELECT pg_create_logical_replication_slot(${escapeLiteral(settings.slot.name)}, 'pgoutput'); or slot.create_if_not_exists: true`,
  });
}

/**
 * Makes the slot and answers its consistent point. Waits for every transaction that runs now.
 * https://www.postgresql.org/docs/current/functions-admin.html#FUNCTIONS-REPLICATION
 */
export async function createSlot(
  client: Client,
  slot: { readonly name: string; readonly failover: boolean },
  serverVersion: number,
): Promise<Lsn> {
  const failover = slot.failover && serverVersion >= 170_000;
  try {
    const { rows } = await client.query<{ lsn: string }>(
      failover
        ? `select lsn from pg_create_logical_replication_slot($1, 'pgoutput', false, false, true)`
        : `select lsn from pg_create_logical_replication_slot($1, 'pgoutput')`,
      [slot.name],
    );
    return parseLsn(rows[0]?.lsn ?? '') ?? ZERO_LSN;
  } catch (cause) {
    const full = cause instanceof Error && 'code' in cause && cause.code === '53400';
    throw new TailraceError(
      `slot "${slot.name}" cannot be made: ${cause instanceof Error ? cause.message : String(cause)}`,
      {
        code: full ? 'NO_SLOT_FREE' : 'SLOT_NOT_CREATED',
        kind: 'fatal',
        hint: full
          ? 'drop a slot that nobody uses (SELECT slot_name FROM pg_replication_slots WHERE NOT active;), or ALTER SYSTEM SET max_replication_slots = …; and restart Postgres'
          : `make it by hand: SELECT pg_create_logical_replication_slot(${escapeLiteral(slot.name)}, 'pgoutput');`,
        cause,
      },
    );
  }
}

/** Transactions that a slot being made waits for: the oldest first. */
export async function blockingTransactions(client: Client): Promise<readonly number[]> {
  const { rows } = await client.query<{ pid: number }>(
    `select pid from pg_stat_activity
     where pid <> pg_backend_pid() and backend_type = 'client backend' and backend_xid is not null
     order by xact_start limit 5`,
  );
  return rows.map((row) => row.pid);
}
