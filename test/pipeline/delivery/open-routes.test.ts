// Which of the routes that rows have named are open, through a real dispatcher: those that something is sent to, a thousand at most.
import { expect, test } from 'vitest';
import { MAX_LANES } from '../../../src/pipeline/delivery/dispatcher.ts';
import { MAX_OPEN_ROUTES } from '../../../src/pipeline/delivery/open-routes.ts';
import { COUNTED_MS } from '../../../src/pipeline/delivery/partial-requests.ts';
import type { Pending } from '../../../src/pipeline/delivery/pending.ts';
import type { RouteQueue } from '../../../src/pipeline/delivery/route-queue.ts';
import { MAX_UNUSED_ROUTES } from '../../../src/pipeline/delivery/routes.ts';
import type { RouteByRow } from '../../../src/sinks/sink.ts';
import {
  createDelivery,
  createDispatcher,
  DOWN,
  Endpoint,
  pendingMessage,
  routeTo,
  type EndpointOptions,
} from '../../support/dispatcher.ts';
import { waitFor } from '../../support/wait.ts';

const byRow = (lanesPerRoute: number): RouteByRow => ({
  groupTemplate: undefined,
  idOf: () => '',
  open: (id) => routeTo(id, { batchCount: 10, batchBytes: 100_000, lanesPerRoute }),
});

function harness(options: EndpointOptions & { readonly lanes?: number; readonly backoffMs?: number } = {}) {
  const { backoffMs = 1 } = options;
  const delivery = createDelivery({
    maxBuffered: undefined,
    maxParked: 100_000,
    retry: { initialBackoffMs: backoffMs, multiplier: 1, maxBackoffMs: backoffMs, jitter: 0 },
  });
  const endpoint = new Endpoint({ hold: true, ...options });
  const clock = { ms: 0 };
  const dead: Pending[] = [];
  const { routes, unsettled } = delivery;
  const render = (message: Pending): void => message.rendered(unsettled.arenas.enter(), 0, 0);
  const dispatcher = createDispatcher(delivery, endpoint, {
    nowMs: () => clock.ms,
    outcomes: { deadLetter: (message) => void dead.push(message) },
    prepare: (messages) => messages.forEach(render),
  });
  const by = byRow(options.lanes ?? 4);
  const queueOf = (id: string): RouteQueue<Pending> => routes.queueByRow(id, by) as RouteQueue<Pending>;
  let offset = 0;
  const addTo = (routeQueue: RouteQueue<Pending>, count: number): void => {
    for (let i = 0; i < count; i++) {
      const message = pendingMessage(delivery, { routeQueue, offset: ++offset });
      render(message);
      unsettled.enter(message);
    }
  };
  return {
    routes,
    endpoint,
    clock,
    dispatcher,
    dead,
    nextOffset: () => offset + 1,
    /** Time goes on, and whatever may go goes, until then. */
    goOnUntil: async (isThere: () => boolean, what: string) => {
      const going = setInterval(() => {
        clock.ms += COUNTED_MS;
        dispatcher.dispatch();
      }, 1);
      await waitFor(isThere, what);
      clearInterval(going);
    },
    queueOf,
    add: (id: string, count = 1) => addTo(queueOf(id), count),
    addTo,
    addNowhere: (id: string, count: number) => {
      for (let i = 0; i < count; i++) {
        const message = pendingMessage(delivery, { routeQueue: routes.nowhere({ id }), offset: ++offset });
        message.lacksPayload = true;
        unsettled.enter(message);
      }
    },
    /** All that may go has gone. */
    sendAll: () => {
      for (let before = -1; before !== endpoint.batches.length;) {
        before = endpoint.batches.length;
        clock.ms += COUNTED_MS;
        dispatcher.dispatch();
      }
    },
    /** The first request without an answer gets one. */
    answer: async (count = 1) => {
      const left = endpoint.held.length - count;
      for (const go of endpoint.held.splice(0, count)) go();
      await new Promise((done) => setImmediate(done));
      expect(endpoint.held.length).toBeGreaterThanOrEqual(left);
    },
    openIds: () => [...routes.all()].filter(({ isOpen }) => isOpen).map(({ id }) => id),
  };
}

test('a route opens when something is sent there, not when something waits for it', async () => {
  const h = harness();
  h.add('a');
  h.queueOf('named only');
  expect(h.openIds()).toEqual([]);
  h.sendAll();
  expect(h.openIds()).toEqual(['a']);
  await h.dispatcher.stop(0);
});

