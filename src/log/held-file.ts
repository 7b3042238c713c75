// Remembers, in a file beside the segments, what recovery cuts off of a transaction that was not whole: rows of it may be delivered, and the
// server sends it again. One JSON text, whole or not there.
import { closeSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { TailraceError } from '../core/errors.ts';
import { formatLsn, readLsn } from '../core/lsn.ts';
import { quoted } from '../core/shell.ts';
import { readSealed, seal } from '../data-directory/sealed.ts';
import { LEDGER_FILES, replaceFile } from '../store/ledger/files.ts';
import type { BlockContext } from './format.ts';
import type { HeldRows } from './held-rows.ts';

/** Its name in the log's directory. */
export const HELD_FILE = 'held';
const FORMAT_VERSION = 1;
/** So many kills inside one transaction, those that left most of it. */
const MAX_HELD = 64;

type StoredRows = Omit<HeldRows, 'commitLsn' | 'commitTimeUs'> & {
  readonly commitLsn: string;
  readonly commitTimeUs: string;
};
type StoredFile = {
  readonly tailrace: 'held';
  readonly format: number;
  readonly held: readonly StoredRows[];
};

/** Throws LOG_HELD_DAMAGED, LOG_VERSION. */
export const readHeldFile = (directory: string): readonly HeldRows[] =>
  readSealed(join(directory, HELD_FILE), {
    name: 'held',
    format: FORMAT_VERSION,
    read: (stored) => (stored as StoredFile).held.map(recalled),
    damaged,
  }) ?? [];

/**
 * The log ends in `end` from now on, and `cut` goes with what is cut off there. Answers what is to be remembered, and is durable when it
 * returns; what the log has whole, or has in a later epoch, is forgotten. Throws as `readHeldFile`, and errors of the file system as they are.
 */
export function rememberHeld(
  directory: string,
  end: BlockContext | undefined,
  cut: HeldRows | undefined,
): readonly HeldRows[] {
  const known = readHeldFile(directory);
  const held = [...known, ...(cut === undefined ? [] : [cut])]
    .filter(
      ({ epoch, commitLsn }) => end === undefined || (epoch >= end.epoch && commitLsn > end.lastCommitLsn),
    )
    .filter((rows, i, all) => all.findIndex((other) => isEqual(rows, other)) === i)
    .sort((a, b) => a.rows - b.rows)
    .slice(-MAX_HELD);
  const path = join(directory, HELD_FILE);
  if (held.length > 0) {
    const stored: StoredFile = { tailrace: 'held', format: FORMAT_VERSION, held: held.map(storedRows) };
    closeSync(replaceFile(path, [seal(stored)], LEDGER_FILES).fd);
  } else if (known.length > 0) rmSync(path);
  return held;
}

const isEqual = (a: HeldRows, b: HeldRows): boolean =>
  a.epoch === b.epoch && a.commitLsn === b.commitLsn && a.rows === b.rows && a.digest === b.digest;

const storedRows = (rows: HeldRows): StoredRows => ({
  ...rows,
  commitLsn: formatLsn(rows.commitLsn),
  commitTimeUs: String(rows.commitTimeUs),
});

const recalled = (stored: StoredRows): HeldRows => ({
  ...stored,
  commitLsn: readLsn(stored.commitLsn),
  commitTimeUs: BigInt(stored.commitTimeUs),
});

const damaged = (path: string, cause: unknown): TailraceError =>
  new TailraceError(`${path} cannot be read: ${(cause as Error).message}`, {
    code: 'LOG_HELD_DAMAGED',
    kind: 'fatal',
    mend: 'restart',
    cause,
    hint: `check the disk; then restore the file, or delete it (rm ${quoted(path)}) and start again: whether the transaction that was being read when Tailrace ended comes again as it was is then not compared`,
  });
