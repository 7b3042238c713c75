// Takes a look: the row versions of what decides which rows are streamed and what they look like, folded by the server.
//
// A row version is (oid, xmin): it differs after every ALTER, also after one that was undone, and outlives VACUUM FULL and
// FREEZE. Only SQL reads the catalog here, no catalog function: these see newer rows than the statement's snapshot.
import type { Client } from 'pg';
import { readLsn, type Lsn } from '../core/lsn.ts';
import {
  ALL_OF_IT,
  PUBLISHED_ACTIONS,
  type CatalogVersions,
  type Look,
  type LookedAt,
  type PublicationVersions,
  type TableVersions,
  type Version,
} from '../core/look.ts';
import { WAL_END, walEnd } from './preflight/slot.ts';
import { FIRST_OWN_OID, shapeVersions } from './shapes/sql.ts';
import { FIRST_USER_OID, HAS_MULTIRANGES, HAS_SCHEMA_ENTRIES } from './versions.ts';

/** Ids are compared in a circle: half of them are past. https://www.postgresql.org/docs/current/transaction-id.html */
const HALF_XIDS = 2n ** 31n;

/** Everything that is folded, as common table expressions; `$1` is the publication's name. */
const versions = (serverVersion: number): string => `
  with recursive pub as (
    select oid, oid::text || ':' || xmin::text as version, puballtables,
      pubinsert, pubupdate, pubdelete, pubtruncate
    from pg_publication where pubname = $1
  ),
  entry as (
    select r.prrelid as relid, r.oid::text || ':' || r.xmin::text as version,
      case when coalesce(to_jsonb(r) ->> 'prattrs', to_jsonb(r) ->> 'prqual') is null then '${ALL_OF_IT}'
        else hashtextextended(concat_ws('|', to_jsonb(r) ->> 'prattrs', to_jsonb(r) ->> 'prqual'), 0)::text end as says
    from pg_publication_rel r join pub on r.prpubid = pub.oid
  ),
  schema_entry as (${
    serverVersion >= HAS_SCHEMA_ENTRIES
      ? `select n.pnnspid as nspid, n.oid::text || ':' || n.xmin::text as version
         from pg_publication_namespace n join pub on n.pnpubid = pub.oid`
      : 'select 0::oid as nspid, null::text as version where false'
  }),
  base as (
    select c.oid, n.nspname, c.relname, e.version as member, e.says,
      s.version as schema_member
    from pg_class c cross join pub
    join pg_namespace n on n.oid = c.relnamespace
    left join entry e on e.relid = c.oid
    left join schema_entry s on s.nspid = c.relnamespace
    where c.relkind in ('r', 'p') and c.relpersistence = 'p' and c.oid >= ${FIRST_USER_OID}
      and (pub.puballtables or e.relid is not null or s.nspid is not null)
  ),
  family (root, oid) as (
    select oid, oid from base
    union
    select f.root, c.oid from family f join pg_inherits i on i.inhparent = f.oid
      join pg_class c on c.oid = i.inhrelid and c.relispartition
  ),
  over (oid, above) as (
    select b.oid, i.inhparent from base b join pg_class c on c.oid = b.oid and c.relispartition join pg_inherits i on i.inhrelid = b.oid
    union
    select o.oid, i.inhparent from over o join pg_class c on c.oid = o.above and c.relispartition join pg_inherits i on i.inhrelid = o.above
  ),
  part (root, oid) as (
    select f.root, a.atttypid from family f
      join pg_attribute a on a.attrelid = f.oid and a.attnum > 0 and a.atttypid >= ${FIRST_USER_OID}
    union
    select p.root, inner_type.oid from part p join pg_type t on t.oid = p.oid
      cross join lateral (
        select t.typbasetype union all select t.typelem
        union all select a.atttypid from pg_attribute a where a.attrelid = t.typrelid and a.attnum > 0
        union all select r.rngsubtype from pg_range r where r.rngtypid = t.oid
        ${serverVersion >= HAS_MULTIRANGES ? 'union all select r.rngtypid from pg_range r where r.rngmultitypid = t.oid' : ''}
      ) inner_type (oid)
      where inner_type.oid >= ${FIRST_USER_OID}
  ),
  ${shapeVersions(`select distinct a.atttypid from family f
      join pg_attribute a on a.attrelid = f.oid and a.attnum > 0 and a.atttypid >= ${FIRST_OWN_OID}`)},
  fact (root, version) as (
    select f.root, 'c' || c.oid || ':' || c.xmin from family f join pg_class c on c.oid = f.oid
    union all select f.root, 'a' || a.attrelid || '.' || a.attnum || ':' || a.xmin
      from family f join pg_attribute a on a.attrelid = f.oid and a.attnum > 0
    union all select f.root, 'i' || i.indexrelid || ':' || i.xmin from family f join pg_index i on i.indrelid = f.oid
    union all select f.root, 'h' || i.inhrelid || '<' || i.inhparent || ':' || i.xmin
      from family f join pg_inherits i on i.inhrelid = f.oid
    union all select p.root, 't' || t.oid || ':' || t.xmin from part p join pg_type t on t.oid = p.oid
    union all select p.root, 'e' || e.oid || ':' || e.xmin from part p join pg_enum e on e.enumtypid = p.oid
    union all select p.root, 'd' || a.attrelid || '.' || a.attnum || ':' || a.xmin
      from part p join pg_type t on t.oid = p.oid join pg_attribute a on a.attrelid = t.typrelid and a.attnum > 0
  ),
  shape as (
    select root, hashtextextended(string_agg(version, ',' order by version collate "C"), 0)::text as shape
    from fact group by root
  ),
  line as (
    select b.*, s.shape,
      concat_ws('|', b.oid, b.nspname, b.relname, b.member, b.says, b.schema_member, s.shape) as text
    from base b join shape s on s.root = b.oid
  )`;

