// The publication: which tables it carries, which of ours are fit for it, and making one that lists tables by name.
// https://www.postgresql.org/docs/current/logical-replication-publication.html
import { escapeIdentifier, type Client } from 'pg';
import { TailraceError } from '../core/errors.ts';
import { failed, passed, warned, type Finding } from './finding.ts';
import type { DatabaseSettings } from './settings.ts';

export type TableName = { readonly schema: string; readonly table: string };

export const quoteTable = ({ schema, table }: TableName): string =>
  `${escapeIdentifier(schema)}.${escapeIdentifier(table)}`;
const formatTable = ({ schema, table }: TableName): string => `${schema}.${table}`;
const keyOf = ({ schema, table }: TableName): string => JSON.stringify([schema, table]);

export type Publication = {
  readonly name: string;
  readonly publishes: readonly string[];
  readonly viaRoot: boolean;
  readonly tables: readonly TableName[];
};

/** Undefined when there is no such publication in this database. */
export async function readPublication(client: Client, name: string): Promise<Publication | undefined> {
  const { rows } = await client.query<{
    pubinsert: boolean;
    pubupdate: boolean;
    pubdelete: boolean;
    pubtruncate: boolean;
    pubviaroot: boolean;
    tables: TableName[] | null;
  }>(
    `select pubinsert, pubupdate, pubdelete, pubtruncate, pubviaroot,
       (select json_agg(json_build_object('schema', schemaname, 'table', tablename))
        from pg_publication_tables t where t.pubname = p.pubname) as tables
     from pg_publication p where pubname = $1`,
    [name],
  );
  const row = rows[0];
  if (row === undefined) return undefined;
  const actions = [
    ['insert', row.pubinsert],
    ['update', row.pubupdate],
    ['delete', row.pubdelete],
    ['truncate', row.pubtruncate],
  ] as const;
  return {
    name,
    publishes: actions.filter(([, published]) => published).map(([action]) => action),
    viaRoot: row.pubviaroot,
    tables: row.tables ?? [],
  };
}

export type TableState = TableName & {
  readonly partitioned: boolean;
  /** Can Postgres log UPDATE and DELETE of it, in every partition? */
  readonly hasIdentity: boolean;
  /** REPLICA IDENTITY NOTHING somewhere in it. */
  readonly identityNothing: boolean;
  /** May the role add it to a publication? */
  readonly owned: boolean;
};

// A deferrable primary key is no identity. https://www.postgresql.org/docs/current/sql-altertable.html (REPLICA IDENTITY)
const TABLE_STATES = `
  select n.nspname as schema, c.relname as table, c.relkind = 'p' as partitioned,
    bool_and(l.relreplident = 'f'
      or l.relreplident = 'd' and exists (select from pg_index i
           where i.indrelid = l.oid and i.indisprimary and i.indisvalid and i.indimmediate)
      or l.relreplident = 'i' and exists (select from pg_index i
           where i.indrelid = l.oid and i.indisreplident and i.indisvalid)) as "hasIdentity",
    bool_or(l.relreplident = 'n') as "identityNothing",
    pg_has_role(c.relowner, 'USAGE') as owned
  from pg_class c
  join pg_namespace n on n.oid = c.relnamespace
  join lateral (
    select leaf.* from pg_class leaf where leaf.oid = c.oid and c.relkind = 'r'
    union all
    select leaf.* from pg_partition_tree(c.oid) t join pg_class leaf on leaf.oid = t.relid
    where c.relkind = 'p' and (t.isleaf or t.level = 0)
  ) l on true
  where c.relkind in ('r', 'p') and c.relpersistence = 'p' and `;

const GROUP = ' group by n.nspname, c.relname, c.relkind, c.relowner order by 1, 2';

/** The state of `tables` (those that exist); of every table of the user's own schemas when the list is empty. */
export async function readTables(
  client: Client,
  tables: readonly TableName[],
): Promise<readonly TableState[]> {
  if (tables.length === 0) {
    const { rows } = await client.query<TableState>(
      `${TABLE_STATES} not c.relispartition and n.nspname not like 'pg\\_%' and n.nspname <> 'information_schema'
       and not exists (select from pg_depend d where d.objid = c.oid and d.deptype = 'e') ${GROUP}`,
    );
    return rows;
  }
  const { rows } = await client.query<TableState>(
    `${TABLE_STATES} (n.nspname, c.relname) in (select * from unnest($1::name[], $2::name[])) ${GROUP}`,
    [tables.map((table) => table.schema), tables.map((table) => table.table)],
  );
  return rows;
}

/** Each wanted table: there, in the publication, fit for UPDATE and DELETE. */
export function inspectTables(
  wanted: readonly TableName[],
  states: readonly TableState[],
  publication: Publication | undefined,
  settings: DatabaseSettings,
): readonly Finding[] {
  const found = new Map(states.map((state) => [keyOf(state), state]));
  const published = publication && new Set(publication.tables.map(keyOf));
  // Several sinks may want one table.
  const distinct = [...new Map(wanted.map((name) => [keyOf(name), name])).values()];
  const names = wanted.length === 0 ? (publication?.tables ?? states) : distinct;
  return names.map((name): Finding => {
    const title = `table "${formatTable(name)}"`;
    const state = found.get(keyOf(name));
    if (state === undefined) {
      return wanted.length === 0 ? passed(title, 'published') : missingTable(name, settings);
    }
    // A publication of ours leaves tables without an identity out, so that UPDATE goes on working there.
    if (!state.hasIdentity) return withoutIdentity(state, publication !== undefined);
    if (published !== undefined && !published.has(keyOf(name))) {
      return warned({
        code: 'TABLE_NOT_PUBLISHED',
        title,
        detail: `publication "${publication!.name}" does not carry it${partitionHint(state, publication!)}, so no change of it will come`,
        cure: `ALTER PUBLICATION ${escapeIdentifier(publication!.name)} ADD TABLE ${quoteTable(name)};`,
      });
    }
    if (publication === undefined && !state.owned) {
      return failed({
        code: 'TABLE_NOT_OWNED',
        title,
        detail: `role "${settings.username}" does not own it, and only an owner may publish a table`,
        cure: `as its owner: CREATE PUBLICATION ${escapeIdentifier(settings.publication.name)} FOR TABLE ${quoteTable(name)} WITH (publish_via_partition_root = true);`,
      });
    }
    return passed(title, published === undefined ? 'will be published' : 'published');
  });
}

