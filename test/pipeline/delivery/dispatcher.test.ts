import { setImmediate as nextTurn } from 'node:timers/promises';
import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { steadyMs } from '../../../src/core/clock.ts';
import type { DeliveryError } from '../../../src/core/errors.ts';
import type { Outcome } from '../../../src/core/errors.ts';
import type { Message } from '../../../src/core/message.ts';
import {
  BLAMED,
  createDelivery,
  createDispatcher,
  dispatcherHarness as harness,
  DOWN,
  Endpoint,
  HELD,
  Messages,
  REFUSED,
  REJECTED,
  routeTo,
} from '../../support/dispatcher.ts';
import { timersInUse, waitFor } from '../../support/wait.ts';

test('messages of different groups share a batch, messages of one group do not (C222)', async () => {
  const h = harness();
  for (let i = 0; i < 6; i++) h.add({ group: `g${i % 3}` });
  await h.drained();
  expect(h.batches()).toEqual([
    [0, 1, 2],
    [3, 4, 5],
  ]);
});

test('a queue that keeps the order of a request carries a whole group in one batch when asked to', async () => {
  const h = harness({ settings: { ordered: true } });
  for (let i = 0; i < 25; i++) h.add({ group: 'only' });
  await h.drained();
  expect(h.batches().map((batch) => batch.length)).toEqual([10, 10, 5]);
  expect(h.indexes()).toEqual([...Array(25).keys()]);
});

test('a message held back behind a failed one of its group waits for it, and no attempt of it is counted', async () => {
  let refused: readonly Message[] | undefined;
  const h = harness({
    settings: { ordered: true, maxRetryCount: 3 },
    answer: (m, attempt, batch) => {
      if (m.position.index === 1 && attempt <= 3) {
        refused = batch;
        return REFUSED;
      }
      return batch === refused && m.position.index > 1 && m.group === 'only' ? HELD : 'delivered';
    },
  });
  for (let i = 0; i < 4; i++) h.add({ group: 'only' });
  h.add({ group: 'other' });
  await h.drained();
  expect(h.indexes().filter((index) => index < 4)).toEqual([0, 1, 2, 3]);
  expect(h.dead).toEqual([]);
  expect(h.delivery.counts).toMatchObject({ retried: 3, failedRequests: 0, inversions: 0 });
});

test('in a batch that is refused whole the culprit alone has attempts counted, and nothing of its group passes it', async () => {
  let refusals = 0;
  const h = harness({
    settings: { ordered: true, maxRetryCount: 3 },
    answer: (_, __, batch) => {
      if (refusals >= 3 || !batch.some(({ position }) => position.index === 2)) return 'delivered';
      if (batch.length === 1) refusals++;
      return BLAMED;
    },
  });
  for (let i = 0; i < 6; i++) h.add({ group: 'only' });
  h.add({ group: 'other' });
  await h.drained();
  expect(h.indexes().filter((index) => index < 6)).toEqual([0, 1, 2, 3, 4, 5]);
  expect(h.settled).toHaveLength(7);
  expect(h.settled.filter(({ attempts }) => attempts > 0)).toMatchObject([{ index: 2, attempts: 3 }]);
  expect(h.dead).toEqual([]);
  expect(h.delivery.counts).toMatchObject({ retried: 3, failedRequests: 0, inversions: 0 });
});

test('a stop in the middle of the search for a culprit keeps what was delivered so far', async () => {
  const h = harness({
    hold: true,
    answer: (_, __, batch) => (batch.length > 2 ? BLAMED : 'delivered'),
  });
  for (let i = 0; i < 4; i++) h.add({ group: `g${i}` });
  h.dispatcher.dispatch();
  h.held.shift()!();
  await waitFor(() => h.held.length === 1, 'the first half');
  h.held.shift()!();
  await waitFor(() => h.held.length === 1, 'the second half');
  await h.dispatcher.stop(0);
  expect(h.settled.map(({ index }) => index)).toEqual([0, 1]);
  expect(h.delivery.unsettled.oldest?.index).toBe(2);
  expect(h.delivery.counts.failedRequests).toBe(0);
});

