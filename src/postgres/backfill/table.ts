// What a backfill reads of one table: the columns and rows that the stream would send of it, and the key to read it by.
import type { Client } from 'pg';
import { TailraceError } from '../../core/errors.ts';
import type { ReplicaIdentity } from '../../core/change.ts';
import type { RawRelation } from '../../pgoutput/messages.ts';
import { readLineages } from '../lineage.ts';
import { CHECKS_GENERATED, HAS_ROW_FILTERS } from '../versions.ts';
import { scopeOf, versionOf, type VersionScope } from './table-version.ts';

/**
 * A column to read by, in the order of its index. `type`: as SQL writes it, below any domain; `collation`: the OID of what its texts are
 * ordered by. `operators`: the schema, as SQL writes it, of the operators that order it; undefined: pg_catalog.
 */
export type KeyColumn = {
  readonly name: string;
  readonly type: string;
  readonly collation?: number;
  readonly operators?: string;
};

export type BackfillTable = {
  readonly oid: number;
  readonly schema: string;
  readonly table: string;
  /** As the stream describes its rows: of a partition under its root's name where the publication says so. */
  readonly relation: RawRelation;
  /** Empty: no index orders its rows, so it is read by the places of its pages. */
  readonly key: readonly KeyColumn[];
  /** The publication's row filter, in SQL. */
  readonly filter: string | undefined;
  /** Differs whenever the catalog says anything else of all this: of the table, its types, or the publication; and where that is looked up. */
  readonly version: string;
  readonly versionScope: VersionScope;
  /** Columns, none of them of the key, whose values may be too large for a page; and how many bytes the table has that are. */
  readonly large: readonly string[];
  readonly largeBytes: number;
  /** Where its rows lie: a rewrite moves them without a change in the stream. */
  readonly fileNode: number;
  /** By the planner's statistics; undefined: it has none. */
  readonly estimatedRows: number | undefined;
};

export const TABLE_NOT_PUBLISHED = 'TABLE_NOT_PUBLISHED';

export type BackfillContext = { readonly publication: string; readonly serverVersion: number };

/**
 * The tables that hold the streamed rows of one: itself, or its partitions, however deep, without those that wait to be detached.
 * Undefined: there is no such table.
 */
export async function leavesOf(
  client: Client,
  { schema, table }: { readonly schema: string; readonly table: string },
): Promise<readonly number[] | undefined> {
  const { rows } = await client.query<{ oid: number; kind: string }>(
    `with recursive family (oid, relkind) as (
       select c.oid, c.relkind from pg_class c join pg_namespace n on n.oid = c.relnamespace
         where n.nspname = $1 and c.relname = $2 and c.relkind in ('r', 'p') and c.relpersistence = 'p'
       union
       select c.oid, c.relkind from family f join pg_inherits i on i.inhparent = f.oid and f.relkind = 'p'
           and coalesce(to_jsonb(i) ->> 'inhdetachpending', 'false') = 'false'
         join pg_class c on c.oid = i.inhrelid and c.relpersistence = 'p'
     )
     select oid::int8::float8 as oid, relkind as kind from family order by 1`,
    [schema, table],
  );
  return rows.length === 0 ? undefined : rows.filter(({ kind }) => kind === 'r').map(({ oid }) => oid);
}

type TableRow = {
  readonly schema: string;
  readonly table: string;
  readonly viaRoot: boolean;
  readonly version: string;
  readonly versionScope: VersionScope;
  readonly fileNode: number;
  readonly estimatedRows: number;
  readonly key: readonly KeyColumn[] | null;
  readonly large: readonly string[] | null;
  readonly largeBytes: number;
};

type PublishedRow = {
  readonly schema: string;
  readonly table: string;
  readonly identity: string;
  readonly filter: string | null;
  readonly columns: RawRelation['columns'] | null;
};

/** https://www.postgresql.org/docs/current/xindex.html#XINDEX-STRATEGIES */
const GREATER = 5;

