// A table as the stream would describe it now, from the catalog.
import type { Client } from 'pg';
import type { Relation } from '../../../core/change.ts';
import type { TableName } from '../../../core/selection.ts';
import { buildRelation } from '../../../pgoutput/enrichment.ts';
import { enrichRelation } from '../../../postgres/catalog.ts';

type ColumnRow = {
  readonly oid: number;
  readonly identity: 'default' | 'nothing' | 'full' | 'index';
  readonly name: string;
  readonly type: number;
  readonly modifier: number;
  readonly isIdentity: boolean;
};

/** Undefined: there is no such table. */
export async function readPresentRelation(
  client: Client,
  { schema, table }: TableName,
  publication: string,
): Promise<Relation | undefined> {
  const { rows } = await client.query<ColumnRow>(
    `select c.oid::int8::float8 as oid,
       case c.relreplident when 'd' then 'default' when 'n' then 'nothing' when 'f' then 'full' else 'index' end as identity,
       a.attname as name, a.atttypid::int8::float8 as type, a.atttypmod as modifier,
       c.relreplident = 'f' or coalesce(i.indexrelid is not null, false) as "isIdentity"
     from pg_class c
     join pg_namespace s on s.oid = c.relnamespace
     join pg_attribute a on a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped
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
  return buildRelation(raw, await enrichRelation(client, raw, { publication }));
}
