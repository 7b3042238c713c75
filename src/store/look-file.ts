// The last look at a database, the gaps that were open then and the salts of its transactions, in a file beside the log: what the log
// holds was read under them.
// One JSON text, whole or not there.
import { closeSync } from 'node:fs';
import { join } from 'node:path';
import { TailraceError } from '../core/errors.ts';
import type { GapDeclaration } from '../core/gaps.ts';
import type { Look } from '../core/look.ts';
import { formatLsn, readLsn } from '../core/lsn.ts';
import { readSealed, seal } from '../data-directory/sealed.ts';
import { LEDGER_FILES, replaceFile } from './ledger/files.ts';
import { parseLook, storeLook, type StoredLook } from './looks.ts';
import type { Salts } from './renumbered.ts';

/** Its name in the log's directory. */
export const LOOK_FILE = 'look';
const FORMAT_VERSION = 1;

export type KeptLook = {
  readonly look: Look;
  readonly open: readonly GapDeclaration[];
  readonly salts: Salts;
};

type StoredRange = {
  readonly epoch: number;
  readonly from: string;
  readonly to: string;
  readonly salt: string;
};

type StoredFile = {
  readonly tailrace: 'look';
  readonly format: number;
  readonly look: StoredLook;
  readonly open: readonly GapDeclaration[];
  readonly salts?: readonly StoredRange[];
};

/**
 * Undefined: there is none. Throws LOOK_DAMAGED when it says nothing that can be believed: it is never half written. Throws LOG_VERSION when a
 * later version wrote it.
 */
export const readLookFile = (directory: string): KeptLook | undefined =>
  readSealed(join(directory, LOOK_FILE), {
    name: 'look',
    format: FORMAT_VERSION,
    read: (stored) => keptLook(stored as StoredFile),
    damaged,
  });

function keptLook({ look, open, salts = [] }: StoredFile): KeptLook {
  const ranges = salts.map((range) => ({ ...range, from: readLsn(range.from), to: readLsn(range.to) }));
  return { look: parseLook(look), open, salts: ranges };
}

const damaged = (path: string, cause: unknown): TailraceError =>
  new TailraceError(`${path} cannot be read: ${(cause as Error).message}`, {
    code: 'LOOK_DAMAGED',
    kind: 'retryable',
    cause,
    hint: 'check the disk; the store has all of it, and the file is written anew at the next look at the catalog: only if the store was lost as well, everything up to that look is a gap',
  });

/** Durable when it returns. Throws errors of the file system as they are. */
export function writeLookFile(directory: string, { look, open, salts }: KeptLook): void {
  const stored: StoredFile = {
    tailrace: 'look',
    format: FORMAT_VERSION,
    look: storeLook(look),
    open,
    salts: salts.map((range) => ({ ...range, from: formatLsn(range.from), to: formatLsn(range.to) })),
  };
  closeSync(replaceFile(join(directory, LOOK_FILE), [seal(stored)], LEDGER_FILES).fd);
}
