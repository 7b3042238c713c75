import { describe, expect, test } from 'vitest';
import { NO_PROGRESS } from '../../../../src/core/backfill.ts';
import { toLsn } from '../../../../src/core/lsn.ts';
import {
  anew,
  continues,
  firstPlace,
  keyedId,
  marked,
  restingOn,
  withoutLost,
  type LeafPlace,
  type PlacedProgress,
  type TablePlace,
} from '../../../../src/pipeline/source/backfill/place.ts';

const ID = { name: 'id', type: 'pg_catalog.int4' };
const leafAt = (value: number, changes: Partial<LeafPlace> = {}): LeafPlace => ({
  oid: 1,
  key: [ID],
  fileNode: 10,
  cursor: { by: 'key', values: [String(value)] },
  again: [],
  ...changes,
});

/** Rows up to 100, 200, … are read, and written down each time. */
function readUpTo(steps: number, epoch = 0): PlacedProgress {
  let cursor = firstPlace('a life', 0);
  for (let step = 1; step <= steps; step++) {
    cursor = {
      ...cursor,
      leaf: leafAt(step * 100),
      last: { epoch, watermark: `0/${(step * 16).toString(16)}` },
    };
    cursor = marked(cursor, step * 1000);
  }
  return { ...NO_PROGRESS, appended: steps * 100, endedAt: '2026-01-02T03:04:05Z', cursor };
}

test('what a place rests on never goes back within a history', () => {
  const at = (epoch: number, lsn: bigint) => ({ epoch, lsn: toLsn(lsn) });
  const first = restingOn(firstPlace('a life', 0), at(0, 32n));
  expect(first.last).toEqual({ epoch: 0, watermark: '0/20' });
  // A chunk that was read beside it, and earlier.
  expect(restingOn(first, at(0, 16n)).last).toEqual({ epoch: 0, watermark: '0/20' });
  expect(restingOn(first, at(0, 48n)).last).toEqual({ epoch: 0, watermark: '0/30' });
  expect(restingOn(first, at(1, 16n)).last).toEqual({ epoch: 1, watermark: '0/10' });
});

describe('where the history parts', () => {
  test('what was read before that stays read', () => {
    expect(withoutLost(readUpTo(3), [])).toBeUndefined();
    expect(withoutLost(readUpTo(3), [{ epoch: 1, lsn: toLsn(48n) }])).toBeUndefined();
    // They were read in the history that goes on.
    expect(withoutLost(readUpTo(3, 1), [{ epoch: 1, lsn: toLsn(17n) }])).toBeUndefined();
  });

  test('the table is read again from where it stood then, under keys of its own', () => {
    const back = withoutLost(readUpTo(3), [{ epoch: 1, lsn: toLsn(47n) }])!;
    expect(back.cursor.leaf).toEqual(leafAt(200));
    expect(back.cursor.last).toEqual({ epoch: 0, watermark: '0/20' });
    expect(back.cursor.turn).toBe(1);
    expect(back).not.toHaveProperty('endedAt');
    expect(back.restarts).toBe(1);
    expect(keyedId('b', back.cursor.turn)).not.toBe(keyedId('b', 0));
  });

  test('and from its beginning, where nothing that was read is of both', () => {
    const back = withoutLost(readUpTo(3), [{ epoch: 1, lsn: toLsn(8n) }])!;
    expect(back.cursor).toMatchObject({ done: [], marks: [], turn: 1 });
    expect(back.cursor).not.toHaveProperty('leaf');
    expect(back.cursor).not.toHaveProperty('last');
  });
});

test('with the place all goes back that belongs to it: partitions that were done, and the changes that were told', () => {
  let cursor: TablePlace = { ...firstPlace('a life', 5), done: [7], watchedTo: 10 };
  cursor = marked(restingOn({ ...cursor, leaf: leafAt(100) }, { epoch: 0, lsn: toLsn(16n) }), 1000);
  // What was done since on the same grounds belongs to it, too.
  cursor = marked({ ...cursor, done: [7, 1], watchedTo: 20 }, 2000);
  expect(cursor.marks).toHaveLength(1);
  cursor = marked(
    restingOn({ ...cursor, done: [7, 1, 2], watchedTo: 30 }, { epoch: 0, lsn: toLsn(32n) }),
    3000,
  );
  const back = withoutLost({ ...NO_PROGRESS, cursor }, [{ epoch: 1, lsn: toLsn(20n) }])!;
  expect(back.cursor).toMatchObject({ done: [7, 1], watchedTo: 20, leaf: leafAt(100), offset: 3000 });
});

test('several histories that are lost take back one after the other', () => {
  const partings = [
    { epoch: 1, lsn: toLsn(24n) },
    { epoch: 2, lsn: toLsn(40n) },
  ];
  const first = withoutLost(readUpTo(3), partings.slice(0, 1))!;
  expect(first.cursor.leaf).toEqual(leafAt(100));
  const cursor = marked(
    restingOn({ ...first.cursor, leaf: leafAt(250) }, { epoch: 1, lsn: toLsn(48n) }),
    4000,
  );
  const second = withoutLost({ ...first, cursor }, partings)!;
  expect(second.cursor).toMatchObject({ leaf: leafAt(100), turn: 2 });
  expect(withoutLost(second, partings)).toBeUndefined();
});

test('marks are few, however long a table is read, and the first and the last of them stay', () => {
  const { marks } = readUpTo(1000).cursor;
  expect(marks.length).toBeLessThanOrEqual(24);
  expect(marks[0]!.watermark).toBe('0/10');
  expect(marks.at(-1)!.watermark).toBe('0/3e80');
});

test('of a table that has another key, or whose rows lie elsewhere while it has none, no place is known', () => {
  const table = { oid: 1, key: [ID], fileNode: 10 };
  const place = leafAt(1);
  expect(continues(place, table)).toBe(true);
  expect(continues(place, { ...table, fileNode: 11 })).toBe(true);
  expect(continues(place, { ...table, oid: 2 })).toBe(false);
  expect(continues(place, { ...table, key: [{ ...ID, type: 'pg_catalog.int8' }] })).toBe(false);
  expect(continues(place, { ...table, key: [{ ...ID, collation: 950 }] })).toBe(false);
  const unkeyed = leafAt(1, { key: [] });
  expect(continues(unkeyed, { ...table, key: [] })).toBe(true);
  expect(continues(unkeyed, { ...table, key: [], fileNode: 11 })).toBe(false);
  expect(continues(undefined, table)).toBe(false);
});

test('a table whose log is lost is begun again, and counts that', () => {
  const again = anew(readUpTo(2), firstPlace('another life', 7));
  expect(again).toMatchObject({ restarts: 1, cursor: { life: 'another life', offset: 7, done: [] } });
  expect(again).not.toHaveProperty('endedAt');
});
