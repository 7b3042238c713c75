// What the answers to requests mean: where an attempt counts, what is told once, and what is given up.
import { Repeats } from '../../../src/core/repeats.ts';
import { expect, test } from 'vitest';
import type { DeliveryError } from '../../../src/core/errors.ts';
import { toLsn } from '../../../src/core/lsn.ts';
import {
  createDelivery,
  createDispatcher,
  dispatcherHarness as harness,
  DOWN,
  Endpoint,
  Messages,
  REFUSED,
  REJECTED,
} from '../../support/dispatcher.ts';
import { waitFor } from '../../support/wait.ts';

const FATAL: DeliveryError = { kind: 'fatal', scope: 'message', code: 'FATAL', hint: 'fatal' };
const HOUR_MS = 3_600_000;
/** What fails is tried again when the sink says, not before. */
const RARELY = { initialBackoffMs: HOUR_MS, multiplier: 1, maxBackoffMs: HOUR_MS, jitter: 0 };

test('a fatal answer counts no attempt and makes no dead letter, whosever failure it is', async () => {
  const h = harness({
    settings: { maxRetryCount: 0 },
    answer: (_, attempt) => (attempt === 1 ? FATAL : 'delivered'),
  });
  h.add({ group: 'a' });
  await h.drained();
  expect(h.dead).toEqual([]);
  expect(h.settled).toMatchObject([{ index: 0, attempts: 0 }]);
});

test('a message is tried again when the sink says that it may be, instead of after the backoff', async () => {
  const h = harness({
    settings: { retry: RARELY },
    answer: (_, attempt) => (attempt < 3 ? { ...REFUSED, retryAfterMs: attempt } : 'delivered'),
  });
  h.add({ group: 'a' });
  await h.drained();
  expect(h.attempts.get('t-0')).toBe(3);
});

test('a group is not blocked any more once its failing message is delivered, or is a dead letter', async () => {
  const h = harness({
    settings: { maxRetryCount: 1 },
    answer: (m, attempt) => (m.group === 'never' || attempt === 1 ? REFUSED : 'delivered'),
  });
  h.add({ group: 'later' });
  h.add({ group: 'never' });
  await h.drained();
  expect(h.dead.map(({ group }) => group)).toEqual(['never']);
  expect(h.dispatcher.blockedGroups()).toEqual([]);
});

test('a failed request and a failing message are told once each, with their cure, however often they are tried', async () => {
  const told: unknown[] = [];
  const repeats = new Repeats();
  const delivery = createDelivery();
  const messages = new Messages(delivery);
  const endpoint = new Endpoint({
    answer: (_, attempt) => (attempt > 6 ? 'delivered' : attempt > 3 ? REFUSED : DOWN),
  });
  const dispatcher = createDispatcher(delivery, endpoint, {
    prepare: (list) => messages.prepare(list),
    warnRepeated: (event, { hint }, kind = event) => {
      if (repeats.note(kind, 0) > 0) told.push([event, hint]);
    },
  });
  messages.add({ group: 'a' });
  dispatcher.dispatch();
  await waitFor(() => delivery.unsettled.oldest === undefined, 'the message to settle');
  expect(told).toEqual([
    ['request failed', 'down'],
    ['message failed', 'refused'],
  ]);
});

test('a route that is down for ten minutes is said once, once a minute meanwhile, and once when it is up again', async () => {
  const told: Record<string, unknown>[] = [];
  let now = 0;
  const delivery = createDelivery();
  const messages = new Messages(delivery);
  // Each request takes a second of the clock.
  const endpoint = new Endpoint({
    answer: () => {
      now += 1000;
      if (now > 600_000) return 'delivered';
      return { ...DOWN, retryAfterMs: 0 };
    },
  });
  const dispatcher = createDispatcher(delivery, endpoint, {
    prepare: (list) => messages.prepare(list),
    nowMs: () => now,
    warn: (event, fields) => told.push({ event, ...fields }),
  });
  messages.add({ group: 'a' });
  messages.add({ group: 'b' });
  dispatcher.dispatch();
  await waitFor(() => delivery.unsettled.oldest === undefined, 'both to settle');
  const events = told.map(({ event }) => event);
  expect(events[0]).toBe('route is down');
  expect(events.at(-1)).toBe('route is up again');
  expect(new Set(events.slice(1, -1))).toEqual(new Set(['route is still down']));
  expect(events.length).toBeLessThanOrEqual(12);
  expect(told[1]).toMatchObject({ route: 'q', hint: 'down', waiting: 2 });
  // It is down from the fifth failure in a row on.
  const { attempts, forMs } = told.at(-1) as { attempts: number; forMs: number };
  expect(attempts).toBe(delivery.counts.failedRequests - 4);
  expect(forMs).toBeGreaterThan(580_000);
});

