// One row of a table by its key: is it there, and how does Postgres write the key?
import type { Client } from 'pg';
import { TailraceError } from '../../core/errors.ts';
import { formatTableName, type TableName } from '../../core/selection.ts';
import { quoteTable } from '../quoting.ts';
import { keyValues } from './conditions.ts';
import { isSameKey } from './key-order.ts';
import { leavesOf, type KeyColumn } from './table.ts';

/** Keys, one at least, as the stream writes them, in their order. They were found to be of the table (requirements.ts). */
export async function asWritten(
  client: Client,
  columns: readonly KeyColumn[],
  keys: readonly (readonly string[])[],
): Promise<readonly (readonly string[])[]> {
  const given = columns.map((_, i) => `k${i}`);
  const { rows } = await client.query<{ key: string[] }>(
    `select array[${given.map((one) => `${one}::text`).join(', ')}] as key
     from (values ${keyValues(columns, keys)}) tailrace_keys (${given.join(', ')})`,
  );
  return rows.map(({ key }) => key);
}

/** `key`: as the stream writes it. The key was found to be one of the table (requirements.ts). */
export async function findRow(
  client: Client,
  name: TableName,
  { columns, key }: { readonly columns: readonly KeyColumn[]; readonly key: readonly string[] },
): Promise<{ readonly key: readonly string[]; readonly isThere: boolean }> {
  const given = columns.map((_, i) => `k${i}`);
  const values = `(values ${keyValues(columns, [key])}) tailrace_key (${given.join(', ')})`;
  const [written] = await asWritten(client, columns, [key]);
  const leaves = await leavesOf(client, name);
  const { rows: named } = await client.query<TableName>(
    `select n.nspname as schema, c.relname as table from pg_class c join pg_namespace n on n.oid = c.relnamespace
     where c.oid = any ($1::oid[])`,
    [leaves ?? []],
  );
  const is = isSameKey(columns, given);
  for (const leaf of named) {
    const { rowCount } = await client.query(`select from only ${quoteTable(leaf)} r, ${values} where ${is}`);
    if (rowCount !== 0) return { key: written!, isThere: true };
  }
  return { key: written!, isThere: false };
}

/** Rows that nothing tells apart cannot be followed. */
export const withoutKey = (name: TableName): TailraceError =>
  new TailraceError(`${formatTableName(name)} has no key that its rows could be followed by`, {
    code: 'KEY_MISSING',
    kind: 'fatal',
    hint: 'give it a primary key; or read its rows again, with tailrace backfill start and --where',
  });
