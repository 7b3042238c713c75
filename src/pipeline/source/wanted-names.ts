// The names of tables and columns in a sink's settings, those of its destination among them: what a look at the database compares.
import { ROW_ACTIONS } from '../../core/change.ts';
import { isTemplate, parseRowTemplate, parseTemplate, templateColumns } from '../../core/template.ts';
import type { SinkNames } from '../../core/wanted-names.ts';
import { columnsNamedBy } from '../../functions/columns/rules.ts';
import { sinkDefinition } from '../../sinks/registry.ts';
import type { ServiceSettings, SinkSettings } from '../settings.ts';

export function namesOf(sink: SinkSettings): SinkNames {
  const { type, config } = sink.destination;
  const definition = sinkDefinition(type);
  const templates = sink.messageGrouping ? (definition?.groupTemplates?.(config) ?? []) : [];
  return {
    ...sink.selection,
    sink: {
      name: sink.name,
      tables: sink.tables.map(({ pattern, columns, groupColumns, rules }) => ({
        pattern,
        ...(columns && { columns }),
        ...(groupColumns && { groupColumns }),
        ...(rules && { rules: columnsNamedBy(rules) }),
      })),
      destinationTables: definition?.tableNames?.(config) ?? [],
      groups: templates.map(({ template, ...place }) => ({
        ...place,
        columns: templateColumns(parseTemplate(template)),
      })),
      routes: (definition?.routeTemplates?.(config) ?? []).map(({ template, ...place }) => ({
        ...place,
        columns: isTemplate(template) ? templateColumns(parseRowTemplate(template)) : [],
      })),
      actions: ROW_ACTIONS.filter((action) => sink.actions.includes(action)),
    },
  };
}

/** Of all sinks that follow a database. */
export const sinkNamesOf = (
  { sinks }: Pick<ServiceSettings, 'sinks'>,
  { name }: { readonly name: string },
): readonly SinkNames[] => sinks.filter((sink) => sink.database === name).map(namesOf);
