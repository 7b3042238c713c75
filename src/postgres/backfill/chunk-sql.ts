// The SQL of one chunk of a backfill: a range of the key, or of pages, and what of it the stream would send. Pure.
//
// A filter is evaluated for each row inside the range and never decides how large that is: with LIMIT behind it, a selective one would
// read the rest of the table for each chunk.
import { escapeLiteral } from 'pg';
import { WAL_END } from '../preflight/slot.ts';
import { quoteTable } from '../quoting.ts';
import { TYPE } from '../values/builtin.ts';
import type { Leading } from './copy-rows.ts';
import { compared, isAmong, isSameKey, keyColumns, keyLiterals, rowColumn } from './key-order.ts';
import type { BackfillContext, BackfillTable } from './table.ts';
import { versionOf } from './table-version.ts';

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
  /** What a row may have: of one that has more, no large value is sent. */
  readonly maxRowBytes: number;
};

export type ChunkStatement = {
  readonly sql: string;
  readonly leading: Leading;
};

/** Rows that are read once more are large, most likely: that is why a part of them was missing. */
export const ROWS_AT_ONCE = 16;
/** Keys that are looked for in one statement. */
export const KEYS_AT_ONCE = 1000;
/** As many line pointers as fit on a page of 32 kB, the largest that Postgres can be built with. */
const MAX_TUPLES_PER_PAGE = 1200;
/** Ranges of places are scanned as such. https://www.postgresql.org/docs/14/release-14.html */
const SCANS_PLACES = 140_000;

/** What is copied out. */
export function chunkStatement(request: ChunkRequest, serverVersion: number): ChunkStatement {
  const { table, range, where, maxRowBytes } = request;
  if (range.by === 'absent') return absentKeys(table, range.keys);
  const conditions = [table.filter, where].filter((condition) => condition !== undefined);
  const isJudged = conditions.length > 0;
  const isSized = table.large.length > 0 && table.largeBytes > storedAtLeast(maxRowBytes);
  const known = table.key.length === 0 ? ['r.ctid'] : table.key.map((key) => rowColumn(key.name));
  // What is not wanted is not sent: only how far the chunk goes.
  const columns = table.relation.columns.map((one) => {
    const isLarge = isSized && table.large.includes(one.name);
    const sent = [
      ...(isJudged ? ['tailrace_judged.wanted'] : []),
      ...(isLarge ? ['tailrace_sized.bytes = 0'] : []),
    ];
    return sent.length === 0
      ? rowColumn(one.name)
      : `case when ${sent.join(' and ')} then ${rowColumn(one.name)} end`;
  });
  const leading = [
    ...(isJudged ? ['tailrace_judged.wanted'] : []),
    ...(isSized ? ['tailrace_sized.bytes'] : []),
    ...known,
  ];
  // Evaluated once a row, and not once a column, nor once at all, where it names none: pg_sleep(1), random().
  const ofRow = where === undefined ? '' : ' where r.ctid is not null';
  const judged = isJudged
    ? ` cross join lateral (select (${conditions.map((one) => `(${one}\n)`).join(' and ')}) is true as wanted${ofRow} offset 0) tailrace_judged`
    : '';
  const rows = range.by === 'page' ? byPages(table, range, serverVersion) : byKey(request, range);
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
  const stored = large.map((name) => `coalesce(pg_column_size(${rowColumn(name)}), 0)`).join(' + ');
  const texts = large.map((name) => {
    const isBytes = relation.columns.some((one) => one.name === name && one.type === TYPE.bytea);
    const length = isBytes
      ? `length(${rowColumn(name)})::int8 * 2 + 2`
      : `octet_length(${rowColumn(name)}::text)::int8`;
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

function byKey(
  { table, size, where }: ChunkRequest,
  range: Exclude<ChunkRange, { by: 'page' | 'absent' }>,
): Range {
  const all = `select r.*${where === undefined ? '' : SYSTEM_COLUMNS} from only ${quoteTable(table)} r`;
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
  return `select ${texts.join(', ')} from only ${quoteTable(table)} r${rest} offset ${size - 1} limit 1`;
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
  return { from: `only ${quoteTable(table)} r`, rest: ` where ${places}` };
}

/** Answers with the numbers of the keys. */
function absentKeys(table: BackfillTable, keys: readonly (readonly string[])[]): ChunkStatement {
  const values = keys.map((texts, i) => `(${i}, ${keyLiterals(table.key, texts)})`).join(', ');
  const names = table.key.map((_, i) => `tailrace_k${i}`);
  const filter = table.filter === undefined ? '' : ` and (${table.filter}\n)`;
  const asked = `(values ${values}) tailrace_asked (tailrace_i, ${names.join(', ')})`;
  return {
    sql: `select tailrace_i from ${asked} where not exists (select from only ${quoteTable(table)} r where ${isSameKey(table.key, names)}${filter}) order by 1`,
    leading: { wanted: false, sized: false, key: 1 },
  };
}

const AFTER = 'tailrace_after';

/**
 * What is asked behind each chunk of a table, planned once for a connection: planned anew each time, it would cost the server more than
 * hundreds of rows do.
 */
export const chunkPreparation = (
  table: BackfillTable,
  { publication, serverVersion }: BackfillContext,
): string => `deallocate all;
prepare ${AFTER} as select ${WAL_END}, ${versionOf(table.oid, { publication: escapeLiteral(publication), serverVersion }, table.versionScope)}`;

/** Which snapshot it is, and when. */
const BEFORE = `select pg_current_snapshot()::text, (extract(epoch from clock_timestamp()) * 1000000)::int8::text`;

/**
 * One message with everything in it, so that no transaction stays open between chunks. The lock, which is the one that any reader takes,
 * comes before the snapshot: whoever alters the table has done so before, or waits. Of types and the publication it says nothing: that
 * nobody altered these since the table was looked at, either, is seen behind the rows. `copiedIn`: the encoding of the texts, else UTF-8.
 */
export const chunkScript = (
  statement: ChunkStatement,
  table: BackfillTable,
  copiedIn: string | undefined,
): string => `begin;
select ${WAL_END};
commit;
begin isolation level repeatable read, read only;
lock table only ${quoteTable(table)} in access share mode;
${BEFORE};
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
  const head = `select from only ${quoteTable(table)} r where $1::boolean and (`;
  return { text: `${head}${where}\n) limit 0`, offset: head.length };
};
