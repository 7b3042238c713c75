import { describe, expect, test } from 'vitest';
import {
  asSeenBy,
  isSameShape,
  possibleNames,
  schemaSteps,
  type ShapeColumn,
  type TableShape,
} from '../../src/core/schema-change.ts';

const INT4 = 23;
const INT8 = 20;
const TEXT = 25;
const NAMES: Readonly<Record<number, string>> = { [INT4]: 'integer', [INT8]: 'bigint', [TEXT]: 'text' };

/** `number` 0: not known. */
const column = (name: string, number = 0, type = TEXT, typeModifier = -1): ShapeColumn => ({
  name,
  type,
  typeModifier,
  typeName: NAMES[type],
  ...(number > 0 && { number }),
});
const table = (columns: readonly ShapeColumn[], more: Partial<TableShape> = {}): TableShape => ({
  relationId: 1,
  schema: 'public',
  table: 't',
  columns,
  ...more,
});
/** As `word what`. */
const steps = (before: TableShape, after: TableShape): string[] =>
  schemaSteps(before, after).map(
    ({ change, ...what }) => `${change} ${Object.values(what).map(String).join(' ')}`,
  );

test('columns that come and go are added and dropped, one of another type is retyped', () => {
  const before = table([column('id', 1, INT4), column('a', 2), column('b', 3, INT4)]);
  const after = table([column('id', 1, INT8), column('b', 3, INT4, 5), column('c', 4)]);
  expect(steps(before, after)).toEqual([
    'column_dropped a',
    'column_retyped id integer bigint',
    'column_retyped b integer integer',
    'column_added c',
  ]);
});

test('a column is renamed only where the catalog knew the same attribute under both names', () => {
  expect(steps(table([column('a', 2)]), table([column('b', 2)]))).toEqual(['column_renamed a b']);
  for (const [a, b] of [
    [0, 2],
    [2, 0],
    [0, 0],
    [2, 3],
  ]) {
    expect(steps(table([column('a', a)]), table([column('b', b)]))).toEqual([
      'column_dropped a',
      'column_added b',
    ]);
  }
  // Numbers of another table say nothing.
  expect(steps(table([column('a', 2)]), table([column('b', 2)], { relationId: 2 }))).toHaveLength(2);
});

test('names that are swapped, and a name that another attribute has now, are told as they are', () => {
  const before = table([column('a', 1), column('b', 2)]);
  expect(steps(before, table([column('b', 1), column('a', 2)]))).toEqual([
    'column_renamed a b',
    'column_renamed b a',
  ]);
  expect(steps(before, table([column('b', 1)]))).toEqual(['column_dropped b', 'column_renamed a b']);
  const again = table([column('a', 1), column('b', 3, INT4)]);
  expect(steps(before, again)).toEqual(['column_dropped b', 'column_added b']);
  // Whose number is not known, its name says.
  expect(steps(table([column('a', 1), column('b')]), again)).toEqual(['column_retyped b text integer']);
});

test('a renamed table and another key are told, a key only where both are known', () => {
  const columns = [column('id', 1), column('v', 2)];
  const before = table(columns, { key: ['id'] });
  expect(schemaSteps(before, table(columns, { table: 'u', key: ['v'] }))).toEqual([
    { change: 'table_renamed', from: { schema: 'public', table: 't' }, to: { schema: 'public', table: 'u' } },
    { change: 'key_changed', from: ['id'], to: ['v'] },
  ]);
  expect(isSameShape(before, table(columns, { key: [] }))).toBe(false);
  expect(isSameShape(before, table(columns))).toBe(true);
  // A key of renamed columns, or in another order, is the same key.
  const renamed = table([column('no', 1), column('v', 2)], { key: ['no'] });
  expect(steps(before, renamed)).toEqual(['column_renamed id no']);
  expect(isSameShape(table(columns, { key: ['id', 'v'] }), table(columns, { key: ['v', 'id'] }))).toBe(true);
});

test('what is known of nullability and numbers makes no other shape', () => {
  const before = table([column('a', 2)]);
  expect(isSameShape(before, table([{ ...column('a'), nullable: true }]))).toBe(true);
  expect(isSameShape(before, table([{ ...column('a'), generated: true }]))).toBe(false);
});

test('a sink is told what its messages have, under the name that it reads', () => {
  const at = { commitLsn: 1n as never, index: 0 };
  const before = table([column('a', 1), column('b', 2)]);
  const after = table([column('a', 1), column('b', 2, INT4)], { table: 'u' });
  expect(asSeenBy({ before, after, at }, undefined, ({ name }) => name === 'a')?.after).toEqual(
    table([column('a', 1)], { table: 'u' }),
  );
  const root = { schema: 'public', table: 'root' };
  expect(asSeenBy({ before, after, at }, root, ({ name }) => name === 'a')).toBeUndefined();
  expect(asSeenBy({ before, after, at }, root, () => true)).toMatchObject({ before: root, after: root, at });
});

