// The looks at a database, the newest all of them and fewer and fewer of the older ones (invariant 8).
import type { DatabaseSync } from 'node:sqlite';
import type { GapXids } from '../core/gap-rows.ts';
import type { CatalogVersions, Look, LookedAt, Version } from '../core/look.ts';
import { formatLsn, minLsn, readLsn, ZERO_LSN, type Lsn } from '../core/lsn.ts';
import { parseStored } from './errors.ts';
import { transaction } from './sink-records.ts';

/** Above this many looks of a database, every second of the older half goes that follows one at the same publication. */
export const MAX_LOOKS = 400;

export class Looks {
  readonly #db: DatabaseSync;

  constructor(db: DatabaseSync) {
    this.#db = db;
  }

  /** What was seen is stored once for all looks that saw the same. Answers the look's number. */
  add(database: string, look: Look, isProved: boolean): number {
    return transaction(this.#db, () => {
      const catalog = this.#catalogOf(database, look);
      const row = this.#db
        .prepare(
          `insert into looks (database, taken_at, publication, server, wal_before, wal_after, xmin, begun, proved, catalog)
           values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?) returning id`,
        )
        .get(
          database,
          look.at,
          look.publication,
          JSON.stringify(storeServer(look.server)),
          formatLsn(look.walBefore),
          formatLsn(look.walAfter),
          // Of 64 bits, of which Postgres uses fewer than 2^63.
          look.xmin,
          look.begun,
          Number(isProved),
          catalog,
        );
      this.#thin(database);
      return Number(row!['id']);
    });
  }

  /** The server of this look, and of those after it, is the log's. */
  prove(database: string, from: number): void {
    this.#db.prepare('update looks set proved = 1 where database = ? and id >= ?').run(database, from);
  }

  /** Looks before this one may be of another history: they bound nothing in this one. */
  doubt(database: string, before: number): void {
    this.#db.prepare('update looks set proved = 0 where database = ? and id < ?').run(database, before);
  }

  /** The server of this look, and of those after it, is not the log's. */
  forget(database: string, from: number): void {
    this.#db.prepare('delete from looks where database = ? and id >= ?').run(database, from);
  }

  #catalogOf(database: string, { fold, catalog }: Look): number {
    const newest = this.#db
      .prepare(
        `select c.id, c.fold from looks l join look_catalogs c on c.id = l.catalog
         where l.database = ? order by l.id desc limit 1`,
      )
      .get(database);
    if (newest?.['fold'] === fold) return Number(newest['id']);
    const row = this.#db
      .prepare('insert into look_catalogs (fold, seen) values (?, ?) returning id')
      .get(fold, JSON.stringify(catalog));
    return Number(row!['id']);
  }

  /** Is this look kept? */
  has(database: string, { at, publication, xmin }: Look): boolean {
    const row = this.#db
      .prepare('select 1 from looks where database = ? and taken_at = ? and publication = ? and xmin = ?')
      .get(database, at, publication, xmin);
    return row !== undefined;
  }

  #thin(database: string): void {
    const rows = this.#db
      .prepare('select id, publication from looks where database = ? order by id')
      .all(database);
    if (rows.length <= MAX_LOOKS) return;
    const remove = this.#db.prepare('delete from looks where id = ?');
    rows.slice(0, rows.length / 2).forEach((row, i) => {
      // Which publications were followed is told by those that stay.
      const isLike = row['publication'] === rows[i - 1]?.['publication'];
      if (i % 2 === 1 && isLike) remove.run(row['id']!);
    });
    this.#db.exec('delete from look_catalogs where id not in (select catalog from looks)');
  }

  /**
   * Undefined: nobody has looked. `withPublication`: of those that saw one, `publication`: of that name; `proved`: of those at the
   * log's own server.
   */
  newest(
    database: string,
    asked: {
      readonly withPublication?: boolean;
      readonly publication?: string;
      readonly proved?: boolean;
    } = {},
  ): Look | undefined {
    const { withPublication = false, publication = null, proved = false } = asked;
    const row = this.#db
      .prepare(
        `select l.*, c.fold, c.seen from looks l join look_catalogs c on c.id = l.catalog
         where l.database = ? and (c.seen ->> '$.publication' is not null or not ?)
           and l.publication = coalesce(?, l.publication) and l.proved >= ?
         order by l.id desc limit 1`,
      )
      .get(database, Number(withPublication), publication, Number(proved));
    return row && readLook(row);
  }

  /** What the looks at the log's own server saw, each catalog once, oldest first. */
  *catalogs(database: string): Generator<CatalogVersions> {
    const rows = this.#db
      .prepare(
        `select c.seen from look_catalogs c where c.id in (select catalog from looks where database = ? and proved = 1) order by c.id`,
      )
      .iterate(database);
    for (const row of rows) yield parseStored(row['seen']) as CatalogVersions;
  }

  /**
   * Where the WAL of this server's history ended at the newest look at this cluster after which every transaction from `xid` on
   * began; zero when no such look is kept.
   */
  endBefore(database: string, server: LookedHistory, xid: bigint): Lsn {
    const row = this.#db
      .prepare(
        `select server, wal_before from looks where database = ? and begun <= ? and proved = 1
         and server ->> 'systemIdentifier' = ? order by id desc limit 1`,
      )
      .get(database, xid, server.systemIdentifier);
    if (row === undefined) return ZERO_LSN;
    const lsn = readLsn(String(row['wal_before']));
    const parted = partedAt(row, server);
    return parted === undefined ? lsn : minLsn(lsn, parted);
  }

  /** Was another publication than this one followed while the WAL stood above `lsn`? One is until the first look at the next. */
  hasOtherSince(database: string, publication: string, lsn: Lsn): boolean {
    const rows = this.#db
      .prepare('select publication, wal_after from looks where database = ? order by id')
      .all(database);
    return rows.some((row, i) => {
      const next = rows[i + 1];
      return (
        row['publication'] !== publication && (next === undefined || readLsn(String(next['wal_after'])) > lsn)
      );
    });
  }

  /**
   * Where the WAL ended after the earliest look of `server`'s own history that saw a type with this shape; undefined: no look is
   * kept that did.
   */
  sawShape(
    database: string,
    server: LookedHistory & Pick<LookedAt, 'timeline'>,
    { type, version }: { readonly type: number; readonly version: Version },
  ): Lsn | undefined {
    const rows = this.#db
      .prepare(
        `select l.wal_after, l.server ->> 'timeline' as timeline
         from looks l join look_catalogs c on c.id = l.catalog
         where l.database = ? and l.proved = 1 and l.server ->> 'systemIdentifier' = ?
         and c.seen -> '$.types' ->> ? = ? order by l.id`,
      )
      .iterate(database, server.systemIdentifier, `$."${type}"`, version);
    for (const row of rows) {
      const walAfter = readLsn(String(row['wal_after']));
      if (isOfHistory(server, Number(row['timeline']), walAfter)) return walAfter;
    }
    return undefined;
  }

  /** Transactions with lower ids had ended where the WAL stood at `lsn`; undefined: no look is kept that says so. */
  endedBefore(database: string, server: LookedHistory, lsn: Lsn): bigint | undefined {
    const rows = this.#db
      .prepare(
        `select server, wal_after, xmin from looks where database = ? and proved = 1
         and server ->> 'systemIdentifier' = ? order by id desc`,
      )
      .iterate(database, server.systemIdentifier);
    for (const row of rows) {
      const walAfter = readLsn(String(row['wal_after']));
      const parted = partedAt(row, server);
      const isOfHistory = parted === undefined || walAfter <= parted;
      if (isOfHistory && walAfter <= lsn) return BigInt(row['xmin'] as number);
    }
    return undefined;
  }

  /**
   * The ids of transactions that may have committed between two places in the WAL of the server that was looked at last; undefined:
   * no look from before `from` is kept. Looks of its own timeline only: what another history wrote there has other ids.
   */
  xidsBetween(database: string, from: Lsn, to: Lsn | undefined): GapXids | undefined {
    const rows = this.#db
      .prepare(
        'select server, wal_before, wal_after, xmin, begun from looks where database = ? order by id desc',
      )
      .iterate(database);
    let newest: StoredServer | undefined;
    let below: bigint | undefined;
    for (const row of rows) {
      const server = parseStored(row['server']) as StoredServer;
      newest ??= server;
      const { systemIdentifier, timeline } = newest;
      if (server.systemIdentifier !== systemIdentifier || server.timeline !== timeline) continue;
      if (to !== undefined && readLsn(String(row['wal_before'])) >= to)
        below = BigInt(row['begun'] as number);
      if (readLsn(String(row['wal_after'])) > from) continue;
      return { from: BigInt(row['xmin'] as number), ...(below === undefined ? {} : { below }) };
    }
    return undefined;
  }
}

