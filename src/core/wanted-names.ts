// The names that a sink's configuration says of tables and columns, as far as a database can tell whether there are any. Pure.
import type { RowAction } from './change.ts';
import {
  optionsFor,
  type Selection,
  type TableName,
  type TablePattern,
  formatTableName,
} from './selection.ts';

/** Columns that one template of a group id names, at the destination's key `key`. */
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
  /** Without it there is no group: the sink halts at the first row. */
  readonly isGroup: boolean;
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
  const ofOptions = (columns: readonly string[] | undefined, key: string, isGroup: boolean): ColumnUse[] =>
    (columns ?? []).map((column) => ({ column, key, isGroup, byPattern }));
  return [
    ...ofOptions(options?.columns, 'columns', false),
    ...Object.entries(options?.rules ?? {}).flatMap(([key, columns]) => ofOptions(columns, key, false)),
    ...ofOptions(options?.groupColumns, 'group_column_names', true),
    ...templatesFor(sink, name).flatMap(({ columns, key }) =>
      columns.map((column) => ({ column, key, isGroup: true, byPattern: undefined })),
    ),
  ];
}

/** Those that some action of the table is grouped by. */
function templatesFor(
  { groups, actions }: NonNullable<SinkNames['sink']>,
  name: TableName,
): readonly GroupColumns[] {
  const text = formatTableName(name);
  const taken = actions.map((action) =>
    groups.find(
      (group) =>
        (group.table === undefined || group.table === text) &&
        (group.action === undefined || group.action === action),
    ),
  );
  return [...new Set(taken)].filter((group) => group !== undefined);
}
