// Asks a server what has become of tables: which are there still, and which bear a name now.
import type { Client } from 'pg';
import type { TableName } from '../../core/selection.ts';
import type { NamedTable } from './history/publication.ts';

/** Of these tables, those that are still there. */
export async function existing(client: Client, oids: readonly number[]): Promise<ReadonlySet<number>> {
  if (oids.length === 0) return new Set();
  const { rows } = await client.query<{ oid: number }>(
    'select oid::int8::float8 as oid from pg_class where oid = any($1::oid[])',
    [oids],
  );
  return new Set(rows.map(({ oid }) => oid));
}

/** The tables that have these names now. */
export async function bearersOf(client: Client, names: readonly TableName[]): Promise<readonly NamedTable[]> {
  if (names.length === 0) return [];
  const { rows } = await client.query<NamedTable>(
    `select c.oid::int8::float8 as oid, n.nspname as schema, c.relname as "table"
     from unnest($1::text[], $2::text[]) as wanted(schema, name)
     join pg_namespace n on n.nspname = wanted.schema
     join pg_class c on c.relnamespace = n.oid and c.relname = wanted.name
     where c.relkind in ('r', 'p')`,
    [names.map(({ schema }) => schema), names.map(({ table }) => table)],
  );
  return rows;
}
