// The tables of a database as the catalog has them, and which of them can be published without a write of the application failing.
import type { Client } from 'pg';
import type { ReplicaIdentity } from '../../core/change.ts';
import type { TableName } from '../../core/selection.ts';
import { CHECKS_GENERATED, GRANTS_INHERIT } from '../versions.ts';

/** Different names never give the same key. */
export const tableKey = ({ schema, table }: TableName): string => JSON.stringify([schema, table]);

/**
 * Why Postgres refuses UPDATE and DELETE on a published table. none: it has no identity; nothing: its identity is NOTHING; stored,
 * virtual: a generated column of that kind is part of it.
 */
export type FaultKind = 'none' | 'nothing' | 'stored' | 'virtual';

/** A table that holds rows, whose updates would be refused. */
export type IdentityFault = TableName & {
  readonly kind: FaultKind;
  readonly identity: ReplicaIdentity;
  /** Its primary key: a deferrable one is no identity. */
  readonly key: 'fit' | 'deferrable' | 'none';
  /** Could all of its columns be its identity? */
  readonly mayBeFull: boolean;
};

export type TableState = TableName & {
  readonly partitioned: boolean;
  /** Of a partition: its root first, its parent last. */
  readonly ancestors: readonly TableName[];
  /** The ordinary tables that hold its rows: itself, or its partitions. */
  readonly leaves: readonly TableName[];
  /** Those of them whose updates fail once they are published. */
  readonly faults: readonly IdentityFault[];
  /** Those of them whose key has a generated column that Postgres does not send: a delete comes without it. */
  readonly unsentKeys: readonly TableName[];
  /** Has a partition that is made later an identity, by its root's primary key? Of a table without partitions: true. */
  readonly laterFit: boolean;
  /** It has a primary key that is deferrable, and so is no identity. */
  readonly deferrable: boolean;
  /** It has a foreign partition, and so can have no primary key. */
  readonly foreign: boolean;
  readonly owner: string;
  /** Has our role the rights of its owner? */
  readonly owned: boolean;
  /** May our role name it, by USAGE on its schema? */
  readonly schemaUsable: boolean;
  /** May its owner make a publication of it? */
  readonly ownerMayPublish: boolean;
  /** What gives our role the rights of its owner; null: that would make a superuser of it, or cannot be granted. */
  readonly grantOwnerSql: string | null;
};

/** May our role add it to a publication? https://www.postgresql.org/docs/current/logical-replication-security.html */
export const mayPublish = ({ owned, schemaUsable }: TableState): boolean => owned && schemaUsable;

/** A table that sinks want. */
export type WantedTable = TableState & {
  /** Does a sink that wants it say that each partition has an identity of its own? */
  readonly assured: boolean;
};

/** What of it breaks writes once it is published, by a publication that sends stored generated columns or does not. */
export const faultsIn = (
  { faults }: Pick<TableState, 'faults'>,
  sendsStored: boolean,
): readonly IdentityFault[] => (sendsStored ? faults.filter(({ kind }) => kind !== 'stored') : faults);

/** May a publication of ours carry it, now and with the partitions to come? It sends stored generated columns where it has to. */
export const isFit = (state: WantedTable): boolean =>
  faultsIn(state, true).length === 0 && (state.laterFit || state.assured);

/** Does a publication have to send stored generated columns for these? */
export const needsStored = (states: readonly TableState[]): boolean =>
  states.some(({ faults }) => faults.some(({ kind }) => kind === 'stored'));

/** A table that there is: of a partition its root first, its parent last. */
export type ListedTable = TableName & {
  readonly ancestors: readonly (TableName & { readonly published: boolean })[];
};

