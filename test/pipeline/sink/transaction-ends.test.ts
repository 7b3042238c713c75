// What begins and what ends transactions, in a sink that is stopped or killed after any message: each comes once, in one order.
import { copyFileSync } from 'node:fs';
import { expect, onTestFinished, test } from 'vitest';
import type { Message } from '../../../src/core/message.ts';
import { rewindSink } from '../../../src/pipeline/sink/rewind.ts';
import { SinkRunner } from '../../../src/pipeline/sink/runner.ts';
import { append, begin, commit } from '../../log/stream.ts';
import { REFUSED, REJECTED, type EndpointOptions } from '../../support/dispatcher.ts';
import { SINK } from '../../support/letters.ts';
import { bodyOf } from '../../support/messages.ts';
import { deleteMessage, insertMessage, logicalMessage } from '../../support/pgoutput-messages.ts';
import { openSinkRoom, TABLE, TestSink, type SinkRoom } from '../../support/sink-room.ts';
import { waitFor } from '../../support/wait.ts';

const SETTINGS = {
  format: 'wal2json',
  formatOptions: { wal2json: { 'include-transaction': true, 'include-lsn': true } },
  actions: ['insert'],
} as const;

type Said = {
  readonly action: string;
  readonly lsn: string;
  readonly columns?: readonly [{ readonly value: number }];
};

/** `B 100`, `I 1`. */
const said = (body: string): string => {
  const { action, lsn, columns } = JSON.parse(body) as Said;
  return `${action} ${columns === undefined ? parseInt(lsn.slice(2), 16) : columns[0].value}`;
};