test('a message larger than what a request of several may hold goes alone', async () => {
  const route = routeTo('q', { batchBytes: 100 });
  const h = harness();
  for (const [index, bytes] of [60, 300, 30, 60, 20].entries())
    h.add({ group: `g${index}`, route, body: 'x'.repeat(bytes) });
  await h.drained();
  expect(h.batches()).toEqual([[0], [1], [2, 3], [4]]);
});

describe('while more is read, a request that could carry more', () => {
  const started = (settings = {}, route = routeTo('q', { lanesPerRoute: 32 })) => {
    const h = harness({ hold: true, settings });
    let groups = 0;
    const add = (count: number): void => {
      for (let i = 0; i < count; i++) h.add({ group: `g${groups++}`, route });
      h.dispatcher.dispatch();
    };
    return { h, add };
  };

  test('waits for what fills it, where others are under way', () => {
    const { h, add } = started();
    h.dispatcher.isReading = true;
    add(87);
    expect(h.held).toHaveLength(9);
    add(3);
    expect(h.held).toHaveLength(9);
    add(7);
    expect(h.held).toHaveLength(10);
    add(4);
    h.dispatcher.isReading = false;
    expect(h.held).toHaveLength(10);
    h.dispatcher.dispatch();
    expect(h.held).toHaveLength(11);
  });

  test('waits for no more than 25 ms where those under way hang', async () => {
    const { h, add } = started();
    h.dispatcher.isReading = true;
    add(97);
    expect(h.held).toHaveLength(9);
    await waitFor(() => h.held.length === 10, 'the request that is not full', 10_000);
    expect(h.batches().at(-1)).toHaveLength(7);
  });

  test('is full with as many as the sink may send in one', () => {
    const { h, add } = started({ batchSize: 4 });
    h.dispatcher.isReading = true;
    add(40);
    expect(h.held).toHaveLength(10);
    add(3);
    h.dispatcher.sendFull();
    expect(h.held).toHaveLength(10);
    add(1);
    expect(h.held).toHaveLength(11);
  });

  test('goes at once where few are under way, and where a request keeps the order of its groups', () => {
    const few = started();
    few.h.dispatcher.isReading = true;
    for (let i = 0; i < 9; i++) few.add(1);
    expect(few.h.held).toHaveLength(9);
    few.add(1);
    expect(few.h.held).toHaveLength(9);
    const ordered = started({ ordered: true });
    ordered.h.dispatcher.isReading = true;
    for (let i = 0; i < 12; i++) ordered.add(1);
    expect(ordered.h.held).toHaveLength(12);
  });
});

test('in the course of a block full requests go, as far as there are lanes, and what is settled is recorded before', async () => {
  let records = 0;
  const delivery = createDelivery();
  const endpoint = new Endpoint({ hold: true });
  const outcomes = { record: () => void records++ };
  const dispatcher = createDispatcher(delivery, endpoint, { outcomes });
  const messages = new Messages(delivery);
  const route = routeTo('q', { lanesPerRoute: 3 });
  const afterAdding = (count: number): number[] => {
    for (let i = 0; i < count; i++) messages.add({ group: `g${delivery.unsettled.room.buffered}`, route });
    dispatcher.sendFull();
    return [endpoint.held.length, records];
  };
  expect(afterAdding(9)).toEqual([0, 0]);
  expect(afterAdding(16)).toEqual([2, 1]);
  expect(afterAdding(20)).toEqual([3, 2]);
  const stopped = dispatcher.stop(Infinity);
  for (const go of endpoint.held.splice(0)) go();
  await stopped;
  dispatcher.sendFull();
  expect(endpoint.batches.map(({ length }) => length)).toEqual([10, 10, 10]);
});

test('only the failed message of a batch is sent again, and its group waits for it (C221)', async () => {
  const h = harness({
    answer: (m, attempt) => (m.position.index === 1 && attempt < 3 ? REFUSED : 'delivered'),
  });
  h.add({ group: 'a' });
  h.add({ group: 'b' });
  h.add({ group: 'c' });
  h.add({ group: 'b' });
  await h.drained();
  expect(h.attempts.get('t-0')).toBe(1);
  expect(h.attempts.get('t-2')).toBe(1);
  expect(h.attempts.get('t-1')).toBe(3);
  expect(h.indexes().indexOf(3)).toBeGreaterThan(h.indexes().indexOf(1));
});

