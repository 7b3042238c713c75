// What every sink that is pulled from must do. The cases are those of `sinkSuite`, seen from the other side: there is no
// server that fails; it is the consumers that take part of a batch, refuse, hang, vanish, come back, and end.
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, onTestFinished, test } from 'vitest';
import { TailraceError, type Outcome } from '../src/core/errors.ts';
import type { Message } from '../src/core/message.ts';
import { sinkDefinition } from '../src/sinks/registry.ts';
import type { PullPort, Route, Sink } from '../src/sinks/sink.ts';
import { openLeaseStore } from '../src/store/leases.ts';
import { bodyOf, message, patient, silent, type MessageFields } from './support/messages.ts';
import { waitFor } from './support/wait.ts';

export type PullSinkHarness = {
  /** As the registry knows the sink. */
  readonly type: string;
  /** Keys of the destination with which a lease ends after about half a second. */
  readonly impatient: Readonly<Record<string, unknown>>;
  /** At most one request may wait. */
  readonly oneWaiting: Readonly<Record<string, unknown>>;
  /** Ids and bodies in an answer of `receive`. */
  read(answer: Uint8Array): readonly { readonly id: string; readonly body: string }[];
};

type Taken = { readonly id: string; readonly body: string };

type World = {
  readonly sink: Sink;
  readonly pull: PullPort;
  readonly route: Route;
  /** Hands the sink each message as a request of its own, as the core does with a batch count of 1. */
  deliver(...messages: readonly Message[]): Promise<Outcome>[];
  take(maxCount?: number, waitMs?: number, signal?: AbortSignal): Promise<readonly Taken[]>;
  /** Closes the sink and makes it anew on the same files, as a restart does. */
  restart(options?: { readonly rewinds?: number }): Promise<World>;
  /** Aborts what was delivered, as the core does when it stops. */
  readonly stop: AbortController;
};

const LONG_MS = 60_000;
const bodies = (taken: readonly Taken[]): string[] => taken.map(({ body }) => body);
const ids = (taken: readonly Taken[]): string[] => taken.map(({ id }) => id);
const batch = (count: number, fields?: MessageFields): Message[] =>
  Array.from({ length: count }, (_, index) => message({ index, ...fields }));
const returned = (code: RegExp): unknown =>
  expect.objectContaining({
    kind: 'retryable',
    scope: 'message',
    code: expect.stringMatching(code),
    hint: expect.stringMatching(/.{10}/),
    retryAfterMs: /TIMEOUT/.test(code.source) ? 0 : 1,
  });

