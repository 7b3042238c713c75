// Names in the configuration that nothing in the database has: columns of tables that are there, patterns and options that match no
// table. Each comes with the nearest name that there is.
import type { Client } from 'pg';
import { didYouMean, nearestName } from '../../core/nearest-name.ts';
import {
  exactTable,
  formatNamePattern,
  formatTableName,
  formatTablePattern,
  matchesName,
  matchesTable,
  selects,
  type TableName,
  type TablePattern,
} from '../../core/selection.ts';
import { columnUses, type ColumnUse, type SinkNames } from '../../core/wanted-names.ts';
import { warned, type Finding } from './finding.ts';
import type { Publication } from './publication.ts';
import { tableKey } from './tables.ts';

/** Of more columns than these no list helps. */
const MAX_LISTED = 20;
/** Faults of one sink and key that are told one by one. */
const MAX_TOLD = 10;

/** The columns of a table, as far as they can come. */
export type TableColumns = TableName & {
  readonly columns: readonly string[];
  /** Those that the publication sends, where it tells; null: all. */
  readonly sent: readonly string[] | null;
};

/** A column that a table lacks, or that does not come. */
export type ColumnFault = ColumnUse & {
  readonly sink: string;
  readonly table: TableName;
  readonly columns: readonly string[];
  /** It is there, and the publication does not send it. */
  readonly isUnsent: boolean;
};

/** A text in the configuration that matches no table, or no schema. */
export type UnmatchedName = {
  readonly sink: string;
  readonly key: string;
  readonly text: string;
  readonly noun: 'table' | 'schema';
  readonly nearest: string | undefined;
};

/** Of a table `c`: the publication of that name (`p`), and its entry (`e`). A list of a root's counts only where rows come by the root's name. */
export const publicationJoins = (name: string): string => `
     left join pg_publication p on p.pubname = ${name}
     left join pg_publication_rel e on e.prpubid = p.oid and e.prrelid = c.oid and (c.relkind = 'r' or p.pubviaroot)`;

/** Does that publication send the column `a`? What older versions have no column for is read through JSON. */
export const IS_SENT = `case
            when to_jsonb(e) ->> 'prattrs' is not null then to_jsonb(e) -> 'prattrs' @> to_jsonb(a.attnum)
            else a.attgenerated = '' or a.attgenerated = 's' and to_jsonb(p) ->> 'pubgencols' = 's' end`;

/**
 * Of `tables`, the columns. Read from the catalogs: pg_publication_tables, which has them from 15 on, waits for tables that somebody
 * has for himself. https://www.postgresql.org/docs/current/catalog-pg-publication-rel.html
 */
export async function readColumns(
  client: Client,
  tables: readonly TableName[],
  publication: Publication | undefined,
): Promise<readonly TableColumns[]> {
  if (tables.length === 0) return [];
  const { rows } = await client.query<TableColumns & { readonly sent: readonly string[] }>(
    `select n.nspname as schema, c.relname as table,
       (select coalesce(json_agg(a.attname order by a.attnum), '[]') from pg_attribute a
          where a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped and ${IS_SENT}) as sent,
       (select coalesce(json_agg(a.attname order by a.attnum), '[]') from pg_attribute a
          where a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped) as columns
     from pg_class c join pg_namespace n on n.oid = c.relnamespace
     ${publicationJoins('$3')}
     where c.relkind in ('r', 'p') and (n.nspname, c.relname) in (select * from unnest($1::name[], $2::name[]))
     order by 1, 2`,
    [tables.map(({ schema }) => schema), tables.map(({ table }) => table), publication?.name],
  );
  const carries = new Set(publication?.tables.map(tableKey));
  return rows.map((row) => (carries.has(tableKey(row)) ? row : { ...row, sent: null }));
}

/** Of `tables`, those that some sink has options for that name columns. */
export const tablesWithColumns = (
  sinks: readonly SinkNames[],
  tables: readonly TableName[],
): readonly TableName[] =>
  tables.filter((table) => sinks.some((sink) => selects(sink, table) && columnUses(sink, table).length > 0));

/** What the sinks name and the tables lack. Of a list that a pattern shares, a column that one of its tables has is no fault. */
export function columnFaults(
  sinks: readonly SinkNames[],
  tables: readonly TableColumns[],
): readonly ColumnFault[] {
  return sinks.flatMap((sink) => {
    const own = tables.filter((table) => selects(sink, table));
    const someHas = (pattern: TablePattern, column: string): boolean =>
      own.some((table) => matchesTable(pattern, table) && table.columns.includes(column));
    return own.flatMap((table) =>
      columnUses(sink, table).flatMap((use): ColumnFault[] => {
        const { column, halts, byPattern } = use;
        const isThere = table.columns.includes(column);
        if (isThere && (table.sent === null || table.sent.includes(column))) return [];
        if (!isThere && halts === undefined && byPattern !== undefined && someHas(byPattern, column))
          return [];
        const { schema, table: name, columns } = table;
        const fault = {
          sink: sink.sink?.name ?? '',
          table: { schema, table: name },
          columns,
          isUnsent: isThere,
        };
        return [{ ...use, ...fault }];
      }),
    );
  });
}

