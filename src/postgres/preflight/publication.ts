// The publication: which tables it carries, whether it is ours to change, making it and adding to it, tables by name.
// https://www.postgresql.org/docs/current/logical-replication-publication.html
import { escapeIdentifier, type Client } from 'pg';
import { TailraceError } from '../../core/errors.ts';
import type { TableName } from '../../core/selection.ts';
import type { DatabaseSettings } from '../settings.ts';
import { quoteTable, type TableState } from './tables.ts';

export type Publication = {
  readonly name: string;
  readonly publishes: readonly string[];
  readonly viaRoot: boolean;
  readonly tables: readonly TableName[];
  /** Did we make it? Its list of tables is then ours to keep. */
  readonly kept: boolean;
  /** May our role change it? */
  readonly changeable: boolean;
};

/** The comment on a publication of ours: it tells it from one whose list somebody keeps by hand. */
const KEPT_COMMENT = 'kept by Tailrace';

/** Undefined when there is no such publication in this database. */
export async function readPublication(client: Client, name: string): Promise<Publication | undefined> {
  const { rows } = await client.query<{
    pubinsert: boolean;
    pubupdate: boolean;
    pubdelete: boolean;
    pubtruncate: boolean;
    pubviaroot: boolean;
    kept: boolean;
    changeable: boolean;
    tables: TableName[] | null;
  }>(
    // A partition listed beside its root is a member that pg_publication_tables does not show.
    `select pubinsert, pubupdate, pubdelete, pubtruncate, pubviaroot,
       pg_has_role(pubowner, 'USAGE') as changeable,
       coalesce(obj_description(p.oid, 'pg_publication') = '${KEPT_COMMENT}', false) as kept,
       (select json_agg(json_build_object('schema', schema, 'table', "table")) from (
          select schemaname as schema, tablename as "table" from pg_publication_tables t where t.pubname = p.pubname
          union select n.nspname, c.relname from pg_publication_rel r
          join pg_class c on c.oid = r.prrelid join pg_namespace n on n.oid = c.relnamespace
          where r.prpubid = p.oid) members) as tables
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
    kept: row.kept,
    changeable: row.changeable,
  };
}

/** Is the list of tables ours to keep? One that the user made is taken as it is. */
export const isOurs = (publication: Publication | undefined, settings: DatabaseSettings): boolean =>
  settings.publication.createIfNotExists &&
  settings.publication.initSql === undefined &&
  (publication === undefined || (publication.kept && publication.changeable));

/** A role that reads only by default makes and changes its publication nevertheless. All else is the role's own. */
const MAY_WRITE = 'SET default_transaction_read_only = off';

/**
 * Makes the publication: `init_sql` as given, else the fit tables by name. Never ALL TABLES nor IN SCHEMA: these make
 * UPDATE fail in the application on tables without an identity (architecture §4, 7). Answers what it lists.
 * `client`: a plain session of the role, as the user's SQL and event triggers expect it.
 * `mayBeEmpty`: tables that are made later can still join it.
 */
export async function createPublication(
  client: Client,
  settings: DatabaseSettings,
  { states, mayBeEmpty }: { readonly states: readonly TableState[]; readonly mayBeEmpty: boolean },
): Promise<readonly TableName[]> {
  const { name, initSql } = settings.publication;
  const fit = states.filter((state) => state.hasIdentity && state.owned);
  if (initSql === undefined && fit.length === 0 && !mayBeEmpty) throw nothingToPublish(settings, states);
  const list = fit.length === 0 ? '' : ` FOR TABLE ${fit.map(quoteTable).join(', ')}`;
  const sql =
    initSql ?? `CREATE PUBLICATION ${escapeIdentifier(name)}${list} WITH (publish_via_partition_root = true)`;
  try {
    // Statements of one message are one transaction: killed between two, a publication without its comment would be nobody's.
    // https://www.postgresql.org/docs/current/protocol-flow.html#PROTOCOL-FLOW-MULTI-STATEMENT
    const comment = `COMMENT ON PUBLICATION ${escapeIdentifier(name)} IS '${KEPT_COMMENT}'`;
    if (initSql === undefined) await client.query(MAY_WRITE);
    await client.query(initSql ?? `${sql}; ${comment}`);
  } catch (cause) {
    throw await creationFault(client, settings, sql, cause);
  }
  return initSql === undefined ? fit : [];
}

/** Somebody made it since it was looked for: it exists, or its name is being taken. https://www.postgresql.org/docs/current/errcodes-appendix.html */
const MADE_MEANWHILE: readonly unknown[] = ['42710', '23505'];
const NOT_ALLOWED = '42501';

async function creationFault(
  client: Client,
  settings: DatabaseSettings,
  sql: string,
  cause: unknown,
): Promise<unknown> {
  const { name, initSql } = settings.publication;
  const { code: sqlState, message } = cause as { code?: unknown; message: string };
  if (typeof sqlState !== 'string' || !/^[0-9A-Z]{5}$/.test(sqlState)) return cause;
  const fault = (kind: 'retryable' | 'fatal', hint: string): TailraceError =>
    new TailraceError(`database "${settings.name}": publication "${name}" cannot be made: ${message}`, {
      code: 'PUBLICATION_NOT_CREATED',
      kind,
      hint,
      cause,
    });
  if (MADE_MEANWHILE.includes(sqlState) && (await readPublication(client, name)) !== undefined) {
    return fault('retryable', 'another process has made it meanwhile: it is looked at again');
  }
  if (initSql !== undefined) return fault('fatal', 'correct publication.init_sql');
  const byHand = `or let a role that may make it: ${sql};`;
  if (sqlState !== NOT_ALLOWED) return fault('fatal', `make it by hand: ${sql};`);
  return fault(
    'fatal',
    `GRANT CREATE ON DATABASE ${escapeIdentifier(settings.database)} TO ${escapeIdentifier(settings.username)}; ${byHand}`,
  );
}

const nothingToPublish = (settings: DatabaseSettings, states: readonly TableState[]): TailraceError =>
  new TailraceError(
    `database "${settings.name}": publication "${settings.publication.name}" cannot be made: no table has a primary key or another identity`,
    {
      code: 'NOTHING_TO_PUBLISH',
      kind: 'fatal',
      hint:
        states.length === 0
          ? 'create the tables, then start again'
          : `ALTER TABLE ${quoteTable(states[0]!)} ADD PRIMARY KEY (…); or ALTER TABLE ${quoteTable(states[0]!)} REPLICA IDENTITY FULL;`,
    },
  );

export const addTableSql = (publication: string, table: TableName): string =>
  `ALTER PUBLICATION ${escapeIdentifier(publication)} ADD TABLE ${quoteTable(table)};`;

/** The lock does not stop writers, but waits for VACUUM, ANALYZE and DDL: the next look is soon enough. */
const ADD_LOCK_TIMEOUT_MS = 2_000;

/** https://www.postgresql.org/docs/current/errcodes-appendix.html: the table is gone; it is a member already. */
const SETTLED_MEANWHILE: readonly unknown[] = ['42P01', '3F000', '42710'];

/**
 * Adds tables to the publication, one by one, so that one that cannot be added does not keep the others out. `from` is
 * where the WAL stood then: what a transaction that began later changes is streamed; one that was in progress may come in part.
 * `client`: a plain session of the role, as event triggers expect it.
 */
export async function addTables(
  client: Client,
  publication: string,
  tables: readonly TableName[],
): Promise<{ added: TableName[]; from: string; refused: { table: TableName; reason: string }[] }> {
  const added: TableName[] = [];
  const refused: { table: TableName; reason: string }[] = [];
  await client.query(MAY_WRITE);
  await client.query(`SET lock_timeout = ${ADD_LOCK_TIMEOUT_MS}`);
  for (const table of tables) {
    try {
      await client.query(addTableSql(publication, table));
      added.push(table);
    } catch (error) {
      const { code, message } = error as { code?: unknown; message: string };
      if (typeof code !== 'string' || !/^[0-9A-Z]{5}$/.test(code)) throw error;
      if (!SETTLED_MEANWHILE.includes(code)) refused.push({ table, reason: message });
    }
  }
  return { added, from: await walPosition(client), refused };
}

/** Where the WAL stands, as LSN text. */
export async function walPosition(client: Client): Promise<string> {
  const { rows } = await client.query<{ lsn: string }>(
    'select pg_catalog.pg_current_wal_insert_lsn()::pg_catalog.text as lsn',
  );
  return rows[0]!.lsn;
}
