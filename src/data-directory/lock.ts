// One process a data directory: a lock that the operating system lets go of when the process dies, however it dies.
import { closeSync, mkdirSync, openSync } from 'node:fs';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { TailraceError } from '../core/errors.ts';
import { shortageOf } from '../core/shortages.ts';

const LOCK_FILE = 'lock.db';

export type DirectoryLock = { release(): void };

/**
 * Locks `directory`, making it where it is missing. Node has no flock(2); an SQLite transaction that is held open
 * has a file lock of the process, and refuses a second opener in the same process too.
 * https://www.sqlite.org/pragma.html#pragma_locking_mode
 * Throws DATA_DIRECTORY_IN_USE, DATA_DIRECTORY_READ_ONLY.
 */
export function lockDirectory(directory: string): DirectoryLock {
  const path = join(directory, LOCK_FILE);
  makePrivate(directory, path);
  const database = new DatabaseSync(path, { timeout: 0 });
  try {
    database.exec('PRAGMA journal_mode = MEMORY; PRAGMA locking_mode = EXCLUSIVE; BEGIN EXCLUSIVE');
  } catch (error) {
    database.close();
    if (!isBusy(error)) throw readOnly(directory, error);
    throw new TailraceError(`the data directory ${directory} is in use by another Tailrace process`, {
      code: 'DATA_DIRECTORY_IN_USE',
      kind: 'fatal',
      cause: error,
      hint: 'stop the other process, or give this one another data directory (--data-dir)',
    });
  }
  return { release: () => database.close() };
}

/** Invariant 9. The file is made only when it is missing: closing it here again would let go of a lock held on it. */
function makePrivate(directory: string, path: string): void {
  try {
    mkdirSync(directory, { recursive: true, mode: 0o700 });
    closeSync(openSync(path, 'wx', 0o600));
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw readOnly(directory, error);
  }
}

const readOnly = (directory: string, cause: unknown): TailraceError =>
  new TailraceError(
    `the data directory ${directory} cannot be written: ${cause instanceof Error ? cause.message : ''}`,
    {
      code: 'DATA_DIRECTORY_READ_ONLY',
      kind: 'fatal',
      cause,
      hint:
        shortageOf(cause)?.cure ??
        'mount it writable and let the user that runs Tailrace own it, or choose another (--data-dir)',
    },
  );

/** https://www.sqlite.org/rescode.html#busy */
const SQLITE_BUSY = 5;

const isBusy = (error: unknown): boolean =>
  error instanceof Error && (error as Error & { errcode?: number }).errcode === SQLITE_BUSY;
