// Can a backfill be what it is asked to be? Its tables, filters and rights are looked at on the server, its sinks here, before it begins.
import type { Client } from 'pg';
import type { BackfillTableRequest } from '../../core/backfill.ts';
import { describeError, TailraceError, refused } from '../../core/errors.ts';
import { nameFor, type Placed } from '../../core/partitions.ts';
import { describeSelection, formatTableName, optionsFor, type TableName } from '../../core/selection.ts';
import type { ReadingContext } from '../../postgres/backfill/chunk-reader.ts';
import { publishedTables } from '../../postgres/backfill/published.ts';
import { inspectBackfillTable } from '../../postgres/backfill/requirements.ts';
import type { KeyColumn } from '../../postgres/backfill/table.ts';
import { closeConnection } from '../../postgres/connection/connection.ts';
import { connectionFault } from '../../postgres/connection/fault.ts';
import { findServer } from '../../postgres/connection/standbys.ts';
import type { DatabaseSettings } from '../../postgres/settings.ts';
import { takesReads } from '../intake/taken-actions.ts';
import type { SinkSettings } from '../settings.ts';

export type CheckedBackfill = {
  /** By name, those that get a row of one of the tables. */
  readonly sinks: readonly string[];
  readonly tables: readonly BackfillTableRequest[];
  /** Of each table, by the planner's statistics; undefined: it has none. */
  readonly estimates: readonly (number | undefined)[];
  /** What the rows of each are told apart by; empty: nothing does. */
  readonly keys: readonly (readonly KeyColumn[])[];
  /** For whoever asked. */
  readonly notes: readonly string[];
};

export type BackfillWish = {
  readonly sinks: readonly SinkSettings[];
  /** Undefined: all tables whose rows one of them takes. */
  readonly tables: readonly BackfillTableRequest[] | undefined;
  /** Are the sinks named? Then each has to get something. */
  readonly areNamed: boolean;
};

/**
 * Rejects with TailraceError: TABLE_UNKNOWN, TABLE_NOT_READ, SINK_TAKES_NO_READS, NOTHING_TO_READ, DATABASE_NOT_REACHED, and what
 * `inspectBackfillTable` refuses with.
 */
export const checkBackfill = (database: DatabaseSettings, wish: BackfillWish): Promise<CheckedBackfill> =>
  askServer(database, (client, context) => checkTables(client, wish, context));

/** On a connection of its own. Rejects with what `ask` does, or DATABASE_NOT_REACHED. */
export async function askServer<T>(
  database: DatabaseSettings,
  ask: (client: Client, context: ReadingContext) => Promise<T>,
): Promise<T> {
  const { client, target } = await findServer(database).catch((error: unknown) => {
    throw notReached(database, error);
  });
  try {
    const { rows } = await client.query<{ version: number; role: string }>(
      `select current_setting('server_version_num')::int as version, current_user as role`,
    );
    const { version: serverVersion, role } = rows[0]!;
    return await ask(client, {
      publication: database.publication.name,
      serverVersion,
      role,
    });
  } catch (error) {
    throw error instanceof TailraceError
      ? error
      : notReached(database, connectionFault(error, database, target));
  } finally {
    await closeConnection(client);
  }
}

async function checkTables(
  client: Client,
  { sinks, tables, areNamed }: BackfillWish,
  context: ReadingContext,
): Promise<CheckedBackfill> {
  const requests = tables ?? (await tablesTaken(client, sinks, context));
  const takers = new Set<SinkSettings>();
  const notes: string[] = [];
  const estimates: (number | undefined)[] = [];
  const checked: BackfillTableRequest[] = [];
  const keys: (readonly KeyColumn[])[] = [];
  for (const request of requests) {
    const report = await inspectBackfillTable(client, request, context);
    const taking = sinks.filter((sink) => takes(sink, report.placed));
    if (taking.length === 0) throw takenByNone(sinks, request, report.placed);
    for (const sink of taking) takers.add(sink);
    notes.push(...report.notes);
    checked.push(report.gone === undefined ? request : { ...request, gone: report.gone });
    estimates.push(report.estimatedRows);
    keys.push(report.key);
  }
  const idle = sinks.filter((sink) => !takers.has(sink));
  if (takers.size === 0 || (areNamed && idle.length > 0)) throw nothingFor(idle);
  return {
    sinks: sinks.filter((sink) => takers.has(sink)).map(({ name }) => name),
    tables: checked,
    estimates,
    keys,
    notes,
  };
}

/** Under the names that the sinks have for them: partitions with their root. */
async function tablesTaken(
  client: Client,
  sinks: readonly SinkSettings[],
  context: ReadingContext,
): Promise<readonly TableName[]> {
  const names = new Map<string, TableName>();
  for (const placed of await publishedTables(client, context)) {
    for (const sink of sinks) {
      const name = nameFor(sink.selection, placed);
      if (name === undefined || !takes(sink, placed)) continue;
      const { schema, table } = name;
      names.set(JSON.stringify([schema, table]), { schema, table });
    }
  }
  return [...names.values()];
}

export function takes(sink: SinkSettings, placed: Placed): boolean {
  const name = nameFor(sink.selection, placed);
  return name !== undefined && takesReads(optionsFor(name, sink.tables), sink);
}

export function takenByNone(sinks: readonly SinkSettings[], name: TableName, placed: Placed): TailraceError {
  const selecting = sinks.find((sink) => nameFor(sink.selection, placed) !== undefined);
  if (selecting !== undefined) return takesNoReads(selecting, ` of ${formatTableName(name)}`);
  const [sink] = sinks;
  const who = sinks.length === 1 ? `sink "${sink!.name}" does` : 'these sinks do';
  return refused(
    'TABLE_NOT_READ',
    `${who} not read ${formatTableName(name)}`,
    sinks.length === 1
      ? `it reads ${describeSelection(sink!.selection)}: name one of its tables, or add this one to its source`
      : 'name a table that one of them reads',
  );
}

const takesNoReads = ({ name }: SinkSettings, what = ''): TailraceError =>
  refused(
    'SINK_TAKES_NO_READS',
    `sink "${name}" takes no rows that backfills read${what}`,
    'write "backfill: { reads: true }" into the sink, or insert into its actions, and start again',
  );

function nothingFor(sinks: readonly SinkSettings[]): TailraceError {
  const unwilling = sinks.find(
    (sink) => ![undefined, ...sink.tables].some((table) => takesReads(table, sink)),
  );
  if (unwilling !== undefined) return takesNoReads(unwilling);
  const names = sinks.map(({ name }) => `"${name}"`).join(', ');
  return refused(
    'NOTHING_TO_READ',
    `the publication has no table whose rows ${sinks.length === 1 ? 'sink' : 'one of the sinks'} ${names} takes`,
    'tailrace doctor says which tables are left out, and why',
  );
}

const notReached = ({ name }: DatabaseSettings, error: unknown): TailraceError =>
  refused(
    'DATABASE_NOT_REACHED',
    `database "${name}" has to be asked before this begins, and cannot be: ${describeError(error)}`,
    'ask again when it can be reached',
  );
