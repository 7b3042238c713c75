// Which updates are known to leave columns as they were: whatever may have changed is not.
import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { createRowEvent, type Relation } from '../../../src/core/change.ts';
import { leavesUnchanged, untoldChanges } from '../../../src/functions/columns/changed.ts';
import { buildRelation } from '../../../src/pgoutput/enrichment.ts';
import { decodeRelation, decodeRow } from '../../../src/pgoutput/messages.ts';
import { relationMessage, UNCHANGED, updateMessage, type Cell } from '../../support/pgoutput-messages.ts';

const NAMES = ['id', 'price', 'stock', 'note'];
type Identity = 'd' | 'f';

const relationOf = (identity: Identity): Relation => {
  const columns = NAMES.map((name) => ({ name, type: 25, identity: identity === 'f' || name === 'id' }));
  const message = relationMessage({ id: 1, schema: 'public', table: 'items', identity, columns });
  return { ...buildRelation(decodeRelation(message, 0), undefined), key: ['id'] };
};

function isUnchanged(identity: Identity, columns: readonly string[], message: Buffer): boolean {
  const event = createRowEvent();
  decodeRow(message, 0, message.length, event);
  return leavesUnchanged(relationOf(identity), columns)(event);
}

const anyCell = fc.oneof(
  fc.constantFrom<Cell>(null, '', '1', '1.0', 'é'),
  fc.string().map((text): Cell => text),
);
const anyRow = fc.tuple(anyCell, anyCell, anyCell, anyCell);
const anyColumns = fc.subarray(NAMES, { minLength: 1 });

describe('under REPLICA IDENTITY FULL', () => {
  test('columns are unchanged where the old row has the same texts, and only there', () => {
    fc.assert(
      fc.property(anyRow, anyRow, fc.subarray([0, 1, 2, 3]), anyColumns, (old, other, same, columns) => {
        const row = other.map((cell, i) => (same.includes(i) ? old[i]! : cell));
        const expected = columns.every((name) => row[NAMES.indexOf(name)] === old[NAMES.indexOf(name)]);
        expect(isUnchanged('f', columns, updateMessage(1, row, { kind: 'full', row: old }))).toBe(expected);
      }),
    );
  });

  test('a large value that was not sent again is unchanged', () => {
    const update = updateMessage(1, ['1', '2', '3', UNCHANGED], { kind: 'full', row: ['1', '2', '4', 'x'] });
    expect(isUnchanged('f', ['price', 'note'], update)).toBe(true);
    expect(isUnchanged('f', ['stock', 'note'], update)).toBe(false);
  });

  test('an update without an old row, of a partition that has less, says so of the key alone', () => {
    const update = updateMessage(1, ['1', '2', '3', 'x']);
    expect(isUnchanged('f', ['id'], update)).toBe(true);
    expect(isUnchanged('f', ['id', 'price'], update)).toBe(false);
  });
});

describe('under the default identity', () => {
  test('only columns of the key, and large values, are ever known to be unchanged', () => {
    const update = updateMessage(1, ['1', '2', '3', UNCHANGED]);
    expect(isUnchanged('d', ['id', 'note'], update)).toBe(true);
    expect(isUnchanged('d', ['price'], update)).toBe(false);
    const moved = updateMessage(1, ['2', '2', '3', 'x'], { kind: 'key', row: ['1', null, null, null] });
    expect(isUnchanged('d', ['id'], moved)).toBe(false);
    // That the old key has NULL there says nothing.
    const withNull = updateMessage(1, ['2', null, '3', 'x'], { kind: 'key', row: ['1', null, null, null] });
    expect(isUnchanged('d', ['price'], withNull)).toBe(false);
  });

  test('the columns beyond the key are those that nobody can tell of', () => {
    expect(untoldChanges(relationOf('d'), ['id', 'note', 'price'])).toEqual(['price', 'note']);
    expect(untoldChanges(relationOf('d'), ['id'])).toEqual([]);
    expect(untoldChanges(relationOf('f'), NAMES)).toEqual([]);
  });
});

test.each(['newTuple', 'oldTuple'] as const)(
  'a text that was damaged may have changed in what is lost of it: %s',
  (of) => {
    const message = updateMessage(1, ['1', 'a\uFFFD', '3', 'x'], {
      kind: 'full',
      row: ['1', 'a\uFFFD', '3', 'x'],
    });
    const event = createRowEvent();
    decodeRow(message, 0, message.length, event);
    const judge = leavesUnchanged(relationOf('f'), ['price']);
    expect(judge(event)).toBe(true);
    event[of].damaged[event[of].damagedCount++] = 1;
    expect(judge(event)).toBe(false);
  },
);

test('of a column that the table does not have nobody knows', () => {
  const update = updateMessage(1, ['1', '2', '3', 'x'], { kind: 'full', row: ['1', '2', '3', 'x'] });
  expect(isUnchanged('f', ['price', 'missing'], update)).toBe(false);
});
