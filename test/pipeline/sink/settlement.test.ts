// How far a sink has settled, and when that is published: a ledger and a log that only remember what they were told.
import { setImmediate as nextTurn } from 'node:timers/promises';
import { expect, test } from 'vitest';
import { toLsn } from '../../../src/core/lsn.ts';
import { LogSignals } from '../../../src/log/signals.ts';
import type { Pending } from '../../../src/pipeline/delivery/pending.ts';
import type { WalkHead } from '../../../src/pipeline/intake/log-walker.ts';
import { Settlement, type SettlementPorts } from '../../../src/pipeline/sink/settlement.ts';
import { createDelivery, Messages, type Delivery } from '../../support/dispatcher.ts';
import { waitFor } from '../../support/wait.ts';

const SLOT = 3;

const headAt = (lsn: bigint, offset: number): WalkHead => ({
  position: { epoch: 0, commitLsn: toLsn(lsn), index: 0 },
  endLsn: toLsn(lsn + 16n),
  offset,
  timeline: 2,
});

function harness(options: { wantsCompaction?: boolean; start?: SettlementPorts['start'] } = {}) {
  const delivery = createDelivery();
  const messages = new Messages(delivery, { commitLsn: toLsn(100n), previousEndLsn: toLsn(90n) });
  const signals = new LogSignals();
  /** What happened, in order. */
  const events: string[] = [];
  const faults: unknown[] = [];
  const compactions: unknown[] = [];
  const lacking: { code: string | undefined } = { code: undefined };
  const notes: (bigint | undefined)[] = [];
  let nowMs = 0;
  let unsynced = 0;
  let disk: { resolve(): void; reject(error: unknown): void } | undefined;
  const walker = { head: headAt(500n, 5000), isInHand: false };
  const restored = { isOver: true };
  const settlement = new Settlement({
    ledger: {
      advance: ({ endLsn }) => {
        events.push(`advance ${endLsn}`);
        unsynced++;
      },
      get isUnsynced() {
        return unsynced > 0;
      },
      sync: async () => {
        events.push('sync');
        const covered = unsynced;
        await new Promise<void>((resolve, reject) => (disk = { resolve, reject }));
        unsynced -= covered;
      },
      wantsCompaction: () => options.wantsCompaction === true,
      compact: ({ cursor, head, unsettled }) => {
        if (lacking.code !== undefined) {
          const cause = Object.assign(new Error('said the system'), { code: lacking.code });
          throw new Error('the ledger cannot be written', { cause });
        }
        compactions.push({
          cursor: cursor.endLsn,
          head: head.commitLsn,
          unsettled: [...unsettled].map(({ index }) => index),
        });
      },
    },
    signals,
    slot: SLOT,
    unsettled: delivery.unsettled,
    walker,
    restored,
    start: options.start ?? { endLsn: toLsn(0n) },
    beforeMove: ({ cursor, offset }) => void events.push(`records for ${cursor.endLsn} ${offset}`),
    note: ({ endLsn }) => notes.push(endLsn),
    fail: (error) => faults.push(error),
    nowMs: () => nowMs,
  });
  const synced = async (): Promise<void> => {
    await waitFor(() => disk !== undefined, 'the disk to be asked');
    disk!.resolve();
    disk = undefined;
    await nextTurn();
  };
  return {
    delivery,
    signals,
    settlement,
    events,
    faults,
    compactions,
    lacking,
    notes,
    walker,
    restored,
    add: (): Pending => messages.add({ group: 'g' }),
    /** The ledger has it, the disk not yet. */
    settle: (message: Pending) => {
      unsynced++;
      settled(delivery, message);
    },
    passTime: (ms: number) => void (nowMs += ms),
    published: () => signals.settled(SLOT),
    asked: () => waitFor(() => disk !== undefined, 'the disk to be asked'),
    synced,
    breakDisk: async (error: Error): Promise<void> => {
      await waitFor(() => disk !== undefined, 'the disk to be asked');
      disk!.reject(error);
      disk = undefined;
      await nextTurn();
    },
  };
}

