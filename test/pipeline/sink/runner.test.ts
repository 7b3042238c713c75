// One run of a sink by itself: when it reads on.
import { expect, onTestFinished, test, vi } from 'vitest';
import { SinkRunner } from '../../../src/pipeline/sink/runner.ts';
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
