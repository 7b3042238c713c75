// Which of the routes that rows have named are open, through a real dispatcher: those that something is sent to, a thousand at most.
import { expect, test } from 'vitest';
import { MAX_OPEN_ROUTES } from '../../../src/pipeline/delivery/open-routes.ts';
import { COUNTED_MS } from '../../../src/pipeline/delivery/partial-requests.ts';
import type { Pending } from '../../../src/pipeline/delivery/pending.ts';
import type { RouteQueue } from '../../../src/pipeline/delivery/route-queue.ts';
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

const BY: RouteByRow = {
  groupTemplate: undefined,
  idOf: () => '',
  open: (id) => routeTo(id, { batchCount: 10, batchBytes: 100_000, lanesPerRoute: 4 }),
};

function harness(options: EndpointOptions = {}) {
  const delivery = createDelivery({ maxBuffered: undefined, maxParked: 100_000 });
  const endpoint = new Endpoint({ hold: true, ...options });
  const clock = { ms: 0 };
  const { routes, unsettled } = delivery;
  const render = (message: Pending): void => message.rendered(unsettled.arenas.enter(), 0, 0);
  const dispatcher = createDispatcher(delivery, endpoint, {
    nowMs: () => clock.ms,
    prepare: (messages) => messages.forEach(render),
  });
  const queueOf = (id: string): RouteQueue<Pending> => routes.queueByRow(id, BY) as RouteQueue<Pending>;
  return {
    routes,
    endpoint,
    clock,
    dispatcher,
    queueOf,
    add: (id: string, count = 1) => {
      for (let i = 0; i < count; i++) {
        const message = pendingMessage(delivery, { routeQueue: queueOf(id) });
        render(message);
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
  expect(h.routes.open.exhausted).toBe(MAX_OPEN_ROUTES);
  await h.answer();
  await waitFor(() => h.endpoint.batches.length === MAX_OPEN_ROUTES + 1, 'one more to be sent to');
  expect(h.openIds()).toHaveLength(MAX_OPEN_ROUTES);
  expect(h.queueOf('r0').isOpen).toBe(false);
  expect(h.queueOf(`r${MAX_OPEN_ROUTES}`).isOpen).toBe(true);
  const letGo = setInterval(() => h.endpoint.held.splice(0).forEach((go) => go()), 1);
  await waitFor(() => h.endpoint.accepted.length === MAX_OPEN_ROUTES + 20, 'all of them');
  clearInterval(letGo);
  expect(h.routes.open.exhausted).toBeUndefined();
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
  const going = setInterval(() => {
    h.clock.ms += COUNTED_MS;
    h.dispatcher.dispatch();
  }, 1);
  await waitFor(() => h.endpoint.accepted.length === MAX_OPEN_ROUTES + 50, 'the others');
  clearInterval(going);
  expect([queue.isOpen, queue.isDown]).toEqual([true, true]);
  expect(h.openIds()).toHaveLength(MAX_OPEN_ROUTES);
  await h.dispatcher.stop(0);
});

test('where all that may be open are down nothing else is sent, and their places are free once nothing waits for them', async () => {
  let isDown = true;
  const h = harness({
    hold: false,
    answer: ({ route }) => (isDown && route.startsWith('d') ? DOWN : 'delivered'),
  });
  for (let i = 0; i < MAX_OPEN_ROUTES; i++) h.add(`d${i}`);
  const going = setInterval(() => {
    h.clock.ms += COUNTED_MS;
    h.dispatcher.dispatch();
  }, 1);
  await waitFor(() => h.openIds().length === MAX_OPEN_ROUTES, 'all of them to be open');
  h.add('other');
  await waitFor(
    () => [...h.routes.all()].every(({ id, isDown }) => isDown || id === 'other'),
    'all to be down',
  );
  expect(h.endpoint.accepted).toEqual([]);
  expect(h.routes.open.exhausted).toBe(MAX_OPEN_ROUTES);
  isDown = false;
  await waitFor(() => h.endpoint.accepted.length === MAX_OPEN_ROUTES + 1, 'what waited');
  clearInterval(going);
  expect(h.routes.open.exhausted).toBeUndefined();
  await h.dispatcher.stop(0);
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