const settled = ({ unsettled }: Delivery, message: Pending): void => unsettled.leave(message);

test('everything before the oldest unsettled message is settled; with none, everything that was read (C150)', () => {
  const h = harness();
  expect(h.settlement.current).toEqual({
    cursor: { position: h.walker.head.position, endLsn: 516n, timeline: 2 },
    offset: 5000,
  });
  const [first, second] = [h.add(), h.add()];
  expect(h.settlement.current).toMatchObject({
    cursor: { position: { commitLsn: 100n, index: 0 }, endLsn: 90n },
    offset: first.offset,
  });
  h.settle(second);
  expect(h.settlement.current.offset).toBe(first.offset);
  h.settle(first);
  expect(h.settlement.current.offset).toBe(5000);
});

test.each([
  { what: 'from its first marker on', markedFrom: 7, needed: 7 },
  { what: 'from before it, where something waits that stands there', markedFrom: 70, needed: 41 },
])('a transaction with markers is needed $what', ({ markedFrom, needed }) => {
  const delivery = createDelivery();
  new Messages(delivery, { markedFrom }).add({ group: 'g', index: 40 });
  const h = harness();
  const settlement = new Settlement({
    ledger: {
      advance: noLedger,
      sync: noLedger,
      isUnsynced: false,
      wantsCompaction: noLedger,
      compact: noLedger,
    },
    signals: new LogSignals(),
    slot: SLOT,
    unsettled: delivery.unsettled,
    walker: h.walker,
    restored: h.restored,
    start: { endLsn: toLsn(0n) },
    beforeMove: noLedger,
    note: noLedger,
    fail: noLedger,
    nowMs: () => 0,
  });
  expect(settlement.current.offset).toBe(needed);
});

const noLedger = (): never => {
  throw new Error('nothing is to be written');
};

test('a position is published only when the disk has it, after the records that it rests on', async () => {
  const h = harness();
  h.settlement.soon();
  await h.asked();
  expect(h.events).toEqual(['records for 516 5000', 'advance 516', 'sync']);
  expect(h.published()).toEqual({ offset: 0, lsn: 0n });
  await h.synced();
  expect(h.published()).toEqual({ offset: 5000, lsn: 516n });
});

test('what settles while the disk is asked is published with the next sync, not with this one', async () => {
  const h = harness();
  const message = h.add();
  h.settlement.soon();
  await h.asked();
  h.settle(message);
  h.passTime(1000);
  await h.synced();
  expect(h.published()).toEqual({ offset: message.offset, lsn: 90n });
  await h.synced();
  expect(h.published()).toEqual({ offset: 5000, lsn: 516n });
});

test('a disk that fails ends the sink, and nothing is published', async () => {
  const h = harness();
  h.settlement.soon();
  const error = new Error('the disk is gone');
  await h.breakDisk(error);
  expect(h.faults).toEqual([error]);
  expect(h.published()).toEqual({ offset: 0, lsn: 0n });
  // Nothing is believed of that disk any more.
  h.passTime(10_000);
  h.settlement.soon();
  await nextTurn();
  expect(h.events.filter((event) => event === 'sync')).toHaveLength(1);
});

test('the disk is asked at most once a second, however often something settles', async () => {
  const h = harness();
  h.settlement.soon();
  await h.synced();
  h.walker.head = headAt(600n, 6000);
  for (let i = 0; i < 100; i++) h.settlement.soon();
  await nextTurn();
  expect(h.events.filter((event) => event === 'sync')).toHaveLength(1);
  h.passTime(1000);
  await h.synced();
  expect(h.published().offset).toBe(6000);
});

test('where nothing has moved, nothing is written', async () => {
  const h = harness();
  h.settlement.soon();
  await h.synced();
  const before = [...h.events];
  h.passTime(5000);
  h.settlement.soon();
  h.settlement.stop();
  await h.settlement.finish({ sync: true });
  expect(h.events).toEqual(before);
});

