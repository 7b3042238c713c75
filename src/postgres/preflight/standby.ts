// Would a failover keep the slot? What each standby has of it, and every setting that this rests on: where Postgres synchronizes slots
// (17 and newer), and where Tailrace does (16, kept-slot.ts).
// https://www.postgresql.org/docs/current/logicaldecoding-explanation.html#LOGICALDECODING-REPLICATION-SLOTS-SYNCHRONIZATION
import { escapeLiteral, type Client } from 'pg';
import { readLsn, type Lsn } from '../../core/lsn.ts';
import { failed, passed, warned, type Finding } from './finding.ts';
import type { DatabaseSettings } from '../settings.ts';
import { HAS_FAILOVER_SLOTS, STANDBYS_DECODE } from '../versions.ts';

/** Who keeps the slot on the standbys: Postgres from its failover slot, or Tailrace, which makes and advances one on each. */
export type SlotKeeper = 'postgres' | 'tailrace';

/** Undefined: nobody does, and a failover loses it. Never both: a slot of the same name on a standby stops the server's synchronization (measured). */
export function slotKeeper(
  { hosts, slot, primary }: Pick<DatabaseSettings, 'hosts' | 'slot' | 'primary'>,
  server: { readonly serverVersion: number; readonly slotFailover: boolean | undefined },
): SlotKeeper | undefined {
  // Of standbys that are read from no server carries a slot over.
  if (primary !== undefined && slot.failover && hosts.length > 1) return 'tailrace';
  if (server.serverVersion >= HAS_FAILOVER_SLOTS)
    return server.slotFailover === true ? 'postgres' : undefined;
  return server.serverVersion >= STANDBYS_DECODE && slot.failover && hosts.length > 1
    ? 'tailrace'
    : undefined;
}

/** What a standby says of itself. */
export type StandbyState = {
  /** Undefined: it has none of this name. */
  readonly slot:
    | {
        readonly synced: boolean;
        readonly temporary: boolean;
        readonly invalidation: string | undefined;
        readonly confirmedFlush: Lsn;
        /** From where on the standby keeps WAL for it; undefined: it keeps none (any more). */
        readonly restart: Lsn | undefined;
        readonly plugin: string | undefined;
        readonly database: string | undefined;
        /** Somebody makes it right now. */
        readonly beingMade: boolean;
        /** Somebody reads from it, or moves it. */
        readonly active: boolean;
      }
    | undefined;
  readonly replayed: Lsn;
  readonly walLevel: string;
  /** The extension pg_failover_slots carries slots over (13 to 16). */
  readonly hasExtension: boolean;
  readonly synchronizes: boolean;
  readonly feedback: boolean;
  /** `primary_slot_name`; '' is none. */
  readonly primarySlot: string;
  /** Does `primary_conninfo` name a database? Undefined: our role may not read it. */
  readonly namesDatabase: boolean | undefined;
};

type StandbyRow = {
  slot: {
    synced?: boolean;
    temporary: boolean;
    invalidation_reason?: string | null;
    conflicting?: boolean | null;
    wal_status: string | null;
    confirmed_flush_lsn: string | null;
    restart_lsn: string | null;
    plugin: string | null;
    database: string | null;
    active: boolean;
  } | null;
  replayed: string | null;
  walLevel: string;
  hasExtension: boolean;
  synchronizes: string | null;
  feedback: string;
  primarySlot: string;
  conninfo: string | null;
};

/** Of a standby on 16 or newer. */
export async function readStandby(client: Client, slotName: string): Promise<StandbyState> {
  const { rows } = await client.query<StandbyRow>(
    `select (select to_jsonb(s) from pg_replication_slots s where slot_name = $1) as slot,
       pg_last_wal_replay_lsn()::text as replayed,
       current_setting('wal_level') as "walLevel",
       current_setting('pg_failover_slots.synchronize_slot_names', true) is not null as "hasExtension",
       current_setting('sync_replication_slots', true) as synchronizes,
       current_setting('hot_standby_feedback') as feedback,
       current_setting('primary_slot_name') as "primarySlot",
       (select setting from pg_settings where name = 'primary_conninfo') as conninfo`,
    [slotName],
  );
  const row = rows[0]!;
  return {
    slot: row.slot === null ? undefined : slotOf(row.slot),
    replayed: readLsn(row.replayed ?? ''),
    walLevel: row.walLevel,
    hasExtension: row.hasExtension,
    synchronizes: row.synchronizes === 'on',
    feedback: row.feedback === 'on',
    primarySlot: row.primarySlot,
    namesDatabase: row.conninfo === null ? undefined : namesDatabase(row.conninfo),
  };
}