test('a thousand are open at most: what waits for others is sent when nothing is under way to one of them', async () => {
  const h = harness();
  for (let i = 0; i < MAX_OPEN_ROUTES + 20; i++) h.add(`r${i}`);
  h.sendAll();
  expect(h.endpoint.batches).toHaveLength(MAX_OPEN_ROUTES);
  expect(h.openIds()).toHaveLength(MAX_OPEN_ROUTES);
  expect(h.routes.open.fullForMs(h.clock.ms + 5)).toBeGreaterThan(4);
  await h.answer();
  await waitFor(() => h.endpoint.batches.length === MAX_OPEN_ROUTES + 1, 'one more to be sent to');
  expect(h.openIds()).toHaveLength(MAX_OPEN_ROUTES);
  expect(h.queueOf('r0').isOpen).toBe(false);
  expect(h.queueOf(`r${MAX_OPEN_ROUTES}`).isOpen).toBe(true);
  const letGo = setInterval(() => h.endpoint.held.splice(0).forEach((go) => go()), 1);
  await waitFor(() => h.endpoint.accepted.length === MAX_OPEN_ROUTES + 20, 'all of them');
  clearInterval(letGo);
  expect(h.routes.open.fullForMs(h.clock.ms + 5)).toBe(0);
  await h.dispatcher.stop(0);
});

test('the one that nothing was sent to for the longest is closed first, and one that is used again is not', async () => {
  const h = harness();
  for (let i = 0; i < MAX_OPEN_ROUTES; i++) h.add(`r${i}`);
  h.sendAll();
  await h.answer(MAX_OPEN_ROUTES);
  // It waits for an answer again: then it is the last one that was used.
  h.add('r0');
  h.sendAll();
  await h.answer();
  h.add('new');
  h.sendAll();
  expect(h.queueOf('r1').isOpen).toBe(false);
  expect(h.openIds()).toHaveLength(MAX_OPEN_ROUTES);
  expect(h.openIds()).toEqual(expect.arrayContaining(['r0', 'new', 'r2']));
  h.add('r2');
  h.sendAll();
  h.add('newer');
  h.sendAll();
  expect([h.queueOf('r2').isOpen, h.queueOf('r3').isOpen]).toEqual([true, false]);
  await h.dispatcher.stop(0);
});

test('one that fails stays open while something waits for it: that it fails is not forgotten', async () => {
  const h = harness({ hold: false, answer: ({ route }) => (route === 'down' ? DOWN : 'delivered') });
  h.add('down', 60);
  const queue = h.queueOf('down');
  h.dispatcher.dispatch();
  await waitFor(() => queue.isDown, 'it to be down');
  for (let i = 0; i < MAX_OPEN_ROUTES + 50; i++) h.add(`r${i}`);
  await h.goOnUntil(() => h.endpoint.accepted.length === MAX_OPEN_ROUTES + 50, 'the others');
  expect([queue.isOpen, queue.isDown]).toEqual([true, true]);
  expect(h.openIds()).toHaveLength(MAX_OPEN_ROUTES);
  await h.dispatcher.stop(0);
});

/** As many routes as may be open are down, with a message each; no probe is under way, and none is due. */
async function allDown() {
  const state = { isDown: true };
  const h = harness({
    hold: false,
    answer: ({ route }) => (state.isDown && route.startsWith('d') ? DOWN : 'delivered'),
  });
  for (let i = 0; i < MAX_OPEN_ROUTES; i++) h.add(`d${i}`);
  await h.goOnUntil(() => [...h.routes.all()].every(({ isDown }) => isDown), 'all to be down');
  const rests = ({ lanesInUse, health }: RouteQueue<Pending>): boolean =>
    lanesInUse === 0 && health.retryAtMs > h.clock.ms;
  await waitFor(() => [...h.routes.all()].every(rests), 'their probes to fail');
  return Object.assign(h, { state });
}

test('where all that may be open are down nothing is sent to others, and their places are free once nothing waits for them', async () => {
  const h = await allDown();
  expect(h.routes.open.fullForMs(h.clock.ms + 5)).toBe(0);
  h.add('other');
  h.dispatcher.dispatch();
  expect(h.queueOf('other').isOpen).toBe(false);
  h.sendAll();
  expect(h.endpoint.accepted).toEqual([]);
  expect(h.routes.open.fullForMs(h.clock.ms + 5)).toBeGreaterThan(4);
  h.state.isDown = false;
  await h.goOnUntil(() => h.endpoint.accepted.length === MAX_OPEN_ROUTES + 1, 'what waited');
  expect(h.routes.open.fullForMs(h.clock.ms + 5)).toBe(0);
  await h.dispatcher.stop(0);
});

