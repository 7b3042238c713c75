// How tables look now, to rows that are to come.
import type { Client } from 'pg';
import type { ShapeColumn, TableShape } from '../core/schema-change.ts';
import { isLaterXid } from '../pgoutput/enrichment.ts';
import { IS_SENT, publicationJoins } from './preflight/names.ts';
import { xidOf } from './shapes/sql.ts';

type Row = Omit<TableShape, 'columns'> & {
  readonly columns: readonly (ShapeColumn & { readonly number: number; readonly xid: number })[] | null;
};

/**
 * Of the tables with these OIDs, as far as there are any, with the columns that the publication sends. One moment of the catalog. `xid`: of
 * a transaction; columns that may have changed since have no number.
 */
export async function readTableShapes(
  client: Pick<Client, 'query'>,
  oids: readonly number[],
  publication: string,
  xid?: number,
): Promise<readonly TableShape[]> {
  const { rows } = await client.query<Row>(
    `select c.oid::int8::float8 as "relationId", n.nspname as schema, c.relname as table,
       (select json_agg(json_build_object('name', a.attname, 'type', a.atttypid::int8, 'typeModifier', a.atttypmod,
            'typeName', format_type(a.atttypid, a.atttypmod), 'nullable', not a.attnotnull, 'number', a.attnum,
            'xid', ${xidOf('a', 'pg_attribute')}) order by a.attnum)
        from pg_attribute a where a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped and ${IS_SENT}) as columns
     from pg_class c join pg_namespace n on n.oid = c.relnamespace
     ${publicationJoins('$2')}
     where c.oid = any ($1::oid[]) and c.relkind in ('r', 'p')`,
    [oids, publication],
  );
  return rows.map(({ columns, ...name }) => ({
    ...name,
    columns: (columns ?? []).map(({ xid: since, number, ...column }) => {
      const isProved = xid === undefined || since === 0 || isLaterXid(xid, since);
      return isProved ? { ...column, number } : column;
    }),
  }));
}
