// A sink's parts together, as the runner assembles and drives them: a real log, ledger and store, an endpoint that the test programs.
import { expect, onTestFinished, test } from 'vitest';
import type { DeliveryError, Outcome } from '../../../src/core/errors.ts';
import { toLsn } from '../../../src/core/lsn.ts';
import type { Message } from '../../../src/core/message.ts';
import type { MessageFormat } from '../../../src/formats/format.ts';
import { formats } from '../../../src/formats/registry.ts';
import { SinkRunner } from '../../../src/pipeline/sink/runner.ts';
import type { Sink } from '../../../src/sinks/sink.ts';
import { append, begin, commit } from '../../log/stream.ts';
import { DOWN, REJECTED, type EndpointOptions } from '../../support/dispatcher.ts';
import { describeTable } from '../../support/intake.ts';
import { letterAt, SINK } from '../../support/letters.ts';
import { bodyOf } from '../../support/messages.ts';
import { insertMessage, logicalMessage } from '../../support/pgoutput-messages.ts';
import { openSinkRoom, rowIdOf, TestSink, type SinkRoom } from '../../support/sink-room.ts';
import { timersInUse, waitFor } from '../../support/wait.ts';

const TIMESTAMP = 1114;

/** A runner that runs; `ended` rejects when it cannot go on. */
async function start(
  room: Pick<SinkRoom, 'options'>,
  endpoint: EndpointOptions = {},
  sink: TestSink = new TestSink(endpoint),
) {
  const runner = await SinkRunner.create(room.options, () => Promise.resolve(sink));
  const ended = runner.run();
  ended.catch(() => undefined);
  let stopped: Promise<void> | undefined;
  const stop = (deadlineMs = 0): Promise<void> => (stopped ??= runner.stop(deadlineMs));
  onTestFinished(() => stop());
  return { sink, runner, ended, stop };
}

const byNumber = (a: number, b: number): number => a - b;

const settledEverything = (room: SinkRoom) => () =>
  room.signals.settled(room.options.slot).offset === room.signals.writtenEnd();

test('what the log holds is delivered, settled in the ledger, and published for the flush', async () => {
  const room = await openSinkRoom();
  room.insert(100, [1, 2, 3]);
  const { sink, runner } = await start(room);
  room.insert(200, [4]);
  await waitFor(settledEverything(room), 'everything to be settled');
  expect(sink.accepted().toSorted(byNumber)).toEqual([1, 2, 3, 4]);
  expect(room.signals.settled(room.options.slot).lsn).toBe(216n);
  expect(runner.status()).toMatchObject({
    state: 'running',
    health: 'healthy',
    delivered: 4,
    lagBytes: 0,
    inFlight: 0,
    buffered: 0,
    settled: '0/D8',
  });
});

test('what is accepted long after it was read is published as well, with nothing more to read', async () => {
  const room = await openSinkRoom();
  room.insert(100, [1]);
  const { sink } = await start(room, { hold: true });
  await waitFor(() => sink.endpoint.held.length === 1, 'the request');
  // The first row's own place: nothing is settled, and no sync is due any more.
  await waitFor(() => room.signals.settled(room.options.slot).offset > 0, 'the first sync');
  expect(settledEverything(room)()).toBe(false);
  sink.endpoint.held[0]!();
  await waitFor(settledEverything(room), 'it to be settled');
});

test('a sink that is stopped leaves no timer behind, whatever is refused meanwhile', async () => {
  const refused: DeliveryError = { kind: 'retryable', scope: 'message', code: 'REFUSED', hint: 'refused' };
  const room = await openSinkRoom({
    loadShedding: 'discard',
    retry: { initialBackoffMs: 60_000, multiplier: 1, maxBackoffMs: 60_000, jitter: 0 },
  });
  room.insert(100, [1, 2, 3]);
  const before = timersInUse();
  const { sink, stop } = await start(room, { hold: true, answer: () => refused });
  await waitFor(() => sink.endpoint.held.length > 0, 'the request');
  const stopped = stop(Infinity);
  for (const answer of sink.endpoint.held) answer();
  await stopped;
  expect(timersInUse()).toBeLessThanOrEqual(before);
});

test('after a restart only what had not settled is sent again', async () => {
  const room = await openSinkRoom();
  room.insert(100, [1, 2, 3, 4, 5]);
  const refuse = (id: number): DeliveryError | undefined =>
    id === 3 ? { kind: 'retryable', scope: 'message', code: 'REFUSED', hint: 'refused' } : undefined;
  const first = await start(room, { answer: (message) => refuse(rowIdOf(message)) ?? 'delivered' });
  await waitFor(() => first.sink.accepted().length === 4, 'the others to be accepted');
  await first.stop();
  expect(first.sink.isClosed).toBe(true);
  expect(first.sink.accepted().toSorted(byNumber)).toEqual([1, 2, 4, 5]);
  room.insert(200, [6]);
  const second = await start(room);
  await waitFor(settledEverything(room), 'everything to be settled');
  expect(second.sink.accepted().toSorted(byNumber)).toEqual([3, 6]);
});