const slotOf = (slot: NonNullable<StandbyRow['slot']>): StandbyState['slot'] => ({
  synced: slot.synced ?? false,
  temporary: slot.temporary,
  invalidation:
    slot.invalidation_reason ??
    (slot.conflicting === true ? 'rows_removed' : slot.wal_status === 'lost' ? 'wal_removed' : undefined),
  confirmedFlush: readLsn(slot.confirmed_flush_lsn ?? ''),
  restart: slot.restart_lsn === null ? undefined : readLsn(slot.restart_lsn),
  plugin: slot.plugin ?? undefined,
  database: slot.database ?? undefined,
  beingMade: slot.confirmed_flush_lsn === null,
  active: slot.active,
});

/** https://www.postgresql.org/docs/current/libpq-connect.html#LIBPQ-CONNSTRING: keywords, or a URI */
const namesDatabase = (conninfo: string): boolean =>
  /^postgres(ql)?:\/\//.test(conninfo.trim())
    ? /^postgres(ql)?:\/\/[^/?]*\/[^?]+/.test(conninfo.trim()) || /[?&]dbname=[^&]/.test(conninfo)
    : /(^|\s)dbname\s*=\s*[^\s]/.test(conninfo);

export const RELOAD = 'SELECT pg_reload_conf();';

/**
 * In keywords or in a URI. It holds a password perhaps: the server puts it together, psql's \gexec runs each row that it answers. Nothing
 * may stand behind that in its line.
 */
const nameDatabase = (at: string): string =>
  `on ${at}, in psql: SELECT unnest(ARRAY[format('ALTER SYSTEM SET primary_conninfo = %L', c || CASE WHEN c !~ '^postgres(ql)?://' THEN ' ' WHEN c ~ '[?]' THEN '&' ELSE '?' END || 'dbname=postgres'), 'SELECT pg_reload_conf()']) FROM current_setting('primary_conninfo') c \\gexec`;

/**
 * Whether this standby could take the slot over now; everything that keeps it from that, with its cure. A setting is not readiness:
 * while the slot is `temporary` it has not come to a consistent point, and a promotion would drop it.
 */
export function inspectStandby(
  at: string,
  state: StandbyState,
  slotName: string,
  flushed: Lsn,
): readonly Finding[] {
  const settings = inspectSettings(at, state, 'postgres');
  const title = `standby ${at}`;
  const { slot } = state;
  const unready = (detail: string, cure: string): readonly Finding[] => [
    warned({
      code: 'STANDBY_NOT_READY',
      title,
      detail: `a failover to it now would lose slot "${slotName}": ${detail}`,
      cure:
        settings.length === 0 ? cure : 'correct the settings of this standby: the slot then comes by itself',
    }),
    ...settings,
  ];
  if (slot !== undefined && !slot.synced) {
    return unready(
      'it has a slot of this name that was made there by hand, which stops the synchronization of all slots',
      `on ${at}: SELECT pg_drop_replication_slot(${escapeLiteral(slotName)});`,
    );
  }
  const wait =
    'it comes by itself, within a minute as a rule, where changes are written; on an idle primary: SELECT pg_log_standby_snapshot();';
  if (slot === undefined) {
    // Told to superusers and pg_read_all_settings only: nothing else shows that the standby waits in vain.
    const unseen =
      state.namesDatabase === undefined
        ? ` If it does not come, primary_conninfo, which our role may not read there, names no database: ${nameDatabase(at)}`
        : '';
    return unready('it is not there yet', `${wait}${unseen}`);
  }
  if (slot.invalidation !== undefined) {
    return unready(`it is invalidated there (${slot.invalidation})`, 'it is made anew by itself');
  }
  if (slot.temporary) return unready('it has not come to a consistent point there yet', wait);
  const behind = flushed > slot.confirmedFlush ? flushed - slot.confirmedFlush : 0n;
  const lag = behind === 0n ? '' : `, ${behind} bytes behind: so much would be read again`;
  return [passed(title, `slot "${slotName}" is synchronized${lag}`), ...settings];
}

