import { expect, test } from 'vitest';
import {
  maxChunkPages,
  maxChunkRows,
  Pace,
  ReadRate,
} from '../../../../src/pipeline/source/backfill/pace.ts';

test('without a limit nobody waits', () => {
  const pace = new Pace(undefined);
  pace.hasRead(1_000_000, 0);
  expect(pace.waitMs(0)).toBe(0);
  expect(maxChunkRows(undefined, 20_000)).toBe(20_000);
});

test('rows are read no faster than they may be, and what was not read in time is not made good', () => {
  const pace = new Pace(1000);
  pace.hasRead(500, 0);
  expect(pace.waitMs(0)).toBe(500);
  expect(pace.waitMs(400)).toBe(100);
  pace.hasRead(500, 400);
  expect(pace.waitMs(400)).toBe(600);
  pace.hasRead(100, 60_000);
  expect(pace.waitMs(60_000)).toBe(100);
});

test('a chunk is at most what may be read in half a second, and at least a row', () => {
  expect(maxChunkRows(1000, 20_000)).toBe(500);
  expect(maxChunkRows(1, 20_000)).toBe(1);
  expect(maxChunkRows(1_000_000, 20_000)).toBe(20_000);
  expect(maxChunkPages(20_000)).toBe(200);
  expect(maxChunkPages(1)).toBe(1);
});

test('how fast rows are read is told of the last seconds, with what kept them from that, and of nothing before', () => {
  const rate = new ReadRate();
  let nowMs = 0;
  const read = (rows: number, { times, isTold = true }: { times: number; isTold?: boolean }): void => {
    for (let i = 0; i < times; i++) rate.hasRead(rows, (nowMs += 100), isTold);
  };
  expect(rate.perSecond(nowMs)).toBeUndefined();
  read(20_000, { times: 50, isTold: false });
  read(50, { times: 5 });
  expect(rate.perSecond(nowMs)).toBeUndefined();
  read(50, { times: 200 });
  expect(rate.perSecond(nowMs)).toBe(500);
  read(200, { times: 100 });
  expect(rate.perSecond(nowMs)).toBeGreaterThan(1_500);
  nowMs += 30_000;
  expect(rate.perSecond(nowMs)).toBeLessThan(500);
  read(20_000, { times: 1, isTold: false });
  expect(rate.perSecond(nowMs)).toBeUndefined();
});
