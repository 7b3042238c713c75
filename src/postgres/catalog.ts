// What the catalog adds to a Relation message: its key's columns in order, and the types that are not built in.
import type { Client } from 'pg';
import type { Lineage, TypeInfo } from '../core/change.ts';
import { isLaterXid, latestXid, type Enrichment } from '../pgoutput/enrichment.ts';
import type { RawRelation } from '../pgoutput/messages.ts';
import { readCollations } from './collations.ts';
import { readLineages, type CatalogLineage } from './lineage.ts';
import { KEPT_COMMENT } from './preflight/publication.ts';
import { FIRST_OWN_OID, IS_ARRAY, xidOf } from './shapes/sql.ts';

/** The attribute that holds a row's table: written when the table is made, and never again. */
const TABLE_OID = -6;

/** Types nest (arrays of composites of domains …); a deeper nest than this renders as text. */
const MAX_TYPE_DEPTH = 32;

export type EnrichmentContext = { readonly publication: string; readonly serverVersion: number };

/** As `describeRelation`, with the lineage as it is now: for those who follow from now on. */
export async function describeWithLineage(
  client: Client,
  relation: RawRelation,
  context: EnrichmentContext,
): Promise<Described> {
  const { enrichment, columns } = await describeRelation(client, relation, context);
  const [found] = await readLineages(client, [relation.id], context);
  return { enrichment: { ...enrichment, ...lineageIn(found) }, columns };
}

export const enrichWithLineage = async (
  client: Client,
  relation: RawRelation,
  context: EnrichmentContext,
): Promise<Enrichment> => (await describeWithLineage(client, relation, context)).enrichment;

/** As the catalog has it. */
export function lineageIn(found: CatalogLineage | undefined): Lineage {
  if (found === undefined) return { gone: true };
  const ancestors = found.links.map(({ oid, schema, table, published }) => ({
    oid,
    schema,
    table,
    published,
  }));
  return {
    ...(found.partitioned && { partitioned: true }),
    ...(ancestors.length > 0 && { ancestors }),
  };
}

/** As `describeRelation`, for those who want no more than that. */
export const enrichRelation = async (
  client: Client,
  relation: RawRelation,
  context: Pick<EnrichmentContext, 'publication'>,
  xid?: number,
): Promise<Enrichment> => (await describeRelation(client, relation, context, xid)).enrichment;

export type Described = { readonly enrichment: Enrichment; readonly columns: readonly CatalogColumn[] };

/**
 * The stream wins over the catalog: a backlog may be older than it. So the catalog's key counts only while the
 * columns are the same in both, and a type that is gone is left out and renders as text. `xid`: the transaction that the relation
 * came in; undefined: one that is of today. With the catalog's columns as they are now.
 */
export async function describeRelation(
  client: Client,
  relation: RawRelation,
  { publication }: Pick<EnrichmentContext, 'publication'>,
  xid?: number,
): Promise<Described> {
  const columns = await readColumns(client, relation, publication);
  const types = await readTypes(
    client,
    relation.columns.map((column) => column.type),
  );
  const collations = await readCollations(client, relation);
  const typeNames = relation.columns.map(({ name, type, typeModifier }) => {
    const found = columns.find((column) => column.name === name);
    return found?.type === type && found.typeModifier === typeModifier ? found.typeName : null;
  });
  const enrichment = {
    relationId: relation.id,
    ...keyIn(columns, relation, xid),
    collations,
    types,
    typeNames,
  };
  return { enrichment, columns };
}

export type CatalogColumn = {
  readonly name: string;
  readonly type: number;
  readonly typeModifier: number;
  readonly typeName: string;
  readonly nullable: boolean;
  readonly number: number;
  readonly keyPlace: number | null;
  /** Who made these rows of the catalog; 0: frozen, so older than whatever may still be streamed. */
  readonly columnXid: number;
  readonly keyXid: number | null;
  /** A generated column, which a publication of ours sends for the sake of some table's key. */
  readonly sentAlong: boolean;
  /** The xid that made it generated; 0: frozen. Null: it is not. */
  readonly generatedXid: number | null;
  /** Is that the one that made the table? Then it was never anything else. */
  readonly generatedSinceMade: boolean;
};

