// The types of rows in messages, by what is known of the table: which members may be missing, which may be null.
import { describe, expect, test } from 'vitest';
import type { Action, Relation } from '../../src/core/change.ts';
import {
  constant,
  integer,
  maybe,
  member,
  NULL_TYPE,
  nullable,
  object,
  STRING,
  unionOf,
  type JsonMember,
  type JsonType,
} from '../../src/core/json-type.ts';
import { parseRowTemplate, type ColumnPart } from '../../src/core/template.ts';
import type { MessageColumn, RowKnowledge } from '../../src/formats/format.ts';
import {
  changedType,
  keyTextsType,
  newRowType,
  oldRowType,
  type DescribedRow,
} from '../../src/formats/row-types.ts';

type ColumnOf = { readonly type?: JsonType } & Partial<Pick<MessageColumn, 'unchanged' | 'spreadType'>>;

/** `columns`: of the message, by their names in Postgres. */
const rowOf = (
  columns: Readonly<Record<string, ColumnOf>>,
  more: {
    readonly absent?: 'omit' | 'null';
    readonly added?: DescribedRow['added'];
    readonly masks?: object;
  } = {},
): DescribedRow => ({
  relation: { columns: Object.keys(columns).map((name) => ({ name })), key: ['id'] } as unknown as Relation,
  columns: Object.entries(columns).map(
    ([name, { type = STRING, ...rest }], index) =>
      ({ index, name, type, ...rest }) as unknown as MessageColumn,
  ),
  added: more.added ?? [],
  values: { absent: more.absent ?? 'omit' },
  masks: new Map(Object.entries(more.masks ?? {})),
});

/** Nothing is NULL, nothing out of line, all of it in old rows. */
const known = (facts: Partial<RowKnowledge> = {}): RowKnowledge => ({
  mayBeNull: () => false,
  mayBeUnchanged: () => false,
  inOldRow: () => 'always',
  updatesHaveOld: true,
  halves: false,
  moves: false,
  isPartitioned: false,
  ...facts,
});

const membersOf = (type: ReturnType<typeof newRowType>): readonly JsonMember[] =>
  type.members.map(({ name, type: each, optional }) =>
    optional === true ? maybe(name, each) : member(name, each),
  );

describe('a member that a column and the parts of a flattened one may both give', () => {
  const spreadType = object([maybe('addr_street', integer(32)), member('addr_zip', STRING)]);

  test.each([
    ['behind', { addr: { spreadType }, addr_street: {} }],
    ['in front', { addr_street: {}, addr: { spreadType } }],
  ])('is always there where the column is, %s of it', (_, columns) => {
    const { members } = newRowType(rowOf(columns), 'insert', known());
    const found = members.find(({ name }) => name === 'addr_street')!;
    expect(found.optional ?? false).toBe(false);
    expect(unionOf(found.type)).toEqual(
      unionOf(...('addr' === Object.keys(columns)[0] ? [integer(32), STRING] : [STRING, integer(32)])),
    );
    expect(members.find(({ name }) => name === 'addr')).toMatchObject({ optional: true });
    expect(members.find(({ name }) => name === 'addr_zip')).toMatchObject({ optional: true });
  });

  test('may be missing where either may be', () => {
    const row = rowOf({ addr: { spreadType }, addr_street: {} });
    const unchanged = known({ mayBeUnchanged: (column, action) => column === 1 && action === 'update' });
    const found = newRowType(row, 'update', unchanged).members.find(({ name }) => name === 'addr_street');
    expect(found).toMatchObject({ optional: true });
  });
});

test('a column that is known to be null is not flattened', () => {
  const spreadType = object([maybe('addr_street', STRING)], [{ prefix: 'addr_', type: STRING }]);
  const row = rowOf({ addr: { spreadType } }, { absent: 'null' });
  const never = known({ inOldRow: () => 'never' });
  expect(oldRowType(row, 'delete', never)).toEqual(
    object([{ name: 'addr', type: NULL_TYPE, about: undefined }]),
  );
  expect(newRowType(row, 'insert', known()).others).toEqual([{ prefix: 'addr_', type: STRING }]);
});

test('what was not sent again is missing, or what stands for it', () => {
  const row = rowOf({ id: {}, body: {}, told: { unchanged: '"(unchanged)"' } });
  const rows = known({
    mayBeNull: (column) => column === 1,
    mayBeUnchanged: (column, action) => column > 0 && action === 'update',
  });
  expect(membersOf(newRowType(row, 'update', rows))).toEqual([
    member('id', STRING),
    maybe('body', nullable(STRING)),
    // A text may be that one, too.
    member('told', STRING),
  ]);
  expect(membersOf(newRowType(row, 'insert', rows))).toEqual([
    member('id', STRING),
    member('body', nullable(STRING)),
    member('told', STRING),
  ]);
  const numbers = rowOf({ n: { type: integer(32), unchanged: '"(unchanged)"' } });
  expect(membersOf(newRowType(numbers, 'update', known({ mayBeUnchanged: () => true })))).toEqual([
    member('n', unionOf(integer(32), constant('(unchanged)'))),
  ]);
});

