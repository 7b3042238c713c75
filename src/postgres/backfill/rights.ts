// The rights that reading a table takes beyond those of the stream: to its rows, all of them, and to what its key and the user's filter name.
import { escapeIdentifier, type Client } from 'pg';
import type { BackfillTableRequest } from '../../core/backfill.ts';
import { refused, TailraceError } from '../../core/errors.ts';
import { formatTableName, type TableName } from '../../core/selection.ts';
import { quoteTable } from '../quoting.ts';
import { filterCheck } from './chunk-sql.ts';
import { readFault, ROW_SECURITY, unreadable } from './faults.ts';
import type { BackfillTable } from './table.ts';

/**
 * Where a chunk begins is written with the types and operators of the key: of other schemas they may be named only with a right to
 * those. Rejects with TailraceError: KEY_UNUSABLE.
 */
export async function requireKeyUsable(
  client: Client,
  { key, ...table }: BackfillTable,
  role: string,
): Promise<void> {
  const names = key.flatMap(({ type, operators }) => [
    type,
    ...(operators === undefined ? [] : [`${operators}.`]),
  ]);
  const { rows } = await client.query<{ schema: string }>(
    `select n.nspname as schema from pg_namespace n
     where exists (select from unnest($1::text[]) name where starts_with(name, quote_ident(n.nspname) || '.'))
       and not has_schema_privilege(n.oid, 'usage') order by 1`,
    [names],
  );
  if (rows.length === 0) return;
  const schemas = rows.map(({ schema }) => escapeIdentifier(schema)).join(', ');
  throw refused(
    'KEY_UNUSABLE',
    `the key of ${formatTableName(table)} has types of schema ${schemas}, which our role may not name: the stream needs no right to do so, a backfill does`,
    `GRANT USAGE ON SCHEMA ${schemas} TO ${escapeIdentifier(role)};`,
  );
}

/**
 * Rights are looked at when a statement begins to run, and so are policies: each of these ends there. Rejects with TailraceError:
 * TABLE_UNREADABLE, ROW_SECURITY.
 */
export async function requireReadable(
  client: Client,
  leaves: readonly number[],
  role: string,
): Promise<void> {
  const { rows } = await client.query<TableName & { whole: boolean }>(
    `select n.nspname as schema, c.relname as table, has_table_privilege(c.oid, 'select') as whole
     from pg_class c join pg_namespace n on n.oid = c.relnamespace where c.oid = any ($1::oid[]) order by c.oid`,
    [leaves],
  );
  for (const leaf of rows) {
    try {
      await client.query(`select from only ${quoteTable(leaf)} limit 0`);
    } catch (error) {
      const fault = readFault(error, { table: leaf, where: undefined, role });
      throw isRowSecurity(fault) ? await withPolicies(client, leaf, fault) : fault;
    }
    if (!leaf.whole) throw unreadable(leaf, role);
  }
}

const isRowSecurity = (fault: unknown): fault is TailraceError =>
  fault instanceof TailraceError && fault.code === ROW_SECURITY;

async function withPolicies(client: Client, table: TableName, fault: TailraceError): Promise<TailraceError> {
  const { rows } = await client.query<{ name: string }>(
    'select policyname as name from pg_policies where schemaname = $1 and tablename = $2 order by 1',
    [table.schema, table.table],
  );
  const names = rows.map(({ name }) => `"${name}"`).join(', ');
  const policies = names === '' ? 'no policy lets it see any' : `policy ${names}`;
  const { code, kind, hint, cause } = fault;
  return new TailraceError(`${fault.message} (${policies})`, { code, kind, hint, cause });
}

/** May we run what the filter calls, and read what else it names? It is asked of no row. */
export async function requireRunnable(
  client: Client,
  table: BackfillTable,
  { where }: BackfillTableRequest,
): Promise<void> {
  if (where === undefined) return;
  await client.query('begin read only');
  try {
    await client.query(filterCheck(table, where).text, [true]);
  } catch (error) {
    throw refused(
      'FILTER_REFUSED',
      `Postgres refuses the filter: ${(error as Error).message}`,
      'our role needs the right to run what it calls, and to read what it names',
    );
  } finally {
    await client.query('rollback');
  }
}
