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
  readonly outOfLine: boolean;
  readonly isPartitioned: boolean;
};

export type PresentTable = {
  readonly relation: Relation;
  /**
   * Columns whose values may be stored out of line. Of storage MAIN they are only where they alone fill a page: that is not counted on.
   * https://www.postgresql.org/docs/current/storage-toast.html
   */
  readonly outOfLine: ReadonlySet<string>;
  readonly isPartitioned: boolean;
};

/** Undefined: there is no such table. */
export async function readPresentTable(
  client: Client,
  { schema, table }: TableName,
  publication: string,
): Promise<PresentTable | undefined> {
  const { rows } = await client.query<ColumnRow>(
    `select c.oid::int8::float8 as oid,
       case c.relreplident when 'd' then 'default' when 'n' then 'nothing' when 'f' then 'full' else 'index' end as identity,
       a.attname as name, a.atttypid::int8::float8 as type, a.atttypmod as modifier,
       c.relreplident = 'f' or coalesce(i.indexrelid is not null, false) as "isIdentity",
       c.reltoastrelid <> 0 and a.attstorage in ('x', 'e') as "outOfLine", c.relkind = 'p' as "isPartitioned"
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
  return {
    relation: buildRelation(raw, await enrichRelation(client, raw, { publication })),
    outOfLine: new Set(rows.flatMap(({ name, outOfLine }) => (outOfLine ? name : []))),
    isPartitioned: first.isPartitioned,
  };
}
