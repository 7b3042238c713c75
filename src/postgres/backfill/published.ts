// The tables that a publication carries, each with the partitioned tables above it.
import type { Client } from 'pg';
import type { Placed } from '../../core/partitions.ts';
import type { TableName } from '../../core/selection.ts';
import { readLineages } from '../lineage.ts';
import type { BackfillContext } from './table.ts';

/** In the order of their names. */
export async function publishedTables(client: Client, context: BackfillContext): Promise<readonly Placed[]> {
  const { rows } = await client.query<TableName & { oid: number }>(
    `select c.oid::int8::float8 as oid, t.schemaname as schema, t.tablename as table from pg_publication_tables t
     join pg_namespace n on n.nspname = t.schemaname join pg_class c on c.relnamespace = n.oid and c.relname = t.tablename
     where t.pubname = $1 order by 2, 3`,
    [context.publication],
  );
  const oids = rows.map(({ oid }) => oid);
  const lineages = await readLineages(client, oids, context);
  const links = new Map(lineages.map((lineage) => [lineage.oid, lineage.links]));
  return rows.map(({ oid, schema, table }) => ({ schema, table, ancestors: links.get(oid) ?? [] }));
}
