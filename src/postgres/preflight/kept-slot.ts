// A slot that Tailrace keeps on a standby (Postgres 16, where the server carries none over): how it stands, and what is to be done with it.
// https://www.postgresql.org/docs/16/logicaldecoding-explanation.html#LOGICALDECODING-REPLICATION-SLOTS
import { escapeIdentifier, escapeLiteral, type Client } from 'pg';
import { minLsn, type Lsn } from '../../core/lsn.ts';
import type { DatabaseSettings } from '../settings.ts';
import { passed, warned, type Finding } from './finding.ts';
import { inspectSettings, type StandbyState } from './standby.ts';

export type KeptSlot = {
  readonly name: string;
  /** Whose changes it decodes. */
  readonly database: string;
  /** What the primary was told to forget: a slot that is no further loses nothing at a failover. */
  readonly flushed: Lsn;
};

export type KeepStep =
  | { readonly step: 'none' }
  | { readonly step: 'make' }
  /** It is of no use any more. */
  | { readonly step: 'remake' }
  | { readonly step: 'advance'; readonly to: Lsn };

/** What is to be done now. Pure. It never passes what the primary was told, nor what the standby has. */
export function keepStep(
  { slot, replayed, hasExtension }: Pick<StandbyState, 'slot' | 'replayed' | 'hasExtension'>,
  kept: KeptSlot,
): KeepStep {
  // Two that move one slot: the extension drops what is not on the primary, and sets back what is.
  if (hasExtension) return { step: 'none' };
  if (slot === undefined) return { step: 'make' };
  if (slot.beingMade || slot.active || otherKind(slot, kept) !== undefined) return { step: 'none' };
  if (slot.invalidation !== undefined) return { step: 'remake' };
  const to = minLsn(kept.flushed, replayed);
  return to > slot.confirmedFlush ? { step: 'advance', to } : { step: 'none' };
}

type StandbySlot = NonNullable<StandbyState['slot']>;

function otherKind({ plugin, database, temporary, synced }: StandbySlot, kept: KeptSlot): string | undefined {
  if (synced) return 'the primary has a failover slot of this name, which is carried over';
  if (plugin === undefined) return 'it is a physical slot';
  if (plugin !== 'pgoutput') return `its output plugin is ${plugin}`;
  if (database !== kept.database) return `it is of database "${database}"`;
  return temporary ? 'it is temporary' : undefined;
}

/** WAL that the standby keeps for it. */
export const retainedBytes = ({ slot, replayed }: Pick<StandbyState, 'slot' | 'replayed'>): number =>
  slot?.restart === undefined || slot.restart > replayed ? 0 : Number(replayed - slot.restart);

/** Whether this standby could take the slot over now, and what is to be set right there. Pure. */
export function inspectKeptSlot(at: string, state: StandbyState, kept: KeptSlot): readonly Finding[] {
  const settings = inspectSettings(at, state, 'tailrace');
  const title = `standby ${at}`;
  const { slot } = state;
  const name = `slot "${kept.name}"`;
  const unready = (detail: string, cure: string): readonly Finding[] => [
    warned({
      code: 'STANDBY_NOT_READY',
      title,
      detail: `a failover to it now would lose ${name}: ${detail}`,
      cure,
    }),
    ...settings,
  ];
  const drop = `on ${at}: SELECT pg_drop_replication_slot(${escapeLiteral(kept.name)});`;
  const wait = 'Tailrace makes it while it runs, and goes on as soon as the standby can';
  if (slot === undefined || slot.beingMade) {
    return unready(slot === undefined ? 'it is not there yet' : 'it is being made there', wait);
  }
  const other = otherKind(slot, kept);
  if (other !== undefined) return unready(`one of this name is in the way there (${other})`, drop);
  if (slot.invalidation !== undefined) {
    return unready(`it is invalidated there (${slot.invalidation})`, 'Tailrace makes it anew while it runs');
  }
  if (slot.confirmedFlush > kept.flushed) {
    return unready(
      `it is ${slot.confirmedFlush - kept.flushed} bytes ahead of what Postgres was told to forget: so much would be missing`,
      'it is ready once what was committed before that is delivered',
    );
  }
  const behind = kept.flushed - slot.confirmedFlush;
  const lag = behind === 0n ? '' : `, ${behind} bytes behind: so much would be read again`;
  const by = state.hasExtension ? 'pg_failover_slots keeps it' : 'kept by Tailrace';
  return [
    passed(title, `${name} is there (${by})${lag}; WAL kept for it: ${retainedBytes(state)} bytes`),
    ...settings,
  ];
}

/** A slot on a standby begins where the primary has noted which transactions run: by itself every 15 seconds, and only where something is written. */
export async function maySnapshot(client: Client): Promise<boolean> {
  const { rows } = await client.query<{ allowed: boolean }>(
    `select coalesce(bool_or(has_function_privilege(oid, 'execute')), false) as allowed
     from pg_proc where proname = 'pg_log_standby_snapshot' and pronamespace = 'pg_catalog'::regnamespace`,
  );
  return rows[0]?.allowed === true;
}

/** Of the primary: may we ask it for what a slot on a standby begins with? */
export async function inspectSnapshotRight(
  client: Client,
  { username }: Pick<DatabaseSettings, 'username'>,
): Promise<Finding> {
  const title = 'pg_log_standby_snapshot';
  if (await maySnapshot(client)) return passed(title, 'the role may execute it');
  return warned({
    code: 'SNAPSHOT_NOT_ALLOWED',
    title,
    detail: `role ${escapeIdentifier(username)} may not execute it: a slot on a standby is made only once the primary does that by itself, and never while nothing is written`,
    cure: `on the primary: GRANT EXECUTE ON FUNCTION pg_log_standby_snapshot() TO ${escapeIdentifier(username)};`,
  });
}
