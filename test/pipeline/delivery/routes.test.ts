// Which routes there are: those of tables stay, those that rows decide come and go.
import { expect, test } from 'vitest';
import type { Pending } from '../../../src/pipeline/delivery/pending.ts';
import type { RouteQueue } from '../../../src/pipeline/delivery/route-queue.ts';
import { MAX_UNUSED_ROUTES } from '../../../src/pipeline/delivery/routes.ts';
import type { RouteByRow } from '../../../src/sinks/sink.ts';
import { createDelivery, pendingMessage, routeTo, type Delivery } from '../../support/dispatcher.ts';

/** Only routes fill the room. */
const ROOMY = { maxParked: 100_000 };

function topics(): { by: RouteByRow; opened: string[] } {
  const opened: string[] = [];
  const by: RouteByRow = {
    groupTemplate: undefined,
    idOf: (row) => row?.text('topic') ?? '',
    open(id) {
      opened.push(id);
      return routeTo(id);
    },
  };
  return { by, opened };
}

/** A message on its way to the route that its row decides. */
function send(delivery: Delivery, id: string, by: RouteByRow): Pending {
  const routeQueue = delivery.routes.queueByRow(id, by) as RouteQueue<Pending>;
  const message = pendingMessage(delivery, { routeQueue });
  delivery.unsettled.enter(message);
  return message;
}

function settle({ unsettled }: Delivery, message: Pending): void {
  message.become('settled');
  unsettled.leave(message);
}

const idsOf = ({ routes }: Delivery): string[] => [...routes.all()].map(({ id }) => id);

/** Of those that rows have named. */
const goneOf = (delivery: Delivery, opened: readonly string[]): string[] => {
  const open = new Set(idsOf(delivery));
  return opened.filter((id) => !open.has(id));
};

test('the same id is the same route, whether a table or a row names it', () => {
  const delivery = createDelivery(ROOMY);
  const { by, opened } = topics();
  const first = delivery.routes.queueByRow('a', by);
  expect(delivery.routes.queueByRow('a', by)).toBe(first);
  expect(delivery.routes.queue(routeTo('a'))).toBe(first);
  expect(delivery.routes.queueByRow('a', by)).toBe(first);
  expect(opened).toEqual(['a']);
});

test('of a thousand routes that nothing is on its way to, the one that was used the longest ago goes for another', () => {
  const delivery = createDelivery(ROOMY);
  const { by, opened } = topics();
  delivery.routes.queue(routeTo('of the table'));
  const first = send(delivery, 't0', by);
  for (let i = 1; i <= MAX_UNUSED_ROUTES; i++) delivery.routes.queueByRow(`t${i}`, by);
  expect(goneOf(delivery, opened)).toEqual([]);
  delivery.routes.queueByRow('t1', by);
  delivery.routes.queueByRow('new', by);
  // t0 has a message on its way, t1 was just used.
  expect(goneOf(delivery, opened)).toEqual(['t2']);
  settle(delivery, first);
  delivery.routes.queueByRow('newer', by);
  expect(goneOf(delivery, opened)).toEqual(['t2', 't3', 't4']);
  expect(idsOf(delivery)).toHaveLength(MAX_UNUSED_ROUTES + 1);
  expect(idsOf(delivery)).toContain('of the table');
});

test('a route that went is asked for again when a row names it', () => {
  const delivery = createDelivery(ROOMY);
  const { by, opened } = topics();
  const first = delivery.routes.queueByRow('a', by);
  for (let i = 0; i < MAX_UNUSED_ROUTES; i++) delivery.routes.queueByRow(`t${i}`, by);
  expect(goneOf(delivery, opened)).toEqual(['a']);
  expect(delivery.routes.queueByRow('a', by)).not.toBe(first);
  expect(opened.filter((id) => id === 'a')).toHaveLength(2);
});

test('with messages for ten thousand routes there is room for ten thousand, and all of the routes stay', () => {
  const delivery = createDelivery({ ...ROOMY, maxBuffered: undefined });
  const { by, opened } = topics();
  const { room } = delivery.unsettled;
  const rendered = (id: string): void => {
    const routeQueue = delivery.routes.queueByRow(id, by) as RouteQueue<Pending>;
    const message = pendingMessage(delivery, { routeQueue });
    message.rendered(delivery.unsettled.arenas.enter(), 0, 0);
    delivery.unsettled.enter(message);
  };
  for (let i = 0; i < 9_999; i++) rendered(`t${i}`);
  expect(room.isFull()).toBe(false);
  rendered('last');
  expect(room.isFull()).toBe(true);
  expect(goneOf(delivery, opened)).toEqual([]);
  expect([...delivery.routes.all()].filter(({ isOpen }) => isOpen)).toEqual([]);
});

test('of messages of which only the log offset is kept there may be many, but of twelve thousand routes at most', () => {
  const delivery = createDelivery(ROOMY);
  const { by } = topics();
  const { room } = delivery.unsettled;
  const messages = Array.from({ length: 11_999 }, (_, i) => send(delivery, `t${i}`, by));
  expect([room.isFull(), room.hasRoomAgain()]).toEqual([false, true]);
  messages.push(send(delivery, 'last', by));
  expect([room.isFull(), room.hasRoomAgain()]).toEqual([true, false]);
  settle(delivery, messages[0]!);
  expect([room.isFull(), room.hasRoomAgain()]).toEqual([false, true]);
});

test('a route that a table names from then on is none of those that rows name', () => {
  const delivery = createDelivery(ROOMY);
  const { by } = topics();
  const { room } = delivery.unsettled;
  for (let i = 0; i < 12_000; i++) send(delivery, `t${i}`, by);
  expect(room.isFull()).toBe(true);
  const named = delivery.routes.queue(routeTo('t0'));
  expect(room.isFull()).toBe(false);
  const turns = [...delivery.routes.turns.waiting(0)];
  expect(turns).toHaveLength(11_999);
  expect(turns).not.toContain(named);
});

test('a route that a table names as well stays', () => {
  const delivery = createDelivery(ROOMY);
  const { by, opened } = topics();
  const message = send(delivery, 'both', by);
  const both = delivery.routes.queue(routeTo('both'));
  settle(delivery, message);
  for (let i = 0; i <= MAX_UNUSED_ROUTES; i++) delivery.routes.queueByRow(`t${i}`, by);
  expect(goneOf(delivery, opened)).toEqual(['t0']);
  expect(delivery.routes.queueByRow('both', by)).toBe(both);
  expect(both.isOpen).toBe(true);
});

test('what has no route is in no queue of a route, though its name is one that is there', () => {
  const delivery = createDelivery(ROOMY);
  const { by, opened } = topics();
  const known = delivery.routes.queueByRow('a', by) as RouteQueue<Pending>;
  const nowhere = delivery.routes.nowhere({ id: 'a' });
  expect(nowhere).not.toBe(known);
  expect([nowhere.isNowhere, known.isNowhere]).toEqual([true, false]);
  expect(nowhere.route.id).toBe('a');
  expect(delivery.routes.nowhere({ id: 'a' })).toBe(nowhere);
  expect(delivery.routes.queueByRow('a', by)).toBe(known);
  // And the other way: a route that comes to be there later.
  const before = delivery.routes.nowhere({ id: 'b' });
  expect(delivery.routes.queueByRow('b', by)).not.toBe(before);
  expect(opened).toEqual(['a', 'b']);
});
