// When a route rests: the rule by itself, and a dispatcher over it in simulated time.
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { steadyMs } from '../../../src/core/clock.ts';
import type { DeliveryError, Outcome } from '../../../src/core/errors.ts';
import type { Message } from '../../../src/core/message.ts';
import type { RetryPolicy } from '../../../src/core/retry.ts';
import type { Dispatcher } from '../../../src/pipeline/delivery/dispatcher.ts';
import {
  FAILURES_UNTIL_DOWN,
  mayRestLane,
  RouteHealth,
  THROTTLED_UNTIL_DOWN_MS,
} from '../../../src/pipeline/delivery/route-health.ts';
import {
  createDelivery,
  createDispatcher,
  DOWN,
  Messages,
  routeTo,
  type DeliverySettings,
} from '../../support/dispatcher.ts';

const RETRY: RetryPolicy = { initialBackoffMs: 200, multiplier: 2, maxBackoffMs: 180_000, jitter: 0.2 };
const THROTTLED: DeliveryError = { ...DOWN, code: 'Throttling', throttled: true };

describe('a route', () => {
  const fail = (health: RouteHealth, error = DOWN, startedAt = health.rests): void =>
    health.fail(error, RETRY, { startedAt, nowMs: 1000, chance: 0.5 });

  test('is down after some failures with no success in between, and not before', () => {
    const health = new RouteHealth();
    for (let i = 1; i < FAILURES_UNTIL_DOWN; i++) fail(health);
    expect(health).toMatchObject({ isDown: false, error: DOWN, failingSinceMs: 1000 });
    health.succeed(health.rests);
    for (let i = 1; i < FAILURES_UNTIL_DOWN; i++) fail(health);
    expect(health.isDown).toBe(false);
    fail(health);
    expect(health).toMatchObject({ isDown: true, retryAtMs: 1200 });
  });

  test('rests once for all requests that one fault fails, and longer with each probe that fails (C238)', () => {
    const health = new RouteHealth();
    for (let i = 0; i < 32; i++) fail(health, DOWN, 0);
    expect(health).toMatchObject({ rests: 1, retryAtMs: 1200 });
    fail(health);
    expect(health).toMatchObject({ rests: 2, retryAtMs: 1400 });
  });

  test('is probed every 10 seconds however long it is down, unless it says when itself', () => {
    const health = new RouteHealth();
    for (let i = 0; i < 100; i++) fail(health);
    expect(health.retryAtMs).toBe(11_000);
    fail(health, { ...DOWN, retryAfterMs: 60_000 });
    expect(health.retryAtMs).toBe(61_000);
  });

  test('that is throttled is given less, and rests only where it says until when, or takes nothing for seconds', () => {
    const health = new RouteHealth();
    const throttle = (nowMs: number, error = THROTTLED): void =>
      health.fail(error, RETRY, { startedAt: health.rests, nowMs, chance: 0.5 });
    for (let i = 0; i < 50; i++) throttle(1000);
    throttle(1000 + THROTTLED_UNTIL_DOWN_MS - 1);
    expect(health.isDown).toBe(false);
    throttle(1000 + THROTTLED_UNTIL_DOWN_MS);
    expect(health).toMatchObject({ isDown: true, retryAtMs: 3200 });
    health.succeed(health.rests);
    throttle(5000, { ...THROTTLED, retryAfterMs: 3000 });
    expect(health).toMatchObject({ isDown: true, retryAtMs: 8000 });
  });

  test('lets a quarter of its lanes rest at most, and of few lanes none', () => {
    expect(mayRestLane(3, 0)).toBe(false);
    expect(mayRestLane(4, 0)).toBe(true);
    expect(mayRestLane(4, 1)).toBe(false);
    expect(mayRestLane(32, 7)).toBe(true);
    expect(mayRestLane(32, 8)).toBe(false);
  });
});

const REQUEST_MS = 20;

/** A dispatcher whose endpoint answers each request after 20 ms, in time that the test moves. */
function simulation(
  answer: (request: number, nowMs: number, batch: readonly Message[]) => Outcome,
  settings: Partial<DeliverySettings> = {},
) {
  const delivery = createDelivery({ retry: RETRY, ...settings });
  const messages = new Messages(delivery);
  const acceptedAtMs: number[] = [];
  let requests = 0;
  const sink = {
    sizeOf: (message: Message): number => message.end - message.start,
    deliver: async (batch: readonly Message[]): Promise<readonly Outcome[]> => {
      const request = ++requests;
      await new Promise((done) => setTimeout(done, REQUEST_MS));
      const outcome = answer(request, Date.now(), batch);
      if (outcome === 'delivered') for (const _ of batch) acceptedAtMs.push(Date.now());
      return batch.map(() => outcome);
    },
  };
  let random = 1;
  const dispatcher = createDispatcher(delivery, sink, {
    // Numerical Recipes: the same numbers in every run.
    chance: () => (random = (Math.imul(random, 1_664_525) + 1_013_904_223) >>> 0) / 2 ** 32,
    prepare: (list) => messages.prepare(list),
  });
  return { delivery, dispatcher, messages, acceptedAtMs, requests: () => requests };
}

