// Replays of dead letters among live messages: the real dispatcher and store, an endpoint that the test programs.
import { beforeEach, expect, test } from 'vitest';
import type { DeliveryError, Outcome } from '../../../src/core/errors.ts';
import { toLsn, ZERO_LSN } from '../../../src/core/lsn.ts';
import type { Message } from '../../../src/core/message.ts';
import { Dispatcher } from '../../../src/pipeline/delivery/dispatcher.ts';
import { Pending } from '../../../src/pipeline/delivery/pending.ts';
import { Replays } from '../../../src/pipeline/sink/replays.ts';
import { TableBarriers } from '../../../src/pipeline/delivery/table-order.ts';
import type { TablePlan } from '../../../src/pipeline/intake/table-plan.ts';
import type { Route } from '../../../src/sinks/sink.ts';
import { openStore, type Store } from '../../../src/store/sqlite.ts';
import { letterAt, SINK } from '../../support/letters.ts';
import { waitFor } from '../../support/wait.ts';

const REJECTED: DeliveryError = { kind: 'rejected', scope: 'message', code: 'BAD', hint: 'bad' };
const REFUSED: DeliveryError = { kind: 'retryable', scope: 'message', code: 'REFUSED', hint: 'refused' };

const ROUTE: Route = {
  id: 'q',
  keepsOrder: true,
  limits: { batchCount: 10, batchBytes: 10_000, messageBytes: 500, lanesPerRoute: 4 },
  groupTemplate: undefined,
  severalActions: true,
};

let store: Store;
beforeEach(() => {
  store = openStore(':memory:');
  store.sinks.started(SINK, [], { configured: 'active', now: new Date() });
});

function harness(
  options: {
    answer?: (message: Message) => Outcome;
    hold?: boolean;
    rate?: number;
    routes?: boolean;
    ordered?: boolean;
  } = {},
) {
  const accepted: string[] = [];
  const batches: string[][] = [];
  const ledger: number[] = [];
  const faults: unknown[] = [];
  const texts = new Map<Pending, string>();
  const renderLive = (message: Pending): void => {
    message.buffer = Buffer.from(texts.get(message)!);
    message.start = 0;
    message.end = message.buffer.length;
  };
  const held: (() => void)[] = [];
  let nowMs = 1000;
  const textOf = (message: Message): string => message.buffer.toString('utf8', message.start, message.end);
  const deliver = async (batch: readonly Message[]): Promise<readonly Outcome[]> => {
    batches.push(batch.map(textOf));
    if (options.hold === true) await new Promise<void>((done) => held.push(done));
    else await new Promise((done) => setImmediate(done));
    return batch.map((message) => {
      const outcome = options.answer?.(message) ?? 'delivered';
      if (outcome === 'delivered') accepted.push(textOf(message));
      return outcome;
    });
  };
  const dispatcher: Dispatcher = new Dispatcher(
    {
      ordered: options.ordered ?? false,
      retry: { initialBackoffMs: 1, multiplier: 1, maxBackoffMs: 1, jitter: 0 },
      maxRetryCount: 2,
      batchSize: undefined,
      lanesPerRoute: undefined,
      maxBuffered: 1000,
      maxParked: 1000,
    },
    {
      sink: { deliver, sizeOf: (message) => message.end - message.start },
      render: (message) => (message.letterId === 0 ? renderLive(message) : replays.render(message)),
      keepDeadLetter: (message, error) => replays.refused(message, error),
      remember: (messages) => ledger.push(...replays.settled(messages).map(({ index }) => index)),
      record: () => undefined,
      discarded: () => undefined,
      changed: () => undefined,
      halt: () => undefined,
      warn: () => undefined,
      nowMs: () => Date.now(),
      chance: () => 0.5,
    },
  );
  const barriers = new TableBarriers();
  const replays: Replays = new Replays({
    id: SINK,
    letters: store.deadLetters,
    sink: { routeOf: () => (options.routes === false ? undefined : ROUTE) },
    dispatcher,
    grouped: true,
    maxParked: 1000,
    barriers: () => barriers,
    rate: () => options.rate,
    fail: (error) => faults.push(error),
    nowMs: () => nowMs,
  });
  let index = 0;
  const live = (text: string, group = 'g'): Pending => {
    const message = new Pending({
      transaction: {
        epoch: 0,
        commitLsn: toLsn(9999n),
        previousEndLsn: ZERO_LSN,
        commitTimeUs: 0n,
        xid: 1,
        timeline: 1,
        key: 'live',
      },
      index: index++,
      plan: { relation: { schema: 'public', table: 't' }, grouped: true, barriers } as unknown as TablePlan,
      action: 'insert',
      routeQueue: dispatcher.routeQueue(ROUTE),
      group,
      offset: 0,
      frameLength: 1,
      rawBytes: 0,
    });
    texts.set(message, text);
    renderLive(message);
    dispatcher.add(message, { group, previousGroup: undefined });
    return message;
  };
  return {
    dispatcher,
    replays,
    live,
    accepted,
    batches,
    ledger,
    faults,
    held,
    passTime: (ms: number) => void (nowMs += ms),
    letter: (n: number) => `{"commit":${n}}`,
    kept: () => store.deadLetters.list(SINK, {}, { limit: 100 }),
  };
}

