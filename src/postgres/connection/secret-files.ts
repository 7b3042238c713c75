// Reads the small files that a connection needs (certificates, keys, passwords), anew each time: they are renewed in place.
import { constants } from 'node:fs';
import { open } from 'node:fs/promises';
import { shortageBehind } from '../../core/descriptors.ts';
import { TailraceError } from '../../core/errors.ts';

/** Invariant 8: more than any certificate bundle or password file has. */
export const MAX_SECRET_BYTES = 1024 * 1024;

export type SecretFile = {
  readonly text: string;
  /** The permission bits of everybody but the owner. */
  readonly openTo: number;
};

/** What is wrong with a file, and what cures it. */
type Problem = { readonly problem: string; readonly hint: string };

/** Rejects with TailraceError `code`, naming `key` and the file, never what is in it. */
export async function readSecretFile(
  path: string,
  { code, key }: { readonly code: string; readonly key: string },
): Promise<SecretFile> {
  try {
    return await readWhole(path);
  } catch (cause) {
    // What has no descriptor, or no memory, left says nothing about the file.
    if (shortageBehind(cause) !== undefined) throw cause;
    const { problem, hint } = cause instanceof NotReadable ? cause : problemOf(cause, path);
    throw new TailraceError(`${key}: ${problem}`, { code, kind: 'fatal', hint, cause });
  }
}

class NotReadable extends Error implements Problem {
  readonly problem: string;
  readonly hint: string;

  constructor({ problem, hint }: Problem) {
    super(problem);
    this.problem = problem;
    this.hint = hint;
  }
}

async function readWhole(path: string): Promise<SecretFile> {
  // To open a FIFO waits for its writer otherwise.
  const file = await open(path, constants.O_RDONLY | constants.O_NONBLOCK);
  try {
    const stat = await file.stat();
    if (!stat.isFile())
      throw new NotReadable({ problem: `${path} is not a plain file`, hint: 'name a file there' });
    if (stat.size > MAX_SECRET_BYTES) {
      const hint = 'name the file that holds nothing else';
      throw new NotReadable({ problem: `${path} is larger than ${MAX_SECRET_BYTES} bytes`, hint });
    }
    return { text: await file.readFile('utf8'), openTo: stat.mode & 0o077 };
  } finally {
    await file.close();
  }
}

function problemOf(cause: unknown, path: string): Problem {
  const code = cause instanceof Error && 'code' in cause ? String(cause.code) : 'unknown error';
  if (code === 'ENOENT') {
    return { problem: `there is no file ${path}`, hint: 'put it there again: it is read at each connect' };
  }
  return { problem: `cannot read ${path} (${code})`, hint: 'let the user that Tailrace runs as read it' };
}
