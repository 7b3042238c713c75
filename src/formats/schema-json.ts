// What changed in a table's schema, as messages of every format say it.
import { jsonText } from '../core/json.ts';
import {
  BOOLEAN,
  constant,
  member,
  nullable,
  object,
  STRING,
  unionOf,
  type JsonMember,
  type JsonType,
} from '../core/json-type.ts';
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

const NAME: readonly JsonMember[] = [member('table_schema', STRING), member('table_name', STRING)];
const STRINGS: JsonType = { kind: 'array', items: STRING };

const step = (change: SchemaStep['change'], ...members: readonly JsonMember[]): JsonType =>
  object([member('change', constant(change)), ...members]);

const SHAPE_TYPE: JsonType = object([
  ...NAME,
  member('columns', {
    kind: 'array',
    items: object([
      member('name', STRING),
      member('type', nullable(STRING)),
      member('nullable', nullable(BOOLEAN)),
    ]),
  }),
  member('key', nullable(STRINGS)),
]);

/** What `schemaJson` gives. */
export const SCHEMA_TYPE: JsonType = object([
  member('changes', {
    kind: 'array',
    items: unionOf(
      step('table_renamed', member('from', object(NAME)), member('to', object(NAME))),
      step('column_renamed', member('from', STRING), member('to', STRING)),
      step('column_dropped', member('column', STRING)),
      step('column_added', member('column', STRING)),
      step(
        'column_retyped',
        member('column', STRING),
        member('from', nullable(STRING)),
        member('to', nullable(STRING)),
      ),
      step('key_changed', member('from', STRINGS), member('to', STRINGS)),
    ),
  }),
  member('before', SHAPE_TYPE),
  member('after', SHAPE_TYPE),
]);