/** Every table of the user's own schemas. What is above a partition is taken as published: it would be, where it is wanted. */
export async function listTables(client: Client): Promise<readonly ListedTable[]> {
  const { rows } = await client.query<ListedTable>(
    `with recursive above (leaf, oid, height) as (
       select i.inhrelid, i.inhparent, 1 from pg_inherits i join pg_class c on c.oid = i.inhrelid and c.relispartition
       union all
       select a.leaf, i.inhparent, a.height + 1 from above a
       join pg_class c on c.oid = a.oid and c.relispartition join pg_inherits i on i.inhrelid = c.oid
     ),
     ancestor as (
       select a.leaf, json_agg(json_build_object('schema', n.nspname, 'table', c.relname, 'published', true) order by a.height desc) as names
       from above a join pg_class c on c.oid = a.oid join pg_namespace n on n.oid = c.relnamespace group by a.leaf
     )
     select n.nspname as schema, c.relname as table, coalesce(a.names, '[]') as ancestors
     from pg_class c join pg_namespace n on n.oid = c.relnamespace left join ancestor a on a.leaf = c.oid
     where c.relkind in ('r', 'p') and c.relpersistence = 'p'
       and n.nspname not like 'pg\\_%' and n.nspname <> 'information_schema'
       and not exists (select from pg_depend d where d.classid = 'pg_class'::regclass and d.objid = c.oid and d.deptype = 'e')
     order by 1, 2`,
  );
  return rows;
}

/** What has the name of a table and can be in no publication: `a view`. */
export type OtherRelation = TableName & { readonly what: string };

/** Of `names`, those that are something else than a table with changes. */
export async function readOthers(
  client: Client,
  names: readonly TableName[],
): Promise<readonly OtherRelation[]> {
  if (names.length === 0) return [];
  const { rows } = await client.query<OtherRelation>(
    `select n.nspname as schema, c.relname as table,
       case c.relkind when 'v' then 'a view' when 'm' then 'a materialized view' when 'f' then 'a foreign table'
         else case c.relpersistence when 'u' then 'an unlogged table' else 'a temporary table' end end as what
     from pg_class c join pg_namespace n on n.oid = c.relnamespace
     where (c.relkind in ('v', 'm', 'f') or c.relkind in ('r', 'p') and c.relpersistence <> 'p')
       and (n.nspname, c.relname) in (select * from unnest($1::name[], $2::name[]))
     order by 1, 2`,
    [names.map(({ schema }) => schema), names.map(({ table }) => table)],
  );
  return rows;
}

/** The key of an index that can be an identity, as RelationGetIndexList decides: a deferrable primary key is none. */
const identity = (which: string): string => `
  select array(select k.attnum from unnest(i.indkey::int2[]) with ordinality k (attnum, place) where k.place <= i.indnkeyatts) as columns
  from pg_index i where i.indrelid = c.oid and i.indislive and i.indisvalid and i.indimmediate and i.indisunique
    and i.indpred is null and ${which} limit 1`;

/** The kinds of generated columns among those of a table: `s`, `v`, both. */
const generated = (which = 'true'): string => `
  select string_agg(distinct a.attgenerated::text, '') as kinds from pg_attribute a
  where a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped and a.attgenerated <> '' and ${which}`;

