// The leases of one pull stream, in a SQLite file of their own: they change with every request, so they share no lock.
import { rmSync } from 'node:fs';
import { DatabaseSync, type StatementSync } from 'node:sqlite';
import { TailraceError } from '../core/errors.ts';
import { prepareSqliteFile, sqliteFiles } from '../data-directory/files.ts';
import type { LeaseStore, StoredLease } from '../core/leases.ts';
import { sqliteFileCure } from '../data-directory/sqlite-results.ts';
import { requireSound } from './errors.ts';

/** `PRAGMA user_version` of the file. */
const SCHEMA_VERSION = 1;
const SCHEMA = `
  create table leases (
    id text primary key,
    visible_at_ms integer not null,
    acked integer not null
  ) strict, without rowid;
`;

/** Beside the ledger of its sink. */
export const leaseFileOf = (ledgerFile: string): string => ledgerFile.replace(/(\.ledger)?$/, '.leases');

/** Of a sink whose place is forgotten: with it who held what. */
export function removeLeases(ledgerFile: string): void {
  for (const file of sqliteFiles(leaseFileOf(ledgerFile))) rmSync(file, { force: true });
}

/** Opens the file, making it when it is not there. Throws LEASES_UNUSABLE, STORE_VERSION. */
export function openLeaseStore(file: string): LeaseStore {
  let db: DatabaseSync | undefined;
  try {
    prepareSqliteFile(file);
    db = new DatabaseSync(file);
    // A lease lost in a power cut is a message given out once more: worth no fsync per request.
    // https://www.sqlite.org/pragma.html#pragma_synchronous
    db.exec('pragma journal_mode = wal; pragma synchronous = normal');
    requireSound(db);
    const { user_version: version } = db.prepare('pragma user_version').get() as { user_version: number };
    if (version > SCHEMA_VERSION) throw newerVersion(file, version);
    if (version === 0) db.exec(`begin; ${SCHEMA}; pragma user_version = ${SCHEMA_VERSION}; commit`);
    return new SqliteLeaseStore(db);
  } catch (cause) {
    db?.close();
    if (cause instanceof TailraceError) throw cause;
    throw new TailraceError(`the leases in ${file} cannot be opened: ${(cause as Error).message}`, {
      code: 'LEASES_UNUSABLE',
      kind: 'fatal',
      hint:
        sqliteFileCure(cause) ??
        'the directory must be writable; if the file is damaged, remove it, with its -wal and -shm: messages that are being worked on are then given out once more',
      cause,
    });
  }
}

const newerVersion = (file: string, version: number): TailraceError =>
  new TailraceError(
    `the leases in ${file} have version ${version}, ${SCHEMA_VERSION} is the newest known here`,
    {
      code: 'STORE_VERSION',
      kind: 'fatal',
      hint: 'run the version of Tailrace that wrote it, or a newer one',
    },
  );

class SqliteLeaseStore implements LeaseStore {
  readonly #db: DatabaseSync;
  readonly #save: StatementSync;
  readonly #remove: StatementSync;

  constructor(db: DatabaseSync) {
    this.#db = db;
    // One statement for a whole batch: json_each turns the ids into rows.
    this.#save = db.prepare('insert or replace into leases select value, ?, ? from json_each(?)');
    this.#remove = db.prepare('delete from leases where id in (select value from json_each(?))');
  }

  load(): StoredLease[] {
    const rows = this.#db.prepare('select id, visible_at_ms, acked from leases').all();
    return rows.map((row) => ({
      id: String(row['id']),
      visibleAtMs: Number(row['visible_at_ms']),
      acked: row['acked'] === 1,
    }));
  }

  save(ids: readonly string[], { visibleAtMs, acked }: Omit<StoredLease, 'id'>): void {
    this.#save.run(visibleAtMs, acked ? 1 : 0, JSON.stringify(ids));
  }

  remove(ids: readonly string[]): void {
    this.#remove.run(JSON.stringify(ids));
  }

  close(): void {
    this.#db.close();
  }
}
