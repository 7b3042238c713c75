// The SQL of one chunk of a backfill: a range of the key, or of pages, and what of it the stream would send. Pure.
//
// A filter is evaluated for each row inside the range and never decides how large that is: with LIMIT behind it, a selective one would
// read the rest of the table for each chunk.
import { escapeIdentifier, escapeLiteral } from 'pg';
import { WAL_END } from '../preflight/slot.ts';
import { compared, isAmong, isSameKey, keyColumns, keyLiterals, rowColumn } from './key-order.ts';
import { versionOf, type BackfillTable } from './table.ts';

/** Where the reading of a table goes on: behind the row with this key, or at this page. */
export type ChunkCursor =
  | { readonly by: 'key'; readonly values: readonly string[] }
  /** Pages below `page` are read; the table had `pages` when its backfill began: what is on later ones came by the stream. */
  | { readonly by: 'page'; readonly page: number; readonly pages: number };

/** What one chunk is to be of. */
export type ChunkRange =
  /** Behind the row with the one key, up to that with the other; undefined: from the table's beginning, to its end. */
  | {
      readonly by: 'key';
      readonly after: readonly string[] | undefined;
      readonly upTo: readonly string[] | undefined;
    }
  /** The page at `end` is not of it any more; the table had `pages`. */
  | { readonly by: 'page'; readonly page: number; readonly end: number; readonly pages: number }
  /** These rows and no others, by their keys. */
  | { readonly by: 'rows'; readonly keys: readonly (readonly string[])[] }
  /** Of these keys those that no row has; what the publication's filter keeps from the stream has none. */
  | { readonly by: 'absent'; readonly keys: readonly (readonly string[])[] };

/** Of the rest of a chunk, which does not begin where the table does. */
export type ChunkRest = Exclude<ChunkRange, { by: 'rows' | 'absent' }>;

/** Is it of keys that were asked for one by one? */
export const isList = (range: ChunkRange): range is Exclude<ChunkRange, ChunkRest> =>
  range.by === 'rows' || range.by === 'absent';

/** Where reading goes on with it. */
export const cursorAt = (rest: ChunkRest): ChunkCursor =>
  rest.by === 'page'
    ? { by: 'page', page: rest.page, pages: rest.pages }
    : { by: 'key', values: rest.after ?? [] };

