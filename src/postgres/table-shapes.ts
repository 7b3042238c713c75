// How tables look now, to rows that are to come.
import type { Client } from 'pg';
import type { TableShape } from '../core/schema-change.ts';
import { IS_SENT, publicationJoins } from './preflight/names.ts';

/** Of the tables with these OIDs, as far as there are any, with the columns that the publication sends. One moment of the catalog. */
export async function readTableShapes(
  client: Pick<Client, 'query'>,
  oids: readonly number[],
  publication: string,
): Promise<readonly TableShape[]> {
  const { rows } = await client.query<TableShape>(
    `select c.oid::int8::float8 as "relationId", n.nspname as schema, c.relname as table,
       (select json_agg(json_build_object('name', a.attname, 'type', a.atttypid::int8, 'typeModifier', a.atttypmod,
            'typeName', format_type(a.atttypid, a.atttypmod), 'nullable', not a.attnotnull, 'number', a.attnum) order by a.attnum)
        from pg_attribute a where a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped and ${IS_SENT}) as columns
     from pg_class c join pg_namespace n on n.oid = c.relnamespace
     ${publicationJoins('$2')}
     where c.oid = any ($1::oid[]) and c.relkind in ('r', 'p')`,
    [oids, publication],
  );
  return rows.map(({ columns, ...name }) => ({ ...name, columns: columns ?? [] }));
}
