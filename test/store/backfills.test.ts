import { beforeEach, describe, expect, onTestFinished, test } from 'vitest';
import {
  BACKFILL_STATES,
  NO_PROGRESS,
  statesBefore,
  type BackfillRequest,
  type BackfillState,
} from '../../src/core/backfill.ts';
import { openStore, type Store } from '../../src/store/sqlite.ts';
import { ITEMS } from '../support/gaps.ts';

const NOW = new Date('2026-01-02T03:04:05Z');
const LATER = new Date('2026-01-02T04:00:00Z');
const LIMITS = { queryTimeoutMs: 5000 };
const NOTES = { schema: 'public', table: 'notes' };

let store: Store;
beforeEach(() => {
  store = openStore(':memory:');
  onTestFinished(() => store.close());
});

const request = (changes: Partial<BackfillRequest> = {}): BackfillRequest => ({
  database: 'shop',
  sinks: ['users'],
  tables: [ITEMS],
  limits: LIMITS,
  ...changes,
});
const create = (id = 'first', changes: Partial<BackfillRequest> = {}, now = NOW) =>
  store.backfills.create(request(changes), { id, now });
const move = (state: BackfillState, reason?: string, id = 'first') =>
  store.backfills.setState({ database: 'shop', id }, state, { reason, now: LATER });
const begin = (sink: string) =>
  store.sinks.started({ database: 'shop', sink }, [], { configured: 'active', now: NOW });

describe('a backfill', () => {
  test('has the pace that live changes leave it as long as it is read', () => {
    create();
    const note = (pace?: number): void =>
      store.backfills.note('first', ITEMS, NO_PROGRESS, pace === undefined ? {} : { pace });
    const found = () => store.backfills.find('shop', 'first');
    // Nobody reads it yet.
    note(700);
    expect(found()).not.toHaveProperty('pace');
    move('running');
    note(700);
    expect(found()).toMatchObject({ pace: 700 });
    note();
    expect(found()).not.toHaveProperty('pace');
    note(800);
    expect(move('paused')).not.toHaveProperty('pace');
  });

  test('is kept as it was asked for, and waits', () => {
    const asked = request({
      sinks: ['users', 'audit'],
      limits: { queryTimeoutMs: 5000, maxRowsPerSecond: 100 },
      tables: [
        { ...ITEMS, where: 'id > 3', sort: { column: 'updated_at', from: '2026-01-01' } },
        { ...NOTES, sort: { column: 'id' }, keys: [['1'], ['2']] },
      ],
    });
    const made = store.backfills.create(asked, { id: 'first', now: NOW });
    expect(made).toEqual({
      id: 'first',
      database: 'shop',
      sinks: ['users', 'audit'],
      limits: { queryTimeoutMs: 5000, maxRowsPerSecond: 100 },
      initial: false,
      state: 'waiting',
      createdAt: NOW.toISOString(),
      tables: [
        {
          ...ITEMS,
          where: 'id > 3',
          sort: { column: 'updated_at', from: '2026-01-01' },
          progress: NO_PROGRESS,
        },
        { ...NOTES, sort: { column: 'id' }, keyCount: 2, progress: NO_PROGRESS },
      ],
    });
    expect(store.backfills.find('shop', 'first')).toEqual(made);
    expect(store.backfills.find('other', 'first')).toBeUndefined();
    expect(store.backfills.keys('first', NOTES)).toEqual([['1'], ['2']]);
    expect(store.backfills.keys('first', ITEMS)).toBeUndefined();
  });

  test('of whatever its sinks take has no tables until it is known which', () => {
    const { tables: _, ...rest } = request();
    const made = store.backfills.create(rest, { id: 'first', now: NOW });
    expect(made.tables).toBeUndefined();
    store.backfills.setTables('first', [NOTES, ITEMS]);
    expect(store.backfills.find('shop', 'first')?.tables).toEqual([
      { ...NOTES, progress: NO_PROGRESS },
      { ...ITEMS, progress: NO_PROGRESS },
    ]);
  });

  test('that found no table says so, and is not taken for one that has not looked', () => {
    const { tables: _, ...rest } = request();
    store.backfills.create(rest, { id: 'first', now: NOW });
    store.backfills.setTables('first', []);
    expect(store.backfills.find('shop', 'first')?.tables).toEqual([]);
  });

  test('is listed newest first, and of one sink where that is named', () => {
    create('first');
    create('second', { sinks: ['audit'] });
    create('third', {}, LATER);
    create('elsewhere', { database: 'other' });
    const ids = (sink?: string) =>
      store.backfills.list('shop', sink === undefined ? {} : { sink }).map(({ id }) => id);
    expect(ids()).toEqual(['third', 'second', 'first']);
    expect(ids('users')).toEqual(['third', 'first']);
    expect(ids('nobody')).toEqual([]);
  });
});

