import { setImmediate as nextTurn } from 'node:timers/promises';
import * as fc from 'fast-check';
import { expect, test } from 'vitest';
import type { LeaseStore, StoredLease } from '../../../../src/core/leases.ts';
import type { Sink } from '../../../../src/sinks/sink.ts';
import { stream } from '../../../../src/sinks/stream/stream.ts';
import { createDelivery, createDispatcher, Messages } from '../../../support/dispatcher.ts';
import { patient, silent } from '../../../support/messages.ts';

type Held = { readonly id: string; readonly index: number; readonly group: string };

const LONG_MS = 5000;
const config = { type: 'stream' as const, visibility_timeout_ms: 60_000, max_waiting: 20 };

/** What the file of leases does, without a disk: quick enough for many runs. */
function leasesInMemory(): LeaseStore {
  const rows = new Map<string, StoredLease>();
  return {
    load: () => [...rows.values()],
    save: (ids, lease) => ids.forEach((id) => rows.set(id, { id, ...lease })),
    remove: (ids) => ids.forEach((id) => rows.delete(id)),
    close: () => undefined,
  };
}

/** A pull stream behind a real dispatcher, over a log of `count` messages in `groups` groups; `settled` outlives it. */
async function run(
  leases: LeaseStore,
  log: { count: number; groups: number; maxAckPending: number },
  settled: Set<number>,
  wanted: { visibilityMs?: number; maxRetryCount?: number } = {},
) {
  const sink: Sink = await stream.create(
    {
      ...config,
      max_ack_pending: log.maxAckPending,
      visibility_timeout_ms: wanted.visibilityMs ?? config.visibility_timeout_ms,
    },
    {
      name: 'users',
      rewinds: 0,
      logger: silent,
      pull: { openLeases: () => leases, remembered: () => nextTurn() },
    },
  );
  const delivery = createDelivery({
    retry: { initialBackoffMs: 60_000, multiplier: 1, maxBackoffMs: 60_000, jitter: 0 },
    ...(wanted.maxRetryCount !== undefined && { maxRetryCount: wanted.maxRetryCount }),
  });
  const messages = new Messages(delivery);
  const dispatcher = createDispatcher(delivery, sink, {
    prepare: (list) => messages.prepare(list),
    outcomes: {
      settled: (list) => {
        for (const { index } of list) {
          expect(settled.has(index)).toBe(false);
          settled.add(index);
        }
      },
    },
  });
  const route = sink.routeOf({ schema: 'public', table: 't', action: 'insert' })!;
  for (let index = 0; index < log.count; index++) {
    if (settled.has(index)) continue;
    const group = `g${index % log.groups}`;
    messages.add({ index, group, route, body: JSON.stringify({ index, group }) });
  }
  dispatcher.dispatch();
  return {
    pull: sink.pull!,
    stop: async () => {
      await dispatcher.stop(0);
      await sink.close();
    },
  };
}

const read = (answer: Uint8Array | undefined): Held[] =>
  answer === undefined
    ? []
    : (
        JSON.parse(Buffer.from(answer).toString()) as {
          data: { ack_id: string; data: { index: number; group: string } }[];
        }
      ).data.map(({ ack_id: id, data }) => ({ id, ...data }));

