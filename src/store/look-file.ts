// The last look at a database, the gaps that were open then and the salts of its transactions, in a file beside the log: what the log
// holds was read under them.
// One JSON text, whole or not there.
import { closeSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { GapDeclaration } from '../core/gaps.ts';
import type { Look } from '../core/look.ts';
import { formatLsn, readLsn } from '../core/lsn.ts';
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

/** Undefined: there is none, or none that can be read. */
export function readLookFile(directory: string): KeptLook | undefined {
  try {
    const stored = JSON.parse(readFileSync(join(directory, LOOK_FILE), 'utf8')) as StoredFile;
    if (stored.tailrace !== 'look' || stored.format > FORMAT_VERSION) return undefined;
    const salts = (stored.salts ?? []).map((range) => ({
      ...range,
      from: readLsn(range.from),
      to: readLsn(range.to),
    }));
    return { look: parseLook(stored.look), open: stored.open, salts };
  } catch {
    return undefined;
  }
}

/** Durable when it returns. Throws errors of the file system as they are. */
export function writeLookFile(directory: string, { look, open, salts }: KeptLook): void {
  const stored: StoredFile = {
    tailrace: 'look',
    format: FORMAT_VERSION,
    look: storeLook(look),
    open,
    salts: salts.map((range) => ({ ...range, from: formatLsn(range.from), to: formatLsn(range.to) })),
  };
  const bytes = Buffer.from(JSON.stringify(stored));
  closeSync(replaceFile(join(directory, LOOK_FILE), [bytes], LEDGER_FILES).fd);
}
