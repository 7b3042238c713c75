// What every sink must do, at the wire: a sink's own test calls `sinkSuite` with a server that it can break.
import { describe, expect, onTestFinished, test } from 'vitest';
import { TailraceError, type Outcome } from '../src/core/errors.ts';
import type { Message } from '../src/core/message.ts';
import { sinkDefinition } from '../src/sinks/registry.ts';
import type { SinkLimits } from '../src/sinks/sink.ts';
import {
  bodyOf,
  direct,
  message,
  patient,
  silent,
  type DirectSink,
  type MessageFields,
} from './support/messages.ts';
import { startUntrustedServer } from './support/tls.ts';
import { waitFor } from './support/wait.ts';

/** How the next delivery request fails, once. */
export type ServerFault =
  /** Of the request's messages the one at `index` is refused, for its own fault or not; the others are accepted. */
  | { readonly kind: 'refuse'; readonly index: number; readonly lasting: boolean }
  /** The request is refused whole: come again later. */
  | { readonly kind: 'unavailable' }
  /** The request is refused whole: you may not. */
  | { readonly kind: 'denied' }
  /** The request is taken and never answered. */
  | { readonly kind: 'hang' }
  /** The answer begins, and comes byte by byte for ever (slow loris). */
  | { readonly kind: 'trickle' }
  /** The connection is reset before the server has accepted the messages, or after. */
  | { readonly kind: 'reset'; readonly when: 'before' | 'after' }
  /** The protocol's success status with a body that is no answer; nothing is accepted. */
  | { readonly kind: 'garbage' };

export type SinkServer = {
  /** As it stands in `destination`. */
  readonly url: string;
  /** The configuration of a destination there, without `type`. */
  readonly destination: Readonly<Record<string, unknown>>;
  /** Bodies accepted, in their order, as a consumer sees them. */
  received(): readonly string[] | Promise<readonly string[]>;
  failNext(fault: ServerFault): void;
  /** Messages with this text are refused for good, in the way that is hardest for their batch mates. */
  poison(text: string): void;
  /** From now on the server takes no message larger than this. */
  limitMessages(bytes: number): void;
  /** Requests open at the server that are not answered, or not to their end. */
  readonly hanging: number;
  /** Ends every connection and refuses new ones, until `up`. */
  down(): Promise<void>;
  up(): Promise<void>;
};

export type SinkHarness = {
  /** As the registry knows the sink. */
  readonly type: string;
  /** A server, empty and well. It stops with the test (`onTestFinished`). */
  start(): Promise<SinkServer>;
  /** Keys of the destination that make a request give up after less than a second. */
  readonly impatient: Readonly<Record<string, unknown>>;
  /** Does the server show a message once that was sent twice? */
  readonly absorbsRepeats: boolean;
};

const TABLE = { schema: 'public', table: 'users', action: 'insert' } as const;
/** More would only make the tests slow. */
const MAX_BATCH = 10;
const LANES = 8;

export function sinkSuite(name: string, harness: SinkHarness): void {
  describe(`${name}, as every sink`, () => {
    describe('delivers', () => {
      deliversTests(harness);
    });
    describe('answers for each message', () => {
      outcomeTests(harness);
    });
    describe('blames the route, and loses nothing,', () => {
      routeTests(harness);
    });
    describe('ends', () => {
      endTests(harness);
    });
    describe('checks', () => {
      checkTests(harness);
    });
  });
}

const DELIVERED: Outcome = 'delivered';
const delivered = (count: number): Outcome[] => Array.from({ length: count }, () => DELIVERED);
const routeFailure = expect.objectContaining({
  kind: 'retryable',
  scope: 'route',
  code: expect.stringMatching(/./),
  hint: expect.stringMatching(/.{10}/),
});
const rejection = expect.objectContaining({ kind: 'rejected', scope: 'message' });

type World = {
  readonly server: SinkServer;
  readonly sink: DirectSink;
  readonly limits: SinkLimits;
  /** Messages that one request takes, at most ten. */
  readonly batchCount: number;
  /** The `index`th message for the sink's route. */
  message(index: number, fields?: MessageFields): Message;
  batch(count?: number, fields?: MessageFields): Message[];
  /** Delivers as the core does, halves where a batch is blamed; there must be one outcome for each message. */
  deliver(batch: readonly Message[], signal?: AbortSignal): Promise<readonly Outcome[]>;
};

