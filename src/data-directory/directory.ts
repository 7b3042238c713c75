// Makes the directories of the data directory.
import { mkdir } from 'node:fs/promises';
import { dirname } from 'node:path';
import { TailraceError } from '../core/errors.ts';

/** 0700: rows lie here (invariant 9). Throws DATA_DIRECTORY_UNUSABLE. */
export async function makeDirectory(directory: string): Promise<void> {
  try {
    await mkdir(directory, { recursive: true, mode: 0o700 });
  } catch (cause) {
    throw new TailraceError(`the data directory ${directory} cannot be made: ${(cause as Error).message}`, {
      code: 'DATA_DIRECTORY_UNUSABLE',
      kind: 'fatal',
      hint: `make ${dirname(directory)} writable, or name another directory with --data-dir`,
      cause,
    });
  }
}
