// The steps of a sink: their order, what they drop, what waits for them, and what a stop in the middle of one leaves behind.
import { join } from 'node:path';
import { setImmediate as nextTurn } from 'node:timers/promises';
import * as fc from 'fast-check';
import { expect, test } from 'vitest';
import { steadyMs } from '../../../src/core/clock.ts';
import { ZERO_LSN } from '../../../src/core/lsn.ts';
import { ORIGIN } from '../../../src/core/position.ts';
import type { LogBlock } from '../../../src/log/block.ts';
import { openLogReader } from '../../../src/log/reader.ts';
import type { LogSignals } from '../../../src/log/signals.ts';
import { stepsInOrder, type RowBatch, type Step, type Steps } from '../../../src/pipeline/intake/steps.ts';
import { before } from '../../../src/pipeline/sink/place.ts';
import { Restored } from '../../../src/pipeline/sink/restored.ts';
import { Settlement } from '../../../src/pipeline/sink/settlement.ts';
import { append, begin, commit, openTestLog, scratchDirectory } from '../../log/stream.ts';
import { describeTable, oversizeFrame, sinkIntake, type IntakeOptions } from '../../support/intake.ts';
import { openLedger } from '../../support/ledger.ts';
import { BLOCK_BYTES, blocksOf } from '../../support/log-blocks.ts';
import { patient } from '../../support/messages.ts';
import { insertMessage, truncateMessage } from '../../support/pgoutput-messages.ts';
import { waitFor } from '../../support/wait.ts';

const T = { commitLsn: 100n, rows: 0 };
const insert = (id: number): Buffer => insertMessage(1, [String(id), 'x']);

/** A transaction whose rows have these ids; each list is a block. */
const transactionOf = (...ids: readonly (readonly number[])[]): LogBlock[] =>
  blocksOf(
    ...ids.map((list, i) => [
      ...(i === 0 ? [begin(T), ...describeTable({ id: 1 })] : []),
      ...list.map(insert),
      ...(i === ids.length - 1 ? [commit(T)] : []),
    ]),
  );

const idOf = (rows: RowBatch, row: Parameters<RowBatch['read']>[0]): number => {
  const { bytes, newTuple } = rows.read(row);
  return Number(bytes.toString('utf8', newTuple.starts[0], newTuple.starts[0]! + newTuple.lengths[0]!));
};

/** Drops rows by their id, at once. */
const where =
  (isWanted: (id: number) => boolean): Step =>
  (rows) => {
    for (const row of rows) if (!isWanted(idOf(rows, row))) rows.drop(row, 'where');
  };

const isOdd = (id: number): boolean => id % 2 === 1;

/** A step that waits until the test lets it go on, whole block after whole block. */
function held(then: Step = () => undefined) {
  const seen: number[][] = [];
  const waiting: (() => void)[] = [];
  const step: Step = async (rows) => {
    seen.push([...rows].map((row) => idOf(rows, row)));
    await new Promise<void>((done) => waiting.push(done));
    await then(rows);
  };
  return { step, seen, waiting, goOn: () => waiting.shift()!() };
}

const withSteps = (blocks: readonly LogBlock[], steps: Steps, options: IntakeOptions = {}) =>
  sinkIntake({ ...options, blocks, ports: { ...options.ports, steps } });

const indexes = (h: ReturnType<typeof sinkIntake>): number[] => h.letIn().map(({ index }) => index);

test('steps run in the one order, whatever order they are given in', () => {
  const calls: string[] = [];
  const call =
    (name: string): Step =>
    () =>
      void calls.push(name);
  const names = ['transform', 'enrich', 'route', 'columns', 'where', 'filter'] as const;
  const given: Steps = Object.fromEntries(names.map((name) => [name, call(name)]));
  for (const step of stepsInOrder(given)) void step(undefined as never);
  expect(calls).toEqual(['where', 'enrich', 'filter', 'columns', 'transform', 'route']);
});

