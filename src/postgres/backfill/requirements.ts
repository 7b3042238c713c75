// What a backfill needs of a table before it begins: that there is one, that it is published and may be read whole, and that the server
// takes what the user wrote. Only its parser sees that before this is settled.
import { escapeIdentifier, type Client } from 'pg';
import type { BackfillTableRequest } from '../../core/backfill.ts';
import { TailraceError } from '../../core/errors.ts';
import { didYouMean, nearestName } from '../../core/nearest-name.ts';
import type { Placed } from '../../core/partitions.ts';
import { formatTableName, type TableName } from '../../core/selection.ts';
import { lineAndColumn } from '../../functions/where/fault.ts';
import { refusalOf } from '../described.ts';
import { readLineages } from '../lineage.ts';
import { listTables, quoteTable } from '../preflight/tables.ts';
import type { ReadingContext } from './chunk-reader.ts';
import { filterCheck } from './chunk-sql.ts';
import { conditionOf, keyValues } from './conditions.ts';
import { readFault, ROW_SECURITY } from './faults.ts';
import { leavesOf, readBackfillTable, type BackfillTable, type KeyColumn } from './table.ts';

export type TableReport = {
  /** Where its rows stand among partitioned tables: one of its leaves, or itself. */
  readonly placed: Placed;
  /** By the planner's statistics, of all leaves; undefined: it has none. */
  readonly estimatedRows: number | undefined;
  /** What is worth knowing before it begins. */
  readonly notes: readonly string[];
  /** What its rows are told apart by; empty: nothing tells them apart, or there are none. */
  readonly key: readonly KeyColumn[];
  /** The keys that somebody has, as Postgres writes them. */
  readonly gone?: readonly (readonly string[])[];
};

/** Rejects with TailraceError (fatal): what is asked for cannot be read, with the cure. Nothing of it has run by then. */
export async function inspectBackfillTable(
  client: Client,
  request: BackfillTableRequest,
  context: ReadingContext,
): Promise<TableReport> {
  const leaves = await leavesOf(client, request);
  if (leaves === undefined) throw await unknownTable(client, request);
  const [first] = leaves;
  if (first === undefined) {
    return {
      placed: request,
      estimatedRows: 0,
      notes: [`${formatTableName(request)} has no partitions`],
      key: [],
    };
  }
  const table = await readBackfillTable(client, first, context);
  if (table === undefined) throw await unknownTable(client, request);
  await requireConditions(client, table, request);
  await requireKeys(client, table, request.keys);
  const [lineage] = await readLineages(client, [first], context);
  const gone =
    request.gone === undefined
      ? undefined
      : await findableKeys(client, { table, isPartition: (lineage?.links.length ?? 0) > 0 }, request.gone);
  const columns = [...table.key, ...table.relation.columns].map(({ name }) => name);
  await requireReadable(client, leaves, { role: context.role, columns });
  await requireRunnable(client, table, request);
  return {
    placed: { schema: table.schema, table: table.table, ancestors: lineage?.links ?? [] },
    estimatedRows: await estimateOf(client, leaves),
    notes: notesOf(table, request),
    key: table.key,
    ...(gone === undefined ? {} : { gone }),
  };
}

const refused = (code: string, message: string, hint: string): TailraceError =>
  new TailraceError(message, { code, kind: 'fatal', hint });

/** With the name that may have been meant. */
export async function unknownTable(client: Client, name: TableName): Promise<TailraceError> {
  const known = (await listTables(client)).map(formatTableName);
  const nearest = nearestName(formatTableName(name), known);
  return refused(
    'TABLE_UNKNOWN',
    `there is no table ${formatTableName(name)}${didYouMean(nearest)}`,
    'tables are named schema.table, or table alone for the schema public; odd names in double quotes',
  );
}

async function requireColumn(
  client: Client,
  { oid, ...table }: BackfillTable,
  sort: BackfillTableRequest['sort'],
): Promise<void> {
  if (sort === undefined) return;
  const { rows } = await client.query<{ name: string }>(
    'select attname as name from pg_attribute where attrelid = $1 and attnum > 0 and not attisdropped',
    [oid],
  );
  const names = rows.map(({ name }) => name);
  if (names.includes(sort.column)) return;
  throw refused(
    'COLUMN_UNKNOWN',
    `${formatTableName(table)} has no column "${sort.column}"${didYouMean(nearestName(sort.column, names))}`,
    `it has ${names.join(', ')}`,
  );
}

/** The filter by itself first, so that what is said of it is said of its own text. */
export async function requireConditions(
  client: Client,
  table: BackfillTable,
  { where, sort }: BackfillTableRequest,
): Promise<void> {
  await requireColumn(client, table, sort);
  if (where !== undefined) await requireFilter(client, table, where);
  const condition = conditionOf({ ...(sort && { sort }) });
  if (condition === undefined) return;
  const { text: statement, offset } = filterCheck(table, condition);
  const refusal = await refusalOf(client, { statement, offset, text: condition });
  if (refusal === undefined) return;
  throw refused(
    'START_REFUSED',
    `${formatTableName(table)}.${sort!.column} cannot begin at "${sort!.from}": ${refusal.message}`,
    'write a value of that column as Postgres reads it, of a type that has an order',
  );
}

