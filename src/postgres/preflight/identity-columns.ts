// The columns of which Postgres sends the old values: those of each table's replica identity.
import type { Client } from 'pg';
import type { TableName } from '../../core/selection.ts';

export type IdentityColumns = TableName & {
  /** `REPLICA IDENTITY FULL`: all of them. */
  readonly isFull: boolean;
  readonly columns: readonly string[];
  /** All that the table has. */
  readonly all: readonly string[];
};

/** Of the `tables` that hold rows: a partitioned one does not. */
export async function readIdentityColumns(
  client: Client,
  tables: readonly TableName[],
): Promise<readonly IdentityColumns[]> {
  const { rows } = await client.query<IdentityColumns>(
    `select n.nspname as schema, c.relname as table, c.relreplident = 'f' as "isFull",
       (select coalesce(json_agg(a.attname), '[]') from pg_index i
          join pg_attribute a on a.attrelid = c.oid and a.attnum = any (i.indkey)
          where i.indrelid = c.oid and case c.relreplident
            when 'd' then i.indisprimary when 'i' then i.indisreplident else false end) as columns,
       (select coalesce(json_agg(a.attname), '[]') from pg_attribute a
          where a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped) as "all"
     from pg_class c join pg_namespace n on n.oid = c.relnamespace
     where c.relkind = 'r' and (n.nspname, c.relname) in (select * from unnest($1::name[], $2::name[]))
     order by 1, 2`,
    [tables.map(({ schema }) => schema), tables.map(({ table }) => table)],
  );
  return rows;
}
