import { beforeEach, describe, expect, test } from 'vitest';
import type { DeadLetterFilter } from '../../src/store/dead-letters.ts';
import { openStore, type Store } from '../../src/store/sqlite.ts';
import { letterAt, SINK } from '../support/letters.ts';

const at = (second: number): Date => new Date(Date.UTC(2026, 0, 2, 3, 4, second));
let store: Store;
beforeEach(() => {
  store = openStore(':memory:');
  store.sinks.started(SINK, [], { configured: 'active', now: at(0) });
});
const idsOf = (filter: DeadLetterFilter = {}, limit = 100, after = 0): number[] =>
  store.deadLetters.list(SINK, filter, { limit, after }).map(({ id }) => id);
const makeLetters = (count: number): void => {
  for (let i = 1; i <= count; i++) store.deadLetters.add(letterAt(i), at(i));
};

test('the same change of the same sink is kept once', () => {
  store.deadLetters.add(letterAt(1), at(1));
  store.deadLetters.add(letterAt(1), at(2));
  store.deadLetters.add(letterAt(1, { sink: 'orders' }), at(2));
  expect(store.deadLetters.counts(SINK)).toEqual({ kept: 1, replaying: 0, dropped: 0 });
});

test('both halves of a change whose key changed are kept, each once', () => {
  for (const action of ['delete', 'insert', 'delete']) store.deadLetters.add(letterAt(1, { action }), at(1));
  const letters = store.deadLetters.list(SINK, {}, { limit: 10 });
  expect(letters.map(({ action }) => action)).toEqual(['delete', 'insert']);
});

test('letters are listed page by page, by table, code, time and id', () => {
  makeLetters(3);
  store.deadLetters.add(letterAt(4, { table: 'u' }), at(4));
  store.deadLetters.add(letterAt(5, { schema: 'other', code: 'WORSE' }), at(5));
  expect(idsOf({}, 2)).toEqual([1, 2]);
  expect(idsOf({}, 2, 2)).toEqual([3, 4]);
  expect(idsOf({ schema: 'public', table: 't' })).toEqual([1, 2, 3]);
  expect(idsOf({ code: 'WORSE' })).toEqual([5]);
  expect(idsOf({ since: at(4) })).toEqual([4, 5]);
  expect(idsOf({ ids: [2, 5, 99], since: at(3) })).toEqual([5]);
  const [first] = store.deadLetters.list(SINK, {}, { limit: 1 });
  expect(first).toMatchObject({ hasPayload: true, idempotencyKey: 'key-1-1-0', attempts: 1 });
  expect(first).not.toHaveProperty('payload');
});

test('a replay marks letters with a payload, and ends with delivery or back among the dead with one more try (C244)', () => {
  makeLetters(3);
  store.deadLetters.add(letterAt(4, { payload: undefined }), at(4));
  expect(store.deadLetters.replay(SINK, {})).toEqual({ replaying: 3, withoutPayload: 1, withheld: 0 });
  expect(store.deadLetters.counts(SINK)).toEqual({ kept: 4, replaying: 3, dropped: 0 });
  expect(store.deadLetters.replays(SINK, { after: 1, limit: 9 }).map(({ id }) => id)).toEqual([2, 3]);
  store.deadLetters.delivered([1, 3]);
  store.deadLetters.returned(2, { code: 'STILL', reason: 'not yet', attempts: 2 }, at(9));
  expect(idsOf()).toEqual([2, 4]);
  expect(store.deadLetters.find(SINK, 2)).toMatchObject({
    state: 'dead',
    code: 'STILL',
    reason: 'not yet',
    attempts: 3,
    createdAt: at(2).toISOString(),
    lastFailedAt: at(9).toISOString(),
  });
});

describe('limits', () => {
  const unlimited = { retentionMs: 0, maxCount: 0, maxBytes: 0 };

  test('without any, nothing goes', () => {
    makeLetters(5);
    expect(store.deadLetters.enforce(unlimited, at(59))).toEqual([]);
    expect(idsOf()).toHaveLength(5);
  });

  test('the oldest go by age since the last failure, by number and by bytes; each is counted', () => {
    makeLetters(6);
    store.deadLetters.returned(1, { code: 'BAD', reason: 'again', attempts: 1 }, at(30));
    expect(store.deadLetters.enforce({ ...unlimited, retentionMs: 10_000 }, at(13))).toEqual([
      { ...SINK, limit: 'retention', count: 1 },
    ]);
    expect(idsOf()).toEqual([1, 3, 4, 5, 6]);
    expect(store.deadLetters.enforce({ ...unlimited, maxCount: 4 }, at(13))).toEqual([
      { ...SINK, limit: 'max_count', count: 1 },
    ]);
    expect(idsOf()).toEqual([3, 4, 5, 6]);
    const bytes = Buffer.from('{"commit":6}').length;
    expect(store.deadLetters.enforce({ ...unlimited, maxBytes: 2 * bytes }, at(13))).toEqual([
      { ...SINK, limit: 'max_bytes', count: 2 },
    ]);
    expect(idsOf()).toEqual([5, 6]);
    expect(store.deadLetters.counts(SINK)).toEqual({ kept: 2, replaying: 0, dropped: 4 });
  });

  test('each sink has its own, and what is being replayed stays', () => {
    makeLetters(3);
    store.deadLetters.add(letterAt(1, { sink: 'orders' }), at(1));
    store.deadLetters.replay(SINK, { ids: [1] });
    expect(store.deadLetters.enforce({ ...unlimited, maxCount: 1 }, at(9))).toEqual([
      { ...SINK, limit: 'max_count', count: 1 },
    ]);
    expect(idsOf()).toEqual([1, 3]);
    expect(store.deadLetters.counts({ ...SINK, sink: 'orders' }).kept).toBe(1);
  });
});
