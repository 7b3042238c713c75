// The reference `limit`: Postgres' own receiver throws away what the walsender sends. Nothing can be faster.
// https://www.postgresql.org/docs/current/app-pgrecvlogical.html
import { spawn, spawnSync } from 'node:child_process';
import { accessSync, constants, readdirSync } from 'node:fs';
import { delimiter, join } from 'node:path';
import { wallClockMs } from '../clock.ts';
import type { Figures } from '../measurement.ts';
import { cpuUsOf } from '../process-figures.ts';
import { walsenderCpuUs, whenActive } from '../slots.ts';
import type { Database, Workbench } from '../workbench.ts';

const PROGRAM = 'pg_recvlogical';
/** Debian keeps versioned programs here. */
const DEBIAN_VERSIONS = '/usr/lib/postgresql';
const CPU_SAMPLE_MS = 20;

/** The path of pg_recvlogical, installed with apt-get where that is possible; undefined: not to be had. */
export function provideReceiver(bench: Workbench): string | undefined {
  const present = findReceiver();
  if (present !== undefined || process.getuid?.() !== 0) return present;
  bench.progress('installing postgresql-client for pg_recvlogical');
  const environment = { ...process.env, DEBIAN_FRONTEND: 'noninteractive' };
  spawnSync('apt-get', ['update', '-qq'], { env: environment });
  spawnSync('apt-get', ['install', '-y', '-qq', 'postgresql-client'], { env: environment });
  return findReceiver();
}

function findReceiver(): string | undefined {
  const folders = (process.env['PATH'] ?? '').split(delimiter);
  try {
    const newestFirst = readdirSync(DEBIAN_VERSIONS).toSorted((a, b) => Number(b) - Number(a));
    folders.push(...newestFirst.map((version) => join(DEBIAN_VERSIONS, version, 'bin')));
  } catch {
    // No Debian: the path decides.
  }
  return folders.map((folder) => join(folder, PROGRAM)).find(isExecutable);
}

function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}

/** Reads the slot to `endLsn` into /dev/null, asked for with the same options as Tailrace asks. */
export async function runLimit(
  bench: Workbench,
  what: {
    readonly receiver: string;
    readonly database: Database;
    readonly slot: string;
    readonly publication: string;
    readonly endLsn: string;
    readonly changes: number;
  },
): Promise<Figures> {
  const { database, slot, publication, endLsn, changes } = what;
  const options = ['proto_version=1', `publication_names=${publication}`, 'messages=true'];
  const child = spawn(
    what.receiver,
    [
      '--start',
      '--no-loop',
      `--slot=${slot}`,
      '--file=/dev/null',
      `--endpos=${endLsn}`,
      '--host=127.0.0.1',
      `--port=${database.port}`,
      '--username=postgres',
      `--dbname=${database.name}`,
      ...options.map((option) => `--option=${option}`),
    ],
    { env: { ...process.env, PGPASSWORD: 'postgres' }, stdio: ['ignore', 'ignore', 'inherit'] },
  );
  const ended = new Promise<number | null>((done, fail) => child.once('error', fail).once('close', done));
  const forget = bench.onEnd(async () => void child.kill('SIGKILL'));
  // It is gone with its figures: the last sample counts.
  let cpuUs = 0;
  let senderCpuUs = 0;
  const sender = await whenActive(database, slot);
  const sampler = setInterval(() => {
    cpuUs = cpuUsOf(child.pid!) ?? cpuUs;
    senderCpuUs = walsenderCpuUs(sender) || senderCpuUs;
  }, CPU_SAMPLE_MS);
  const code = await ended;
  const seconds = (wallClockMs() - sender.activeSinceMs) / 1000;
  clearInterval(sampler);
  forget();
  if (code !== 0) bench.fault(`limit: pg_recvlogical ended with code ${code}`);
  await checkConfirmed(bench, what);
  return {
    changes,
    seconds,
    changesPerSecond: changes / seconds,
    cpuUsPerChange: cpuUs / changes,
    senderCpuUsPerChange: senderCpuUs / changes,
  };
}

/** It confirms what it has received before it ends: so nothing was left out. */
async function checkConfirmed(
  bench: Workbench,
  { database, slot, endLsn }: { database: Database; slot: string; endLsn: string },
): Promise<void> {
  const { rows } = await database.client.query<{ all: boolean }>(
    'select confirmed_flush_lsn >= $2::pg_lsn as all from pg_replication_slots where slot_name = $1',
    [slot, endLsn],
  );
  if (rows[0]?.all !== true) bench.fault(`limit: slot ${slot} was not read to its end`);
}
