// What a table's replica identity keeps from the routes and groups of a sink for certain: columns of deleted rows, and of rows before an update.
// Where nothing stands for them the sink is refused before its first row; `doctor` and `check --database` say the same, and where a default
// takes every delete.
import type { Client } from 'pg';
import type { TailraceError } from '../../core/errors.ts';
import { nameFor } from '../../core/partitions.ts';
import { formatTableName, type TableName } from '../../core/selection.ts';
import { isTemplate, writtenAs } from '../../core/template.ts';
import { askOver } from '../../postgres/connection/asking.ts';
import { findServer } from '../../postgres/connection/standbys.ts';
import { failed, faultOf, warned, type Finding } from '../../postgres/preflight/finding.ts';
import { readIdentityColumns, type IdentityColumns } from '../../postgres/preflight/identity-columns.ts';
import { listTables } from '../../postgres/preflight/tables.ts';
import { quoteTable } from '../../postgres/quoting.ts';
import type { DatabaseSettings } from '../../postgres/settings.ts';
import type { SinkSettings } from '../settings.ts';
import { defaultsOf, groupTemplatesOf, needsOf, routeTemplatesOf, type RoutedSink } from './route-needs.ts';

/** Of many tables, this many are named. */
const MAX_NAMED = 10;

/** What a sink needs of a table's old rows and never gets: errors, or warnings where something stands for it. */
export function unsentFindings(
  settings: RoutedSink,
  name: TableName,
  table: IdentityColumns,
): readonly Finding[] {
  if (table.isFull) return [];
  const never = needsOf(settings, name).flatMap(({ action, key, parts }) => {
    const unsent = parts.filter(({ name: column }) => !table.columns.includes(column));
    if (unsent.length === 0) return [];
    const columns = [...new Set(unsent.map(({ name: column }) => column))];
    const defaults = [...new Set(unsent.map((part) => writtenAs(part).replace('}', ':-other}')))];
    const converts = action === 'update' && settings.routeMoves === 'convert';
    return failed({
      code: 'ROUTE_VALUE_NEVER_SENT',
      title: `routes of sink "${settings.name}" for ${formatTableName(name)}`,
      detail: `${key} asks for ${columns.join(', ')} of ${formatTableName(table)}, and a row ${action === 'delete' ? 'that is deleted' : 'before an update'} comes with its replica identity alone`,
      cure: `ALTER TABLE ${quoteTable(table)} REPLICA IDENTITY FULL;${converts ? ' or route_moves: ignore' : ` or give it a default: ${defaults.join(', ')}`}`,
    });
  });
  const defaulted = defaultsOf(settings, name).flatMap(({ goesTo, key, columns }) => {
    // Of a name that no column has something else is said.
    const unsent = columns.filter((column) => table.all.includes(column) && !table.columns.includes(column));
    if (unsent.length === 0) return [];
    const place =
      goesTo === 'route'
        ? 'goes to the route of the default, wherever the row was'
        : 'is in the group of the default, in no order with what the row did before';
    return warned({
      code: 'ROUTE_DEFAULT_TAKEN',
      title: `${goesTo}s of sink "${settings.name}" for ${formatTableName(name)}`,
      detail: `a row of ${formatTableName(table)} that is deleted comes without ${unsent.join(', ')} of ${key}, so its delete ${place}`,
      cure: `ALTER TABLE ${quoteTable(table)} REPLICA IDENTITY FULL;`,
    });
  });
  return [...never, ...defaulted];
}

async function unsentIn(client: Client, sinks: readonly RoutedSink[]): Promise<readonly Finding[]> {
  const tables = await listTables(client);
  const read = (table: TableName & Parameters<typeof nameFor>[1]) =>
    sinks.flatMap((sink) => {
      const name = nameFor(sink.selection, table);
      const asks = name !== undefined && needsOf(sink, name).length + defaultsOf(sink, name).length > 0;
      return asks ? { sink, name } : [];
    });
  const needed = tables.filter((table) => read(table).length > 0);
  const identities = new Map(
    (await readIdentityColumns(client, needed)).map((table) => [formatTableName(table), table]),
  );
  const findings = needed.flatMap((table) => {
    const identity = identities.get(formatTableName(table));
    if (identity === undefined) return [];
    return read(table).flatMap(({ sink, name }) => unsentFindings(sink, name, identity));
  });
  const isError = ({ severity }: Finding): boolean => severity === 'error';
  return [...findings.filter(isError), ...firstOf(findings.filter((finding) => !isError(finding)))];
}

/** Of what is only noted, the last one says how many there are more. */
export function firstOf(notes: readonly Finding[]): readonly Finding[] {
  const more = notes.length - MAX_NAMED;
  if (more <= 0) return notes;
  const last = notes[MAX_NAMED - 1]!;
  return [...notes.slice(0, MAX_NAMED - 1), { ...last, detail: `${last.detail}; and so with ${more} more` }];
}

/** Nothing where no sink of the database has such templates. Rejects where the database cannot be asked. */
export async function inspectRoutes(
  database: DatabaseSettings,
  sinks: readonly (RoutedSink & Pick<SinkSettings, 'database'>)[],
): Promise<readonly Finding[]> {
  const own = sinks.filter(
    (sink) =>
      sink.database === database.name &&
      [...routeTemplatesOf(sink), ...groupTemplatesOf(sink)].some(({ template }) => isTemplate(template)),
  );
  if (own.length === 0) return [];
  return await askOver(await findServer(database), database, (client) => unsentIn(client, own));
}

/** Why the sink would never have a route for some changes (fatal); undefined: it has. */
export async function unroutable(
  client: Client,
  sink: RoutedSink & Pick<SinkSettings, 'database'>,
): Promise<TailraceError | undefined> {
  return faultOf(sink.database, (await unsentIn(client, [sink])).slice(0, MAX_NAMED));
}