test('a rejected message becomes a dead letter, and its batch mates are delivered once', async () => {
  const h = harness({ answer: (m) => (m.position.index === 4 ? REJECTED : 'delivered') });
  for (let i = 0; i < 10; i++) h.add({ group: `g${i}` });
  h.add({ group: 'g4' });
  await h.drained();
  expect(h.dead.map((message) => message.index)).toEqual([4]);
  expect(h.indexes().sort((a, b) => a - b)).toEqual([0, 1, 2, 3, 5, 6, 7, 8, 9, 10]);
});

test('a message that keeps failing becomes a dead letter after max_retry_count retries (C239)', async () => {
  const h = harness({ answer: () => REFUSED, settings: { maxRetryCount: 2 } });
  h.add({ group: 'a' });
  await h.drained();
  expect(h.dead.length).toBe(1);
  expect(h.attempts.get('t-0')).toBe(3);
});

test('an outage of the route counts no attempt and makes no dead letter, however long', async () => {
  let failures = 200;
  const h = harness({ answer: () => (failures-- > 0 ? DOWN : 'delivered'), settings: { maxRetryCount: 1 } });
  for (let i = 0; i < 30; i++) h.add({ group: `g${i % 7}` });
  await h.drained();
  expect(h.dead).toEqual([]);
  expect(h.accepted.length).toBe(30);
  expect(h.settled.every((message) => message.attempts === 0)).toBe(true);
});

const alone = routeTo('q', { batchCount: 1 });
const ofSixLanes = routeTo('q', { lanesPerRoute: 6 });

test('one fault fails every request in flight, and counts as one failure of the route', async () => {
  const h = harness({ hold: true, answer: () => DOWN });
  for (let i = 0; i < 60; i++) h.add({ group: `g${i}`, route: ofSixLanes });
  h.dispatcher.dispatch();
  const [route] = h.delivery.routes.all();
  for (const answer of h.held.splice(0)) answer();
  await waitFor(() => h.held.length > 0, 'a probe');
  expect(h.delivery.counts.failedRequests).toBe(6);
  expect(route!.health.rests).toBe(1);
  for (const answer of h.held.splice(0)) answer();
  await waitFor(() => h.held.length > 0, 'another probe');
  expect(route!.health.rests).toBe(2);
});

test('a route that is down is probed by one request at a time', async () => {
  const h = harness({ hold: true, answer: () => DOWN });
  for (let i = 0; i < 60; i++) h.add({ group: `g${i}`, route: ofSixLanes });
  h.dispatcher.dispatch();
  expect(h.held.length).toBe(6);
  for (const answer of h.held.splice(0)) answer();
  await waitFor(() => h.held.length > 0, 'a probe');
  expect(h.held.length).toBe(1);
});

test('a route whose probe a stop has ended is still down', async () => {
  const h = harness({ hold: true, answer: () => DOWN });
  for (let i = 0; i < 60; i++) h.add({ group: `g${i}`, route: ofSixLanes });
  h.dispatcher.dispatch();
  for (const answer of h.held.splice(0)) answer();
  await waitFor(() => h.held.length > 0, 'a probe');
  await h.dispatcher.stop(0);
  expect([...h.delivery.routes.all()].map(({ health }) => health.rests)).toEqual([1]);
  expect(h.settled).toEqual([]);
});

test('one route down does not hold another (C236)', async () => {
  const h = harness({ answer: (m) => (m.route === 'bad' ? DOWN : 'delivered') });
  for (let i = 0; i < 3000; i++) h.add({ group: `g${i}`, route: routeTo(i % 2 === 0 ? 'bad' : 'good') });
  h.dispatcher.dispatch();
  await waitFor(() => h.accepted.length === 1500, 'the good route to drain');
  expect(h.dispatcher.gauges().parked).toBeGreaterThan(0);
  for (let i = 0; i < 3000; i++) h.add({ group: `h${i}`, route: routeTo(i % 2 === 0 ? 'bad' : 'good') });
  h.dispatcher.dispatch();
  await waitFor(() => h.accepted.length === 3000, 'the good route to drain again');
  await h.dispatcher.stop(steadyMs() + 1000);
});

