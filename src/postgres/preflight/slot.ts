// The replication slot: what state it is in, whether we may stream from it, and making one.
// https://www.postgresql.org/docs/current/view-pg-replication-slots.html
import { escapeLiteral, type Client } from 'pg';
import { readLsn, type Lsn } from '../../core/lsn.ts';
import { failed, passed, warned, type Finding } from './finding.ts';
import type { DatabaseSettings } from '../settings.ts';

/** A code of findings and faults. */
export const SLOT_BEING_MADE = 'SLOT_BEING_MADE';

export type Slot = {
  readonly name: string;
  readonly type: string;
  readonly plugin: string | undefined;
  readonly database: string | undefined;
  readonly activePid: number | undefined;
  readonly temporary: boolean;
  readonly twoPhase: boolean;
  /** Do standbys take it over (17+)? Undefined: this version has no such slots. */
  readonly failover: boolean | undefined;
  /** Carried over from the primary, and kept up with it: nobody may read from it before the standby is promoted. */
  readonly synced: boolean;
  /** `reserved`, `extended`, `unreserved`, `lost`. */
  readonly walStatus: string | undefined;
  /** Why Postgres gave the slot up (17+); undefined when it did not. */
  readonly invalidation: string | undefined;
  readonly confirmedFlush: Lsn;
  /** From where on Postgres keeps WAL for it; undefined: it keeps none (any more). */
  readonly restart: Lsn | undefined;
  /** Somebody makes it right now: it has no consistent point yet, and is gone again if its maker ends before. */
  readonly beingMade: boolean;
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
  failover?: boolean;
  synced?: boolean;
  wal_status: string | null;
  conflicting?: boolean | null;
  invalidation_reason?: string | null;
  confirmed_flush_lsn: string | null;
  restart_lsn?: string | null;
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
    failover: slot.failover,
    synced: slot.synced ?? false,
    walStatus: slot.wal_status ?? undefined,
    invalidation: slot.invalidation_reason ?? (slot.conflicting === true ? 'rows_removed' : undefined),
    confirmedFlush: readLsn(slot.confirmed_flush_lsn ?? ''),
    restart: slot.restart_lsn == null ? undefined : readLsn(slot.restart_lsn),
    beingMade: slot.slot_type === 'logical' && slot.confirmed_flush_lsn === null,
    safeWalBytes: slot.safe_wal_size ?? undefined,
  };
}

/** Of a standby, what it has replayed: no position there is behind that. */
export const WAL_END =
  'case when pg_is_in_recovery() then pg_last_wal_replay_lsn() else pg_current_wal_insert_lsn() end::text';

export async function walEnd(client: Client): Promise<Lsn> {
  const { rows } = await client.query<{ lsn: string }>(`select ${WAL_END} as lsn`);
  return readLsn(rows[0]!.lsn);
}

const recreate = (name: string): string =>
  `SELECT pg_drop_replication_slot(${escapeLiteral(name)}); and let Tailrace make a new one (slot.create_if_not_exists: true); ` +
  'changes that the old slot had not delivered are then missing and must be read from the tables';

/** By why it was invalidated. https://www.postgresql.org/docs/current/view-pg-replication-slots.html (invalidation_reason) */
function keepingSlots(reason = 'wal_removed'): string {
  const reload = 'SELECT pg_reload_conf();';
  switch (reason) {
    case 'idle_timeout':
      return `ALTER SYSTEM SET idle_replication_slot_timeout = '0'; ${reload} or more than Tailrace is ever stopped for`;
    case 'rows_removed':
      return `on this standby ALTER SYSTEM SET hot_standby_feedback = 'on'; ${reload} and a physical slot for it on the primary`;
    case 'wal_level_insufficient':
      return "keep wal_level = 'logical' on the primary";
    default:
      return `ALTER SYSTEM SET max_slot_wal_keep_size = '-1'; ${reload} or a larger value`;
  }
}

export const SLOT_INVALIDATED = 'SLOT_INVALIDATED';

/** Nobody can read from it any more, and it keeps nothing. */
export const isInvalidated = ({ walStatus, invalidation }: Slot): boolean =>
  walStatus === 'lost' || invalidation !== undefined;

/** Everything that can be wrong with a slot that exists. A slot in use is not a fault: it may become free. */
export function inspectSlot(slot: Slot, settings: DatabaseSettings, inRecovery = false): Finding {
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
  if (isInvalidated(slot)) {
    return failed({
      code: SLOT_INVALIDATED,
      title,
      detail: `Postgres has invalidated it (${slot.invalidation ?? 'wal_removed'}): the changes it kept are gone`,
      cure: `${recreate(slot.name)}. To keep it from happening again: ${keepingSlots(slot.invalidation)}`,
    });
  }
  if (slot.synced && inRecovery) {
    return failed({
      code: 'SLOT_SYNCED',
      title,
      detail:
        'it is a failover slot of the primary: this standby synchronizes it, and nobody can read from it here',
      cure: `read from the primary (take databases[].primary out), ${other}`,
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
  if (slot.beingMade) {
    return warned({
      code: SLOT_BEING_MADE,
      title,
      detail: `process ${slot.activePid} is making it, and waits for transactions that run`,
      cure: 'wait until it is made; end the transactions that it waits for, or the process',
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

/** On the primary, while a standby is read from: a failover slot there would be carried over onto ours, or stopped by it (measured). */
export const inspectNamesake = (slot: Slot | undefined): readonly Finding[] =>
  slot?.failover === true
    ? [
        failed({
          code: 'SLOT_NAMESAKE',
          title: `slot "${slot.name}"`,
          detail:
            'the primary has a failover slot of this name, which standbys synchronize: one that is read from on a standby needs another',
          cure: 'name another slot in slot.name',
        }),
      ]
    : [];

export const NO_SLOT_FREE = {
  code: 'NO_SLOT_FREE',
  cure: 'drop a slot that nobody uses (SELECT slot_name FROM pg_replication_slots WHERE NOT active;), or ALTER SYSTEM SET max_replication_slots = …; and restart Postgres',
};

/** A slot that is not there: will be made, or is missing. */
export function inspectMissingSlot(settings: DatabaseSettings, freeSlots: number): Finding {
  const title = `slot "${settings.slot.name}"`;
  if (!/^[a-z0-9_]{1,63}$/.test(settings.slot.name)) {
    return failed({
      code: 'SLOT_NAME',
      title,
      detail: 'Postgres allows small letters, digits and underscores in a slot name, at most 63',
      cure: 'correct slot.name',
    });
  }
  if (freeSlots <= 0) {
    return failed({
      ...NO_SLOT_FREE,
      title,
      detail: 'it does not exist, and every slot of the server is taken',
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
