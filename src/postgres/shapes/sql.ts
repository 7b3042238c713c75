// The SQL that tells one shape of a composite type from another: what its attributes are, and which versions the catalog's rows
// of them have, through arrays, domains and the composites inside. Shared by the look (postgres/look.ts) and by who waits for one.

/**
 * From here on OIDs are handed out by a running server, so their meaning differs from cluster to cluster.
 * https://www.postgresql.org/docs/current/system-catalog-initial-data.html#SYSTEM-CATALOG-OID-ASSIGNMENT (FirstGenbkiObjectId)
 */
export const FIRST_OWN_OID = 10_000;

/** An array is a type whose subscripts are an array's and whose length varies (oidvector and the like are fixed). */
export const IS_ARRAY = `t.typcategory = 'A' and t.typlen = -1`;

/** Which versions the rows of a relation's attributes have, and what they say. Null where it has none, or is none. */
export const attributesVersion = (relation: string): string => `(
  select hashtextextended(string_agg(
    concat_ws('.', a.attnum, a.xmin, a.atttypid, a.attisdropped, quote_literal(a.attname)), ',' order by a.attnum), 0)::text
  from pg_attribute a where a.attrelid = ${relation} and a.attnum > 0)`;

/**
 * Common table expressions (of a `with recursive`) for the types that `roots`, a query of OIDs, names: `shape_part` has everything
 * that each is made of, `shape_version` those in which there is a composite, with the version of their shape. Ranges are text,
 * whatever is in them. What a domain or an array is of never changes, and labels of enums are text: attributes are all that can.
 */
export const shapeVersions = (roots: string): string => `
  shape_part (root, oid) as (
    select named.oid, named.oid from (${roots}) named (oid)
    union
    select p.root, inside.oid from shape_part p join pg_type t on t.oid = p.oid
      cross join lateral (
        select t.typbasetype
        union all select t.typelem where ${IS_ARRAY}
        union all select a.atttypid from pg_attribute a
          where t.typtype = 'c' and a.attrelid = t.typrelid and a.attnum > 0
      ) inside (oid)
      where inside.oid >= ${FIRST_OWN_OID}
  ),
  shape_version (root, version) as (
    select p.root,
      hashtextextended(string_agg(concat_ws(':', t.oid, ${attributesVersion('t.typrelid')}), ',' order by t.oid), 0)::text
    from shape_part p join pg_type t on t.oid = p.oid and t.typtype = 'c'
    group by p.root
  )`;

/** Of a row of a catalog, who wrote it. What is older than the catalog's own horizon is frozen, and its xid may have wrapped: 0. */
export const xidOf = (row: string, catalog: string): string =>
  `case when age(${row}.xmin) between 0 and (select age(relfrozenxid) from pg_class where oid = 'pg_catalog.${catalog}'::regclass)
     then ${row}.xmin::text::int8::float8 else 0 end`;
