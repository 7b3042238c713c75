// Replays of dead letters among live messages: the real dispatcher and store, an endpoint that the test programs.
import { beforeEach, expect, test } from 'vitest';
import type { Outcome } from '../../../src/core/errors.ts';
import { toLsn } from '../../../src/core/lsn.ts';
import type { Message } from '../../../src/core/message.ts';
import type { Pending } from '../../../src/pipeline/delivery/pending.ts';
import { ReplayedLetters } from '../../../src/pipeline/sink/replayed-letters.ts';
import { Replays } from '../../../src/pipeline/sink/replays.ts';
import { KnownRoutes } from '../../../src/sinks/routing/known-routes.ts';
import { routeByTemplates } from '../../../src/sinks/routing/route-by-row.ts';
import { sqs } from '../../../src/sinks/sqs/sqs.ts';
import type { Route, RouteByRow } from '../../../src/sinks/sink.ts';
import { openStore, type Store } from '../../../src/store/sqlite.ts';
import {
  createDelivery,
  createDispatcher,
  Endpoint,
  Messages,
  REFUSED,
  REJECTED,
  routeTo,
} from '../../support/dispatcher.ts';
import { letterAt, SINK } from '../../support/letters.ts';
import { bodyOf } from '../../support/messages.ts';
import { waitFor } from '../../support/wait.ts';

const ROUTE = routeTo('q', { batchBytes: 10_000 });

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
    byRow?: RouteByRow;
  } = {},
) {
  const ledger: number[] = [];
  const faults: unknown[] = [];
  let nowMs = 1000;
  const endpoint = new Endpoint(options);
  const delivery = createDelivery({ ordered: options.ordered ?? false, maxRetryCount: 2 });
  const { unsettled, routes, barriers } = delivery;
  const messages = new Messages(delivery, { commitLsn: toLsn(9999n), key: 'live' });
  const shared = {
    id: SINK,
    letters: store.deadLetters,
    fail: (error: unknown): void => void faults.push(error),
    nowMs: () => nowMs,
    wallTime: () => new Date(nowMs),
  };
  const replayed = new ReplayedLetters({ ...shared, encoding: undefined, arenas: unsettled.arenas });
  const dispatcher = createDispatcher(delivery, endpoint, {
    prepare: (list) => {
      messages.prepare(list.filter(({ letterId }) => letterId === 0));
      for (const message of list.filter(({ letterId }) => letterId !== 0)) replayed.render(message);
    },
    outcomes: {
      deadLetter: (message, error) => replayed.refused(message, error),
      settled: (list) => ledger.push(...replayed.settled(list).map(({ index }) => index)),
    },
  });
  const replays = new Replays({
    ...shared,
    replayed,
    sink: {
      routeOf: () => (options.routes === false ? undefined : ROUTE),
      routeByRow: () => options.byRow,
    },
    routes,
    unsettled,
    dispatcher,
    grouped: true,
    maxParked: 1000,
    barriers,
    rate: () => options.rate,
  });
  return {
    dispatcher,
    unsettled,
    replays,
    live: (body: string, group = 'g'): Pending => messages.add({ body, group, route: ROUTE }),
    accepted: () => endpoint.accepted.map(({ body }) => body),
    batches: endpoint.batches,
    ledger,
    faults,
    held: endpoint.held,
    passTime: (ms: number) => void (nowMs += ms),
    letter: (n: number) => `{"commit":${n}}`,
    kept: () => store.deadLetters.list(SINK, {}, { limit: 100 }),
  };
}

const makeLetters = (count: number, changes: Parameters<typeof letterAt>[1] = {}): void => {
  for (let i = 1; i <= count; i++) store.deadLetters.add(letterAt(i, changes), new Date());
  store.deadLetters.replay(SINK, {});
};

