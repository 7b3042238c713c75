// Where a demo lives: a temporary directory, or one that is kept and gone on with.
import { chmod, mkdir, mkdtemp, readdir, readFile, rm, statfs, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { steadyMs } from '../../core/clock.ts';
import { TailraceError } from '../../core/errors.ts';
import { lockDirectory } from '../../data-directory/lock.ts';
import { isProcess } from './guard.ts';

export type DemoPlace = {
  readonly root: string;
  /** For the embedded Postgres. */
  readonly postgres: string;
  readonly configFile: string;
  /** Of the service. */
  readonly data: string;
  readonly kept: boolean;
  /** Of the last demo here: what it left is gone on with. */
  readonly earlierPort: number | undefined;
  /** From now on there is something to go on with. */
  remember(port: number): Promise<void>;
  /** Removes it, or leaves what is kept to others. */
  leave(): Promise<void>;
};

export const KEPT_BY_DEFAULT = 'tailrace-demo';

/** A cluster, its WAL, and the change log of some minutes; with a copy of the binaries where root needs one. */
const NEEDED_BYTES = 250 * 1024 ** 2;
/** A guard needs as long to end the Postgres of a demo that was killed. */
const EARLIER_END_MS = 15_000;
const STATE = 'demo.json';
const OURS = new Set(['postgres', 'data', 'tailrace.yaml', 'lock.db', STATE]);

/** `keep`: where; true: in `./tailrace-demo`; undefined: nowhere. */
export async function openPlace(keep: string | true | undefined, cwd: string): Promise<DemoPlace> {
  const root = keep === undefined ? tmpdir() : resolve(cwd, keep === true ? KEPT_BY_DEFAULT : keep);
  try {
    return keep === undefined ? await openTemporary(root) : await openKept(root);
  } catch (error) {
    // What the file system refuses; all else has its words already.
    if (error instanceof TailraceError || !(error instanceof Error) || !('syscall' in error)) throw error;
    throw new TailraceError(`the demo cannot live in ${root}: ${error.message}`, {
      code: 'DEMO_DIRECTORY',
      kind: 'fatal',
      hint: `${keep === undefined ? 'set TMPDIR to' : 'name'} a directory that this user may write; what an earlier demo has kept belongs to its user`,
      cause: error,
    });
  }
}

async function openTemporary(directory: string): Promise<DemoPlace> {
  const root = await mkdtemp(join(directory, 'tailrace-demo-'));
  const remove = (): Promise<void> => rm(root, { recursive: true, force: true });
  try {
    await prepare(root);
    return placeIn(root, { kept: false, earlierPort: undefined, leave: remove });
  } catch (error) {
    await remove();
    throw error;
  }
}

async function openKept(root: string): Promise<DemoPlace> {
  await mkdir(root, { recursive: true });
  const strangers = (await readdir(root)).filter((name) => !OURS.has(name));
  if (strangers.length > 0) {
    throw new TailraceError(`${root} holds something else than a demo: ${strangers[0]}`, {
      code: 'DEMO_DIRECTORY',
      kind: 'fatal',
      hint: 'name a directory that is empty or not there yet, or one that an earlier demo has kept',
    });
  }
  await prepare(root);
  const lock = lockDirectory(root);
  try {
    await earlierServerEnded(join(root, 'postgres'));
    const earlierPort = await earlierState(root);
    // A demo that did not get as far as that left nothing to go on with.
    if (earlierPort === undefined) {
      for (const name of ['postgres', 'data']) await rm(join(root, name), { recursive: true, force: true });
    }
    return placeIn(root, { kept: true, earlierPort, leave: async () => lock.release() });
  } catch (error) {
    lock.release();
    throw error;
  }
}

async function placeIn(
  root: string,
  rest: Pick<DemoPlace, 'kept' | 'earlierPort' | 'leave'>,
): Promise<DemoPlace> {
  const postgres = join(root, 'postgres');
  await mkdir(postgres, { recursive: true, mode: 0o700 });
  return {
    root,
    postgres,
    configFile: join(root, 'tailrace.yaml'),
    data: join(root, 'data'),
    remember: (port) => writeFile(join(root, STATE), `${JSON.stringify({ port })}\n`),
    ...rest,
  };
}

async function prepare(root: string): Promise<void> {
  const { bavail, bsize } = await statfs(root);
  const fault = roomFault(root, bavail * bsize);
  if (fault !== undefined) throw fault;
  // As root Postgres runs as somebody else, who must get through.
  if (process.getuid?.() === 0) await chmod(root, 0o711);
}

/** Asked before Postgres finds out by itself half-way. */
export const roomFault = (root: string, freeBytes: number): TailraceError | undefined =>
  freeBytes >= NEEDED_BYTES
    ? undefined
    : new TailraceError(
        `the demo needs ${mebibytes(NEEDED_BYTES)} MiB of disk, and ${root} has ${mebibytes(freeBytes)}`,
        {
          code: 'DEMO_NO_ROOM',
          kind: 'fatal',
          hint: 'make room there, or say where there is some: TMPDIR=/var/tmp, or --keep with a directory',
        },
      );

const mebibytes = (bytes: number): number => Math.floor(bytes / 1024 ** 2);

async function earlierState(root: string): Promise<number | undefined> {
  try {
    const { port } = JSON.parse(await readFile(join(root, STATE), 'utf8')) as { port?: unknown };
    return typeof port === 'number' ? port : undefined;
  } catch {
    return undefined; // not there, or cut: nothing to go on with
  }
}

async function earlierServerEnded(postgres: string): Promise<void> {
  const deadline = steadyMs() + EARLIER_END_MS;
  for (;;) {
    const pid = await readFile(join(postgres, 'data', 'postmaster.pid'), 'utf8').catch(() => '');
    // Longer than this, Postgres itself says what is wrong.
    if (pid === '' || !isProcess(Number.parseInt(pid, 10)) || steadyMs() > deadline) return;
    await sleep(100);
  }
}
