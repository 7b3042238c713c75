// What SQLite says when it fails, by number: for the store, the leases and the lock.
import { descriptorShortage } from '../core/descriptors.ts';
import { shortageNamed, shortageOf, type Shortage } from '../core/shortages.ts';
import { refusalCure } from './files.ts';

/** Primary result codes. https://www.sqlite.org/rescode.html */
export const SQLITE = {
  busy: 5,
  locked: 6,
  noMemory: 7,
  ioError: 10,
  corrupt: 11,
  full: 13,
  cannotOpen: 14,
  notADatabase: 26,
} as const;

/** The bits above say more of the same. */
const PRIMARY = 0xff;

/** Undefined: it is no error of SQLite's. */
export function sqliteResult(error: unknown): number | undefined {
  const { errcode } = (error ?? {}) as { readonly errcode?: unknown };
  return typeof errcode === 'number' ? errcode & PRIMARY : undefined;
}

/** What the system lacks by SQLite's error, which does not pass on the system's own code. */
export function sqliteShortage(error: unknown): Shortage | undefined {
  const result = sqliteResult(error);
  if (result === undefined) return undefined;
  switch (result) {
    case SQLITE.noMemory:
      return shortageNamed('ENOMEM');
    case SQLITE.full:
      return shortageNamed('ENOSPC');
    case SQLITE.ioError:
      return descriptorShortage() ?? shortageNamed('EIO');
    case SQLITE.cannotOpen:
      return descriptorShortage();
    default:
      return undefined;
  }
}

/** What cures an SQLite file that cannot be made or opened; undefined: the error does not tell. */
export const sqliteFileCure = (error: unknown): string | undefined =>
  refusalCure(error) ?? (shortageOf(error) ?? sqliteShortage(error))?.cure;
