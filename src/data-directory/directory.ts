// Makes the directories of the data directory.
import { closeSync, fsyncSync, mkdirSync, openSync, statSync } from 'node:fs';
import { dirname, resolve } from 'node:path';
import { TailraceError } from '../core/errors.ts';
import { shortageOf } from '../core/shortages.ts';
import { quoted } from '../core/shell.ts';
import { PRIVATE_DIRECTORY } from './files.ts';

/**
 * 0700: rows lie here (invariant 9). Durable when it returns. Throws DATA_DIRECTORY_UNUSABLE, at once: Node's own `recursive` never
 * ends in a place where nothing can be made and the system says that there is nothing (`/proc/x`).
 */
export function makeDirectorySync(directory: string): void {
  try {
    makeMissing(resolve(directory));
  } catch (cause) {
    throw new TailraceError(`the data directory ${directory} cannot be made: ${(cause as Error).message}`, {
      code: 'DATA_DIRECTORY_UNUSABLE',
      kind: 'fatal',
      hint: shortageOf(cause)?.cure ?? cureOf(directory, cause),
      cause,
    });
  }
}

export const makeDirectory = async (directory: string): Promise<void> => makeDirectorySync(directory);

/** With those above it that are missing, each durable in the one above. */
function makeMissing(directory: string): void {
  const stats = statSync(directory, { throwIfNoEntry: false });
  if (stats?.isDirectory() === true) return;
  if (stats !== undefined) throw new Error(`${directory} is there, and is no directory`);
  const above = dirname(directory);
  if (above !== directory) makeMissing(above);
  try {
    mkdirSync(directory, { mode: PRIVATE_DIRECTORY });
  } catch (error) {
    // Another thread was faster, unless it is a link that leads nowhere.
    const isThere = statSync(directory, { throwIfNoEntry: false })?.isDirectory() === true;
    if (!isThere) throw error;
  }
  syncDirectory(above);
}

/**
 * Makes the names of new and deleted files durable. What is synced inside of a directory is lost with the directory, while nobody has
 * synced its own name.
 */
export function syncDirectory(directory: string): void {
  const fd = openSync(directory, 'r');
  try {
    fsyncSync(fd);
  } finally {
    closeSync(fd);
  }
}

function cureOf(directory: string, cause: unknown): string {
  switch ((cause as NodeJS.ErrnoException).code ?? '') {
    case 'EACCES':
    case 'EPERM':
    case 'EROFS':
      return `make ${quoted(dirname(resolve(directory)))} writable, or name another directory with --data-dir`;
    case 'EEXIST':
      return `${quoted(directory)} is a link that leads nowhere: remove it, or name another directory with --data-dir`;
    default:
      return 'name another directory with --data-dir';
  }
}
