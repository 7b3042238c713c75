import { describe, expect, test } from 'vitest';
import { toLsn, ZERO_LSN } from '../../../../src/core/lsn.ts';
import {
  certainUpTo,
  commonFlushed,
  isInDoubt,
  isSameLife,
  judgeIdentity,
  ownEnd,
  widenXid,
  type KnownHistory,
} from '../../../../src/pipeline/source/history/identity.ts';
import { look } from '../../../support/looks.ts';

const lsn = (value: number) => toLsn(BigInt(value));
const switchAt = (timeline: number, switchLsn: number) => ({ timeline, switchLsn: lsn(switchLsn) });

const known = (changes: Partial<KnownHistory> = {}): KnownHistory => ({
  timeline: 2,
  switches: [switchAt(1, 500)],
  endLsn: lsn(1000),
  flushed: lsn(1200),
  ...changes,
});
const server = { current: 2, switches: [switchAt(1, 500)], walEnd: lsn(5000) };

describe('a server is ours', () => {
  test('while nothing refutes it', () => {
    expect(judgeIdentity(known(), server)).toEqual({ verdict: 'same' });
    expect(judgeIdentity(known({ switches: undefined }), server)).toEqual({ verdict: 'same' });
  });

  test('whatever it is, when nothing was logged or flushed yet', () => {
    expect(judgeIdentity(known({ timeline: 0 }), { ...server, walEnd: lsn(1) })).toEqual({ verdict: 'same' });
  });

  test('after a promotion behind the end of the log, with everything up to the switch in common', () => {
    const promoted = { current: 3, switches: [switchAt(1, 500), switchAt(2, 1100)], walEnd: lsn(5000) };
    const identity = judgeIdentity(known(), promoted);
    expect(identity).toEqual({ verdict: 'promoted', switchLsn: 1100n });
    expect(commonFlushed(identity, lsn(1200))).toBe(1100n);
    expect(commonFlushed(identity, lsn(1050))).toBe(1050n);
    expect(ownEnd(identity, known())).toBe(1100n);
  });
});

describe('a server is not ours', () => {
  test('when its timelines were switched elsewhere, though it has the number of ours', () => {
    expect(judgeIdentity(known(), { ...server, switches: [switchAt(1, 490)] })).toMatchObject({
      verdict: 'parted',
      lsn: 490n,
    });
    expect(judgeIdentity(known(), { ...server, switches: [switchAt(1, 510)] })).toMatchObject({
      verdict: 'parted',
      lsn: 500n,
    });
  });

  test('when it came to a higher timeline another way', () => {
    const other = { current: 3, switches: [switchAt(1, 400), switchAt(2, 2000)], walEnd: lsn(5000) };
    expect(judgeIdentity(known(), other)).toMatchObject({ verdict: 'parted', lsn: 400n });
  });

  test('when it came to its timeline from the same switch as we did, to another one: they part there', () => {
    const other = { current: 3, switches: [switchAt(1, 500)], walEnd: lsn(5000) };
    expect(judgeIdentity(known(), other)).toMatchObject({ verdict: 'parted', lsn: 500n });
    const further = { current: 4, switches: [switchAt(1, 500), switchAt(3, 700)], walEnd: lsn(5000) };
    expect(judgeIdentity(known(), further)).toMatchObject({ verdict: 'parted', lsn: 500n });
  });

  test('and nobody knows where they part, when not even the first timeline is the same', () => {
    const other = { current: 3, switches: [switchAt(2, 500)], walEnd: lsn(5000) };
    expect(judgeIdentity(known(), other).verdict).toBe('another');
  });

  test('when its timeline is lower', () => {
    expect(judgeIdentity(known(), { ...server, current: 1, switches: [] }).verdict).toBe('another');
  });

  test('when its WAL ends below what we logged, or below what it was told to forget', () => {
    // Where the two part, somewhere below, is for a comparison to tell.
    expect(judgeIdentity(known(), { ...server, walEnd: lsn(999) }).verdict).toBe('went back');
    expect(judgeIdentity(known(), { ...server, walEnd: lsn(1199) }).verdict).toBe('went back');
    expect(judgeIdentity(known(), { ...server, walEnd: lsn(1200) }).verdict).toBe('same');
  });
});

describe('a server is in doubt', () => {
  const before = look();

  test('when nobody has looked at it before', () => {
    expect(isInDoubt(undefined, before)).toBe(true);
  });

  test('when address, start, timeline or catalog are not those of the last look; not by time alone', () => {
    const server = (changes: object) => look({ server: { ...before.server, ...changes } });
    expect(isInDoubt(before, look({ at: '2027-01-01T00:00:00.000Z', walAfter: lsn(9000) }))).toBe(false);
    expect(isInDoubt(before, server({ address: '10.0.0.2:5432' }))).toBe(true);
    expect(isInDoubt(before, server({ startedAtUs: '1700000000000001' }))).toBe(true);
    expect(isInDoubt(before, server({ timeline: 2 }))).toBe(true);
    expect(isInDoubt(before, look({ fold: 'other' }))).toBe(true);
  });
});

test('a process of a server has gone on to another timeline: of the same cluster, place and start, and to a higher one', () => {
  const before = look();
  const now = (changes: object) => look({ server: { ...before.server, timeline: 2, ...changes } });
  expect(isSameLife(before, now({}))).toBe(true);
  expect(isSameLife(undefined, now({}))).toBe(false);
  for (const another of [
    { address: '10.0.0.2:5432' },
    { startedAtUs: '1700000000000001' },
    { systemIdentifier: 'another' },
    { timeline: 1 },
  ])
    expect(isSameLife(before, now(another))).toBe(false);
});

describe('the history of a server is certain', () => {
  const { server } = look();
  const switched = { timeline: 2, switches: [{ timeline: 1, switchLsn: lsn(500) }] };

  test('altogether while it is the one of the look before, and where another timeline says where they part', () => {
    expect(certainUpTo(server, server)).toBeUndefined();
    expect(certainUpTo(server, { ...server, ...switched, startedAtUs: '5' })).toBeUndefined();
  });

  test('up to the last switch of timelines when it was started anew or stands elsewhere', () => {
    expect(certainUpTo(server, { ...server, startedAtUs: '5' })).toBe(ZERO_LSN);
    expect(certainUpTo(server, { ...server, address: '10.0.0.2:5432' })).toBe(ZERO_LSN);
    const later = { ...server, ...switched };
    expect(certainUpTo(later, { ...later, startedAtUs: '5' })).toBe(lsn(500));
    expect(certainUpTo(later, { ...server, startedAtUs: '5' })).toBe(ZERO_LSN);
  });
});

describe('a transaction id of 32 bits', () => {
  test('is widened to the one before the next that was given out', () => {
    expect(widenXid(700, 701n)).toBe(700n);
    expect(widenXid(5, 2n ** 32n + 10n)).toBe(2n ** 32n + 5n);
    expect(widenXid(2 ** 32 - 1, 2n ** 32n + 10n)).toBe(2n ** 32n - 1n);
  });

  test('is none of this server when it has not been given out yet', () => {
    expect(widenXid(701, 701n)).toBeUndefined();
    expect(widenXid(900, 701n)).toBeUndefined();
    expect(widenXid(20, 2n ** 32n + 10n)).toBeUndefined();
  });
});
