import { beforeEach, describe, expect, test } from 'vitest';
import { toLsn } from '../../src/core/lsn.ts';
import { openStore, type Store } from '../../src/store/sqlite.ts';
import { LIFE } from '../support/ledger.ts';
import { letterAt, SINK } from '../support/letters.ts';

const now = new Date('2026-01-02T03:04:05Z');
const later = new Date('2026-01-09T03:04:05Z');
let store: Store;
beforeEach(() => {
  store = openStore(':memory:');
});
const start = (): number => store.sinks.started(SINK, [], { configured: 'active', now });

describe('the status that holds', () => {
  test('a status chosen while running holds over restarts, until the configuration says something else', () => {
    start();
    store.sinks.choose(SINK, 'paused', { configured: 'active', now });
    expect(store.sinks.reconcile(SINK, { configured: 'active', now })).toBe('paused');
    expect(store.sinks.reconcile(SINK, { configured: 'active', now })).toBe('paused');
    expect(store.sinks.reconcile(SINK, { configured: 'disabled', now })).toBe('disabled');
    // The choice is forgotten, not merely overruled.
    expect(store.sinks.reconcile(SINK, { configured: 'active', now })).toBe('active');
  });

  test('a choice is remembered for a sink that has not begun yet, which stays new', () => {
    store.sinks.choose(SINK, 'paused', { configured: 'active', now });
    expect(store.sinks.names('shop')).toEqual([]);
    expect(store.sinks.reconcile(SINK, { configured: 'active', now })).toBe('paused');
    start();
    expect(store.sinks.names('shop')).toEqual(['users']);
    expect(store.sinks.reconcile(SINK, { configured: 'active', now })).toBe('paused');
  });
});

describe('the first sinks of a database', () => {
  const met = (...sinks: readonly string[]): string[] => [...store.sinks.met('shop', sinks, now)].sort();

  test('are those that are there when its log is open for the first time, until each has begun', () => {
    expect(met('users', 'orders')).toEqual(['orders', 'users']);
    start();
    // A crash before the second one began: it is no later one for that.
    expect(met('users', 'orders')).toEqual(['orders']);
    store.sinks.started({ ...SINK, sink: 'orders' }, [], { configured: 'active', now });
    expect(met('users', 'orders')).toEqual([]);
  });

  test('are no others, however early they come', () => {
    met('users');
    expect(met('users', 'orders')).toEqual(['users']);
    expect([...store.sinks.met('other', ['users'], now)]).toEqual(['users']);
  });

  test('are none where an older version has seen some begin', () => {
    start();
    expect(met('users', 'orders')).toEqual([]);
  });

  test('are not those that left the configuration before they had begun', () => {
    met('users', 'orders');
    store.sinks.letGoOfOthers([SINK], now);
    expect(met('users', 'orders')).toEqual(['users']);
  });

  test('are recorded all or not at all', () => {
    const both = ['users', 'orders'];
    const broken = {
      get length() {
        return 2;
      },
      *[Symbol.iterator]() {
        yield both[0]!;
        throw new Error('killed');
      },
    } as unknown as readonly string[];
    expect(() => store.sinks.met('shop', broken, now)).toThrow('killed');
    expect(met(...both)).toEqual(['orders', 'users']);
  });
});

