// Whose turn it is among hundreds of routes that rows have opened: full requests go at once, others a few at a time while they fill.
import { expect, test } from 'vitest';
import { MAX_LANES } from '../../../src/pipeline/delivery/dispatcher.ts';
import {
  COUNTED_MS,
  MAX_PARTIAL,
  MAX_PARTIAL_CROWDED,
  MAX_PARTIAL_READING,
} from '../../../src/pipeline/delivery/partial-requests.ts';
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

function harness(
  options: EndpointOptions & { readonly maxBuffered?: number; readonly by?: RouteByRow } = {},
) {
  const { by = BY } = options;
  const delivery = createDelivery({ maxBuffered: options.maxBuffered, maxParked: 100_000 });
  const endpoint = new Endpoint(options);
  const clock = { ms: 0 };
  const dispatcher = createDispatcher(delivery, endpoint, { nowMs: () => clock.ms });
  const rendered = (routeQueue: RouteQueue<Pending>): void => {
    const message = pendingMessage(delivery, { routeQueue });
    message.rendered(delivery.unsettled.arenas.enter(), 0, 0);
    delivery.unsettled.enter(message);
  };
  const queueOf = (id: string): RouteQueue<Pending> =>
    delivery.routes.queueByRow(id, by) as RouteQueue<Pending>;
  return {
    delivery,
    endpoint,
    clock,
    dispatcher,
    queueOf,
    send: (route: string, count = 1) => {
      for (let i = 0; i < count; i++) rendered(queueOf(route));
    },
    sizes: () => endpoint.batches.map((batch) => batch.length),
  };
}

test('of hundreds of routes with a row each a few are sent to, and the others fill meanwhile', async () => {
  const h = harness({ hold: true });
  for (let i = 0; i < 300; i++) h.send(`r${i}`);
  h.dispatcher.dispatch();
  expect(h.sizes()).toEqual(Array.from({ length: MAX_PARTIAL }, () => 1));
  for (let i = 0; i < 300; i++) h.send(`r${i}`);
  h.dispatcher.dispatch();
  expect(h.endpoint.batches).toHaveLength(MAX_PARTIAL);
  h.endpoint.held.shift()!();
  await waitFor(() => h.endpoint.batches.length > MAX_PARTIAL, 'the next request');
  expect(h.sizes().at(-1)).toBe(2);
  await h.dispatcher.stop(0);
});

test.each([
  [900, 8, MAX_PARTIAL_CROWDED],
  [900, 7, MAX_PARTIAL],
  [899, 8, MAX_PARTIAL],
])('with %i routes of %i messages each, %i are sent to at once', async (routes, messages, sent) => {
  const h = harness({ hold: true });
  for (let i = 0; i < routes; i++) h.send(`r${i}`, messages);
  h.dispatcher.dispatch();
  expect(h.endpoint.batches).toHaveLength(sent);
  await h.dispatcher.stop(0);
});

test.each([
  [undefined, MAX_PARTIAL_READING],
  [99, MAX_PARTIAL],
])(
  'while more is read, which fills them, fewer requests are sent, unless there is no room for more (%s): %i',
  async (maxBuffered, sent) => {
    const h = harness({ hold: true, ...(maxBuffered !== undefined && { maxBuffered }) });
    for (let i = 0; i < 100; i++) h.send(`r${i}`);
    h.dispatcher.isReading = true;
    h.dispatcher.dispatch();
    expect(h.endpoint.batches).toHaveLength(sent);
    await h.dispatcher.stop(0);
  },
);

test('where answers take long, routes with few messages leave lanes for full requests', async () => {
  const h = harness({ hold: true });
  for (let i = 0; i < 1400; i++) h.send(`r${i}`, 9);
  const sentAfter = (turns: number): number => {
    for (let turn = 0; turn < turns; turn++) {
      h.clock.ms += COUNTED_MS;
      h.dispatcher.dispatch();
    }
    return h.endpoint.batches.length;
  };
  expect(sentAfter(4)).toBe(MAX_LANES / 2);
  expect(sentAfter(4)).toBe(MAX_LANES / 2 + 4 * MAX_PARTIAL);
  await h.dispatcher.stop(0);
});

