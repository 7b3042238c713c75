// Tells one state of the catalog from another, as far as the rows of a table are concerned, by the versions of the catalog's own rows. It is
// asked behind every chunk: so where to look is found out once, and is looked up by an index then. Pure.
import { FIRST_OWN_OID, shapeVersions } from '../shapes/sql.ts';
import { HAS_SCHEMA_ENTRIES } from '../versions.ts';

/**
 * The table with those above it, and the relations of composite types in its columns, however deep. It is another one only where a row has
 * changed that is looked at by it: what is above a table, and of what types attributes are.
 */
export type VersionScope = { readonly family: readonly number[]; readonly composites: readonly number[] };

/** `version_family` and `version_composite`: common table expressions (of a `with recursive`) with the scope of a table. */
export const scopeOf = (oid: number): string => `
  version_family (oid) as (
    select ${oid}::oid union select i.inhparent from version_family f join pg_inherits i on i.inhrelid = f.oid
  ), ${shapeVersions(
    `select distinct a.atttypid from pg_attribute a where a.attrelid = ${oid}::oid and a.attnum > 0 and a.atttypid >= ${FIRST_OWN_OID}`,
  )},
  version_composite (oid) as (
    select distinct t.typrelid from shape_part p join pg_type t on t.oid = p.oid and t.typtype = 'c'
  )`;

/** The version of a table, a text; `publication`: its name in SQL; `scope`: undefined, where it is what `scopeOf` finds. */
export const versionOf = (
  oid: number,
  { publication, serverVersion }: { readonly publication: string; readonly serverVersion: number },
  scope?: VersionScope,
): string => {
  const family = scope === undefined ? '(select oid from version_family)' : among(scope.family);
  const composites = scope === undefined ? '(select oid from version_composite)' : among(scope.composites);
  const ofSchemas =
    serverVersion < HAS_SCHEMA_ENTRIES
      ? ''
      : `union all select concat_ws(':', 's', s.oid, s.xmin) from pg_publication p join pg_publication_namespace s on s.pnpubid = p.oid
      where p.pubname = ${publication} and s.pnnspid in (select relnamespace from pg_class where oid = any ${family})`;
  return `(
  select md5(string_agg(version, ',' order by version collate "C")) from (
    select concat_ws(':', 'c', c.oid, c.xmin, n.nspname, c.relname) from pg_class c join pg_namespace n on n.oid = c.relnamespace
      where c.oid = any ${family}
    union all select concat_ws(':', 'a', attrelid, attnum, xmin) from pg_attribute where attrelid = any ${family} and attnum > 0
    union all select concat_ws(':', 't', attrelid, attnum, xmin) from pg_attribute where attrelid = any ${composites} and attnum > 0
    union all select concat_ws(':', 'i', indexrelid, xmin) from pg_index where indrelid = ${oid}::oid
    union all select concat_ws(':', 'h', inhrelid, inhparent, xmin) from pg_inherits where inhrelid = any ${family}
    union all select concat_ws(':', 'p', oid, xmin) from pg_publication where pubname = ${publication}
    union all select concat_ws(':', 'r', r.oid, r.xmin) from pg_publication p join pg_publication_rel r on r.prpubid = p.oid
      where p.pubname = ${publication} and r.prrelid = any ${family}
    ${ofSchemas}
  ) fact (version))`;
};

const among = (oids: readonly number[]): string => `('{${oids.join(',')}}'::oid[])`;