/** The cluster, and which timelines lead to where it is. */
type LookedHistory = Pick<LookedAt, 'systemIdentifier' | 'switches'>;

/** Where the timeline of a stored look ended for this server: above that the look saw another history. */
function partedAt(row: Readonly<Record<string, unknown>>, { switches }: LookedHistory): Lsn | undefined {
  const { timeline } = parseStored(row['server']) as StoredServer;
  return switches.find((ended) => ended.timeline === timeline)?.switchLsn;
}

type StoredServer = Omit<LookedAt, 'switches'> & {
  readonly switches: readonly (readonly [timeline: number, switchLsn: string])[];
};

/** Is this place of a timeline in the history that led to a server's own? */
const isOfHistory = (
  { timeline: own, switches }: LookedHistory & Pick<LookedAt, 'timeline'>,
  timeline: number,
  lsn: Lsn,
): boolean =>
  timeline === own || switches.some((past) => past.timeline === timeline && lsn <= past.switchLsn);

const storeServer = ({ switches, ...server }: LookedAt): StoredServer => ({
  ...server,
  switches: switches.map(({ timeline, switchLsn }) => [timeline, formatLsn(switchLsn)]),
});

const readServer = ({ switches, ...server }: StoredServer): LookedAt => ({
  ...server,
  switches: switches.map(([timeline, switchLsn]) => ({ timeline, switchLsn: readLsn(switchLsn) })),
});