test('without a step, and with steps that need no wait, a block is let in when it has been walked', () => {
  const [block] = transactionOf([1, 2, 3]);
  const without = withSteps([block!], {});
  expect(without.walker.block(block!, patient)).toBeUndefined();
  expect(indexes(without)).toEqual([0, 1, 2]);
  const filtered = withSteps([block!], { where: where(isOdd) });
  expect(filtered.walker.block(block!, patient)).toBeUndefined();
  expect(indexes(filtered)).toEqual([0, 2]);
  expect(filtered.counts.filtered).toBe(1);
});

test('a row that a step drops twice is one', () => {
  const [block] = transactionOf([1, 2]);
  const twice: Step = (rows) => {
    for (const row of rows.all) for (let i = 0; i < 2; i++) rows.drop(row, 'where');
  };
  const h = withSteps([block!], { where: twice });
  expect(h.walker.block(block!, patient)).toBeUndefined();
  expect([indexes(h), h.counts.filtered]).toEqual([[], 2]);
});

test('a filter and a step that waits: rows come out in log order, each at its own position', async () => {
  const h = withSteps(transactionOf([1, 2, 3], [4, 5], [6], [7]), {
    where: where(isOdd),
    enrich: async (rows) => {
      // As a batch of questions would: one answer for all rows, some time later.
      const ids = [...rows].map((row) => idOf(rows, row));
      await nextTurn();
      for (const [i, row] of [...rows].entries()) if (ids[i] === 5) rows.drop(row, 'where');
    },
  });
  await h.walk();
  expect(h.letIn().map(({ position, group }) => [position.commitLsn, position.index, group])).toEqual([
    [100n, 0, 'public.t1:1'],
    [100n, 2, 'public.t1:3'],
    [100n, 6, 'public.t1:7'],
  ]);
  expect(h.counts.filtered).toBe(4);
  await h.drained();
  expect(h.endpoint.accepted.map(({ index }) => index)).toEqual([0, 2, 6]);
});

test('a step sees what the ones before it left, and is not asked where nothing is left', async () => {
  const enrich = held();
  const h = withSteps(transactionOf([2, 4], [5, 6]), { where: where(isOdd), enrich: enrich.step });
  const [first, second] = h.blocks;
  expect(h.walker.block(first!, patient)).toBeUndefined();
  const waiting = h.walker.block(second!, patient);
  expect(enrich.seen).toEqual([[5]]);
  enrich.goOn();
  await waiting;
  expect(indexes(h)).toEqual([2]);
});

test('what cannot be looked at keeps its place among the rows, and passes', async () => {
  const messages = [insert(1), truncateMessage([1]), insert(2), oversizeFrame('insert', 1, 1000), insert(3)];
  const blocks = blocksOf([begin(T), ...describeTable({ id: 1 }), ...messages, commit(T)]);
  const step = held((rows) => where((id) => id !== 2)(rows));
  const h = withSteps(blocks, { filter: step.step }, { settings: { actions: ['insert', 'truncate'] } });
  const walking = h.walk();
  expect(step.seen).toEqual([[1, 2, 3]]);
  step.goOn();
  await walking;
  expect(h.letIn().map(({ action, index }) => `${action} ${index}`)).toEqual([
    'insert 0',
    'truncate 1',
    'insert 3',
    'insert 4',
  ]);
});

test('a parked message rendered while a step waits does not disturb its rows', async () => {
  const hot = Array.from({ length: 40 }, () => 7);
  const step = held((rows) => where((id) => id !== 8)(rows));
  const h = withSteps(transactionOf(hot, [8, 9]), { filter: step.step });
  const first = h.walker.block(h.blocks[0]!, patient);
  step.goOn();
  await first;
  expect(h.letIn().some(({ isParked }) => isParked)).toBe(true);
  const second = h.walker.block(h.blocks[1]!, patient);
  await h.drained();
  step.goOn();
  await second;
  expect(h.letIn().map(({ group }) => group)).toEqual(['public.t1:9']);
});

test('rows that are given up while a step waits for them are not let in', async () => {
  let below = 0;
  const step = held();
  const h = withSteps(
    transactionOf([1, 2], [3]),
    { enrich: step.step },
    {
      ports: { isDone: (_, __, offset) => offset < below },
    },
  );
  const walking = h.walk();
  below = BLOCK_BYTES;
  step.goOn();
  await nextTurn();
  step.goOn();
  await walking;
  expect(indexes(h)).toEqual([2]);
});