test('a stop waits for the sync under way, then writes where the sink stands', async () => {
  const h = harness();
  h.settlement.soon();
  await h.asked();
  h.settlement.stop();
  h.walker.head = headAt(700n, 7000);
  h.settlement.soon();
  const finished = h.settlement.finish({ sync: true });
  await h.synced();
  await h.synced();
  await finished;
  expect(h.published()).toEqual({ offset: 7000, lsn: 716n });
  expect(h.events.filter((event) => event === 'sync')).toHaveLength(2);
});

test('a ledger made anew keeps what is unsettled below the head, and is not made while it is asked for', async () => {
  const h = harness({ wantsCompaction: true });
  const [first, second, third, fourth] = [h.add(), h.add(), h.add(), h.add()];
  h.settle(second);
  h.restored.isOver = false;
  h.settlement.soon();
  await h.synced();
  expect(h.compactions).toEqual([]);
  h.restored.isOver = true;
  // A block that is in hand may have let in what lies beyond the head.
  h.walker.isInHand = true;
  h.settle(first);
  h.passTime(1000);
  h.settlement.soon();
  await h.synced();
  expect(h.compactions).toEqual([]);
  h.walker.isInHand = false;
  h.settle(fourth);
  h.passTime(1000);
  h.settlement.soon();
  await h.synced();
  expect(h.compactions).toEqual([{ cursor: 90n, head: 500n, unsettled: [third.index] }]);
});

test('while one message holds the cursor back, what settles is on the disk within a second, and the file does not grow', async () => {
  const h = harness({ wantsCompaction: true });
  const held = h.add();
  const others = Array.from({ length: 5 }, () => h.add());
  h.settlement.soon();
  await h.synced();
  expect(h.published()).toEqual({ offset: held.offset, lsn: 90n });
  const { events } = h;
  for (const other of others) {
    const before = events.length;
    h.settle(other);
    h.passTime(1000);
    h.settlement.soon();
    await h.synced();
    // The cursor stands where it stood: nothing is to be said of it again.
    expect(events.slice(before)).toEqual(['sync']);
  }
  expect(h.published()).toEqual({ offset: held.offset, lsn: 90n });
  expect(h.compactions).toHaveLength(1 + others.length);
  expect(h.compactions.at(-1)).toEqual({ cursor: 90n, head: 500n, unsettled: [held.index] });
});

test('a stop writes what has settled above a cursor that stands still', async () => {
  const h = harness();
  const [, second] = [h.add(), h.add()];
  h.settlement.soon();
  await h.synced();
  h.settle(second);
  h.settlement.stop();
  const finished = h.settlement.finish({ sync: false });
  await h.synced();
  await finished;
  expect(h.events.filter((event) => event === 'sync')).toHaveLength(2);
});

test('where the sink stands is noted once a minute and at a stop, and only what the disk has', async () => {
  const h = harness();
  for (const lsn of [600n, 700n, 800n]) {
    h.walker.head = headAt(lsn, Number(lsn) * 10);
    h.settlement.soon();
    await h.synced();
    h.passTime(25_000);
  }
  expect(h.notes).toEqual([]);
  h.walker.head = headAt(900n, 9000);
  h.settlement.soon();
  await h.asked();
  expect(h.notes).toEqual([]);
  await h.synced();
  expect(h.notes).toEqual([916n]);
  h.walker.head = headAt(1000n, 10_000);
  h.settlement.stop();
  const finished = h.settlement.finish({ sync: true });
  await h.synced();
  await finished;
  expect(h.notes).toEqual([916n, 1016n]);
});

