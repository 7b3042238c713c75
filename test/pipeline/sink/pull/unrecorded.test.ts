// An acknowledgement that cannot be recorded: the worker is told so, and the message stays its own.
import { expect, onTestFinished, test, vi } from 'vitest';
import { SinkRunner } from '../../../../src/pipeline/sink/runner.ts';
import { stream } from '../../../../src/sinks/stream/stream.ts';
import { Ledger } from '../../../../src/store/ledger.ts';
import { patient } from '../../../support/messages.ts';
import { openSinkRoom, type SinkRoom } from '../../../support/sink-room.ts';
import { waitFor } from '../../../support/wait.ts';

async function start(room: SinkRoom) {
  const runner = await SinkRunner.create(room.options);
  const ended = runner.run();
  ended.catch(() => undefined);
  let stopped: Promise<unknown> | undefined;
  const stop = (): Promise<unknown> => (stopped ??= runner.stop(0).catch((error: unknown) => error));
  onTestFinished(async () => void (await stop()));
  return { pull: runner.pull!, runner, ended, stop };
}

const idsIn = (answer: Uint8Array | undefined): string[] =>
  answer === undefined
    ? []
    : (JSON.parse(Buffer.from(answer).toString()) as { data: { ack_id: string }[] }).data.map(
        ({ ack_id: id }) => id,
      );

test('an acknowledgement that the ledger cannot take is refused, and its message is given to nobody else', async () => {
  const config = stream.config.parse({ type: 'stream' });
  const room = await openSinkRoom({ destination: { type: 'stream', config } });
  room.insert(100, [1]);
  const first = await start(room);
  const ids = idsIn(await first.pull.receive({ maxCount: 10, waitMs: 60_000 }, patient));
  expect(ids).toHaveLength(1);

  const isFull = vi.spyOn(Ledger.prototype, 'write').mockImplementation(() => {
    throw new Error('the disk is full');
  });
  onTestFinished(() => isFull.mockRestore());
  await expect(first.pull.ack(ids)).rejects.toThrow('the disk is full');
  await expect(first.ended).rejects.toThrow('the disk is full');
  expect(await first.stop()).toMatchObject({ message: 'the disk is full' });
  isFull.mockRestore();

  const second = await start(room);
  await waitFor(
    () => second.runner.status().lagBytes > 0 && second.runner.status().inFlight > 0,
    'it to be read',
  );
  expect(idsIn(await second.pull.receive({ maxCount: 10, waitMs: 0 }, patient))).toEqual([]);
  expect(second.pull.status()).toMatchObject({ outstanding: 1, available: 0 });
  await second.pull.ack(ids);
  await waitFor(() => second.runner.status().lagBytes === 0, 'it to be settled');
  await second.stop();
  const third = await start(room);
  expect(idsIn(await third.pull.receive({ maxCount: 10, waitMs: 100 }, patient))).toEqual([]);
});
