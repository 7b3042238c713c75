// Real streaming standbys of a real server: made from its directory, promoted, and left behind by a primary that is killed.
import { execFile } from 'node:child_process';
import { appendFile, mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import {
  startEmbeddedPostgres,
  type EmbeddedPostgres,
  type EmbeddedPostgresOptions,
} from '../../src/cli/demo/embedded-postgres.ts';
import { HAS_FAILOVER_SLOTS } from '../../src/postgres/versions.ts';
import { connect } from './postgres.ts';
import { waitFor } from './wait.ts';

export type Settings = Readonly<Record<string, string>>;

export type Standby = EmbeddedPostgres & {
  /** Its name in the primary's `pg_stat_replication`, and that of its physical slot there. */
  readonly name: string;
  /** Makes a primary of it; resolves once it takes writes. */
  promote(): Promise<void>;
};

/** The run's version of Postgres, for servers that a test starts itself. */
export const testInstallation = (): Pick<EmbeddedPostgresOptions, 'installation'> => {
  const installation = process.env['TAILRACE_TEST_POSTGRES'];
  return installation === undefined ? {} : { installation };
};

/** A server that standbys can be made of. Its settings stand in its files, so ALTER SYSTEM changes them. */
export async function startPrimary(
  settings: Settings = {},
  installed = testInstallation(),
): Promise<EmbeddedPostgres> {
  const server = await startEmbeddedPostgres({
    ...installed,
    settings: { max_connections: '50', shared_buffers: '16MB', hot_standby: 'on' },
  });
  if (Object.keys(settings).length > 0) {
    await server.stop('fast');
    await addSettings(server.directory, settings);
    await server.start();
  }
  return server;
}

/** What a standby connects with. `database`: named, as the synchronization of slots needs it (17+). */
export const primaryConninfo = (primary: EmbeddedPostgres, name: string, database?: string): string =>
  `host=127.0.0.1 port=${primary.port} user=postgres password=postgres application_name=${name}` +
  (database === undefined ? '' : ` dbname=${database}`);

export async function serverVersion(server: EmbeddedPostgres): Promise<number> {
  return Number(await ask(server, 'show server_version_num'));
}

/** The first column of the first row. */
export async function ask(server: EmbeddedPostgres, sql: string, database = 'postgres'): Promise<unknown> {
  const client = await connect(server.url(database));
  try {
    const { rows } = await client.query<Record<string, unknown>>(sql);
    return rows[0] === undefined ? undefined : Object.values(rows[0])[0];
  } finally {
    await client.end();
  }
}

/**
 * A streaming standby, copied from the primary, which is stopped and started for it: begin before anything follows the
 * primary. It has none of its logical slots; on 17+ it synchronizes failover slots, unless `settings` say otherwise.
 */
export async function startStandby(
  primary: EmbeddedPostgres,
  options: {
    readonly name?: string;
    readonly settings?: Settings;
    /** Taken if it is free. */
    readonly port?: number;
  } = {},
): Promise<Standby> {
  const { name = 'standby_a' } = options;
  const synchronizes = (await serverVersion(primary)) >= HAS_FAILOVER_SLOTS;
  await ask(primary, `select pg_create_physical_replication_slot('${name}', true)`);
  const root = await mkdtemp(join(tmpdir(), 'tailrace-standby-'));
  try {
    const directory = join(root, 'data');
    await primary.stop('fast');
    await promisify(execFile)('cp', ['-a', primary.directory, directory]);
    await primary.start();
    for (const slot of await readdir(join(directory, 'pg_replslot'))) {
      await rm(join(directory, 'pg_replslot', slot), { recursive: true });
    }
    await writeFile(join(directory, 'standby.signal'), '', { mode: 0o644 });
    await addSettings(directory, {
      primary_conninfo: primaryConninfo(primary, name, synchronizes ? 'postgres' : undefined),
      primary_slot_name: name,
      hot_standby_feedback: 'on',
      ...(synchronizes && { sync_replication_slots: 'on' }),
      ...options.settings,
    });
    const server = await startEmbeddedPostgres({
      ...testInstallation(),
      root,
      removedWithOwner: root,
      ...(options.port !== undefined && { port: options.port }),
      settings: { max_connections: '50', shared_buffers: '16MB' },
    });
    return {
      ...server,
      name,
      promote: () => promote(server),
      remove: async () => {
        await server.stop('immediate');
        await server.remove();
        await rm(root, { recursive: true, force: true });
      },
    };
  } catch (error) {
    await rm(root, { recursive: true, force: true });
    throw error;
  }
}

/** As ALTER SYSTEM writes them; of a setting that stands there twice the last one counts. */
const addSettings = (directory: string, settings: Settings): Promise<void> =>
  appendFile(
    join(directory, 'postgresql.auto.conf'),
    Object.entries(settings)
      .map(([name, value]) => `${name} = '${value.replaceAll("'", "''")}'\n`)
      .join(''),
  );

async function promote(server: EmbeddedPostgres): Promise<void> {
  await ask(server, 'select pg_promote(true, 120)');
  await waitFor(
    async () => (await ask(server, 'select pg_is_in_recovery()')) === false,
    'the standby to be a primary',
  );
}

/** Until the standby has replayed everything that the primary has written by now. */
export async function waitForReplay(primary: EmbeddedPostgres, standby: EmbeddedPostgres): Promise<void> {
  const written = String(await ask(primary, 'select pg_current_wal_insert_lsn()'));
  await waitFor(
    async () => (await ask(standby, `select pg_last_wal_replay_lsn() >= '${written}'`)) === true,
    'the standby to have replayed everything',
  );
}

/** Until the standby has the slot as it would be left with after a promotion (17+). */
export async function waitForSyncedSlot(
  primary: EmbeddedPostgres,
  standby: EmbeddedPostgres,
  slot: string,
): Promise<void> {
  let looks = 0;
  await waitFor(
    async () => {
      if (looks++ % 10 === 0) await hurrySynchronization(primary, standby);
      return ask(
        standby,
        `select synced and not temporary and invalidation_reason is null
         from pg_replication_slots where slot_name = '${slot}'`,
      ).then((isReady) => isReady === true);
    },
    `slot ${slot} to be synchronized`,
    120_000,
  );
}

/** By itself the worker that synchronizes slots may sleep for half a minute, and wait for a consistent point as long. */
async function hurrySynchronization(primary: EmbeddedPostgres, standby: EmbeddedPostgres): Promise<void> {
  await ask(primary, 'select pg_log_standby_snapshot()');
  await ask(standby, 'select pg_reload_conf()');
}

/** `kill -9` of the postmaster; resolves once its backends have gone with it, so that it can be started again. */
export async function killServer(server: EmbeddedPostgres): Promise<void> {
  const pid = server.pid();
  process.kill(pid, 'SIGKILL');
  await waitFor(() => !isAlive(pid), 'the postmaster to be gone');
  // Its shared memory is in use for as long as one of its backends lives; they see within moments that it is gone.
  await waitFor(async () => !(await hasProcesses(server.directory)), 'its backends to be gone');
  // It still says "ready".
  await rm(join(server.directory, 'postmaster.pid'), { force: true });
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}

/** Does a process work in this directory? Every backend does in its cluster's. */
async function hasProcesses(directory: string): Promise<boolean> {
  const working = await promisify(execFile)('sh', [
    '-c',
    'for process in /proc/[0-9]*; do [ "$(readlink "$process/cwd")" = "$1" ] && echo "$process"; done; true',
    'sh',
    directory,
  ]);
  return working.stdout !== '';
}