/**
 * What the sinks name and no table matches. An excluding pattern may stand for what is to come; an excluding name that is a
 * typing error lets through what it should keep out.
 */
export function unmatchedNames(
  sinks: readonly SinkNames[],
  existing: readonly TableName[],
): readonly UnmatchedName[] {
  const tables = existing.map(formatTableName);
  const schemas = [...new Set(existing.map(({ schema }) => schema))];
  const found = sinks.flatMap((names) => {
    const { sink, includeTables = [], excludeTables = [], includeSchemas = [] } = names;
    const name = sink?.name ?? '';
    const ofTable = (key: string, text: string): UnmatchedName => ({
      sink: name,
      key,
      text,
      noun: 'table',
      nearest: nearestName(text, tables),
    });
    const isUnmatched = (pattern: TablePattern): boolean =>
      !existing.some((table) => matchesTable(pattern, table));
    const patternsOf = (key: string, patterns: readonly TablePattern[], exact: boolean): UnmatchedName[] =>
      patterns
        .filter((pattern) => (exactTable(pattern) !== undefined) === exact && isUnmatched(pattern))
        .map((pattern) => ofTable(key, formatTablePattern(pattern)));
    const options = (sink?.tables ?? []).map(({ pattern }) => pattern);
    // A table that is named to be read is missed by that name already.
    const isNamed = (pattern: TablePattern): boolean =>
      includeTables.some((included) => formatTablePattern(included) === formatTablePattern(pattern));
    const unnamed = options.filter((pattern) => !isNamed(pattern));
    return [
      ...patternsOf('include_tables', includeTables, false),
      ...patternsOf('exclude_tables', excludeTables, true),
      ...patternsOf('tables', unnamed, true),
      ...patternsOf('tables', unnamed, false),
      ...(sink?.destinationTables ?? [])
        .filter(
          (text) => !tables.includes(text) && !includeTables.some((it) => formatTablePattern(it) === text),
        )
        .map((text) => ofTable('destination.tables', text)),
      ...includeSchemas
        .filter((pattern) => !schemas.some((schema) => matchesName(pattern, schema)))
        .map((pattern): UnmatchedName => {
          const text = formatNamePattern(pattern);
          const nearest = nearestName(text, schemas);
          return { sink: name, key: 'include_schemas', text, noun: 'schema', nearest };
        }),
    ];
  });
  return found;
}

const describeUnmatched = ({ key, text, noun, nearest }: UnmatchedName): string =>
  `${key} names ${text}, which no ${noun} ${noun === 'schema' ? 'with a table ' : ''}matches${didYouMean(nearest)}`;

/** A warning: what matches may be made later. */
export const inspectUnmatched = (unmatched: readonly UnmatchedName[]): readonly Finding[] =>
  unmatched.map((name) =>
    warned({
      code: 'NAME_UNMATCHED',
      title: `sink "${name.sink}"`,
      detail: describeUnmatched(name),
      cure:
        name.nearest === undefined
          ? `correct it, or create the ${name.noun} (capital letters count)`
          : `write ${name.nearest} (capital letters count), or create the ${name.noun}`,
    }),
  );

function describeColumn({ key, column, table, columns, isUnsent }: ColumnFault): string {
  const name = formatTableName(table);
  return isUnsent
    ? `${key} names the column "${column}" of table "${name}", which the publication does not send`
    : `${key} names the column "${column}", which table "${name}" does not have${didYouMean(nearestName(column, columns))}`;
}

function cureOfColumn({ key, column, columns, isUnsent }: ColumnFault): string {
  if (isUnsent) return `take it out of ${key}, or let the publication send it`;
  const nearest = nearestName(column, columns);
  if (nearest !== undefined) return `write ${nearest} in ${key} (capital letters count), or add the column`;
  return columns.length > MAX_LISTED
    ? `correct the name in ${key}, or add the column`
    : `name one of ${columns.join(', ')} in ${key}, or add the column`;
}

/** One sink's column must not keep the others from being served: where it makes groups or routes, that sink halts by itself at the first row. */
export function inspectColumns(faults: readonly ColumnFault[]): readonly Finding[] {
  const told = new Map<string, number>();
  return faults
    .filter(({ sink, key, column }) => {
      const place = JSON.stringify([sink, key, column]);
      told.set(place, (told.get(place) ?? 0) + 1);
      return told.get(place)! <= MAX_TOLD;
    })
    .map((fault) =>
      warned({
        code: COLUMN_CODES[fault.halts ?? 'message'],
        title: `sink "${fault.sink}"`,
        detail: describeColumn(fault),
        cure: cureOfColumn(fault),
      }),
    );
}

const COLUMN_CODES = {
  group: 'GROUP_COLUMN_MISSING',
  route: 'ROUTE_COLUMN_MISSING',
  message: 'COLUMN_MISSING',
} as const;

/** By name, the nearest table to one that is not there. */
export const nearestTable = (name: TableName, existing: readonly TableName[]): string | undefined => {
  const isIt = ({ schema, table }: TableName): boolean => tableKey({ schema, table }) === tableKey(name);
  return nearestName(formatTableName(name), existing.filter((table) => !isIt(table)).map(formatTableName));
};
