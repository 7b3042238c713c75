// Makes the directories of the data directory, so that a power cut does not take them with all that is in them.
import { closeSync, fsyncSync, openSync } from 'node:fs';
import { mkdir } from 'node:fs/promises';
import { dirname } from 'node:path';
import { TailraceError } from '../core/errors.ts';

/** 0700: rows lie here (invariant 9). Throws DATA_DIRECTORY_UNUSABLE. */
export async function makeDirectory(directory: string): Promise<void> {
  try {
    const first = await mkdir(directory, { recursive: true, mode: 0o700 });
    if (first !== undefined) syncNames(first, directory);
  } catch (cause) {
    throw new TailraceError(`the data directory ${directory} cannot be made: ${(cause as Error).message}`, {
      code: 'DATA_DIRECTORY_UNUSABLE',
      kind: 'fatal',
      hint: `make ${dirname(directory)} writable, or name another directory with --data-dir`,
      cause,
    });
  }
}

/** Of the directories from `first` down to `last`, which are new: a name is durable when the directory that holds it is synced. */
function syncNames(first: string, last: string): void {
  const holder = dirname(last);
  if (last !== first) syncNames(first, holder);
  const fd = openSync(holder, 'r');
  try {
    fsyncSync(fd);
  } finally {
    closeSync(fd);
  }
}
