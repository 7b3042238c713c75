// The names that a sink's configuration says of tables and columns, as far as a database can tell whether there are any. Pure.
import type { RowAction } from './change.ts';
import {
  optionsFor,
  type Selection,
  type TableName,
  type TablePattern,
  formatTableName,
} from './selection.ts';

/** Columns that one template of a group id or a route names, at the destination's key `key`. */
export type GroupColumns = {
  readonly key: string;
  /** Of this table (`schema.table`) or action only: those go before the others, the table's first. */
  readonly table?: string;
  readonly action?: RowAction;
  readonly columns: readonly string[];
};

/** Options of the tables that a pattern matches. */
export type ColumnOptions = {
  readonly pattern: TablePattern;
  readonly columns?: readonly string[];
  readonly groupColumns?: readonly string[];
  /** By their keys, the rules that name columns. */
  readonly rules?: Readonly<Record<string, readonly string[]>>;
  /** Do columns, or rows, of the tables stay here? */
  readonly keepsBack?: true;
};

/** What one sink reads, and the names in its options. Plain values that cross threads. */
export type SinkNames = Selection & {
  readonly sink?: {
    readonly name: string;
    readonly tables: readonly ColumnOptions[];
    /** Tables that its destination names (`schema.table`). */
    readonly destinationTables: readonly string[];
    /** In the order in which they are taken; none where the sink has no message groups. */
    readonly groups: readonly GroupColumns[];
    /** The same of what rows decide of their routes. */
    readonly routes?: readonly GroupColumns[];
    readonly actions: readonly RowAction[];
  };
};

/** Is a table named beside those that are named to be read? */
export const namesMore = (sinks: readonly SinkNames[]): boolean =>
  sinks.some(
    ({ excludeTables, includeSchemas, sink }) =>
      excludeTables !== undefined ||
      includeSchemas !== undefined ||
      (sink !== undefined && sink.tables.length + sink.destinationTables.length > 0),
  );

export type ColumnUse = {
  readonly column: string;
  /** Where it is named: `group_column_names`. */
  readonly key: string;
  /** Without it there is no group, or no route: the sink halts at the first row. */
  readonly halts: 'group' | 'route' | undefined;
  /** Several tables share what names it. */
  readonly byPattern: TablePattern | undefined;
};

/** The columns that the options of a sink name for a table. */
export function columnUses({ sink }: SinkNames, name: TableName): readonly ColumnUse[] {
  if (sink === undefined) return [];
  const options = optionsFor(name, sink.tables);
  const byPattern =
    options === undefined || (options.pattern.schema.length === 1 && options.pattern.table.length === 1)
      ? undefined
      : options.pattern;
  const ofOptions = (
    columns: readonly string[] | undefined,
    key: string,
    halts: ColumnUse['halts'],
  ): ColumnUse[] => (columns ?? []).map((column) => ({ column, key, halts, byPattern }));
  const ofTemplates = (templates: readonly GroupColumns[], halts: ColumnUse['halts']): ColumnUse[] =>
    takenFor(templates, name, sink.actions).flatMap(({ columns, key }) =>
      columns.map((column) => ({ column, key, halts, byPattern: undefined })),
    );
  return [
    ...ofOptions(options?.columns, 'columns', undefined),
    ...Object.entries(options?.rules ?? {}).flatMap(([key, columns]) => ofOptions(columns, key, undefined)),
    ...ofOptions(options?.groupColumns, 'group_column_names', 'group'),
    ...ofTemplates(sink.groups, 'group'),
    ...ofTemplates(sink.routes ?? [], 'route'),
  ];
}

/** Of what a destination says for a table, an action, both or neither: what some action of the table is under. */
export function takenFor<Said extends { readonly table?: string; readonly action?: RowAction }>(
  said: readonly Said[],
  name: TableName,
  actions: readonly RowAction[],
): readonly Said[] {
  const text = formatTableName(name);
  const taken = actions.map((action) =>
    said.find(({ table, action: only }) => (table ?? text) === text && (only ?? action) === action),
  );
  return [...new Set(taken)].filter((each) => each !== undefined);
}
