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

test('that one is down is known as long as something waits for it, whether it is open or not', async () => {
  const h = harness({
    hold: false,
    backoffMs: 600_000,
    answer: ({ route }) => (route === 'down' ? DOWN : 'delivered'),
  });
  h.add('down', 60);
  const down = h.queueOf('down');
  h.dispatcher.dispatch();
  await waitFor(() => down.isDown, 'it to be down');
  for (let i = 0; i < MAX_OPEN_ROUTES + 50; i++) h.add(`r${i}`);
  await h.goOnUntil(() => h.endpoint.accepted.length === MAX_OPEN_ROUTES + 50, 'the others');
  const { retryAtMs } = down.health;
  expect([down.isOpen, down.isDown, retryAtMs > h.clock.ms]).toEqual([false, true, true]);
  // Nobody has sent there meanwhile, and one request asks when its time has come.
  const sent = h.endpoint.batches.length;
  h.sendAll();
  expect(h.endpoint.batches).toHaveLength(sent);
  h.clock.ms = retryAtMs;
  h.dispatcher.dispatch();
  expect(h.endpoint.batches).toHaveLength(sent + 1);
  expect(down.lanesInUse).toBe(1);
  await h.dispatcher.stop(0);
});

/** As many routes as may be open have a request that is not answered. */
function allInUse() {
  const h = harness();
  for (let i = 0; i < MAX_OPEN_ROUTES; i++) h.add(`busy${i}`);
  h.sendAll();
  expect(h.openIds()).toHaveLength(MAX_OPEN_ROUTES);
  return h;
}

/** As many have one that failed, and whose message waits for its time. */
async function allHeld() {
  const h = harness({
    hold: false,
    backoffMs: 600_000,
    answer: ({ route }) => (route.startsWith('held') ? DOWN : 'delivered'),
  });
  for (let i = 0; i < MAX_OPEN_ROUTES; i++) h.add(`held${i}`);
  const isHeld = ({ heldRequests }: RouteQueue<Pending>): boolean => heldRequests === 1;
  await h.goOnUntil(() => [...h.routes.all()].every(isHeld), 'all of them to fail');
  return h;
}

test('thousands that are down take no place: others are sent to, and so are they once they are up again', async () => {
  const state = { isDown: true };
  const h = harness({
    hold: false,
    answer: ({ route }) => (state.isDown && route.startsWith('d') ? DOWN : 'delivered'),
  });
  for (let i = 0; i < 2 * MAX_OPEN_ROUTES; i++) h.add(`d${i}`);
  await h.goOnUntil(() => [...h.routes.all()].every(({ isDown }) => isDown), 'all to be down');
  for (let i = 0; i < 100; i++) h.add(`other${i}`);
  await h.goOnUntil(() => h.endpoint.accepted.length === 100, 'the others');
  expect(h.routes.open.count).toBeLessThanOrEqual(MAX_OPEN_ROUTES);
  state.isDown = false;
  await h.goOnUntil(() => h.endpoint.accepted.length === 100 + 2 * MAX_OPEN_ROUTES, 'what waited');
  expect(h.routes.open.fullForMs(h.clock.ms + 5)).toBe(0);
  await h.dispatcher.stop(0);
});

test('places of routes of which everything was given up are free at once', async () => {
  const h = await allHeld();
  h.add('other');
  h.sendAll();
  expect(h.endpoint.accepted).toEqual([]);
  expect(h.routes.open.fullForMs(h.clock.ms + 5)).toBeGreaterThan(4);
  h.dispatcher.discardBelow(h.nextOffset() - 1);
  expect(h.routes.open.hasPlace(h.clock.ms)).toBe(true);
  await waitFor(() => h.endpoint.accepted.length === 1, 'the other one');
  for (let i = 0; i < 300; i++) h.add(`new${i}`);
  await h.goOnUntil(() => h.endpoint.accepted.length === 301, 'new ones');
  await h.dispatcher.stop(0);
});

test('what has no route becomes a dead letter, whether a place is free or not', async () => {
  const h = allInUse();
  h.addNowhere('nowhere', 3);
  h.dispatcher.dispatch();
  expect(h.dead).toHaveLength(3);
  expect(h.routes.open.fullForMs(h.clock.ms + 5)).toBe(0);
  // That it is done with makes no place for another.
  h.add('other');
  h.sendAll();
  expect([h.routes.open.count, h.queueOf('other').isOpen]).toEqual([MAX_OPEN_ROUTES, false]);
  await h.dispatcher.stop(0);
});

