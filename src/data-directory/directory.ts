// Makes the directories of the data directory.
import { closeSync, fsyncSync, openSync } from 'node:fs';
import { mkdir } from 'node:fs/promises';
import { dirname, resolve } from 'node:path';
import { TailraceError } from '../core/errors.ts';
import { shortageOf } from '../core/shortages.ts';

/** 0700: rows lie here (invariant 9). Durable when it resolves. Throws DATA_DIRECTORY_UNUSABLE. */
export async function makeDirectory(directory: string): Promise<void> {
  try {
    const first = await mkdir(directory, { recursive: true, mode: 0o700 });
    if (first !== undefined) syncNames(resolve(first), resolve(directory));
  } catch (cause) {
    throw new TailraceError(`the data directory ${directory} cannot be made: ${(cause as Error).message}`, {
      code: 'DATA_DIRECTORY_UNUSABLE',
      kind: 'fatal',
      hint:
        shortageOf(cause)?.cure ??
        `make ${dirname(directory)} writable, or name another directory with --data-dir`,
      cause,
    });
  }
}

/** What is synced inside of a directory is lost with the directory, while nobody has synced its own name. */
function syncNames(first: string, last: string): void {
  for (let made = last; ; made = dirname(made)) {
    const fd = openSync(dirname(made), 'r');
    try {
      fsyncSync(fd);
    } finally {
      closeSync(fd);
    }
    if (made === first) return;
  }
}
