import { describe, expect, test } from 'vitest';
import { toLsn } from '../../src/core/lsn.ts';
import { judgeHistory, parseTimelineHistory, timelineOf } from '../../src/core/timeline.ts';

const lsn = (value: number) => toLsn(BigInt(value));
const TEXT = '1\t0/1000\tno recovery target specified\n\n2\t1/F0\tbefore 2000-01-01\n';

describe('timelines', () => {
  test('a history file is read line by line', () => {
    expect(parseTimelineHistory(3, TEXT)).toEqual({
      current: 3,
      switches: [
        { timeline: 1, switchLsn: lsn(0x1000) },
        { timeline: 2, switchLsn: toLsn(0x1_0000_00f0n) },
      ],
    });
  });

  test('a record belongs to the timeline that wrote it; one at the switch is the successor', () => {
    const history = parseTimelineHistory(3, TEXT);
    expect(timelineOf(history, lsn(0xfff))).toBe(1);
    expect(timelineOf(history, lsn(0x1000))).toBe(2);
    expect(timelineOf(history, toLsn(0x1_0000_00f0n))).toBe(3);
    expect(timelineOf({ current: 1, switches: [] }, lsn(5))).toBe(1);
  });

  const server = { ...parseTimelineHistory(2, '1\t0/1000\tx'), walEnd: lsn(0x9000) };

  test('a log that ends at or below the switch goes on after a promotion', () => {
    expect(judgeHistory({ timeline: 1, endLsn: lsn(0x1000) }, server).verdict).toBe('promoted');
  });

  test('a log that ends above the switch has parted there', () => {
    expect(judgeHistory({ timeline: 1, endLsn: lsn(0x1001) }, server)).toEqual({
      verdict: 'parted',
      lsn: lsn(0x1000),
    });
  });

  test('the same timeline goes on, unless the WAL ends before the log', () => {
    expect(judgeHistory({ timeline: 2, endLsn: lsn(0x9000) }, server).verdict).toBe('same');
    expect(judgeHistory({ timeline: 2, endLsn: lsn(0x9001) }, server).verdict).toBe('parted');
  });

  test('a server on a lower or unknown timeline is another history', () => {
    expect(judgeHistory({ timeline: 3, endLsn: lsn(1) }, server).verdict).toBe('parted');
    expect(judgeHistory({ timeline: 1, endLsn: lsn(1) }, { ...server, switches: [] }).verdict).toBe('parted');
  });
});