export type ChunkRequest = {
  readonly table: BackfillTable;
  readonly range: ChunkRange;
  /** Rows, or pages where there is no key: what is beyond in the range is left. */
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
/** Keys that are looked for in one statement. */
export const KEYS_AT_ONCE = 1000;
/** As many line pointers as fit on a page of 32 kB, the largest that Postgres can be built with. */
const MAX_TUPLES_PER_PAGE = 1200;
/** Ranges of places are scanned as such. https://www.postgresql.org/docs/14/release-14.html */
const SCANS_PLACES = 140_000;

const name = (table: BackfillTable): string =>
  `${escapeIdentifier(table.schema)}.${escapeIdentifier(table.table)}`;

/** What is copied out. */
export function chunkStatement(request: ChunkRequest, serverVersion: number): ChunkStatement {
  const { table, range, where } = request;
  if (range.by === 'absent') return absentKeys(table, range.keys);
  const conditions = [table.filter, where].filter((condition) => condition !== undefined);
  const isJudged = conditions.length > 0;
  const known = table.key.length === 0 ? ['r.ctid'] : table.key.map((key) => rowColumn(key.name));
  // What is not wanted is not sent: only how far the chunk goes.
  const columns = table.relation.columns.map((one) =>
    isJudged ? `case when tailrace_judged.wanted then ${rowColumn(one.name)} end` : rowColumn(one.name),
  );
  const selected = [...(isJudged ? ['tailrace_judged.wanted'] : []), ...known, ...columns].join(', ');
  // Evaluated once a row, and not once a column.
  const judged = isJudged
    ? ` cross join lateral (select (${conditions.map((one) => `(${one}\n)`).join(' and ')}) is true as wanted offset 0) tailrace_judged`
    : '';
  const rows = range.by === 'page' ? byPages(table, range, serverVersion) : byKey(request, range);
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

function byKey(
  { table, size, where }: ChunkRequest,
  range: Exclude<ChunkRange, { by: 'page' | 'absent' }>,
): Range {
  const all = `select r.*${where === undefined ? '' : SYSTEM_COLUMNS} from only ${name(table)} r`;
  const order = ` order by ${keyColumns(table.key)}`;
  if (range.by === 'rows') return { from: `(${all} where ${isAmong(table.key, range.keys)}) r`, rest: order };
  return { from: `(${all}${within(table, range)}${order} limit ${size}) r`, rest: order };
}

function within(
  { key }: BackfillTable,
  { after, upTo }: Omit<Extract<ChunkRange, { by: 'key' }>, 'by'>,
): string {
  const conditions = [
    ...(after === undefined ? [] : [compared(key, '>', after)]),
    ...(upTo === undefined ? [] : [compared(key, '<=', upTo)]),
  ];
  return conditions.length === 0 ? '' : ` where ${conditions.map((one) => `(${one})`).join(' and ')}`;
}

/**
 * The key of the row that many behind `after`, which is all that is read for it; no row: there are fewer. `copiedIn`: its texts are wanted
 * as the database has them, in hexadecimal digits.
 */
export function cutStatement(
  table: BackfillTable,
  {
    after,
    size,
    copiedIn,
  }: { after: readonly string[] | undefined; size: number; copiedIn: string | undefined },
): string {
  const texts = table.key.map(({ name }) =>
    copiedIn === undefined
      ? rowColumn(name)
      : `encode(convert_to(${rowColumn(name)}::text, ${escapeLiteral(copiedIn)}), 'hex')`,
  );
  const rest = `${within(table, { after, upTo: undefined })} order by ${keyColumns(table.key)}`;
  return `select ${texts.join(', ')} from only ${name(table)} r${rest} offset ${size - 1} limit 1`;
}

function byPages(
  table: BackfillTable,
  { page, end }: Extract<ChunkRange, { by: 'page' }>,
  serverVersion: number,
): Range {
  const places =
    serverVersion >= SCANS_PLACES
      ? `r.ctid >= '(${page},0)' and r.ctid < '(${end},0)'`
      : `r.ctid = any (array(select format('(%s,%s)', p, t)::tid
          from generate_series(${page}, ${end - 1}) p, generate_series(1, ${MAX_TUPLES_PER_PAGE}) t))`;
  return { from: `only ${name(table)} r`, rest: ` where ${places}` };
}

/** Answers with the numbers of the keys. */
function absentKeys(table: BackfillTable, keys: readonly (readonly string[])[]): ChunkStatement {
  const values = keys.map((texts, i) => `(${i}, ${keyLiterals(table.key, texts)})`).join(', ');
  const names = table.key.map((_, i) => `tailrace_k${i}`);
  const filter = table.filter === undefined ? '' : ` and (${table.filter}\n)`;
  const asked = `(values ${values}) tailrace_asked (tailrace_i, ${names.join(', ')})`;
  return {
    sql: `select tailrace_i from ${asked} where not exists (select from only ${name(table)} r where ${isSameKey(table.key, names)}${filter}) order by 1`,
    leading: { wanted: false, key: 1 },
  };
}

const BEFORE = 'tailrace_before';
const AFTER = 'tailrace_after';

/**
 * What is asked around each chunk of a table, planned once for a connection: planned anew each time, it would cost the server more than
 * thousands of rows do.
 */
export const chunkPreparation = (table: BackfillTable, publication: string): string => {
  const version = versionOf(table.oid, escapeLiteral(publication));
  return `deallocate all;
prepare ${BEFORE} as select pg_current_snapshot()::text, ${version}, pg_relation_filenode(${table.oid}::oid)::text, (extract(epoch from clock_timestamp()) * 1000000)::int8::text;
prepare ${AFTER} as select ${WAL_END}, ${version}`;
};

/**
 * One message with everything in it, so that no transaction stays open between chunks. The lock, which is the one that any reader takes,
 * comes before the snapshot: whoever alters the table has done so before, or waits. `copiedIn`: the encoding of the texts, else UTF-8.
 */
export const chunkScript = (
  statement: ChunkStatement,
  table: BackfillTable,
  copiedIn: string | undefined,
): string => `begin;
select ${WAL_END};
commit;
begin isolation level repeatable read, read only;
lock table only ${name(table)} in access share mode;
execute ${BEFORE};
copy (${statement.sql}) to stdout${copiedIn === undefined ? '' : ` with (encoding ${escapeLiteral(copiedIn)})`};
commit;
execute ${AFTER}`;

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