test('a step that fails ends the walk: nothing of its block is let in, and the head stays before it', async () => {
  const failing: readonly Step[] = [
    () => {
      throw new Error('no such function');
    },
    async () => {
      await nextTurn();
      throw new Error('no such function');
    },
  ];
  for (const filter of failing) {
    const h = withSteps(transactionOf([1], [2]), { where: where((id) => id < 2), filter });
    const { head } = h.walker;
    await expect(h.walk()).rejects.toThrow('no such function');
    expect(h.letIn()).toEqual([]);
    expect(h.walker.head).toEqual(head);
  }
});

const SLOT = 0;
/** Long enough for every answer: what is in flight is not to be sent again. */
const PATIENCE_MS = 60_000;
const ID = { database: 'shop', sink: 'test' };

/** A sink of its own on a log and a ledger on disk, which follows the log as the runner does, until it is stopped. */
function startSink(
  place: { readonly directory: string; readonly signals: LogSignals; readonly ledger: string },
  steps: Steps,
) {
  const stopping = new AbortController();
  const { signal } = stopping;
  const faults: unknown[] = [];
  const ledger = openLedger(place.ledger, ID);
  const reader = openLogReader(place.directory, place.signals);
  const start = ledger.restored ?? { position: { ...ORIGIN, index: 0 }, endLsn: ZERO_LSN };
  const isNew = start.position.commitLsn === ZERO_LSN;
  const offset = isNew ? place.signals.firstOffset() : reader.locate(before(start.position)).offset;
  const restored = new Restored(ledger);
  const h = sinkIntake({
    start: { timeline: 1, ...start, offset },
    ports: {
      steps,
      isDone: (transaction, index) => restored.has(transaction, index),
      readFrames: (at, length) => reader.readFrames(at, length),
    },
    onSettled: (messages) => ledger.settle(messages),
  });
  const { walker, dispatcher, unsettled } = h;
  const settlement = new Settlement({
    ledger,
    signals: place.signals,
    slot: SLOT,
    unsettled,
    walker,
    restored,
    start,
    beforeMove: () => undefined,
    note: () => undefined,
    fail: (error) => faults.push(error),
    nowMs: steadyMs,
  });
  const follow = async (): Promise<void> => {
    const from = isNew ? 'earliest' : { position: before(start.position) };
    for await (const block of reader.read(from, signal)) {
      const working = walker.block(block, signal);
      if (working !== undefined) await working;
      dispatcher.dispatch();
      settlement.soon();
      restored.readTo(walker.head.position);
      if (signal.aborted) break;
    }
  };
  const following = follow();
  return {
    ...h,
    settlement,
    /** The whole log is behind the cursor. */
    allSettled: () =>
      waitFor(() => settlement.current.offset === place.signals.writtenEnd(), 'all to be settled'),
    stop: async (): Promise<void> => {
      stopping.abort();
      await following;
      settlement.stop();
      await dispatcher.stop(steadyMs() + PATIENCE_MS);
      await settlement.finish({ sync: true });
      ledger.close();
      reader.close();
      expect(faults).toEqual([]);
    },
  };
}

const ROWS_PER_BLOCK = 3;

/** A log on disk with a transaction of each list of ids, in blocks of a few rows. */
async function logOf(...transactions: readonly (readonly number[])[]) {
  const directory = scratchDirectory();
  const { log, signals } = await openTestLog(join(directory, 'log'), { prologue: () => Buffer.alloc(0) });
  transactions.forEach((ids, i) => {
    const transaction = { commitLsn: BigInt(100 * (i + 1)), rows: ids.length };
    const rows = ids.map(insert);
    append(log, [begin(transaction), ...describeTable({ id: 1 }), ...rows.splice(0, ROWS_PER_BLOCK)]);
    while (rows.length > 0) append(log, rows.splice(0, ROWS_PER_BLOCK));
    append(log, [commit(transaction)]);
  });
  return { directory: join(directory, 'log'), signals, ledger: join(directory, 'ledger') };
}