test('several routes down at once leave the healthy one its room', async () => {
  const h = harness({
    answer: (m) => (m.route === 'good' ? 'delivered' : DOWN),
    settings: { maxBuffered: 400, maxParked: 100_000 },
  });
  const { room } = h.delivery.unsettled;
  let read = 0;
  /** As the runner does: reads as long as there is room. */
  const read1000 = async (): Promise<void> => {
    for (let i = 0; i < 1000; i++, read++) {
      h.add({ group: `g${read}`, route: routeTo(read % 13 === 0 ? 'good' : `bad${read % 13}`) });
      h.dispatcher.dispatch();
      await waitFor(() => !room.isFull(), 'room');
    }
  };
  await read1000();
  for (const route of h.delivery.routes.all()) expect(route.isDown).toBe(route.id !== 'good');
  await read1000();
  await waitFor(() => h.accepted.length === Math.ceil(2000 / 13), 'the good route to drain');
  // Each may have what its probe has been rendered from besides.
  expect(room.buffered).toBeLessThanOrEqual(400 / 8 + 12 * 10);
  await h.dispatcher.stop(steadyMs() + 1000);
});

test('messages of a failed request keep their place before the others of their groups, and no lane waits for them', async () => {
  const h = harness({ answer: (m, attempt) => (m.group === 'a' && attempt <= 3 ? DOWN : 'delivered') });
  for (let i = 0; i < 40; i++) h.add({ group: i % 4 === 0 ? 'a' : `g${i}`, route: alone });
  await h.drained();
  const own = h.accepted.filter(({ group }) => group === 'a').map(({ index }) => index);
  expect(own).toEqual(own.toSorted((a, b) => a - b));
  expect(h.settled.every(({ attempts }) => attempts === 0)).toBe(true);
  expect(h.delivery.counts).toMatchObject({ inversions: 0, retried: 0, failedRequests: 30 });
  expect([...h.delivery.routes.all()]).toMatchObject([{ lanesInUse: 0, restingLanes: 0 }]);
});

test('a changed key waits for everything of the old group and holds everything later of both groups', async () => {
  const h = harness({
    answer: (m, attempt) => (m.position.index === 0 && attempt < 3 ? REFUSED : 'delivered'),
  });
  h.add({ group: 'old' }); // 0, fails twice
  h.add({ group: 'new' }); // 1
  h.add({ group: 'new', previousGroup: 'old', action: 'update' }); // 2
  h.add({ group: 'new' }); // 3
  h.add({ group: 'old' }); // 4
  await h.drained();
  const order = h.indexes();
  expect(order[0]).toBe(1);
  expect(order[1]).toBe(0);
  expect(order[2]).toBe(2);
});

test('what is settled points at no other message: as garbage that is not collected yet it would hold those behind it', async () => {
  const h = harness();
  for (let i = 0; i < 30; i++) h.add({ group: `g${i % 4}`, ...(i % 5 === 0 && { previousGroup: 'old' }) });
  const messages = [...h.delivery.unsettled.all()];
  const places = messages.flatMap((message) => [message, message.secondPlace ?? []].flat());
  expect(places.length).toBeGreaterThan(30);
  await h.drained();
  expect(messages).toHaveLength(30);
  for (const { before, after, secondPlace } of messages)
    expect([before, after, secondPlace]).toEqual([undefined, undefined, undefined]);
  for (const { previous, next, last, nextAtPlace } of places)
    expect([previous, next, last, nextAtPlace]).toEqual([undefined, undefined, undefined, undefined]);
});

test('keys swapped in one transaction do not wait for each other for ever', async () => {
  const h = harness();
  h.add({ group: 'x', previousGroup: 'a' });
  h.add({ group: 'a', previousGroup: 'b' });
  h.add({ group: 'b', previousGroup: 'x' });
  await h.drained();
  expect(h.indexes()).toEqual([0, 1, 2]);
});

test('a TRUNCATE waits for all earlier rows of its table and holds all later ones', async () => {
  const h = harness({
    answer: (m, attempt) => (m.position.index === 1 && attempt < 3 ? REFUSED : 'delivered'),
  });
  h.add({ group: 'a' });
  h.add({ group: 'b' });
  h.add({ action: 'truncate', group: 'public.t' });
  h.add({ group: 'a' });
  h.add({ action: 'truncate', group: 'public.t' });
  h.add({ group: 'c' });
  await h.drained();
  expect(h.indexes()).toEqual([0, 1, 2, 3, 4, 5]);
});

