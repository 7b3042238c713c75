// The shapes that a table can have as far as its writes depend on publications: each with a write of every kind, to be run again and again.
import type { Client } from 'pg';

export type TableShape = {
  readonly name: string;
  /** Makes the tables in the schema that is named first in the search path. */
  readonly make: string;
  /** Made in a schema whose sinks say that partitions have an identity. */
  readonly assured?: boolean;
  /** DDL that comes later, while the table may be published. */
  readonly later?: string;
  /** One of each; each changes one row. */
  readonly writes?: readonly [insert: string, update: string, remove: string];
  /** The first major version that has it. */
  readonly since?: number;
};

const T_WRITES = [
  'insert into t (id, a) values (1, 1)',
  'update t set a = 2 where id = 1',
  'delete from t where id = 1',
] as const;

const onTable = (table: string) =>
  [
    `insert into ${table} (id, a) values (1, 1)`,
    `update ${table} set a = 2 where id = 1`,
    `delete from ${table} where id = 1`,
  ] as const;

const writesOf = ({ writes = T_WRITES }: TableShape): readonly string[] => writes;

const COLUMNS = 'id int not null, a int';
const STORED = 'g int generated always as (id * 2) stored';
const VIRTUAL = 'v int generated always as (id * 2) virtual';
const ROOT = `create table t (${COLUMNS}) partition by range (id)`;
const KEYED_ROOT = `create table t (${COLUMNS}, primary key (id)) partition by range (id)`;
const LEAF = 'create table t1 partition of t for values from (0) to (100)';
const FULL = 'alter table t replica identity full';

