// A real Postgres server from npm's binaries, in a directory of its own: for the demo, the tests and the bench.
import { spawn, type ChildProcess } from 'node:child_process';
import { access, chown, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { createServer, type AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { steadyMs } from '../../core/clock.ts';
import { startGuard } from './guard.ts';
import { binariesFor, serverOwner, type ProcessOwner } from './postgres-binaries.ts';

export type EmbeddedPostgres = {
  readonly port: number;
  readonly directory: string;
  /** Process id of the postmaster. */
  pid(): number;
  /** `postgresql://postgres:postgres@127.0.0.1:port/database` */
  url(database?: string): string;
  /** Starts the server again on the same port and directory (after `stop` or `kill`). */
  start(settings?: Readonly<Record<string, string>>): Promise<void>;
  /** Stops the server: `fast` waits for senders to drain, `immediate` is a crash. */
  stop(mode?: 'fast' | 'immediate'): Promise<void>;
  /** Stops the server and deletes its directory, unless it was given. */
  remove(): Promise<void>;
};

export type EmbeddedPostgresOptions = {
  /** Server settings on top of `wal_level=logical`. */
  readonly settings?: Readonly<Record<string, string>>;
  /** Folder with `bin`, `lib` and `share` of another version than ours. */
  readonly installation?: string;
  readonly onLog?: (line: string) => void;
  /** A process group of its own: Ctrl-C in the terminal does not reach it, so its owner ends it in good order. */
  readonly detached?: boolean;
  /** Where it lives, instead of a new temporary directory. A cluster that is there is started as it stands. */
  readonly root?: string;
  /** What the guard removes when the owner is killed: default is the temporary directory. */
  readonly removedWithOwner?: string;
  /** Taken if it is free. */
  readonly port?: number;
  /** The directory of a cluster that is stopped: copied, instead of one made anew. */
  readonly copyOf?: string;
};

const SUPERUSER = 'postgres';
const PASSWORD = 'postgres';
const START_TIMEOUT_MS = 60_000;
/** Between asking for a free port and using it, somebody else may take it. */
const MOST_PORTS = 3;
const SETTINGS = {
  wal_level: 'logical',
  max_wal_senders: '20',
  max_replication_slots: '20',
  listen_addresses: '127.0.0.1',
  unix_socket_directories: '',
  fsync: 'off',
  log_min_messages: 'fatal',
};

/** A port that was free a moment ago. */
export const freePort = (): Promise<number> => listenOn(0);

const isFree = (port: number): Promise<boolean> =>
  listenOn(port).then(
    () => true,
    () => false,
  );

/** Rejects when somebody else listens there. */
async function listenOn(wanted: number): Promise<number> {
  const server = createServer();
  await new Promise<void>((done, fail) => server.once('error', fail).listen(wanted, '127.0.0.1', done));
  const { port } = server.address() as AddressInfo;
  await new Promise<void>((done) => server.close(() => done()));
  return port;
}

/** Runs a command to its end; rejects with what it printed when it fails. */
async function run(command: string, args: readonly string[], as: ProcessOwner): Promise<void> {
  const child = spawn(command, args, { ...as, cwd: tmpdir(), stdio: ['ignore', 'pipe', 'pipe'] });
  let printed = '';
  child.stdout.on('data', (chunk: Buffer) => (printed += chunk.toString()));
  child.stderr.on('data', (chunk: Buffer) => (printed += chunk.toString()));
  const code = await new Promise<number | null>((done, fail) =>
    child.once('error', fail).once('close', done),
  );
  if (code !== 0) throw new Error(`${command} ended with code ${code}: ${printed.trim()}`);
}

/** Creates a cluster in a new temporary directory and starts it; a guard ends it when its owner is killed. Postgres' superuser is postgres/postgres. */
export async function startEmbeddedPostgres(
  options: EmbeddedPostgresOptions = {},
): Promise<EmbeddedPostgres> {
  const temporary =
    options.root === undefined ? await mkdtemp(join(tmpdir(), 'tailrace-postgres-')) : undefined;
  const root = options.root ?? temporary!;
  const guard = startGuard(join(root, 'data'), options.removedWithOwner ?? temporary);
  const removed = async (): Promise<void> => {
    await guard.dismiss();
    // Tried again: a process of the server that ends a moment after it may still write there.
    if (temporary !== undefined) await rm(temporary, { recursive: true, force: true, maxRetries: 5 });
  };
  try {
    const postgres = await startIn(root, options);
    return {
      ...postgres,
      remove: async () => {
        await postgres.stop(temporary === undefined ? 'fast' : 'immediate');
        await removed();
      },
    };
  } catch (error) {
    await removed();
    throw error;
  }
}

async function makeCluster(root: string, initdb: string, owner: ProcessOwner): Promise<void> {
  const passwordFile = join(root, 'password');
  await writeFile(passwordFile, PASSWORD, { mode: 0o600 });
  if (owner.uid !== undefined && owner.gid !== undefined) await chown(passwordFile, owner.uid, owner.gid);
  await run(
    initdb,
    [
      `--pgdata=${join(root, 'data')}`,
      `--username=${SUPERUSER}`,
      `--pwfile=${passwordFile}`,
      '--auth=scram-sha-256',
      '--encoding=UTF8',
      '--locale=C',
      '--no-sync',
    ],
    owner,
  );
}

type ServerCommand = {
  readonly postgres: string;
  readonly root: string;
  readonly directory: string;
  readonly settings: Readonly<Record<string, string>>;
  readonly owner: ProcessOwner;
  readonly onLog: EmbeddedPostgresOptions['onLog'];
};

/** `ended` rejects with what the server printed when it ends. */
function spawnServer(command: ServerCommand): {
  readonly server: ChildProcess;
  readonly ended: Promise<never>;
} {
  const { postgres, root, directory, settings, owner, onLog } = command;
  const flags = Object.entries(settings).flatMap(([name, value]) => ['-c', `${name}=${value}`]);
  const server = spawn(postgres, ['-D', directory, ...flags], {
    ...owner,
    cwd: root,
    stdio: ['ignore', 'ignore', 'pipe'],
  });
  let printed = '';
  server.stderr.on('data', (chunk: Buffer) => {
    const text = chunk.toString();
    printed = (printed + text).slice(-4000);
    onLog?.(text.trimEnd());
  });
  const ended = new Promise<never>((_, fail) => {
    server.once('error', fail);
    server.once('exit', (code) => fail(new Error(`postgres ended with code ${code}: ${printed.trim()}`)));
  });
  ended.catch(() => undefined);
  return { server, ended };
}

async function startIn(
  root: string,
  options: EmbeddedPostgresOptions,
): Promise<Omit<EmbeddedPostgres, 'remove'>> {
  const directory = join(root, 'data');
  const owner: ProcessOwner = { ...serverOwner(), detached: options.detached ?? false };
  const native = await binariesFor(root, options.installation, owner);
  const bin = (name: string): string => join(native, 'bin', name);
  if (options.copyOf !== undefined) {
    // By the system's own: many small files, with their owner.
    await run('cp', ['-a', options.copyOf, directory], {});
  } else if (!(await isThere(join(directory, 'PG_VERSION')))) {
    await makeCluster(root, bin('initdb'), owner);
  }
  let port = options.port !== undefined && (await isFree(options.port)) ? options.port : await freePort();
  let child: ChildProcess | undefined;

  const start = async (settings: Readonly<Record<string, string>> = {}): Promise<void> => {
    const { server, ended } = spawnServer({
      postgres: bin('postgres'),
      root,
      directory,
      settings: { ...SETTINGS, port: String(port), ...options.settings, ...settings },
      owner,
      onLog: options.onLog,
    });
    child = server;
    await Promise.race([ready(directory), ended]);
  };

  const stop = async (mode: 'fast' | 'immediate' = 'fast'): Promise<void> => {
    const server = child;
    child = undefined;
    if (server === undefined || server.exitCode !== null || server.signalCode !== null) return;
    const ended = new Promise<void>((done) => server.once('exit', () => done()));
    // https://www.postgresql.org/docs/current/server-shutdown.html
    server.kill(mode === 'fast' ? 'SIGINT' : 'SIGQUIT');
    await ended;
  };

  for (let attempt = 1; ; attempt++) {
    try {
      await start();
      break;
    } catch (error) {
      await stop('immediate');
      if (attempt === MOST_PORTS || (await isFree(port))) throw error;
      port = await freePort();
    }
  }
  return {
    port,
    directory,
    pid: () => child?.pid ?? -1,
    url: (database = 'postgres') => `postgresql://${SUPERUSER}:${PASSWORD}@127.0.0.1:${port}/${database}`,
    start,
    stop,
  };
}

const isThere = (file: string): Promise<boolean> =>
  access(file).then(
    () => true,
    () => false,
  );

/** Waits until the postmaster's status line says that it takes connections. */
async function ready(directory: string): Promise<void> {
  const file = join(directory, 'postmaster.pid');
  const deadline = steadyMs() + START_TIMEOUT_MS;
  for (;;) {
    // https://www.postgresql.org/docs/current/storage-file-layout.html (line 8 is the postmaster's status)
    const status = (await readFile(file, 'utf8').catch(() => '')).split('\n')[7]?.trim();
    if (status === 'ready' || status === 'standby') return;
    if (steadyMs() > deadline) throw new Error(`postgres did not start within ${START_TIMEOUT_MS} ms`);
    await new Promise((done) => setTimeout(done, 25));
  }
}