test('when the columns that make the groups of a table change, what comes waits for everything before, also across a TRUNCATE', async () => {
  const h = harness({
    answer: (m, attempt) => ([1, 5].includes(m.position.index) && attempt < 3 ? REFUSED : 'delivered'),
  });
  h.add({ group: 'a', grouping: 'id' });
  h.add({ group: 'b', grouping: 'id' });
  h.add({ group: 'x', grouping: 'code' });
  h.add({ group: 'y', grouping: 'code' });
  h.add({ action: 'truncate', group: 'public.t' });
  h.add({ group: 'y', grouping: 'code' });
  h.add({ group: 'a', grouping: 'id' });
  await h.drained();
  expect(h.indexes()).toEqual([0, 1, 2, 3, 4, 5, 6]);
  // Nothing is left to wait for: nobody does.
  expect(h.add({ group: 'x', grouping: 'code' }).waitsOn).toBe(0);
});

test('a message larger than its route takes is not sent behind another one of its group either', async () => {
  const h = harness({ settings: { ordered: true } });
  h.add({ group: 'a' });
  h.add({ group: 'a', body: 'x'.repeat(501) });
  h.add({ group: 'a' });
  await h.drained();
  expect(h.dead.map((message) => message.index)).toEqual([1]);
  expect(h.indexes()).toEqual([0, 2]);
});

test('a message larger than its route takes becomes a dead letter and its group goes on (C220)', async () => {
  const h = harness();
  h.add({ group: 'a', body: 'x'.repeat(501) });
  h.add({ group: 'a' });
  await h.drained();
  expect(h.dead.map((message) => message.index)).toEqual([0]);
  expect(h.indexes()).toEqual([1]);
});

test('a batch never passes the bytes that a request takes (C218)', async () => {
  const h = harness();
  for (let i = 0; i < 9; i++) h.add({ group: `g${i}`, body: 'x'.repeat(400) });
  await h.drained();
  expect(h.batches().map((batch) => batch.length)).toEqual([2, 2, 2, 2, 1]);
});

test('a blocked group keeps log offsets only, and its messages arrive in order afterwards', async () => {
  let blocked = true;
  const h = harness({ answer: (m) => (blocked && m.position.index === 0 ? REFUSED : 'delivered') });
  h.add({ group: 'blocked' });
  h.dispatcher.dispatch();
  await waitFor(() => h.attempts.has('t-0'), 'the first failure');
  for (let i = 1; i < 900; i++) h.add({ group: i % 3 === 0 ? 'blocked' : `g${i % 50}` });
  h.dispatcher.dispatch();
  await waitFor(() => h.accepted.length === 600, 'the other groups');
  expect(h.dispatcher.gauges()).toMatchObject({ parked: 299, buffered: 1 });
  expect(h.dispatcher.blockedGroups()).toEqual(['blocked']);
  blocked = false;
  await h.drained();
  const own = h.accepted.filter((message) => message.group === 'blocked').map((message) => message.index);
  expect(own).toEqual([...own].sort((a, b) => a - b));
  expect(own.length).toBe(300);
  expect(h.dispatcher.gauges()).toEqual({ inFlight: 0, buffered: 0, parked: 0 });
});

test('an entry that fails before a later success of its group is counted as an inversion and still goes first (C222)', async () => {
  const h = harness({
    settings: { ordered: true },
    answer: (m, attempt) => (m.position.index === 1 && attempt === 1 ? REFUSED : 'delivered'),
  });
  for (let i = 0; i < 12; i++) h.add({ group: 'only' });
  await h.drained();
  expect(h.delivery.counts.inversions).toBe(1);
  expect(h.indexes().slice(-3)).toEqual([1, 10, 11]);
});

test('stopping waits for what is in flight and starts nothing new (C252)', async () => {
  const h = harness({ hold: true });
  for (let i = 0; i < 100; i++) h.add({ group: `g${i}` });
  h.dispatcher.dispatch();
  expect(h.batches().length).toBe(4);
  const stopped = h.dispatcher.stop(steadyMs() + 60_000);
  for (const answer of h.held) answer();
  await stopped;
  expect(h.accepted.length).toBe(40);
  expect(h.batches().length).toBe(4);
  expect(h.delivery.unsettled.oldest?.index).toBe(40);
});

