// The SQL of one chunk of a backfill: a range of the key, or of pages, and what of it the stream would send. Pure.
//
// A filter is evaluated for each row inside the range and never decides how large that is: with LIMIT behind it, a selective one would
// read the rest of the table for each chunk.
import { escapeIdentifier, escapeLiteral } from 'pg';
import { WAL_END } from '../preflight/slot.ts';
import { compared, isAmong, keyColumns, rowColumn } from './key-order.ts';
import { versionOf, type BackfillTable } from './table.ts';

/** Behind which row the next chunk begins. Undefined: at the table's beginning. */
export type ChunkCursor =
  | { readonly by: 'key'; readonly values: readonly string[] }
  /** These rows and no others, by their keys: what has to be read once more. */
  | { readonly by: 'rows'; readonly keys: readonly (readonly string[])[] }
  /** Pages below `page` are read; the table had `pages` when its backfill began: what is on later ones came by the stream. */
  | { readonly by: 'page'; readonly page: number; readonly pages: number };

export type ChunkRequest = {
  readonly table: BackfillTable;
  readonly cursor: ChunkCursor | undefined;
  /** Rows, or pages where there is no key. */
  readonly size: number;
  /** The user's own filter, in SQL. */
  readonly where: string | undefined;
};

export type ChunkStatement = {
  readonly sql: string;
  /** Columns of the answer before those of the row: whether it is wanted, where rows may not be; and what it is known by. */
  readonly leading: { readonly wanted: boolean; readonly key: number };
};

/** Rows that are read once more are large, most likely: that is why a part of them was missing. */
export const ROWS_AT_ONCE = 16;
/** As many line pointers as fit on a page of 32 kB, the largest that Postgres can be built with. */
const MAX_TUPLES_PER_PAGE = 1200;
/** Ranges of places are scanned as such. https://www.postgresql.org/docs/14/release-14.html */
const SCANS_PLACES = 140_000;

const name = (table: BackfillTable): string =>
  `${escapeIdentifier(table.schema)}.${escapeIdentifier(table.table)}`;

/** What is copied out. */
export function chunkStatement(request: ChunkRequest, serverVersion: number): ChunkStatement {
  const { table, where } = request;
  const conditions = [table.filter, where].filter((condition) => condition !== undefined);
  const isJudged = conditions.length > 0;
  const known = table.key.length === 0 ? ['r.ctid'] : table.key.map((key) => rowColumn(key.name));
  // What is not wanted is not sent: only how far the chunk goes.
  const columns = table.relation.columns.map((one) =>
    isJudged ? `case when tailrace_judged.wanted then ${rowColumn(one.name)} end` : rowColumn(one.name),
  );
  const selected = [...(isJudged ? ['tailrace_judged.wanted'] : []), ...known, ...columns].join(', ');
  // Evaluated once a row, and not once a column, nor once at all, where it names none: pg_sleep(1), random().
  const ofRow = where === undefined ? '' : ' where r.ctid is not null';
  const judged = isJudged
    ? ` cross join lateral (select (${conditions.map((one) => `(${one}\n)`).join(' and ')}) is true as wanted${ofRow} offset 0) tailrace_judged`
    : '';
  const rows = table.key.length === 0 ? byPages(request, serverVersion) : byKey(request);
  return {
    sql: `select ${selected} from ${rows.from}${judged}${rows.rest}`,
    leading: { wanted: isJudged, key: known.length },
  };
}

type Range = { readonly from: string; readonly rest: string };

/** What a filter may name beside the columns. https://www.postgresql.org/docs/current/ddl-system-columns.html */
const SYSTEM_COLUMNS = ['tableoid', 'ctid', 'xmin', 'cmin', 'xmax', 'cmax']
  .map((name) => `, r.${name}`)
  .join('');

function byKey({ table, cursor, size, where }: ChunkRequest): Range {
  const all = `select r.*${where === undefined ? '' : SYSTEM_COLUMNS} from only ${name(table)} r`;
  const order = ` order by ${keyColumns(table.key)}`;
  if (cursor?.by === 'rows') {
    const chosen = isAmong(table.key, cursor.keys.slice(0, ROWS_AT_ONCE));
    return { from: `(${all} where ${chosen}) r`, rest: order };
  }
  const after = cursor?.by === 'key' ? ` where ${compared(table.key, '>', cursor.values)}` : '';
  return { from: `(${all}${after}${order} limit ${size}) r`, rest: order };
}

function byPages({ table, cursor, size }: ChunkRequest, serverVersion: number): Range {
  const { page, pages } = cursor?.by === 'page' ? cursor : { page: 0, pages: 0 };
  const end = Math.min(page + size, pages);
  const places =
    serverVersion >= SCANS_PLACES
      ? `r.ctid >= '(${page},0)' and r.ctid < '(${end},0)'`
      : `r.ctid = any (array(select format('(%s,%s)', p, t)::tid
          from generate_series(${page}, ${end - 1}) p, generate_series(1, ${MAX_TUPLES_PER_PAGE}) t))`;
  return { from: `only ${name(table)} r`, rest: ` where ${places}` };
}

/**
 * One message with everything in it, so that no transaction stays open between chunks. The lock, which is the one that any reader takes,
 * comes before the snapshot: whoever alters the table has done so before, or waits.
 */
export const chunkScript = (statement: ChunkStatement, table: BackfillTable, publication: string): string => {
  const version = versionOf(table.oid, escapeLiteral(publication));
  return `begin;
select ${WAL_END};
commit;
begin isolation level repeatable read, read only;
lock table only ${name(table)} in access share mode;
select pg_current_snapshot()::text, ${version}, pg_relation_filenode(${table.oid}::oid)::text, (extract(epoch from clock_timestamp()) * 1000000)::int8::text;
copy (${statement.sql}) to stdout;
commit;
select ${WAL_END}, ${version}`;
};

/** How many pages a table without a key has now: its backfill ends there. */
export const pagesOf = (oid: number): string =>
  `select (pg_relation_size(${oid}::oid) / current_setting('block_size')::int8)::float8 as pages`;

/** Does Postgres take the user's filter? In a protocol that takes one statement only. */
export const filterCheck = (
  table: BackfillTable,
  where: string,
): { readonly text: string; readonly offset: number } => {
  const head = `select from only ${name(table)} r where $1::boolean and (`;
  return { text: `${head}${where}\n) limit 0`, offset: head.length };
};
