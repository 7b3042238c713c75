// What the catalog says of partitions: whose they are, since when, and what the publication carries of that.
import type { Client } from 'pg';
import type { Ancestor } from '../core/change.ts';
import { xidOf } from './shapes/sql.ts';
import { HAS_SCHEMA_ENTRIES } from './versions.ts';

/** Above a table. */
export type Link = Ancestor & {
  /** The xid that attached what is below it; 0: older than whatever may still be streamed. */
  readonly since: number;
  /** Is it the one that made what is below it? Then that was never anywhere else. */
  readonly sinceMade: boolean;
};

export type CatalogLineage = {
  readonly oid: number;
  readonly partitioned: boolean;
  /** Does the publication carry the table by itself, whosever partition it is? */
  readonly published: boolean;
  /** The xid that last altered the table, attached or detached it; 0: older than whatever may still be streamed. */
  readonly altered: number;
  /** The root first, the parent last. */
  readonly links: readonly Link[];
};

/** Looked up for the one table: of thousands of partitions each is asked about, and no question may look at them all. */
const linkAbove = (child: string): string => `
      select i.inhparent as parent, ${xidOf('i', 'pg_inherits')} as since, ${xidOf('a', 'pg_attribute')} as made
      from pg_inherits i join pg_class c on c.oid = i.inhrelid and c.relispartition
      join pg_attribute a on a.attrelid = i.inhrelid and a.attnum = -6
      where i.inhrelid = ${child} and coalesce(to_jsonb(i) ->> 'inhdetachpending', 'false') = 'false' offset 0`;

// A table's `tableoid` (attribute -6) is written when it is made, and never again.
const lineages = (serverVersion: number): string => `
  with recursive carrier as (select oid, puballtables from pg_publication where pubname = $2),
  member as (
    select r.prrelid as oid from pg_publication_rel r join carrier on r.prpubid = carrier.oid
    ${
      serverVersion >= HAS_SCHEMA_ENTRIES
        ? `union select c.oid from pg_publication_namespace s join carrier on s.pnpubid = carrier.oid
           join pg_class c on c.relnamespace = s.pnnspid and c.relkind in ('r', 'p')`
        : ''
    }
  ),
  up (leaf, parent, height, since, made) as (
    select leaf.oid, l.parent, 1, l.since, l.made from unnest($1::oid[]) leaf (oid) cross join lateral (${linkAbove('leaf.oid')}) l
    union all
    select u.leaf, l.parent, u.height + 1, l.since, l.made from up u cross join lateral (${linkAbove('u.parent')}) l
  )
  select c.oid::int8::float8 as oid, c.relkind = 'p' as partitioned, ${xidOf('c', 'pg_class')} as altered,
    exists (select from carrier where puballtables) or c.oid in (select oid from member) as published,
    coalesce((select json_agg(json_build_object('oid', p.oid::int8, 'schema', n.nspname, 'table', p.relname, 'since', u.since,
        'sinceMade', u.since = u.made,
        'published', exists (select from carrier where puballtables) or p.oid in (select oid from member)) order by u.height desc)
      from up u join pg_class p on p.oid = u.parent join pg_namespace n on n.oid = p.relnamespace
      where u.leaf = c.oid), '[]') as links
  from pg_class c where c.oid = any ($1::oid[])`;

/** Those of the tables that there are. */
export async function readLineages(
  client: Client,
  oids: readonly number[],
  { publication, serverVersion }: { readonly publication: string; readonly serverVersion: number },
): Promise<readonly CatalogLineage[]> {
  const { rows } = await client.query<CatalogLineage>(lineages(serverVersion), [oids, publication]);
  return rows;
}
