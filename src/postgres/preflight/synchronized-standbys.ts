// Which standbys must have a change before the server sends it (synchronized_standby_slots, 17 and newer), and whether one holds all back.
import { escapeLiteral, type Client } from 'pg';
import { failed, passed, warned, type Finding } from './finding.ts';
import { RELOAD } from './standby.ts';

/** Physical slots of the standbys for which logical decoding waits, with how they stand. */
export type SynchronizedStandbys = {
  /** As the setting names them; undefined: this version has none. */
  readonly named: readonly { readonly name: string; readonly there: boolean; readonly active: boolean }[];
  /** Physical slots that standbys use now. */
  readonly active: readonly string[];
};

/**
 * Those that the setting names: `name`, `there`, `active`, `restart_lsn`. Of a primary on 17 or newer.
 * https://www.postgresql.org/docs/current/runtime-config-replication.html#GUC-SYNCHRONIZED-STANDBY-SLOTS
 */
export const SYNCHRONIZED_STANDBYS = `(
  select n.name, s.slot_name is not null as there, coalesce(s.active, false) as active, s.restart_lsn
  from (select trim(both ' "' from x) as name
        from unnest(string_to_array(current_setting('synchronized_standby_slots'), ',')) x) n
  left join pg_replication_slots s on s.slot_name = n.name and s.slot_type = 'physical'
  where n.name <> '')`;

/** Of a primary on 17 or newer. */
export async function readSynchronizedStandbys(client: Client): Promise<SynchronizedStandbys> {
  const { rows } = await client.query<{ found: SynchronizedStandbys }>(
    `select json_build_object(
       'named', (select coalesce(json_agg(json_build_object('name', name, 'there', there, 'active', active)), '[]')
         from ${SYNCHRONIZED_STANDBYS} n),
       'active', (select coalesce(json_agg(slot_name order by slot_name), '[]') from pg_replication_slots
         where slot_type = 'physical' and active)) as found`,
  );
  return rows[0]!.found;
}

/** Run on the primary: changes wait for these standbys, and no others. */
export const setStandbys = (names: readonly string[]): string =>
  `ALTER SYSTEM SET synchronized_standby_slots = ${names.map(escapeLiteral).join(', ') || "''"}; ${RELOAD}`;

/** May the log come to hold what no standby has? And does nobody wait for a standby that is away? */
export function inspectSynchronizedStandbys({ named, active }: SynchronizedStandbys): readonly Finding[] {
  const title = 'synchronized_standby_slots';
  if (named.length === 0) {
    return [
      warned({
        code: 'FAILOVER_MAY_PART',
        title,
        detail:
          'it is not set: changes may be delivered that no standby has yet, and a failover would then leave consumers with changes that never were',
        cure: `on the primary: ${setStandbys(active.length === 0 ? ['<the physical slot of each standby>'] : active)}`,
      }),
    ];
  }
  const away = named.filter((standby) => !standby.active);
  if (away.length === 0) return [passed(title, named.map(({ name }) => name).join(', '))];
  const rest = named.filter((standby) => standby.active).map(({ name }) => name);
  return away.map(({ name, there }) =>
    failed({
      code: 'STANDBY_AWAITED',
      title,
      detail: `changes wait for the standby of slot "${name}", which ${there ? 'is not connected' : 'does not exist'}`,
      cure: `start that standby, or go on without it: on the primary: ${setStandbys(rest)}`,
    }),
  );
}
