// The SQL of one chunk of a backfill: a range of the key, or of pages, and what of it the stream would send. Pure.
//
// A filter is evaluated for each row inside the range and never decides how large that is: with LIMIT behind it, a selective one would
// read the rest of the table for each chunk.
import { escapeIdentifier, escapeLiteral } from 'pg';
import { WAL_END } from '../preflight/slot.ts';
import { keyLiteral } from './cursor-text.ts';
import { TYPE } from '../values/builtin.ts';
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
  /** What a row may have: of one that has more, no large value is sent. */
  readonly maxRowBytes: number;
};

/** Columns of the answer before those of the row. */
export type Leading = {
  /** Whether it is wanted, where rows may not be. */
  readonly wanted: boolean;
  /** How many bytes of it are left out, where rows may have too many. */
  readonly sized: boolean;
  /** What it is known by. */
  readonly key: number;
};

export type ChunkStatement = {
  readonly sql: string;
  readonly leading: Leading;
};

/** Rows that are read once more are large, most likely: that is why a part of them was missing. */
export const ROWS_AT_ONCE = 16;
/** As many line pointers as fit on a page of 32 kB, the largest that Postgres can be built with. */
const MAX_TUPLES_PER_PAGE = 1200;
/** Ranges of places are scanned as such. https://www.postgresql.org/docs/14/release-14.html */
const SCANS_PLACES = 140_000;

const name = (table: BackfillTable): string =>
  `${escapeIdentifier(table.schema)}.${escapeIdentifier(table.table)}`;

const column = (of: string): string => `r.${escapeIdentifier(of)}`;

/** What is copied out. */
export function chunkStatement(request: ChunkRequest, serverVersion: number): ChunkStatement {
  const { table, where, maxRowBytes } = request;
  const conditions = [table.filter, where].filter((condition) => condition !== undefined);
  const isJudged = conditions.length > 0;
  const isSized = table.large.length > 0 && table.largeBytes > storedAtLeast(maxRowBytes);
  const known = table.key.length === 0 ? ['r.ctid'] : table.key.map((key) => column(key.name));
  // What is not wanted is not sent: only how far the chunk goes.
  const columns = table.relation.columns.map((one) => {
    const isLarge = isSized && table.large.includes(one.name);
    const sent = [
      ...(isJudged ? ['tailrace_judged.wanted'] : []),
      ...(isLarge ? ['tailrace_sized.bytes = 0'] : []),
    ];
    return sent.length === 0
      ? column(one.name)
      : `case when ${sent.join(' and ')} then ${column(one.name)} end`;
  });
  const leading = [
    ...(isJudged ? ['tailrace_judged.wanted'] : []),
    ...(isSized ? ['tailrace_sized.bytes'] : []),
    ...known,
  ];
  // Evaluated once a row, and not once a column.
  const judged = isJudged
    ? ` cross join lateral (select (${conditions.map((one) => `(${one}\n)`).join(' and ')}) is true as wanted offset 0) tailrace_judged`
    : '';
  const rows = table.key.length === 0 ? byPages(request, serverVersion) : byKey(request);
  return {
    sql: `select ${[...leading, ...columns].join(', ')} from ${rows.from}${judged}${isSized ? sized(request, isJudged) : ''}${rows.rest}`,
    leading: { wanted: isJudged, sized: isSized, key: known.length },
  };
}

/** No value has so many times more bytes as text than it is stored with: compressed, and in hexadecimal digits. */
const MOST_OF_STORED = 1000;

/** How many bytes of large values a row of so many has at least, where it lies. */
const storedAtLeast = (rowBytes: number): number => Math.floor(rowBytes / MOST_OF_STORED);

/**
 * Bytes of a row's large values in a message, where these alone are more than it may have: else none. Only where much is stored they are
 * written out to be counted.
 */
function sized({ table, maxRowBytes }: ChunkRequest, isJudged: boolean): string {
  const { large, relation } = table;
  const stored = large.map((name) => `coalesce(pg_column_size(${column(name)}), 0)`).join(' + ');
  const texts = large.map((name) => {
    const isBytes = relation.columns.some((one) => one.name === name && one.type === TYPE.bytea);
    const length = isBytes
      ? `length(${column(name)})::int8 * 2 + 2`
      : `octet_length(${column(name)}::text)::int8`;
    return `coalesce(4 + ${length}, 0)`;
  });
  const written = `select case when bytes > ${maxRowBytes} then bytes else 0 end from (select ${texts.join(' + ')} as bytes offset 0) written`;
  const isLarge = [
    ...(isJudged ? ['tailrace_judged.wanted'] : []),
    `${stored} > ${storedAtLeast(maxRowBytes)}`,
  ];
  return ` cross join lateral (select case when ${isLarge.join(' and ')} then (${written}) else 0 end as bytes offset 0) tailrace_sized`;
}

type Range = { readonly from: string; readonly rest: string };

/** What a filter may name beside the columns. https://www.postgresql.org/docs/current/ddl-system-columns.html */
const SYSTEM_COLUMNS = ['tableoid', 'ctid', 'xmin', 'cmin', 'xmax', 'cmax']
  .map((name) => `, r.${name}`)
  .join('');

function byKey({ table, cursor, size, where }: ChunkRequest): Range {
  const all = `select r.*${where === undefined ? '' : SYSTEM_COLUMNS} from only ${name(table)} r`;
  const key = table.key.map((one) => column(one.name)).join(', ');
  const literals = (values: readonly string[]): string =>
    `(${values.map((value, i) => `${keyLiteral(value)}::${table.key[i]!.type}`).join(', ')})`;
  const rest = ` order by ${key}`;
  if (cursor?.by === 'rows') {
    const chosen = cursor.keys.slice(0, ROWS_AT_ONCE).map(literals).join(', ');
    return { from: `(${all} where (${key}) in (${chosen})) r`, rest };
  }
  const after = cursor?.by === 'key' ? ` where (${key}) > ${literals(cursor.values)}` : '';
  return { from: `(${all}${after} order by ${key} limit ${size}) r`, rest };
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
 * comes before the snapshot: whoever alters the table has done so before, or waits. `copiedIn`: the encoding of the texts, else UTF-8.
 */
export const chunkScript = (
  statement: ChunkStatement,
  table: BackfillTable,
  { publication, copiedIn }: { readonly publication: string; readonly copiedIn: string | undefined },
): string => {
  const version = versionOf(table.oid, escapeLiteral(publication));
  return `begin;
select ${WAL_END};
commit;
begin isolation level repeatable read, read only;
lock table only ${name(table)} in access share mode;
select pg_current_snapshot()::text, ${version}, pg_relation_filenode(${table.oid}::oid)::text, (extract(epoch from clock_timestamp()) * 1000000)::int8::text;
copy (${statement.sql}) to stdout${copiedIn === undefined ? '' : ` with (encoding ${escapeLiteral(copiedIn)})`};
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
