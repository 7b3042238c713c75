// Under which name a table's rows are read: a partition's under that of its topmost ancestor that is read, else under its own. Pure.
import {
  matchesName,
  matchesTable,
  namedTables,
  selects,
  type Selection,
  type TableName,
} from './selection.ts';

export type Placed = TableName & {
  /** Its root first, its parent last. */
  readonly ancestors?: readonly (TableName & { readonly published: boolean })[] | undefined;
};

/**
 * Undefined: they are not read. An ancestor counts where it is published, or named one by one: rows of a partition that is published
 * alone are its own. Who excludes a table excludes its partitions, but for those that are named one by one.
 */
export function nameFor(selection: Selection, table: Placed): TableName | undefined {
  const { ancestors = [] } = table;
  const above = ancestors.find(
    (ancestor) => selects(selection, ancestor) && (ancestor.published || isNamed(selection, ancestor)),
  );
  if (above !== undefined) return above;
  if (!selects(selection, table)) return undefined;
  const isExcluded = ancestors.some((ancestor) => excludes(selection, ancestor));
  return isExcluded && !isNamed(selection, table) ? undefined : table;
}

const isNamed = (selection: Selection, { schema, table }: TableName): boolean =>
  namedTables(selection).some((named) => named.schema === schema && named.table === table);

const excludes = ({ excludeSchemas, excludeTables }: Selection, name: TableName): boolean =>
  excludeSchemas?.some((pattern) => matchesName(pattern, name.schema)) === true ||
  excludeTables?.some((pattern) => matchesTable(pattern, name)) === true;