type Key = Pick<Enrichment, 'key' | 'keySince' | 'generated'>;

async function readColumns(
  client: Client,
  relation: RawRelation,
  publication: string,
): Promise<readonly CatalogColumn[]> {
  const { rows } = await client.query<CatalogColumn>(
    `select a.attname as name, a.atttypid::int8::float8 as type, a.atttypmod as "typeModifier",
       format_type(a.atttypid, a.atttypmod) as "typeName", not a.attnotnull as nullable, a.attnum::int as number,
       (select k.place::int from unnest(i.indkey::int2[]) with ordinality k (attnum, place)
        where k.attnum = a.attnum and k.place <= i.indnkeyatts) as "keyPlace",
       ${xidOf('a', 'pg_attribute')} as "columnXid",
       case when i.indexrelid is not null then ${xidOf('i', 'pg_index')} end as "keyXid",
       a.attgenerated <> '' and exists (select from pg_publication p where p.pubname = $2 and to_jsonb(p) ->> 'pubgencols' = 's'
         and obj_description(p.oid, 'pg_publication') = '${KEPT_COMMENT}') as "sentAlong",
       case when d.oid is not null then ${xidOf('d', 'pg_attrdef')} end as "generatedXid",
       coalesce(d.xmin = made.xmin, false) as "generatedSinceMade"
     from pg_attribute a
     left join pg_index i on i.indrelid = a.attrelid and i.indisprimary and i.indisvalid
     left join pg_attrdef d on d.adrelid = a.attrelid and d.adnum = a.attnum and a.attgenerated <> ''
     left join pg_attribute made on made.attrelid = a.attrelid and made.attnum = ${TABLE_OID}
     where a.attrelid = $1::oid and a.attnum > 0 and not a.attisdropped`,
    [relation.id, publication],
  );
  return rows;
}

function keyIn(rows: readonly CatalogColumn[], relation: RawRelation, xid: number | undefined): Key {
  const catalog = new Map(rows.map((row) => [row.name, row]));
  // A column list or a generated column may hide some of the catalog's columns, never the other way round.
  const same = relation.columns.every((column) => catalog.get(column.name)?.type === column.type);
  const columns = rows.filter((row) => row.keyPlace !== null).toSorted((a, b) => a.keyPlace! - b.keyPlace!);
  const key = columns.map((row) => row.name);
  const along = rows.filter(
    (row) => row.sentAlong && !key.includes(row.name) && isSent(relation, row) && wasGenerated(row, xid),
  );
  const generated = along.length === 0 ? {} : { generated: along.map(({ name }) => name) };
  if (!same || !isBelieved(relation, key)) return { key: undefined, ...generated };
  const keySince = columns.flatMap((row) => [row.columnXid, row.keyXid ?? 0]).reduce(latestXid);
  return { key, keySince, ...generated };
}

/** Columns that Postgres flags one by one are its key for us, generated or not. */
const isSent = ({ columns, replicaIdentity }: RawRelation, { name, type }: CatalogColumn): boolean =>
  columns.some(
    (column) =>
      column.name === name && column.type === type && (!column.identity || replicaIdentity === 'full'),
  );

/**
 * Was it generated already when the transaction wrote to the table? A column becomes generated only by being dropped and added again,
 * which takes the table for oneself. One that was an ordinary column then has values that nobody else knows.
 */
const wasGenerated = (
  { generatedXid, generatedSinceMade }: CatalogColumn,
  xid: number | undefined,
): boolean =>
  generatedXid !== null &&
  (xid === undefined || generatedXid === 0 || generatedSinceMade || isLaterXid(xid, generatedXid));