test.each([
  ['refused', REFUSED],
  ['in a request that fails', { kind: 'retryable', scope: 'route', code: 'HTTP_500', hint: 'try again' }],
] as const)('what is %s while the sink stops leaves no timer behind', async (_, error: DeliveryError) => {
  const h = harness({ hold: true, answer: () => error });
  for (let i = 0; i < 10; i++) h.add({ group: `g${i}` });
  h.dispatcher.dispatch();
  const before = timersInUse();
  const stopped = h.dispatcher.stop(Infinity);
  for (const answer of h.held) answer();
  await stopped;
  expect(h.accepted).toEqual([]);
  expect(timersInUse()).toBeLessThanOrEqual(before);
});

test('a stop without a deadline waits however long the answers take; a deadline that comes later aborts them', async () => {
  const h = harness({ hold: true });
  for (let i = 0; i < 10; i++) h.add({ group: `g${i}` });
  h.dispatcher.dispatch();
  let isOver = false;
  const stopped = h.dispatcher.stop(Infinity).then(() => (isOver = true));
  // An infinite wait of a timer would be over at once.
  await new Promise((done) => setTimeout(done, 20));
  expect(isOver).toBe(false);
  const hurried = h.dispatcher.stop(0);
  await Promise.all([stopped, hurried]);
  expect(h.accepted).toEqual([]);
  expect(h.delivery.unsettled.oldest?.index).toBe(0);
});

describe('what is parked', () => {
  /** Of a group of `count` messages those from the 33rd on keep their log offsets only. */
  const longGroup = (h: ReturnType<typeof harness>, count: number, body?: string): void => {
    for (let i = 0; i < count; i++) h.add({ group: 'long', ...(body !== undefined && { body }) });
  };

  test('is rendered before the request that carries it is put together, and not long before', async () => {
    const h = harness({ settings: { ordered: true } });
    longGroup(h, 60);
    await h.drained();
    expect(h.batches().map((batch) => batch.length)).toEqual([10, 10, 10, 10, 10, 10]);
    expect(h.prepared).toEqual([[32, 33, 34, 35, 36, 37, 38, 39], h.batches()[4], h.batches()[5]]);
  });

  test('is rendered only as far as one request takes its bytes', async () => {
    const h = harness({ settings: { ordered: true } });
    longGroup(h, 40, 'x'.repeat(300));
    await h.drained();
    expect(h.indexes()).toEqual([...Array(40).keys()]);
    expect(h.batches().every((batch) => batch.length <= 3)).toBe(true);
    expect(h.prepared.flat().toSorted((a, b) => a - b)).toEqual([32, 33, 34, 35, 36, 37, 38, 39]);
    expect(h.prepared.every((messages) => messages.length <= 4)).toBe(true);
  });

  test('holds up its own route only while it is rendered', async () => {
    const held: (() => void)[] = [];
    const h = harness({
      settings: { ordered: true },
      prepare: (render) => new Promise<void>((done) => held.push(done)).then(render),
    });
    longGroup(h, 33);
    h.dispatcher.dispatch();
    await waitFor(() => held.length === 1, 'the parked one to be rendered');
    expect(h.indexes()).toEqual([...Array(30).keys()]);
    h.add({ group: 'other', route: routeTo('another') });
    h.add({ group: 'third' });
    h.dispatcher.dispatch();
    await waitFor(() => h.accepted.length === 31, 'the other route');
    expect(h.indexes().at(-1)).toBe(33);
    held.shift()!();
    await h.drained();
    expect(h.indexes().slice(31)).toEqual([30, 31, 32, 34]);
    expect(h.dispatcher.gauges()).toEqual({ inFlight: 0, buffered: 0, parked: 0 });
  });

  test('and given up while it is rendered is not sent, and takes no room', async () => {
    const held: (() => void)[] = [];
    const h = harness({
      settings: { ordered: true },
      prepare: (render) => new Promise<void>((done) => held.push(done)).then(render),
    });
    longGroup(h, 44);
    h.dispatcher.dispatch();
    await waitFor(() => held.length === 1, 'parked ones to be rendered');
    expect(h.dispatcher.discardBelow(39)).toBe(8);
    held.shift()!();
    await waitFor(() => held.length === 1, 'the rest to be rendered');
    held.shift()!();
    await h.drained();
    expect(h.indexes().slice(30)).toEqual([38, 39, 40, 41, 42, 43]);
    expect(h.dispatcher.gauges()).toEqual({ inFlight: 0, buffered: 0, parked: 0 });
  });

  test.each(['throws', 'rejects'] as const)(
    'and cannot be rendered ends the sink: nothing is sent in its place (%s)',
    async (how) => {
      const error = new Error('no such block');
      const h = harness({
        settings: { ordered: true },
        prepare: () => {
          if (how === 'throws') throw error;
          return Promise.reject(error);
        },
      });
      longGroup(h, 33);
      h.dispatcher.dispatch();
      await waitFor(() => h.faults.length > 0, 'the fault');
      expect(h.faults).toEqual([error]);
      await h.dispatcher.stop(steadyMs() + 60_000);
      expect(h.indexes()).toEqual([...Array(30).keys()]);
      expect(h.delivery.unsettled.oldest?.index).toBe(30);
    },
  );
});

