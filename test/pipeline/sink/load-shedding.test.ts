// What a sink gives up for the log's budget: counted, and on record before its cursor moves.
import { expect, test } from 'vitest';
import { zeroCounts } from '../../../src/core/counts.ts';
import { toLsn, type Lsn } from '../../../src/core/lsn.ts';
import type { SinkGap } from '../../../src/core/status.ts';
import { LogSignals } from '../../../src/log/signals.ts';
import { LoadShedding, meetDemand } from '../../../src/pipeline/sink/load-shedding.ts';
import { createDelivery, createDispatcher, DOWN, Endpoint, Messages } from '../../support/dispatcher.ts';
import { silent } from '../../support/messages.ts';
import { waitFor } from '../../support/wait.ts';

function harness(gaps: readonly SinkGap[] = []) {
  const counts = zeroCounts();
  const kept: SinkGap[] = [];
  const shedding = new LoadShedding({
    sink: 'users',
    gaps,
    keep: (gap) => {
      // As the store does: a gap that begins where another does takes its place.
      const same = kept.findIndex(({ from }) => from === gap.from);
      if (same === -1) kept.push(gap);
      else kept[same] = gap;
      return [...kept];
    },
    counts,
    logger: silent,
  });
  return { counts, kept, shedding };
}

const settledTo = (endLsn: bigint, offset: number): { endLsn: Lsn; offset: number } => ({
  endLsn: toLsn(endLsn),
  offset,
});

test('nothing is given up while nobody demands it', () => {
  const { shedding, counts, kept } = harness();
  expect(shedding.givesUp(0)).toBe(false);
  shedding.record(settledTo(100n, 100));
  expect(shedding.condition()).toBeUndefined();
  expect([counts.discarded, kept]).toEqual([0, []]);
});

test('what is read below the demand is given up and counted, what lies behind it is not', () => {
  const { shedding, counts } = harness();
  expect(shedding.demand(1000, toLsn(16n))).toBe(true);
  expect([999, 1000, 1001].map((offset) => shedding.givesUp(offset))).toEqual([true, false, false]);
  expect(counts.discarded).toBe(1);
});

test('a demand is news once, and a higher one goes on where the first began', () => {
  const { shedding, kept } = harness();
  expect(shedding.demand(1000, toLsn(16n))).toBe(true);
  expect(shedding.demand(1000, toLsn(32n))).toBe(false);
  expect(shedding.demand(2000, toLsn(48n))).toBe(true);
  shedding.count(5);
  shedding.record(settledTo(64n, 1500));
  expect(kept).toMatchObject([{ from: '0/10', to: '0/40', changes: 5 }]);
  expect(shedding.condition()).toMatchObject({ health: 'degraded' });
});

test('the gap on record grows with what is given up, and ends where the sink has settled past the demand', () => {
  const { shedding, kept } = harness([{ from: '0/1', to: '0/2', reason: 'earlier' }]);
  expect(shedding.gaps).toEqual([{ from: '0/1', to: '0/2', reason: 'earlier' }]);
  shedding.demand(1000, toLsn(16n));
  shedding.count(2);
  shedding.record(settledTo(32n, 500));
  shedding.count(3);
  shedding.record(settledTo(64n, 1000));
  expect(kept).toMatchObject([{ from: '0/10', to: '0/40', changes: 5 }]);
  expect(shedding.gaps).toEqual(kept);
  expect(shedding.condition()).toBeUndefined();
  expect(shedding.below).toBe(0);
  // Another one is another gap.
  shedding.demand(3000, toLsn(128n));
  shedding.count(1);
  shedding.record(settledTo(256n, 3000));
  expect(kept).toMatchObject([
    { from: '0/10', changes: 5 },
    { from: '0/80', to: '0/100', changes: 1 },
  ]);
});

test('two demands inside one transaction are one gap, which counts both', () => {
  const { shedding, kept, counts } = harness();
  shedding.demand(1000, toLsn(16n));
  shedding.count(2);
  shedding.record(settledTo(16n, 1000));
  shedding.demand(2000, toLsn(16n));
  shedding.count(3);
  shedding.record(settledTo(16n, 2000));
  expect(kept).toMatchObject([{ from: '0/10', to: '0/10', changes: 5 }]);
  expect(counts.discarded).toBe(5);
  // Nothing more is given up: the record stays as it is.
  shedding.demand(3000, toLsn(16n));
  shedding.record(settledTo(64n, 3000));
  expect(kept).toMatchObject([{ to: '0/10', changes: 5 }]);
});

test('a demand below which everything was delivered in time leaves no gap', () => {
  const { shedding, kept } = harness();
  shedding.demand(1000, toLsn(16n));
  shedding.record(settledTo(64n, 1000));
  expect(kept).toEqual([]);
  expect(shedding.condition()).toBeUndefined();
});

test('a demand of the source discards what waits, and what is in a request only if that fails', async () => {
  const slot = 2;
  const signals = new LogSignals();
  const { shedding, counts } = harness();
  const delivery = createDelivery();
  const messages = new Messages(delivery);
  const endpoint = new Endpoint({
    hold: true,
    answer: () => DOWN,
  });
  const dispatcher = createDispatcher(delivery, endpoint, {
    outcomes: { discarded: (changes) => shedding.count(changes) },
  });
  // Two requests take one message each, a third message waits behind the first one.
  const [a, b, c] = ['a', 'b', 'a'].map((group) => messages.add({ group }));
  dispatcher.dispatch();
  await waitFor(() => endpoint.held.length > 0, 'requests in flight');
  let soon = 0;
  const settlement = {
    get current() {
      const { position, transaction, offset } = delivery.unsettled.oldest!;
      return { cursor: { position, endLsn: transaction.previousEndLsn }, offset };
    },
    soon: () => void soon++,
  };
  let looks = 0;
  const walker = { lookAgain: () => void looks++ };
  const demand = { signals, slot, shedding, settlement, dispatcher, walker };
  meetDemand(demand);
  expect([counts.discarded, looks, soon]).toEqual([0, 0, 0]);
  signals.shed(slot, c!.offset + 1);
  meetDemand(demand);
  expect([counts.discarded, looks, soon]).toEqual([1, 1, 1]);
  // The same demand again changes nothing.
  meetDemand(demand);
  expect([counts.discarded, looks, soon]).toEqual([1, 1, 1]);
  expect([a, b, c].map((message) => message!.state)).toEqual(['sending', 'sending', 'settled']);
  for (const answer of endpoint.held.splice(0)) answer();
  await waitFor(() => delivery.unsettled.oldest === undefined, 'the failed request to be given up');
  expect(counts.discarded).toBe(3);
  await dispatcher.stop(0);
});

test('what shows to be given up later is on record with what was given up last', () => {
  const { shedding, counts, kept } = harness();
  shedding.demand(1000, toLsn(16n));
  shedding.count(2);
  shedding.record(settledTo(64n, 1000));
  shedding.count(1);
  shedding.record(settledTo(80n, 1200));
  expect(kept).toMatchObject([{ from: '0/10', to: '0/50', changes: 3 }]);
  expect(counts.discarded).toBe(3);
  expect(shedding.condition()).toBeUndefined();
});