async function createSink(harness: SinkHarness, destination: object): Promise<DirectSink> {
  const definition = sinkDefinition(harness.type)!;
  const config = definition.config.parse({ type: harness.type, ...destination });
  const sink = direct(await definition.create(config, { name: 'users', rewinds: 0, logger: silent }));
  onTestFinished(() => sink.close());
  return sink;
}

async function world(harness: SinkHarness, destination: object = {}): Promise<World> {
  const server = await harness.start();
  const sink = await createSink(harness, { ...server.destination, ...destination });
  const route = sink.routeOf(TABLE)!;
  const world: World = {
    server,
    sink,
    limits: route.limits,
    batchCount: Math.min(route.limits.batchCount, MAX_BATCH),
    message: (index, fields) => message({ index, route: route.id, ...fields }),
    batch: (count = world.batchCount, fields) =>
      Array.from({ length: count }, (_, index) => world.message(index, fields)),
    async deliver(batch, signal = patient) {
      const outcomes = await sink.deliver(batch, signal);
      expect(outcomes).toHaveLength(batch.length);
      expectNoRowValues(batch, outcomes);
      return outcomes;
    },
  };
  return world;
}

/** Invariant 9. */
function expectNoRowValues(batch: readonly Message[], outcomes: readonly Outcome[]): void {
  const words = JSON.stringify(outcomes);
  expect(batch.filter((message) => words.includes(JSON.stringify(bodyOf(message)).slice(1, -1)))).toEqual([]);
}

const receivedBy = async ({ server }: World): Promise<string[]> => [...(await server.received())];

function deliversTests(harness: SinkHarness): void {
  test('a batch as it is, in its order', async () => {
    const w = await world(harness);
    const odd = w.message(0, { body: '{"a":"é 漢 😀 \\u0001 \\\\ \\" &=+% <b>","b":null}' });
    const batch = w.batch().with(0, odd);
    expect(await w.deliver(batch)).toEqual(delivered(batch.length));
    expect(await receivedBy(w)).toEqual(batch.map(bodyOf));
  });

  test('batch after batch of one group in order', async () => {
    const w = await world(harness);
    const sent: Message[] = [];
    for (let number = 0; number < 5; number++) {
      const index = number;
      const batch = [w.message(index, { group: 'public.users:1' })];
      expect(await w.deliver(batch)).toEqual(delivered(1));
      sent.push(...batch);
    }
    expect(await receivedBy(w)).toEqual(sent.map(bodyOf));
  });

  test('several requests at once without mixing them', async () => {
    const w = await world(harness);
    const bodies: string[] = [];
    const lanes = Array.from({ length: LANES }, async (_, lane) => {
      for (let turn = 0; turn < 4; turn++) {
        const first = (lane * 4 + turn) * MAX_BATCH;
        const batch = Array.from({ length: w.batchCount }, (_, index) => {
          const body = JSON.stringify({ number: first + index, filler: 'x'.repeat((first + index) % 300) });
          return w.message(first + index, { body });
        });
        bodies.push(...batch.map(bodyOf));
        expect(await w.deliver(batch)).toEqual(delivered(batch.length));
      }
    });
    await Promise.all(lanes);
    expect((await receivedBy(w)).sort()).toEqual(bodies.sort());
  });

  test('as much in one request as the limits promise (C217)', async () => {
    const w = await world(harness);
    await w.sink.check(patient, { create: true });
    const count = w.batchCount;
    const bytes = Math.min(w.limits.messageBytes, Math.floor(w.limits.batchBytes / count));
    const batch = w.batch().map((small, index) => {
      const overhead = w.sink.sizeOf(small) - (small.end - small.start);
      return w.message(index, { body: jsonOf(bytes - overhead) });
    });
    expect(batch.map((large) => w.sink.sizeOf(large))).toEqual(batch.map(() => bytes));
    expect(await w.deliver(batch)).toEqual(delivered(count));
    expect(await receivedBy(w)).toEqual(batch.map(bodyOf));
  });

  test('and counts sizes in bytes, not in characters', async () => {
    const w = await world(harness);
    const size = (body: string): number => w.sink.sizeOf(w.message(0, { body }));
    expect(size('"ééé"') - size('"eee"')).toBe(3);
    expect(size('"😀"') - size('""')).toBe(4);
  });
}