async function start(room: SinkRoom, answer: NonNullable<EndpointOptions['answer']> = () => 'delivered') {
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

const isSettled = (room: SinkRoom) => (): boolean =>
  room.signals.settled(room.options.slot).offset === room.signals.writtenEnd();

const wanted = (id: number): Buffer => insertMessage(TABLE, [String(id), 'v']);
const unwanted = (id: number): Buffer => deleteMessage(TABLE, { kind: 'key', row: [String(id), null] });

/** Transactions over several blocks: with what the sink takes in the first row, later, and nowhere. */
async function openRoom(settings: object = {}): Promise<SinkRoom> {
  const room = await openSinkRoom({ ...SETTINGS, ...settings });
  room.append(100, [wanted(1), unwanted(2), wanted(3)]);
  const second = { commitLsn: 200n, rows: 0 };
  append(room.log, [begin(second), unwanted(4)]);
  append(room.log, [unwanted(5), wanted(6)]);
  append(room.log, [wanted(7)]);
  append(room.log, [commit(second)]);
  room.append(300, [unwanted(8)]);
  const fourth = { commitLsn: 400n, rows: 0 };
  append(room.log, [begin(fourth)]);
  append(room.log, [wanted(9), unwanted(10), commit(fourth)]);
  return room;
}

const ALL = ['B 100', 'I 1', 'I 3', 'C 100', 'B 200', 'I 6', 'I 7', 'C 200', 'B 400', 'I 9', 'C 400'];

test.each(['kill', 'stop'])(
  'a %s after any message: what comes then is what is left, in the same order',
  async (how) => {
    for (let taken = 0; taken <= ALL.length; taken++) {
      const room = await openRoom();
      let [accepted, refusals] = [0, 0];
      const first = await start(room, () => {
        if (accepted < taken) accepted++;
        else refusals++;
        return refusals > 0 ? REFUSED : 'delivered';
      });
      const isOver = taken === ALL.length ? isSettled(room) : (): boolean => refusals > 1;
      await waitFor(isOver, 'as many messages as there are to be');
      const restore = ledgerNow(room);
      await first.stop();
      if (how === 'kill') restore();
      const second = await start(room);
      await waitFor(isSettled(room), 'everything to be settled');
      await second.stop();
      expect([first.accepted(), second.accepted()]).toEqual([ALL.slice(0, taken), ALL.slice(taken)]);
    }
  },
);

test('a transaction that is read to its middle, with nothing for the sink so far, is begun after a restart', async () => {
  const room = await openSinkRoom(SETTINGS);
  room.append(100, [wanted(1)]);
  const transaction = { commitLsn: 200n, rows: 0 };
  append(room.log, [begin(transaction), unwanted(2)]);
  append(room.log, [unwanted(3)]);
  const first = await start(room);
  await waitFor(() => first.accepted().length === 3, 'the first transaction');
  await first.stop();
  append(room.log, [wanted(4), commit(transaction)]);
  const second = await start(room);
  await waitFor(isSettled(room), 'everything to be settled');
  expect(second.accepted()).toEqual(['B 200', 'I 4', 'C 200']);
});

test('dead letters of what begins and ends a transaction are sent again by their keys, once', async () => {
  const room = await openRoom();
  const { deadLetters } = room.options.store;
  const first = await start(room, ({ action }) =>
    action === 'begin' || action === 'commit' ? REJECTED : 'delivered',
  );
  await waitFor(isSettled(room), 'everything to be settled');
  expect(first.accepted()).toEqual(ALL.filter((each) => each.startsWith('I')));
  const letters = deadLetters.list(SINK, {}, { limit: 100 });
  expect(letters).toHaveLength(6);
  await first.stop();
  deadLetters.replay(SINK, {}, () => false);
  const second = await start(room);
  await waitFor(() => second.accepted().length === 6, 'the letters');
  expect(second.accepted()).toEqual(ALL.filter((each) => !each.startsWith('I')));
  expect(deadLetters.list(SINK, {}, { limit: 100 })).toEqual([]);
});

test('a dead letter of the beginning that is stored before a kill does not come again, and its first row does', async () => {
  const room = await openRoom();
  const { deadLetters } = room.options.store;
  let restore: (() => void) | undefined;
  const add = deadLetters.add.bind(deadLetters);
  deadLetters.add = (letter, now) => {
    add(letter, now);
    restore ??= ledgerNow(room);
  };
  const first = await start(room, ({ action }) => (action === 'begin' ? REJECTED : REFUSED));
  await waitFor(() => restore !== undefined, 'the letter');
  await first.stop();
  restore!();
  const second = await start(room);
  await waitFor(isSettled(room), 'everything to be settled');
  expect(second.accepted()).toEqual(ALL.slice(1));
});

test.each([
  { to: { from: 'earliest' }, first: 'B 100' },
  { to: { from: 'lsn', lsn: 200n }, first: 'B 200' },
  { to: { from: 'lsn', lsn: 201n }, first: 'B 400' },
] as const)('after a rewind transactions come from the beginning of the first one', async ({ to, first }) => {
  const room = await openRoom();
  const before = await start(room);
  await waitFor(isSettled(room), 'everything to be settled');
  await before.stop();
  await rewindSink(room.options, to);
  const after = await start(room);
  await waitFor(() => after.accepted().at(-1) === ALL.at(-1), 'everything to come again');
  expect(after.accepted()).toEqual(ALL.slice(ALL.indexOf(first)));
});

test('where requests may have several messages of a group these come in one order all the same', async () => {
  const room = await openRoom({ sameGroup: 'ordered' });
  const requests: string[][] = [];
  const run = await start(room, (_, __, batch) => {
    requests.push(batch.map((message) => said(bodyOf(message))));
    return 'delivered';
  });
  await waitFor(isSettled(room), 'everything to be settled');
  expect(run.accepted()).toEqual(ALL);
  expect(Math.max(...requests.map(({ length }) => length))).toBeGreaterThan(1);
});

test.each(['kill', 'stop'])(
  'where the first row becomes a dead letter and what begins its transaction waits, a %s loses and repeats neither',
  async (how) => {
    const room = await openRoom({ sameGroup: 'ordered' });
    const { deadLetters } = room.options.store;
    const isFirstRow = ({ action, position }: Message): boolean =>
      action === 'insert' && position.commitLsn === 100n && position.index === 0;
    let restore: (() => void) | undefined;
    const add = deadLetters.add.bind(deadLetters);
    deadLetters.add = (letter, now) => {
      add(letter, now);
      restore ??= ledgerNow(room);
    };
    const first = await start(room, (message) => (isFirstRow(message) ? REJECTED : REFUSED));
    await waitFor(() => restore !== undefined, 'the letter');
    await first.stop();
    if (how === 'kill') restore!();
    let refusals = 0;
    const second = await start(room, () => (refusals++, REFUSED));
    await waitFor(() => refusals > 1, 'what is left to be refused');
    await second.stop();
    const third = await start(room);
    await waitFor(isSettled(room), 'everything to be settled');
    expect(third.accepted()).toEqual(ALL.filter((each) => each !== 'I 1'));
    expect(deadLetters.list(SINK, {}, { limit: 100 })).toHaveLength(1);
  },
);

test('where the first row is taken and what begins its transaction is not, a stop repeats neither', async () => {
  const room = await openRoom({ sameGroup: 'ordered' });
  const first = await start(room, ({ action, position }) =>
    action === 'insert' && position.commitLsn === 100n && position.index === 0 ? 'delivered' : REFUSED,
  );
  await waitFor(() => first.accepted().length > 0, 'the row');
  await first.stop();
  const second = await start(room);
  await waitFor(isSettled(room), 'everything to be settled');
  expect([first.accepted(), second.accepted()]).toEqual([['I 1'], ALL.filter((each) => each !== 'I 1')]);
});

test('the log lets go of nothing that what begins a transaction waits in, also where a marker comes before its first change', async () => {
  const room = await openSinkRoom(SETTINGS, { segmentBytes: 1024 });
  room.append(100, [wanted(1)]);
  const transaction = { commitLsn: 200n, rows: 0 };
  const many = Array.from({ length: 60 }, (_, id) => unwanted(id));
  append(room.log, [begin(transaction), ...many]);
  for (let block = 0; block < 4; block++) append(room.log, many);
  append(room.log, [logicalMessage('tailrace:annotate', '{"a":1}'), wanted(7)]);
  append(room.log, [wanted(8), commit(transaction)]);
  let refusals = 0;
  const first = await start(room, ({ position }) =>
    position.commitLsn === 200n ? (refusals++, REFUSED) : 'delivered',
  );
  await waitFor(() => refusals > 1, 'what begins the second transaction to be refused');
  await first.stop();
  await room.log.retain(room.signals.needed()!, Date.now() + 1000);
  const second = await start(room);
  await waitFor(isSettled(room), 'everything to be settled');
  expect(second.accepted()).toEqual(['B 200', 'I 7', 'I 8', 'C 200']);
  expect(room.options.store.sinks.gaps(SINK)).toEqual([]);
});

test('what the log is kept for at the beginning of a transaction is let go of on demand, and is a gap once a change of it comes', async () => {
  const room = await openSinkRoom({ ...SETTINGS, loadShedding: 'discard' });
  const { signals, store, slot } = room.options;
  room.append(100, [wanted(1)]);
  const transaction = { commitLsn: 200n, rows: 0 };
  append(room.log, [begin(transaction), unwanted(2)]);
  append(room.log, [unwanted(3)]);
  const run = await start(room);
  await waitFor(() => run.accepted().length === 3, 'the first transaction');
  signals.shed(slot, signals.writtenEnd());
  await waitFor(isSettled(room), 'the log to be let go of');
  expect(store.sinks.gaps(SINK)).toEqual([]);
  append(room.log, [wanted(4), commit(transaction)]);
  await waitFor(() => run.accepted().length === 5, 'the rest');
  await waitFor(isSettled(room), 'everything to be settled');
  expect(run.accepted()).toEqual(['B 100', 'I 1', 'C 100', 'I 4', 'C 200']);
  await run.stop();
  expect(store.sinks.gaps(SINK)).toMatchObject([{ changes: 1 }]);
});
