// A look at a few composite types: what they are made of, whether that is as it was, and whether somebody is about to change it.
import type { Client, QueryResult } from 'pg';
import type { TypeCatalog, TypeInfo } from '../../core/change.ts';
import type { Version } from '../../core/look.ts';
import { readLsn, type Lsn } from '../../core/lsn.ts';
import { latestXid } from '../../pgoutput/enrichment.ts';
import { typeInfo, typeRows, type TypeRow } from '../catalog.ts';
import { WAL_END } from '../preflight/slot.ts';
import { attributesVersion, shapeVersions, xidOf } from './sql.ts';

/** What a type is made of, as one statement saw it. */
export type Shape = {
  readonly version: Version;
  /** Everything inside, by OID; the type itself too. */
  readonly types: TypeCatalog;
  /**
   * The versions of the attributes of the composites inside, by relation: while they are the same, so is all of it. Who changes one
   * has its relation for himself.
   */
  readonly relations: ReadonlyMap<number, Version | null>;
  /** The xid that made it what it is, where nothing was altered since it was created; 0: older than everything. */
  readonly createdBy: number | undefined;
};

export type ShapeLook<Seen> = {
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

const array = (oids: readonly number[]): string => `'{${oids.join(',')}}'::oid[]`;

/** The versions of these relations' attributes, in one exchange with the server. Rejects with what `pg` throws. */
export async function lookAtAttributes(
  client: Client,
  relations: readonly number[],
): Promise<ShapeLook<Version | null>> {
  const answer = await ask(
    client,
    `select ${WAL_END} as "walAfter",
      (select json_agg(json_build_array(relation::int8, ${attributesVersion('relation')}))
       from unnest(${array(relations)}) relation) as seen`,
  );
  return { ...answer, seen: new Map((answer.seen ?? []) as readonly Versioned[]) };
}

type Versioned = readonly [relation: number, version: Version | null];

type ShapeRow = {
  readonly root: number;
  readonly version: Version;
  readonly types: readonly TypeRow[];
  readonly relations: readonly Versioned[];
  readonly created: readonly number[];
  readonly altered: boolean;
};

/** The shapes of these types. Those without a composite inside, and those that are gone, are not in the answer. */
export async function lookAtShapes(client: Client, types: readonly number[]): Promise<ShapeLook<Shape>> {
  // A composite and its relation depend on each other from their creation on, in a row that nothing alters: its writer is the
  // type's creator. https://www.postgresql.org/docs/current/catalog-pg-depend.html (DEPENDENCY_INTERNAL)
  const select = `
    with recursive ${shapeVersions(`select unnest(${array(types)})`)},
    composite as (
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
        'relations', (select json_agg(json_build_array(c.typrelid::int8, ${attributesVersion('c.typrelid')}))
          from composite c where c.root = v.root),
        'created', (select json_agg(coalesce(c.creator, 0)) from composite c where c.root = v.root),
        'altered', (select bool_or(c.altered or c.born is null) from composite c where c.root = v.root))), '[]')
      from shape_version v) as seen`;
  const answer = await ask(client, select);
  const shapes = answer.seen as readonly ShapeRow[];
  return { ...answer, seen: new Map(shapes.map((shape) => [shape.root, shapeOf(shape)])) };
}

const shapeOf = ({ version, types, relations, created, altered }: ShapeRow): Shape => ({
  version,
  types: new Map(types.map((type) => [type.oid, typeInfo(type)] as [number, TypeInfo])),
  relations: new Map(relations),
  createdBy: altered ? undefined : created.reduce(latestXid),
});

type Answer = { readonly seen: unknown; readonly locked: ReadonlySet<number>; readonly walAfter: Lsn };

/** Two statements in one exchange, each with a snapshot of its own. https://www.postgresql.org/docs/current/protocol-flow.html#PROTOCOL-FLOW-MULTI-STATEMENT */
async function ask(client: Client, select: string): Promise<Answer> {
  const results = (await client.query(`${LOCKED}; ${select}`)) as unknown as readonly QueryResult[];
  const { relations } = results[0]!.rows[0] as { relations: readonly number[] };
  const { walAfter, seen } = results[1]!.rows[0] as { walAfter: string; seen: unknown };
  return { seen, locked: new Set(relations), walAfter: readLsn(walAfter) };
}
