// The publication as it is: which tables it carries, under which names their rows come, whether it is ours to change.
// https://www.postgresql.org/docs/current/logical-replication-publication.html
import type { Client } from 'pg';
import type { TableName } from '../../core/selection.ts';
import type { DatabaseSettings } from '../settings.ts';
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
  readonly tables: readonly TableName[] | null;
  readonly entries: readonly (TableName & { readonly hasColumns: boolean })[] | null;
};

/** Undefined when there is no such publication in this database. */
export async function readPublication(client: Client, name: string): Promise<Publication | undefined> {
  const { rows } = await client.query<PublicationRow>(
    // What older versions have no column for is read through JSON.
    `select pubinsert, pubupdate, pubdelete, pubtruncate, pubviaroot as "viaRoot", puballtables as "allTables",
       coalesce(to_jsonb(p) ->> 'pubgencols' = 's', false) as "sendsStored",
       pg_has_role(pubowner, 'USAGE') as changeable,
       coalesce(obj_description(p.oid, 'pg_publication') = '${KEPT_COMMENT}', false) as kept,
       (select json_agg(json_build_object('schema', schemaname, 'table', tablename)) from pg_publication_tables t
          where t.pubname = p.pubname) as tables,
       (select json_agg(json_build_object('schema', n.nspname, 'table', c.relname, 'hasColumns', to_jsonb(r) ->> 'prattrs' is not null))
          from pg_publication_rel r join pg_class c on c.oid = r.prrelid join pg_namespace n on n.oid = c.relnamespace
          where r.prpubid = p.oid) as entries
     from pg_publication p where pubname = $1`,
    [name],
  );
  const row = rows[0];
  if (row === undefined) return undefined;
  const { pubinsert, pubupdate, pubdelete, pubtruncate, tables, entries: listed, ...rest } = row;
  const actions = [
    ['insert', pubinsert],
    ['update', pubupdate],
    ['delete', pubdelete],
    ['truncate', pubtruncate],
  ] as const;
  const entries = (listed ?? []).map(({ schema, table }) => ({ schema, table }));
  return {
    ...rest,
    name,
    publishes: actions.filter(([, published]) => published).map(([action]) => action),
    // A root, or a partition listed beside its root, is an entry that pg_publication_tables does not show.
    tables: [...new Map([...(tables ?? []), ...entries].map((table) => [tableKey(table), table])).values()],
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
