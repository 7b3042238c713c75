// What the messages of the formats sequin and tailrace are, beside their renderer (sequin.ts).
import type { Action } from '../core/change.ts';
import {
  ANY,
  constant,
  integer,
  maybe,
  member,
  named,
  NULL_TYPE,
  object,
  STRING,
  type JsonMember,
  type JsonType,
} from '../core/json-type.ts';
import type { RowKnowledge } from './format.ts';
import { changedType, keyTextsType, newRowType, oldRowType, type DescribedRow } from './row-types.ts';
import { SCHEMA_TYPE } from './schema-json.ts';

type Described = DescribedRow & { readonly key: DescribedRow };

/** Annotations are whatever somebody has written. */
const ANNOTATIONS: JsonType = object([], [{ prefix: '', type: ANY }]);
const CONSUMER: JsonType = object([
  member('id', STRING),
  member('name', STRING),
  member('annotations', ANNOTATIONS),
]);
const DATABASE: JsonType = object([
  member('id', STRING),
  member('name', STRING),
  member('annotations', ANNOTATIONS),
  member('database', STRING),
  member('hostname', STRING),
]);
const NAMES: JsonType = { kind: 'array', items: STRING };

export const sequinMessage = (row: Described, action: Action, rows: RowKnowledge): JsonType =>
  object([
    member('record', named('Record', recordOf(row, action, rows))),
    member('changes', action === 'update' ? named('Changes', changedType(row, rows)) : NULL_TYPE),
    member('action', constant(action)),
    ...(action === 'schema' ? [member('schema', SCHEMA_TYPE)] : []),
    member('metadata', named('Metadata', metadataOf(row, action, rows))),
  ]);

function recordOf(row: Described, action: Action, rows: RowKnowledge): JsonType {
  switch (action) {
    case 'insert':
    case 'update':
    case 'read':
      return newRowType(row, action, rows);
    case 'delete':
      return oldRowType(row, action, rows);
    case 'truncate':
    case 'schema':
      return object([]);
    default:
      return action satisfies never;
  }
}

function metadataOf(row: Described, action: Action, rows: RowKnowledge): JsonType {
  const { schema, table } = row.relation;
  const isRow = action !== 'truncate' && action !== 'schema';
  const names = [member('table_schema', constant(schema)), member('table_name', constant(table))];
  const partition = object([member('table_schema', STRING), member('table_name', STRING)]);
  return object([
    ...names,
    ...(!isRow && rows.isPartitioned ? [maybe('partition', partition)] : []),
    member('idempotency_key', STRING),
    member('commit_timestamp', STRING),
    member('commit_lsn', integer(64)),
    member('commit_idx', integer(53)),
    member('database_name', STRING),
    member('transaction_annotations', ANY),
    member('consumer', CONSUMER),
    member('database', DATABASE),
    member('enrichment', NULL_TYPE),
    member('record_pks', isRow ? keyTextsType(row, action, rows) : { kind: 'tuple', items: [] }),
    ...(isRow ? rowMetadata(row, action, rows) : []),
  ]);
}

function rowMetadata(row: Described, action: Action, rows: RowKnowledge): readonly JsonMember[] {
  const lacks = action !== 'delete' && row.columns.some(({ index }) => rows.mayBeUnchanged(index, action));
  const direction = action === 'delete' ? 'out' : action === 'insert' ? 'in' : undefined;
  return [
    maybe('undecodable_columns', NAMES),
    ...(lacks ? [maybe('unchanged_columns', NAMES)] : []),
    ...(direction !== undefined && rows.halves ? [maybe('key_change', keyChangeOf(row, rows))] : []),
    ...(direction !== undefined && rows.moves ? [maybe('moved', constant(direction))] : []),
  ];
}

/** The same in both halves. */
const keyChangeOf = ({ key }: Described, rows: RowKnowledge): JsonType =>
  object([member('old', oldRowType(key, 'update', rows)), member('new', newRowType(key, 'update', rows))]);
