// The tables of a database as the catalog has them, and which of them can be published without harm.
import { escapeIdentifier, type Client } from 'pg';
import type { TableName } from '../../core/selection.ts';

export const quoteTable = ({ schema, table }: TableName): string =>
  `${escapeIdentifier(schema)}.${escapeIdentifier(table)}`;

/** Different names never give the same key. */
export const tableKey = ({ schema, table }: TableName): string => JSON.stringify([schema, table]);

export type TableState = TableName & {
  readonly partitioned: boolean;
  /** Can Postgres log UPDATE and DELETE of it, in every partition? */
  readonly hasIdentity: boolean;
  /** REPLICA IDENTITY NOTHING somewhere in it. */
  readonly identityNothing: boolean;
  readonly owner: string;
  /** May the role add it to a publication? */
  readonly owned: boolean;
};

/**
 * Every table of the user's own schemas. Not the partitions: they are published with their root, those to come too.
 * https://www.postgresql.org/docs/current/sql-createpublication.html (publish_via_partition_root)
 */
export async function listTables(client: Client): Promise<readonly TableName[]> {
  const { rows } = await client.query<TableName>(
    `select n.nspname as schema, c.relname as table
     from pg_class c join pg_namespace n on n.oid = c.relnamespace
     where c.relkind in ('r', 'p') and c.relpersistence = 'p' and not c.relispartition
       and n.nspname not like 'pg\\_%' and n.nspname <> 'information_schema'
       and not exists (select from pg_depend d where d.classid = 'pg_class'::regclass and d.objid = c.oid and d.deptype = 'e')
     order by 1, 2`,
  );
  return rows;
}

// A deferrable primary key is no identity. https://www.postgresql.org/docs/current/sql-altertable.html (REPLICA IDENTITY)
const TABLE_STATES = `
  select n.nspname as schema, c.relname as table, c.relkind = 'p' as partitioned,
    bool_and(l.relreplident = 'f'
      or l.relreplident = 'd' and exists (select from pg_index i
           where i.indrelid = l.oid and i.indisprimary and i.indisvalid and i.indimmediate)
      or l.relreplident = 'i' and exists (select from pg_index i
           where i.indrelid = l.oid and i.indisreplident and i.indisvalid)) as "hasIdentity",
    bool_or(l.relreplident = 'n') as "identityNothing",
    pg_get_userbyid(c.relowner)::text as owner,
    pg_has_role(c.relowner, 'USAGE') as owned
  from pg_class c
  join pg_namespace n on n.oid = c.relnamespace
  join lateral (
    select leaf.* from pg_class leaf where leaf.oid = c.oid and c.relkind = 'r'
    union all
    select leaf.* from pg_partition_tree(c.oid) t join pg_class leaf on leaf.oid = t.relid
    where c.relkind = 'p' and (t.isleaf or t.level = 0)
  ) l on true
  where c.relkind in ('r', 'p') and c.relpersistence = 'p'
    and (n.nspname, c.relname) in (select * from unnest($1::name[], $2::name[]))
  group by n.nspname, c.relname, c.relkind, c.relowner order by 1, 2`;

/** The state of those of `tables` that exist. */
export async function readTables(
  client: Client,
  tables: readonly TableName[],
): Promise<readonly TableState[]> {
  if (tables.length === 0) return [];
  const { rows } = await client.query<TableState>(TABLE_STATES, [
    tables.map((table) => table.schema),
    tables.map((table) => table.table),
  ]);
  return rows;
}