/** Made before the publication, or after others have joined it. */
export const SHAPES: readonly TableShape[] = [
  { name: 'primary key', make: `create table t (${COLUMNS}, primary key (id))` },
  {
    name: 'primary key of several columns',
    make: `create table t (${COLUMNS} not null default 1, b int default 3, primary key (b, id))`,
  },
  {
    name: 'odd names',
    make: 'create table "T.""x" (id int primary key, a int)',
    writes: onTable('"T.""x"'),
  },
  { name: 'no key', make: `create table t (${COLUMNS})` },
  { name: 'no key, FULL', make: `create table t (${COLUMNS}); ${FULL}` },
  { name: 'primary key, FULL', make: `create table t (${COLUMNS}, primary key (id)); ${FULL}` },
  {
    name: 'primary key, NOTHING',
    make: `create table t (${COLUMNS}, primary key (id)); alter table t replica identity nothing`,
  },
  { name: 'no key, NOTHING', make: `create table t (${COLUMNS}); alter table t replica identity nothing` },
  {
    name: 'identity by index',
    make: `create table t (${COLUMNS}); create unique index u on t (id); alter table t replica identity using index u`,
  },
  {
    name: 'identity by index, which is gone',
    make: `create table t (${COLUMNS}); create unique index u on t (id); alter table t replica identity using index u; drop index u`,
  },
  {
    name: 'the same, with a primary key',
    make: `create table t (${COLUMNS}, primary key (id)); create unique index u on t (id); alter table t replica identity using index u; drop index u`,
  },
  { name: 'deferrable primary key', make: `create table t (${COLUMNS}, primary key (id) deferrable)` },
  {
    name: 'deferrable primary key, FULL',
    make: `create table t (${COLUMNS}, primary key (id) deferrable); ${FULL}`,
  },
  { name: 'unique index that is no identity', make: `create table t (${COLUMNS} , unique (id))` },
  {
    name: 'stored generated column, primary key',
    make: `create table t (${COLUMNS}, ${STORED}, primary key (id))`,
  },
  { name: 'stored generated column, FULL', make: `create table t (${COLUMNS}, ${STORED}); ${FULL}` },
  { name: 'stored generated column is the key', make: `create table t (${COLUMNS}, ${STORED} primary key)` },
  {
    name: 'stored generated column in the identity index',
    make: `create table t (${COLUMNS}, ${STORED} not null); create unique index u on t (g); alter table t replica identity using index u`,
  },
  {
    name: 'stored generated column beside the key in its index',
    make: `create table t (${COLUMNS}, ${STORED}, primary key (id) include (g))`,
  },
  {
    name: 'virtual generated column, primary key',
    since: 18,
    make: `create table t (${COLUMNS}, ${VIRTUAL}, primary key (id))`,
  },
  {
    name: 'virtual generated column, FULL',
    since: 18,
    make: `create table t (${COLUMNS}, ${VIRTUAL}); ${FULL}`,
  },
  {
    name: 'virtual and stored generated columns, FULL',
    since: 18,
    make: `create table t (${COLUMNS}, ${STORED}, ${VIRTUAL}); ${FULL}`,
  },
  {
    name: 'INHERITS: child without a key',
    make: `create table t (${COLUMNS}, primary key (id)); create table c () inherits (t)`,
    writes: onTable('c'),
  },
  {
    name: 'INHERITS: child with a key, updated through its parent',
    make: `create table t (${COLUMNS}, primary key (id)); create table c (primary key (id)) inherits (t)`,
    writes: [onTable('c')[0], T_WRITES[1], T_WRITES[2]],
  },
  {
    name: 'INHERITS: grandchild without a key, updated through its parent',
    make: `create table t (${COLUMNS}, primary key (id)); create table c (primary key (id)) inherits (t); create table d () inherits (c)`,
    writes: [onTable('d')[0], T_WRITES[1], T_WRITES[2]],
  },
  {
    name: 'INHERITS: parent without a key',
    make: `create table t (${COLUMNS}); create table c (primary key (id)) inherits (t)`,
    writes: onTable('c'),
  },
  { name: 'partitions, primary key', make: `${KEYED_ROOT}; ${LEAF}` },
  {
    name: 'partitions, none yet',
    make: KEYED_ROOT,
    writes: [`${LEAF}; ${T_WRITES[0]}`, T_WRITES[1], `${T_WRITES[2]}; drop table t1`],
  },
  {
    name: 'partitions, none yet, deferrable primary key',
    make: KEYED_ROOT.replace('primary key (id)', 'primary key (id) deferrable'),
    writes: [`${LEAF}; ${T_WRITES[0]}`, T_WRITES[1], `${T_WRITES[2]}; drop table t1`],
  },
  {
    name: 'partitions, each with its own key',
    make: `${ROOT}; ${LEAF}; alter table t1 add primary key (id)`,
  },
  { name: 'partitions, no key', make: `${ROOT}; ${LEAF}` },
  { name: 'partitions, all FULL', make: `${ROOT}; ${LEAF}; ${FULL}; alter table t1 replica identity full` },
  { name: 'partitions, root FULL, leaf without identity', make: `${ROOT}; ${LEAF}; ${FULL}` },
  {
    name: 'partitions, leaf NOTHING',
    make: `${KEYED_ROOT}; ${LEAF}; alter table t1 replica identity nothing`,
  },
  {
    name: 'partitions, leaf FULL with a stored generated column',
    make: `create table t (${COLUMNS}, ${STORED}, primary key (id)) partition by range (id); ${LEAF}; alter table t1 replica identity full`,
  },
  {
    name: 'partitions, leaf FULL with a virtual generated column',
    since: 18,
    make: `create table t (${COLUMNS}, ${VIRTUAL}, primary key (id)) partition by range (id); ${LEAF}; alter table t1 replica identity full`,
  },
  {
    name: 'partitions of partitions',
    make: `${KEYED_ROOT}; create table m partition of t for values from (0) to (100) partition by range (id); create table t1 partition of m for values from (0) to (50)`,
  },
  {
    name: 'partitions of partitions, the lowest without identity',
    make: `${ROOT}; create table m partition of t for values from (0) to (100) partition by range (id); create table t1 partition of m for values from (0) to (50)`,
  },
  {
    name: 'partitions, a foreign one',
    make: `${KEYED_ROOT.replace(', primary key (id)', '')}; ${LEAF}; alter table t1 add primary key (id); create foreign table t2 partition of t for values from (100) to (200) server nowhere`,
  },
  {
    name: 'partitions, rows that move',
    make: `${KEYED_ROOT}; ${LEAF}; create table t2 partition of t for values from (100) to (200)`,
    writes: [
      'insert into t values (1, 1)',
      'update t set id = 101 where id = 1',
      'delete from t where id = 101',
    ],
  },
  {
    name: 'partitions, a sink says that each has an identity',
    assured: true,
    make: `${ROOT}; ${LEAF}; ${FULL}; alter table t1 replica identity full`,
  },
  { name: 'unlogged', make: `create unlogged table t (${COLUMNS})` },
  {
    name: 'merged into, no key',
    since: 15,
    make: `create table t (${COLUMNS})`,
    writes: [
      T_WRITES[0],
      'merge into t using (select 1 as id) s on t.id = s.id when matched then update set a = 3',
      T_WRITES[2],
    ],
  },
  {
    name: 'upserted into, no identity',
    make: `create table t (${COLUMNS}, primary key (id)); alter table t replica identity nothing`,
    writes: [T_WRITES[0], 'insert into t values (1, 1) on conflict (id) do update set a = 4', T_WRITES[2]],
  },
];

