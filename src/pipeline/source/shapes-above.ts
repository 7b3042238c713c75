// How the tables above a partition look by its rows: a column of theirs is called what it is called there. Pure.
import type { Lineage } from '../../core/change.ts';
import type { ShapeColumn, TableShape } from '../../core/schema-change.ts';

/** Where a relation's rows come from, as shapes say it. */
export const placesOf = ({ ancestors = [] }: Pick<Lineage, 'ancestors'>): NonNullable<TableShape['above']> =>
  ancestors.map(({ schema, table, published }) => ({ schema, table, published }));

/**
 * `table`, which is above the partition: with the columns that the partition's rows have, by the attributes and in the order of the table,
 * as far as both are known. Whoever attaches a table may have made its columns in another order.
 */
export function seenFromAbove(table: TableShape, partition: TableShape): TableShape {
  const byName = new Map(table.columns.map((column) => [column.name, column]));
  const columns = partition.columns.map((column): ShapeColumn => {
    const same = byName.get(column.name);
    return { ...column, number: same?.type === column.type ? same.number : undefined };
  });
  const { relationId, schema, table: name, above } = table;
  return { relationId, schema, table: name, above, columns: inOrder(columns) };
}

/** Where only some are known, numbers that contradict the order in which the columns stand prove nothing. */
function inOrder(columns: readonly ShapeColumn[]): readonly ShapeColumn[] {
  const numbers = columns.flatMap(({ number }) => number ?? []);
  if (numbers.length === columns.length) return columns.toSorted((a, b) => a.number! - b.number!);
  const isAscending = numbers.every((number, i) => i === 0 || numbers[i - 1]! < number);
  return isAscending ? columns : columns.map((column) => ({ ...column, number: undefined }));
}