/** Of the B-tree class `c` for which `which` is true: the schema of its operators; NULL: pg_catalog, or there is no such class. */
export const operatorsOf = (which: string): string => `(
  select nullif(quote_ident(n.nspname), 'pg_catalog') from pg_opclass c
  join pg_am m on m.oid = c.opcmethod and m.amname = 'btree'
  join pg_amop p on p.amopfamily = c.opcfamily and p.amoplefttype = c.opcintype and p.amoprighttype = c.opcintype
    and p.amopstrategy = ${GREATER}
  join pg_operator o on o.oid = p.amopopr join pg_namespace n on n.oid = o.oprnamespace
  where ${which})`;

/** A row with an `oid`: of the type itself, or of what a domain is made of. */
export const belowDomains = (type: string): string => `(
  with recursive down (oid) as (
    select ${type} union select d.typbasetype from down join pg_type d on d.oid = down.oid and d.typtype = 'd'
  )
  select down.oid from down join pg_type d on d.oid = down.oid and d.typtype <> 'd')`;

/**
 * An index that orders all rows, in the way that its columns' types are ordered: the one that old rows in the stream are known by, else the
 * primary key, else the shortest. From Postgres 18 on a column that is NOT NULL may have NULLs all the same, where that is NOT VALID.
 * https://www.postgresql.org/docs/18/sql-altertable.html#SQL-ALTERTABLE-DESC-ADD-TABLE-CONSTRAINT
 */
const KEY = `(
  select json_strip_nulls(json_agg(json_build_object('name', a.attname, 'type', quote_ident(tn.nspname) || '.' || quote_ident(t.typname),
    'collation', nullif(a.attcollation, 0)::int8, 'operators', ${operatorsOf('c.oid = k.opclass')}) order by k.place))
  from (
    select i.indkey::int2[] as attnums, i.indclass::oid[] as opclasses, i.indnkeyatts from pg_index i join pg_class x on x.oid = i.indexrelid
    where i.indrelid = c.oid and i.indisunique and i.indisvalid and i.indpred is null and i.indexprs is null
      and not exists (
        select from unnest(i.indkey::int2[], i.indclass::oid[], i.indcollation::oid[]) with ordinality u (attnum, opclass, colloid, place)
        join pg_attribute a on a.attrelid = i.indrelid and a.attnum = u.attnum
        join pg_opclass o on o.oid = u.opclass
        where u.place <= i.indnkeyatts and (not (a.attnotnull and o.opcdefault and u.colloid = a.attcollation)
          or exists (select from pg_constraint n where n.conrelid = a.attrelid and n.contype = 'n' and n.conkey = array[a.attnum]
            and not n.convalidated)))
    order by i.indisreplident desc, i.indisprimary desc, i.indnkeyatts, i.indexrelid limit 1
  ) best
  cross join unnest(best.attnums, best.opclasses) with ordinality k (attnum, opclass, place)
  join pg_attribute a on a.attrelid = c.oid and a.attnum = k.attnum
  cross join lateral ${belowDomains('a.atttypid')} base
  join pg_type t on t.oid = base.oid join pg_namespace tn on tn.oid = t.typnamespace
  where k.place <= best.indnkeyatts)`;

const IDENTITIES: Readonly<Record<string, ReplicaIdentity>> = {
  d: 'default',
  n: 'nothing',
  f: 'full',
  i: 'index',
};

