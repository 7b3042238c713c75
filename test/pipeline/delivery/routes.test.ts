// Which routes are open: those of tables stay, those that rows decide come and go.
import { expect, test } from 'vitest';
import type { Pending } from '../../../src/pipeline/delivery/pending.ts';
import type { RouteQueue } from '../../../src/pipeline/delivery/route-queue.ts';
import { MAX_ROUTES_BY_ROW } from '../../../src/pipeline/delivery/room.ts';
import type { RouteByRow } from '../../../src/sinks/sink.ts';
import { createDelivery, pendingMessage, routeTo, type Delivery } from '../../support/dispatcher.ts';

/** Only routes fill the room. */
const ROOMY = { maxParked: 100_000 };

function topics(): { by: RouteByRow; opened: string[]; closed: string[] } {
  const opened: string[] = [];
  const closed: string[] = [];
  const by: RouteByRow = {
    groupTemplate: undefined,
    idOf: (row) => row?.text('topic') ?? '',
    open(id) {
      opened.push(id);
      return routeTo(id);
    },
    closed: ({ id }) => void closed.push(id),
  };
  return { by, opened, closed };
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

test('the same id is the same route, whether a table or a row names it', () => {
  const delivery = createDelivery(ROOMY);
  const { by, opened } = topics();
  const first = delivery.routes.queueByRow('a', by);
  expect(delivery.routes.queueByRow('a', by)).toBe(first);
  expect(delivery.routes.queue(routeTo('a'))).toBe(first);
  expect(delivery.routes.queueByRow('a', by)).toBe(first);
  expect(opened).toEqual(['a']);
});

test('a thousand routes of rows are open at most: the one that is idle for the longest is closed for another', () => {
  const delivery = createDelivery(ROOMY);
  const { by, closed } = topics();
  delivery.routes.queue(routeTo('of the table'));
  const first = send(delivery, 't0', by);
  for (let i = 1; i < MAX_ROUTES_BY_ROW; i++) delivery.routes.queueByRow(`t${i}`, by);
  expect(closed).toEqual([]);
  delivery.routes.queueByRow('t1', by);
  delivery.routes.queueByRow('new', by);
  // t0 has a message on its way, t1 was just used.
  expect(closed).toEqual(['t2']);
  settle(delivery, first);
  delivery.routes.queueByRow('newer', by);
  expect(closed).toEqual(['t2', 't3']);
  expect(idsOf(delivery)).toHaveLength(MAX_ROUTES_BY_ROW + 1);
  expect(idsOf(delivery)).toContain('of the table');
});

test('a route that was closed is opened again when a row wants it', () => {
  const delivery = createDelivery(ROOMY);
  const { by, opened, closed } = topics();
  const first = delivery.routes.queueByRow('a', by);
  for (let i = 0; i < MAX_ROUTES_BY_ROW; i++) delivery.routes.queueByRow(`t${i}`, by);
  expect(closed).toEqual(['a']);
  expect(delivery.routes.queueByRow('a', by)).not.toBe(first);
  expect(opened.filter((id) => id === 'a')).toHaveLength(2);
});

test('where messages are on their way to all of them reading stops, until one is idle', () => {
  const delivery = createDelivery(ROOMY);
  const { by, closed } = topics();
  const { room } = delivery.unsettled;
  const messages = Array.from({ length: MAX_ROUTES_BY_ROW - 1 }, (_, i) => send(delivery, `t${i}`, by));
  expect(room.isFull()).toBe(false);
  messages.push(send(delivery, 'last', by), send(delivery, 'one more of the same block', by));
  expect([room.isFull(), room.hasRoomAgain()]).toEqual([true, false]);
  expect(closed).toEqual([]);
  for (const message of messages.splice(0, 2)) settle(delivery, message);
  expect([room.isFull(), room.hasRoomAgain()]).toEqual([false, true]);
  send(delivery, 'next', by);
  expect(closed).toEqual(['t0', 't1']);
  expect(idsOf(delivery)).toHaveLength(MAX_ROUTES_BY_ROW);
});

test('a route that a table names as well stays open, and is not counted', () => {
  const delivery = createDelivery(ROOMY);
  const { by, closed } = topics();
  const message = send(delivery, 'both', by);
  const both = delivery.routes.queue(routeTo('both'));
  settle(delivery, message);
  for (let i = 0; i < MAX_ROUTES_BY_ROW; i++) send(delivery, `t${i}`, by);
  expect(closed).toEqual([]);
  expect(delivery.routes.queueByRow('both', by)).toBe(both);
  expect(delivery.unsettled.room.isFull()).toBe(true);
});

test('a route that a table names as well is not counted for what was on its way there before either', () => {
  const delivery = createDelivery(ROOMY);
  const { by } = topics();
  send(delivery, 'both', by);
  delivery.routes.queue(routeTo('both'));
  for (let i = 1; i < MAX_ROUTES_BY_ROW; i++) send(delivery, `t${i}`, by);
  expect(delivery.unsettled.room.isFull()).toBe(false);
  send(delivery, 'one more', by);
  expect(delivery.unsettled.room.isFull()).toBe(true);
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