/** Every key column is in the stream and, where the flags mean the primary key, flagged there; and no other is. */
function isBelieved(relation: RawRelation, key: readonly string[]): boolean {
  if (key.length === 0) return false;
  const streamed = relation.columns.filter((column) => key.includes(column.name));
  if (streamed.length !== key.length) return false;
  if (relation.replicaIdentity !== 'default') return true;
  const flagged = relation.columns.filter((column) => column.identity);
  return flagged.length === key.length && streamed.every((column) => column.identity);
}

export type TypeRow = {
  readonly oid: number;
  readonly name: string;
  readonly typtype: string;
  readonly base: number;
  /** Of a domain's base; -1: none. */
  readonly modifier: number;
  readonly element: number;
  readonly delimiter: string;
  readonly attributes: readonly { readonly name: string; readonly type: number }[] | null;
  /** Of an enum, in their order. */
  readonly labels: readonly string[] | null;
};

/** The types of `columnTypes` that are not built in, with everything they are made of. */
async function readTypes(
  client: Client,
  columnTypes: readonly number[],
): Promise<ReadonlyMap<number, TypeInfo>> {
  const types = new Map<number, TypeInfo>();
  let wanted = new Set(columnTypes.filter((oid) => oid >= FIRST_OWN_OID));
  for (let depth = 0; wanted.size > 0 && depth < MAX_TYPE_DEPTH; depth++) {
    const found: TypeInfo[] = [];
    for (const row of await readTypeRows(client, [...wanted])) {
      const info = typeInfo(row);
      types.set(row.oid, info);
      found.push(info);
    }
    wanted = new Set(found.flatMap(partsOf).filter((oid) => oid >= FIRST_OWN_OID && !types.has(oid)));
  }
  return types;
}

/** `oids`: a query of them. https://www.postgresql.org/docs/current/catalog-pg-type.html (typelem, typcategory) */
export const typeRows = (oids: string): string =>
  `select t.oid::int8::float8 as oid, t.typname as name, t.typtype,
     t.typbasetype::int8::float8 as base, t.typtypmod as modifier,
     case when ${IS_ARRAY} then t.typelem::int8::float8 else 0 end as element,
     coalesce((select e.typdelim from pg_type e where e.oid = t.typelem), t.typdelim) as delimiter,
     (select json_agg(json_build_object('name', a.attname, 'type', a.atttypid::int8) order by a.attnum)
      from pg_attribute a where a.attrelid = t.typrelid and a.attnum > 0 and not a.attisdropped
      and t.typtype = 'c') as attributes,
     (select json_agg(e.enumlabel order by e.enumsortorder) from pg_enum e where e.enumtypid = t.oid and t.typtype = 'e') as labels
   from pg_type t where t.oid in (${oids})`;

async function readTypeRows(client: Client, oids: readonly number[]): Promise<readonly TypeRow[]> {
  const { rows } = await client.query<TypeRow>(typeRows('select unnest($1::oid[])'), [oids]);
  return rows;
}

export function typeInfo(row: TypeRow): TypeInfo {
  const { name } = row;
  switch (row.typtype) {
    case 'e':
      return { kind: 'enum', name, ...(row.labels && { labels: row.labels }) };
    case 'd':
      return { kind: 'domain', name, base: row.base, ...(row.modifier !== -1 && { modifier: row.modifier }) };
    case 'c':
      return { kind: 'composite', name, attributes: row.attributes ?? [] };
    case 'r':
      return { kind: 'range', name };
    case 'm':
      return { kind: 'multirange', name };
    default:
      return row.element === 0
        ? { kind: 'base', name }
        : { kind: 'array', name, element: row.element, delimiter: row.delimiter };
  }
}

/** The types that a value of this one is rendered by. A range is text, whatever is in it. */
export function partsOf(info: TypeInfo): readonly number[] {
  switch (info.kind) {
    case 'domain':
      return [info.base];
    case 'array':
      return [info.element];
    case 'composite':
      return info.attributes.map((attribute) => attribute.type);
    case 'base':
    case 'enum':
    case 'range':
    case 'multirange':
      return [];
    default:
      return info satisfies never;
  }
}