/** In two surroundings: what ends the one early, to begin something else, does not end the other. */
async function requireFilter(client: Client, table: BackfillTable, where: string): Promise<void> {
  const alone = 'select case when ';
  const statements = [
    filterCheck(table, where),
    { text: `${alone}${where}\n then 1 end from only ${quoteTable(table)} r`, offset: alone.length },
  ];
  for (const { text: statement, offset } of statements) {
    const refusal = await refusalOf(client, { statement, offset, text: where });
    if (refusal === undefined) continue;
    const { line, column } = lineAndColumn(where, refusal.at);
    throw refused(
      'FILTER_REFUSED',
      `Postgres refuses the filter, at line ${line}, column ${column} of it: ${refusal.message}`,
      `correct it: it is SQL over the columns of ${formatTableName(table)}, as after WHERE; names outside pg_catalog need their schema`,
    );
  }
}

/** Keys that are looked at in one statement. */
const KEYS_AT_ONCE = 1000;

async function requireKeys(
  client: Client,
  { key, ...table }: Pick<BackfillTable, 'schema' | 'table' | 'key'>,
  keys: readonly (readonly string[])[] | undefined,
): Promise<void> {
  if (keys === undefined) return;
  const names = key.map(({ name }) => name).join(', ');
  if (key.length === 0) {
    throw refused(
      'KEY_MISSING',
      `${formatTableName(table)} has no key that its rows could be named by`,
      'give it a primary key, or choose the rows by a filter',
    );
  }
  const wrong = keys.find((texts) => texts.length !== key.length);
  if (wrong !== undefined) {
    throw refused(
      'KEY_REFUSED',
      `the key ${JSON.stringify(wrong)} has ${wrong.length} parts: that of ${formatTableName(table)} has ${key.length}`,
      `give a value each for ${names}`,
    );
  }
  for (let from = 0; from < keys.length; from += KEYS_AT_ONCE) {
    const values = keyValues(key, keys.slice(from, from + KEYS_AT_ONCE));
    try {
      await client.query(`select count(*) from (values ${values}) tailrace_keys`);
    } catch (error) {
      throw refused(
        'KEY_REFUSED',
        `a key of ${formatTableName(table)} is none: ${(error as Error).message}`,
        `keys are values of ${names}, as Postgres reads them`,
      );
    }
  }
}

/** As the stream writes them, each once. Rejects with TailraceError where those that are gone could not be told apart from others, or not be told of. */
async function findableKeys(
  client: Client,
  { table, isPartition }: { readonly table: BackfillTable; readonly isPartition: boolean },
  keys: readonly (readonly string[])[],
): Promise<readonly (readonly string[])[]> {
  const { key, relation } = table;
  const name = formatTableName(table);
  if (isPartition) {
    throw refused(
      'KEYS_OF_PARTITIONS',
      `${name} is a partition: a row that it does not have may stand in another one`,
      'compare the keys of partitioned tables yourself, and delete what is gone in the consumer',
    );
  }
  const unpublished = key.find((one) => !relation.columns.some((column) => column.name === one.name));
  if (unpublished !== undefined) {
    throw refused(
      'KEY_NOT_PUBLISHED',
      `the publication does not carry "${unpublished.name}", a column of the key of ${name}`,
      'add it to the column list of the publication: a delete is told by its key',
    );
  }
  await requireKeys(client, table, keys);
  const written: string[][] = [];
  const names = key.map((_, i) => `k${i}`);
  for (let from = 0; from < keys.length; from += KEYS_AT_ONCE) {
    const values = keyValues(key, keys.slice(from, from + KEYS_AT_ONCE));
    const { rows } = await client.query<{ key: string[] }>(
      `select array[${names.map((one) => `${one}::text`).join(', ')}] as key from (values ${values}) tailrace_keys (${names.join(', ')})`,
    );
    for (const row of rows) written.push(row.key);
  }
  return [...new Map(written.map((texts) => [JSON.stringify(texts), texts])).values()];
}

/**
 * Rights are looked at when a statement begins to run, and so are policies: each of these ends there. No columns: of whichever may be
 * read. Rejects with TailraceError: TABLE_UNREADABLE, ROW_SECURITY.
 */
export async function requireReadable(
  client: Client,
  leaves: readonly number[],
  { role, columns }: { readonly role: string; readonly columns: readonly string[] },
): Promise<void> {
  const { rows } = await client.query<TableName>(
    `select n.nspname as schema, c.relname as table from pg_class c join pg_namespace n on n.oid = c.relnamespace
     where c.oid = any ($1::oid[]) order by c.oid`,
    [leaves],
  );
  const list = [...new Set(columns.map(escapeIdentifier))].join(', ');
  for (const leaf of rows) {
    try {
      await client.query(`select ${list} from only ${quoteTable(leaf)} limit 0`);
    } catch (error) {
      const fault = readFault(error, { table: leaf, where: undefined, role });
      throw isRowSecurity(fault) ? await withPolicies(client, leaf, fault) : fault;
    }
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
async function requireRunnable(
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

export async function estimateOf(client: Client, leaves: readonly number[]): Promise<number | undefined> {
  const { rows } = await client.query<{ rows: number | null }>(
    'select sum(nullif(greatest(reltuples, 0), 0))::float8 as rows from pg_class where oid = any ($1::oid[])',
    [leaves],
  );
  return rows[0]?.rows ?? undefined;
}

/** What orders the work, where somebody may expect something else. */
function notesOf(table: BackfillTable, { sort }: BackfillTableRequest): readonly string[] {
  const name = formatTableName(table);
  const key = table.key.map((column) => column.name).join(', ');
  const order = key === '' ? 'it is read page by page' : `it is read in the order of its key (${key})`;
  if (sort !== undefined)
    return [
      `${name}: ${order}, not of ${sort.column}; every row is looked at, and those that begin before are left out`,
    ];
  return key === '' ? [`${name} has no key: ${order}, and all its rows are one message group`] : [];
}
