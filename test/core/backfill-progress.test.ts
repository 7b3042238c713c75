import { expect, test } from 'vitest';
import { NO_PROGRESS, type BackfillTableStatus, type TableProgress } from '../../src/core/backfill.ts';
import { progressOf } from '../../src/core/backfill-progress.ts';

const table = (
  progress: Partial<TableProgress>,
  more: Partial<BackfillTableStatus> = {},
): BackfillTableStatus => ({
  schema: 'public',
  table: 't',
  ...more,
  progress: { ...NO_PROGRESS, ...progress },
});

test('rows and bytes are those of all tables, and the time left follows from the rate without pauses', () => {
  const tables = [
    table({ scanned: 300, appended: 250, bytes: 9, activeMs: 2000, endedAt: 'then', estimatedRows: 9999 }),
    table({
      scanned: 100,
      appended: 90,
      dropped: 4,
      readAgain: 1,
      bytes: 1,
      activeMs: 2000,
      estimatedRows: 600,
    }),
    table({}, { keyCount: 100 }),
  ];
  expect(progressOf({ state: 'running', tables })).toEqual({
    scanned: 400,
    appended: 340,
    dropped: 4,
    readAgain: 1,
    bytes: 10,
    // What has been read counts as it was, and keys are counted.
    estimatedRows: 1000,
    rowsPerSecond: 100,
    secondsLeft: 6,
  });
  expect(progressOf({ state: 'paused', tables })).not.toHaveProperty('secondsLeft');
});

test('what nobody knows is not made up', () => {
  const known = table({ scanned: 100, activeMs: 1000, estimatedRows: 200 });
  expect(progressOf({ state: 'running', tables: [known, table({})] })).not.toHaveProperty('estimatedRows');
  expect(progressOf({ state: 'running', tables: [known, table({})] })).not.toHaveProperty('secondsLeft');
  const nothing = { scanned: 0, appended: 0, dropped: 0, readAgain: 0, bytes: 0 };
  expect(progressOf({ state: 'waiting' })).toEqual(nothing);
  // More rows came than the statistics knew of.
  const beyond = table({ scanned: 300, activeMs: 1000, estimatedRows: 200 });
  expect(progressOf({ state: 'running', tables: [beyond] })).toMatchObject({ rowsPerSecond: 300 });
  expect(progressOf({ state: 'running', tables: [beyond] })).not.toHaveProperty('secondsLeft');
});
