// The pace of a route that is throttled, over a simulated clock.
import { describe, expect, test } from 'vitest';
import { Pace } from '../../../src/pipeline/delivery/pace.ts';
import { FAILURES_UNTIL_DOWN } from '../../../src/pipeline/delivery/route-health.ts';
import { RouteQueue } from '../../../src/pipeline/delivery/route-queue.ts';
import { BATCH, Clock, Destination, rateOf, Sender } from '../../support/closed-loop.ts';
import { DOWN, routeTo } from '../../support/dispatcher.ts';

function throttledRoute(options: { rttMs: number; perSecond: number; burst: number }): {
  clock: Clock;
  destination: Destination;
  sender: Sender;
} {
  const clock = new Clock();
  const destination = new Destination(clock, options);
  const sender = new Sender(clock, destination, options);
  sender.go();
  return { clock, destination, sender };
}

describe('a pace', () => {
  test('is none until the destination throttles', () => {
    const { clock, sender } = throttledRoute({ rttMs: 1, perSecond: Infinity, burst: 0 });
    clock.runUntil(5000);
    expect(sender.pace.at(clock.now)).toBe(Infinity);
  });

  test.each([
    [0.3, 5000],
    [5, 5000],
    [20, 500],
    [50, 500],
  ])(
    'gives a destination %d ms away nearly all that it takes, with few requests throttled (bucket of %d)',
    (rttMs, burst) => {
      const { clock, sender } = throttledRoute({ rttMs, perSecond: 5000, burst });
      clock.runUntil(30_000);
      expect(sender.delivered).toBeGreaterThan(0.95 * 5000 * 30);
      expect(sender.throttled / (sender.throttled + sender.delivered / BATCH)).toBeLessThan(0.02);
    },
  );

  test.each([20, 50, 100])(
    'gives a destination that takes %d messages a second most of them: between two answers is no pause',
    (perSecond) => {
      const { clock, sender } = throttledRoute({ rttMs: 20, perSecond, burst: BATCH });
      expect(rateOf(clock, sender, 10_000, 70_000) * 1000).toBeGreaterThan(0.8 * perSecond);
    },
  );

  test('comes back to what was taken before, where for a while nothing is', () => {
    const { clock, destination, sender } = throttledRoute({ rttMs: 5, perSecond: 5000, burst: 500 });
    clock.runUntil(10_000);
    destination.perSecond = 1e-9;
    clock.runUntil(11_500);
    destination.perSecond = 5000;
    expect(rateOf(clock, sender, 15_000, 20_000) * 1000).toBeGreaterThan(0.9 * 5000);
  });

  test('after a pause begins with what there was before, or has got through by then', () => {
    const pace = new Pace();
    for (let nowMs = 0; nowMs <= 1000; nowMs += 10) pace.delivered(BATCH, nowMs);
    pace.delivered(BATCH, 60_000);
    pace.throttled(60_001, 60_005);
    expect(pace.at(60_005)).toBeGreaterThan(10 * BATCH);
    const before = pace.at(62_000);
    pace.delivered(BATCH, 62_000);
    pace.throttled(61_999, 62_000);
    expect(pace.at(62_000)).toBeGreaterThan(before / 2);
  });

  test('holds up no request for longer than a second, however many messages it has', () => {
    const pace = new Pace();
    pace.started(1000, 0);
    pace.throttled(0, 10);
    for (let nowMs = 1010; nowMs < 20_000; nowMs += 1000) {
      expect(pace.nextMs).toBeLessThanOrEqual(nowMs);
      pace.started(1000, nowMs);
    }
  });

  test('is not what holds a route back once it is far above what there is to send', () => {
    const { clock, destination, sender } = throttledRoute({ rttMs: 5, perSecond: 2000, burst: 200 });
    clock.runUntil(5000);
    expect(sender.pace.isNeeded(clock.now)).toBe(true);
    destination.perSecond = Infinity;
    sender.supply = 0;
    clock.runUntil(20_000);
    expect(sender.pace.isNeeded(clock.now)).toBe(false);
    expect(sender.pace.at(clock.now)).toBeLessThan(Infinity);
  });

  test('falls at the first answer that is throttled, once for all requests in flight', () => {
    const pace = new Pace();
    for (let nowMs = 0; nowMs <= 1000; nowMs += 10) pace.delivered(BATCH, nowMs);
    expect(pace.throttled(995, 1001)).toBeLessThan(1);
    const fallen = pace.at(1001);
    expect(fallen).toBeLessThan(1000);
    expect(pace.throttled(996, 1002)).toBe(1);
    expect(pace.at(1001)).toBe(fallen);
    expect(pace.throttled(1003, 1004)).toBeLessThan(1);
    expect(pace.at(1004)).toBeLessThan(fallen);
  });

  test('is half of what got through, where nothing was known of it before', () => {
    const pace = new Pace();
    for (let nowMs = 0; nowMs <= 1000; nowMs += 10) pace.delivered(BATCH, nowMs);
    expect(pace.throttled(995, 1001)).toBe(0.5);
    expect(pace.at(1001)).toBeGreaterThan(400);
    expect(pace.at(1001)).toBeLessThan(600);
  });

  test('that has grown far above what there is to send falls to what got through', () => {
    const pace = new Pace();
    pace.delivered(BATCH, 0);
    pace.throttled(0, 100);
    let nowMs = 100;
    for (; pace.at(nowMs) < 1_000_000; nowMs += 10) pace.delivered(BATCH, nowMs);
    pace.throttled(nowMs - 1, nowMs);
    expect(pace.at(nowMs)).toBeLessThan(2500);
  });

  test('finds it when the destination takes more', () => {
    const { clock, destination, sender } = throttledRoute({ rttMs: 5, perSecond: 2000, burst: 200 });
    clock.runUntil(20_000);
    destination.perSecond = 8000;
    expect(rateOf(clock, sender, 45_000, 60_000) * 1000).toBeGreaterThan(6500);
  });

  test('ends where it is not needed for a minute', () => {
    const { clock, destination, sender } = throttledRoute({ rttMs: 5, perSecond: 2000, burst: 200 });
    clock.runUntil(5000);
    destination.perSecond = Infinity;
    sender.supply = 0;
    const feed = (): void => {
      sender.supply = 1;
      sender.go();
      clock.at(clock.now + 50, feed);
    };
    feed();
    clock.runUntil(90_000);
    expect(sender.pace.at(clock.now)).toBe(Infinity);
  });

  test('is a message a second at least, so that it is found when a destination comes back', () => {
    const { clock, destination, sender } = throttledRoute({ rttMs: 5, perSecond: 2000, burst: 200 });
    clock.runUntil(3000);
    destination.perSecond = 0;
    clock.runUntil(30_000);
    expect(sender.pace.at(clock.now)).toBeGreaterThanOrEqual(1);
    destination.perSecond = 2000;
    const before = sender.delivered;
    clock.runUntil(60_000);
    expect(sender.delivered).toBeGreaterThan(before);
  });
});