test('places of routes of which everything was given up are free at once, and what comes there next does not count as down', async () => {
  const h = await allDown();
  h.add('other');
  h.dispatcher.dispatch();
  h.dispatcher.discardBelow(h.nextOffset() - 1);
  await waitFor(() => h.endpoint.accepted.length === 1, 'the other one');
  expect(h.endpoint.accepted).toHaveLength(1);
  for (let i = 0; i < 300; i++) h.add(`new${i}`);
  await h.goOnUntil(() => h.endpoint.accepted.length === 301, 'new ones');
  const closed = [...h.routes.all()].filter(({ id, isOpen }) => id.startsWith('d') && !isOpen);
  expect(closed.length).toBeGreaterThan(0);
  expect(closed.filter(({ isCountedAsDown }) => isCountedAsDown)).toEqual([]);
  await h.dispatcher.stop(0);
});

test('what has no route becomes a dead letter, whether a place is free or not', async () => {
  const h = await allDown();
  h.addNowhere('nowhere', 3);
  h.dispatcher.dispatch();
  expect(h.dead).toHaveLength(3);
  expect(h.routes.open.fullForMs(h.clock.ms + 5)).toBe(0);
  await h.dispatcher.stop(0);
});

test('one with a lane of its own that fails is not closed while its messages wait to be sent again', async () => {
  const h = harness({
    hold: false,
    lanes: 1,
    backoffMs: 500,
    answer: ({ route }) => (route === 'bad' ? DOWN : 'delivered'),
  });
  h.add('bad');
  h.dispatcher.dispatch();
  const bad = h.queueOf('bad');
  await waitFor(() => bad.heldRequests === 1, 'its request to fail');
  expect([bad.ready.length, bad.restingLanes]).toEqual([0, 0]);
  expect(bad.isIdle(h.clock.ms)).toBe(false);
  for (let i = 0; i < MAX_OPEN_ROUTES + 50; i++) h.add(`r${i}`);
  await h.goOnUntil(() => h.endpoint.accepted.length === MAX_OPEN_ROUTES + 50 && bad.isDown, 'it to be down');
  expect(bad.isOpen).toBe(true);
  await h.dispatcher.stop(0);
});

test('with more requests in flight than a sink has lanes, one with fixed lanes is opened, and one without is not', async () => {
  for (const isFixed of [true, false]) {
    const h = harness({ lanes: 2 });
    const least = isFixed ? 2 : 1;
    for (let i = 0; i < MAX_LANES / 2; i++) h.add(`busy${i}`, 20);
    h.dispatcher.dispatch();
    expect(h.endpoint.batches).toHaveLength(MAX_LANES);
    const by = { ...byRow(2), open: (id: string) => routeTo(id, { lanesPerRoute: 2, lanesAtFirst: least }) };
    h.addTo(h.routes.queueByRow('new', by) as RouteQueue<Pending>, 1);
    h.sendAll();
    expect(h.endpoint.batches).toHaveLength(MAX_LANES + (isFixed ? 1 : 0));
    await h.dispatcher.stop(0);
  }
});

test('one that takes less than it is given is not closed while something is to be sent to it, and is once nothing is', async () => {
  let isThrottled = true;
  const throttled = { ...DOWN, code: 'THROTTLED', throttled: true } as const;
  const h = harness({ answer: ({ route }) => (isThrottled && route === 'slow' ? throttled : 'delivered') });
  h.add('slow', 30);
  const slow = h.queueOf('slow');
  h.sendAll();
  await h.answer(h.endpoint.held.length);
  isThrottled = false;
  expect(slow.pace.isNeeded(h.clock.ms)).toBe(true);
  expect(slow.isIdle(h.clock.ms)).toBe(false);
  const letGo = setInterval(() => {
    h.clock.ms += 1;
    h.endpoint.held.splice(0).forEach((go) => go());
    h.dispatcher.dispatch();
  }, 1);
  await waitFor(() => slow.unsettled === 0, 'all of it');
  clearInterval(letGo);
  expect(slow.isIdle(h.clock.ms)).toBe(true);
  await h.dispatcher.stop(0);
});

test('one that a table names as well stays open, and takes no place of those that rows name', async () => {
  const h = harness();
  h.add('both');
  h.sendAll();
  const both = h.routes.queue(routeTo('both'));
  for (let i = 0; i < MAX_OPEN_ROUTES; i++) h.add(`r${i}`);
  h.sendAll();
  expect(h.endpoint.batches).toHaveLength(MAX_OPEN_ROUTES + 1);
  await h.answer(MAX_OPEN_ROUTES + 1);
  h.add('one more');
  h.sendAll();
  expect(both.isOpen).toBe(true);
  expect(h.openIds()).toHaveLength(MAX_OPEN_ROUTES + 1);
  await h.dispatcher.stop(0);
});

test('the place of one that a table names from then on is free for what waits', async () => {
  const h = harness();
  for (let i = 0; i < MAX_OPEN_ROUTES; i++) h.add(`r${i}`);
  h.sendAll();
  h.add('other');
  h.sendAll();
  expect(h.routes.open.fullForMs(h.clock.ms + 5)).toBeGreaterThan(4);
  h.routes.queue(routeTo('r0'));
  expect(h.routes.open.fullForMs(h.clock.ms + 5)).toBe(0);
  h.sendAll();
  expect(h.queueOf('other').isOpen).toBe(true);
  await h.dispatcher.stop(0);
});