test('at the end of the log a sink goes on by keepalives, when the disk has it, and only behind all that they follow', async () => {
  const h = harness();
  h.signals.publishQuiet({ offset: 5000, lsn: toLsn(900n), timeline: 2 });
  const message = h.add();
  h.settlement.watch();
  await h.synced();
  expect(h.published()).toEqual({ offset: message.offset, lsn: 90n });
  h.settle(message);
  h.passTime(1000);
  await h.asked();
  expect(h.published().lsn).toBe(90n);
  await h.synced();
  expect(h.published()).toEqual({ offset: 5000, lsn: 900n });
  expect(h.settlement.current.cursor).toEqual({
    position: h.walker.head.position,
    endLsn: 900n,
    timeline: 2,
  });
  // Nothing is delivered, and the database goes on.
  h.signals.publishQuiet({ offset: 5000, lsn: toLsn(950n), timeline: 2 });
  h.passTime(1000);
  await h.synced();
  expect(h.published()).toEqual({ offset: 5000, lsn: 950n });
  // More is in the log than this sink has read: what it knew stays so.
  h.signals.publishQuiet({ offset: 5001, lsn: toLsn(990n), timeline: 2 });
  expect(h.settlement.current.cursor.endLsn).toBe(950n);
  h.settlement.stop();
});

test('what a keepalive has told stays settled while changes after it wait, and over a restart', async () => {
  const h = harness();
  h.signals.publishQuiet({ offset: 5000, lsn: toLsn(900n), timeline: 2 });
  h.settlement.soon();
  await h.synced();
  expect(h.published()).toEqual({ offset: 5000, lsn: 900n });
  // A transaction behind it: the one before it ended far below.
  const late = new Messages(h.delivery, {
    commitLsn: toLsn(1000n),
    previousEndLsn: toLsn(516n),
    timeline: 2,
  }).add({ group: 'g', index: 5000 });
  h.signals.publishQuiet({ offset: 6000, lsn: toLsn(1100n), timeline: 2 });
  expect(h.settlement.current).toMatchObject({ cursor: { endLsn: 900n }, offset: late.offset });
  h.passTime(1000);
  h.settlement.soon();
  await h.synced();
  expect(h.published()).toEqual({ offset: late.offset, lsn: 900n });
  const again = harness({ start: { endLsn: toLsn(900n), timeline: 2 } });
  again.walker.head = headAt(500n, 5000);
  expect(again.settlement.current.cursor.endLsn).toBe(900n);
  again.walker.head = headAt(1000n, 6000);
  expect(again.settlement.current.cursor.endLsn).toBe(1016n);
  // One of a later timeline counts from lower LSNs.
  again.walker.head = { ...headAt(600n, 7000), timeline: 3 };
  expect(again.settlement.current.cursor).toMatchObject({ endLsn: 616n, timeline: 3 });
});

test('the keepalive of a later timeline counts, also where the one before had come to a higher LSN', () => {
  const h = harness();
  h.signals.publishQuiet({ offset: 5000, lsn: toLsn(500n), timeline: 2 });
  expect(h.settlement.current.cursor).toMatchObject({ endLsn: 516n, timeline: 2 });
  h.signals.publishQuiet({ offset: 5000, lsn: toLsn(500n), timeline: 3 });
  expect(h.settlement.current.cursor).toMatchObject({ endLsn: 500n, timeline: 3 });
});

test.each([
  ['EMFILE', 0],
  ['ENOSPC', 0],
  ['EIO', 1],
])(
  'a ledger that cannot be made anew for %s ends the sink %d times, and is made anew when it can',
  async (code, ends) => {
    const h = harness({ wantsCompaction: true });
    h.lacking.code = code;
    h.settlement.soon();
    await h.synced();
    await nextTurn();
    expect(h.compactions).toEqual([]);
    expect(h.faults).toHaveLength(ends);
    if (ends > 0) return;
    h.lacking.code = undefined;
    h.passTime(1000);
    h.settle(h.add());
    h.settlement.soon();
    await h.synced();
    await waitFor(() => h.compactions.length === 1, 'the file to be made anew');
  },
);