test('a rejected message is in the store before the sink settles past it, and is sent when it is replayed (C241)', async () => {
  const room = await openSinkRoom();
  const { deadLetters } = room.options.store;
  room.insert(100, [1, 2]);
  let rejects = true;
  const { sink, runner } = await start(room, {
    answer: (message) => (rejects && rowIdOf(message) === 1 ? REJECTED : 'delivered'),
  });
  await waitFor(settledEverything(room), 'both to be settled');
  const [letter] = deadLetters.list(SINK, {}, { limit: 10 });
  expect(letter).toMatchObject({ table: 't', code: 'BAD', state: 'dead', hasPayload: true });
  expect(runner.status()).toMatchObject({ delivered: 1, deadLettered: 1, deadLetters: 1 });
  rejects = false;
  deadLetters.replay(SINK, {});
  runner.replay();
  await waitFor(() => deadLetters.counts(SINK).kept === 0, 'the letter to be delivered');
  expect(sink.accepted()).toEqual([2, 1]);
  expect(runner.status()).toMatchObject({ delivered: 2, deadLettered: 1, deadLetters: 0, replaying: 0 });
});

test('an outcome that is fatal ends the run with its code and cure, and nothing of it is settled', async () => {
  const room = await openSinkRoom();
  room.insert(100, [1]);
  const fatal: DeliveryError = { kind: 'fatal', scope: 'sink', code: 'NO_SUCH_QUEUE', hint: 'make it' };
  const { ended, stop } = await start(room, { answer: () => fatal });
  await expect(ended).rejects.toMatchObject({ code: 'NO_SUCH_QUEUE', hint: 'make it', kind: 'fatal' });
  await stop();
  expect(room.signals.settled(room.options.slot).lsn).toBe(0n);
});

test('a request that a stop aborts is nobody’s failure, and is sent again by the next runner', async () => {
  const room = await openSinkRoom({ maxRetryCount: 0 });
  room.insert(100, [1]);
  const requests: number[] = [];
  const silentSink = Object.assign(new TestSink(), {
    deliver: (batch: readonly Message[], signal: AbortSignal): Promise<never> => {
      requests.push(...batch.map(rowIdOf));
      return new Promise((_, reject) => signal.addEventListener('abort', () => reject(new Error('aborted'))));
    },
  });
  const first = await start(room, {}, silentSink);
  await waitFor(() => requests.length === 1, 'the request');
  await first.stop();
  expect(first.runner.status()).toMatchObject({ delivered: 0, deadLettered: 0, failedRequests: 0 });
  expect(room.signals.settled(room.options.slot).lsn).toBe(0n);
  const second = await start(room);
  await waitFor(settledEverything(room), 'it to be settled');
  expect(second.sink.accepted()).toEqual([1]);
});

test('reading stops where the room ends, and goes on when something has settled', async () => {
  const room = await openSinkRoom({ maxBuffered: 4 });
  for (let commit = 1; commit <= 10; commit++) room.insert(commit * 100, [2 * commit, 2 * commit + 1]);
  const { sink, runner } = await start(room, { hold: true });
  await waitFor(() => sink.endpoint.held.length > 0, 'a request');
  await waitFor(() => runner.status().buffered >= 4, 'the room to be full');
  const { buffered } = runner.status();
  // A block may end behind the limit; the log holds far more.
  expect(buffered).toBeLessThan(20);
  await waitFor(() => {
    for (const answer of sink.endpoint.held.splice(0)) answer();
    return settledEverything(room)();
  }, 'everything to be settled');
  expect(sink.accepted().toSorted(byNumber)).toEqual(Array.from({ length: 20 }, (_, i) => i + 2));
});

test('what the source demands is given up with a gap on record, and the rest is delivered', async () => {
  const room = await openSinkRoom({ loadShedding: 'discard' });
  room.insert(100, [1, 2]);
  const { sink, runner } = await start(room, {
    answer: () => ({ kind: 'retryable', scope: 'route', code: 'DOWN', hint: 'down' }),
  });
  await waitFor(() => runner.status().failedRequests > 0, 'the route to be down');
  room.signals.shed(room.options.slot, room.signals.writtenEnd());
  await waitFor(settledEverything(room), 'it to be given up');
  expect(sink.accepted()).toEqual([]);
  expect(runner.status()).toMatchObject({
    discarded: 2,
    delivered: 0,
    gaps: [{ from: '0/0', to: '0/74', changes: 2 }],
  });
});

test('what the source demands is given up as well where the sink had no room to read it yet', async () => {
  const room = await openSinkRoom({ loadShedding: 'discard', maxBuffered: 2 });
  for (let commitLsn = 100; commitLsn <= 1000; commitLsn += 100) room.insert(commitLsn, [commitLsn]);
  const { sink, runner } = await start(room, { hold: true, answer: () => DOWN });
  await waitFor(() => sink.endpoint.held.length > 0, 'a request');
  expect(runner.status().buffered).toBeLessThan(10);
  room.signals.shed(room.options.slot, room.signals.writtenEnd());
  for (const answer of sink.endpoint.held.splice(0)) answer();
  await waitFor(() => runner.status().failedRequests > 0, 'the route to be down');
  // What is tried again meanwhile is refused as well.
  const answering = setInterval(() => sink.endpoint.held.splice(0).forEach((answer) => answer()), 10);
  onTestFinished(() => clearInterval(answering));
  await waitFor(settledEverything(room), 'it to be given up');
  expect(sink.accepted()).toEqual([]);
  expect(runner.status()).toMatchObject({ discarded: 10, gaps: [{ changes: 10 }] });
});