test('what a table is under is part of its shape where that is known, and told to nobody', () => {
  const under = (...names: readonly string[]): TableShape =>
    table([column('a', 1)], {
      above: names.map((name) => ({ schema: 'public', table: name, published: true })),
    });
  expect(isSameShape(under('root'), under('root'))).toBe(true);
  expect(isSameShape(under('root'), under('other'))).toBe(false);
  expect(isSameShape(under('root'), under())).toBe(false);
  expect(isSameShape(under('root'), table([column('a', 1)]))).toBe(true);
  const at = { commitLsn: 1n as never, index: 0 };
  expect(
    asSeenBy({ before: under('root'), after: under('other'), at }, undefined, () => true),
  ).toBeUndefined();
});

test('a column that takes the name and the place of one that is gone makes another shape where that is known', () => {
  const before = table([column('id', 1, INT4), column('a', 2), column('b', 3)]);
  const after = table([column('id', 1, INT4), column('a', 3), column('b', 4)]);
  expect(isSameShape(before, after)).toBe(false);
  expect(steps(before, after)).toEqual(['column_dropped a', 'column_renamed b a', 'column_added b']);
  // Numbers of another table say nothing.
  expect(isSameShape(before, { ...after, relationId: 2 })).toBe(true);
});

describe('the names that a column may have now', () => {
  const namesOf = (before: readonly ShapeColumn[], after: readonly ShapeColumn[], name = 'b'): string[] =>
    possibleNames(
      { before: table(before), after: table(after) },
      before.find((each) => each.name === name)!,
    ).map((each) => each.name);
  const before = [column('id', 1, INT4), column('a', 2), column('b', 3), column('c', 4)];

  test('are none where it is known to be there, or every column is there and what is new stands behind', () => {
    expect(namesOf(before, [column('id'), column('x', 3)])).toEqual([]);
    expect(namesOf(before, [column('id'), column('a'), column('b'), column('c'), column('d')])).toEqual([]);
    expect(
      possibleNames({ before: table(before), after: table([column('x')], { relationId: 2 }) }, before[2]!),
    ).toEqual([]);
  });

  test('include the name of one that is gone, where that is not known', () => {
    expect(namesOf(before, [column('id', 1, INT4), column('a', 2), column('c')])).toEqual(['c']);
    expect(namesOf(before, [column('id', 1, INT4), column('a'), column('c', 4)])).toEqual(['a']);
    expect(namesOf(before, [column('id', 1, INT4), column('a', 2), column('c', 4)])).toEqual([]);
    // Of another type it would have that as well.
    expect(namesOf(before, [column('id', 0, INT4), column('c')])).toEqual(['c']);
    expect(namesOf(before, [column('id', 0, INT8), column('c', 4)])).toEqual(['id']);
  });

  test('are of columns that may stand where it stood', () => {
    // A list of columns may have left out what stood in front of it.
    expect(namesOf(before, [column('id', 1, INT4), column('a', 2), column('x'), column('y')])).toEqual([
      'x',
      'y',
    ]);
    expect(namesOf(before, [column('x'), column('a', 2), column('c', 4)])).toEqual([]);
    expect(namesOf(before, [column('id', 1, INT4), column('c', 4), column('x')])).toEqual([]);
    // Of those that were there each has its place.
    const letters = ['a', 'b', 'c', 'd', 'e'].map((name) => column(name));
    const [a, b, c, d] = letters as [ShapeColumn, ShapeColumn, ShapeColumn, ShapeColumn];
    expect(namesOf(letters, [a, c, d])).toEqual(['c', 'a']);
    expect(namesOf([column('a', 1), ...letters.slice(1)], [column('a', 1), c, d])).toEqual(['c']);
    expect(namesOf([...letters, column('z', 9)], [d, c, a, b, column('z', 9)], 'd')).toEqual(['b', 'a']);
    // One that is still called so is itself, while the others are in their order.
    expect(namesOf(letters, [a, c, d], 'c')).toEqual([]);
    expect(namesOf(letters, [a, d, c], 'c')).toEqual(['d', 'a']);
  });

  test('are of columns whose numbers may stand where it stood', () => {
    const unknown = [column('id', 1, INT4), column('b'), column('c', 4)];
    expect(namesOf(unknown, [column('id', 1, INT4), column('x', 2)])).toEqual(['x']);
    expect(namesOf(unknown, [column('id', 1, INT4), column('x', 5)])).toEqual([]);
    expect(namesOf(unknown, [column('id', 1, INT4), column('c', 4), column('x', 5)])).toEqual([]);
  });
});