test('a letter that is sent again is no new dead letter, and its age is no latency', async () => {
  const h = harness({ answer: (m) => (m.position.index === 0 ? REJECTED : 'delivered') });
  for (const letterId of [1, 2]) h.add({ group: `g${letterId}`, letterId });
  h.dispatcher.dispatch();
  await waitFor(() => h.settled.length === 2, 'both to settle');
  expect(h.dead).toHaveLength(1);
  expect(h.accepted).toHaveLength(1);
  expect(h.delivery.counts).toMatchObject({ deadLettered: 0, delivered: 1 });
  expect(h.dispatcher.latency.quantiles(0)).toBeUndefined();
});

test('how long a change took is told once it is delivered; of a row that a backfill has read it is not', async () => {
  const live: number[] = [];
  const delivery = createDelivery();
  const changes = new Messages(delivery, { commitTimeUs: 1_500n });
  const reads = new Messages(delivery, { commitTimeUs: 1_500n, key: 'r', readUpTo: toLsn(9n) });
  const endpoint = new Endpoint({ answer: (m) => (m.position.index === 1 ? REJECTED : 'delivered') });
  const dispatcher = createDispatcher(delivery, endpoint, {
    prepare: (messages) => changes.prepare(messages),
    spareMs: () => 0,
    unsetWallMs: () => 10,
    live: (latencyMs) => void live.push(latencyMs),
  });
  changes.add({ group: 'delivered' });
  changes.add({ group: 'rejected' });
  reads.add({ group: 'read' });
  dispatcher.dispatch();
  await waitFor(() => delivery.unsettled.oldest === undefined, 'all to settle');
  expect(live).toEqual([8.5]);
});

test('every request counts, those of the search for a culprit too', async () => {
  const h = harness({
    answer: (_, __, batch) => (batch.length > 1 ? { ...REFUSED, scope: 'batch' } : 'delivered'),
  });
  for (let i = 0; i < 4; i++) h.add({ group: `g${i}` });
  await h.drained();
  expect(h.delivery.counts.requests).toBe(7);
  expect(h.batches()).toHaveLength(7);
});

test('what is in a request is given up only if that fails; a letter never is', async () => {
  let isDown = true;
  const h = harness({ hold: true, answer: () => (isDown ? DOWN : 'delivered') });
  h.add({ group: 'letter', letterId: 1 });
  for (let i = 1; i < 3; i++) h.add({ group: `g${i}` });
  h.dispatcher.dispatch();
  // Offsets are behind numbers by one: only the last one stays.
  expect(h.dispatcher.discardBelow(3)).toBe(0);
  h.held.shift()!();
  await waitFor(() => h.held.length === 1, 'the probe');
  isDown = false;
  expect(h.batches().at(-1)).toEqual([0, 2]);
  expect(h.dispatcher.discardBelow(100)).toBe(0);
  h.held.shift()!();
  await waitFor(() => h.settled.length === 2, 'the rest to settle');
  expect(h.indexes()).toEqual([0, 2]);
});

test('a message that is given up while it backs off is not tried again', async () => {
  const h = harness({
    settings: { retry: RARELY },
    answer: (_, attempt) => (attempt === 1 ? { ...REFUSED, retryAfterMs: 50 } : 'delivered'),
  });
  for (let i = 0; i < 2; i++) h.add({ group: `g${i}` });
  h.dispatcher.dispatch();
  await waitFor(() => h.delivery.counts.retried === 2, 'both to be refused');
  const given = h.dispatcher.discardBelow(2);
  await h.drained();
  expect(given + h.accepted.length).toBe(2);
  expect(h.indexes()).toContain(1);
});

test('what was delivered is on record before a letter of its request is kept, and what is broken is told once', async () => {
  const told: string[] = [];
  const delivery = createDelivery();
  const messages = new Messages(delivery);
  const isBad = (group: string): boolean => group.startsWith('bad');
  const endpoint = new Endpoint({ answer: ({ group }) => (isBad(group) ? REJECTED : 'delivered') });
  const dispatcher = createDispatcher(delivery, endpoint, {
    prepare: (list) => messages.prepare(list),
    outcomes: {
      settled: (settled) => told.push(`settled ${settled.map(({ group }) => group).join(' ')}`),
      record: () => told.push('record'),
      deadLetter: ({ group }) => {
        told.push(`keep ${group}`);
        throw new Error('the store is full');
      },
      broken: (error) => told.push(`broken: ${(error as Error).message}`),
    },
  });
  // One request: the queue takes ten at once.
  for (const group of ['good', 'bad 1', 'bad 2', 'fine']) messages.add({ group });
  dispatcher.dispatch();
  await waitFor(() => told.includes('broken: the store is full'), 'the answers to be concluded');
  expect(told.slice(told.indexOf('settled good fine'))).toEqual([
    'settled good fine',
    'record',
    'keep bad 1',
    'broken: the store is full',
  ]);
  // What could not be kept is as unsettled as it was.
  expect(delivery.counts.deadLettered).toBe(0);
  expect(delivery.unsettled.oldest).toMatchObject({ group: 'bad 1' });
});
