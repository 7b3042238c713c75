// The publication as it is: which tables it carries, under which names their rows come, whether it is ours to change.
// https://www.postgresql.org/docs/current/logical-replication-publication.html
import type { Client } from 'pg';
import type { TableName } from '../../core/selection.ts';
import type { DatabaseSettings } from '../settings.ts';
import { FIRST_USER_OID, HAS_SCHEMA_ENTRIES } from '../versions.ts';
import { tableKey, type TableState } from './tables.ts';

export type Publication = {
  readonly name: string;
  readonly publishes: readonly string[];
  /** Do rows of partitions come under the name of their topmost published ancestor? */
  readonly viaRoot: boolean;
  /** FOR ALL TABLES: it has no list that could be changed. */
  readonly allTables: boolean;
  /** Are stored generated columns sent? */
  readonly sendsStored: boolean;
  /** Every table that it carries, under any name. */
  readonly tables: readonly TableName[];
  /** Those that it lists by name. */
  readonly entries: readonly TableName[];
  /** Of these, those with a list of columns. */
  readonly columnLists: readonly TableName[];
  /** Did we make it? Its list of tables is then ours to keep. */
  readonly kept: boolean;
  /** May our role change it? */
  readonly changeable: boolean;
};

/** The comment on a publication of ours: it tells it from one whose list somebody keeps by hand. */
export const KEPT_COMMENT = 'kept by Tailrace';

type PublicationRow = Pick<Publication, 'viaRoot' | 'allTables' | 'sendsStored' | 'kept' | 'changeable'> & {
  readonly pubinsert: boolean;
  readonly pubupdate: boolean;
  readonly pubdelete: boolean;
  readonly pubtruncate: boolean;
  readonly entries: readonly (TableName & { readonly hasColumns: boolean })[] | null;
  readonly serverVersion: number;
};

/**
 * The tables of a publication under the names that their rows come by, `$1` being its name. The view pg_publication_tables says the
 * same, and waits for every table that somebody has for himself (VACUUM FULL, a schema change): one such table must not hold up all.
 */
const carriedTables = (serverVersion: number): string => `
  with recursive pub as (select oid, puballtables, pubviaroot from pg_publication where pubname = $1),
  listed (oid) as (
    select r.prrelid from pg_publication_rel r join pub on r.prpubid = pub.oid
    union select c.oid from pg_class c join pub on pub.puballtables and not (pub.pubviaroot and c.relispartition)
      where c.oid >= ${FIRST_USER_OID}
    ${
      serverVersion >= HAS_SCHEMA_ENTRIES
        ? `union select c.oid from pg_publication_namespace s join pub on s.pnpubid = pub.oid
           join pg_class c on c.relnamespace = s.pnnspid`
        : ''
    }
  ),
  carried (oid) as (
    select oid from listed
    union select c.oid from carried above join pg_inherits i on i.inhparent = above.oid
      join pg_class c on c.oid = i.inhrelid and c.relispartition join pub on not pub.pubviaroot
  )
  select n.nspname as schema, c.relname as table
  from carried join pg_class c on c.oid = carried.oid join pg_namespace n on n.oid = c.relnamespace cross join pub
  where c.relpersistence = 'p' and (c.relkind = 'r' or c.relkind = 'p' and pub.pubviaroot)
  order by 1, 2`;

/** Undefined when there is no such publication in this database. */
export async function readPublication(client: Client, name: string): Promise<Publication | undefined> {
  const { rows } = await client.query<PublicationRow>(
    // What older versions have no column for is read through JSON.
    `select pubinsert, pubupdate, pubdelete, pubtruncate, pubviaroot as "viaRoot", puballtables as "allTables",
       coalesce(to_jsonb(p) ->> 'pubgencols' = 's', false) as "sendsStored",
       pg_has_role(pubowner, 'USAGE') as changeable,
       coalesce(obj_description(p.oid, 'pg_publication') = '${KEPT_COMMENT}', false) as kept,
       current_setting('server_version_num')::int as "serverVersion",
       (select json_agg(json_build_object('schema', n.nspname, 'table', c.relname, 'hasColumns', to_jsonb(r) ->> 'prattrs' is not null))
          from pg_publication_rel r join pg_class c on c.oid = r.prrelid join pg_namespace n on n.oid = c.relnamespace
          where r.prpubid = p.oid) as entries
     from pg_publication p where pubname = $1`,
    [name],
  );
  const row = rows[0];
  if (row === undefined) return undefined;
  const { pubinsert, pubupdate, pubdelete, pubtruncate, entries: listed, serverVersion, ...rest } = row;
  const actions = [
    ['insert', pubinsert],
    ['update', pubupdate],
    ['delete', pubdelete],
    ['truncate', pubtruncate],
  ] as const;
  const entries = (listed ?? []).map(({ schema, table }) => ({ schema, table }));
  const { rows: tables } = await client.query<TableName>(carriedTables(serverVersion), [name]);
  return {
    ...rest,
    name,
    publishes: actions.filter(([, published]) => published).map(([action]) => action),
    // A root, or a partition listed beside its root, is an entry whose name no rows come by.
    tables: [...new Map([...tables, ...entries].map((table) => [tableKey(table), table])).values()],
    entries,
    columnLists: (listed ?? []).filter(({ hasColumns }) => hasColumns),
  };
}

/**
 * How the rows of a table come. whole: all of them, under names that lead to it · root: only under the name of an ancestor, which does
 * not say whose they are · part: of some of its partitions · none.
 */
export type Carried = 'whole' | 'root' | 'part' | 'none';

export function carried(
  publication: Publication,
  state: Pick<TableState, 'schema' | 'table' | 'ancestors' | 'leaves' | 'partitioned'>,
): Carried {
  const has = new Set(publication.tables.map(tableKey));
  const isListed = (table: TableName): boolean => publication.allTables || has.has(tableKey(table));
  if (state.ancestors.some(isListed)) return publication.viaRoot ? 'root' : 'whole';
  if (isListed(state)) return 'whole';
  if (!state.partitioned) return 'none';
  const leaves = state.leaves.filter(isListed);
  if (leaves.length === 0) return 'none';
  return leaves.length === state.leaves.length ? 'whole' : 'part';
}

/** Is the list of tables ours to keep? One that the user made is taken as it is. */
export const isOurs = (publication: Publication | undefined, settings: DatabaseSettings): boolean =>
  settings.publication.createIfNotExists &&
  settings.publication.initSql === undefined &&
  (publication === undefined || (publication.kept && publication.changeable));