test('order inside every group holds whatever fails, with changed keys and TRUNCATEs between (property) (C222)', async () => {
  const step = fc.record({
    group: fc.nat(4),
    previous: fc.option(fc.nat(4), { nil: undefined, freq: 5 }),
    truncate: fc.boolean().map((b) => b),
    route: fc.nat(1),
    regroups: fc.boolean(),
  });
  await fc.assert(
    fc.asyncProperty(
      fc.array(step, { minLength: 1, maxLength: 60 }),
      fc.array(fc.nat(9), { minLength: 1, maxLength: 40 }),
      fc.boolean(),
      async (steps, chances, ordered) => {
        let asked = 0;
        let request: readonly Message[] | undefined;
        let whole: Outcome | undefined;
        const h = harness({
          settings: { ordered },
          answer: (_, __, batch) => {
            const chance = chances[asked++ % chances.length]!;
            if (batch !== request) {
              request = batch;
              // In the end everything is taken: from a whole request on, lest that be an inversion.
              whole = asked > 400 ? 'delivered' : chance === 9 ? BLAMED : chance === 8 ? DOWN : undefined;
            }
            if (whole !== undefined) return whole;
            // An entry that fails before a later one of its group is taken is an inversion, which nobody can prevent.
            if (ordered && batch.length > 1) return 'delivered';
            return chance === 0 ? DOWN : chance === 1 ? REFUSED : 'delivered';
          },
          prepare: (render) =>
            chances[asked++ % chances.length]! % 2 === 0 ? render() : nextTurn().then(render),
        });
        const before: [number, number][] = [];
        const last = new Map<string, number>();
        let grouping = 0;
        let regroupedAt = 0;
        steps.forEach(({ group, previous, truncate, route, regroups }, i) => {
          if (regroups && i % 7 === 6) {
            grouping++;
            regroupedAt = i;
          }
          const isTruncate = truncate && i % 11 === 10;
          // Under other columns the same row is in a group of another name.
          const named = (n: number): string => `${grouping}g${n}`;
          const groups = isTruncate ? [] : [named(group)];
          if (!isTruncate && previous !== undefined && previous !== group) groups.push(named(previous));
          h.add({
            group: groups[0] ?? 'table',
            ...(groups[1] === undefined ? {} : { previousGroup: groups[1] }),
            action: isTruncate ? 'truncate' : 'update',
            route: routeTo(`q${route}`),
            ...(isTruncate ? {} : { grouping: `columns ${grouping}` }),
          });
          if (!isTruncate) for (let earlier = 0; earlier < regroupedAt; earlier++) before.push([earlier, i]);
          for (const name of groups) {
            const earlier = last.get(name);
            if (earlier !== undefined) before.push([earlier, i]);
            last.set(name, i);
          }
          if (isTruncate) for (let earlier = 0; earlier < i; earlier++) before.push([earlier, i]);
          const barrier = last.get('truncate');
          if (barrier !== undefined) before.push([barrier, i]);
          if (isTruncate) last.set('truncate', i);
        });
        await h.drained();
        const place = new Map(h.indexes().map((index, at) => [index, at]));
        expect(place.size).toBe(steps.length);
        expect(h.accepted.length).toBe(steps.length);
        for (const [earlier, later] of before) expect(place.get(earlier)!).toBeLessThan(place.get(later)!);
        expect(h.settled.length).toBe(steps.length);
        expect(h.overlaps()).toBe(0);
      },
    ),
    { numRuns: 60 },
  );
});
