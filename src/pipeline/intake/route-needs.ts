// What the routes and groups of a sink need of rows that are not there any more: of deleted rows, and of rows before an update. What of that a
// table's replica identity keeps back: route-identity.ts.
import type { Action, RowAction } from '../../core/change.ts';
import { optionsFor, type TableName } from '../../core/selection.ts';
import {
  defaultedColumns,
  isTemplate,
  neededColumns,
  parseRowTemplate,
  parseTemplate,
  templateColumns,
  type ColumnPart,
  type Template,
} from '../../core/template.ts';
import { takenFor } from '../../core/wanted-names.ts';
import { sinkDefinition } from '../../sinks/registry.ts';
import type { GroupTemplate, RouteTemplate, SinkDefinition } from '../../sinks/sink.ts';
import type { SinkSettings } from '../settings.ts';
import { takenActions, wantedActions } from './taken-actions.ts';

/** What decides where a sink's messages go. */
export type RoutedSink = Pick<
  SinkSettings,
  'name' | 'selection' | 'tables' | 'actions' | 'messageGrouping' | 'routeMoves' | 'destination'
>;

/** What has to be known of old rows. */
export type Need = {
  readonly action: RowAction;
  readonly key: string;
  readonly parts: readonly ColumnPart[];
};

/** What decides where deletes go, or in which group they are, without a value. */
export type Default = {
  readonly goesTo: 'route' | 'group';
  readonly key: string;
  readonly columns: readonly string[];
};

const definitionOf = ({ destination: { type } }: Pick<RoutedSink, 'destination'>): SinkDefinition<unknown> =>
  sinkDefinition(type)!;

export const routeTemplatesOf = (settings: Pick<RoutedSink, 'destination'>): readonly RouteTemplate[] =>
  definitionOf(settings).routeTemplates?.(settings.destination.config) ?? [];

export const groupTemplatesOf = (settings: RoutedSink): readonly GroupTemplate[] =>
  settings.messageGrouping
    ? (definitionOf(settings).groupTemplates?.(settings.destination.config) ?? [])
    : [];

export function needsOf(settings: RoutedSink, name: TableName): readonly Need[] {
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
export function defaultsOf(settings: RoutedSink, name: TableName): readonly Default[] {
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
