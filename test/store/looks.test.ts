import { beforeEach, describe, expect, onTestFinished, test } from 'vitest';
import type { Look } from '../../src/core/look.ts';
import { toLsn } from '../../src/core/lsn.ts';
import { MAX_LOOKS } from '../../src/store/looks.ts';
import { openStore, type Store } from '../../src/store/sqlite.ts';
import { look } from '../support/looks.ts';

let store: Store;
beforeEach(() => {
  store = openStore(':memory:');
  onTestFinished(() => store.close());
});

const add = (changes: Partial<Look> = {}): void => void store.looks.add('shop', look(changes), true);
const SERVER = { systemIdentifier: '7', switches: [] };
const endBefore = (xid: bigint): bigint => store.looks.endBefore('shop', SERVER, xid);

describe('looks', () => {
  test('are read back as they were: 64 bits, timelines, what was seen', () => {
    const seen = look({
      walBefore: toLsn(0xffff_ffff_0000_0001n),
      xmin: 2n ** 40n,
      begun: 2n ** 40n + 5n,
      server: {
        systemIdentifier: '7',
        timeline: 3,
        switches: [{ timeline: 1, switchLsn: toLsn(0x10n) }],
        address: '10.0.0.1:5432',
        startedAtUs: '1700000000000001',
      },
    });
    store.looks.add('shop', seen, true);
    expect(store.looks.newest('shop')).toEqual(seen);
    expect(store.looks.newest('other')).toBeUndefined();
  });

  test('know the last one that saw a publication', () => {
    const present = look({ fold: 'a' });
    store.looks.add('shop', present, true);
    add({ fold: 'b', catalog: { tables: [] } });
    expect(store.looks.newest('shop')?.catalog.publication).toBeUndefined();
    expect(store.looks.newest('shop', { withPublication: true })).toEqual(present);
  });

  test('bound where a transaction began: by the newest look that had given out no id as high', () => {
    add({ walBefore: toLsn(100n), begun: 10n });
    add({ walBefore: toLsn(200n), begun: 20n });
    add({ walBefore: toLsn(300n), begun: 30n });
    expect(endBefore(20n)).toBe(200n);
    expect(endBefore(29n)).toBe(200n);
    expect(endBefore(1000n)).toBe(300n);
    expect(endBefore(9n)).toBe(0n);
    expect(store.looks.endBefore('shop', { ...SERVER, systemIdentifier: '8' }, 1000n)).toBe(0n);
  });

  test('say nothing of a history beyond where it parted from theirs', () => {
    add({ walBefore: toLsn(100n), walAfter: toLsn(110n), xmin: 10n, begun: 10n });
    add({ walBefore: toLsn(200n), walAfter: toLsn(210n), xmin: 20n, begun: 20n });
    const promoted = { ...SERVER, switches: [{ timeline: 1, switchLsn: toLsn(150n) }] };
    expect(store.looks.endBefore('shop', promoted, 25n)).toBe(150n);
    expect(store.looks.endBefore('shop', promoted, 15n)).toBe(100n);
    expect(store.looks.endedBefore('shop', promoted, toLsn(300n))).toBe(10n);
  });

  test('know where a type had a shape first, in the history of the server that asks', () => {
    const { server } = look();
    const saw = (version: string, walAfter: bigint, timeline = 1, isProved = true): void => {
      const seen = look({
        walAfter: toLsn(walAfter),
        server: { ...server, timeline },
        catalog: { ...look().catalog, types: { '16400': version } },
      });
      store.looks.add('shop', seen, isProved);
    };
    const since = (version: string, changes: Partial<typeof server> = {}, type = 16_400) =>
      store.looks.sawShape('shop', { ...server, ...changes }, { type, version });
    add();
    saw('a', 50n, 1, false);
    saw('a', 100n);
    saw('a', 200n);
    saw('b', 300n);
    expect(since('a')).toBe(100n);
    expect(since('b')).toBe(300n);
    expect(since('c')).toBeUndefined();
    expect(since('a', {}, 16_401)).toBeUndefined();
    expect(since('a', { systemIdentifier: '8' })).toBeUndefined();
    // What the first timeline had above the place where the second began is none of its history.
    const promoted = (switchLsn: bigint) => ({
      timeline: 2,
      switches: [{ timeline: 1, switchLsn: toLsn(switchLsn) }],
    });
    expect(since('b', promoted(300n))).toBe(300n);
    expect(since('b', promoted(299n))).toBeUndefined();
    saw('b', 400n, 2);
    expect(since('b', promoted(299n))).toBe(400n);
  });

  test('know the last one at each publication', () => {
    const first = look({ publication: 'p', fold: 'a' });
    store.looks.add('shop', first, true);
    add({ publication: 'q', fold: 'b' });
    expect(store.looks.newest('shop', { publication: 'p' })).toEqual(first);
    expect(store.looks.newest('shop', { publication: 'r' })).toBeUndefined();
  });

  test('say which transactions had ended at a place of the WAL', () => {
    add({ walAfter: toLsn(100n), xmin: 10n });
    add({ walAfter: toLsn(200n), xmin: 20n });
    const endedBefore = (lsn: bigint) => store.looks.endedBefore('shop', SERVER, toLsn(lsn));
    expect([endedBefore(99n), endedBefore(100n), endedBefore(250n)]).toEqual([undefined, 10n, 20n]);
  });

  test('at a server in doubt say what is published, and bound nothing until it is proved to be the log’s', () => {
    add({ walBefore: toLsn(100n), begun: 10n, fold: 'a' });
    const first = store.looks.add('shop', look({ walBefore: toLsn(200n), begun: 20n, fold: 'b' }), false);
    store.looks.add('shop', look({ walBefore: toLsn(300n), begun: 30n, fold: 'c' }), false);
    expect(store.looks.newest('shop')?.fold).toBe('c');
    expect(store.looks.newest('shop', { proved: true })?.fold).toBe('a');
    expect(endBefore(50n)).toBe(100n);
    store.looks.prove('shop', first);
    expect(store.looks.newest('shop', { proved: true })?.fold).toBe('c');
    expect(endBefore(50n)).toBe(300n);
  });

  test('at a server that is not the log’s are forgotten', () => {
    add({ fold: 'a' });
    const first = store.looks.add('shop', look({ fold: 'b' }), false);
    store.looks.add('shop', look({ fold: 'c' }), false);
    store.looks.forget('shop', first);
    expect(store.looks.newest('shop')?.fold).toBe('a');
  });

  test('bound the transactions between two places: those not ended before the first, those begun before the second', () => {
    const at = (lsn: bigint, xmin: bigint, begun: bigint, changes: Partial<Look> = {}): void =>
      add({ walBefore: toLsn(lsn), walAfter: toLsn(lsn + 5n), xmin, begun, ...changes });
    const between = (from: bigint, to?: bigint) =>
      store.looks.xidsBetween('shop', toLsn(from), to === undefined ? undefined : toLsn(to));
    expect(between(0n, 9n)).toBeUndefined();
    // Of another timeline: its ids are another history's.
    at(50n, 5n, 6n, { server: { ...look().server, timeline: 9 } });
    at(100n, 10n, 12n);
    at(200n, 20n, 22n);
    at(300n, 30n, 32n);
    expect(between(105n, 300n)).toEqual({ from: 10n, below: 32n });
    expect(between(104n, 300n)).toBeUndefined();
    expect(between(206n, 299n)).toEqual({ from: 20n, below: 32n });
    expect(between(206n, 301n)).toEqual({ from: 20n });
    expect(between(206n)).toEqual({ from: 20n });
    expect(store.looks.xidsBetween('other', toLsn(206n), undefined)).toBeUndefined();
  });

  test('are few, however many are taken: all of the newest, some of the old ones, each thing seen once', () => {
    for (let i = 1; i <= MAX_LOOKS * 5; i++) add({ walBefore: toLsn(BigInt(i)), begun: BigInt(i) });
    const last = BigInt(MAX_LOOKS * 5);
    for (let behind = 0n; behind < BigInt(MAX_LOOKS / 2); behind++) {
      expect(endBefore(last - behind)).toBe(last - behind);
    }
    // Of the oldest quarter some are left.
    expect(endBefore(last / 4n)).toBeGreaterThan(0n);
  });
});