test('a route waits for its pace only while its time is to come, and something is to be sent', () => {
  const queue = new RouteQueue<string>(routeTo('q'));
  queue.open();
  queue.pace.delivered(BATCH, 0);
  queue.pace.throttled(0, 100);
  const { nextMs } = queue.pace;
  expect(queue.waitsUntilMs(100)).toBeUndefined();
  queue.ready.push('a');
  expect(queue.waitsUntilMs(100)).toBe(nextMs);
  expect(queue.mayStart(100)).toBe(false);
  // Its time has come: what it waits for now, a lane or a rendered message, tells by itself.
  expect(queue.waitsUntilMs(nextMs)).toBeUndefined();
  expect(queue.mayStart(nextMs)).toBe(true);
});

test('a route that is down asks to be looked at again only where something waits that it could be probed with', () => {
  const queue = new RouteQueue<string>(routeTo('q'));
  queue.open();
  const retry = { initialBackoffMs: 100, multiplier: 1, maxBackoffMs: 100, jitter: 0 };
  for (let failures = 0; failures < FAILURES_UNTIL_DOWN; failures++)
    queue.health.fail(DOWN, retry, { startedAt: 0, nowMs: 0, chance: 0.5 });
  expect(queue.isDown).toBe(true);
  expect(queue.waitsUntilMs(1000)).toBeUndefined();
  queue.ready.push('a');
  expect(queue.waitsUntilMs(0)).toBe(queue.health.retryAtMs);
});
