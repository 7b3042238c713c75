// Do the filters of sinks mean for the server what they mean here? Looked up in the catalog, and asked of the server's own parser:
// each filter is parsed and described there, never planned or run.
import type { Client, Connection, Submittable } from 'pg';
import type { Relation } from '../../core/change.ts';
import { TailraceError } from '../../core/errors.ts';
import { nameFor } from '../../core/partitions.ts';
import { formatTableName, optionsFor, type TableName } from '../../core/selection.ts';
import { lineAndColumn } from '../../functions/where/fault.ts';
import { namedColumns } from '../../functions/where/named-columns.ts';
import { characterPlace } from '../../functions/where/positions.ts';
import { characterCount } from '../../functions/where/values/texts.ts';
import { buildRelation } from '../../pgoutput/enrichment.ts';
import { enrichRelation } from '../../postgres/catalog.ts';
import { closeConnection } from '../../postgres/connection/connection.ts';
import { connectionFault } from '../../postgres/connection/fault.ts';
import { findPrimary } from '../../postgres/connection/hosts.ts';
import { failed, passed, type Finding } from '../../postgres/preflight/finding.ts';
import { listTables } from '../../postgres/preflight/tables.ts';
import type { DatabaseSettings } from '../../postgres/settings.ts';
import type { PlacedFilter, SinkSettings } from '../settings.ts';
import { compileTableFilter } from './table-filter.ts';
import { wantedActions } from './table-plan.ts';
import { blindnessFindings, outsideIdentity, type Blindness } from './where-identity.ts';

/** A filter for one table that it is used for, which the sink reads under this name. */
type Use = {
  readonly sink: SinkSettings;
  readonly filter: PlacedFilter;
  readonly table: TableName;
  readonly name: TableName;
};

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
    const faults: Finding[] = [];
    const blind: Blindness[] = [];
    for (const use of uses) {
      const found = await readRelation(client, use.table, settings.publication.name);
      if (found === undefined) continue;
      const fault = await inspectUse(client, use, found);
      if (fault === undefined) blind.push(...blindnessOf(use, found));
      else faults.push(fault);
    }
    const same = faults.length > 0 ? [] : [passed('filters', `${uses.length} mean the same here and there`)];
    return [...faults, ...same, ...blindnessFindings(blind)];
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
      return filters.flatMap((filter) => (filter === undefined ? [] : [{ sink, filter, table, name }]));
    }),
  );
}

async function inspectUse(
  client: Client,
  { filter, table }: Use,
  found: Found,
): Promise<Finding | undefined> {
  const title = `filter for ${formatTableName(table)}`;
  try {
    compileTableFilter(found.relation, [filter]);
  } catch (error) {
    if (!(error instanceof TailraceError)) throw error;
    return failed({ code: error.code, title, detail: error.message, cure: 'change the filter' });
  }
  const refusal = await refusalOf(client, describing(client, filter, found));
  // Whoever may not use a type's schema cannot be told what it is: what we made of it stands.
  if (refusal === undefined || refusal.code === INSUFFICIENT_PRIVILEGE) return undefined;
  const { line, column } = lineAndColumn(filter.text, refusal.at);
  const detail = `${filter.place}: line ${line}, column ${column} of it: Postgres refuses it: ${refusal.message}`;
  return failed({ code: 'WHERE_REFUSED', title, detail, cure: 'change the filter' });
}

/** What the table does not send. A partitioned one sends nothing by itself. */
function blindnessOf(
  { sink, filter, table, name }: Use,
  { relation, outOfLine, isPartitioned }: Found,
): readonly Blindness[] {
  if (isPartitioned) return [];
  const outside = outsideIdentity(relation, filter);
  const actions = wantedActions(name, sink);
  const of = { sink, name, table };
  const unchanged = outside.filter((column) => outOfLine.has(column));
  return [
    ...(actions.includes('delete') && outside.length > 0
      ? [{ ...of, of: 'deleted' as const, columns: outside }]
      : []),
    ...(actions.includes('update') && unchanged.length > 0
      ? [{ ...of, of: 'unchanged' as const, columns: unchanged }]
      : []),
  ];
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
  readonly outOfLine: boolean;
  readonly isPartitioned: boolean;
};