// Postgres' own rule, CheckCmdReplicaIdentity: https://github.com/postgres/postgres/blob/REL_18_STABLE/src/backend/executor/execReplication.c
// It asks the table that holds the row. A foreign or unlogged partition is never published and takes no identity.
const TABLE_STATES = `
  with recursive wanted as (
    select c.oid, n.nspname, n.oid as nspoid, c.relname, c.relkind, c.relowner, pg_get_userbyid(c.relowner) as owner
    from pg_class c join pg_namespace n on n.oid = c.relnamespace
    where c.relkind in ('r', 'p') and c.relpersistence = 'p'
      and (n.nspname, c.relname) in (select * from unnest($1::name[], $2::name[]))
  ),
  below (root, oid) as (
    select oid, oid from wanted
    union select b.root, i.inhrelid from below b join pg_inherits i on i.inhparent = b.oid
      join pg_class c on c.oid = i.inhrelid and c.relispartition
  ),
  above (leaf, oid, height) as (
    select oid, oid, 0 from wanted
    union select a.leaf, i.inhparent, a.height + 1 from above a
      join pg_class c on c.oid = a.oid and c.relispartition join pg_inherits i on i.inhrelid = c.oid
  ),
  leaf as (
    select b.root, n.nspname as schema, c.relname as table, c.relreplident, k.columns,
      case when p.columns is not null then 'fit'
        when exists (select from pg_index i where i.indrelid = c.oid and i.indisprimary) then 'deferrable' else 'none' end as key,
      coalesce(g.kinds, '') like '%v%' as "isVirtual",
      -- Of what Postgres takes for the identity; of all columns, that is the primary key where it only matters what is sent.
      coalesce(case when c.relreplident = 'f' then g.kinds else kg.kinds end, '') as generated,
      coalesce(case when c.relreplident = 'f' then pg.kinds else kg.kinds end, '') as "keyGenerated"
    from below b join pg_class c on c.oid = b.oid join pg_namespace n on n.oid = c.relnamespace
    left join lateral (${identity('i.indisprimary')}) p on true
    left join lateral (${identity("(c.relreplident = 'd' and i.indisprimary or c.relreplident = 'i' and i.indisreplident)")}) k on true
    left join lateral (${generated()}) g on true
    left join lateral (${generated('a.attnum = any (k.columns)')}) kg on true
    left join lateral (${generated('a.attnum = any (p.columns)')}) pg on true
    where c.relkind = 'r' and c.relpersistence = 'p'
  ),
  judged as (
    select *, current_setting('server_version_num')::int >= ${CHECKS_GENERATED} as checks, case
      when relreplident = 'n' then 'nothing'
      when relreplident <> 'f' and columns is null then 'none'
      when current_setting('server_version_num')::int < ${CHECKS_GENERATED} then null
      when generated like '%v%' then 'virtual'
      when generated like '%s%' then 'stored' end as kind
    from leaf
  ),
  whole as (
    select root, json_agg(json_build_object('schema', schema, 'table', "table") order by schema, "table") as leaves,
      json_agg(json_build_object('schema', schema, 'table', "table", 'kind', kind, 'key', key, 'mayBeFull', not "isVirtual",
        'identity', case relreplident when 'd' then 'default' when 'n' then 'nothing' when 'f' then 'full' else 'index' end)
        order by schema, "table") filter (where kind is not null) as faults,
      json_agg(json_build_object('schema', schema, 'table', "table") order by schema, "table")
        filter (where "keyGenerated" <> '' and not checks) as "unsentKeys"
    from judged group by root
  ),
  abroad as (select b.root from below b join pg_class c on c.oid = b.oid where c.relkind = 'f'),
  ancestor as (
    select a.leaf, json_agg(json_build_object('schema', n.nspname, 'table', c.relname) order by a.height desc) as ancestors
    from above a join pg_class c on c.oid = a.oid join pg_namespace n on n.oid = c.relnamespace
    where a.height > 0 group by a.leaf
  )
  select w.nspname as schema, w.relname as table, w.relkind = 'p' as partitioned,
    coalesce(a.ancestors, '[]') as ancestors, coalesce(l.leaves, '[]') as leaves,
    coalesce(l.faults, '[]') as faults, coalesce(l."unsentKeys", '[]') as "unsentKeys",
    w.relkind <> 'p' or exists (select from pg_index i where i.indrelid = w.oid and i.indisprimary and i.indimmediate) as "laterFit",
    exists (select from pg_index i where i.indrelid = w.oid and i.indisprimary and not i.indimmediate) as deferrable,
    w.oid in (select root from abroad) as foreign,
    w.owner::text as owner, pg_has_role(w.relowner, 'USAGE') as owned,
    has_schema_privilege(w.nspoid, 'USAGE') as "schemaUsable",
    has_schema_privilege(w.relowner, w.nspoid, 'USAGE')
      and has_database_privilege(w.relowner, current_database(), 'CREATE') as "ownerMayPublish",
    case when pg_has_role(w.relowner, current_user, 'MEMBER') then null
      when current_setting('server_version_num')::int >= ${GRANTS_INHERIT} then format('GRANT %I TO %I WITH INHERIT TRUE;', w.owner, current_user)
      else format('GRANT %I TO %I;', w.owner, current_user)
        || (select case when rolinherit then '' else format(' ALTER ROLE %I INHERIT;', rolname) end from pg_roles where rolname = current_user)
    end as "grantOwnerSql"
  from wanted w left join whole l on l.root = w.oid left join ancestor a on a.leaf = w.oid
  order by 1, 2`;

/** The state of those of `tables` that exist. */
export async function readTables(
  client: Client,
  tables: readonly TableName[],
): Promise<readonly TableState[]> {
  if (tables.length === 0) return [];
  const { rows } = await client.query<TableState>(TABLE_STATES, [
    tables.map((table) => table.schema),
    tables.map((table) => table.table),
  ]);
  return rows;
}
