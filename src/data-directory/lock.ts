// One process a data directory: a lock that the operating system lets go of when the process dies, however it dies.
import { statSync, type Stats } from 'node:fs';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { TailraceError } from '../core/errors.ts';
import { makeDirectorySync } from './directory.ts';
import { quoted } from '../core/shell.ts';
import { prepareSqliteFile, sqliteFiles } from './files.ts';
import { SQLITE, sqliteFileCure, sqliteResult } from './sqlite-results.ts';

export const LOCK_FILE = 'lock.db';

/** How soon it is seen that the file of the lock is another, or none. */
const LOOK_INTERVAL_MS = 1_000;

export type LockWatch = {
  /** The file was gone, and was made and locked anew. */
  readonly renewed: (note: string) => void;
  /** Somebody else may use the directory: TailraceError. Told once. */
  readonly lost: (error: unknown) => void;
  readonly intervalMs?: number;
};

export type DirectoryLock = {
  release(): void;
  /** Looks now and then whether the file still is the one that is held: where it was deleted, a second process finds a free one. Answers what ends it. */
  watch(watch: LockWatch): () => void;
};

/**
 * Locks `directory`, making it where it is missing. Node has no flock(2); an SQLite transaction that is held open
 * has a file lock of the process, and refuses a second opener in the same process too.
 * https://www.sqlite.org/pragma.html#pragma_locking_mode
 * Throws DATA_DIRECTORY_IN_USE, DATA_DIRECTORY_READ_ONLY, DATA_DIRECTORY_LOCK_DAMAGED.
 */
export function lockDirectory(directory: string): DirectoryLock {
  let held = hold(directory, () => makeDirectorySync(directory));
  return {
    release: () => held.database.close(),
    watch: ({ renewed, lost, intervalMs = LOOK_INTERVAL_MS }) => {
      const look = (): void => {
        if (isTheSame(held)) return;
        try {
          const again = hold(directory, () => undefined);
          held.database.close();
          held = again;
          renewed(`${again.path} was deleted while it was in use, and is made anew: leave it where it is`);
        } catch (error) {
          clearInterval(timer);
          lost(error);
        }
      };
      const timer = setInterval(look, intervalMs).unref();
      return () => clearInterval(timer);
    },
  };
}

type Held = { readonly path: string; readonly database: DatabaseSync; readonly file: Stats };

function isTheSame({ path, file }: Held): boolean {
  const found = statSync(path, { throwIfNoEntry: false });
  return found?.ino === file.ino && found.dev === file.dev;
}

function hold(directory: string, prepare: () => void): Held {
  const path = join(directory, LOCK_FILE);
  let database: DatabaseSync | undefined;
  try {
    prepare();
    prepareSqliteFile(path);
    database = new DatabaseSync(path, { timeout: 0 });
    database.exec('PRAGMA journal_mode = MEMORY; PRAGMA locking_mode = EXCLUSIVE; BEGIN EXCLUSIVE');
    return { path, database, file: statSync(path) };
  } catch (error) {
    database?.close();
    const result = sqliteResult(error);
    if (result === SQLITE.corrupt || result === SQLITE.notADatabase) throw damaged(path, error);
    if (result !== SQLITE.busy) throw readOnly(directory, error);
    throw new TailraceError(`the data directory ${directory} is in use by another Tailrace process`, {
      code: 'DATA_DIRECTORY_IN_USE',
      kind: 'fatal',
      cause: error,
      hint: 'stop the other process, or give this one another data directory (--data-dir)',
    });
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
        sqliteFileCure(cause) ??
        'mount it writable and let the user that runs Tailrace own it, or choose another (--data-dir)',
    },
  );

const damaged = (path: string, cause: unknown): TailraceError =>
  new TailraceError(`${path} is damaged, and no lock can be held with it: ${(cause as Error).message}`, {
    code: 'DATA_DIRECTORY_LOCK_DAMAGED',
    kind: 'fatal',
    cause,
    hint: `nothing is kept in it: check the disk, make sure that no other Tailrace uses the directory, and delete it (rm -f ${sqliteFiles(path).map(quoted).join(' ')})`,
  });