type Found = {
  readonly relation: Relation;
  readonly typeTexts: ReadonlyMap<string, string>;
  /**
   * Columns whose values may be stored out of line. Of storage MAIN they are only where they alone fill a page: that is not counted on.
   * https://www.postgresql.org/docs/current/storage-toast.html
   */
  readonly outOfLine: ReadonlySet<string>;
  readonly isPartitioned: boolean;
};

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
       c.relreplident = 'f' or coalesce(i.indexrelid is not null, false) as "isIdentity",
       c.reltoastrelid <> 0 and a.attstorage in ('x', 'e') as "outOfLine", c.relkind = 'p' as "isPartitioned"
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
  return {
    relation,
    typeTexts: new Map(rows.map(({ name, typeText }) => [name, typeText])),
    outOfLine: new Set(rows.flatMap(({ name, outOfLine }) => (outOfLine ? name : []))),
    isPartitioned: first.isPartitioned,
  };
}

const META = 'action text, schema text, "table" text, commit_timestamp timestamptz, annotations jsonb';
const BEFORE = 'select s.* from jsonb_to_record(null::jsonb) as old(';

/**
 * A column by itself is that of the innermost scope, the new row; `old` and `meta` are around it. What the filter does not name is left
 * out: nobody has to be allowed to use its type.
 */
function describing(client: Client, filter: PlacedFilter, { relation, typeTexts }: Found): Described {
  const named = new Set(namedColumns(filter.syntax).map(({ name }) => name));
  const columns = relation.columns
    .filter(({ name }, i) => named.has(name) || i === 0)
    .map(({ name }) => `${client.escapeIdentifier(name)} ${typeTexts.get(name)!}`)
    .join(', ');
  const before = `${BEFORE}${columns}), jsonb_to_record(null::jsonb) as meta(${META}), lateral (select ((\n`;
  return new Described(
    `${before}${filter.text}\n) is true) from jsonb_to_record(null::jsonb) as new(${columns})) s`,
    before.length,
    filter.text,
  );
}

type Refusal = { readonly code: string; readonly message: string; readonly at: number };

/** In a transaction of its own that changes nothing, whatever the text is, and ends soon. */
async function refusalOf(client: Client, described: Described): Promise<Refusal | undefined> {
  await client.query(
    "begin read only; set local search_path = pg_catalog; set local statement_timeout = '10s'",
  );
  try {
    client.query(described);
    return await described.refusal;
  } finally {
    await client.query('rollback');
  }
}

/** Parse and Describe of the extended protocol, and no more. https://www.postgresql.org/docs/current/protocol-flow.html#PROTOCOL-FLOW-EXT-QUERY */
class Described implements Submittable {
  readonly #text: string;
  readonly #before: number;
  readonly #filter: string;
  readonly #done = Promise.withResolvers<Refusal | undefined>();

  /** `before`: so many characters stand before the filter. */
  constructor(text: string, before: number, filter: string) {
    this.#text = text;
    this.#before = before;
    this.#filter = filter;
  }

  get refusal(): Promise<Refusal | undefined> {
    return this.#done.promise;
  }

  submit(connection: Connection): void {
    connection.parse({ name: '', text: this.#text, types: [] }, true);
    connection.describe({ type: 'S', name: '' }, true);
    connection.sync();
  }
  handleRowDescription(): void {}
  handleError(error: Error & { code?: string; position?: string }): void {
    const place =
      Number(error.position ?? this.#before + 1) - 1 - characterCount(this.#text.slice(0, this.#before));
    // A connection that is gone has no code to say.
    if (error.code === undefined) return this.#done.reject(error);
    const at = characterPlace(this.#filter, Math.max(0, place));
    this.#done.resolve({ code: error.code, message: error.message, at });
  }
  handleReadyForQuery(): void {
    this.#done.resolve(undefined);
  }
}
