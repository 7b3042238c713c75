import { describe, expect, test } from 'vitest';
import { toLsn } from '../../../../src/core/lsn.ts';
import {
  isSuspicious,
  STALL_BYTES,
  stallOf,
  type StallFacts,
} from '../../../../src/pipeline/source/watch/stall.ts';

const LIMIT_MS = 1000;
const LATE = LIMIT_MS + 1;

/** Everything is flushed up to the WAL's end. */
const well: StallFacts = {
  limitMs: LIMIT_MS,
  walEnd: toLsn(10_000_000n),
  flushed: toLsn(10_000_000n),
  flushedStillForMs: 0,
  silentForMs: 0,
  reading: true,
  repliesLateForMs: 0,
  logged: toLsn(10_000_000n),
  unsyncedBytes: 0,
  durableStillForMs: 0,
  holdingSinks: [],
  walsender: undefined,
  markerMissingForMs: undefined,
};
const waiting = { present: true, waitsFor: 'wal', spilledBytes: 0 } as const;
const busy = { present: true, waitsFor: undefined, spilledBytes: 5 } as const;
/** The WAL goes on, and what it was told has not moved for too long. */
const behind: Partial<StallFacts> = {
  walEnd: toLsn(10_000_000n + BigInt(STALL_BYTES) + 1n),
  flushedStillForMs: LATE,
  silentForMs: LATE,
};
const judge = (...changes: readonly Partial<StallFacts>[]) =>
  stallOf(Object.assign({}, well, ...changes) as StallFacts);

describe('no stall is', () => {
  test.each<[string, Partial<StallFacts>]>([
    [
      'a stream that has nothing to do, however long',
      { flushedStillForMs: LATE * 99, silentForMs: LATE * 99 },
    ],
    [
      'what an idle server writes',
      { ...behind, walEnd: toLsn(10_000_000n + BigInt(STALL_BYTES)), walsender: waiting },
    ],
    ['a short while', { ...behind, flushedStillForMs: LIMIT_MS, walsender: waiting }],
    ['a stream that catches up', { ...behind, silentForMs: 0, walsender: busy }],
    ['a log that takes no more: others say why', { ...behind, reading: false, walsender: waiting }],
    ['a walsender that waits for a standby', { ...behind, walsender: { ...waiting, waitsFor: 'standby' } }],
    ['a walsender that nobody has asked about yet', behind],
    ['a server that is busy, and has not read our replies', { repliesLateForMs: LATE, walsender: busy }],
  ])('%s', (_, facts) => {
    expect(judge(facts)).toBeUndefined();
  });
});

describe('the cause of a stall is', () => {
  test('a connection that the server does not know any more, at once', () => {
    expect(judge({ walsender: { ...waiting, present: false } })).toEqual({ cause: 'socket_dead' });
  });

  test('a socket through which nothing comes, while the server waits', () => {
    expect(judge(behind, { walsender: waiting })).toEqual({ cause: 'socket_dead' });
    // On a cluster where only the marker moved the WAL.
    expect(judge({ markerMissingForMs: LATE, silentForMs: LATE, walsender: waiting })).toEqual({
      cause: 'socket_dead',
    });
  });

  test('replies that do not reach a server which waits for them', () => {
    expect(judge({ repliesLateForMs: LATE, walsender: waiting })).toEqual({ cause: 'replies_lost' });
    expect(judge({ repliesLateForMs: LIMIT_MS, walsender: waiting })).toBeUndefined();
  });

  test('a disk that does not take the log, before the sink that waits for it', () => {
    const stuck = { unsyncedBytes: 1, durableStillForMs: LATE };
    expect(judge(stuck)).toEqual({ cause: 'log_writer' });
    expect(judge(behind, stuck, { holdingSinks: ['users'] })).toEqual({ cause: 'log_writer' });
    expect(judge({ unsyncedBytes: 1, durableStillForMs: LIMIT_MS })).toBeUndefined();
  });

  test('the sinks that the flush waits for, also while more comes', () => {
    const held = { ...behind, silentForMs: 0, logged: toLsn(10_000_001n), holdingSinks: ['users'] };
    expect(judge(held)).toEqual({ cause: 'sink', sinks: ['users'] });
    // Nothing is in the log that it could hold.
    expect(judge({ ...held, logged: well.flushed })).toBeUndefined();
  });

  test('a decoder that is at work and sends nothing, with what it has put on disk', () => {
    expect(judge(behind, { walsender: busy })).toEqual({ cause: 'decoder', spilledBytes: 5 });
  });
});

test('the server is asked about our walsender when something is late, and not before', () => {
  expect(isSuspicious(well)).toBe(false);
  expect(isSuspicious({ ...well, flushedStillForMs: LATE })).toBe(false);
  for (const facts of [behind, { repliesLateForMs: LATE }, { markerMissingForMs: LATE }]) {
    expect(isSuspicious({ ...well, ...facts })).toBe(true);
  }
});
