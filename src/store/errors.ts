// What SQLite's errors mean for an operator: busy, full, damaged, or not to be written.
import type { DatabaseSync } from 'node:sqlite';
import { TailraceError } from '../core/errors.ts';
import { SQLITE, sqliteFileCure, sqliteResult, sqliteShortage } from '../data-directory/sqlite-results.ts';

/** What can be lost with the store, and the way out. */
const STORE_LOST =
  'a file that is damaged is restored, or moved away with its -wal and -shm: the sinks go on where their ledgers say, and dead letters and gaps that only it had are gone';

/** Of a store that cannot be opened. */
export const storeCure = (cause: unknown): string =>
  `${sqliteFileCure(cause) ?? 'let the user that runs Tailrace write the directory'}; ${STORE_LOST}`;

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
  const { code, message } = (error ?? {}) as { code?: unknown; message?: unknown };
  const result = sqliteResult(error);
  if (code !== 'ERR_SQLITE_ERROR' || result === undefined) return error;
  const said = String(message);
  const fault = (name: string, what: string, hint: string): TailraceError =>
    new TailraceError(`the store ${what}: ${said}`, { code: name, kind: 'retryable', cause: error, hint });
  switch (result) {
    case SQLITE.busy:
    case SQLITE.locked:
      return fault(
        'STORE_BUSY',
        'is busy',
        'another process holds the store’s file (a backup, a sqlite3 shell): let it end; the sink goes on by itself',
      );
    case SQLITE.corrupt:
    case SQLITE.notADatabase:
      return damagedStore(said, error);
    case SQLITE.full:
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
