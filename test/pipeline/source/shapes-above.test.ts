// How a table above a partition looks by the partition's rows.
import { expect, test } from 'vitest';
import type { TableShape } from '../../../src/core/schema-change.ts';
import { seenFromAbove } from '../../../src/pipeline/source/shapes-above.ts';

const TEXT = 25;
const INT4 = 23;
type Column = readonly [name: string, number?: number | undefined, type?: number];
const shape = (relationId: number, columns: readonly Column[]): TableShape => ({
  relationId,
  schema: 'public',
  table: `t${relationId}`,
  columns: columns.map(([name, number, type = TEXT]) => ({ name, type, typeModifier: -1, number })),
});
const seen = (root: readonly Column[], partition: readonly Column[]): readonly Column[] => {
  const { columns, ...of } = seenFromAbove({ ...shape(1, root), above: [] }, shape(2, partition));
  expect(of).toEqual({ relationId: 1, schema: 'public', table: 't1', above: [] });
  return columns.map(({ name, number }) => [name, number]);
};

test('the columns of a table that was attached are those of its root, in the order of these', () => {
  expect(
    seen(
      [
        ['id', 1],
        ['a', 3],
      ],
      [
        ['a', 1],
        ['id', 2],
      ],
    ),
  ).toEqual([
    ['id', 1],
    ['a', 3],
  ]);
});

test('of a column that has another name, or type, by now its number is not known', () => {
  expect(
    seen(
      [
        ['id', 1],
        ['b', 3],
      ],
      [
        ['id', 1],
        ['a', 2],
      ],
    ),
  ).toEqual([
    ['id', 1],
    ['a', undefined],
  ]);
  expect(
    seen(
      [
        ['id', 1, INT4],
        ['a', 2],
      ],
      [
        ['id', 1],
        ['a', 2],
      ],
    ),
  ).toEqual([
    ['id', undefined],
    ['a', 2],
  ]);
});

test('numbers of some that contradict the order of all say nothing', () => {
  expect(
    seen(
      [
        ['id', 1],
        ['a', 2],
        ['c', 3],
      ],
      [
        ['a', 1],
        ['id', 2],
        ['b', 3],
      ],
    ),
  ).toEqual([
    ['a', undefined],
    ['id', undefined],
    ['b', undefined],
  ]);
});
