// Makes the publication and changes it: tables by name come and go, options are set. No write of the application may fail by it.
// https://www.postgresql.org/docs/current/sql-alterpublication.html
import { escapeIdentifier, type Client } from 'pg';
import { TailraceError } from '../../core/errors.ts';
import type { TableName } from '../../core/selection.ts';
import { sqlStateOf } from '../connection/fault.ts';
import type { DatabaseSettings } from '../settings.ts';
import { cureOf } from './identity-cures.ts';
import { LOCKED, tableLock } from './locked-tables.ts';
import { KEPT_COMMENT, readPublication } from './publication.ts';
import { isFit, mayPublish, needsStored, tableKey, type WantedTable } from './tables.ts';
import { quoteTable } from '../quoting.ts';

/** Without ONLY, children by INHERITS would come in with their parent, fit or not. Of a root its partitions are carried all the same. */
const listed = (tables: readonly TableName[]): string =>
  tables.map((table) => `ONLY ${quoteTable(table)}`).join(', ');

export const SEND_STORED = 'publish_generated_columns = stored';
export const UNDER_OWN_NAMES = 'publish_via_partition_root = false';

export const createPublicationSql = (
  publication: string,
  tables: readonly TableName[],
  options: readonly string[] = [],
): string =>
  `CREATE PUBLICATION ${escapeIdentifier(publication)}` +
  (tables.length === 0 ? '' : ` FOR TABLE ${listed(tables)}`) +
  (options.length === 0 ? '' : ` WITH (${options.join(', ')})`);

export const addTableSql = (publication: string, table: TableName): string =>
  `ALTER PUBLICATION ${escapeIdentifier(publication)} ADD TABLE ${listed([table])};`;

export const dropTableSql = (publication: string, table: TableName): string =>
  `ALTER PUBLICATION ${escapeIdentifier(publication)} DROP TABLE ${listed([table])};`;

export const setOptionSql = (publication: string, option: string): string =>
  `ALTER PUBLICATION ${escapeIdentifier(publication)} SET (${option});`;

/** A role that reads only by default makes and changes its publication nevertheless. All else is the role's own. */
const MAY_WRITE = 'SET default_transaction_read_only = off';

/** The lock does not stop writers, but waits for VACUUM, ANALYZE and DDL, and whoever waits keeps these from the tables it has already. */
const LOCK_TIMEOUT_MS = 2_000;
const BRIEFLY = `SET lock_timeout = ${LOCK_TIMEOUT_MS}`;

// Who makes or changes it does so in a plain session of the role, as the user's SQL and event triggers expect it.

/**
 * Makes the publication: `init_sql` as given, else the fit tables by name, rows under the names of the tables that hold them. Never
 * ALL TABLES nor IN SCHEMA: these make UPDATE fail in the application on tables without an identity (architecture §4, 7). Answers what
 * it lists. `mayBeEmpty`: tables that are made later can still join it.
 */
export async function createPublication(
  client: Client,
  settings: DatabaseSettings,
  { states, mayBeEmpty }: { readonly states: readonly WantedTable[]; readonly mayBeEmpty: boolean },
): Promise<readonly TableName[]> {
  const { name, initSql } = settings.publication;
  const fit = states.filter((state) => isFit(state) && mayPublish(state));
  if (initSql === undefined && fit.length === 0 && !mayBeEmpty) throw nothingToPublish(settings, states);
  const sql = createPublicationSql(name, fit, needsStored(fit) ? [SEND_STORED] : []);
  try {
    // Statements of one message are one transaction: killed between two, a publication without its comment would be nobody's.
    // https://www.postgresql.org/docs/current/protocol-flow.html#PROTOCOL-FLOW-MULTI-STATEMENT
    if (initSql === undefined) await client.query(`${MAY_WRITE}; ${BRIEFLY}`);
    await client.query(initSql ?? `${sql}; ${commentSql(name)}`);
  } catch (cause) {
    throw await creationFault(client, settings, { sql, tables: fit, cause });
  }
  return initSql === undefined ? fit : [];
}

const commentSql = (publication: string): string =>
  `COMMENT ON PUBLICATION ${escapeIdentifier(publication)} IS '${KEPT_COMMENT}'`;

/** Somebody made it since it was looked for: it exists, or its name is being taken. https://www.postgresql.org/docs/current/errcodes-appendix.html */
const MADE_MEANWHILE: readonly unknown[] = ['42710', '23505'];
const NOT_ALLOWED = '42501';

async function creationFault(
  client: Client,
  settings: DatabaseSettings,
  {
    sql,
    tables,
    cause,
  }: { readonly sql: string; readonly tables: readonly TableName[]; readonly cause: unknown },
): Promise<unknown> {
  const { name, initSql } = settings.publication;
  const sqlState = sqlStateOf(cause);
  if (sqlState === undefined) return cause;
  const fault = (
    kind: 'retryable' | 'fatal',
    hint: string,
    { message } = cause as { readonly message: string },
  ): TailraceError =>
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
  if (sqlState === LOCKED) {
    const lock = await tableLock(client, tables);
    if (lock === undefined) return fault('retryable', 'it is tried again');
    return fault('retryable', `it is tried again; ${lock.cure}`, {
      message: `${lock.what}, and waiting would keep others from the other tables`,
    });
  }
  const byHand = `or let a role that may make it: ${sql};`;
  if (sqlState !== NOT_ALLOWED) return fault('fatal', `make it by hand: ${sql};`);
  return fault(
    'fatal',
    `GRANT CREATE ON DATABASE ${escapeIdentifier(settings.database)} TO ${escapeIdentifier(settings.username)}; ${byHand}`,
  );
}