/** Undefined: the table is gone. Throws TailraceError where the publication does not carry it. */
export async function readBackfillTable(
  client: Client,
  oid: number,
  context: BackfillContext,
): Promise<BackfillTable | undefined> {
  const { rows } = await client.query<TableRow>(
    `with recursive ${scopeOf(oid)}
     select n.nspname as schema, c.relname as table, p.pubviaroot as "viaRoot", pg_relation_filenode(c.oid)::int8::float8 as "fileNode",
       c.reltuples::float8 as "estimatedRows", coalesce(pg_relation_size(nullif(c.reltoastrelid, 0)), 0)::float8 as "largeBytes",
       (select json_agg(a.attname) from pg_attribute a where a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped
         and a.attlen = -1 and a.attstorage in ('x', 'e')) as large, ${KEY} as key, ${versionOf(oid, { ...context, publication: '$1' })} as version,
       json_build_object('family', (select json_agg(oid::int8) from version_family),
         'composites', coalesce((select json_agg(oid::int8) from version_composite), '[]')) as "versionScope"
     from pg_class c join pg_namespace n on n.oid = c.relnamespace join pg_publication p on p.pubname = $1
     where c.oid = ${oid}::oid and c.relkind = 'r' and c.relpersistence = 'p'`,
    [context.publication],
  );
  const found = rows[0];
  const [lineage] = await readLineages(client, [oid], context);
  if (found === undefined || lineage === undefined) return undefined;
  const above = lineage.links.find(({ published }) => published);
  if (!lineage.published && above === undefined) throw notPublished(found, context.publication);
  const streamedAs = found.viaRoot ? (above?.oid ?? oid) : oid;
  const published = await readPublished(client, streamedAs, context);
  if (published === undefined) return undefined;
  const { schema, table, fileNode, estimatedRows, version, versionScope, largeBytes } = found;
  const key = found.key ?? [];
  const sent = (published.columns ?? []).map(({ name }) => name);
  return {
    oid,
    schema,
    table,
    relation: {
      id: streamedAs,
      schema: published.schema,
      table: published.table,
      replicaIdentity: IDENTITIES[published.identity]!,
      columns: published.columns ?? [],
    },
    key,
    filter: published.filter ?? undefined,
    version,
    versionScope,
    large: (found.large ?? []).filter((name) => sent.includes(name) && !key.some((one) => one.name === name)),
    largeBytes,
    fileNode,
    // Never analysed: 0 up to Postgres 13, then -1.
    estimatedRows: estimatedRows > 0 ? estimatedRows : undefined,
  };
}

/** A publication of the table's whole schema lets every row through, whatever its own entry says: pgoutput_row_filter_init. */
const FILTER = `case when not exists (select from pg_publication_namespace s where s.pnpubid = p.oid and s.pnnspid = c.relnamespace)
  then pg_get_expr(r.prqual, c.oid) end`;

/**
 * The columns that are sent, as pgoutput chooses them: those of the publication's list, else all. Generated ones up to Postgres 17
 * never, then stored ones where the list names them, or where there is no list and the publication has them sent.
 * https://www.postgresql.org/docs/current/logical-replication-gencols.html
 */
async function readPublished(
  client: Client,
  oid: number,
  { publication, serverVersion }: BackfillContext,
): Promise<PublishedRow | undefined> {
  const stored =
    serverVersion >= CHECKS_GENERATED
      ? `or (a.attgenerated = 's' and (list.attnums is not null or to_jsonb(p) ->> 'pubgencols' = 's'))`
      : '';
  const { rows } = await client.query<PublishedRow>(
    `select n.nspname as schema, c.relname as table, c.relreplident as identity,
       ${serverVersion >= HAS_ROW_FILTERS ? FILTER : 'null::text'} as filter,
       (select json_agg(json_build_object('name', a.attname, 'type', a.atttypid::int8, 'typeModifier', a.atttypmod,
            'identity', case c.relreplident when 'f' then true when 'n' then false else a.attnum = any (coalesce(
              (select (i.indkey::int2[])[0:i.indnkeyatts - 1] from pg_index i where i.indrelid = c.oid and i.indisvalid and i.indimmediate
                and case c.relreplident when 'i' then i.indisreplident else i.indisprimary end), '{}')) end) order by a.attnum)
        from pg_attribute a where a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped
          and (a.attgenerated = '' ${stored})
          and (list.attnums is null or a.attnum = any (list.attnums))) as columns
     from pg_class c join pg_namespace n on n.oid = c.relnamespace join pg_publication p on p.pubname = $2
     left join pg_publication_rel r on r.prpubid = p.oid and r.prrelid = c.oid
     cross join lateral (select ${serverVersion >= HAS_ROW_FILTERS ? 'r.prattrs::int2[]' : 'null::int2[]'} as attnums) list
     where c.oid = $1`,
    [oid, publication],
  );
  return rows[0];
}

const notPublished = (
  { schema, table }: { readonly schema: string; readonly table: string },
  publication: string,
): TailraceError =>
  new TailraceError(`the publication "${publication}" does not carry ${schema}.${table}`, {
    code: TABLE_NOT_PUBLISHED,
    kind: 'fatal',
    hint: `of a table that is not streamed, what was read would soon be stale: let a sink take it, or add it to the publication, and begin the backfill then`,
  });