test('one with a lane of its own that fails is not closed while its messages wait to be sent again', async () => {
  const h = harness({
    hold: false,
    lanes: 1,
    backoffMs: 600_000,
    answer: ({ route }) => (route === 'bad' ? DOWN : 'delivered'),
  });
  h.add('bad');
  h.dispatcher.dispatch();
  const bad = h.queueOf('bad');
  await waitFor(() => bad.heldRequests === 1, 'its request to fail');
  expect([bad.ready.length, bad.restingLanes, bad.isDown]).toEqual([0, 0, false]);
  for (let i = 0; i < MAX_OPEN_ROUTES + 50; i++) h.add(`r${i}`);
  await h.goOnUntil(() => h.endpoint.accepted.length === MAX_OPEN_ROUTES + 50, 'the others');
  expect([bad.isOpen, bad.isIdle(h.clock.ms)]).toEqual([true, false]);
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

test('one that is up again by the answer to a request from before does not rest any longer', async () => {
  let isDown = true;
  const h = harness({
    backoffMs: 600_000,
    answer: ({ route }) => (isDown && route === 'flaky' ? DOWN : 'delivered'),
    lanes: 8,
  });
  h.add('flaky', 85);
  h.sendAll();
  const [first] = h.endpoint.held.splice(0, 1);
  await h.answer(h.endpoint.held.length);
  const flaky = h.queueOf('flaky');
  await waitFor(() => flaky.isDown, 'it to be down');
  h.sendAll();
  const sent = h.endpoint.batches.length;
  isDown = false;
  first!();
  await waitFor(() => h.endpoint.batches.length > sent, 'it to be sent to');
  expect(flaky.isDown).toBe(false);
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

test('what waited for a place and was given up waits no longer', async () => {
  const h = allInUse();
  h.add('other');
  h.sendAll();
  expect(h.routes.open.fullForMs(h.clock.ms + 5)).toBeGreaterThan(4);
  h.dispatcher.discardBelow(h.nextOffset());
  await waitFor(() => h.routes.open.fullForMs(h.clock.ms + 5) === 0, 'nothing to wait');
  expect(h.queueOf('other').unsettled).toBe(0);
  await h.dispatcher.stop(0);
});

/** As many are open as may be; one was idle when something came for it that waits for its pace, and another one has no place. */
async function idleThenPaced() {
  let isThrottled = true;
  const throttled = { ...DOWN, code: 'THROTTLED', throttled: true } as const;
  const h = harness({ answer: ({ route }) => (isThrottled && route === 'slow' ? throttled : 'delivered') });
  h.add('slow', 10);
  const slow = h.queueOf('slow');
  h.dispatcher.dispatch();
  await h.answer();
  isThrottled = false;
  h.clock.ms = slow.pace.nextMs;
  h.dispatcher.dispatch();
  await h.answer();
  expect([slow.unsettled, slow.isIdle(h.clock.ms)]).toEqual([0, true]);
  h.add('slow', 10);
  expect([slow.mayStart(h.clock.ms), slow.pace.isNeeded(h.clock.ms)]).toEqual([false, true]);
  for (let i = 1; i < MAX_OPEN_ROUTES; i++) h.routes.open.use(h.queueOf(`r${i}`));
  h.add('other');
  const openOf = (...ids: readonly string[]): boolean[] => ids.map((id) => h.queueOf(id).isOpen);
  return { ...h, slow, openOf };
}

test('one that was idle is not closed when something has come for it that waits for its pace', async () => {
  const h = await idleThenPaced();
  h.dispatcher.dispatch();
  expect(h.routes.open.count).toBe(MAX_OPEN_ROUTES);
  expect(h.openOf('slow', 'other')).toEqual([true, false]);
  await h.dispatcher.stop(0);
});

test('nor is it closed in the place of one that has become idle since', async () => {
  const h = await idleThenPaced();
  h.routes.open.leave(h.queueOf('r1'), h.clock.ms);
  h.dispatcher.dispatch();
  expect(h.routes.open.count).toBe(MAX_OPEN_ROUTES);
  expect(h.openOf('slow', 'r1', 'other')).toEqual([true, false, true]);
  await h.dispatcher.stop(0);
});

test('its place is free once what has come for it became dead letters unsent', async () => {
  const h = await idleThenPaced();
  h.dispatcher.dispatch();
  for (const message of h.slow.ready.all()) message.lacksPayload = true;
  h.clock.ms = h.slow.pace.nextMs;
  h.dispatcher.dispatch();
  expect(h.dead).toHaveLength(10);
  await waitFor(() => h.queueOf('other').isOpen, 'the other one to be sent to');
  expect(h.openOf('slow')).toEqual([false]);
  await h.dispatcher.stop(0);
});

test.each([
  ['until when they rest', { retryAfterMs: 3_600_000 }],
  ['nothing, for long', {}],
])(
  'thousands that are throttled and down, and say %s, take no place between their probes',
  async (_, says) => {
    const throttled = { ...DOWN, code: 'THROTTLED', throttled: true, ...says } as const;
    const h = harness({
      hold: false,
      backoffMs: 600_000,
      answer: ({ route }) => (route.startsWith('slow') ? throttled : 'delivered'),
    });
    for (let i = 0; i < 2 * MAX_OPEN_ROUTES; i++) h.add(`slow${i}`);
    await h.goOnUntil(() => [...h.routes.all()].every(({ isDown }) => isDown), 'all to be down');
    for (let i = 0; i < 100; i++) h.add(`other${i}`);
    await h.goOnUntil(() => h.endpoint.accepted.length === 100, 'the others');
    expect(h.routes.open.count).toBeLessThanOrEqual(MAX_OPEN_ROUTES);
    await h.dispatcher.stop(0);
  },
);
