// What the catalog says of the values of a table's columns: may they be NULL, may they be stored out of line, are they in old rows, are they
// sent at all? Of a partitioned table its partitions say so, in which the rows are.
import type { Client } from 'pg';
import type { TableName } from '../core/selection.ts';
import { IS_SENT, publicationJoins } from './preflight/names.ts';
import { CHECKS_GENERATED } from './versions.ts';

export type ColumnKnowledge = {
  readonly name: string;
  /** Is it sent, by the publication as it is, or by one of ours where there is none yet? */
  readonly isSent: boolean;
  readonly mayBeNull: boolean;
  /**
   * May a value be stored out of line, so that an update that leaves it as it is does not send it? Of storage MAIN it is only where it
   * alone fills a page: that is not counted on. https://www.postgresql.org/docs/current/storage-toast.html
   */
  readonly outOfLine: boolean;
  /** Is it in the replica identity of all that hold rows, or of some? */
  readonly identity: 'all' | 'some' | 'none';
};

export type TableKnowledge = {
  readonly isPartitioned: boolean;
  /** Have all that hold rows `REPLICA IDENTITY FULL`? */
  readonly isFull: boolean;
  readonly columns: readonly ColumnKnowledge[];
};

/**
 * NOT NULL, and proved: from Postgres 18 on a constraint may be NOT VALID. A domain's own NOT NULL does not count, as NULLs come by it.
 * https://www.postgresql.org/docs/current/sql-createdomain.html
 */
const IS_NOT_NULL = `a.attnotnull and not exists (select from pg_constraint k
  where k.conrelid = a.attrelid and k.contype = 'n' and k.conkey = array[a.attnum] and not k.convalidated)`;

/** In the table `l`, which holds rows: is the attribute `b` of its identity? */
const IS_IDENTITY = `case l.relreplident when 'f' then true when 'n' then false else exists (
  select from pg_index i where i.indrelid = l.oid and i.indisvalid and i.indimmediate
    and b.attnum = any ((i.indkey::int2[])[0:i.indnkeyatts - 1])
    and case l.relreplident when 'i' then i.indisreplident else i.indisprimary end) end`;

/** A publication of ours has a stored generated column in messages where the key has it. */
const IS_KEY = `exists (select from pg_index i where i.indrelid = c.oid and i.indisprimary and a.attnum = any (i.indkey))`;

/**
 * Undefined: there is no such table. A partitioned table below which there is none that holds rows is asked itself: those to come will have
 * what it has, and values out of line where its columns may.
 */
export async function readTableKnowledge(
  client: Client,
  { schema, table }: TableName,
  publication: string,
): Promise<TableKnowledge | undefined> {
  const { rows } = await client.query<TableKnowledge>(
    `with recursive below (oid) as (
       select c.oid from pg_class c join pg_namespace n on n.oid = c.relnamespace
         where n.nspname = $1 and c.relname = $2 and c.relkind in ('r', 'p')
       union select i.inhrelid from below b join pg_inherits i on i.inhparent = b.oid
         join pg_class c on c.oid = i.inhrelid and c.relispartition
     ),
     holding as (
       select c.oid, c.relreplident, c.relkind = 'p' or c.reltoastrelid <> 0 as "hasToast" from pg_class c
       where c.oid in (select oid from below) and (c.relkind = 'r'
         or c.relnamespace = to_regnamespace(quote_ident($1)) and c.relname = $2
           and not exists (select from below b join pg_class r on r.oid = b.oid and r.relkind = 'r'))
     )
     select c.relkind = 'p' as "isPartitioned", (select bool_and(l.relreplident = 'f') from holding l) as "isFull",
       (select json_agg(json_build_object('name', a.attname, 'mayBeNull', not (${IS_NOT_NULL}),
            'isSent', case when p.oid is not null then ${IS_SENT}
              else a.attgenerated = '' or a.attgenerated = 's' and ${IS_KEY}
                and current_setting('server_version_num')::int >= ${CHECKS_GENERATED} end,
            'outOfLine', parts."outOfLine", 'identity', parts.identity) order by a.attnum)
        from pg_attribute a
        cross join lateral (
          select bool_or(l."hasToast" and b.attstorage in ('x', 'e')) as "outOfLine",
            case when bool_and(${IS_IDENTITY}) then 'all' when bool_or(${IS_IDENTITY}) then 'some' else 'none' end as identity
          from holding l join pg_attribute b on b.attrelid = l.oid and b.attname = a.attname and not b.attisdropped
        ) parts
        where a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped) as columns
     from pg_class c join pg_namespace n on n.oid = c.relnamespace
     ${publicationJoins('$3')}
     where n.nspname = $1 and c.relname = $2 and c.relkind in ('r', 'p')`,
    [schema, table, publication],
  );
  return rows[0];
}
