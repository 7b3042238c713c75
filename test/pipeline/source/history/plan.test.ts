import { describe, expect, test } from 'vitest';
import { toLsn } from '../../../../src/core/lsn.ts';
import { judgeIdentity, type ServerFacts } from '../../../../src/pipeline/source/history/identity.ts';
import {
  planStart,
  type LogEnd,
  type StartFacts,
  type StartPlan,
} from '../../../../src/pipeline/source/history/plan.ts';

const lsn = (value: number) => toLsn(BigInt(value));

const log = (changes: Partial<LogEnd> = {}): LogEnd => ({
  created: false,
  beganAt: lsn(100),
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

function plan(
  end: LogEnd,
  at: ServerFacts,
  from: StartFacts['slot'],
  changes: Partial<StartFacts> = {},
): StartPlan {
  const { timeline, lastEndLsn: endLsn, flushed } = end;
  const identity = judgeIdentity({ timeline, switches: undefined, endLsn, flushed }, at);
  return planStart({
    log: end,
    identity,
    slot: from,
    inDoubt: false,
    certain: undefined,
    skipTo: undefined,
    isFirstStart: false,
    isSkipNew: false,
    renumbered: false,
    mayBeAhead: false,
    ...changes,
  });
}

describe('a connection starts', () => {
  test('where the slot stands when the log is new', () => {
    expect(
      plan(
        log({ created: true, beganAt: lsn(700), lastEndLsn: lsn(0), timeline: 0 }),
        server,
        slot(700, true),
      ),
    ).toEqual({
      startLsn: lsn(0),
      confirmed: lsn(700),
      epoch: 3,
      gap: undefined,
      compares: false,
      parting: undefined,
    });
  });

  test('with a gap where the slot has moved since the log was made, at a start that came no further', () => {
    const made = log({ created: true, beganAt: lsn(700), lastEndLsn: lsn(0), timeline: 0 });
    const gap = { from: '0/2BC', to: '0/320', halts: true };
    expect(plan(made, server, slot(800, true)).gap).toMatchObject({ cause: 'slot_remade', ...gap });
    expect(plan(made, server, slot(800)).gap).toMatchObject({ cause: 'slot_moved', ...gap });
    expect(plan({ ...made, beganAt: undefined }, server, slot(800)).gap).toBeUndefined();
    // Nobody has relied on it yet.
    expect(plan(made, server, slot(800), { isFirstStart: true }).gap).toBeUndefined();
  });

  test('at the parting where the log goes on above it, in a new epoch, with what was flushed above it being nobody’s', () => {
    const parted = { current: 2, switches: [{ timeline: 1, switchLsn: lsn(800) }], walEnd: lsn(5000) };
    const at800 = { startLsn: lsn(800), parting: lsn(800), epoch: 4, compares: false };
    expect(plan(log(), parted, slot(700))).toMatchObject({ ...at800, gap: undefined });
    expect(plan(log(), parted, slot(800))).toMatchObject({ ...at800, gap: undefined });
    // The slot had to be made anew there.
    expect(plan(log(), parted, slot(950, true))).toMatchObject({
      ...at800,
      gap: { cause: 'slot_remade', from: '0/320', to: '0/3B6', halts: true },
    });
    // What the log holds below the parting may have come another way, too.
    expect(plan(log(), parted, slot(700), { inDoubt: true })).toMatchObject({
      ...at800,
      startLsn: lsn(0),
      compares: true,
    });
    // Only the flush was above it.
    expect(
      plan(log({ lastEndLsn: lsn(750), flushed: lsn(900) }), { ...parted, current: 2 }, slot(700)),
    ).toMatchObject({
      startLsn: lsn(750),
    });
  });

  test('with nothing, so that all is compared, on a server that went back', () => {
    expect(plan(log(), { ...server, walEnd: lsn(950) }, slot(700))).toMatchObject({
      startLsn: lsn(0),
      compares: true,
      parting: undefined,
      epoch: 3,
    });
  });

  test('at the end of the last logged transaction, not where the slot stands', () => {
    expect(plan(log(), server, slot(900))).toMatchObject({ startLsn: lsn(1000), gap: undefined });
  });

  test('at the log also where more was flushed: on a server that went back, new changes stand in between', () => {
    expect(plan(log({ flushed: lsn(1500) }), server, slot(1500))).toMatchObject({
      startLsn: lsn(1000),
      confirmed: lsn(1500),
      gap: undefined,
    });
  });

  test('without a gap when the server crashed and its slot fell back, which is told no more than it says (C153)', () => {
    expect(plan(log({ flushed: lsn(1500) }), server, slot(100))).toMatchObject({
      confirmed: lsn(100),
      gap: undefined,
      epoch: 3,
    });
  });

  test('at zero when the server may be another one: what comes again is compared', () => {
    expect(plan(log(), server, slot(900), { inDoubt: true })).toMatchObject({
      startLsn: lsn(0),
      compares: true,
      epoch: 3,
    });
  });

  test('behind a gap that cannot be decoded, in a new epoch the first time', () => {
    const facts = { skipTo: lsn(3000), inDoubt: true };
    expect(plan(log(), server, slot(900), { ...facts, isSkipNew: true })).toMatchObject({
      startLsn: lsn(3000),
      compares: false,
      epoch: 4,
    });
    expect(plan(log(), server, slot(900), facts)).toMatchObject({ startLsn: lsn(3000), epoch: 3 });
  });

  test('in a new epoch when the changes of a transaction are numbered otherwise', () => {
    expect(plan(log(), server, slot(900), { renumbered: true })).toMatchObject({ epoch: 4, gap: undefined });
  });

  test('in a new epoch where the server may have gone back, and sinks may have more than the log', () => {
    const certain = lsn(0);
    expect(plan(log(), server, slot(900), { certain, mayBeAhead: true })).toMatchObject({
      epoch: 4,
      gap: undefined,
    });
    expect(plan(log(), server, slot(900), { certain })).toMatchObject({ epoch: 3 });
    expect(plan(log(), server, slot(900), { mayBeAhead: true })).toMatchObject({ epoch: 3 });
  });

  test('with a gap and a new epoch when the slot is ahead of everything we know', () => {
    expect(plan(log(), server, slot(1001))).toMatchObject({
      gap: { cause: 'slot_moved', from: '0/3E8', to: '0/3E9', halts: true },
      epoch: 4,
    });
  });

  test('with a gap when the slot had to be made anew, unless nothing stands in between', () => {
    expect(plan(log(), server, slot(3000, true)).gap).toMatchObject({
      cause: 'slot_remade',
      from: '0/3E8',
      to: '0/BB8',
    });
    expect(plan(log({ flushed: lsn(3000) }), server, slot(3000, true)).gap).toBeUndefined();
  });

  test('with a gap when durable bytes are gone and the slot is beyond them, though they were flushed', () => {
    const damaged = log({ damaged: true, flushed: lsn(2000) });
    expect(plan(damaged, server, slot(1000)).gap).toBeUndefined();
    expect(plan(damaged, server, slot(1001)).gap).toMatchObject({
      cause: 'log_damaged',
      from: '0/3E8',
      to: '0/3E9',
    });
  });

  test('without a gap when durable bytes are gone that every sink had settled', () => {
    const damaged = log({ damaged: true, flushed: lsn(2000), settled: lsn(1500) });
    expect(plan(damaged, server, slot(1500))).toMatchObject({ startLsn: lsn(1000), gap: undefined });
    expect(plan(damaged, server, slot(1501)).gap).toMatchObject({ from: '0/5DC', to: '0/5DD' });
  });

  test('in a new epoch after a promotion, at the log and not at what only the old timeline had', () => {
    expect(plan(log({ flushed: lsn(1900) }), promoted, slot(800))).toEqual({
      startLsn: lsn(1000),
      confirmed: lsn(800),
      epoch: 4,
      gap: undefined,
      compares: false,
    });
  });

  test('without a gap after the failover of an idle database: what was flushed below the switch is in both histories', () => {
    const idle = log({ flushed: lsn(1900) });
    expect(plan(idle, promoted, slot(1900)).gap).toBeUndefined();
    expect(plan(log({ flushed: lsn(2500) }), promoted, slot(2000)).gap).toBeUndefined();
    expect(plan(log({ flushed: lsn(2500) }), promoted, slot(2001)).gap).toMatchObject({
      from: '0/7D0',
      to: '0/7D1',
    });
  });

  describe('at a server that may have gone back to an earlier state', () => {
    const certain = lsn(400);

    test('with a gap from where its history is certain, once somebody has moved the slot past what we know', () => {
      expect(plan(log(), server, slot(1001), { inDoubt: true, certain }).gap).toMatchObject({
        cause: 'slot_moved',
        from: '0/190',
        to: '0/3E9',
        reason: expect.stringContaining('0/3E8') as string,
        halts: true,
      });
      expect(plan(log(), server, slot(3000, true), { inDoubt: true, certain }).gap).toMatchObject({
        cause: 'slot_remade',
        from: '0/190',
      });
    });

    test('without one while nobody has moved it: what comes again is compared', () => {
      expect(plan(log(), server, slot(1000), { inDoubt: true, certain })).toMatchObject({
        gap: undefined,
        compares: true,
      });
    });

    test('with no more than what was damaged where the slot stands at what we flushed', () => {
      const damaged = log({ damaged: true, flushed: lsn(2000) });
      expect(plan(damaged, server, slot(2000), { certain }).gap).toMatchObject({ from: '0/3E8' });
      expect(plan(damaged, server, slot(2001), { certain }).gap).toMatchObject({ from: '0/190' });
    });

    test('with a gap on record that halts nobody when the log is new, and has nothing to compare', () => {
      const created = log({ created: true, beganAt: lsn(700), lastEndLsn: lsn(0), timeline: 0 });
      expect(plan(created, server, slot(700), { certain })).toMatchObject({
        gap: { cause: 'slot_moved', from: '0/190', to: '0/2BC', halts: false },
        epoch: 3,
        compares: false,
      });
      expect(plan(created, server, slot(400), { certain }).gap).toBeUndefined();
    });
  });
});