export function pullSinkSuite(name: string, harness: PullSinkHarness): void {
  const world = async (destination: object = {}): Promise<World> => {
    const directory = mkdtempSync(join(tmpdir(), 'tailrace-pull-'));
    onTestFinished(() => rmSync(directory, { recursive: true }));
    return worldAt(harness, join(directory, 'users.leases'), destination, 0);
  };

  describe(`${name}, as every sink that is pulled from`, () => {
    test('gives messages out as they are, in their order, as many as asked for', async () => {
      const w = await world();
      const odd = message({ index: 0, body: '{"a":"é 漢 😀 \\u0001 \\\\ \\" &=+% <b>","b":null}' });
      const sent = batch(5).with(0, odd);
      void w.deliver(...sent);
      expect(bodies(await w.take(3))).toEqual(sent.slice(0, 3).map(bodyOf));
      expect(bodies(await w.take(1000))).toEqual(sent.slice(3).map(bodyOf));
      expect(await w.take()).toEqual([]);
    });

    test('has delivered what was acknowledged, each message by itself', async () => {
      const w = await world();
      const [first, second] = w.deliver(...batch(2));
      const [one, other] = await w.take(2);
      await w.pull.ack([other!.id]);
      expect(await second).toBe('delivered');
      await w.pull.ack([one!.id]);
      expect(await first).toBe('delivered');
    });

    test('lets one message be refused again and again while the others pass', async () => {
      const w = await world();
      const [poison, ...others] = batch(3);
      const deliveries = w.deliver(poison!, ...others);
      const [bad, ...good] = await w.take(3);
      await w.pull.nack([bad!.id]);
      await w.pull.ack(ids(good));
      expect(await Promise.all(deliveries)).toEqual([returned(/NACK/), 'delivered', 'delivered']);
      const again = w.deliver(poison!);
      expect(await w.take(3)).toEqual([bad]);
      await w.pull.nack([bad!.id]);
      expect(await again[0]).toEqual(returned(/NACK/));
    });

    test('takes a message back from a consumer that hangs, and understands it when it comes late (C247)', async () => {
      const w = await world(harness.impatient);
      const [first] = w.deliver(message());
      const [held] = await w.take();
      expect(await w.take()).toEqual([]);
      expect(await first).toEqual(returned(/TIMEOUT/));
      const [second] = w.deliver(message());
      expect(await w.take()).toEqual([held]);
      await w.pull.ack([held!.id]);
      expect(await second).toBe('delivered');
      expect(w.pull.status()).toMatchObject({ timedOut: 1, unknownAcks: 0 });
    });

    test('counts an acknowledgement of what nobody knows, and accepts it (C247)', async () => {
      const w = await world();
      const [delivery] = w.deliver(message());
      const [taken] = await w.take();
      await w.pull.ack([taken!.id]);
      await w.pull.ack([taken!.id]);
      await w.pull.nack([taken!.id]);
      expect(await delivery).toBe('delivered');
      expect(w.pull.status()).toMatchObject({ available: 0, outstanding: 0, unknownAcks: 1 });
    });

    test('answers a waiting request when messages come, with all that came together', async () => {
      const w = await world();
      const waiting = w.take(10, LONG_MS);
      await waitFor(() => w.pull.status().waiting === 1, 'the request to wait');
      void w.deliver(...batch(3));
      expect(bodies(await waiting)).toEqual(batch(3).map(bodyOf));
    });

    test('answers waiting requests in their order', async () => {
      const w = await world();
      const first = w.take(2, LONG_MS);
      const second = w.take(2, LONG_MS);
      void w.deliver(...batch(3));
      expect(bodies(await first)).toEqual(batch(3).slice(0, 2).map(bodyOf));
      expect(bodies(await second)).toEqual(batch(3).slice(2).map(bodyOf));
    });

    test('answers a waiting request without messages when its time is over', async () => {
      const w = await world();
      expect(await w.take(1, 20)).toEqual([]);
    });

    test('gives nothing to a consumer that has gone while it waited', async () => {
      const w = await world();
      const gone = new AbortController();
      const waiting = w.take(1, LONG_MS, gone.signal);
      await waitFor(() => w.pull.status().waiting === 1, 'the request to wait');
      gone.abort();
      expect(await waiting).toEqual([]);
      void w.deliver(message());
      expect(await w.take()).toHaveLength(1);
    });

    test('refuses a request when too many wait, but none that can be answered', async () => {
      const w = await world(harness.oneWaiting);
      const waiting = w.take(1, LONG_MS);
      const refused = await w.take(1, LONG_MS).catch((error: unknown) => error);
      expect(refused).toBeInstanceOf(TailraceError);
      expect(refused).toMatchObject({ code: 'TOO_MANY_WAITING', kind: 'retryable' });
      expect(await w.take(1, 0)).toEqual([]);
      void w.deliver(message());
      expect(await waiting).toHaveLength(1);
    });

    test('keeps a message invisible over a restart, and takes its acknowledgement after it', async () => {
      const before = await world();
      void before.deliver(...batch(2));
      const taken = await before.take(1);
      const w = await before.restart();
      const deliveries = w.deliver(...batch(2));
      expect(bodies(await w.take(10))).toEqual([bodyOf(batch(2)[1]!)]);
      await w.pull.ack(ids(taken));
      expect(await deliveries[0]).toBe('delivered');
    });

    test('takes an acknowledgement that comes after a restart before the message was read again', async () => {
      const before = await world();
      void before.deliver(message());
      const taken = await before.take();
      const between = await before.restart();
      await between.pull.ack(ids(taken));
      await between.pull.ack(ids(taken));
      const w = await between.restart();
      expect(await w.deliver(message())[0]).toBe('delivered');
      expect(await w.take()).toEqual([]);
      expect(w.pull.status().unknownAcks).toBe(0);
    });

    test('gives a message out again after a restart when its lease ends', async () => {
      const before = await world(harness.impatient);
      void before.deliver(message());
      const taken = await before.take();
      const w = await before.restart();
      const [delivery] = w.deliver(message());
      expect(await delivery).toEqual(returned(/TIMEOUT/));
      void w.deliver(message());
      expect(await w.take()).toEqual(taken);
    });

    test('has other ids after a rewind: an old acknowledgement settles nothing', async () => {
      const before = await world();
      void before.deliver(message());
      const [old] = await before.take();
      const w = await before.restart({ rewinds: 1 });
      void w.deliver(message());
      const [taken] = await w.take();
      expect(taken!.body).toBe(old!.body);
      expect(taken!.id).not.toBe(old!.id);
    });

    test('ends what waits when it is aborted, and knows afterwards who holds what', async () => {
      const w = await world();
      const deliveries = w.deliver(...batch(2));
      const [taken] = await w.take(1);
      w.stop.abort(new Error('stopping'));
      for (const delivery of deliveries) await expect(delivery).rejects.toThrow('stopping');
      await w.pull.ack([taken!.id]);
      const again = await w.restart();
      expect(await again.deliver(message({ index: 0 }))[0]).toBe('delivered');
    });

    test('takes nothing when it is aborted already', async () => {
      const w = await world();
      w.stop.abort(new Error('stopped'));
      await expect(w.deliver(message())[0]).rejects.toThrow('stopped');
    });

    test('ends waiting requests with close, and answers none after it', async () => {
      const w = await world();
      const [delivery] = w.deliver(message({ index: 7 }));
      await w.take();
      const waiting = w.take(1, LONG_MS);
      await w.sink.close();
      await expect(delivery).rejects.toThrow(TailraceError);
      // Not only when its time is over.
      expect(w.pull.status().waiting).toBe(0);
      expect(await waiting).toEqual([]);
      await expect(w.take()).rejects.toMatchObject({ kind: 'retryable' });
      await expect(w.pull.ack(['x'])).rejects.toMatchObject({ kind: 'retryable' });
    });

    test('counts sizes in bytes, not in characters', async () => {
      const { sink } = await world();
      const size = (body: string): number => sink.sizeOf(message({ body }));
      expect(size('"ééé"') - size('"eee"')).toBe(3);
    });
  });
}