test.each([true, false])(
  'where the source heeds markers that skip (%s) a sink does, with a record',
  async (heedsSkips) => {
    const room = await openSinkRoom();
    room.insert(100, [1]);
    const marked = { commitLsn: 200n, rows: 1 };
    const skip = logicalMessage('tailrace:skip', '');
    append(room.log, [begin(marked), skip, insertMessage(1, ['2', 'x']), commit(marked)]);
    const { sink } = await start({ options: { ...room.options, heedsSkips } });
    await waitFor(settledEverything(room), 'everything to be settled');
    expect(sink.accepted()).toEqual(heedsSkips ? [1] : [1, 2]);
    expect(room.options.store.skipped.list(SINK)).toMatchObject(heedsSkips ? [{ changes: 1 }] : []);
  },
);

test('transactions that may come again numbered otherwise have other idempotency keys, and no others have', async () => {
  const room = await openSinkRoom();
  for (const commitLsn of [100, 200, 300, 400]) room.insert(commitLsn, [commitLsn]);
  const range = { from: toLsn(200n), to: toLsn(400n) };
  room.options.store.renumbered.add(SINK.database, { ...range, epoch: 0, salt: 'salt' });
  room.options.store.renumbered.add(SINK.database, { ...range, epoch: 1, salt: 'of a later epoch' });
  const keys = new Map<number, string>();
  await start(room, {
    answer: (message) => {
      keys.set(rowIdOf(message), message.idempotencyKey);
      return 'delivered';
    },
  });
  await waitFor(settledEverything(room), 'everything to be settled');
  expect([100, 200, 300, 400].map((id) => keys.get(id)!.includes('salt'))).toEqual([
    false,
    true,
    true,
    false,
  ]);
});

test.each([
  ['strict', [1, 1]],
  ['ordered', [2]],
] as const)('two rows of one group share a request as same_group says: %s', async (sameGroup, sizes) => {
  const room = await openSinkRoom({ sameGroup });
  room.insert(100, [1, 1]);
  const { sink } = await start(room);
  await waitFor(settledEverything(room), 'both to be settled');
  expect(sink.endpoint.batches.map((batch) => batch.length)).toEqual(sizes);
});

test.each([
  ['sequin', '2026-01-02T03:04:05.000000'],
  ['tailrace', '2026-01-02T03:04:05.000000'],
  ['pg2sqs', '2026-01-02T03:04:05Z'],
] as const)('a timestamp without time zone is written as the format %s does', async (format, written) => {
  const { values, options }: MessageFormat = formats[format];
  const formatOptions = options?.parse({});
  const room = await openSinkRoom({ format, values, formatOptions });
  const transaction = { commitLsn: 100n, rows: 1 };
  const columns = [{ name: 'at', type: TIMESTAMP, identity: true }];
  const row = insertMessage(2, ['2026-01-02 03:04:05']);
  append(room.log, [begin(transaction), ...describeTable({ id: 2, columns }), row, commit(transaction)]);
  let text = '';
  await start(room, {
    answer: (message) => {
      text = bodyOf(message);
      return 'delivered';
    },
  });
  await waitFor(settledEverything(room), 'it to be settled');
  expect(text).toContain(`"at":"${written}"`);
});

test('a message that waits for a consumer has bytes of its own, and any other shares an arena', async () => {
  const isOwn = async (pull: Partial<Sink>): Promise<boolean> => {
    const room = await openSinkRoom();
    room.insert(100, [1]);
    let own = false;
    const look = ({ buffer, start: first, end }: Message): Outcome => {
      own = buffer.length === end - first;
      return 'delivered';
    };
    const sink = Object.assign(new TestSink({ answer: look }), pull);
    const { stop } = await start(room, {}, sink);
    await waitFor(settledEverything(room), 'it to be settled');
    await stop();
    return own;
  };
  expect(await isOwn({ pull: { status: () => ({}) } as never })).toBe(true);
  expect(await isOwn({})).toBe(false);
});

test('letters go again at the rate that was asked for', async () => {
  const room = await openSinkRoom();
  const { store } = room.options;
  const { sink, runner } = await start(room);
  for (const number of [1, 2, 3]) store.deadLetters.add(letterAt(number, { group: '' }), new Date());
  store.sinks.setReplayRate(SINK, 1);
  store.deadLetters.replay(SINK, {});
  runner.replay();
  await waitFor(() => sink.endpoint.batches.length > 0, 'the first request');
  expect(sink.endpoint.batches[0]).toHaveLength(1);
});
