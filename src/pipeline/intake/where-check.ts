// Do the filters of sinks mean for the server what they mean here? Looked up in the catalog, and asked of the server's own parser:
// each filter is parsed and described there, never planned or run.
import type { Client } from 'pg';
import type { Relation } from '../../core/change.ts';
import { TailraceError } from '../../core/errors.ts';
import { nameFor } from '../../core/partitions.ts';
import { formatTableName, optionsFor, type TableName } from '../../core/selection.ts';
import { lineAndColumn } from '../../functions/where/fault.ts';
import type { Syntax } from '../../functions/where/syntax.ts';
import { buildRelation } from '../../pgoutput/enrichment.ts';
import { enrichRelation } from '../../postgres/catalog.ts';
import { closeConnection } from '../../postgres/connection/connection.ts';
import { connectionFault } from '../../postgres/connection/fault.ts';
import { findPrimary } from '../../postgres/connection/hosts.ts';
import { refusalOf, type AroundText } from '../../postgres/described.ts';
import { failed, passed, type Finding } from '../../postgres/preflight/finding.ts';
import { listTables } from '../../postgres/preflight/tables.ts';
import type { DatabaseSettings } from '../../postgres/settings.ts';
import type { PlacedFilter, SinkSettings } from '../settings.ts';
import { compileTableFilter } from './table-filter.ts';

/** A filter for one table that it is used for. */
type Use = { readonly filter: PlacedFilter; readonly table: TableName };

/** Nothing where no sink of the database has a filter. Rejects where the database cannot be asked. */
export async function inspectFilters(
  settings: DatabaseSettings,
  sinks: readonly SinkSettings[],
): Promise<readonly Finding[]> {
  const own = sinks.filter(
    ({ database, where, tables }) =>
      database === settings.name &&
      (where !== undefined || tables.some((table) => table.where !== undefined)),
  );
  if (own.length === 0) return [];
  const { client, target } = await findPrimary(settings);
  try {
    const uses = usesOf(own, await listTables(client));
    const findings: Finding[] = [];
    for (const use of uses) findings.push(...(await inspectUse(client, use, settings.publication.name)));
    return findings.length > 0
      ? findings
      : [passed('filters', `${uses.length} mean the same here and there`)];
  } catch (error) {
    throw connectionFault(error, settings, target);
  } finally {
    await closeConnection(client);
  }
}

function usesOf(sinks: readonly SinkSettings[], tables: Awaited<ReturnType<typeof listTables>>): Use[] {
  return sinks.flatMap((sink) =>
    tables.flatMap((table) => {
      const name = nameFor(sink.selection, table);
      if (name === undefined) return [];
      const filters = [sink.where, optionsFor(name, sink.tables)?.where];
      return filters.flatMap((filter) => (filter === undefined ? [] : [{ filter, table }]));
    }),
  );
}

async function inspectUse(
  client: Client,
  { filter, table }: Use,
  publication: string,
): Promise<readonly Finding[]> {
  const found = await readRelation(client, table, publication);
  if (found === undefined) return [];
  const title = `filter for ${formatTableName(table)}`;
  try {
    compileTableFilter(found.relation, [filter]);
  } catch (error) {
    if (!(error instanceof TailraceError)) throw error;
    return [failed({ code: error.code, title, detail: error.message, cure: 'change the filter' })];
  }
  const refusal = await refusalOf(client, describing(client, filter, found));
  // Whoever may not use a type's schema cannot be told what it is: what we made of it stands.
  if (refusal === undefined || refusal.code === INSUFFICIENT_PRIVILEGE) return [];
  const { line, column } = lineAndColumn(filter.text, refusal.at);
  const detail = `${filter.place}: line ${line}, column ${column} of it: Postgres refuses it: ${refusal.message}`;
  return [failed({ code: 'WHERE_REFUSED', title, detail, cure: 'change the filter' })];
}

const INSUFFICIENT_PRIVILEGE = '42501';

type ColumnRow = {
  readonly oid: number;
  readonly identity: 'default' | 'nothing' | 'full' | 'index';
  readonly name: string;
  readonly type: number;
  readonly modifier: number;
  readonly typeText: string;
  readonly isIdentity: boolean;
};

type Found = { readonly relation: Relation; readonly typeTexts: ReadonlyMap<string, string> };

/** As the stream would describe the table now. */
async function readRelation(
  client: Client,
  { schema, table }: TableName,
  publication: string,
): Promise<Found | undefined> {
  const { rows } = await client.query<ColumnRow>(
    `select c.oid::int8::float8 as oid,
       case c.relreplident when 'd' then 'default' when 'n' then 'nothing' when 'f' then 'full' else 'index' end as identity,
       a.attname as name, a.atttypid::int8::float8 as type, a.atttypmod as modifier,
       case when t.typtype in ('b', 'd', 'e') and n.nspname <> 'pg_catalog'
         then quote_ident(n.nspname) || '.' || quote_ident(t.typname) else format_type(a.atttypid, a.atttypmod) end as "typeText",
       c.relreplident = 'f' or coalesce(i.indexrelid is not null, false) as "isIdentity"
     from pg_class c
     join pg_namespace s on s.oid = c.relnamespace
     join pg_attribute a on a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped
     join pg_type t on t.oid = a.atttypid
     join pg_namespace n on n.oid = t.typnamespace
     left join pg_index i on i.indrelid = c.oid and a.attnum = any (i.indkey)
       and (case c.relreplident when 'd' then i.indisprimary when 'i' then i.indisreplident else false end)
     where s.nspname = $1 and c.relname = $2 order by a.attnum`,
    [schema, table],
  );
  const [first] = rows;
  if (first === undefined) return undefined;
  const raw = {
    id: first.oid,
    schema,
    table,
    replicaIdentity: first.identity,
    columns: rows.map(({ name, type, modifier, isIdentity }) => ({
      name,
      type,
      typeModifier: modifier,
      identity: isIdentity,
    })),
  };
  const relation = buildRelation(raw, await enrichRelation(client, raw, { publication }));
  return { relation, typeTexts: new Map(rows.map(({ name, typeText }) => [name, typeText])) };
}

const META = 'action text, schema text, "table" text, commit_timestamp timestamptz, annotations jsonb';
const BEFORE = 'select s.* from jsonb_to_record(null::jsonb) as old(';

/**
 * A column by itself is that of the innermost scope, the new row; `old` and `meta` are around it. What the filter does not name is left
 * out: nobody has to be allowed to use its type.
 */
function describing(client: Client, filter: PlacedFilter, { relation, typeTexts }: Found): AroundText {
  const named = new Set(columnsIn(filter.syntax));
  const columns = relation.columns
    .filter(({ name }, i) => named.has(name) || i === 0)
    .map(({ name }) => `${client.escapeIdentifier(name)} ${typeTexts.get(name)!}`)
    .join(', ');
  const before = `${BEFORE}${columns}), jsonb_to_record(null::jsonb) as meta(${META}), lateral (select ((\n`;
  return {
    statement: `${before}${filter.text}\n) is true) from jsonb_to_record(null::jsonb) as new(${columns})) s`,
    offset: before.length,
    text: filter.text,
  };
}

function columnsIn(syntax: unknown): string[] {
  if (typeof syntax !== 'object' || syntax === null) return [];
  const { kind, name } = syntax as Partial<Extract<Syntax, { kind: 'column' }>>;
  const own = kind === 'column' && name !== undefined ? [name] : [];
  return [...own, ...Object.values(syntax).flatMap(columnsIn)];
}
