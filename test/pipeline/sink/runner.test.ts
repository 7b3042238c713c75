// One run of a sink by itself: when it reads on.
import { expect, onTestFinished, test, vi } from 'vitest';
import { SinkRunner } from '../../../src/pipeline/sink/runner.ts';
import { MAX_OPEN_ROUTES } from '../../../src/pipeline/delivery/open-routes.ts';
import type { RouteByRow } from '../../../src/sinks/sink.ts';
import { routeTo } from '../../support/dispatcher.ts';
import { openSinkRoom, TestSink } from '../../support/sink-room.ts';
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

test('that nothing more is read because all routes that may be open are in use is told where it lasts', async () => {
  const room = await openSinkRoom();
  const sink = new SinkByRow({ hold: true });
  const runner = await SinkRunner.create(room.options, () => Promise.resolve(sink));
  onTestFinished(() => runner.stop(0));
  void runner.run();
  // Ten messages for each of those that may be open have room.
  const count = 12 * MAX_OPEN_ROUTES;
  const ids = Array.from({ length: count }, (_, i) => i + 1);
  while (ids.length > 0) room.insert(100 + count - ids.length, ids.splice(0, 500));
  await waitFor(
    () => runner.status().routesInUse === undefined && sink.endpoint.batches.length > 0,
    'requests',
  );
  await waitFor(() => sink.endpoint.batches.length === MAX_OPEN_ROUTES, 'as many as may be open');
  await waitFor(() => runner.status().buffered > 10 * MAX_OPEN_ROUTES, 'the room to be full');
  expect(runner.status().routesInUse).toBeUndefined();
  const now = performance.now.bind(performance);
  const clock = vi.spyOn(performance, 'now').mockImplementation(() => now() + 60_000);
  onTestFinished(() => clock.mockRestore());
  const { buffered, routeCounts, ...status } = runner.status();
  expect(status.routesInUse).toBe(MAX_OPEN_ROUTES);
  expect(routeCounts).toMatchObject({ healthy: MAX_OPEN_ROUTES });
  expect(buffered).toBeLessThan(count);
  clock.mockImplementation(now);
  const letGo = setInterval(() => sink.endpoint.held.splice(0).forEach((go) => go()), 1);
  onTestFinished(() => clearInterval(letGo));
  await waitFor(() => sink.accepted().length === count, 'the rest');
  clock.mockImplementation(() => now() + 60_000);
  expect(runner.status().routesInUse).toBeUndefined();
});
