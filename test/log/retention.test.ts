// Which segments may go.
import { expect, test } from 'vitest';
import { expiredSegments } from '../../src/log/retention.ts';
import type { SegmentFile } from '../../src/log/segments.ts';

/** Four segments of 100 bytes; the one at 100 n was last written at n. */
const segments: SegmentFile[] = [0, 100, 200, 300].map((startOffset) => ({
  path: `${startOffset}.log`,
  startOffset,
  bytes: 100,
}));

const expired = (rule: { settledOffset: number; writtenBeforeMs: number; excessBytes: number }): number =>
  expiredSegments(segments, { ...rule, lastWriteMs: ({ startOffset }) => startOffset / 100 }).length;

test('a segment goes when it is settled to its last byte and old enough', () => {
  expect(expired({ settledOffset: 400, writtenBeforeMs: 10, excessBytes: 0 })).toBe(4);
  expect(expired({ settledOffset: 299, writtenBeforeMs: 10, excessBytes: 0 })).toBe(2);
  expect(expired({ settledOffset: 400, writtenBeforeMs: 2, excessBytes: 0 })).toBe(2);
});

test('too large a log sheds young segments only until it fits, and never unsettled ones', () => {
  expect(expired({ settledOffset: 400, writtenBeforeMs: 0, excessBytes: 1 })).toBe(1);
  expect(expired({ settledOffset: 400, writtenBeforeMs: 0, excessBytes: 201 })).toBe(3);
  expect(expired({ settledOffset: 150, writtenBeforeMs: 0, excessBytes: 201 })).toBe(1);
});

test('nothing behind a segment that must stay goes, however old', () => {
  const lastWriteMs = ({ startOffset }: SegmentFile): number => (startOffset === 100 ? 99 : 0);
  const rule = { settledOffset: 400, writtenBeforeMs: 50, excessBytes: 0, lastWriteMs };
  expect(expiredSegments(segments, rule).map((segment) => segment.startOffset)).toEqual([0]);
});
