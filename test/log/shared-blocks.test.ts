// Blocks that several readers share: each gets what it would read alone, within a bound, however fast or slow the others are.
import * as fc from 'fast-check';
import { expect, onTestFinished, test, vi } from 'vitest';
import { INITIAL_CONTEXT } from '../../src/log/format.ts';
import type { LogBlock } from '../../src/log/block.ts';
import { openLogReader } from '../../src/log/reader.ts';
import { MAX_KEPT_BYTES, SharedBlocks, type SharedReader } from '../../src/log/shared-blocks.ts';
import { patient } from '../support/messages.ts';
import { reading } from './reading.ts';
import {
  append,
  begin,
  messagesOf,
  openTestLog,
  relation,
  scratchDirectory,
  SETTINGS,
  type Transaction,
} from './stream.ts';

/** Small transactions over many segments. */
async function smallLog() {
  const directory = scratchDirectory();
  const { log, signals } = await openTestLog(directory, { settings: { ...SETTINGS, segmentBytes: 900 } });
  for (let number = 0; number < 40; number++) {
    const transaction: Transaction = { commitLsn: BigInt(1000 + number * 100), rows: number % 7 };
    append(log, [begin(transaction), relation(number), ...messagesOf(transaction).slice(1)], {
      epoch: 0,
      timeline: 1,
    });
  }
  return { directory, signals };
}

test('readers that take turns as they like each read what one alone does', async () => {
  const { directory, signals } = await smallLog();
  const alone = reading(openLogReader(directory, signals), signals);
  while (!alone.isDone) await alone.next();
  await alone.end();
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.nat(3), { maxLength: 400 }),
      // From all of the log down to less than a block.
      fc.constantFrom(MAX_KEPT_BYTES, 300_000, 140_000, 100),
      async (turns, maxBytes) => {
        const shared = new SharedBlocks(maxBytes);
        const readers = Array.from({ length: 4 }, () =>
          reading(openLogReader(directory, signals), signals, shared),
        );
        for (const turn of turns) if (!readers[turn]!.isDone) await readers[turn]!.next();
        for (const one of readers) while (!one.isDone) await one.next();
        for (const one of readers) await one.end();
        for (const { read } of readers) expect(read).toEqual(alone.read);
        expect(shared.count).toBe(0);
        expect(shared.bytes).toBe(0);
      },
    ),
    { numRuns: 15 },
  );
});

/** A block of `bytes` at an offset: what it holds says where it is from. */
const blockAt = (offset: number, bytes = 1000): LogBlock => ({
  buffer: Buffer.alloc(bytes, offset / 1000),
  start: 0,
  end: bytes,
  offset,
  blockEnd: offset + bytes,
  context: INITIAL_CONTEXT,
  prologue: false,
  relationsOnly: false,
});

test('a block is kept until all that come to it have passed it', () => {
  const shared = new SharedBlocks();
  const readers = [0, 0, 0].map((offset) => shared.join(offset));
  const kept = shared.keep(readers[0]!, blockAt(0));
  expect(shared.count).toBe(1);
  shared.pass(readers[0]!, 1000);
  for (const reader of readers.slice(1)) {
    expect(shared.find(reader)).toBe(kept);
    shared.pass(reader, 1000);
  }
  expect(shared.count).toBe(0);
  expect(shared.bytes).toBe(0);
});

test('a reader whom nobody follows keeps nothing', () => {
  const shared = new SharedBlocks();
  const alone = shared.join(100_000_000);
  const farBehind = shared.join(0);
  const block = blockAt(100_000_000);
  expect(shared.keep(alone, block)).toBe(block);
  expect(shared.count).toBe(0);
  // Nor does one behind whom nobody is: the one ahead does not come back.
  expect(shared.keep(farBehind, blockAt(0)).kept).toBeUndefined();
});

test('what is kept stays within its bound, also what was made of blocks', () => {
  const shared = new SharedBlocks(1_000_000);
  const [first] = [0, 0].map((offset) => shared.join(offset));
  for (let number = 0; number < 100; number++) {
    const block = shared.keep(first!, blockAt(number * 1000));
    block.kept?.grow(number * 1000);
    expect(shared.bytes).toBeLessThanOrEqual(1_000_000);
    shared.pass(first!, (number + 1) * 1000);
  }
  expect(shared.count).toBeGreaterThan(0);
});

test('of a block that made room nothing is kept for others, though somebody has it in hand', () => {
  const shared = new SharedBlocks(2500);
  const [a, b] = [0, 0].map((offset) => shared.join(offset));
  const first = shared.keep(a!, blockAt(0)).kept!;
  shared.find(b!);
  expect(first.of('name', () => 'made')).toBe('made');
  for (const number of [1, 2]) {
    shared.pass(a!, number * 1000);
    shared.keep(a!, blockAt(number * 1000));
  }
  expect(first.isGone).toBe(true);
  expect(first.of('name', () => 'made anew')).toBe('made anew');
  expect(first.of('name', () => 'and again')).toBe('and again');
});