async function worldAt(
  harness: PullSinkHarness,
  file: string,
  destination: object,
  rewinds: number,
): Promise<World> {
  const definition = sinkDefinition(harness.type)!;
  const sink = await definition.create(definition.config.parse({ type: harness.type, ...destination }), {
    name: 'users',
    rewinds,
    logger: silent,
    pull: { openLeases: () => openLeaseStore(file), remembered: () => Promise.resolve() },
  });
  onTestFinished(() => sink.close());
  const pull = sink.pull!;
  const route = sink.routeOf({ schema: 'public', table: 'users', action: 'insert' })!;
  const stop = new AbortController();
  return {
    sink,
    pull,
    route,
    stop,
    deliver: (...messages) =>
      messages.map((one) => {
        const delivery = sink.deliver([one], stop.signal, route).then((outcomes) => {
          expect(outcomes).toHaveLength(1);
          return outcomes[0]!;
        });
        // What is out when the sink closes is rejected; tests that care look at it.
        delivery.catch(() => undefined);
        return delivery;
      }),
    take: async (maxCount = 1, waitMs = 0, signal = patient) => {
      const answer = await pull.receive({ maxCount, waitMs }, signal);
      return answer === undefined ? [] : harness.read(answer);
    },
    restart: async (options = {}) => {
      await sink.close();
      return worldAt(harness, file, destination, options.rewinds ?? rewinds);
    },
  };
}
