// A look at a few composite types: have their shapes the versions that they had, and is nobody about to change one?
import type { Client, QueryResult } from 'pg';
import type { TypeCatalog, TypeInfo } from '../../core/change.ts';
import type { Version } from '../../core/look.ts';
import { parseLsn, ZERO_LSN, type Lsn } from '../../core/lsn.ts';
import { latestXid } from '../../pgoutput/enrichment.ts';
import { typeInfo, typeRows, type TypeRow } from '../catalog.ts';
import { WAL_END } from '../look.ts';
import { shapeVersions, xidOf } from './sql.ts';

/** What a type is made of, as one statement saw it. */
export type Shape = {
  readonly version: Version;
  /** Everything inside, by OID; the type itself too. */
  readonly types: TypeCatalog;
  /** The relations of the composites inside: who changes one has its relation for himself. */
  readonly relations: readonly number[];
  /** The xid that made it what it is, where nothing was altered since it was created; 0: older than everything. */
  readonly createdBy: number | undefined;
};

export type ShapeLook<Seen> = {
  /** By OID of the type; types without a composite inside, and those that are gone, are not there. */
  readonly seen: ReadonlyMap<number, Seen>;
  /** Relations that somebody had for himself before the look: what he does may be in the WAL, and not be seen. */
  readonly locked: ReadonlySet<number>;
  /** Where the WAL ended after the look. */
  readonly walAfter: Lsn;
};

/**
 * Who changes attributes has the relation for himself until everybody can see it: so who has it must be asked first, in a
 * statement of its own, for a statement sees what was there when it began. Prepared transactions are in it too.
 * https://www.postgresql.org/docs/current/explicit-locking.html
 */
const LOCKED = `select coalesce(json_agg(distinct relation::int8), '[]') as relations from pg_locks
  where locktype = 'relation' and granted and mode = 'AccessExclusiveLock'
    and database = (select oid from pg_database where datname = current_database())`;

const named = (types: readonly number[]): string => `select unnest('{${types.join(',')}}'::oid[])`;

/** The versions of these types' shapes, in one exchange with the server. Rejects with what `pg` throws. */
export async function lookAtVersions(client: Client, types: readonly number[]): Promise<ShapeLook<Version>> {
  const select = `select ${WAL_END} as "walAfter",
      (select coalesce(json_agg(json_build_array(root::int8, version)), '[]') from shape_version) as seen`;
  const answer = await ask(client, types, select);
  return { ...answer, seen: new Map(answer.seen as readonly (readonly [number, Version])[]) };
}

type ShapeRow = {
  readonly root: number;
  readonly version: Version;
  readonly types: readonly TypeRow[];
  readonly relations: readonly number[];
  readonly created: readonly number[];
  readonly altered: boolean;
};

/** The same, with the shapes themselves. */
export async function lookAtShapes(client: Client, types: readonly number[]): Promise<ShapeLook<Shape>> {
  // A composite and its relation depend on each other from their creation on, in a row that nothing alters: its writer is the
  // type's creator. https://www.postgresql.org/docs/current/catalog-pg-depend.html (DEPENDENCY_INTERNAL)
  const select = `
    , composite as (
      select p.root, t.typrelid, b.born, b.creator,
        exists (select from pg_attribute a where a.attrelid = t.typrelid and a.attnum > 0
          and a.xmin::text is distinct from b.born) as altered
      from shape_part p join pg_type t on t.oid = p.oid and t.typtype = 'c'
      left join lateral (
        select d.xmin::text as born, ${xidOf('d', 'pg_depend')} as creator from pg_depend d
        where d.deptype = 'i' and (
          d.classid = 'pg_catalog.pg_class'::regclass and d.objid = t.typrelid and d.objsubid = 0
            and d.refclassid = 'pg_catalog.pg_type'::regclass and d.refobjid = t.oid
          or d.classid = 'pg_catalog.pg_type'::regclass and d.objid = t.oid
            and d.refclassid = 'pg_catalog.pg_class'::regclass and d.refobjid = t.typrelid)
        limit 1) b on true
    )
    select ${WAL_END} as "walAfter", (
      select coalesce(json_agg(json_build_object('root', v.root::int8, 'version', v.version,
        'types', (select json_agg(r) from (${typeRows('select p.oid from shape_part p where p.root = v.root')}) r),
        'relations', (select json_agg(c.typrelid::int8) from composite c where c.root = v.root),
        'created', (select json_agg(coalesce(c.creator, 0)) from composite c where c.root = v.root),
        'altered', (select bool_or(c.altered or c.born is null) from composite c where c.root = v.root))), '[]')
      from shape_version v) as seen`;
  const answer = await ask(client, types, select);
  const shapes = answer.seen as readonly ShapeRow[];
  return { ...answer, seen: new Map(shapes.map((shape) => [shape.root, shapeOf(shape)])) };
}

const shapeOf = ({ version, types, relations, created, altered }: ShapeRow): Shape => ({
  version,
  types: new Map(types.map((type) => [type.oid, typeInfo(type)] as [number, TypeInfo])),
  relations,
  createdBy: altered ? undefined : created.reduce(latestXid),
});

type Answer = { readonly seen: unknown; readonly locked: ReadonlySet<number>; readonly walAfter: Lsn };

/** Two statements in one exchange, each with a snapshot of its own. https://www.postgresql.org/docs/current/protocol-flow.html#PROTOCOL-FLOW-MULTI-STATEMENT */
async function ask(client: Client, types: readonly number[], select: string): Promise<Answer> {
  const results = (await client.query(
    `${LOCKED}; with recursive ${shapeVersions(named(types))} ${select}`,
  )) as unknown as readonly QueryResult[];
  const { relations } = results[0]!.rows[0] as { relations: readonly number[] };
  const { walAfter, seen } = results[1]!.rows[0] as { walAfter: string; seen: unknown };
  return { seen, locked: new Set(relations), walAfter: parseLsn(walAfter) ?? ZERO_LSN };
}