const partitionHint = (state: TableState, publication: Publication): string =>
  state.partitioned && !publication.viaRoot ? ' as a whole (publish_via_partition_root is off)' : '';

const missingTable = (name: TableName, settings: DatabaseSettings): Finding =>
  failed({
    code: 'TABLE_MISSING',
    title: `table "${formatTable(name)}"`,
    detail: `there is no such table in database "${settings.database}"`,
    cure: 'correct the name in the sink (schema.table, capital letters count), or create the table',
  });

const withoutIdentity = (state: TableState, published: boolean): Finding =>
  warned({
    code: 'TABLE_WITHOUT_IDENTITY',
    title: `table "${formatTable(state)}"`,
    detail:
      (state.identityNothing
        ? 'its replica identity is NOTHING'
        : 'it has no primary key and no replica identity') +
      (published
        ? ', so Postgres refuses UPDATE and DELETE on it while it is published'
        : ', so it is left out of the publication'),
    cure:
      (state.identityNothing
        ? `ALTER TABLE ${quoteTable(state)} REPLICA IDENTITY DEFAULT; (with a primary key)`
        : `ALTER TABLE ${quoteTable(state)} ADD PRIMARY KEY (…);`) +
      ` or ALTER TABLE ${quoteTable(state)} REPLICA IDENTITY FULL;`,
  });

/** The publication as such. */
export function inspectPublication(
  publication: Publication | undefined,
  settings: DatabaseSettings,
  tables: readonly TableName[],
): Finding {
  const { name, createIfNotExists, initSql } = settings.publication;
  const title = `publication "${name}"`;
  if (publication === undefined) {
    if (createIfNotExists) return passed(title, 'does not exist yet and will be made');
    if (initSql !== undefined) return passed(title, 'does not exist yet; publication.init_sql will be run');
    const list = tables.length === 0 ? '…' : tables.map(quoteTable).join(', ');
    return failed({
      code: 'PUBLICATION_MISSING',
      title,
      detail: `it does not exist in database "${settings.database}"`,
      cure: `CREATE PUBLICATION ${escapeIdentifier(name)} FOR TABLE ${list} WITH (publish_via_partition_root = true); or publication.create_if_not_exists: true`,
    });
  }
  const missing = ['insert', 'update', 'delete'].filter((action) => !publication.publishes.includes(action));
  if (missing.length > 0) {
    return warned({
      code: 'PUBLICATION_PARTIAL',
      title,
      detail: `it does not publish ${missing.join(', ')}`,
      cure: `ALTER PUBLICATION ${escapeIdentifier(name)} SET (publish = 'insert, update, delete, truncate');`,
    });
  }
  if (publication.tables.length === 0) {
    return warned({
      code: 'PUBLICATION_EMPTY',
      title,
      detail: 'it carries no table, so no change will come',
      cure: `ALTER PUBLICATION ${escapeIdentifier(name)} ADD TABLE …;`,
    });
  }
  return passed(title, `${publication.tables.length} tables`);
}

/**
 * Makes the publication: `init_sql` as given, else the fit tables by name. Never ALL TABLES: that makes UPDATE fail in
 * the application on tables without an identity (architecture: the source, 7).
 */
export async function createPublication(
  client: Client,
  settings: DatabaseSettings,
  states: readonly TableState[],
): Promise<void> {
  const { name, initSql } = settings.publication;
  const fit = states.filter((state) => state.hasIdentity && state.owned);
  if (initSql === undefined && fit.length === 0) {
    throw new TailraceError(
      `database "${settings.name}": publication "${name}" cannot be made: no table has a primary key or another identity`,
      {
        code: 'NOTHING_TO_PUBLISH',
        kind: 'fatal',
        hint:
          states.length === 0
            ? 'create the tables, then start again'
            : `ALTER TABLE ${quoteTable(states[0]!)} ADD PRIMARY KEY (…); or ALTER TABLE ${quoteTable(states[0]!)} REPLICA IDENTITY FULL;`,
      },
    );
  }
  const sql =
    initSql ??
    `CREATE PUBLICATION ${escapeIdentifier(name)} FOR TABLE ${fit.map(quoteTable).join(', ')} WITH (publish_via_partition_root = true)`;
  try {
    await client.query(sql);
  } catch (cause) {
    throw new TailraceError(
      `database "${settings.name}": publication "${name}" cannot be made: ${cause instanceof Error ? cause.message : String(cause)}`,
      {
        code: 'PUBLICATION_NOT_CREATED',
        kind: 'fatal',
        hint:
          initSql === undefined
            ? `GRANT CREATE ON DATABASE ${escapeIdentifier(settings.database)} TO ${escapeIdentifier(settings.username)}; or make it by hand: ${sql};`
            : 'correct publication.init_sql',
        cause,
      },
    );
  }
}
