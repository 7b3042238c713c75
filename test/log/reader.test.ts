// Reading: from anywhere, across segments, at the tail, from another thread, under retention.
import * as fc from 'fast-check';
import { readdirSync, rmSync, openSync, writeSync, closeSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { Worker } from 'node:worker_threads';
import { expect, onTestFinished, test } from 'vitest';
import { comparePositions, formatPosition, type Position } from '../../src/core/position.ts';
import { toLsn } from '../../src/core/lsn.ts';
import { openLogReader, type ReadFrom } from '../../src/log/reader.ts';
import { listSegments } from '../../src/log/segments.ts';
import { LogSignals } from '../../src/log/signals.ts';
import type { LogWriter } from '../../src/log/writer.ts';
import { waitFor } from '../support/wait.ts';
import {
  append,
  begin,
  commit,
  Consumer,
  frames,
  marker,
  messagesOf,
  openTestLog,
  readAll,
  relation,
  row,
  rowsOf,
  scratchDirectory,
  SETTINGS,
  type Transaction,
} from './stream.ts';

const positionOf = (text: string): Position => {
  const [epoch, , low, index] = text.split(/[:/]/);
  return { epoch: Number(epoch), commitLsn: toLsn(BigInt(`0x${low}`)), index: Number(index) };
};

function segmentStarts(directory: string): number[] {
  return readdirSync(directory)
    .filter((name) => name.endsWith('.log'))
    .map((name) => Number(name.slice(0, 20)))
    .sort((a, b) => a - b);
}

/** Transactions of 0 to 9 rows, each with a relation of its own, over many small segments, in two histories. */
async function richLog() {
  const directory = scratchDirectory();
  const seen: Buffer[] = [];
  const { log, signals } = await openTestLog(directory, {
    settings: { ...SETTINGS, segmentBytes: 700 },
    prologue: () => frames(...seen),
  });
  const rows: string[] = [];
  const relationAt = new Map<string, number>();
  for (let number = 0; number < 60; number++) {
    // The second history begins below where the first ended.
    const epoch = number < 40 ? 0 : 1;
    const lsn = epoch === 0 ? 1000 + number * 100 : 3000 + number * 10;
    const transaction: Transaction = { commitLsn: BigInt(lsn), rows: number % 10 };
    const described = relation(number);
    const messages = [begin(transaction), described, ...messagesOf(transaction).slice(1)];
    for (let at = 0; at < messages.length; at += 4) {
      append(log, messages.slice(at, at + 4), { epoch, timeline: epoch + 1 });
      if (at === 0) seen.push(described);
    }
    for (const text of rowsOf([transaction], epoch)) {
      rows.push(text);
      relationAt.set(text, number);
    }
  }
  return { directory, log, signals, rows, relationAt };
}

/** What a sink with its cursor at `position` gets, and what it should; relations that it lacks for the first row. */
function afterCursor(
  log: Awaited<ReturnType<typeof richLog>>,
  read: Consumer,
  position: Position,
): { got: string[]; wanted: string[]; lacking: number[] } {
  const isLater = (text: string): boolean => comparePositions(positionOf(text), position) > 0;
  const wanted = log.rows.filter(isLater);
  const inForce = wanted[0] === undefined ? 0 : log.relationAt.get(wanted[0])! + 1;
  const lacking = Array.from({ length: inForce }, (_, id) => id).filter((id) => !read.relations.has(id));
  return { got: read.rows.filter(isLater), wanted, lacking };
}

test('reading from any row gives exactly the later rows, with the relations in force', async () => {
  const log = await richLog();
  const reader = openLogReader(log.directory, log.signals);
  const places = [
    ...log.rows.map(positionOf),
    ...log.rows.map((text) => ({ ...positionOf(text), index: -1 })),
  ];
  await fc.assert(
    fc.asyncProperty(fc.constantFrom(...places), async (position) => {
      const read = await readAll(reader, log.signals, { position });
      const { got, wanted, lacking } = afterCursor(log, read, position);
      expect(got).toEqual(wanted);
      expect(lacking).toEqual([]);
    }),
    { numRuns: 100 },
  );
});

test('reading begins near its place: not whole segments of rows come before it', async () => {
  const log = await richLog();
  const reader = openLogReader(log.directory, log.signals);
  for (const text of log.rows.filter((_, number) => number % 7 === 0)) {
    const read = await readAll(reader, log.signals, { position: positionOf(text) });
    // One append held four messages at most.
    expect(log.rows.indexOf(text) - log.rows.indexOf(read.rows[0]!)).toBeLessThan(4);
  }
});

test('behind the last row of a transaction its commit comes, too', async () => {
  const log = await richLog();
  const reader = openLogReader(log.directory, log.signals);
  const last = log.rows.map(positionOf).filter(({ index, commitLsn, epoch }, i, all) => {
    const next = all[i + 1];
    return index >= 0 && (next?.commitLsn !== commitLsn || next.epoch !== epoch);
  });
  for (const position of last) {
    const { commits } = await readAll(reader, log.signals, { position });
    expect(commits[0]).toBe(`${position.epoch}:${position.commitLsn}`);
  }
  reader.close();
});

test('after retention any position still retained reads exactly, and an older one names the first that does', async () => {
  const log = await richLog();
  const reader = openLogReader(log.directory, log.signals);
  const starts = segmentStarts(log.directory);
  for (const start of starts.slice(1)) {
    await log.log.retain(start, Date.now() + 1000);
    const first = reader.firstPosition();
    const read = await readAll(reader, log.signals, { position: first });
    const { got, wanted, lacking } = afterCursor(log, read, first);
    expect(got).toEqual(wanted);
    expect(lacking).toEqual([]);
    const older = log.rows.findLast((text) => comparePositions(positionOf(text), first) < 0);
    await expect(readAll(reader, log.signals, { position: positionOf(older!) })).rejects.toMatchObject({
      code: 'LOG_POSITION_NOT_RETAINED',
      firstRetained: first,
    });
  }
});

test('the offset where a block ended goes on with the next block', async () => {
  const { directory, signals, rows } = await richLog();
  const reader = openLogReader(directory, signals);
  const ends: { offset: number; seen: number }[] = [];
  const consumer = new Consumer();
  const stopping = new AbortController();
  for await (const block of reader.read('earliest', stopping.signal)) {
    consumer.take(block);
    ends.push({ offset: block.blockEnd, seen: consumer.rows.length });
    if (block.blockEnd === signals.writtenEnd()) stopping.abort();
  }
  for (const { offset, seen } of ends.slice(0, -1).filter((_, number) => number % 5 === 0)) {
    expect((await readAll(reader, signals, { offset })).rows).toEqual(rows.slice(seen));
  }
});

test('frames are read again by their offset, in any order', async () => {
  const { directory, signals } = await openTestLogOf([row(1, 40), row(2, 50), row(3, 60)]);
  const reader = openLogReader(directory, signals);
  onTestFinished(() => reader.close());
  const { offsets } = await readAll(reader, signals);
  expect(reader.readFrames(offsets[2]!, 60)).toEqual(row(3, 60));
  expect(reader.readFrames(offsets[0]!, 40)).toEqual(row(1, 40));
});

test('frames of segments made since the last look are found', async () => {
  const directory = scratchDirectory();
  const { log, signals } = await openTestLog(directory, { settings: { ...SETTINGS, segmentBytes: 300 } });
  const reader = openLogReader(directory, signals);
  onTestFinished(() => reader.close());
  for (let number = 1; number <= 20; number++) {
    append(log, messagesOf({ commitLsn: BigInt(number), rows: number }, 30));
    const { offsets } = await readAll(reader, signals);
    expect(reader.readFrames(offsets.at(-1)!, 30)).toEqual(row(number - 1, 30));
  }
});

async function openTestLogOf(messages: readonly Buffer[]) {
  const directory = scratchDirectory();
  const opened = await openTestLog(directory);
  const transaction = { commitLsn: 7n, rows: messages.length };
  append(opened.log, [begin(transaction), ...messages, commit(transaction)]);
  return { directory, ...opened };
}

test('frames that retention has deleted are refused', async () => {
  const log = await richLog();
  const reader = openLogReader(log.directory, log.signals);
  const { offsets } = await readAll(reader, log.signals);
  await log.log.retain(log.log.writtenEnd, Date.now() + 1000);
  expect(() => reader.readFrames(offsets[0]!, 12)).toThrow(
    expect.objectContaining({ code: 'LOG_POSITION_NOT_RETAINED' }),
  );
});

/** A consumer that reads on in the background. */
function follow(directory: string, signals: LogSignals, from: ReadFrom) {
  const stopping = new AbortController();
  const consumer = new Consumer();
  const reader = openLogReader(directory, signals);
  const run = (async () => {
    for await (const block of reader.read(from, stopping.signal)) consumer.take(block);
  })();
  onTestFinished(async () => {
    stopping.abort();
    await run.catch(() => undefined);
  });
  return { consumer, run, stop: () => stopping.abort() };
}

test('a reader at the end gets what is appended later, with the relations from before, until it is stopped', async () => {
  const directory = scratchDirectory();
  const { log, signals } = await openTestLog(directory);
  append(log, [relation(77), ...messagesOf({ commitLsn: 1n, rows: 2 })]);
  const { consumer, run, stop } = follow(directory, signals, 'end');
  await waitFor(() => consumer.relations.has(77), 'the relations');
  for (let number = 2; number < 5; number++) {
    append(log, messagesOf({ commitLsn: BigInt(number), rows: 1 }));
    await waitFor(() => consumer.rows.length === number - 1, 'the row');
  }
  expect(consumer.rows).toEqual(['0:0/2:0', '0:0/3:0', '0:0/4:0']);
  stop();
  await run;
});

test('a reader that starts before the log exists waits for it', async () => {
  const directory = join(scratchDirectory(), 'later');
  const signals = new LogSignals();
  const { consumer } = follow(directory, signals, 'earliest');
  const { log } = await openTestLog(directory, { signals });
  append(log, messagesOf({ commitLsn: 1n, rows: 1 }));
  await waitFor(() => consumer.rows.length === 1, 'the row');
  expect(consumer.rows).toEqual(['0:0/1:0']);
});

test('a reader goes on from segment to segment while retention deletes the ones it has read', async () => {
  const directory = scratchDirectory();
  const settings = { ...SETTINGS, segmentBytes: 500 };
  const { log, signals } = await openTestLog(directory, { settings });
  const { consumer } = follow(directory, signals, 'earliest');
  const all: Transaction[] = [];
  for (let number = 1; number <= 60; number++) {
    all.push({ commitLsn: BigInt(number), rows: 2 });
    append(log, messagesOf(all.at(-1)!));
    await waitFor(() => consumer.rows.length === 2 * number, 'the rows');
    // All of it is read: even the file that the reader has open may go.
    await log.retain(log.writtenEnd, Date.now() + 1000);
  }
  expect(consumer.rows).toEqual(rowsOf(all));
});

test('a reader outlives a writer that recovers: an unfinished transaction comes again from its Begin', async () => {
  const directory = scratchDirectory();
  const signals = new LogSignals();
  const unfinished = { commitLsn: 9n, rows: 3 };
  const { consumer } = follow(directory, signals, 'earliest');
  const first = await openTestLog(directory, { signals });
  append(first.log, [begin(unfinished), row(0), row(1)]);
  await waitFor(() => consumer.rows.length === 2, 'the unfinished rows');
  await first.log.close();
  const second = await openTestLog(directory, { signals });
  append(second.log, messagesOf(unfinished));
  await waitFor(() => consumer.rows.length === 5, 'the rows again');
  expect(consumer.rows.slice(2)).toEqual(rowsOf([unfinished]));
});

test('a reader that has not yet read what a recovery cut off goes on behind the cut', async () => {
  const directory = scratchDirectory();
  const signals = new LogSignals();
  const [whole, unfinished] = [
    { commitLsn: 5n, rows: 1 },
    { commitLsn: 9n, rows: 2 },
  ];
  const first = await openTestLog(directory, { signals });
  append(first.log, messagesOf(whole));
  const reading = openLogReader(directory, signals).read('earliest', new AbortController().signal);
  const iterator = reading[Symbol.asyncIterator]();
  const consumer = new Consumer();
  const step = async (): Promise<void> => consumer.take((await iterator.next()).value);
  await step(); // the prologue
  await step();
  expect(consumer.rows).toEqual(rowsOf([whole]));
  append(first.log, [begin(unfinished), row(0)]);
  await first.log.close();
  const second = await openTestLog(directory, { signals });
  append(second.log, messagesOf(unfinished));
  while (consumer.rows.length < 3) await step();
  expect(consumer.rows).toEqual(rowsOf([whole, unfinished]));
  await iterator.return?.(undefined);
});

test('an append wakes a reader in another thread', async () => {
  const directory = scratchDirectory();
  const { log, signals } = await openTestLog(directory);
  const source = resolve(import.meta.dirname, '../../src/log');
  const worker = new Worker(
    `const { parentPort, workerData } = require('node:worker_threads');
     (async () => {
       const { openLogReader } = await import(${JSON.stringify(`${source}/reader.ts`)});
       const { LogSignals } = await import(${JSON.stringify(`${source}/signals.ts`)});
       const signals = new LogSignals(workerData.signals);
       const reader = openLogReader(workerData.directory, signals);
       parentPort.postMessage('ready');
       for await (const block of reader.read('earliest', new AbortController().signal)) {
         parentPort.postMessage(block.context.lastCommitLsn);
       }
     })();
     setInterval(() => undefined, 60_000);`,
    { eval: true, workerData: { directory, signals: signals.buffer } },
  );
  onTestFinished(() => worker.terminate().then(() => undefined));
  const seen: unknown[] = [];
  worker.on('message', (message) => seen.push(message));
  await waitFor(() => seen.length === 2, 'the worker to read the prologue');
  for (const number of [1, 2, 3]) {
    append(log, messagesOf({ commitLsn: BigInt(number), rows: 1 }));
    await waitFor(() => seen.length === number + 2, 'the worker to see the append');
  }
  expect(seen).toEqual(['ready', 0n, 0n, 1n, 2n]);
});

test('a damaged block is named with its file and offset', async () => {
  const { directory, signals, log } = await openTestLogOf([row(1)]);
  const end = signals.writtenEnd();
  append(log, messagesOf({ commitLsn: 90n, rows: 1 }));
  const [name] = readdirSync(directory).filter((name) => name.endsWith('.log'));
  const fd = openSync(join(directory, name!), 'r+');
  writeSync(fd, Buffer.from([1, 2, 3]), 0, 3, signals.writtenEnd() - 8);
  closeSync(fd);
  const reader = openLogReader(directory, signals);
  await expect(readAll(reader, signals)).rejects.toMatchObject({
    code: 'LOG_CORRUPT',
    message: expect.stringContaining(`${name} is damaged at log offset ${end}`) as string,
  });
});

test('a missing segment in the middle is an error, not a gap passed over in silence', async () => {
  const { directory, signals } = await richLog();
  const starts = segmentStarts(directory);
  rmSync(join(directory, `${String(starts[3]).padStart(20, '0')}.log`));
  await expect(readAll(openLogReader(directory, signals), signals)).rejects.toMatchObject({
    code: 'LOG_CORRUPT',
    message: expect.stringContaining(`offset ${starts[3]}`) as string,
  });
});

test('a block larger than one read comes whole, between small ones', async () => {
  const directory = scratchDirectory();
  const { log, signals } = await openTestLog(directory);
  const big = { commitLsn: 20n, rows: 3 };
  append(log, messagesOf({ commitLsn: 10n, rows: 1 }));
  append(log, messagesOf(big, 1_200_000));
  append(log, messagesOf({ commitLsn: 30n, rows: 1 }));
  const reader = openLogReader(directory, signals);
  expect((await readAll(reader, signals)).rows).toEqual(
    rowsOf([{ commitLsn: 10n, rows: 1 }, big, { commitLsn: 30n, rows: 1 }]),
  );
});

const HOUR_US = 3_600_000_000n;
const NOON_US = 1_767_268_800_000_000n;

/** A transaction an hour, from noon on. */
function appendHours(log: LogWriter, count: number): void {
  for (let hour = 0; hour < count; hour++) {
    append(
      log,
      messagesOf({ commitLsn: BigInt(100 + hour), rows: 3, timeUs: NOON_US + BigInt(hour) * HOUR_US }),
    );
  }
}

test('a time is found as the first transaction committed then or later', async () => {
  const directory = scratchDirectory();
  const { log, signals } = await openTestLog(directory, { settings: { ...SETTINGS, segmentBytes: 500 } });
  appendHours(log, 30);
  const reader = openLogReader(directory, signals);
  const at = (hours: bigint, us = 0n): Promise<Position | undefined> =>
    reader.findTime(NOON_US + hours * HOUR_US + us);
  expect(await at(-5n)).toMatchObject({ commitLsn: 100n, index: -1 });
  expect(await at(17n)).toMatchObject({ commitLsn: 117n, index: -1 });
  expect(await at(17n, 1n)).toMatchObject({ commitLsn: 118n, index: -1 });
  expect(await at(29n)).toMatchObject({ commitLsn: 129n, index: -1 });
  expect(await at(29n, 1n)).toBeUndefined();
  const position = (await at(28n))!;
  const { rows } = await readAll(reader, signals, { position });
  expect(rows.slice(-6)).toEqual(
    rowsOf([
      { commitLsn: 128n, rows: 3 },
      { commitLsn: 129n, rows: 3 },
    ]),
  );
});

test('reading on in the middle of a transaction begins before its first marker', async () => {
  const directory = scratchDirectory();
  const { log, signals } = await openTestLog(directory, { settings: { ...SETTINGS, segmentBytes: 300 } });
  const before: Transaction = { commitLsn: 100n, rows: 1 };
  const transaction: Transaction = { commitLsn: 200n, rows: 8 };
  append(log, messagesOf(before));
  append(log, [begin(transaction), row(0), row(1)]);
  append(log, [row(2), marker(), row(3)]);
  append(log, [row(4), row(5)]);
  append(log, [marker(), row(6), row(7), commit(transaction)]);
  const reader = openLogReader(directory, signals);
  onTestFinished(() => reader.close());
  expect(segmentStarts(directory).length).toBeGreaterThan(2);
  const firstIndexAfter = async (index: number): Promise<number> => {
    const position = { epoch: 0, commitLsn: toLsn(200n), index };
    const { rows } = await readAll(reader, signals, { position });
    return positionOf(rows[0]!).index;
  };
  expect(await firstIndexAfter(1)).toBe(2);
  for (const index of [2, 3, 4, 5, 6]) expect(await firstIndexAfter(index)).toBe(2);
});

test('a marker counts for its transaction only, and is cut off with it', async () => {
  const directory = scratchDirectory();
  const { log } = await openTestLog(directory);
  const transaction: Transaction = { commitLsn: 200n, rows: 2 };
  append(log, [marker()]);
  expect(log.context.marked).toBe(false);
  append(log, [begin(transaction), marker(), row(0)]);
  expect(log.context).toMatchObject({ inTransaction: true, marked: true });
  append(log, [row(1), commit(transaction), begin({ commitLsn: 300n, rows: 1 })]);
  expect(log.context).toMatchObject({ inTransaction: true, marked: false });
});

test('an LSN is found in the first epoch, in the order of the log, that has come so far', async () => {
  const directory = scratchDirectory();
  const { log, signals } = await openTestLog(directory, { settings: { ...SETTINGS, segmentBytes: 700 } });
  const write = (epoch: number, from: number, to: number): void => {
    for (let commit = from; commit <= to; commit += 100) {
      append(log, messagesOf({ commitLsn: BigInt(commit), rows: 2 }, 60), { epoch, timeline: 1 + epoch });
    }
  };
  write(0, 1000, 3000);
  write(1, 2500, 4000);
  // Another server, with lower LSNs.
  write(2, 500, 1500);
  expect(listSegments(directory).length).toBeGreaterThan(10);
  const reader = openLogReader(directory, signals);
  const find = async (lsn: number, afterEpoch?: number): Promise<string | undefined> => {
    const found = await reader.findLsn(toLsn(BigInt(lsn)), afterEpoch);
    return found && formatPosition({ ...found, index: 0 });
  };
  const at = (epoch: number, commit: number) =>
    formatPosition({ epoch, commitLsn: toLsn(BigInt(commit)), index: 0 });
  for (let lsn = 1; lsn <= 3000; lsn += 37) {
    expect(await find(lsn)).toBe(at(0, Math.max(1000, Math.ceil(lsn / 100) * 100)));
  }
  expect(await find(3001)).toBe(at(1, 3100));
  expect(await find(4000)).toBe(at(1, 4000));
  expect(await find(4001)).toBeUndefined();
  expect(await find(2600, 0)).toBe(at(1, 2600));
  expect(await find(700, 0)).toBe(at(1, 2500));
  expect(await find(700, 1)).toBe(at(2, 700));
  expect(await find(1501, 1)).toBeUndefined();
  expect(await find(0, 2)).toBeUndefined();
  reader.close();
});

test('a transaction that goes over several segments is found by its LSN, also where its beginning is gone', async () => {
  const directory = scratchDirectory();
  const { log, signals } = await openTestLog(directory, { settings: { ...SETTINGS, segmentBytes: 700 } });
  append(log, messagesOf({ commitLsn: 100n, rows: 1 }, 60));
  append(log, [begin({ commitLsn: 200n, rows: 40 })]);
  for (let i = 0; i < 40; i++) append(log, [row(i, 60)]);
  append(log, [commit({ commitLsn: 200n, rows: 40 })]);
  append(log, messagesOf({ commitLsn: 300n, rows: 1 }, 60));
  await log.sync();
  const reader = openLogReader(directory, signals);
  expect(await reader.findLsn(toLsn(101n))).toEqual({ epoch: 0, commitLsn: 200n, index: -1 });
  const [, , third] = listSegments(directory);
  await log.retain(third!.startOffset, Date.now() + 1000);
  const found = await reader.findLsn(toLsn(101n));
  expect(found).toMatchObject({ commitLsn: 200n });
  expect(found!.index).toBeGreaterThan(0);
  expect(await reader.findLsn(toLsn(201n))).toMatchObject({ commitLsn: 300n });
  reader.close();
});