/** One row whatever there is: the fold, the snapshot, and where the WAL ended after it was taken. */
const SEEN = `
    pg_current_snapshot()::text as snapshot, ${WAL_END} as "walAfter",
    (extract(epoch from pg_postmaster_start_time()) * 1000000)::int8::text as "startedAtUs",
    coalesce(host(inet_server_addr()) || ':' || inet_server_port(), '') as address,
    hashtextextended(coalesce((select version from pub), '') || ';' ||
      coalesce((select string_agg(text, ';' order by oid) from line), '') || ';' ||
      coalesce((select string_agg(root || ':' || version, ';' order by root) from shape_version), ''), 0)::text as fold`;

const DETAILS = `
    (select json_build_object('oid', oid::int8, 'version', version, 'insert', pubinsert, 'update', pubupdate,
       'delete', pubdelete, 'truncate', pubtruncate) from pub) as publication,
    (select json_agg(json_strip_nulls(json_build_object('oid', l.oid::int8, 'schema', l.nspname, 'table', l.relname,
       'member', l.member, 'entry', l.says, 'schemaMember', l.schema_member, 'shape', l.shape,
       'partitions', p.names, 'above', above.names)) order by l.oid)
     from line l left join (
       select f.root, json_agg(json_build_object('oid', c.oid::int8, 'schema', n.nspname, 'table', c.relname)) as names
       from family f join pg_class c on c.oid = f.oid join pg_namespace n on n.oid = c.relnamespace
       where f.root <> f.oid group by f.root) p on p.root = l.oid
     left join (
       select o.oid, json_agg(json_build_object('schema', n.nspname, 'table', c.relname)) as names
       from over o join pg_class c on c.oid = o.above join pg_namespace n on n.oid = c.relnamespace
       group by o.oid) above on above.oid = l.oid) as tables,
    (select json_object_agg(root::int8, version order by root) from shape_version) as types`;

type SeenRow = {
  readonly snapshot: string;
  readonly walAfter: string;
  readonly startedAtUs: string;
  readonly address: string;
  readonly fold: string;
};

type DetailRow = SeenRow & {
  readonly publication:
    (Pick<PublicationVersions, 'oid' | 'version'> & Readonly<Record<Published, boolean>>) | null;
  readonly tables: readonly TableVersions[] | null;
  readonly types: Readonly<Record<string, Version>> | null;
};

type Published = (typeof PUBLISHED_ACTIONS)[number];

export type LookRequest = {
  readonly publication: string;
  readonly serverVersion: number;
  /** Of the server, what the connection has told already. */
  readonly server: Pick<LookedAt, 'systemIdentifier' | 'timeline' | 'switches'>;
  /** The look before: where nothing differs from it, no details are asked. */
  readonly previous: Look | undefined;
  readonly at: Date;
};

/** Rejects with what `pg` throws. */
export async function takeLook(client: Client, request: LookRequest): Promise<Look> {
  const { previous } = request;
  // In this order: what commits later ends behind the first, and what had begun then is in the second or third.
  const walBefore = await walEnd(client);
  const running = await runningXids(client);
  if (previous !== undefined) {
    const { rows } = await client.query<SeenRow>(`${versions(request.serverVersion)} select ${SEEN}`, [
      request.publication,
    ]);
    const seen = rows[0]!;
    if (seen.fold === previous.fold && request.publication === previous.publication)
      return lookOf(request, { walBefore, running, seen, catalog: previous.catalog });
  }
  const { rows } = await client.query<DetailRow>(
    `${versions(request.serverVersion)} select ${SEEN}, ${DETAILS}`,
    [request.publication],
  );
  const seen = rows[0]!;
  return lookOf(request, { walBefore, running, seen, catalog: catalogOf(seen) });
}

/** The ids of transactions that run, those that wait for their commit included: each holds a lock on its own id. */
export async function runningXids(client: Client): Promise<readonly number[]> {
  const { rows } = await client.query<{ xids: readonly number[] }>(
    `select coalesce(json_agg(transactionid::text::int8), '[]') as xids from pg_locks
     where locktype = 'transactionid' and granted`,
  );
  return rows[0]!.xids;
}

/** One more than the highest id that was given out, from the ids of 32 bits that run and a snapshot's `xmax`. */
export function begunBefore(running: readonly number[], xmax: bigint): bigint {
  let begun = xmax;
  for (const xid of running) {
    const ahead = (BigInt(xid) - xmax) & 0xffff_ffffn;
    if (ahead < HALF_XIDS && xmax + ahead >= begun) begun = xmax + ahead + 1n;
  }
  return begun;
}

type Seen = {
  readonly walBefore: Lsn;
  readonly running: readonly number[];
  readonly seen: SeenRow;
  readonly catalog: CatalogVersions;
};

function lookOf({ publication, server, at }: LookRequest, { walBefore, running, seen, catalog }: Seen): Look {
  const [xmin, xmax] = seen.snapshot.split(':');
  return {
    at: at.toISOString(),
    publication,
    server: { ...server, address: seen.address, startedAtUs: seen.startedAtUs },
    walBefore,
    walAfter: readLsn(seen.walAfter),
    xmin: BigInt(xmin!),
    begun: begunBefore(running, BigInt(xmax!)),
    fold: seen.fold,
    catalog,
  };
}

function catalogOf({ publication, tables, types }: DetailRow): CatalogVersions {
  if (publication === null) return { tables: [] };
  const { oid, version } = publication;
  return {
    publication: { oid, version, publishes: PUBLISHED_ACTIONS.filter((action) => publication[action]) },
    tables: tables ?? [],
    ...(types !== null && { types }),
  };
}