describe('where a sink stood', () => {
  const place = {
    cursor: { position: { epoch: 2, commitLsn: toLsn(8n), index: 3 }, endLsn: toLsn(9n), timeline: 4 },
    log: LIFE,
  };

  test('is known with its log, from its start on, as it was noted last', () => {
    store.sinks.started(SINK, [], { configured: 'active', now, place });
    expect(store.sinks.find(SINK)).toMatchObject({ hasBegun: true, place });
    const later = { ...place, cursor: { ...place.cursor, endLsn: toLsn(99n) } };
    store.sinks.stands(SINK, later);
    expect(store.sinks.find(SINK)?.place).toEqual(later);
    const { timeline: _, ...cursor } = place.cursor;
    store.sinks.giveUp(SINK, { cursor, log: undefined });
    expect(store.sinks.find(SINK)).toMatchObject({ leftLsn: 9n, place: { cursor, log: undefined } });
  });

  test('is a wish only, of a sink that has not begun', () => {
    store.sinks.choose(SINK, 'paused', { configured: 'active', now });
    expect(store.sinks.find(SINK)).toMatchObject({ hasBegun: false, place: undefined });
  });

  test('and everything else that has an epoch says which is the highest', () => {
    expect(store.sinks.highestEpoch('shop')).toBe(-1);
    store.sinks.started(SINK, [], { configured: 'active', now, place });
    expect(store.sinks.highestEpoch('shop')).toBe(2);
    expect(store.sinks.highestEpoch('other')).toBe(-1);
    const epoch = 5;
    store.sinks.rewind(SINK, {
      ...place,
      cursor: { ...place.cursor, position: { ...place.cursor.position, epoch } },
    });
    expect(store.sinks.highestEpoch('shop')).toBe(5);
    const skipped = { xid: 1, epoch: 7, commitLsn: '0/8', changes: 1, committedAt: now.toISOString() };
    store.skipped.add(SINK, [skipped]);
    expect(store.sinks.highestEpoch('shop')).toBe(7);
  });
});

describe('a sink that nothing is held for', () => {
  test('knows since when, from the first moment on, until it has its place again', () => {
    start();
    store.sinks.choose(SINK, 'disabled', { configured: 'active', now });
    store.sinks.reconcile(SINK, { configured: 'active', now: later });
    expect(store.sinks.find(SINK)?.letGoAt).toEqual(now);
    start();
    expect(store.sinks.find(SINK)?.letGoAt).toBeUndefined();
  });

  test('is one that has left the configuration', () => {
    start();
    expect(store.sinks.letGoOfOthers([SINK], now)).toEqual([]);
    expect(store.sinks.letGoOfOthers([{ database: 'other', sink: 'users' }], now)).toEqual([
      { ...SINK, letGoAt: now },
    ]);
    expect(store.sinks.letGoOfOthers([], later)).toEqual([{ ...SINK, letGoAt: now }]);
  });

  test('has its gap recorded once it starts anew', () => {
    start();
    const cursor = { position: { epoch: 0, commitLsn: toLsn(8n), index: 0 }, endLsn: toLsn(9n) };
    store.sinks.giveUp(SINK, { cursor, log: LIFE });
    expect(store.sinks.find(SINK)?.leftLsn).toBe(9n);
    const gap = { from: '0/9', to: '0/20', reason: 'away' };
    store.sinks.started(SINK, [gap], { configured: 'active', now });
    store.sinks.started(SINK, [gap], { configured: 'active', now });
    expect(store.sinks.find(SINK)?.leftLsn).toBeUndefined();
    expect(store.sinks.gaps(SINK)).toEqual([gap]);
    expect(store.sinks.gaps({ ...SINK, database: 'other' })).toEqual([]);
  });
});

test('a rewind counts, is remembered until the ledger has it, and withdraws the letters from there on', () => {
  start();
  // As texts `10/0` comes before `9/0`.
  for (const commit of [9 * 2 ** 32, 10 * 2 ** 32, 11 * 2 ** 32])
    store.deadLetters.add(letterAt(commit), now);
  store.deadLetters.add(letterAt(11 * 2 ** 32, { sink: 'orders' }), now);
  const cursor = {
    position: { epoch: 0, commitLsn: toLsn(10n * 2n ** 32n), index: 0 },
    endLsn: toLsn(10n * 2n ** 32n - 8n),
  };
  expect(store.sinks.rewind(SINK, { cursor, log: LIFE })).toEqual({ rewinds: 1, withdrawn: 2 });
  expect(store.sinks.find(SINK)).toMatchObject({ rewinds: 1, rewindTo: { cursor, log: LIFE } });
  expect(store.deadLetters.list(SINK, {}, { limit: 9 }).map(({ position }) => position.commitLsn)).toEqual([
    9n * 2n ** 32n,
  ]);
  expect(store.deadLetters.counts({ ...SINK, sink: 'orders' }).kept).toBe(1);
  store.sinks.rewound(SINK);
  expect(store.sinks.find(SINK)).toMatchObject({ rewinds: 1, rewindTo: undefined });
  expect(start()).toBe(1);
});
