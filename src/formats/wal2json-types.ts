// What wal2json's messages are, beside their renderer (wal2json.ts).
import type { Action, TransactionEnd } from '../core/change.ts';
import {
  constant,
  integer,
  member,
  named,
  object,
  STRING,
  typeOfJson,
  unionOf,
  type JsonMember,
  type JsonObject,
  type JsonType,
} from '../core/json-type.ts';
import type { CompileInput, RowKnowledge } from './format.ts';
import { newRowType, oldRowType, type DescribedRow } from './row-types.ts';

/** What a message says of a column beside its value. */
export type Facts = (column: {
  readonly name: string;
  readonly index: number;
}) => Readonly<Record<string, unknown>>;

type Parts = {
  readonly facts: Facts;
  readonly identity: CompileInput['columns'];
  readonly key: CompileInput['columns'];
  readonly block: {
    readonly 'include-xids': boolean;
    readonly 'include-timestamp': boolean;
    readonly 'include-lsn': boolean;
    readonly 'include-schemas': boolean;
    readonly 'include-pk': boolean;
  };
};

const LETTERS = { insert: 'I', read: 'I', update: 'U', delete: 'D', truncate: 'T' } as const;

export function wal2jsonMessage(
  input: DescribedRow,
  { facts, identity, key, block }: Parts,
  action: Action,
  rows: RowKnowledge,
): JsonType {
  if (action === 'schema') throw new Error('wal2json has no messages of schemas');
  const { schema, table } = input.relation;
  const isRow = action !== 'truncate';
  const identityRow = { ...input, columns: identity };
  return object([
    member('action', constant(LETTERS[action])),
    ...ofCommit(block),
    ...(block['include-schemas'] ? [member('schema', constant(schema))] : []),
    member('table', constant(table)),
    ...(isRow && action !== 'delete'
      ? [member('columns', listOf(input, 'Column', newRowType(input, action, rows), facts))]
      : []),
    ...(action === 'update' ? [member('identity', identityOfUpdate(identityRow, rows, facts))] : []),
    ...(action === 'delete'
      ? [member('identity', listOf(identityRow, 'Identity', oldRowType(identityRow, action, rows), facts))]
      : []),
    ...(isRow && block['include-pk'] ? [pkOf(key, facts)] : []),
  ]);
}

/** `B`, or `C`, which knows where the next one may be. */
export const wal2jsonTransactionEnd = (block: Parts['block'], end: TransactionEnd): JsonType =>
  object([
    member('action', constant(end === 'begin' ? 'B' : 'C')),
    ...ofCommit(block),
    ...(end === 'commit' && block['include-lsn'] ? [member('nextlsn', STRING)] : []),
  ]);

const ofCommit = (block: Parts['block']): readonly JsonMember[] => [
  ...(block['include-xids'] ? [member('xid', integer(53))] : []),
  ...(block['include-timestamp'] ? [member('timestamp', STRING)] : []),
  ...(block['include-lsn'] ? [member('lsn', STRING)] : []),
];

/** The old row, or where there is none the new one. */
function identityOfUpdate(row: DescribedRow, rows: RowKnowledge, facts: Facts): JsonType {
  const old = listOf(row, 'Identity', oldRowType(row, 'update', rows), facts);
  return rows.updatesHaveOld
    ? old
    : unionOf(old, listOf(row, 'Identity', newRowType(row, 'update', rows), facts));
}

/** Of the members of a row: what is not there is not in the list. */
function listOf(row: DescribedRow, name: string, { members }: JsonObject, facts: Facts): JsonType {
  const items = members.flatMap(({ name, type, about }): JsonType[] => {
    const column = row.columns.find((each) => each.name === name);
    return column === undefined
      ? []
      : [object([...told(facts, column), { ...member('value', type), about }])];
  });
  return items.length === 0
    ? { kind: 'tuple', items }
    : { kind: 'array', items: named(name, unionOf(...items)) };
}

const pkOf = (key: Parts['key'], facts: Facts): JsonMember =>
  member('pk', { kind: 'tuple', items: key.map((column) => object(told(facts, column))) });

const told = (
  facts: Facts,
  column: { readonly name: string; readonly index: number },
): readonly JsonMember[] =>
  Object.entries(facts(column)).map(([name, value]) => member(name, typeOfJson(value)));