describe('in simulated time', () => {
  beforeEach(() => void vi.useFakeTimers({ now: 0 }));
  afterEach(() => void vi.useRealTimers());

  async function stopped(dispatcher: Dispatcher): Promise<void> {
    const stopping = dispatcher.stop(steadyMs());
    await vi.advanceTimersByTimeAsync(REQUEST_MS);
    await stopping;
  }

  const SECONDS = 5;
  /** Messages taken in five seconds, each of a group of its own, where one request in `every` fails. */
  async function takenWhere(lanes: number, every: number, error = DOWN): Promise<number> {
    const s = simulation((request) => (request % every === every - 1 ? error : 'delivered'));
    const route = routeTo('q', { batchCount: 1, lanesPerRoute: lanes });
    const enough = (lanes * SECONDS * 1000) / REQUEST_MS;
    for (let i = 0; i < enough; i++) s.messages.add({ group: `g${i}`, route });
    s.dispatcher.dispatch();
    await vi.advanceTimersByTimeAsync(SECONDS * 1000);
    expect(s.delivery.counts.retried).toBe(0);
    return s.acceptedAtMs.length;
  }

  test.each([1, 4, 32])(
    'one failed request in ten leaves a route of %i lanes at least half of its pace',
    async (lanes) => {
      const without = await takenWhere(lanes, Infinity);
      expect(without).toBeGreaterThan((lanes * SECONDS * 1000) / REQUEST_MS / 2);
      expect(await takenWhere(lanes, 10)).toBeGreaterThanOrEqual(without / 2);
    },
  );

  test('what waited by itself waits for the probe when its route goes down', async () => {
    const s = simulation(() => DOWN);
    const route = routeTo('q', { batchCount: 1, lanesPerRoute: 6 });
    for (let i = 0; i < 6; i++) s.messages.add({ group: `g${i}`, route });
    s.dispatcher.dispatch();
    await vi.advanceTimersByTimeAsync(REQUEST_MS + 1);
    const [queue] = s.delivery.routes.all();
    expect(queue).toMatchObject({ isDown: true, restingLanes: 0 });
    expect(queue!.ready.length).toBe(6);
    await s.dispatcher.stop(Date.now());
  });

  test('one throttled request in ten slows the route down (C231)', async () => {
    expect(await takenWhere(1, 10, THROTTLED)).toBeLessThan((await takenWhere(1, 10)) / 1.5);
  });

  test('a route that takes 2,000 messages a second gets nearly as many, no attempt counts, and few requests are throttled', async () => {
    const PER_SECOND = 2_000;
    const SIMULATED_MS = 20_000;
    let taken = 0;
    let throttled = 0;
    const s = simulation((_, now, batch) => {
      // A tenth of a second's worth at once.
      if (taken + batch.length > (PER_SECOND * (now + 100)) / 1000) {
        throttled++;
        return THROTTLED;
      }
      taken += batch.length;
      return 'delivered';
    });
    const route = routeTo('q', { lanesPerRoute: 64, lanesAtFirst: 8 });
    for (let i = 0; i < (PER_SECOND * SIMULATED_MS) / 1000 + 10_000; i++)
      s.messages.add({ group: `g${i}`, route });
    s.dispatcher.dispatch();
    await vi.advanceTimersByTimeAsync(SIMULATED_MS);
    expect(taken).toBeGreaterThan(0.93 * PER_SECOND * (SIMULATED_MS / 1000));
    expect(throttled).toBeLessThan(0.02 * s.requests());
    expect(s.delivery.counts.retried).toBe(0);
    const [queue] = s.delivery.routes.all();
    expect(queue!.isDown).toBe(false);
    expect(queue!.limitedBy(steadyMs())).toBe('throttled');
    await stopped(s.dispatcher);
  });

  test('a route that is far away gets as many lanes as it may have', async () => {
    const s = simulation(() => 'delivered');
    const route = routeTo('q', { lanesPerRoute: 64, lanesAtFirst: 4 });
    for (let i = 0; i < 50_000; i++) s.messages.add({ group: `g${i}`, route });
    s.dispatcher.dispatch();
    await vi.advanceTimersByTimeAsync(1000);
    const [queue] = s.delivery.routes.all();
    expect(queue).toMatchObject({ lanes: 64, lanesInUse: 64 });
    expect(queue!.limitedBy(steadyMs())).toBe('lanes');
    await stopped(s.dispatcher);
  });

  test('a route that says until when it rests is left alone until then, whatever others were answered that were in flight', async () => {
    const s = simulation((request) => (request === 5 ? { ...THROTTLED, retryAfterMs: 3000 } : 'delivered'));
    const route = routeTo('q', { lanesPerRoute: 8, lanesAtFirst: 8 });
    for (let i = 0; i < 1000; i++) s.messages.add({ group: `g${i}`, route });
    s.dispatcher.dispatch();
    await vi.advanceTimersByTimeAsync(REQUEST_MS + 2999);
    expect(s.requests()).toBe(8);
    expect(s.acceptedAtMs.length).toBe(70);
    await vi.advanceTimersByTimeAsync(10_000);
    expect(s.acceptedAtMs.length).toBe(1000);
    await stopped(s.dispatcher);
  });

  test('a route that waits for its pace is looked at in time, though another one rests for longer', async () => {
    let others = 0;
    const s = simulation((_request, _nowMs, [message]) => {
      if (message!.group.startsWith('r')) return { ...THROTTLED, retryAfterMs: 60_000 };
      return ++others <= 8 ? THROTTLED : 'delivered';
    });
    const resting = routeTo('resting', { lanesPerRoute: 8, lanesAtFirst: 8 });
    const paced = routeTo('paced', { lanesPerRoute: 8, lanesAtFirst: 8 });
    for (let i = 0; i < 5; i++) s.messages.add({ group: `r${i}`, route: resting });
    s.dispatcher.dispatch();
    await vi.advanceTimersByTimeAsync(1000);
    for (let i = 0; i < 300; i++) s.messages.add({ group: `p${i}`, route: paced });
    s.dispatcher.dispatch();
    await vi.advanceTimersByTimeAsync(30_000);
    expect(s.acceptedAtMs.length).toBe(300);
    await stopped(s.dispatcher);
  });

  test.each(['lanes', 'throttled'] as const)(
    'once everything is sent, a route is not held back by %s',
    async (limit) => {
      const MESSAGES = 20_000;
      const s = simulation((request) =>
        limit === 'throttled' && request % 50 === 0 ? THROTTLED : 'delivered',
      );
      const route = routeTo('q', { lanesPerRoute: 16, lanesAtFirst: 4 });
      for (let i = 0; i < MESSAGES; i++) s.messages.add({ group: `g${i}`, route });
      s.dispatcher.dispatch();
      const [queue] = s.delivery.routes.all();
      const seen = new Set<string>();
      while (s.acceptedAtMs.length < MESSAGES) {
        await vi.advanceTimersByTimeAsync(100);
        if (queue!.ready.length > 0) seen.add(queue!.limitedBy(steadyMs()));
      }
      expect(seen).toContain(limit);
      await vi.advanceTimersByTimeAsync(5000);
      expect(queue!.limitedBy(steadyMs())).toBe('source');
      await stopped(s.dispatcher);
    },
  );

  test('after five minutes of outage the first message is taken within ten seconds, and no more was asked meanwhile than needed', async () => {
    const OUTAGE_MS = 300_000;
    const s = simulation((_, now) => (now < OUTAGE_MS ? DOWN : 'delivered'));
    const route = routeTo('q', { lanesPerRoute: 32 });
    for (let i = 0; i < 1000; i++) s.messages.add({ group: `g${i}`, route });
    s.dispatcher.dispatch();
    await vi.advanceTimersByTimeAsync(OUTAGE_MS - 1);
    expect(s.acceptedAtMs).toEqual([]);
    expect(s.requests()).toBeLessThan(32 + 5 + OUTAGE_MS / 8_000 + 10);
    await vi.advanceTimersByTimeAsync(11_000);
    expect(s.acceptedAtMs.length).toBe(1000);
    expect(s.acceptedAtMs[0]! - OUTAGE_MS).toBeLessThanOrEqual(10_000 + REQUEST_MS);
    expect(s.delivery.counts.retried).toBe(0);
  });

  test('requests that fail again and again while others get through wait longer each time, as log offsets (C238)', async () => {
    const s = simulation((_, __, [message]) => {
      const { index } = message!.position;
      asked.set(index, (asked.get(index) ?? 0) + 1);
      return index < 3 ? DOWN : 'delivered';
    });
    const route = routeTo('q', { batchCount: 1 });
    const asked = new Map<number, number>();
    let added = 0;
    const feed = setInterval(() => {
      s.messages.add({ group: `g${added++ % 50}`, route });
      s.dispatcher.dispatch();
    }, 10);
    await vi.advanceTimersByTimeAsync(60_000);
    clearInterval(feed);
    // 0.2 + 0.4 + … + 6.4 s, and then every ten.
    for (const index of [0, 1, 2]) expect(asked.get(index)).toBeLessThan(15);
    const { buffered, parked } = s.dispatcher.gauges();
    expect(buffered).toBeLessThan(20);
    expect(parked).toBeGreaterThan(300);
    expect([...s.delivery.routes.all()][0]!.isDown).toBe(false);
    await stopped(s.dispatcher);
  });
});