function readLook(row: Readonly<Record<string, unknown>>): Look {
  return {
    at: String(row['taken_at']),
    publication: String(row['publication']),
    server: readServer(parseStored(row['server']) as StoredServer),
    walBefore: readLsn(String(row['wal_before'])),
    walAfter: readLsn(String(row['wal_after'])),
    xmin: BigInt(row['xmin'] as number),
    begun: BigInt(row['begun'] as number),
    fold: String(row['fold']),
    catalog: parseStored(row['seen']) as CatalogVersions,
  };
}

/** A look in JSON: what has 64 bits as text. */
export type StoredLook = Omit<Look, 'server' | 'walBefore' | 'walAfter' | 'xmin' | 'begun'> & {
  readonly server: StoredServer;
  readonly walBefore: string;
  readonly walAfter: string;
  readonly xmin: string;
  readonly begun: string;
};

export const storeLook = (look: Look): StoredLook => ({
  ...look,
  server: storeServer(look.server),
  walBefore: formatLsn(look.walBefore),
  walAfter: formatLsn(look.walAfter),
  xmin: look.xmin.toString(),
  begun: look.begun.toString(),
});

export const parseLook = (stored: StoredLook): Look => ({
  ...stored,
  server: readServer(stored.server),
  walBefore: readLsn(stored.walBefore),
  walAfter: readLsn(stored.walAfter),
  xmin: BigInt(stored.xmin),
  begun: BigInt(stored.begun),
});
