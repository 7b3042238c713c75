// What a backfill needs of a table before it begins: that there is one, that it is published and may be read whole, and that the server
// takes what the user wrote. Only its parser sees that before this is settled.
import type { Client } from 'pg';
import type { BackfillTableRequest } from '../../core/backfill.ts';
import { refused, type TailraceError } from '../../core/errors.ts';
import { didYouMean, nearestName } from '../../core/nearest-name.ts';
import type { Placed } from '../../core/partitions.ts';
import { formatTableName, type TableName } from '../../core/selection.ts';
import { lineAndColumn } from '../../functions/where/fault.ts';
import { refusalOf } from '../described.ts';
import { readLineages } from '../lineage.ts';
import { listTables, readOthers } from '../preflight/tables.ts';
import { quoteTable } from '../quoting.ts';
import type { ReadingContext } from './chunk-reader.ts';
import { filterCheck, KEYS_AT_ONCE } from './chunk-sql.ts';
import { allOf, keyValues, startsAt } from './conditions.ts';

import { asWritten } from './one-row.ts';
import { requireKeyUsable, requireReadable, requireRunnable } from './rights.ts';
import {
  belowDomains,
  leavesOf,
  operatorsOf,
  readBackfillTable,
  type BackfillTable,
  type KeyColumn,
} from './table.ts';

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
  const lineages = await readLineages(client, leaves, context);
  const unpublished = lineages.find((one) => !one.published && !one.links.some(({ published }) => published));
  // Of one that is not published this says so.
  const table = await readBackfillTable(client, unpublished?.oid ?? first, context);
  if (table === undefined) throw await unknownTable(client, request);
  await requireConditions(client, table, request);
  await requireKeyUsable(client, table, context.role);
  await requireKeys(client, table, request.keys);
  const links = lineages.find(({ oid }) => oid === table.oid)?.links ?? [];
  const gone =
    request.gone === undefined
      ? undefined
      : await findableKeys(client, { table, isPartition: links.length > 0 }, request.gone);
  await requireReadable(client, leaves, context.role);
  await requireRunnable(client, table, request);
  return {
    placed: { schema: table.schema, table: table.table, ancestors: links },
    estimatedRows: await estimateOf(client, leaves),
    notes: notesOf(table, request),
    key: table.key,
    ...(gone === undefined ? {} : { gone }),
  };
}

/** With what has the name, or the name that may have been meant. */
export async function unknownTable(client: Client, name: TableName): Promise<TailraceError> {
  const [other] = await readOthers(client, [name]);
  if (other !== undefined) {
    return refused(
      'TABLE_UNKNOWN',
      `${formatTableName(name)} is ${other.what}: of that nothing is streamed, so what was read would soon be stale`,
      'read the tables that hold its rows; they have to be in the publication, and an unlogged one to be SET LOGGED first',
    );
  }
  const known = (await listTables(client)).map(formatTableName);
  const nearest = nearestName(formatTableName(name), known);
  return refused(
    'TABLE_UNKNOWN',
    `there is no table ${formatTableName(name)}${didYouMean(nearest)}`,
    'tables are named schema.table, or table alone for the schema public; odd names in double quotes',
  );
}

/** Answers whose operators order it. */
async function requireColumn(
  client: Client,
  { oid, ...table }: BackfillTable,
  sort: BackfillTableRequest['sort'],
): Promise<string | undefined> {
  if (sort === undefined) return undefined;
  const { rows } = await client.query<{ name: string; operators: string | null }>(
    `select a.attname as name, ${operatorsOf('c.opcdefault and c.opcintype = base.oid')} as operators
     from pg_attribute a cross join lateral ${belowDomains('a.atttypid')} base
     where a.attrelid = $1 and a.attnum > 0 and not a.attisdropped order by a.attnum`,
    [oid],
  );
  const found = rows.find(({ name }) => name === sort.column);
  if (found !== undefined) return found.operators ?? undefined;
  const names = rows.map(({ name }) => name);
  throw refused(
    'COLUMN_UNKNOWN',
    `${formatTableName(table)} has no column "${sort.column}"${didYouMean(nearestName(sort.column, names))}`,
    `it has ${names.join(', ')}`,
  );
}

/** Answers the condition of both. The filter by itself first, so that what is said of it is said of its own text. */
export async function requireConditions(
  client: Client,
  table: BackfillTable,
  { where, sort }: Pick<BackfillTableRequest, 'where' | 'sort'>,
): Promise<string | undefined> {
  const operators = await requireColumn(client, table, sort);
  if (where !== undefined) await requireFilter(client, table, where);
  const start = sort?.from === undefined ? undefined : startsAt(sort.column, sort.from, operators);
  if (start === undefined) return allOf(where);
  const { text: statement, offset } = filterCheck(table, start);
  const refusal = await refusalOf(client, { statement, offset, text: start });
  if (refusal === undefined) return allOf(where, start);
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
  const written: (readonly string[])[] = [];
  for (let from = 0; from < keys.length; from += KEYS_AT_ONCE)
    written.push(...(await asWritten(client, key, keys.slice(from, from + KEYS_AT_ONCE))));
  return [...new Map(written.map((texts) => [JSON.stringify(texts), texts])).values()];
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
