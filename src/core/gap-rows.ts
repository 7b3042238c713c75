// Which rows a gap can concern, as SQL that somebody runs to look at them, and what reading them again would mend. Pure.
import type { Gap } from './gaps.ts';
import type { TableName } from './selection.ts';

/** Transactions that may have committed inside of a gap have ids from `from` on, and lower than `below`: 64 bits wide. */
export type GapXids = {
  readonly from: bigint;
  /** Undefined: there is no bound that is known. */
  readonly below?: bigint;
};

export type GapRows = {
  /** SQL that shows the rows, a statement a table; where the tables are not known, first the one that names them. */
  readonly look: readonly string[];
  /** What a repair reads again, and what it cannot find, for people. */
  readonly rereads: string;
};

const XIDS = 1n << 32n;
/** Beyond half of the ids, which of two is the older one cannot be told. https://www.postgresql.org/docs/current/routine-vacuuming.html */
const COMPARABLE = 1n << 31n;

/** `publication`: what names the tables, where the gap does not. `xids` undefined: no look bounds it, every row may be concerned. */
export function rowsOf(
  gap: Pick<Gap, 'tables'>,
  { publication, xids }: { readonly publication: string; readonly xids: GapXids | undefined },
): GapRows {
  const wrote = xids && writtenBy(xids, 't');
  const where = wrote === undefined ? '' : ` WHERE ${wrote}`;
  const { tables } = gap;
  const look =
    tables === undefined
      ? [
          `SELECT format(${literal(`SELECT * FROM %I.%I t${where.replaceAll('%', '%%')};`)}, schemaname, tablename) FROM pg_publication_tables WHERE pubname = ${literal(publication)} ORDER BY 1;`,
        ]
      : tables.map((table) => `SELECT * FROM ${nameOf(table)} t${where};`);
  return { look, rereads: describe(tables, publication, wrote === undefined ? undefined : xids) };
}

/**
 * Of the row's version that is there now, under the name `row`. 32 bits of an id wrap around; a frozen row keeps its own.
 * Undefined: too many ids to tell. https://www.postgresql.org/docs/current/ddl-system-columns.html
 */
export function writtenBy({ from, below }: GapXids, row: string): string | undefined {
  const width = below === undefined ? COMPARABLE : below - from;
  if (width > COMPARABLE) return undefined;
  return `(${[
    isWithin(row, from, width > 0n ? width : 0n),
    ...(below === undefined ? [] : [isHidden(row, below)]),
    // As soon as ids have come half-way around, every row may be one of them.
    `pg_snapshot_xmax(pg_current_snapshot())::text::bigint >= ${from + COMPARABLE}`,
  ].join(' or ')})`;
}

const isWithin = (row: string, from: bigint, width: bigint): string =>
  `(${row}.xmin::text::bigint - ${from % XIDS} + ${XIDS}) % ${XIDS} < ${width}`;

/**
 * May a version that was written later hide what came in the gap? A rewrite of the table gives all rows its own id. An update comes without
 * the large values that it did not change (TOAST), unless the old row comes whole.
 */
const isHidden = (row: string, below: bigint): string =>
  `${isWithin(row, below, COMPARABLE)} and exists (select from pg_class c where c.oid = ${row}.tableoid and (${isWithin('c', below, COMPARABLE)} or c.relreplident <> 'f' and pg_relation_size(c.reltoastrelid) > 0))`;

function describe(
  tables: readonly TableName[] | undefined,
  publication: string,
  xids: GapXids | undefined,
): string {
  const of =
    tables === undefined
      ? `of every table in publication ${quoted(publication)}`
      : `of ${tables.map(nameOf).join(', ')}`;
  const rows =
    xids === undefined
      ? `every row ${of}`
      : `the rows ${of} that transactions ${xids.from} to ${xids.below === undefined ? 'now' : `${xids.below - 1n} wrote, and those behind whose later version that may be hidden: their table was rewritten since, or an update came without a large value`}`;
  return `${rows}; rows that were deleted are found only by comparing the consumer's keys with the table's`;
}

const nameOf = ({ schema, table }: TableName): string => `${quoted(schema)}.${quoted(table)}`;

const quoted = (name: string): string => `"${name.replaceAll('"', '""')}"`;

/** As it stands with standard_conforming_strings, which every server has on unless somebody turned it off. */
const literal = (text: string): string => `'${text.replaceAll("'", "''")}'`;
