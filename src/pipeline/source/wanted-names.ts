// The names of tables and columns in a sink's settings, those of its destination among them: what a look at the database compares.
import { ROW_ACTIONS } from '../../core/change.ts';
import { isTemplate, parseRowTemplate, parseTemplate, templateColumns } from '../../core/template.ts';
import type { SinkNames } from '../../core/wanted-names.ts';
import { columnsNamedBy } from '../../functions/columns/rules.ts';
import { sinkDefinition } from '../../sinks/registry.ts';
import type { ServiceSettings, SinkSettings, TableOptions } from '../settings.ts';

/** Do columns, or rows, of the tables of this entry stay here? */
export const keepsBack = ({ columns, where, rules }: TableOptions): boolean =>
  columns !== undefined ||
  where !== undefined ||
  (rules !== undefined && rules.mask.size + rules.exclude.length > 0);

export function namesOf(sink: SinkSettings): SinkNames {
  const { type, config } = sink.destination;
  const definition = sinkDefinition(type);
  const templates = sink.messageGrouping ? (definition?.groupTemplates?.(config) ?? []) : [];
  return {
    ...sink.selection,
    sink: {
      name: sink.name,
      tables: sink.tables.map((table) => {
        const { pattern, columns, groupColumns, rules } = table;
        return {
          pattern,
          ...(columns && { columns }),
          ...(groupColumns && { groupColumns }),
          ...(rules && { rules: columnsNamedBy(rules) }),
          ...(keepsBack(table) && { keepsBack: true }),
        };
      }),
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
