// The store as somebody sees it who only looks: nothing is made, nothing brought up to date, whoever has it open is not disturbed.
import { existsSync } from 'node:fs';
import { DatabaseSync } from 'node:sqlite';
import { TailraceError } from '../core/errors.ts';
import { storeCure } from './errors.ts';
import { Renumbered } from './renumbered.ts';
import { NEWEST, versionOf } from './schema.ts';

const BUSY_TIMEOUT_MS = 10_000;

/** What somebody may ask who only looks. */
export type StoreToRead = { readonly renumbered: Pick<Renumbered, 'salts'> };

/** Undefined: there is no store. Throws STORE_UNUSABLE, STORE_VERSION, and what `read` throws. */
export function readStore<T>(file: string, read: (store: StoreToRead) => T): T | undefined {
  if (!existsSync(file)) return undefined;
  let db: DatabaseSync | undefined;
  try {
    db = new DatabaseSync(file, { readOnly: true, timeout: BUSY_TIMEOUT_MS });
    const version = versionOf(db);
    if (version !== NEWEST) throw otherVersion(file, version);
    return read({ renumbered: new Renumbered(db) });
  } catch (cause) {
    if (cause instanceof TailraceError) throw cause;
    throw new TailraceError(`the store ${file} cannot be read: ${(cause as Error).message}`, {
      code: 'STORE_UNUSABLE',
      kind: 'fatal',
      hint: storeCure(cause),
      cause,
    });
  } finally {
    db?.close();
  }
}

const otherVersion = (file: string, version: number): TailraceError =>
  new TailraceError(`the store ${file} has version ${version}; this Tailrace reads version ${NEWEST}`, {
    code: 'STORE_VERSION',
    kind: 'fatal',
    hint: 'look with the version of Tailrace that the service runs with',
  });