test('old rows have what their identity has, and null or nothing for the rest', () => {
  const columns = { id: {}, some: {}, none: {} };
  const rows = known({ inOldRow: (column) => (['always', 'sometimes', 'never'] as const)[column]! });
  expect(membersOf(oldRowType(rowOf(columns), 'delete', rows))).toEqual([
    member('id', STRING),
    maybe('some', STRING),
  ]);
  expect(membersOf(oldRowType(rowOf(columns, { absent: 'null' }), 'delete', rows))).toEqual([
    member('id', STRING),
    member('some', nullable(STRING)),
    member('none', NULL_TYPE),
  ]);
  expect(membersOf(changedType(rowOf(columns), rows))).toEqual([maybe('id', STRING), maybe('some', STRING)]);
});

test('an added member is what its columns allow: null, missing, or never there', () => {
  const needs = (template: string): ColumnPart[] =>
    parseRowTemplate(template).filter((part) => part.kind === 'value');
  const added = (name: string, template: string) => ({
    name,
    type: STRING,
    needs: needs(template),
    write: () => true,
  });
  const row = rowOf(
    { id: {}, note: {} },
    {
      added: [
        added('plain', 'x'),
        added('of_id', '${row.id}'),
        added('of_note', '${row.note}'),
        added('was', '${old.id}'),
        added('gone', '${row.missing}'),
      ],
    },
  );
  const rows = known({
    mayBeNull: (column) => column === 1,
    mayBeUnchanged: (column, action) => column === 1 && action === 'update',
    inOldRow: (column) => (column === 0 ? 'always' : 'never'),
  });
  const addedOf = (type: ReturnType<typeof newRowType>) => membersOf(type).slice(2);
  expect(addedOf(newRowType(row, 'update', rows))).toEqual([
    member('plain', STRING),
    member('of_id', STRING),
    maybe('of_note', nullable(STRING)),
    maybe('was', STRING),
  ]);
  expect(addedOf(newRowType(row, 'insert', rows))).toEqual([
    member('plain', STRING),
    member('of_id', STRING),
    member('of_note', nullable(STRING)),
    maybe('was', STRING),
  ]);
  // Of the old row there is the key.
  expect(membersOf(oldRowType(row, 'delete', rows))).toEqual([
    member('id', STRING),
    member('plain', STRING),
    member('of_id', STRING),
    member('was', STRING),
  ]);
  expect(membersOf(changedType(row, rows))).toEqual([maybe('id', STRING)]);
});

test('what the format adds stands behind all', () => {
  const beside = [member('kind', constant('insert'))];
  expect(membersOf(newRowType(rowOf({ id: {} }), 'insert', known(), beside)).at(-1)).toEqual(beside[0]);
  expect(membersOf(oldRowType(rowOf({ id: {} }), 'delete', known(), beside)).at(-1)).toEqual(beside[0]);
});

describe('the texts of the key', () => {
  const columns = { id: {}, note: {} };
  const tuple = (...items: JsonType[]): JsonType => ({ kind: 'tuple', items });
  const texts = (action: Action, rows: RowKnowledge, masks = {}) =>
    keyTextsType(rowOf(columns, { masks }), action, rows);

  test('are of its columns alone, and null where one was not sent or may be NULL', () => {
    expect(texts('insert', known())).toEqual(tuple(STRING));
    expect(texts('insert', known({ mayBeNull: () => true }))).toEqual(tuple(nullable(STRING)));
    const unchanged = known({ mayBeUnchanged: (_, action) => action === 'update' });
    expect(texts('update', unchanged)).toEqual(tuple(nullable(STRING)));
    expect(texts('delete', unchanged)).toEqual(tuple(STRING));
    expect(texts('delete', known({ inOldRow: () => 'sometimes' }))).toEqual(tuple(nullable(STRING)));
    expect(texts('insert', known({ inOldRow: () => 'sometimes' }))).toEqual(tuple(STRING));
  });

  test('of a masked column are what stands for it', () => {
    expect(texts('insert', known(), { id: { type: NULL_TYPE } })).toEqual(tuple(NULL_TYPE));
    expect(texts('insert', known(), { id: { type: STRING } })).toEqual(tuple(STRING));
  });

  test('of a partitioned table without a key are those of its partitions', () => {
    const row = rowOf(columns);
    const keyless = { ...row, relation: { ...row.relation, key: [] } };
    const array = { kind: 'array', items: nullable(STRING) };
    expect(keyTextsType(keyless, 'insert', known({ isPartitioned: true }))).toEqual(array);
    expect(keyTextsType(keyless, 'insert', known())).toEqual(tuple());
    expect(keyTextsType(row, 'insert', known({ isPartitioned: true }))).toEqual(tuple(STRING));
  });
});