test('letters go in the order of their group, behind live messages there and before later ones, one at a time (C244)', async () => {
  makeLetters(3);
  const t = harness({ ordered: true });
  t.live('before');
  t.replays.restart();
  t.live('after');
  await waitFor(() => t.accepted().length === 5, 'all of them');
  expect(t.accepted()).toEqual(['before', t.letter(1), t.letter(2), t.letter(3), 'after']);
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
  await waitFor(() => t.accepted().length === 2, 'both');
  expect(t.accepted()).toEqual([t.letter(1), t.letter(2)]);
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
  expect(t.unsettled.oldest).toBeUndefined();
  expect([...t.unsettled.all()]).toEqual([]);
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
  await waitFor(() => t.accepted().length === 2, 'the others');
  expect(t.accepted()).toEqual([t.letter(3), 'after']);
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
  await waitFor(() => t.accepted().length === 2, 'what comes after');
  expect(t.accepted()).toEqual([t.letter(1), 'after']);
  expect(t.kept()).toEqual([]);
});

test('more letters than may be on their way at once all go', async () => {
  makeLetters(1300, { group: '' });
  const t = harness();
  t.replays.restart();
  await waitFor(() => t.accepted().length === 1300, 'all of them');
  expect(new Set(t.accepted()).size).toBe(1300);
  expect(t.kept()).toEqual([]);
});

test('with a rate no more letters go than time allows', async () => {
  makeLetters(5, { group: '' });
  // The clock of the test stands still; the real one that wakes the replay does not.
  const t = harness({ rate: 100 });
  t.replays.restart();
  await waitFor(() => t.accepted().length === 1, 'the first');
  expect(t.kept()).toHaveLength(4);
  t.passTime(10);
  await waitFor(() => t.accepted().length === 2, 'the second');
  t.passTime(30);
  await waitFor(() => t.accepted().length === 3, 'the third');
  expect(t.kept()).toHaveLength(2);
  t.replays.stop();
});

test('a letter for which the sink has no route any more goes back with the reason', async () => {
  makeLetters(1);
  const t = harness({ routes: false });
  t.replays.restart();
  expect(t.kept()).toMatchObject([{ state: 'dead', code: 'NO_ROUTE', attempts: 1 }]);
});

test('where rows decide the route a letter goes where its row went', async () => {
  for (const commit of [1, 2]) {
    store.deadLetters.add(letterAt(commit, { route: `topic-${commit}` }), new Date());
  }
  store.deadLetters.replay(SINK, {});
  const went: string[][] = [];
  const t = harness({
    byRow: { groupTemplate: undefined, idOf: () => 'no row', open: (id) => routeTo(id) },
    answer: (message) => {
      went.push([message.route, bodyOf(message)]);
      // A letter does not know these any more.
      expect([message.commitTimeUs, message.row]).toEqual([undefined, undefined]);
      return 'delivered';
    },
  });
  t.replays.restart();
  await waitFor(() => t.kept().length === 0, 'both');
  expect(went).toEqual([
    ['topic-1', t.letter(1)],
    ['topic-2', t.letter(2)],
  ]);
});

test('a letter whose route lacks a value still keeps its reason', async () => {
  store.deadLetters.add(letterAt(1, { route: 'q-${row.x}', code: 'ROUTE_VALUE_UNFIT' }), new Date());
  store.deadLetters.replay(SINK, {});
  const byRow = routeByTemplates({
    known: new KnownRoutes<Route>(),
    input: { schema: 'public', table: 't', action: 'insert' },
    routing: sqs.routing!,
    shown: { key: 'queue_name', template: 'q-${row.x}' },
    groupTemplate: undefined,
    open: (_, id) => routeTo(id),
  });
  const t = harness({ byRow });
  t.replays.restart();
  await waitFor(() => t.kept().every(({ state }) => state === 'dead'), 'it to be back');
  const [letter] = t.kept();
  expect(letter).toMatchObject({
    code: 'ROUTE_VALUE_UNFIT',
    reason: expect.stringMatching(/^queue_name: row\.x did not fit/),
  });
  expect(t.batches).toEqual([]);
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
  expect(t.accepted().toSorted()).toEqual([t.letter(1), t.letter(2), t.letter(7)]);
  expect(t.faults).toEqual([]);
});
