import { describe, expect, test } from 'vitest';
import { toLsn } from '../../../src/core/lsn.ts';
import { planStart, type LogEnd } from '../../../src/pipeline/source/start.ts';

const lsn = (value: number) => toLsn(BigInt(value));

const log = (changes: Partial<LogEnd> = {}): LogEnd => ({
  created: false,
  damaged: false,
  lastEndLsn: lsn(1000),
  flushed: lsn(900),
  settled: lsn(900),
  epoch: 3,
  timeline: 1,
  ...changes,
});
const server = { current: 1, switches: [], walEnd: lsn(5000) };
const promoted = { current: 2, switches: [{ timeline: 1, switchLsn: lsn(2000) }], walEnd: lsn(5000) };
const slot = (confirmedFlush: number, created = false) => ({ confirmedFlush: lsn(confirmedFlush), created });

describe('a connection starts', () => {
  test('where the slot stands when the log is new', () => {
    expect(planStart(log({ created: true, lastEndLsn: lsn(0) }), server, slot(700, true))).toEqual({
      startLsn: lsn(0),
      confirmed: lsn(700),
      epoch: 3,
      gap: undefined,
    });
  });

  test('at the end of the last logged transaction, not where the slot stands', () => {
    expect(planStart(log(), server, slot(900))).toMatchObject({ startLsn: lsn(1000), gap: undefined });
  });

  test('where it was flushed beyond the log: keepalives of an idle database', () => {
    expect(planStart(log({ flushed: lsn(1500) }), server, slot(1500))).toMatchObject({
      startLsn: lsn(1500),
      confirmed: lsn(1500),
      gap: undefined,
    });
  });

  test('without a gap when the server crashed and its slot fell back', () => {
    expect(planStart(log({ flushed: lsn(1500) }), server, slot(100))).toMatchObject({
      confirmed: lsn(1500),
      gap: undefined,
      epoch: 3,
    });
  });

  test('with a gap and a new epoch when the slot is ahead of everything we know', () => {
    expect(planStart(log(), server, slot(1001))).toMatchObject({
      gap: { from: lsn(1000), to: lsn(1001) },
      epoch: 4,
    });
  });

  test('with a gap when the slot had to be made anew', () => {
    expect(planStart(log(), server, slot(3000, true)).gap).toMatchObject({ from: lsn(1000), to: lsn(3000) });
  });

  test('with a gap when durable bytes are gone and the slot is beyond them, though they were flushed', () => {
    const damaged = log({ damaged: true, flushed: lsn(2000) });
    expect(planStart(damaged, server, slot(1000)).gap).toBeUndefined();
    expect(planStart(damaged, server, slot(1001)).gap).toMatchObject({ from: lsn(1000), to: lsn(1001) });
  });

  test('without a gap when durable bytes are gone that every sink had settled', () => {
    const damaged = log({ damaged: true, flushed: lsn(2000), settled: lsn(1500) });
    expect(planStart(damaged, server, slot(1500))).toMatchObject({ startLsn: lsn(1500), gap: undefined });
    expect(planStart(damaged, server, slot(1501)).gap).toMatchObject({ from: lsn(1500), to: lsn(1501) });
  });

  test('in a new epoch after a promotion, at the log and not at what only the old timeline had', () => {
    expect(planStart(log({ flushed: lsn(1900) }), promoted, slot(800))).toEqual({
      startLsn: lsn(1000),
      confirmed: lsn(800),
      epoch: 4,
      gap: undefined,
    });
  });

  test('not at all on a server that does not have what the log holds', () => {
    expect(() => planStart(log({ lastEndLsn: lsn(2001) }), promoted, slot(800))).toThrow(/part at 0\/7D0/);
    expect(() => planStart(log(), { ...server, walEnd: lsn(999) }, slot(800))).toThrow(/WAL ends at 0\/3E7/);
    expect(() => planStart(log({ timeline: 2 }), server, slot(800))).toThrow(/not the one in the change log/);
  });
});