/** Made fit, and broken by DDL after they have joined. */
export const BROKEN_LATER: readonly TableShape[] = [
  {
    name: 'the primary key is dropped',
    make: `create table t (${COLUMNS}, primary key (id))`,
    later: 'alter table t drop constraint t_pkey',
  },
  {
    name: 'the identity’s index is dropped',
    make: `create table t (${COLUMNS}); create unique index u on t (id); alter table t replica identity using index u`,
    later: 'drop index u',
  },
  {
    name: 'the identity becomes NOTHING',
    make: `create table t (${COLUMNS}, primary key (id))`,
    later: 'alter table t replica identity nothing',
  },
  {
    name: 'FULL becomes default, without a key',
    make: `create table t (${COLUMNS}); ${FULL}`,
    later: 'alter table t replica identity default',
  },
  {
    name: 'the key becomes deferrable',
    make: `create table t (${COLUMNS}, primary key (id))`,
    later: 'alter table t drop constraint t_pkey, add primary key (id) deferrable',
  },
  {
    name: 'a stored generated column comes to FULL',
    make: `create table t (${COLUMNS}); ${FULL}`,
    later: `alter table t add ${STORED}`,
  },
  {
    name: 'a stored generated column becomes the key',
    make: `create table t (${COLUMNS}, ${STORED}, primary key (id))`,
    later: 'alter table t drop constraint t_pkey, add primary key (g)',
  },
  {
    name: 'a virtual generated column comes to FULL',
    since: 18,
    make: `create table t (${COLUMNS}); ${FULL}`,
    later: `alter table t add ${VIRTUAL}`,
  },
  {
    name: 'a table with a virtual generated column becomes FULL',
    since: 18,
    make: `create table t (${COLUMNS}, ${VIRTUAL}, primary key (id))`,
    later: FULL,
  },
  {
    name: 'a new partition under a FULL root',
    assured: true,
    make: `${ROOT}; ${LEAF}; ${FULL}; alter table t1 replica identity full`,
    later: 'create table t2 partition of t for values from (100) to (200)',
    writes: [
      'insert into t values (101, 1)',
      'update t set a = 2 where id = 101',
      'delete from t where id = 101',
    ],
  },
  {
    name: 'a partition without identity is attached',
    assured: true,
    make: `${ROOT}; ${LEAF}; alter table t1 add primary key (id)`,
    later: `create table t2 (${COLUMNS}); alter table t attach partition t2 for values from (100) to (200)`,
    writes: [
      'insert into t values (101, 1)',
      'update t set a = 2 where id = 101',
      'delete from t where id = 101',
    ],
  },
  {
    name: 'a partition becomes NOTHING',
    make: `${KEYED_ROOT}; ${LEAF}`,
    later: 'alter table t1 replica identity nothing',
  },
  {
    name: 'the root’s primary key is dropped',
    make: `${KEYED_ROOT}; ${LEAF}`,
    later: 'alter table t drop constraint t_pkey',
  },
];

/** Makes a shape in a schema of its own. */
export async function makeShape(client: Client, schema: string, { make }: TableShape): Promise<void> {
  await client.query(
    `create schema ${schema}; set search_path to ${schema}; ${make}; set search_path to default`,
  );
}

export const alterShape = async (client: Client, schema: string, { later = '' }: TableShape): Promise<void> =>
  void (await client.query(`set search_path to ${schema}; ${later}; set search_path to default`));

/** What each write of a shape comes to, one after the other: `ok`, or the error's code. */
export async function runWrites(
  client: Client,
  schema: string,
  shape: TableShape,
): Promise<readonly string[]> {
  await client.query(`set search_path to ${schema}`);
  const outcomes: string[] = [];
  for (const sql of writesOf(shape)) {
    try {
      await client.query(sql);
      outcomes.push('ok');
    } catch (error) {
      outcomes.push((error as { code?: string }).code ?? String(error));
    }
  }
  await client.query('set search_path to default');
  return outcomes;
}
