// What Debezium's messages are, beside their renderer (debezium.ts).
import type { Action } from '../../core/change.ts';
import {
  constant,
  integer,
  member,
  named,
  NULL_TYPE,
  nullable,
  object,
  type JsonType,
} from '../../core/json-type.ts';
import type { RowKnowledge } from '../format.ts';
import { newRowType, oldRowType, type DescribedRow } from '../row-types.ts';
import { DELETED, SOURCE_FIELDS, type AddedField, type OuterField, type SourceField } from './options.ts';
import { sourceTypes } from './source.ts';

const OPS = { insert: 'c', update: 'u', delete: 'd', read: 'r', truncate: 't' } as const;
const TIMES = { ts_ms: integer(53), ts_us: integer(53), ts_ns: integer(64) } as const;

export function envelopeMessage(row: DescribedRow, action: Action, rows: RowKnowledge): JsonType {
  if (action === 'schema') throw noSchemas();
  const source = sourceTypes(row.relation, action === 'read');
  return object([
    member('before', beforeOf(row, action, rows)),
    member('after', hasNew(action) ? named('Row', newRowType(row, action, rows)) : NULL_TYPE),
    member('source', named('Source', object(SOURCE_FIELDS.map((field) => member(field, source[field]))))),
    member('transaction', NULL_TYPE),
    member('op', constant(OPS[action])),
    ...Object.entries(TIMES).map(([name, type]) => member(name, type)),
  ]);
}

const hasNew = (action: Action): boolean => action === 'insert' || action === 'update' || action === 'read';

function beforeOf(row: DescribedRow, action: Action, rows: RowKnowledge): JsonType {
  if (action !== 'update' && action !== 'delete') return NULL_TYPE;
  const old = named('OldRow', oldRowType(row, action, rows));
  return action === 'delete' || rows.updatesHaveOld ? old : nullable(old);
}

export function unwrappedMessage(
  row: DescribedRow,
  fields: readonly AddedField[],
  action: Action,
  rows: RowKnowledge,
): JsonType {
  if (action === 'schema' || action === 'truncate') throw noSchemas();
  const source = sourceTypes(row.relation, action === 'read');
  const outer: Readonly<Record<OuterField, JsonType>> = { op: constant(OPS[action]), ...TIMES };
  const typeOf = ({ of, field }: AddedField): JsonType => {
    if (of === 'transaction') return NULL_TYPE;
    return of === 'source' ? source[field as SourceField] : outer[field as OuterField];
  };
  const beside = [
    member(DELETED, constant(action === 'delete' ? 'true' : 'false')),
    ...fields.map((field) => member(field.name, typeOf(field))),
  ];
  return hasNew(action) ? newRowType(row, action, rows, beside) : oldRowType(row, action, rows, beside);
}

const noSchemas = (): Error =>
  new Error('the configuration has let a sink of the format debezium ask for what it has no messages for');