test('one whose failed request was sent again may be closed while something waits for it', async () => {
  let failures = 0;
  const h = harness({ hold: false, answer: () => (failures++ === 0 ? DOWN : 'delivered') });
  h.add('once');
  const once = h.queueOf('once');
  h.dispatcher.dispatch();
  await waitFor(() => once.unsettled === 0, 'it to be sent again');
  h.add('once');
  expect([failures, once.isOpen, once.isIdle(h.clock.ms)]).toEqual([2, true, true]);
  await h.dispatcher.stop(0);
});

test('when what a failed request had may go again and its route is up, what has waited for longer takes the place', async () => {
  let isDown = true;
  const h = harness({
    backoffMs: 1000,
    answer: ({ route }) => (isDown && route === 'up' ? DOWN : 'delivered'),
  });
  h.add('up', 13);
  h.sendAll();
  const [full] = h.endpoint.held.splice(0, 1);
  await h.answer();
  isDown = false;
  full!();
  const up = h.queueOf('up');
  await waitFor(() => up.inFlight === 0, 'its other request');
  expect([up.heldRequests, up.unsettled, up.health.error]).toEqual([1, 3, undefined]);
  for (let i = 1; i < MAX_OPEN_ROUTES; i++) h.add(`r${i}`);
  h.sendAll();
  h.add('other');
  h.sendAll();
  const sent = h.endpoint.batches.length;
  expect(h.queueOf('other').isOpen).toBe(false);
  await waitFor(() => h.endpoint.batches.length > sent, 'the next request');
  expect([h.queueOf('other').isOpen, up.isOpen, up.ready.length]).toEqual([true, false, 3]);
  await h.dispatcher.stop(0);
});

test('the place of one that is down is free when what waited for it becomes a dead letter unsent', async () => {
  const h = await allDown();
  h.add('other');
  h.dispatcher.dispatch();
  const down = h.queueOf('d0');
  down.ready.peek()!.lacksPayload = true;
  await h.goOnUntil(() => h.endpoint.accepted.length === 1, 'the other one');
  expect([h.dead.length, down.isOpen, h.queueOf('other').isOpen]).toEqual([1, false, true]);
  await h.dispatcher.stop(0);
});

test('one that took less than it was given is not closed either when it has taken something since', async () => {
  let isThrottled = true;
  const throttled = { ...DOWN, code: 'THROTTLED', throttled: true } as const;
  const h = harness({ answer: () => (isThrottled ? throttled : 'delivered') });
  h.add('slow', 20);
  const slow = h.queueOf('slow');
  h.dispatcher.dispatch();
  await h.answer();
  isThrottled = false;
  await h.answer();
  expect([slow.health.error, slow.ready.length, slow.lanesInUse]).toEqual([undefined, 10, 0]);
  expect([slow.pace.isNeeded(h.clock.ms), slow.isIdle(h.clock.ms)]).toEqual([true, false]);
  await h.dispatcher.stop(0);
});

test('for how long something has waited for a place counts from when it began to, however often it is looked for', async () => {
  const h = harness();
  for (let i = 0; i <= MAX_OPEN_ROUTES; i++) h.add(`r${i}`);
  h.sendAll();
  const sinceMs = h.clock.ms - h.routes.open.fullForMs(h.clock.ms);
  for (let look = 0; look < 3; look++) {
    h.clock.ms += 1000;
    h.dispatcher.dispatch();
  }
  expect(h.routes.open.fullForMs(h.clock.ms)).toBe(h.clock.ms - sinceMs);
  expect(h.clock.ms - sinceMs).toBeGreaterThanOrEqual(3000);
  await h.dispatcher.stop(0);
});

test('one that goes because rows have named so many others takes no place any more', async () => {
  const h = harness({ hold: false });
  h.add('a');
  h.dispatcher.dispatch();
  const a = h.queueOf('a');
  await waitFor(() => a.unsettled === 0, 'its message');
  expect(h.routes.open.count).toBe(1);
  for (let i = 0; i < MAX_UNUSED_ROUTES; i++) h.queueOf(`r${i}`);
  expect([a.isOpen, h.routes.open.count]).toEqual([false, 0]);
  await h.dispatcher.stop(0);
});

test('those that are open are looked at in the order in which they were used last', async () => {
  const h = harness();
  for (const id of ['a', 'b', 'c', 'a']) {
    h.add(id);
    h.sendAll();
  }
  expect([...h.routes.open.all()].map(({ id }) => id)).toEqual(['b', 'c', 'a']);
  await h.dispatcher.stop(0);
});