describe('the state of a backfill', () => {
  test('moves only as it may, and the first of two that move it wins', () => {
    create();
    expect(move('running')?.state).toBe('running');
    expect(move('paused', 'for the night')).toMatchObject({ state: 'paused', reason: 'for the night' });
    // Whoever reads has not heard of it yet.
    expect(move('completed')).toBeUndefined();
    expect(move('running')).toBeUndefined();
    const resumed = move('waiting');
    expect(resumed?.state).toBe('waiting');
    expect(resumed).not.toHaveProperty('reason');
    expect(move('cancelled')).toMatchObject({ state: 'cancelled', endedAt: LATER.toISOString() });
    expect(move('waiting')).toBeUndefined();
    expect(store.backfills.find('shop', 'first')?.state).toBe('cancelled');
    expect(move('running', undefined, 'unknown')).toBeUndefined();
  });

  test('of one that failed is mended by resuming it', () => {
    create();
    expect(move('failed', 'no right to read')).toMatchObject({ endedAt: LATER.toISOString() });
    const resumed = move('waiting');
    expect(resumed?.state).toBe('waiting');
    expect(resumed).not.toHaveProperty('endedAt');
  });

  test('that is final has no way out, and every other can be cancelled', () => {
    expect(statesBefore('cancelled')).toEqual(['waiting', 'running', 'paused', 'failed']);
    for (const state of BACKFILL_STATES) expect(statesBefore(state)).not.toContain('completed');
  });

  test('keeps what holds it up while it is to be read, and forgets that when it moves', () => {
    create();
    store.backfills.hold('first', 'the slot holds 3 GB');
    expect(store.backfills.find('shop', 'first')?.heldBy).toBe('the slot holds 3 GB');
    store.backfills.hold('first', undefined);
    expect(store.backfills.find('shop', 'first')).not.toHaveProperty('heldBy');
    store.backfills.hold('first', 'again');
    expect(move('paused')).not.toHaveProperty('heldBy');
    store.backfills.hold('first', 'nobody reads it');
    expect(store.backfills.find('shop', 'first')).not.toHaveProperty('heldBy');
  });
});

describe('what is to be read', () => {
  const due = () => store.backfills.due('shop').map(({ id }) => id);

  test('is what waits or runs, oldest first', () => {
    begin('users');
    create('first');
    create('second', {}, LATER);
    create('third');
    move('running', undefined, 'second');
    move('paused', undefined, 'third');
    expect(due()).toEqual(['first', 'second']);
    expect(store.backfills.due('other')).toEqual([]);
  });

  test('waits for each of its sinks to have a place in the log, which it would never see otherwise', () => {
    begin('users');
    create('first', { sinks: ['users', 'audit'] });
    expect(due()).toEqual([]);
    // A wish for it is known, and no more.
    store.sinks.choose({ database: 'shop', sink: 'audit' }, 'paused', { configured: 'active', now: NOW });
    expect(due()).toEqual([]);
    begin('audit');
    expect(due()).toEqual(['first']);
  });
});

test('a sink has its initial backfill once, however often it is asked for', () => {
  const initial = (id: string) =>
    store.backfills.createInitial('users', { database: 'shop', limits: LIMITS }, { id, now: NOW });
  expect(initial('first')).toMatchObject({ id: 'first', initial: true, sinks: ['users'] });
  expect(store.backfills.hadInitial({ database: 'shop', sink: 'users' })).toBe(true);
  expect(store.backfills.hadInitial({ database: 'shop', sink: 'audit' })).toBe(false);
  expect(initial('second')).toBeUndefined();
  begin('users');
  expect(initial('third')).toBeUndefined();
  expect(store.backfills.list('shop').map(({ id }) => id)).toEqual(['first']);
});

test('progress is kept as it was noted last, cursor and all', () => {
  create('first', { tables: [ITEMS, NOTES] });
  const progress = {
    ...NO_PROGRESS,
    cursor: { by: 'key', values: ['17', 'x"y'] },
    scanned: 2 ** 40,
    appended: 5,
    dropped: 2,
    readAgain: 1,
    bytes: 12_345,
    restarts: 1,
    activeMs: 1500,
    estimatedRows: 1e12,
    startedAt: NOW.toISOString(),
    notes: ['no index leads with updated_at'],
  };
  store.backfills.note('first', ITEMS, progress);
  const tables = () => store.backfills.find('shop', 'first')?.tables?.map(({ progress }) => progress);
  expect(tables()).toEqual([progress, NO_PROGRESS]);
  const { cursor: _, ...atEnd } = { ...progress, endedAt: LATER.toISOString(), failure: 'it is gone' };
  store.backfills.note('first', ITEMS, atEnd);
  expect(tables()).toEqual([atEnd, NO_PROGRESS]);
});

test('of those that are over the newest hundred are kept, and none that is not', () => {
  create('open', {}, new Date(0));
  for (let i = 0; i < 102; i++) {
    create(`b${i}`);
    store.backfills.setState({ database: 'shop', id: `b${i}` }, 'cancelled', { now: new Date(i) });
  }
  create('last');
  const ids = store.backfills.list('shop').map(({ id }) => id);
  expect(ids).toHaveLength(102);
  expect(ids).toContain('open');
  expect(ids).not.toContain('b1');
  expect(store.backfills.keys('b1', ITEMS)).toBeUndefined();
});
