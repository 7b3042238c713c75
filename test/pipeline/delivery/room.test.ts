// Room in memory: who waits for it is told, whether messages settle or only their payloads go.
import { setImmediate as nextTurn } from 'node:timers/promises';
import { expect, test } from 'vitest';
import { Room } from '../../../src/pipeline/delivery/room.ts';
import {
  createDelivery,
  createDispatcher,
  dispatcherHarness,
  DOWN,
  Messages,
  routeTo,
} from '../../support/dispatcher.ts';
import { waitFor } from '../../support/wait.ts';

async function full() {
  const delivery = createDelivery({ maxBuffered: 4 });
  const messages = new Messages(delivery);
  const list = Array.from({ length: 4 }, (_, i) => messages.add({ group: `g${i}` }));
  const stopping = new AbortController();
  const { unsettled } = delivery;
  let isOver = false;
  const waiting = unsettled.room.untilRoom(stopping.signal).then(() => (isOver = true));
  await nextTurn();
  expect([unsettled.room.isFull(), isOver]).toEqual([true, false]);
  return { unsettled, room: unsettled.room, list, waiting, stopping, isOver: () => isOver };
}

test('who waits for room goes on when enough has settled', async () => {
  const { unsettled, list, waiting } = await full();
  unsettled.leave(list[2]!);
  await waiting;
  expect(unsettled.room.hasRoomAgain()).toBe(true);
});

test('a payload that is dropped makes room too, though nothing settles', async () => {
  const { room, list, waiting } = await full();
  room.park(list[1]!);
  await waiting;
  expect(room).toMatchObject({ buffered: 3, parked: 1 });
});

test('who stops does not wait for room', async () => {
  const { stopping, waiting, room } = await full();
  stopping.abort();
  await waiting;
  expect(room.isFull()).toBe(true);
  await room.untilRoom(stopping.signal);
});

test('there is room for what is in requests and as many that wait for it, so that no lane waits for messages, and for a thousand at least', () => {
  const { unsettled } = createDelivery({ maxBuffered: undefined });
  const { room } = unsettled;
  const untilFull = (): number => {
    while (!room.isFull()) room.buffered++;
    return room.buffered;
  };
  expect(untilFull()).toBe(1000);
  room.send(600);
  expect(untilFull()).toBe(1600);
  room.send(4400);
  expect(untilFull()).toBe(10_000);
});

test('sinks that share a thread have room for three thousand together, each for enough to go on with, as many as they are now', () => {
  let company = 2;
  const room = new Room({ maxParked: 10_000 }, { company: () => company });
  const untilFull = (): number => {
    room.buffered = 0;
    while (!room.isFull()) room.buffered++;
    return room.buffered;
  };
  const rooms = [1, 2, 3, 4, 10, 100].map((sinks) => {
    company = sinks;
    return untilFull();
  });
  expect(rooms).toEqual([1000, 1000, 1000, 750, 300, 250]);
  // Routes that rows have opened have ten messages each, whoever else is there.
  room.serveRoutes(500);
  expect(untilFull()).toBe(5000);
});

test('a room that somebody has set is no larger for what is in requests', () => {
  const { unsettled } = createDelivery({ maxBuffered: 4 });
  unsettled.room.buffered = 4;
  unsettled.room.send(4);
  expect(unsettled.room.isFull()).toBe(true);
});

test('who waits for room goes on when what is there is sent', async () => {
  const { room } = createDelivery({ maxBuffered: undefined }).unsettled;
  room.buffered = 1000;
  const waiting = room.untilRoom(new AbortController().signal);
  room.send(500);
  await waiting;
  expect(room.hasRoomAgain()).toBe(true);
});

test('who waits for room goes on when messages are held back, for which there is more', async () => {
  const { room } = createDelivery({ maxBuffered: undefined }).unsettled;
  room.buffered = 1000;
  const waiting = room.untilRoom(new AbortController().signal);
  room.hold(100);
  await waiting;
  expect(room.hasRoomAgain()).toBe(true);
});

test('there is room for what waits after a failed request, and for what waits for it in its groups, until it may go again', async () => {
  const delivery = createDelivery({
    maxBuffered: undefined,
    retry: { initialBackoffMs: 60_000, multiplier: 1, maxBackoffMs: 60_000, jitter: 0 },
  });
  const { room } = delivery.unsettled;
  const untilFull = (): number => {
    const { buffered } = room;
    while (!room.isFull()) room.buffered++;
    const full = room.buffered;
    room.buffered = buffered;
    return full;
  };
  const dispatcher = createDispatcher(delivery, {
    sizeOf: ({ start, end }) => end - start,
    deliver: (batch) => Promise.resolve(batch.map(() => DOWN)),
  });
  const messages = new Messages(delivery);
  for (let i = 0; i < 10; i++) messages.add({ group: `g${i}` });
  dispatcher.dispatch();
  await waitFor(() => room.inFlight === 0, 'the request to fail');
  expect(untilFull()).toBe(10 + 1000 + 40);
  // Everything fails: the route is down, and they wait for a probe as all do.
  for (let i = 0; i < 50; i++) messages.add({ group: `h${i}` });
  dispatcher.dispatch();
  await waitFor(() => [...delivery.routes.all()].every(({ isDown }) => isDown), 'the route to be down');
  expect(room.held).toBe(0);
  await dispatcher.stop(0);
});

test.each(['before', 'after'])(
  'what follows messages of a route that is down, at another route, takes no room of the others: read %s it went down',
  async (when) => {
    const [down, up] = [routeTo('down', { lanesPerRoute: 20 }), routeTo('up')];
    const h = dispatcherHarness({
      settings: {
        maxBuffered: undefined,
        maxParked: 100_000,
        retry: { initialBackoffMs: 600_000, multiplier: 1, maxBackoffMs: 600_000, jitter: 0 },
      },
      answer: ({ route }) => (route === 'down' ? DOWN : 'delivered'),
    });
    const goDown = async (): Promise<void> => {
      for (let i = 0; i < 50; i++) h.add({ group: `first ${i}`, route: down });
      h.dispatcher.dispatch();
      await waitFor(() => h.delivery.routes.queue(down).isDown, 'it to be down');
    };
    if (when === 'after') await goDown();
    for (let i = 0; i < 200; i++) {
      h.add({ group: `moves ${i}`, route: down });
      for (let j = 0; j < 15; j++) h.add({ group: `moves ${i}`, route: up });
    }
    if (when === 'before') await goDown();
    const { room } = h.delivery.unsettled;
    expect([room.isFull(), room.hasRoomAgain()]).toEqual([false, true]);
    await h.dispatcher.stop(0);
  },
);