test('with any acks, nacks and restarts, one message of a group is out at a time, in order, and none is lost', async () => {
  const command = fc.oneof(
    {
      weight: 4,
      arbitrary: fc.record({ kind: fc.constant('take' as const), count: fc.integer({ min: 1, max: 6 }) }),
    },
    { weight: 4, arbitrary: fc.record({ kind: fc.constant('ack' as const), which: fc.nat() }) },
    { weight: 2, arbitrary: fc.record({ kind: fc.constant('nack' as const), which: fc.nat() }) },
    { weight: 1, arbitrary: fc.record({ kind: fc.constant('restart' as const) }) },
  );
  const log = fc.record({
    count: fc.integer({ min: 1, max: 40 }),
    groups: fc.integer({ min: 1, max: 8 }),
    maxAckPending: fc.integer({ min: 1, max: 20 }),
  });
  await fc.assert(
    fc.asyncProperty(log, fc.array(command, { maxLength: 60 }), async (what, commands) => {
      const leases = leasesInMemory();
      const settled = new Set<number>();
      let running = await run(leases, what, settled);
      let held: Held[] = [];
      const acked: number[] = [];
      const take = async (count: number, waitMs = 0): Promise<number> => {
        const taken = read(await running.pull.receive({ maxCount: count, waitMs }, patient));
        for (const one of taken) {
          expect(held.map(({ group }) => group)).not.toContain(one.group);
          expect(acked).not.toContain(one.index);
          const earlier = acked.filter((index) => index % what.groups === one.index % what.groups);
          expect(earlier).toHaveLength(Math.floor(one.index / what.groups));
          held.push(one);
        }
        expect(held.length).toBeLessThanOrEqual(what.maxAckPending);
        return taken.length;
      };
      const ack = async (one: Held): Promise<void> => {
        held = held.filter((other) => other !== one);
        acked.push(one.index);
        await running.pull.ack([one.id]);
      };
      for (const step of commands) {
        const one = 'which' in step ? held[step.which % Math.max(1, held.length)] : undefined;
        if (step.kind === 'take') {
          await take(step.count);
        } else if (step.kind === 'restart') {
          await running.stop();
          running = await run(leases, what, settled);
        } else if (one !== undefined && step.kind === 'ack') {
          await ack(one);
        } else if (one !== undefined) {
          held = held.filter((other) => other !== one);
          await running.pull.nack([one.id]);
        }
      }
      // A long poll whose time is over without a message would be a lost one.
      while (settled.size < what.count) {
        for (const one of held) await ack(one);
        const taken = settled.size === what.count ? 1 : await take(10, LONG_MS);
        expect(taken).toBeGreaterThan(0);
      }
      await running.stop();
    }),
    { numRuns: 60 },
  );
});

test.each([1, 20])(
  'what a worker gives back again and again starves nobody, with %i out at most',
  async (maxAckPending) => {
    const running = await run(leasesInMemory(), { count: 4, groups: 4, maxAckPending }, new Set());
    const seen = new Set<number>();
    while (seen.size < 4) {
      const [one] = read(await running.pull.receive({ maxCount: 1, waitMs: LONG_MS }, patient));
      seen.add(one!.index);
      await (one!.index === 0 ? running.pull.nack([one!.id]) : running.pull.ack([one!.id]));
    }
    expect(seen).toEqual(new Set([0, 1, 2, 3]));
    await running.stop();
  },
);

test.each([1, 20])(
  'what ran out of time goes out again before what is later, with %i out at most',
  async (maxAckPending) => {
    const log = { count: 20, groups: 20, maxAckPending };
    const running = await run(leasesInMemory(), log, new Set(), { visibilityMs: 500 });
    const take = async (): Promise<number[]> =>
      read(await running.pull.receive({ maxCount: 1, waitMs: LONG_MS }, patient)).map(({ index }) => index);
    expect(await take()).toEqual([0]);
    // While later ones are there, asked for in the very turn in which the time is over.
    while (running.pull.status().timedOut === 0) await nextTurn();
    expect(await take()).toEqual([0]);
    await running.stop();
  },
);

test('several that run out of time together come back in their order', async () => {
  const log = { count: 20, groups: 20, maxAckPending: 20 };
  const running = await run(leasesInMemory(), log, new Set(), { visibilityMs: 500 });
  const take = async (maxCount: number): Promise<number[]> =>
    read(await running.pull.receive({ maxCount, waitMs: LONG_MS }, patient)).map(({ index }) => index);
  expect(await take(5)).toEqual([0, 1, 2, 3, 4]);
  while (running.pull.status().timedOut === 0) await nextTurn();
  expect(await take(7)).toEqual([0, 1, 2, 3, 4, 5, 6]);
  await running.stop();
});

test('a message that became a dead letter keeps the later ones for a moment only', async () => {
  const log = { count: 2, groups: 2, maxAckPending: 20 };
  const wanted = { maxRetryCount: 1, visibilityMs: 500 };
  const running = await run(leasesInMemory(), log, new Set(), wanted);
  const take = async (): Promise<number> =>
    read(await running.pull.receive({ maxCount: 1, waitMs: LONG_MS }, patient))[0]!.index;
  for (let attempt = 1; attempt <= 2; attempt++) {
    expect(await take()).toBe(0);
    while (running.pull.status().timedOut < attempt) await nextTurn();
  }
  expect(await take()).toBe(1);
  await running.stop();
});