const makeLetters = (count: number, changes: Parameters<typeof letterAt>[1] = {}): void => {
  for (let i = 1; i <= count; i++) store.deadLetters.add(letterAt(i, changes), new Date());
  store.deadLetters.replay(SINK, {});
};

test('letters go in the order of their group, behind live messages there and before later ones, one at a time', async () => {
  makeLetters(3);
  const t = harness({ ordered: true });
  t.live('before');
  t.replays.restart();
  t.live('after');
  await waitFor(() => t.accepted.length === 5, 'all of them');
  expect(t.accepted).toEqual(['before', t.letter(1), t.letter(2), t.letter(3), 'after']);
  // Also where one request may carry several of a group.
  expect(t.batches.every((batch) => batch.length === 1)).toBe(true);
  expect(t.ledger).toEqual([0, 1]);
  expect(t.kept()).toEqual([]);
});

test('letters of a page that were made out of order go in the order of the log', async () => {
  for (const commit of [2, 1]) store.deadLetters.add(letterAt(commit), new Date());
  store.deadLetters.replay(SINK, {});
  const t = harness();
  t.replays.restart();
  await waitFor(() => t.accepted.length === 2, 'both');
  expect(t.accepted).toEqual([t.letter(1), t.letter(2)]);
});

test('a letter keeps its key, and no cursor waits for it', async () => {
  makeLetters(1);
  const keys: string[] = [];
  const t = harness({
    hold: true,
    answer: (message) => {
      keys.push(message.idempotencyKey);
      return 'delivered';
    },
  });
  t.replays.restart();
  await waitFor(() => t.held.length === 1, 'the letter to be on its way');
  expect(t.dispatcher.oldest).toBeUndefined();
  expect([...t.dispatcher.unsettled()]).toEqual([]);
  t.held[0]!();
  await waitFor(() => t.kept().length === 0, 'the letter to be delivered');
  expect(keys).toEqual(['key-1-1-0']);
});

test('a letter that is refused again goes back with its tries added, and its group goes on', async () => {
  makeLetters(3);
  const t = harness({
    answer: (message) => {
      if (message.position.commitLsn === 1n) return REJECTED;
      return message.position.commitLsn === 2n ? REFUSED : 'delivered';
    },
  });
  t.replays.restart();
  t.live('after');
  await waitFor(() => t.accepted.length === 2, 'the others');
  expect(t.accepted).toEqual([t.letter(3), 'after']);
  expect(t.kept().map(({ state, code, attempts }) => [state, code, attempts])).toEqual([
    ['dead', 'BAD', 2],
    ['dead', 'REFUSED', 4],
  ]);
  expect(t.ledger).toEqual([0]);
});

test('a letter that was discarded while it waited for its turn is not sent', async () => {
  makeLetters(2);
  const t = harness({ hold: true });
  t.replays.restart();
  await waitFor(() => t.held.length === 1, 'the first to be on its way');
  expect(store.deadLetters.discard(SINK, { ids: [2] })).toBe(1);
  t.live('after');
  t.held[0]!();
  await waitFor(() => t.held.length === 2, 'what comes after');
  t.held[1]!();
  await waitFor(() => t.accepted.length === 2, 'what comes after');
  expect(t.accepted).toEqual([t.letter(1), 'after']);
  expect(t.kept()).toEqual([]);
});

test('more letters than may be on their way at once all go', async () => {
  makeLetters(1300, { group: '' });
  const t = harness();
  t.replays.restart();
  await waitFor(() => t.accepted.length === 1300, 'all of them');
  expect(new Set(t.accepted).size).toBe(1300);
  expect(t.kept()).toEqual([]);
});

test('with a rate no more letters go than time allows', async () => {
  makeLetters(5, { group: '' });
  // The clock of the test stands still; the real one that wakes the replay does not.
  const t = harness({ rate: 100 });
  t.replays.restart();
  await waitFor(() => t.accepted.length === 1, 'the first');
  expect(t.kept()).toHaveLength(4);
  t.passTime(10);
  await waitFor(() => t.accepted.length === 2, 'the second');
  t.passTime(30);
  await waitFor(() => t.accepted.length === 3, 'the third');
  expect(t.kept()).toHaveLength(2);
  t.replays.stop();
});

test('a letter for which the sink has no route any more goes back with the reason', async () => {
  makeLetters(1);
  const t = harness({ routes: false });
  t.replays.restart();
  expect(t.kept()).toMatchObject([{ state: 'dead', code: 'NO_ROUTE', attempts: 1 }]);
});

test('a replay asked for while another is under way sends each letter once', async () => {
  makeLetters(2, { group: '' });
  const t = harness({ hold: true });
  t.replays.restart();
  await waitFor(() => t.held.length === 1, 'the first two to be on their way');
  store.deadLetters.add(letterAt(7, { group: '' }), new Date());
  store.deadLetters.replay(SINK, {});
  t.replays.restart();
  await waitFor(() => t.held.length === 2, 'the third');
  for (const go of t.held) go();
  await waitFor(() => t.kept().length === 0, 'all to be delivered');
  expect(t.accepted.toSorted()).toEqual([t.letter(1), t.letter(2), t.letter(7)]);
  expect(t.faults).toEqual([]);
});
