// Declared gaps of a database: kept until somebody accepts them, and after that as a record (invariant 10).
import type { DatabaseSync } from 'node:sqlite';
import { gapName, type Gap, type GapCause, type GapDeclaration, type GapEnd } from '../core/gaps.ts';
import { formatLsn, readLsn, type Lsn } from '../core/lsn.ts';
import type { TableName } from '../core/selection.ts';
import { parseStored } from './errors.ts';
import { transaction } from './sink-records.ts';

/** A gap without an end yet, and what ends it. */
export type OpenGap = { readonly gap: Gap; readonly ends: readonly GapEnd[] };

type Row = Readonly<Record<string, unknown>>;

export class Gaps {
  readonly #db: DatabaseSync;

  constructor(db: DatabaseSync) {
    this.#db = db;
  }

  /**
   * Durable when it returns. One that is on record already is that one; one that overlaps another of its cause that nobody
   * has accepted yet makes that one larger.
   */
  declare(database: string, declared: GapDeclaration, now: Date): Gap {
    return transaction(this.#db, () => {
      const same = this.#sameCause(database, declared);
      const known = same.find((row) => isEqual(row, declared));
      if (known !== undefined) return readGap(known);
      const overlapped = same.find(
        (row) => row['accepted_at'] === null && overlaps(row, declared) && mayJoin(row, declared),
      );
      return overlapped === undefined
        ? this.#insert(database, declared, now)
        : this.#enlarge(overlapped, declared);
    });
  }

  #sameCause(database: string, { cause, sink }: GapDeclaration): Row[] {
    return this.#db
      .prepare('select * from gaps where database = ? and cause = ? and sink is ? order by id')
      .all(database, cause, sink ?? null);
  }

  #insert(database: string, gap: GapDeclaration, now: Date): Gap {
    const row = this.#db
      .prepare(
        `insert into gaps (database, cause, from_lsn, to_lsn, reason, tables, sink, ends, halts, skips, declared_at)
         values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) returning *`,
      )
      .get(
        database,
        gap.cause,
        gap.from,
        gap.to ?? null,
        gap.reason,
        writeTables(gap.tables),
        gap.sink ?? null,
        JSON.stringify(gap.ends),
        Number(gap.halts),
        Number(gap.skips),
        now.toISOString(),
      );
    return readGap(row!);
  }

  #enlarge(row: Row, gap: GapDeclaration): Gap {
    const known = readGap(row);
    const from = readLsn(known.from) < readLsn(gap.from) ? known.from : gap.from;
    const to =
      known.to === undefined || gap.to === undefined
        ? null
        : readLsn(known.to) > readLsn(gap.to)
          ? known.to
          : gap.to;
    const enlarged = this.#db
      .prepare(
        'update gaps set from_lsn = ?, to_lsn = ?, tables = ?, ends = ?, halts = ?, skips = ?, reason = ?, repair = null where id = ? returning *',
      )
      .get(
        from,
        to,
        writeTables(unionOf(known.tables, gap.tables)),
        JSON.stringify(endsOf(known.to === undefined ? readEnds(row) : [], gap)),
        Number(known.halts || gap.halts),
        Number(known.skips || gap.skips),
        gap.reason,
        known.id,
      );
    return readGap(enlarged!);
  }

  /** Those that have no end yet, oldest first. */
  open(database: string): OpenGap[] {
    const rows = this.#db
      .prepare('select * from gaps where database = ? and to_lsn is null order by id')
      .all(database);
    return rows.map((row) => ({ gap: readGap(row), ends: readEnds(row) }));
  }

  /** The cause is over. Durable when it returns. */
  close(id: number, to: Lsn): void {
    this.#db.prepare('update gaps set to_lsn = ? where id = ? and to_lsn is null').run(formatLsn(to), id);
  }

  /** Those that nobody has accepted, oldest first. */
  unaccepted(database: string): Gap[] {
    return this.#db
      .prepare('select * from gaps where database = ? and accepted_at is null order by id')
      .all(database)
      .map(readGap);
  }

  /** Oldest first. */
  list(database: string, page: { readonly after: number; readonly limit: number }): Gap[] {
    return this.#db
      .prepare('select * from gaps where database = ? and id > ? order by id limit ?')
      .all(database, page.after, page.limit)
      .map(readGap);
  }

  /** Undefined: there is none. */
  find(database: string, id: number): Gap | undefined {
    const row = this.#db.prepare('select * from gaps where database = ? and id = ?').get(database, id);
    return row && readGap(row);
  }

  /** Where the stream can only go on behind a gap, `after` being the end of what we have: those gaps, newest first. */
  skipped(database: string, after: Lsn): Gap[] {
    return this.#db
      .prepare('select * from gaps where database = ? and skips = 1 and to_lsn is not null order by id desc')
      .all(database)
      .map(readGap)
      .filter((gap) => readLsn(gap.from) <= after && after < readLsn(gap.to!));
  }

  /** Somebody knows of it, and wants deliveries to go on. Durable when it returns. Undefined: there is none. */
  accept(database: string, id: number, now: Date): Gap | undefined {
    const row = this.#db
      .prepare(
        'update gaps set accepted_at = coalesce(accepted_at, ?) where database = ? and id = ? returning *',
      )
      .get(now.toISOString(), database, id);
    return row && readGap(row);
  }

  /** This backfill reads again what may be missing in it. Durable when it returns. Undefined: there is none. */
  repair(database: string, id: number, backfill: string): Gap | undefined {
    const row = this.#db
      .prepare('update gaps set repair = ? where database = ? and id = ? returning *')
      .get(backfill, database, id);
    return row && readGap(row);
  }

  /** Accepts those that have one of these names now (`gapName`). Returns them. */
  acceptNamed(database: string, names: readonly string[], now: Date): Gap[] {
    const wanted = new Set(names);
    return this.unaccepted(database)
      .filter((gap) => wanted.has(gapName(gap)))
      .map((gap) => this.accept(database, gap.id, now)!);
  }
}

