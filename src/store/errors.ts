// What SQLite's errors mean for an operator: busy, full, or not to be written.
import { descriptorShortage } from '../core/descriptors.ts';
import { TailraceError } from '../core/errors.ts';
import { shortageNamed, type Shortage } from '../core/shortages.ts';

/** Primary result codes; the higher bits say more. https://www.sqlite.org/rescode.html */
const PRIMARY = 0xff;
const BUSY = 5;
const LOCKED = 6;
const NO_MEMORY = 7;
const IO_ERROR = 10;
const FULL = 13;
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