const acceptedOf = (h: ReturnType<typeof sinkIntake>): number[] =>
  h.endpoint.accepted.map(({ body }) => Number((JSON.parse(body) as { record: { id: string } }).record.id));

test('what a step drops is settled: the cursor passes it, at the end of the log too', async () => {
  const place = await logOf([1, 2], [4, 6], [3, 8]);
  const sink = startSink(place, { where: where(isOdd), enrich: () => nextTurn() });
  await sink.allSettled();
  expect(acceptedOf(sink)).toEqual([1, 3]);
  expect(sink.counts.filtered).toBe(4);
  await sink.stop();
  expect(openLedger(place.ledger, ID).restored?.position).toMatchObject({ commitLsn: 300n, index: 3 });
});

test('while a step works on a block nothing of it is settled, however long that takes', async () => {
  const place = await logOf([1, 2], [3, 4, 5]);
  const step = held();
  const sink = startSink(place, { where: where(isOdd), transform: step.step });
  await waitFor(() => step.waiting.length === 1, 'the first block');
  step.goOn();
  await waitFor(() => step.waiting.length === 1 && sink.settled.length === 1, 'the second block');
  const behindTheFirst = { commitLsn: 100n, index: 3 };
  expect(sink.settlement.current.cursor.position).toMatchObject(behindTheFirst);
  expect(step.seen).toEqual([[1], [3, 5]]);
  await sink.stop();
  expect(openLedger(place.ledger, ID).restored?.position).toMatchObject(behindTheFirst);
});

test('a stop in the middle of a step loses nothing and repeats nothing; what the step does later is for nothing', async () => {
  const place = await logOf([1, 2], [3, 4, 5], [7]);
  const step = held();
  const sink = startSink(place, { where: where(isOdd), transform: step.step });
  await waitFor(() => step.waiting.length === 1, 'the first block');
  step.goOn();
  await waitFor(() => step.waiting.length === 1 && sink.settled.length === 1, 'the second block');
  await sink.stop();
  step.goOn();
  await nextTurn();
  expect(sink.letIn()).toEqual([]);
  expect(acceptedOf(sink)).toEqual([1]);
  expect(sink.counts.filtered).toBe(1);

  const again = startSink(place, { where: where(isOdd), transform: () => nextTurn() });
  await waitFor(() => again.settled.length === 3, 'the rest');
  expect(acceptedOf(again)).toEqual([3, 5, 7]);
  await again.stop();
});

test('with steps that wait or do not, and stops at any moment, every wanted row is delivered once and in order', async () => {
  const transactions = fc.array(fc.array(fc.nat(9), { minLength: 1, maxLength: 9 }), {
    minLength: 1,
    maxLength: 6,
  });
  /** Turns of the event loop that the step waits for each block, and until each stop. */
  const turns = fc.array(fc.nat(9), { minLength: 1, maxLength: 5 });
  await fc.assert(
    fc.asyncProperty(transactions, turns, turns, async (contents, waits, stops) => {
      let number = 0;
      // Ids are of ever greater tens, so that each says which row it is; its last digit decides.
      const ids = contents.map((list) => list.map((digit) => 10 * number++ + digit));
      const place = await logOf(...ids);
      let block = 0;
      const enrich: Step = (rows) => {
        const wait = waits[block++ % waits.length]!;
        return wait === 0 ? undefined : passTurns(wait).then(() => where((id) => id % 5 !== 0)(rows));
      };
      const steps = { where: where(isOdd), enrich };
      const accepted: number[] = [];
      for (const stop of stops) {
        const sink = startSink(place, steps);
        await passTurns(stop);
        await sink.stop();
        accepted.push(...acceptedOf(sink));
      }
      const last = startSink(place, steps);
      await last.allSettled();
      accepted.push(...acceptedOf(last));
      await last.stop();
      const isCertain = (id: number): boolean => isOdd(id) && id % 5 !== 0;
      expect(accepted.filter(isCertain)).toEqual(ids.flat().filter(isCertain));
      expect(accepted.filter((id) => !isOdd(id))).toEqual([]);
    }),
    { numRuns: 40 },
  );
});

async function passTurns(count: number): Promise<void> {
  for (let turn = 0; turn < count; turn++) await nextTurn();
}