test('routes whose turn has not come are sent to when the requests before them have waited for long', async () => {
  const delivery = createDelivery({ maxBuffered: undefined, maxParked: 100_000 });
  const endpoint = new Endpoint({ hold: true });
  const dispatcher = createDispatcher(delivery, endpoint);
  for (let i = 0; i < 100; i++) {
    const message = pendingMessage(delivery, {
      routeQueue: delivery.routes.queueByRow(`r${i}`, BY) as RouteQueue<Pending>,
    });
    message.rendered(delivery.unsettled.arenas.enter(), 0, 0);
    delivery.unsettled.enter(message);
  }
  dispatcher.dispatch();
  expect(endpoint.batches).toHaveLength(MAX_PARTIAL);
  await waitFor(() => endpoint.batches.length === 100, 'all of them to be sent to');
  await dispatcher.stop(0);
});

test.each([
  [1, true],
  [2, false],
])(
  'an answer says whether messages waited for its lane at the last of %i looks: %s',
  async (looks, isWanted) => {
    const h = harness({ hold: true });
    h.send('busy', 45);
    for (let i = 0; i < MAX_PARTIAL + 1; i++) h.send(`r${i}`);
    const wanted: boolean[] = [];
    h.dispatcher.dispatch();
    const { limit } = h.delivery.routes.queueByRow('busy', BY) as RouteQueue<Pending>;
    limit.answered = (answer) => void wanted.push(answer.isWanted);
    for (let look = 1; look < looks; look++) h.dispatcher.dispatch();
    h.endpoint.held.shift()!();
    await waitFor(() => wanted.length > 0, 'its answer');
    expect(wanted).toEqual([isWanted]);
    await h.dispatcher.stop(0);
  },
);

test('messages of a route that was not looked at wait for its turn, not for a lane', () => {
  const h = harness({ hold: true });
  h.send('r0');
  const queue = h.delivery.routes.queueByRow('r0', BY) as RouteQueue<Pending>;
  queue.open();
  queue.lanesInUse = queue.lanes;
  queue.look(1);
  expect(queue.wasShortOfLanes(1)).toBe(true);
  expect(queue.wasShortOfLanes(2)).toBe(false);
  queue.lanesInUse = 0;
  queue.look(3);
  expect(queue.wasShortOfLanes(3)).toBe(false);
});

test('a full request never waits for those that are not', async () => {
  const h = harness({ hold: true });
  for (let i = 0; i < 100; i++) h.send(`r${i}`);
  h.send('busy', 23);
  h.dispatcher.dispatch();
  expect(h.sizes().filter((size) => size === 10)).toHaveLength(2);
  expect(h.endpoint.batches).toHaveLength(MAX_PARTIAL + 2);
  await h.dispatcher.stop(0);
});

test.each([9, 10])(
  'with %i messages in front of it, a message that makes a request full lets it go',
  async (before) => {
    const h = harness({ hold: true });
    for (let i = 0; i < 100; i++) h.send(`r${i}`);
    h.dispatcher.dispatch();
    h.send('busy', before);
    const { turns } = h.delivery.routes;
    expect([...turns.full(0)]).toHaveLength(before === 10 ? 1 : 0);
    h.send('busy');
    h.dispatcher.dispatch();
    expect(h.sizes().filter((size) => size === 10)).toHaveLength(1);
    await h.dispatcher.stop(0);
  },
);

test('requests that are not answered for long hold back nobody else', async () => {
  const h = harness({ hold: true });
  for (let i = 0; i < 100; i++) h.send(`r${i}`);
  for (let turn = 0; turn < Math.ceil(100 / MAX_PARTIAL); turn++) {
    h.clock.ms = turn * COUNTED_MS;
    h.dispatcher.dispatch();
    expect(h.endpoint.batches).toHaveLength(Math.min(100, (turn + 1) * MAX_PARTIAL));
  }
  await h.dispatcher.stop(0);
});