test('a buffer is used again only when nobody has its block in hand', () => {
  const shared = new SharedBlocks();
  const [a, b] = [0, 0].map((offset) => shared.join(offset));
  const first = shared.keep(a!, blockAt(0)).kept!;
  const writer = first.takeWriter();
  // It comes when the block is there already, and nobody counted on it.
  const late = shared.join(0);
  shared.find(b!);
  shared.find(late);
  shared.pass(late, 1000);
  shared.pass(a!, 1000);
  const second = shared.keep(a!, blockAt(1000)).kept!;
  expect(second.takeWriter()).not.toBe(writer);
  shared.pass(b!, 1000);
  shared.pass(a!, 2000);
  // Now nobody has the first one.
  const third = shared.keep(a!, blockAt(2000)).kept!;
  expect(third.takeWriter()).toBe(writer);
});

/** A thread's time: who sleeps lets it pass, and `isBusy` says whether anything else was done meanwhile. */
function clock() {
  let now = 0;
  let spare = 0;
  const time = {
    isBusy: true,
    meanwhile: (): void => undefined,
    get now() {
      return now;
    },
    pass: (ms: number): void => void (now += ms),
    ports: {
      nowMs: () => now,
      spareMs: () => spare,
      sleep: (ms: number): Promise<void> => {
        now += ms;
        if (!time.isBusy) spare += ms;
        time.meanwhile();
        return Promise.resolve();
      },
    },
  };
  return time;
}

const MIB = 1024 * 1024;
const END = 100 * MIB;

/** Two readers, one a megabyte behind the other, which has just moved. */
function ahead(time: ReturnType<typeof clock>) {
  const shared = new SharedBlocks(MAX_KEPT_BYTES, time.ports);
  const [first, behind] = [5 * MIB, 4 * MIB - 1000].map((offset) => shared.join(offset)) as [
    SharedReader,
    SharedReader,
  ];
  shared.pass(behind, 4 * MIB);
  const turn = (): Promise<void> | undefined => shared.turn(first, END, patient);
  return { shared, first, behind, turn };
}

test('a reader lets those behind it come first while the thread is busy, until they have come', async () => {
  const time = clock();
  const { shared, behind, turn } = ahead(time);
  time.meanwhile = () => shared.pass(behind, behind.offset + 300_000);
  await turn();
  expect(behind.offset).toBeGreaterThan(4.7 * MIB);
  expect(time.now).toBeLessThan(20);
});

test('a reader waits for nobody at the end of the log, and not for one that is far behind or does not move', () => {
  const time = clock();
  const { shared, first, behind, turn } = ahead(time);
  expect(shared.turn(first, first.offset + 1000, patient)).toBeUndefined();
  expect(shared.turn(behind, END, patient)).toBeUndefined();
  time.pass(200);
  expect(turn()).toBeUndefined();
  shared.pass(behind, 5 * MIB - 10 * MIB);
  expect(turn()).toBeUndefined();
});

test('a reader does not wait where the thread has time to spare', async () => {
  const time = clock();
  const { shared, behind, turn } = ahead(time);
  time.isBusy = false;
  await turn();
  expect(time.now).toBeLessThan(10);
  shared.pass(behind, 4 * MIB + 1000);
  expect(turn()).toBeUndefined();
});

test('whatever those behind do, a fifth of the time is its own', async () => {
  const time = clock();
  const { shared, behind, turn } = ahead(time);
  // It moves a little, and never catches up.
  time.meanwhile = () => shared.pass(behind, behind.offset + 10);
  let own = 0;
  for (let step = 0; step < 1000; step++) {
    const waiting = turn();
    if (waiting !== undefined) await waiting;
    else {
      own++;
      time.pass(1);
      time.meanwhile();
    }
  }
  expect(own / time.now).toBeGreaterThan(0.19);
});

test('what is made of a block under one name is made once', () => {
  const shared = new SharedBlocks();
  const [a, b] = [0, 0].map((offset) => shared.join(offset));
  let made = 0;
  const make = (): number => ++made;
  const kept = shared.keep(a!, blockAt(0)).kept!;
  expect(kept.of('x', make)).toBe(1);
  expect(shared.find(b!)!.kept!.of('x', make)).toBe(1);
  expect(kept.of('y', make)).toBe(2);
});

test('readers that are close to one another have one buffer, whoever of them is ahead', async () => {
  const { directory, signals } = await smallLog();
  const shared = new SharedBlocks();
  const buffers = vi.spyOn(Buffer, 'allocUnsafeSlow');
  onTestFinished(() => buffers.mockRestore());
  const readers = Array.from({ length: 8 }, () =>
    reading(openLogReader(directory, signals), signals, shared),
  );
  for (let first = 0; !readers.every(({ isDone }) => isDone); first++)
    for (let i = 0; i < readers.length; i++) {
      const reader = readers[(first + i) % readers.length]!;
      if (!reader.isDone) await reader.next();
    }
  for (const reader of readers) await reader.end();
  const segments = readers[0]!.read.length / 2;
  expect(segments).toBeGreaterThan(15);
  expect(buffers.mock.calls.length).toBeLessThan(segments + readers.length);
});