const isEqual = (row: Row, { from, to, tables, ends }: GapDeclaration): boolean =>
  row['from_lsn'] === from &&
  row['to_lsn'] === (to ?? null) &&
  row['tables'] === writeTables(tables) &&
  (to !== undefined || row['ends'] === JSON.stringify(ends));

/** Those of the whole publication, and those of the same tables. */
function overlaps(row: Row, gap: GapDeclaration): boolean {
  const known = readGap(row);
  const ofAll = gap.cause === 'publication_missing' || gap.cause === 'publication_changed';
  if (!ofAll && row['tables'] !== writeTables(gap.tables)) return false;
  const startsBeforeItsEnd = known.to === undefined || readLsn(gap.from) <= readLsn(known.to);
  const endsAfterItsStart = gap.to === undefined || readLsn(gap.to) >= readLsn(known.from);
  return startsBeforeItsEnd && endsAfterItsStart;
}

/** Where the stream goes on behind a gap, that needs its end: it must not become one that has none yet. */
const mayJoin = (row: Row, { skips, to }: GapDeclaration): boolean =>
  (!skips && row['skips'] === 0) || (to !== undefined && row['to_lsn'] !== null);

const keyOf = ({ schema, table }: TableName): string => JSON.stringify([schema, table]);

/** In one order, so that equal lists are equal texts. */
function writeTables(tables: readonly TableName[] | undefined): string | null {
  if (tables === undefined) return null;
  const keys = [...new Set(tables.map(keyOf))].sort();
  return `[${keys.join(',')}]`;
}

function readTables(text: string): TableName[] {
  const pairs = parseStored(text) as [string, string][];
  return pairs.map(([schema, table]) => ({ schema, table }));
}

/** Undefined is any table. */
const unionOf = (
  a: readonly TableName[] | undefined,
  b: readonly TableName[] | undefined,
): readonly TableName[] | undefined => (a === undefined || b === undefined ? undefined : [...a, ...b]);

/** What an enlarged gap waits for: all that the two do. */
function endsOf(known: readonly GapEnd[], gap: GapDeclaration): readonly GapEnd[] {
  const texts = new Set(known.map((end) => JSON.stringify(end)));
  return [...known, ...gap.ends.filter((end) => !texts.has(JSON.stringify(end)))];
}

const readEnds = (row: Row): GapEnd[] => parseStored(row['ends']) as GapEnd[];

function readGap(row: Row): Gap {
  const to = row['to_lsn'] as string | null;
  const tables = row['tables'] as string | null;
  const sink = row['sink'] as string | null;
  const acceptedAt = row['accepted_at'] as string | null;
  const repair = row['repair'] as string | null;
  return {
    id: Number(row['id']),
    cause: row['cause'] as GapCause,
    from: String(row['from_lsn']),
    ...(to === null ? {} : { to }),
    reason: String(row['reason']),
    ...(tables === null ? {} : { tables: readTables(tables) }),
    ...(sink === null ? {} : { sink }),
    since: String(row['declared_at']),
    halts: row['halts'] === 1,
    skips: row['skips'] === 1,
    ...(acceptedAt === null ? {} : { acceptedAt }),
    ...(repair === null ? {} : { repair }),
  };
}