/** The slot is not kept there before all of these are as they must be. */
export function inspectSettings(at: string, state: StandbyState, keeper: SlotKeeper): readonly Finding[] {
  const fault = (setting: string, detail: string, cure: string): Finding =>
    failed({ code: 'STANDBY_SETTING', title: `standby ${at}`, detail: `${setting} ${detail}`, cure });
  const on = (setting: string): Finding =>
    fault(setting, 'is off', `on ${at}: ALTER SYSTEM SET ${setting} = 'on'; ${RELOAD}`);
  const found: Finding[] = [];
  if (keeper === 'postgres' && !state.synchronizes) found.push(on('sync_replication_slots'));
  if (!state.feedback) found.push(on('hot_standby_feedback'));
  if (state.primarySlot === '') {
    const name = `standby_${at.replaceAll(/[^a-z0-9]+/gi, '_').toLowerCase()}`;
    found.push(
      fault(
        'primary_slot_name',
        'names no physical slot of the primary',
        `on the primary: SELECT pg_create_physical_replication_slot('${name}', true); then on ${at}: ALTER SYSTEM SET primary_slot_name = '${name}'; ${RELOAD}`,
      ),
    );
  }
  if (keeper === 'tailrace' && state.walLevel !== 'logical') {
    found.push(
      fault(
        'wal_level',
        `is ${state.walLevel}`,
        `on ${at}: ALTER SYSTEM SET wal_level = 'logical'; and restart it`,
      ),
    );
  }
  if (keeper === 'postgres' && state.namesDatabase === false) {
    found.push(fault('primary_conninfo', 'names no database (dbname)', nameDatabase(at)));
  }
  return found;
}

/** What a failover costs on this version, with these settings; nothing where there is nobody to fail over to. */
export function inspectFailover(
  { hosts, slot, primary }: DatabaseSettings,
  server: { readonly serverVersion: number; readonly slotFailover: boolean | undefined },
): readonly Finding[] {
  if (hosts.length < 2) return [];
  if (primary !== undefined && slot.failover)
    return [passed('failover', 'Tailrace keeps the slot on each standby of the list')];
  const title = 'failover';
  const cost =
    'changes committed before the new slot is made there, and not logged before, are missing: they are a gap, declared with its LSNs';
  const loses = (detail: string, cure: string): readonly Finding[] => [
    warned({ code: 'FAILOVER_LOSES_SLOT', title, detail: `${detail}; ${cost}`, cure }),
  ];
  if (server.serverVersion < STANDBYS_DECODE) {
    return loses(
      'up to Postgres 15 a promoted standby does not have the slot',
      'upgrade to Postgres 16 or newer; until then decide what a gap means: on_gap: halt waits for somebody to accept it, on_gap: resume goes on at once, and what is missing is read from the tables',
    );
  }
  const keptAsItIs = server.serverVersion >= HAS_FAILOVER_SLOTS && slot.staysUnaltered === true;
  if (keptAsItIs && server.slotFailover === false) {
    return loses(
      'the slot is none that standbys take over, and slot.failover: unaltered leaves it so',
      'slot.failover: true',
    );
  }
  if (!slot.failover && server.slotFailover !== true) {
    return loses('slot.failover is off, so a promoted standby does not have the slot', 'slot.failover: true');
  }
  if (server.serverVersion < HAS_FAILOVER_SLOTS) {
    return [passed(title, 'Tailrace keeps the slot on each standby of the list')];
  }
  return [passed(title, 'the slot is one that standbys take over')];
}
