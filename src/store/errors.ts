// What SQLite's errors mean for an operator: busy, full, damaged, or not to be written.
import type { DatabaseSync } from 'node:sqlite';
import { descriptorShortage } from '../core/descriptors.ts';
import { TailraceError } from '../core/errors.ts';
import { shortageNamed, type Shortage } from '../core/shortages.ts';
import { FileRefused } from '../data-directory/files.ts';

/** Primary result codes; the higher bits say more. https://www.sqlite.org/rescode.html */
const PRIMARY = 0xff;
const BUSY = 5;
const LOCKED = 6;
const NO_MEMORY = 7;
const IO_ERROR = 10;
const CANNOT_OPEN = 14;

/** What the system lacks by SQLite's error, which does not pass on the system's own code. */
export function sqliteShortage(error: unknown): Shortage | undefined {
  const { errcode } = (error ?? {}) as { errcode?: unknown };
  if (typeof errcode !== 'number') return undefined;
  switch (errcode & PRIMARY) {
    case NO_MEMORY:
      return shortageNamed('ENOMEM');
    case FULL:
      return shortageNamed('ENOSPC');
    case IO_ERROR:
      return descriptorShortage() ?? shortageNamed('EIO');
    case CANNOT_OPEN:
      return descriptorShortage();
    default:
      return undefined;
  }
}
const CORRUPT = 11;
const FULL = 13;
const NOT_A_DATABASE = 26;

/** What can be lost with the store, and the way out. */
const STORE_LOST =
  'a file that is damaged is restored, or moved away with its -wal and -shm: the sinks go on where their ledgers say, and dead letters and gaps that only it had are gone';

/** Of a store that cannot be opened. */
export const storeCure = (cause: unknown): string =>
  `${(cause instanceof FileRefused ? cause.cure : undefined) ?? sqliteShortage(cause)?.cure ?? 'let the user that runs Tailrace write the directory'}; ${STORE_LOST}`;

/** Throws when the file's structure is damaged. https://www.sqlite.org/pragma.html#pragma_quick_check */
export function requireSound(db: DatabaseSync): void {
  const [row] = db.prepare('pragma quick_check(1)').all() as { quick_check: string }[];
  if (row?.quick_check !== 'ok') {
    throw new Error(`it is damaged: ${row?.quick_check.replaceAll(/\s+/g, ' ')}`);
  }
}

/** What `read` makes of what was stored. Throws STORE_DAMAGED instead of a parser's bare error. */
export function fromStore<T>(read: () => T): T {
  try {
    return read();
  } catch (cause) {
    throw damagedStore(`what it holds cannot be read: ${(cause as Error).message}`, cause);
  }
}

/** What was stored as JSON. Throws STORE_DAMAGED. */
export const parseStored = (text: unknown): unknown => fromStore((): unknown => JSON.parse(String(text)));

const damagedStore = (said: string, cause: unknown): TailraceError =>
  new TailraceError(`the store (state.url, tailrace.db in the data directory) is damaged: ${said}`, {
    code: 'STORE_DAMAGED',
    kind: 'fatal',
    cause,
    hint: `check the disk, and stop Tailrace; ${STORE_LOST}`,
  });

/** An error of the store as one with a code and a cure; any other as it is. */
export function storeError(error: unknown): unknown {
  const { code, errcode, message } = (error ?? {}) as {
    code?: unknown;
    errcode?: unknown;
    message?: unknown;
  };
  if (code !== 'ERR_SQLITE_ERROR' || typeof errcode !== 'number') return error;
  const said = String(message);
  const fault = (name: string, what: string, hint: string): TailraceError =>
    new TailraceError(`the store ${what}: ${said}`, { code: name, kind: 'retryable', cause: error, hint });
  switch (errcode & PRIMARY) {
    case BUSY:
    case LOCKED:
      return fault(
        'STORE_BUSY',
        'is busy',
        'another process holds the store’s file (a backup, a sqlite3 shell): let it end; the sink goes on by itself',
      );
    case CORRUPT:
    case NOT_A_DATABASE:
      return damagedStore(said, error);
    case FULL:
      return fault(
        'STORE_FULL',
        'is full',
        'free disk space, or discard dead letters: the sink goes on by itself',
      );
    default: {
      const shortage = sqliteShortage(error);
      return fault(
        'STORE_WRITE_FAILED',
        `cannot be used${shortage === undefined ? '' : `, ${shortage.what}`}`,
        shortage?.cure ??
          'check the disk, and let the user that runs Tailrace own the data directory: the sink goes on by itself',
      );
    }
  }
}
