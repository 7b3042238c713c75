// Would our walsender be a synchronous standby? Then the application's commits would wait for our flush.
// https://www.postgresql.org/docs/current/runtime-config-replication.html#GUC-SYNCHRONOUS-STANDBY-NAMES
import { escapeLiteral, type Client } from 'pg';
import { TailraceError } from '../../core/errors.ts';
import { failed, passed, type Finding } from './finding.ts';

const TOKEN = /"((?:[^"]|"")*)"|[^\s,()"]+/g;

/** Does `synchronous_standby_names` take in a client of this name? Names are compared without case, `*` is everybody. */
export function namesUs(setting: string, applicationName: string): boolean {
  const list = /\(([^)]*)\)\s*$/.exec(setting)?.[1] ?? setting;
  for (const match of list.matchAll(TOKEN)) {
    const name = match[1]?.replaceAll('""', '"') ?? match[0];
    if (match[0] === '*' || name.toLowerCase() === applicationName.toLowerCase()) return true;
  }
  return false;
}

const CURE =
  "name the real standbys: ALTER SYSTEM SET synchronous_standby_names = 'FIRST 1 (<standby>)'; (or '' without one) and SELECT pg_reload_conf();";

const detailOf = (setting: string): string =>
  `synchronous_standby_names = ${escapeLiteral(setting)} takes Tailrace for a synchronous standby: commits of the application would wait for it`;

export async function inspectSynchronous(client: Client, applicationName: string): Promise<Finding> {
  const setting = await readSetting(client);
  const title = 'synchronous replication';
  if (!namesUs(setting, applicationName)) return passed(title, 'Tailrace is not a synchronous standby');
  return failed({ code: 'SYNCHRONOUS_STANDBY', title, detail: detailOf(setting), cure: CURE });
}

/**
 * The fault when the walsender `pid` is synchronous now. A role that may not read `sync_state` (it is NULL without
 * pg_monitor) gets its answer from the setting.
 */
export async function synchronousFault(
  client: Client,
  pid: number,
  applicationName: string,
): Promise<TailraceError | undefined> {
  const { rows } = await client.query<{ sync_state: string | null }>(
    'select sync_state from pg_stat_replication where pid = $1',
    [pid],
  );
  const state = rows[0]?.sync_state ?? undefined;
  const setting = await readSetting(client);
  const synchronous = state === undefined ? namesUs(setting, applicationName) : state !== 'async';
  if (!synchronous) return undefined;
  return new TailraceError(detailOf(setting), { code: 'SYNCHRONOUS_STANDBY', kind: 'fatal', hint: CURE });
}

async function readSetting(client: Client): Promise<string> {
  const { rows } = await client.query<{ names: string }>(
    `select current_setting('synchronous_standby_names') as names`,
  );
  return rows[0]?.names ?? '';
}