test('every route has its turn, the one that has waited for the longest first', async () => {
  const h = harness();
  for (let round = 0; round < 3; round++) for (let i = 0; i < 200; i++) h.send(`r${i}`);
  h.dispatcher.dispatch();
  await waitFor(() => h.delivery.unsettled.oldest === undefined, 'everything to settle');
  expect(h.sizes()).toEqual(Array.from({ length: 200 }, () => 3));
});

test('many routes that are down hold back no other', async () => {
  const isDown = (route: string): boolean => Number(route.slice(1)) < 150;
  const h = harness({ answer: ({ route }) => (isDown(route) ? DOWN : 'delivered') });
  for (let round = 0; round < 3; round++) {
    for (let i = 0; i < 200; i++) h.send(`r${i}`);
    h.dispatcher.dispatch();
    await waitFor(
      () => [...h.delivery.routes.all()].every(({ id, unsettled }) => isDown(id) || unsettled === 0),
      'what can be delivered',
    );
  }
  expect(h.endpoint.accepted).toHaveLength(150);
  expect([...h.delivery.routes.all()].filter(({ health }) => health.error !== undefined)).toHaveLength(150);
  await h.dispatcher.stop(0);
});

test('there is room for ten messages of each route that rows have opened', () => {
  const h = harness();
  for (let i = 0; i < 500; i++) h.send(`r${i}`, 9);
  expect(h.delivery.unsettled.room.isFull()).toBe(false);
  for (let i = 0; i < 500; i++) h.send(`r${i}`);
  expect(h.delivery.unsettled.room.isFull()).toBe(true);
});

test('a route that has nothing left waits for no place', () => {
  const { delivery, send } = harness();
  const { turns } = delivery.routes;
  send('r0', 2);
  const { ready } = delivery.routes.queueByRow('r0', BY) as RouteQueue<Pending>;
  expect(turns.isAnyClosed).toBe(true);
  ready.shift();
  expect(turns.isAnyClosed).toBe(true);
  ready.shift();
  expect(turns.isAnyClosed).toBe(false);
});

test('a route whose messages do not fit into one request has its turn again until all are sent', async () => {
  const delivery = createDelivery({ maxBuffered: undefined });
  const endpoint = new Endpoint({});
  const dispatcher = createDispatcher(delivery, { deliver: endpoint.deliver, sizeOf: () => 60 });
  const by = { ...BY, open: (id: string) => routeTo(id, { batchBytes: 100, lanesPerRoute: 1 }) };
  for (let i = 0; i < 3; i++) {
    const routeQueue = delivery.routes.queueByRow('large', by) as RouteQueue<Pending>;
    const message = pendingMessage(delivery, { routeQueue });
    message.rendered(delivery.unsettled.arenas.enter(), 0, 0);
    delivery.unsettled.enter(message);
  }
  dispatcher.dispatch();
  await waitFor(() => delivery.unsettled.oldest === undefined, 'everything to settle');
  expect(endpoint.batches.map((batch) => batch.length)).toEqual([1, 1, 1]);
});

test('requests to routes of tables, and to those that are down, are none of the few', async () => {
  const h = harness({ hold: true });
  for (let i = 0; i < 40; i++) {
    const fixed = h.delivery.routes.queue(routeTo(`fixed${i}`, { batchBytes: 100_000 }));
    const message = pendingMessage(h.delivery, { routeQueue: fixed });
    message.rendered(h.delivery.unsettled.arenas.enter(), 0, 0);
    h.delivery.unsettled.enter(message);
    h.send(`down${i}`);
    const down = h.delivery.routes.queueByRow(`down${i}`, BY) as RouteQueue<Pending>;
    down.open();
    const { health } = down;
    while (!health.isDown) {
      const failed = { startedAt: health.rests, nowMs: -1000, chance: 0 };
      health.fail(DOWN, h.delivery.settings.retry, failed);
    }
  }
  for (let i = 0; i < 100; i++) h.send(`r${i}`);
  for (let look = 0; look < 10; look++) h.dispatcher.dispatch();
  expect(h.endpoint.batches).toHaveLength(40 + 40 + MAX_PARTIAL);
  await h.dispatcher.stop(0);
});

