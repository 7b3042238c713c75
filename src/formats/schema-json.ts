// What changed in a table's schema, as messages of every format say it.
import { jsonText } from '../core/json.ts';
import { schemaSteps, type SchemaChange, type SchemaStep, type TableShape } from '../core/schema-change.ts';
import type { TableName } from '../core/selection.ts';

/** `changes`: step by step; `before` and `after`: the whole table as rows had it, and have it from here on. */
export const schemaJson = ({ before, after }: SchemaChange): string =>
  jsonText({
    changes: schemaSteps(before, after).map(stepOf),
    before: shapeOf(before),
    after: shapeOf(after),
  });

function stepOf(step: SchemaStep): unknown {
  switch (step.change) {
    case 'table_renamed':
      return { change: step.change, from: nameOf(step.from), to: nameOf(step.to) };
    case 'column_retyped':
      return { ...step, from: step.from ?? null, to: step.to ?? null };
    case 'column_renamed':
    case 'column_dropped':
    case 'column_added':
    case 'key_changed':
      return step;
    default:
      return step satisfies never;
  }
}

/** What is not known is null. */
const shapeOf = ({ columns, key, ...table }: TableShape): unknown => ({
  ...nameOf(table),
  columns: columns.map(({ name, typeName, nullable }) => ({
    name,
    type: typeName ?? null,
    nullable: nullable ?? null,
  })),
  key: key ?? null,
});

const nameOf = ({ schema, table }: TableName): object => ({ table_schema: schema, table_name: table });
