// One run of a sink by itself: when it reads on.
import { expect, onTestFinished, test, vi } from 'vitest';
import { SinkRunner } from '../../../src/pipeline/sink/runner.ts';
import { Dispatcher } from '../../../src/pipeline/delivery/dispatcher.ts';
import { MAX_OPEN_ROUTES } from '../../../src/pipeline/delivery/open-routes.ts';
import type { RouteByRow } from '../../../src/sinks/sink.ts';
import { routeTo } from '../../support/dispatcher.ts';
import { openSinkRoom, TestSink, type SinkRoom } from '../../support/sink-room.ts';
import { waitFor } from '../../support/wait.ts';

test('a gap that is accepted before anybody has stopped the sink for it does not keep the sink from reading on', async () => {
  const room = await openSinkRoom();
  const sink = new TestSink();
  const { signals, slot } = room.options;
  signals.setHalted(slot, true);
  const asked = vi.spyOn(signals, 'isHalted');
  const runner = await SinkRunner.create(room.options, () => Promise.resolve(sink));
  onTestFinished(() => runner.stop(0));
  void runner.run();
  room.insert(100, [1, 2]);
  await waitFor(() => asked.mock.calls.length > 1, 'the sink to meet the gap twice');
  expect(sink.accepted()).toEqual([]);
  signals.setHalted(slot, false);
  await waitFor(() => sink.accepted().length === 2, 'what lies behind the gap');
});

test('a sink that waits at a gap stops at once', async () => {
  const room = await openSinkRoom();
  const sink = new TestSink();
  room.signals.setHalted(room.options.slot, true);
  const asked = vi.spyOn(room.signals, 'isHalted');
  const runner = await SinkRunner.create(room.options, () => Promise.resolve(sink));
  const running = runner.run();
  room.insert(100, [1]);
  await waitFor(() => asked.mock.calls.length > 0, 'the sink to meet the gap');
  await runner.stop(0);
  await running;
  expect([sink.accepted(), sink.isClosed]).toEqual([[], true]);
});

/** A sink with a request without an answer, and whether its dispatcher takes it that more is let in. */
async function reading(room: SinkRoom) {
  const dispatched = vi.spyOn(Dispatcher.prototype, 'dispatch');
  onTestFinished(() => dispatched.mockRestore());
  const sink = new TestSink({ hold: true });
  const runner = await SinkRunner.create(room.options, () => Promise.resolve(sink));
  onTestFinished(() => runner.stop(0));
  void runner.run();
  await waitFor(() => sink.endpoint.batches.length > 0, 'a request');
  return dispatched.mock.contexts[0] as Dispatcher;
}

test('nothing more is being read at the end of the log', async () => {
  const room = await openSinkRoom();
  room.insert(100, [1]);
  expect((await reading(room)).isReading).toBe(false);
});

test('nothing more is being read while the sink waits for room', async () => {
  const room = await openSinkRoom({ maxBuffered: 2 });
  room.insert(100, [1, 2]);
  room.insert(101, [3]);
  expect((await reading(room)).isReading).toBe(false);
});

test('nothing more is being read while the sink waits at a gap', async () => {
  const room = await openSinkRoom();
  room.insert(100, [1]);
  const dispatcher = await reading(room);
  const looks: boolean[] = [];
  const dispatch = dispatcher.dispatch.bind(dispatcher);
  dispatcher.dispatch = () => {
    looks.push(dispatcher.isReading);
    dispatch();
  };
  dispatcher.isReading = true;
  room.signals.setHalted(room.options.slot, true);
  room.insert(101, [2]);
  await waitFor(() => !dispatcher.isReading, 'the sink to rest');
  // A request that waited for more goes.
  expect(looks).toEqual([false]);
});

test('full requests go while a block is being read', async () => {
  const room = await openSinkRoom();
  room.insert(100, [1]);
  const dispatcher = await reading(room);
  const sendFull = dispatcher.sendFull.bind(dispatcher);
  let readyAtMost = 0;
  dispatcher.sendFull = () => {
    readyAtMost = Math.max(readyAtMost, dispatcher.gauges().buffered);
    sendFull();
  };
  const ids = Array.from({ length: 300 }, (_, i) => i + 2);
  room.insert(101, ids);
  await waitFor(() => readyAtMost > 0, 'the block to be read');
  expect(readyAtMost).toBeGreaterThan(50);
});

/** Each row goes to a route of its own. */
class SinkByRow extends TestSink {
  routeByRow(): RouteByRow {
    return {
      groupTemplate: undefined,
      columns: ['id'],
      idOf: (row) => `q${row?.text('id')}`,
      open: (id) => routeTo(id, { messageBytes: 10_000, batchBytes: 100_000 }),
    };
  }
}

test('that nothing is sent to others because all routes that may be open are in use is told where it lasts', async () => {
  const room = await openSinkRoom();
  const sink = new SinkByRow({ hold: true });
  const runner = await SinkRunner.create(room.options, () => Promise.resolve(sink));
  onTestFinished(() => runner.stop(0));
  void runner.run();
  const count = MAX_OPEN_ROUTES + 200;
  const ids = Array.from({ length: count }, (_, i) => i + 1);
  while (ids.length > 0) room.insert(100 + count - ids.length, ids.splice(0, 500));
  await waitFor(
    () => runner.status().routesInUse === undefined && sink.endpoint.batches.length > 0,
    'requests',
  );
  await waitFor(() => sink.endpoint.batches.length === MAX_OPEN_ROUTES, 'as many as may be open');
  await waitFor(() => runner.status().buffered === count, 'all to be read');
  expect(runner.status().routesInUse).toBeUndefined();
  const now = performance.now.bind(performance);
  let aheadMs = 0;
  const clock = vi.spyOn(performance, 'now').mockImplementation(() => now() + aheadMs);
  onTestFinished(() => clock.mockRestore());
  // It counts from the next look at the routes on.
  await waitFor(() => {
    aheadMs += 60_000;
    return runner.status().routesInUse !== undefined;
  }, 'it to be told');
  const { routeCounts, ...status } = runner.status();
  expect(status.routesInUse).toBe(MAX_OPEN_ROUTES);
  expect(routeCounts).toMatchObject({ healthy: MAX_OPEN_ROUTES });
  const letGo = setInterval(() => sink.endpoint.held.splice(0).forEach((go) => go()), 1);
  onTestFinished(() => clearInterval(letGo));
  await waitFor(() => sink.endpoint.accepted.length === count, 'the rest');
  aheadMs += 60_000;
  expect(runner.status().routesInUse).toBeUndefined();
});
