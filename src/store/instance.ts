// The instance: an id that a data directory keeps for good, and a number that every process which has its lock counts up.
import { randomBytes } from 'node:crypto';
import { closeSync } from 'node:fs';
import { join } from 'node:path';
import type { ProcessLife } from '../core/process-life.ts';
import { readTextFile } from '../data-directory/files.ts';
import { INSTANCE_FILE } from '../data-directory/places.ts';
import { seal, unseal } from '../data-directory/sealed.ts';
import { LEDGER_FILES, replaceFile } from './ledger/files.ts';

const ID_BYTES = 6;
const NONCE_BYTES = 2;

type Stored = { readonly tailrace: 'instance'; readonly id: string; readonly life: number };

/**
 * To be called under the lock of `dataDir`: the next life of its instance, durable when it returns. One that is damaged is made anew:
 * nothing is then known of walsenders from before, and they are waited for. Throws errors of the file system as they are.
 */
export function beginLife(dataDir: string, random: (bytes: number) => Buffer = randomBytes): ProcessLife {
  const path = join(dataDir, INSTANCE_FILE);
  const before = readInstance(path);
  const id = before?.id ?? random(ID_BYTES).toString('hex');
  const life = (before?.life ?? 0) + 1;
  const stored: Stored = { tailrace: 'instance', id, life };
  closeSync(replaceFile(path, [seal(stored)], LEDGER_FILES).fd);
  return { instance: id, life, nonce: random(NONCE_BYTES).toString('hex') };
}

function readInstance(path: string): Stored | undefined {
  try {
    const stored = unseal(readTextFile(path)) as Partial<Stored>;
    const isSound =
      stored.tailrace === 'instance' &&
      /^[0-9a-f]+$/.test(stored.id ?? '') &&
      Number.isSafeInteger(stored.life);
    return isSound ? (stored as Stored) : undefined;
  } catch {
    // None yet, or none to believe. What cannot be replaced says so.
    return undefined;
  }
}
