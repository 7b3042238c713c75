// What a kill finds on the disk while a message is refused, and what the next process makes of it.
import { copyFileSync } from 'node:fs';
import { expect, onTestFinished, test } from 'vitest';
import type { Message } from '../../../src/core/message.ts';
import { SinkRunner } from '../../../src/pipeline/sink/runner.ts';
import { REFUSED, REJECTED, type EndpointOptions } from '../../support/dispatcher.ts';
import { SINK } from '../../support/letters.ts';
import { bodyOf } from '../../support/messages.ts';
import { insertMessage, updateMessage } from '../../support/pgoutput-messages.ts';
import { openSinkRoom, TABLE, TestSink, type SinkRoom } from '../../support/sink-room.ts';
import { waitFor } from '../../support/wait.ts';

/** What a message says, as `insert 1`. */
const said = (body: string): string => {
  const { action, record } = JSON.parse(body) as { action: string; record: { id: number } };
  return `${action} ${record.id}`;
};
const sayingOf = (message: Message): string => said(bodyOf(message));

async function start(room: SinkRoom, answer: NonNullable<EndpointOptions['answer']>) {
  const sink = new TestSink({ answer });
  const runner = await SinkRunner.create(room.options, () => Promise.resolve(sink));
  runner.run().catch(() => undefined);
  let stopped: Promise<void> | undefined;
  const stop = (): Promise<void> => (stopped ??= runner.stop(0));
  onTestFinished(stop);
  return { runner, stop, accepted: () => sink.endpoint.accepted.map(({ body }) => said(body)) };
}

/** The ledger as it is now is what the next process finds. */
function ledgerNow({ options }: SinkRoom): () => void {
  const copy = `${options.ledgerFile}.copy`;
  copyFileSync(options.ledgerFile, copy);
  return () => copyFileSync(copy, options.ledgerFile);
}

const settledEverything = (room: SinkRoom) => () =>
  room.signals.settled(room.options.slot).offset === room.signals.writtenEnd();

/** The row 1 becomes 2, and there is a new row 1. */
const moved = [
  insertMessage(TABLE, ['1', 'a']),
  updateMessage(TABLE, ['2', 'a'], { kind: 'key', row: ['1', null] }),
  insertMessage(TABLE, ['1', 'anew']),
];

test.each(['insert 2', 'delete 1'])(
  'of a split key change only the half that was refused (%s) is sent again, however often the process is killed',
  async (refused) => {
    const other = refused === 'insert 2' ? 'delete 1' : 'insert 2';
    const room = await openSinkRoom({ keyChanges: 'split' });
    room.append(100, moved);
    for (let kill = 0; kill < 3; kill++) {
      let refusals = 0;
      const run = await start(room, (message) => {
        if (sayingOf(message) !== refused) return 'delivered';
        refusals++;
        return REFUSED;
      });
      await waitFor(() => refusals > 1, 'the refusals');
      // What waits for the refused half is not sent; the other half was, once.
      const taken =
        kill > 0 ? [] : refused === 'insert 2' ? ['insert 1', other, 'insert 1'] : ['insert 1', other];
      await waitFor(() => run.accepted().length === taken.length, 'the others');
      expect(run.accepted().toSorted()).toEqual(taken.toSorted());
      const restore = ledgerNow(room);
      await run.stop();
      restore();
    }
    const last = await start(room, () => 'delivered');
    await waitFor(settledEverything(room), 'everything to be settled');
    expect(last.accepted()).toEqual(refused === 'insert 2' ? ['insert 2'] : ['delete 1', 'insert 1']);
  },
);

test('a change whose dead letter is stored is not sent again when a kill comes before the ledger has it, nor once the letter is gone (C241)', async () => {
  const room = await openSinkRoom();
  const { deadLetters } = room.options.store;
  room.insert(100, [1, 2, 3]);
  let restore: (() => void) | undefined;
  const add = deadLetters.add.bind(deadLetters);
  deadLetters.add = (letter, now) => {
    add(letter, now);
    restore = ledgerNow(room);
  };
  const first = await start(room, (message) => {
    const saying = sayingOf(message);
    return saying === 'insert 1' ? REFUSED : saying === 'insert 3' ? REJECTED : 'delivered';
  });
  await waitFor(() => restore !== undefined && first.accepted().length === 1, 'the letter');
  await first.stop();
  restore!();
  const second = await start(room, (message) => (sayingOf(message) === 'insert 1' ? REFUSED : 'delivered'));
  await waitFor(() => second.runner.status().retried > 2, 'the log to be read');
  expect(second.accepted()).toEqual([]);
  expect(deadLetters.list(SINK, {}, { limit: 10 })).toHaveLength(1);
  deadLetters.discard(SINK, {});
  const again = ledgerNow(room);
  await second.stop();
  again();
  const third = await start(room, () => 'delivered');
  await waitFor(settledEverything(room), 'everything to be settled');
  expect(third.accepted()).toEqual(['insert 1']);
});

test('of a split key change with a stored dead letter only the other half is sent again', async () => {
  const room = await openSinkRoom({ keyChanges: 'split' });
  const { deadLetters } = room.options.store;
  room.append(100, moved);
  let restore: (() => void) | undefined;
  const add = deadLetters.add.bind(deadLetters);
  deadLetters.add = (letter, now) => {
    add(letter, now);
    restore = ledgerNow(room);
  };
  const first = await start(room, (message) => {
    const saying = sayingOf(message);
    return saying === 'insert 2' ? REJECTED : saying === 'delete 1' ? REFUSED : 'delivered';
  });
  await waitFor(() => restore !== undefined, 'the letter');
  await first.stop();
  restore!();
  const second = await start(room, () => 'delivered');
  await waitFor(settledEverything(room), 'everything to be settled');
  expect(second.accepted().filter((saying) => saying === 'insert 2')).toEqual([]);
  expect(second.accepted().slice(-2)).toEqual(['delete 1', 'insert 1']);
});