/** A JSON string of so many bytes, most of them escaped. */
const jsonOf = (bytes: number): string =>
  `"${String.raw`\"`.repeat((bytes - 2) >> 1)}${bytes % 2 === 1 ? 'x' : ''}"`;

function outcomeTests(harness: SinkHarness): void {
  test('when one is refused for good: its mates are delivered, once', async () => {
    const w = await world(harness);
    const batch = w.batch();
    const index = batch.length >> 1;
    w.server.failNext({ kind: 'refuse', index, lasting: true });
    expect(await w.deliver(batch)).toEqual(delivered(batch.length).with(index, rejection as Outcome));
    const [refused] = batch.splice(index, 1);
    expect(await w.deliver([refused!])).toEqual(delivered(1));
    expect(await receivedBy(w)).toEqual([...batch, refused!].map(bodyOf));
  });

  test('when one is refused for now: it may be sent again', async () => {
    const w = await world(harness);
    const batch = w.batch(Math.min(3, w.batchCount));
    w.server.failNext({ kind: 'refuse', index: 0, lasting: false });
    const outcomes = await w.deliver(batch);
    expect(outcomes[0]).toMatchObject({ kind: 'retryable', scope: 'message' });
    expect(outcomes.slice(1)).toEqual(delivered(batch.length - 1));
    expect(await w.deliver([batch[0]!])).toEqual(delivered(1));
    expect((await receivedBy(w)).sort()).toEqual(batch.map(bodyOf).sort());
  });

  test('when one is poison: it is rejected however often it comes, its mates arrive in order', async () => {
    const w = await world(harness);
    w.server.poison('poison');
    const index = w.batchCount >> 1;
    const poison = w.message(index, { body: '"poison"' });
    const batch = w.batch().with(index, poison);
    expect(await w.deliver(batch)).toEqual(delivered(batch.length).with(index, rejection as Outcome));
    expect(await w.deliver([poison])).toEqual([rejection]);
    expect(await receivedBy(w)).toEqual(batch.toSpliced(index, 1).map(bodyOf));
  });

  test('when a request of several is refused whole: no message is blamed, and nothing is sent twice', async () => {
    const w = await world(harness);
    w.server.poison('poison');
    const batch = w.batch().with(0, w.message(0, { body: '"poison"' }));
    const outcomes = await w.sink.request(batch, patient);
    const blame = expect.objectContaining({ scope: 'batch', code: expect.stringMatching(/./) });
    expect(outcomes).toEqual(batch.map(() => blame));
    expect(await receivedBy(w)).toEqual([]);
  });

  test('when one is larger than the server takes: it is rejected, its mates arrive', async () => {
    const w = await world(harness);
    w.server.limitMessages(2048);
    const index = w.batchCount - 1;
    const large = w.message(index, { body: JSON.stringify('x'.repeat(4096)) });
    const batch = w.batch().with(index, large);
    expect(await w.deliver(batch)).toEqual(delivered(batch.length).with(index, rejection as Outcome));
    expect(await receivedBy(w)).toEqual(batch.toSpliced(index, 1).map(bodyOf));
  });
}

function routeTests(harness: SinkHarness): void {
  const faults: (readonly [string, ServerFault])[] = [
    ['when the server asks to come again later', { kind: 'unavailable' }],
    ['when the server denies the request', { kind: 'denied' }],
    ['when the connection is reset before the request is taken', { kind: 'reset', when: 'before' }],
    ['when the answer is none', { kind: 'garbage' }],
  ];
  test.each(faults)('%s', async (_, fault) => {
    const w = await world(harness);
    await expectRecovery(w, fault);
    expect(await receivedBy(w)).toEqual(w.batch().map(bodyOf));
  });

  test('when the connection is reset after the messages were taken (C224)', async () => {
    const w = await world(harness);
    await expectRecovery(w, { kind: 'reset', when: 'after' });
    const bodies = w.batch().map(bodyOf);
    // At least once; exactly once where the server knows a repeat.
    expect(await receivedBy(w)).toEqual(harness.absorbsRepeats ? bodies : [...bodies, ...bodies]);
  });

  test.each(['hang', 'trickle'] as const)('when the answer does not come in time (%s)', async (kind) => {
    const w = await world(harness, harness.impatient);
    await expectRecovery(w, { kind });
    expect(await receivedBy(w)).toEqual(w.batch().map(bodyOf));
    await waitFor(() => w.server.hanging === 0, 'the connection to end');
  });

  test('when the server goes away, and delivers when it is back', async () => {
    const w = await world(harness);
    const [first, ...rest] = w.batch(3);
    expect(await w.deliver([first!])).toEqual(delivered(1));
    await w.server.down();
    expect(await w.deliver([rest[0]!])).toEqual([routeFailure]);
    await w.server.up();
    for (const message of rest) expect(await w.deliver([message])).toEqual(delivered(1));
    expect(await receivedBy(w)).toEqual([first!, ...rest].map(bodyOf));
  });

  test('when the server’s certificate is not trusted, or it speaks no TLS', async () => {
    const server = await harness.start();
    const untrusted = await startUntrustedServer();
    onTestFinished(() => untrusted.stop());
    for (const url of [untrusted.url, server.url.replace('http:', 'https:')]) {
      const text = JSON.stringify(server.destination).replaceAll(server.url, url);
      const sink = await createSink(harness, JSON.parse(text) as object);
      const sent = message({ route: sink.routeOf(TABLE)!.id });
      expect(await sink.deliver([sent], patient)).toEqual([routeFailure]);
    }
    expect(await server.received()).toEqual([]);
  });
}

/** The fault fails a whole batch; the same batch passes after it. */
async function expectRecovery(w: World, fault: ServerFault): Promise<void> {
  const batch = w.batch();
  w.server.failNext(fault);
  expect(await w.deliver(batch)).toEqual(batch.map(() => routeFailure));
  expect(await w.deliver(batch)).toEqual(delivered(batch.length));
}

function endTests(harness: SinkHarness): void {
  test('a request that hangs, and its connection, when it is aborted', async () => {
    const w = await world(harness);
    w.server.failNext({ kind: 'hang' });
    const controller = new AbortController();
    const delivery = w.deliver(w.batch(), controller.signal);
    delivery.catch(() => undefined); // looked at below
    await waitFor(() => w.server.hanging > 0, 'the request to hang');
    controller.abort(new Error('stopping'));
    await expect(delivery).rejects.toThrow('stopping');
    await waitFor(() => w.server.hanging === 0, 'the connection to end');
    expect(await w.deliver(w.batch())).toEqual(delivered(w.batchCount));
    expect(await receivedBy(w)).toEqual(w.batch().map(bodyOf));
  });

  test('before it begins, when it is aborted already', async () => {
    const w = await world(harness);
    await expect(w.deliver(w.batch(), AbortSignal.abort(new Error('stopped')))).rejects.toThrow('stopped');
    expect(await receivedBy(w)).toEqual([]);
  });

  test('with close, also a request in flight: what it held is not delivered', async () => {
    const w = await world(harness);
    w.server.failNext({ kind: 'hang' });
    const delivery = w.deliver(w.batch());
    await waitFor(() => w.server.hanging > 0, 'the request to hang');
    await w.sink.close();
    expect(await delivery).toEqual(w.batch().map(() => routeFailure));
    await waitFor(() => w.server.hanging === 0, 'the connection to end');
  });
}

function checkTests(harness: SinkHarness): void {
  test('that the server is there, and sends nothing', async () => {
    const w = await world(harness);
    await w.sink.check(patient, { create: false });
    expect(await receivedBy(w)).toEqual([]);
  });

  test('and says what is wrong, and the cure', async () => {
    const w = await world(harness);
    await w.server.down();
    const error = await w.sink.check(patient, { create: true }).catch((error: unknown) => error);
    expect(error).toBeInstanceOf(TailraceError);
    expect(error).toMatchObject({ kind: 'retryable', hint: expect.stringMatching(/.{10}/) });
  });
}