test('many probes that hang hold back no other', async () => {
  const h = harness({ hold: true });
  for (let i = 0; i < 100; i++) {
    h.send(`down${i}`);
    const { health } = h.queueOf(`down${i}`);
    while (!health.isDown) {
      const failed = { startedAt: health.rests, nowMs: -1000, chance: 0 };
      health.fail(DOWN, h.delivery.settings.retry, failed);
    }
  }
  h.send('up');
  h.dispatcher.dispatch();
  await waitFor(() => h.endpoint.batches.length === 101, 'all of them to be sent to');
  expect(h.queueOf('up').inFlight).toBe(1);
  await h.dispatcher.stop(0);
});

test('of more routes that are full than there are lanes for, each has its turn', async () => {
  const limits = { batchCount: 10, batchBytes: 100_000, lanesAtFirst: 2, lanesPerRoute: 4 };
  const h = harness({ hold: true, by: { ...BY, open: (id) => routeTo(id, limits) } });
  for (let i = 0; i < MAX_LANES / 2; i++) h.send(`busy${i}`, 40);
  h.send('late', 40);
  h.dispatcher.dispatch();
  expect(h.endpoint.batches).toHaveLength(MAX_LANES);
  h.endpoint.held.shift()!();
  await waitFor(() => h.endpoint.batches.length > MAX_LANES, 'the next request');
  expect(h.queueOf('late').lanesInUse).toBe(1);
  await h.dispatcher.stop(0);
});

/** One that is down until then, with ten messages, and has no turn. */
function resting(retryAfterMs: number) {
  const h = harness();
  h.send('down', 10);
  const down = h.queueOf('down');
  const { health } = down;
  health.fail({ ...DOWN, throttled: true, retryAfterMs }, h.delivery.settings.retry, {
    startedAt: 0,
    nowMs: 0,
    chance: 0,
  });
  const { turns } = h.delivery.routes;
  expect([...turns.full(0), ...turns.waiting(0)]).toEqual([]);
  return { ...h, turns, down };
}

test('one that is down has no turn before it is to be probed, and then both turns again', () => {
  const { turns, down } = resting(1000);
  expect(turns.wakeAtMs).toBe(1000);
  turns.wakeDue(999);
  expect([...turns.full(999), ...turns.waiting(999)]).toEqual([]);
  turns.wakeDue(1000);
  expect([...turns.full(1000)]).toEqual([down]);
  expect([...turns.waiting(1000)]).toEqual([down]);
  // Nobody looks again for one that does not rest.
  expect(turns.wakeAtMs).toBe(Infinity);
});

test('those that are to be probed one after the other are looked for some at a time', () => {
  const { turns } = resting(1);
  expect(turns.wakeAtMs).toBeGreaterThan(10);
  expect(turns.wakeAtMs).toBeLessThan(100);
});

test('one that is down has no turn among those of rows any more once a table names it', () => {
  const { turns, down, delivery } = resting(1000);
  delivery.routes.queue(down.route);
  turns.wakeDue(1000);
  expect([...turns.full(1000), ...turns.waiting(1000)]).toEqual([]);
});

test('one that is down is probed when its time has come, also where nothing else happens', async () => {
  const delivery = createDelivery({
    retry: { initialBackoffMs: 100, multiplier: 1, maxBackoffMs: 100, jitter: 0 },
  });
  const endpoint = new Endpoint({ answer: (_, attempt) => (attempt <= 6 ? DOWN : 'delivered') });
  const render = (of: Pending): void => of.rendered(delivery.unsettled.arenas.enter(), 0, 0);
  const dispatcher = createDispatcher(delivery, endpoint, { prepare: (list) => list.forEach(render) });
  const routeQueue = delivery.routes.queueByRow('down', BY) as RouteQueue<Pending>;
  const message = pendingMessage(delivery, { routeQueue });
  render(message);
  delivery.unsettled.enter(message);
  dispatcher.dispatch();
  await waitFor(() => endpoint.accepted.length === 1, 'it to be sent', 20_000);
  expect(delivery.routes.turns.wakeAtMs).toBe(Infinity);
  await dispatcher.stop(0);
});
