import { beforeEach, describe, expect, onTestFinished, test } from 'vitest';
import type { GapDeclaration, GapEnd } from '../../src/core/gaps.ts';
import { toLsn } from '../../src/core/lsn.ts';
import { openStore, type Store } from '../../src/store/sqlite.ts';
import { declaredGap, ITEMS } from '../support/gaps.ts';

const NOW = new Date('2026-01-02T03:04:05Z');
const NOTES = { schema: 'public', table: 'notes' };

let store: Store;
beforeEach(() => {
  store = openStore(':memory:');
  onTestFinished(() => store.close());
});

const declared = (changes: Partial<GapDeclaration> = {}): GapDeclaration =>
  declaredGap({ cause: 'publication_changed', ...changes });
/** Without its end. */
function open(changes: Partial<GapDeclaration> = {}): GapDeclaration {
  const { to: _to, ...rest } = declared({ ends: [{ when: 'publication_present' }], ...changes });
  return rest;
}
const declare = (changes: Partial<GapDeclaration> = {}) => store.gaps.declare('shop', declared(changes), NOW);
const unaccepted = () => store.gaps.unaccepted('shop');

describe('a gap on record', () => {
  test('is there with all that was said of it, until it is accepted', () => {
    const gap = declare();
    expect(gap).toEqual({
      id: 1,
      cause: 'publication_changed',
      from: '0/10',
      to: '0/20',
      reason: 'because',
      tables: [ITEMS],
      since: NOW.toISOString(),
      halts: true,
      skips: false,
    });
    expect(unaccepted()).toEqual([gap]);
    expect(store.gaps.unaccepted('other')).toEqual([]);
    expect(store.gaps.accept('shop', gap.id, NOW)).toEqual({ ...gap, acceptedAt: NOW.toISOString() });
    expect(unaccepted()).toEqual([]);
    expect(store.gaps.find('shop', gap.id)).toMatchObject({ acceptedAt: NOW.toISOString() });
  });

  test('declared again is the same one, accepted or not', () => {
    const gap = declare();
    expect(declare()).toEqual(gap);
    store.gaps.accept('shop', gap.id, NOW);
    expect(declare()).toMatchObject({ id: gap.id, acceptedAt: NOW.toISOString() });
    expect(store.gaps.list('shop', { after: 0, limit: 10 })).toHaveLength(1);
  });

  test('grows by another of its cause that touches it, and takes over its tables', () => {
    const gap = declare();
    expect(declare({ from: '0/20', to: '0/30', tables: [NOTES] })).toMatchObject({
      id: gap.id,
      from: '0/10',
      to: '0/30',
      tables: [ITEMS, NOTES],
    });
    expect(declare({ from: '0/5', to: '0/10' })).toMatchObject({ id: gap.id, from: '0/5', to: '0/30' });
    expect(unaccepted()).toHaveLength(1);
  });

  test('does not grow by one that is elsewhere, has another cause, or comes after it was accepted', () => {
    const gap = declare();
    declare({ from: '0/21', to: '0/30' });
    declare({ cause: 'slot_moved' });
    expect(unaccepted()).toHaveLength(3);
    store.gaps.accept('shop', gap.id, NOW);
    expect(declare({ from: '0/15', to: '0/1F' }).id).not.toBe(gap.id);
  });

  test('of one table does not grow by one of another', () => {
    declare({ cause: 'member_changed' });
    declare({ cause: 'member_changed', tables: [NOTES] });
    declare({ cause: 'member_changed', from: '0/20', to: '0/30' });
    expect(unaccepted().map(({ tables, to }) => [tables, to])).toEqual([
      [[ITEMS], '0/30'],
      [[NOTES], '0/20'],
    ]);
  });

  test('of one sink is not that of another', () => {
    const a = declare({ cause: 'place_lost', sink: 'a' });
    const b = declare({ cause: 'place_lost', sink: 'b' });
    expect([a.sink, b.sink]).toEqual(['a', 'b']);
    expect(declare({ cause: 'place_lost', sink: 'a' }).id).toBe(a.id);
    expect(unaccepted()).toHaveLength(2);
  });

  test('without an end goes on until it is closed, also when it is accepted before', () => {
    const gap = store.gaps.declare('shop', open(), NOW);
    expect(gap).not.toHaveProperty('to');
    expect(store.gaps.open('shop')).toEqual([{ gap, ends: [{ when: 'publication_present' }] }]);
    store.gaps.accept('shop', gap.id, NOW);
    store.gaps.close(gap.id, toLsn(0x40n));
    expect(store.gaps.open('shop')).toEqual([]);
    expect(store.gaps.find('shop', gap.id)).toMatchObject({ to: '0/40' });
  });

  test('takes up one without an end, and waits for what that waits for', () => {
    const gap = declare();
    const grown = store.gaps.declare('shop', open({ from: '0/18' }), NOW);
    expect(grown).toMatchObject({ id: gap.id, from: '0/10' });
    expect(grown).not.toHaveProperty('to');
    expect(store.gaps.open('shop')).toEqual([{ gap: grown, ends: [{ when: 'publication_present' }] }]);
  });

  test('without an end that is enlarged by another one waits for what both wait for', () => {
    const until = (action: string): GapEnd => ({ when: 'actions_published', actions: [action] });
    for (const action of ['insert', 'update', 'insert'])
      store.gaps.declare('shop', open({ ends: [until(action)] }), NOW);
    expect(store.gaps.open('shop').map(({ ends }) => ends)).toEqual([[until('insert'), until('update')]]);
  });

  test('is accepted by the name that it has now, and by none that it had', () => {
    declare();
    const grown = declare({ from: '0/20', to: '0/30' });
    expect(store.gaps.acceptNamed('shop', ['0/10..0/20', '0/10..'], NOW)).toEqual([]);
    expect(store.gaps.acceptNamed('other', ['0/10..0/30'], NOW)).toEqual([]);
    expect(store.gaps.acceptNamed('shop', ['0/10..0/30'], NOW)).toMatchObject([{ id: grown.id }]);
    expect(unaccepted()).toEqual([]);
  });

  test('that can only be skipped keeps its end, whatever has none yet beside it', () => {
    const cause = 'publication_missing';
    store.gaps.declare('shop', open({ cause }), NOW);
    const skipped = declare({ cause, from: '0/15', skips: true });
    expect(skipped).toMatchObject({ from: '0/15', to: '0/20', skips: true });
    store.gaps.declare('shop', open({ cause, from: '0/12' }), NOW);
    expect(unaccepted().map(({ to, skips }) => ({ to, skips }))).toEqual([
      { to: undefined, skips: false },
      { to: '0/20', skips: true },
    ]);
  });

  test('that can only be skipped is found where what we have ends inside of it', () => {
    const gap = declare({ skips: true });
    const at = (lsn: bigint) => store.gaps.skipped('shop', toLsn(lsn)).map(({ id }) => id);
    expect([at(0xfn), at(0x10n), at(0x1fn), at(0x20n)]).toEqual([[], [gap.id], [gap.id], []]);
  });
});
