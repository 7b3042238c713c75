// What a table's replica identity keeps from the routes and groups of a sink for certain: columns of deleted rows, and of rows before an update.
// Where nothing stands for them the sink is refused before its first row; `doctor` and `check --database` say the same, and where a default
// takes every delete.
import type { Client } from 'pg';
import type { Action, RowAction } from '../../core/change.ts';
import { nameFor } from '../../core/partitions.ts';
import { formatTableName, optionsFor, type TableName } from '../../core/selection.ts';
import {
  defaultedColumns,
  isTemplate,
  neededColumns,
  parseRowTemplate,
  parseTemplate,
  templateColumns,
  writtenAs,
  type ColumnPart,
  type Template,
} from '../../core/template.ts';
import { takenFor } from '../../core/wanted-names.ts';
import { askOver } from '../../postgres/connection/asking.ts';
import { findServer } from '../../postgres/connection/standbys.ts';
import { failed, faultOf, warned, type Finding } from '../../postgres/preflight/finding.ts';
import { readIdentityColumns, type IdentityColumns } from '../../postgres/preflight/identity-columns.ts';
import { listTables, quoteTable } from '../../postgres/preflight/tables.ts';
import type { DatabaseSettings } from '../../postgres/settings.ts';
import { sinkDefinition } from '../../sinks/registry.ts';
import type { GroupTemplate, RouteTemplate, SinkDefinition } from '../../sinks/sink.ts';
import type { SinkSettings } from '../settings.ts';
import { takenActions, wantedActions } from './taken-actions.ts';

/** What decides where a sink's messages go. */
export type RoutedSink = Pick<
  SinkSettings,
  'name' | 'selection' | 'tables' | 'actions' | 'messageGrouping' | 'routeMoves' | 'destination'
>;

/** Of many tables, this many are named. */
const MAX_NAMED = 10;

/** What has to be known of old rows. */
type Need = {
  readonly action: RowAction;
  readonly key: string;
  readonly parts: readonly ColumnPart[];
};

/** What decides where deletes go, or in which group they are, without a value. */
type Default = {
  readonly goesTo: 'route' | 'group';
  readonly key: string;
  readonly columns: readonly string[];
};

const definitionOf = ({ destination: { type } }: Pick<RoutedSink, 'destination'>): SinkDefinition<unknown> =>
  sinkDefinition(type)!;

const routeTemplatesOf = (settings: Pick<RoutedSink, 'destination'>): readonly RouteTemplate[] =>
  definitionOf(settings).routeTemplates?.(settings.destination.config) ?? [];

const groupTemplatesOf = (settings: RoutedSink): readonly GroupTemplate[] =>
  settings.messageGrouping
    ? (definitionOf(settings).groupTemplates?.(settings.destination.config) ?? [])
    : [];

function needsOf(settings: RoutedSink, name: TableName): readonly Need[] {
  const wanted = wantedActions(name, settings);
  const need = (
    action: RowAction,
    templates: readonly RouteTemplate[],
    partsOf: (text: string) => readonly ColumnPart[],
  ): readonly Need[] =>
    takenFor(templates, name, [action])
      .filter(({ template }) => wanted.includes(action) && isTemplate(template))
      .map(({ key, template }) => ({ action, key, parts: partsOf(template) }))
      .filter(({ parts }) => parts.length > 0);
  const routes = routeTemplatesOf(settings);
  return [
    ...need('delete', routes, (text) => neededColumns(parseRowTemplate(text))),
    ...need('delete', groupTemplatesOf(settings), (text) => neededColumns(parseTemplate(text))),
    ...need('update', routes, (text) => {
      const template = parseRowTemplate(text);
      if (settings.routeMoves === 'convert') return template.filter((part) => part.kind === 'value');
      return neededColumns(template).filter(({ image }) => image === 'old');
    }),
  ];
}

/** Where a default, or the empty text of a bare name, stands for what a deleted row may come without. */
function defaultsOf(settings: RoutedSink, name: TableName): readonly Default[] {
  if (!wantedActions(name, settings).includes('delete')) return [];
  const defaults = (
    goesTo: Default['goesTo'],
    templates: readonly RouteTemplate[],
    parse: (text: string) => Template,
  ): readonly Default[] =>
    takenFor(templates, name, ['delete'])
      .filter(({ template }) => isTemplate(template))
      .map(({ key, template }) => ({ goesTo, key, columns: defaultedColumns(parse(template)) }))
      .filter(({ columns }) => columns.length > 0);
  return [
    ...defaults('route', routeTemplatesOf(settings), parseRowTemplate),
    ...defaults('group', groupTemplatesOf(settings), parseTemplate),
  ];
}

/** The sink's actions whose changes come out where those of one come out, as far as the configuration says; none: the table's are not taken. */
export function actionsBeside(
  settings: Pick<SinkSettings, 'destination' | 'tables' | 'actions' | 'backfill'>,
  name: TableName,
  action: Action,
): readonly Action[] {
  if (!takenActions(optionsFor(name, settings.tables), settings).includes(action)) return [];
  // What has no place of its own goes where inserts go.
  const rowActionOf = (each: Action): RowAction => (each === 'update' || each === 'delete' ? each : 'insert');
  const placeOf = (each: Action): string => {
    const taken = takenFor(routeTemplatesOf(settings), name, [rowActionOf(each)]);
    return JSON.stringify(taken.map(({ template }) => template));
  };
  return settings.actions.filter((each) => placeOf(each) === placeOf(action));
}

/** The columns that decide where an update of this table goes. */
export const columnsOfRoutes = (
  settings: Pick<RoutedSink, 'destination'>,
  name: TableName,
): readonly string[] =>
  takenFor(routeTemplatesOf(settings), name, ['update'])
    .filter(({ template }) => isTemplate(template))
    .flatMap(({ template }) => templateColumns(parseRowTemplate(template)));

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

/** May any of its templates need what an identity keeps back? */
export function asksOfOldRows(settings: RoutedSink): boolean {
  if (!settings.actions.some((action) => action === 'update' || action === 'delete')) return false;
  const needs = (parse: typeof parseTemplate, templates: readonly RouteTemplate[], always = false): boolean =>
    templates.some(
      ({ template }) => isTemplate(template) && (always || neededColumns(parse(template)).length > 0),
    );
  return (
    needs(parseRowTemplate, routeTemplatesOf(settings), settings.routeMoves === 'convert') ||
    needs(parseTemplate, groupTemplatesOf(settings))
  );
}

/** Of all tables that these sinks take. */
export async function unsentIn(client: Client, sinks: readonly RoutedSink[]): Promise<readonly Finding[]> {
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

/**
 * Throws TailraceError (fatal) where the sink would never have a route for some changes. `ask` is what `unsentIn` says of it; where nobody can
 * be asked it goes on.
 */
export async function refuseUnroutable(
  sink: RoutedSink & Pick<SinkSettings, 'database'>,
  ask: () => Promise<readonly Finding[]>,
): Promise<void> {
  if (!asksOfOldRows(sink)) return;
  const findings = await ask().catch(() => []);
  const fault = faultOf(sink.database, findings.slice(0, MAX_NAMED));
  if (fault !== undefined) throw fault;
}