const nothingToPublish = (settings: DatabaseSettings, states: readonly WantedTable[]): TailraceError =>
  new TailraceError(
    `database "${settings.name}": publication "${settings.publication.name}" cannot be made: no table has a primary key or another identity`,
    {
      code: 'NOTHING_TO_PUBLISH',
      kind: 'fatal',
      hint: states.length === 0 ? 'create the tables, then start again' : cureOf(states[0]!),
    },
  );

/** https://www.postgresql.org/docs/current/errcodes-appendix.html: the table, or its schema, is gone. */
const GONE: readonly unknown[] = ['42P01', '3F000'];

export type Refusal = { readonly table: TableName; readonly reason: string };
export type Changed = { readonly done: readonly TableName[]; readonly refused: readonly Refusal[] };

/**
 * Adds tables to the publication, one by one, so that one that cannot be added does not keep the others out. `from` is
 * where the WAL stood then: what a transaction that began later changes is streamed; one that was in progress may come in part.
 */
export async function addTables(
  client: Client,
  publication: string,
  tables: readonly TableName[],
): Promise<Changed & { readonly from: string }> {
  const changed = await changeTables(client, tables, (table) => addTableSql(publication, table));
  return { ...(await settled(client, publication, changed, true)), from: await walPosition(client) };
}

/** Takes tables out, so that writes work again. */
export async function dropTables(
  client: Client,
  publication: string,
  tables: readonly TableName[],
): Promise<Changed> {
  const changed = await changeTables(client, tables, (table) => dropTableSql(publication, table));
  return settled(client, publication, changed, false);
}

async function changeTables(
  client: Client,
  tables: readonly TableName[],
  sqlOf: (table: TableName) => string,
): Promise<Changed> {
  const done: TableName[] = [];
  const refused: Refusal[] = [];
  await client.query(`${MAY_WRITE}; ${BRIEFLY}`);
  for (const table of tables) {
    try {
      await client.query(sqlOf(table));
      done.push(table);
    } catch (error) {
      const sqlState = sqlStateOf(error);
      if (sqlState === undefined) throw error;
      if (GONE.includes(sqlState)) continue;
      const lock = sqlState === LOCKED ? await tableLock(client, [table]) : undefined;
      refused.push({ table, reason: lock?.what ?? (error as Error).message });
    }
  }
  return { done, refused };
}

/** What was refused because somebody else had done it meanwhile is as it should be: the catalog tells, no error does. */
async function settled(
  client: Client,
  publication: string,
  { done, refused }: Changed,
  isMember: boolean,
): Promise<Changed> {
  if (refused.length === 0) return { done, refused };
  const { rows } = await client.query<TableName>(
    `select n.nspname as schema, c.relname as table from pg_catalog.pg_publication p join pg_catalog.pg_publication_rel r on r.prpubid = p.oid
     join pg_catalog.pg_class c on c.oid = r.prrelid join pg_catalog.pg_namespace n on n.oid = c.relnamespace where p.pubname = $1`,
    [publication],
  );
  const members = new Set(rows.map(tableKey));
  return { done, refused: refused.filter(({ table }) => members.has(tableKey(table)) !== isMember) };
}

/** An alteration of the publication's own row that was ours: its versions before and after. */
export type Alteration = { readonly from: string; readonly to: string };

/** Sets an option of the publication, and answers what became of its row. */
export async function setOption(client: Client, publication: string, option: string): Promise<Alteration> {
  const version = async (): Promise<string> => {
    const { rows } = await client.query<{ version: string }>(
      `select pg_catalog.concat(oid, ':', xmin) as version from pg_catalog.pg_publication where pubname = $1`,
      [publication],
    );
    return rows[0]?.version ?? '';
  };
  await client.query(MAY_WRITE);
  await client.query('BEGIN');
  try {
    await client.query(`SET LOCAL lock_timeout = ${LOCK_TIMEOUT_MS}`);
    // Nobody else changes its list or its comment from here on.
    await client.query(commentSql(publication));
    const from = await version();
    await client.query(setOptionSql(publication, option));
    const to = await version();
    await client.query('COMMIT');
    return { from, to };
  } catch (error) {
    await client.query('ROLLBACK').catch(() => undefined);
    throw error;
  }
}

/** Where the WAL stands, as LSN text; on a standby, what it has replayed. */
export async function walPosition(client: Client): Promise<string> {
  const { rows } = await client.query<{ lsn: string }>(
    `select case when pg_catalog.pg_is_in_recovery() then pg_catalog.pg_last_wal_replay_lsn()
       else pg_catalog.pg_current_wal_insert_lsn() end::pg_catalog.text as lsn`,
  );
  return rows[0]!.lsn;
}
