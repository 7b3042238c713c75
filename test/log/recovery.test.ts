// What is left of a log after a crash, a torn write, damage, or somebody else's files.
import * as fc from 'fast-check';
import {
  chmodSync,
  cpSync,
  openSync,
  closeSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  truncateSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { execFileSync } from 'node:child_process';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import type { TailraceError } from '../../src/core/errors.ts';
import { FILE_DEVICE } from '../../src/log/device.ts';
import { FRAME, FRAME_HEADER_BYTES } from '../../src/pgoutput/frames.ts';
import { openLogReader } from '../../src/log/reader.ts';
import {
  append,
  begin,
  messagesOf,
  openTestLog,
  readAll,
  row,
  rowsOf,
  scratchDirectory,
  SETTINGS,
  type Transaction,
} from './stream.ts';

/** Where each block ends, and how many transactions are whole by then. */
type Mark = { readonly end: number; readonly whole: number };

function commitsIn(payload: Buffer): number {
  let commits = 0;
  for (let at = 0; at < payload.length; at += FRAME_HEADER_BYTES + payload.readUInt32BE(at)) {
    if (payload[at + FRAME_HEADER_BYTES] === FRAME.commit) commits++;
  }
  return commits;
}

/** A log left behind by a crash: transactions appended in pieces of `cuts` messages, nothing known to be durable. */
async function crashedLog(options: {
  transactions: readonly Transaction[];
  cuts: readonly number[];
  segmentBytes: number;
}) {
  const directory = scratchDirectory();
  const marks: Mark[] = [{ end: 0, whole: 0 }];
  const device = {
    ...FILE_DEVICE,
    write: (fd: number, buffers: readonly Buffer[], position: number) => {
      const written = FILE_DEVICE.write(fd, buffers, position);
      const last = marks.at(-1)!;
      marks.push({ end: last.end + written, whole: last.whole + commitsIn(buffers.at(-1)!) });
      return written;
    },
  };
  const settings = { ...SETTINGS, segmentBytes: options.segmentBytes };
  const { log } = await openTestLog(directory, { settings, device });
  const messages = options.transactions.flatMap((transaction) => messagesOf(transaction));
  for (let at = 0, piece = 0; at < messages.length; piece++) {
    const count = options.cuts[piece % options.cuts.length]!;
    append(log, messages.slice(at, at + count));
    at += count;
  }
  return { directory, marks, settings };
}

const segmentsIn = (directory: string): { path: string; start: number; end: number }[] =>
  readdirSync(directory)
    .filter((name) => name.endsWith('.log'))
    .sort()
    .map((name) => {
      const path = join(directory, name);
      const start = Number(name.slice(0, 20));
      return { path, start, end: start + statSync(path).size };
    });

/** A copy of the log as a crash would leave it when only the bytes below `offset` reached the disk. */
function copyUpTo(directory: string, offset: number): string {
  const copy = join(scratchDirectory(), 'log');
  cpSync(directory, copy, { recursive: true });
  for (const segment of segmentsIn(copy)) {
    if (segment.start >= offset && segment.start > 0) rmSync(segment.path);
    else if (segment.end > offset) truncateSync(segment.path, offset - segment.start);
  }
  return copy;
}

/** Opens the log, appends what Postgres would send again, and gives what a sink reads. */
async function recoverAndGoOn(
  directory: string,
  transactions: readonly Transaction[],
  settings = SETTINGS,
): Promise<{ whole: number; readBefore: string[]; readAfter: string[] }> {
  const { log, signals } = await openTestLog(directory, { settings });
  const { lastCommitLsn } = log.recovered;
  const whole = transactions.filter((transaction) => transaction.commitLsn <= lastCommitLsn).length;
  const reader = openLogReader(directory, signals);
  const readBefore = (await readAll(reader, signals)).rows;
  for (const transaction of transactions.slice(whole)) append(log, messagesOf(transaction));
  const readAfter = (await readAll(reader, signals)).rows;
  await log.close();
  return { whole, readBefore, readAfter };
}

const numbered = (rowCounts: readonly number[]): Transaction[] =>
  rowCounts.map((rows, number) => ({ commitLsn: BigInt(100 * (number + 1)), rows }));

/** Recovers a copy that ends at `offset`; what is found there and what should be. */
async function recoverAt(
  crashed: Awaited<ReturnType<typeof crashedLog>>,
  transactions: readonly Transaction[],
  offset: number,
): Promise<{ found: unknown; wanted: unknown }> {
  const whole = crashed.marks.findLast((mark) => mark.end <= offset)!.whole;
  const copy = copyUpTo(crashed.directory, offset);
  return {
    found: await recoverAndGoOn(copy, transactions, crashed.settings),
    wanted: {
      whole,
      readBefore: rowsOf(transactions.slice(0, whole)),
      readAfter: rowsOf(transactions),
    },
  };
}

test('a log cut at any byte of its tail holds exactly the transactions that were whole, and goes on', async () => {
  const transactions = numbered([1, 2, 0, 3, 2]);
  const crashed = await crashedLog({ transactions, cuts: [4, 5], segmentBytes: 1 << 20 });
  const end = crashed.marks.at(-1)!.end;
  const tail = crashed.marks.at(-3)!.end;
  for (let offset = tail - 1; offset <= end; offset++) {
    const { found, wanted } = await recoverAt(crashed, transactions, offset);
    expect(found, `cut at ${offset}`).toEqual(wanted);
  }
});

test('random transactions in random blocks over several segments are recovered from any cut', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.nat(8), { minLength: 1, maxLength: 12 }),
      fc.array(fc.integer({ min: 1, max: 9 }), { minLength: 1, maxLength: 6 }),
      fc.integer({ min: 150, max: 1500 }),
      fc.nat(1_000_000),
      async (rowCounts, cuts, segmentBytes, place) => {
        const transactions = numbered(rowCounts);
        const crashed = await crashedLog({ transactions, cuts, segmentBytes });
        const offset = place % (crashed.marks.at(-1)!.end + 1);
        const { found, wanted } = await recoverAt(crashed, transactions, offset);
        expect(found).toEqual(wanted);
      },
    ),
    { numRuns: 40 },
  );
});

test('a segment whose end the disk lost is where the log ends, though later segments are sound', async () => {
  const transactions = numbered([3, 3, 3, 3, 3, 3, 3, 3]);
  const crashed = await crashedLog({ transactions, cuts: [5], segmentBytes: 500 });
  const copy = copyUpTo(crashed.directory, Infinity);
  const second = segmentsIn(copy)[1]!;
  const lost = crashed.marks.findLast((mark) => mark.end < second.end)!;
  truncateSync(second.path, lost.end - second.start);
  const found = await recoverAndGoOn(copy, transactions, crashed.settings);
  expect(found.whole).toBe(lost.whole);
  expect(found.readAfter).toEqual(rowsOf(transactions));
});

test('a segment whose header the power tore is where the log ends, wherever that was', async () => {
  const transactions = numbered([3, 3, 3, 3]);
  const crashed = await crashedLog({ transactions, cuts: [5], segmentBytes: 500 });
  const before = segmentsIn(crashed.directory).at(-2)!;
  for (const left of [0, 5, 6, 8, 10, 12, 14, 16, 40]) {
    const copy = copyUpTo(crashed.directory, Infinity);
    const last = segmentsIn(copy).at(-1)!;
    writeFileSync(last.path, Buffer.concat([readFileSync(last.path).subarray(0, left), Buffer.alloc(5000)]));
    const found = await recoverAndGoOn(copy, transactions, crashed.settings);
    expect(found.whole).toBe(crashed.marks.findLast((mark) => mark.end <= before.end)!.whole);
    expect(found.readAfter).toEqual(rowsOf(transactions));
  }
});

test('an unfinished transaction that fills several segments is cut off whole', async () => {
  const directory = scratchDirectory();
  const settings = { ...SETTINGS, segmentBytes: 400 };
  const { log } = await openTestLog(directory, { settings });
  const [whole, unfinished] = numbered([2, 50]);
  append(log, messagesOf(whole!));
  append(log, [begin(unfinished!)]);
  for (let index = 0; index < 40; index++) append(log, [row(index)]);
  await log.sync();
  await log.close();
  expect(segmentsIn(directory).length).toBeGreaterThan(4);
  const again = await openTestLog(directory, { settings });
  expect(again.log.recovered).toMatchObject({ lastCommitLsn: 100n, damaged: false });
  expect(again.log.recovered.cutBytes).toBeGreaterThan(1000);
  append(again.log, messagesOf(unfinished!));
  const reader = openLogReader(directory, again.signals);
  expect((await readAll(reader, again.signals)).rows).toEqual(rowsOf([whole!, unfinished!]));
});

test('an unfinished transaction whose beginning is no longer retained leaves an empty log with the last LSNs', async () => {
  const directory = scratchDirectory();
  const settings = { ...SETTINGS, segmentBytes: 400 };
  const { log } = await openTestLog(directory, { settings });
  const [whole, unfinished] = numbered([2, 50]);
  append(log, messagesOf(whole!));
  append(log, [begin(unfinished!)]);
  for (let index = 0; index < 40; index++) append(log, [row(index)]);
  await log.sync();
  await log.retain(log.writtenEnd, Date.now() + 1000);
  const end = log.writtenEnd;
  await log.close();
  const again = await openTestLog(directory, { settings });
  expect(again.log.recovered).toMatchObject({ lastCommitLsn: 100n, lastEndLsn: 116n, damaged: false });
  expect(again.log.writtenEnd).toBeGreaterThan(end);
  append(again.log, messagesOf(unfinished!));
  const reader = openLogReader(directory, again.signals);
  expect((await readAll(reader, again.signals)).rows).toEqual(rowsOf([unfinished!]));
});

function flipByte(path: string, position: number): void {
  const value = readFileSync(path)[position]!;
  const fd = openSync(path, 'r+');
  writeSync(fd, Buffer.from([value ^ 0xff]), 0, 1, position);
  closeSync(fd);
}

test('a bad block above the durable end is cut off without alarm', async () => {
  const transactions = numbered([2, 2, 2]);
  const { directory, marks } = await crashedLog({ transactions, cuts: [4], segmentBytes: 1 << 20 });
  const copy = copyUpTo(directory, Infinity);
  flipByte(segmentsIn(copy)[0]!.path, marks.at(-1)!.end - 1);
  const { log } = await openTestLog(copy);
  expect(log.recovered).toMatchObject({ lastCommitLsn: 200n, damaged: false });
  expect(log.recovered.cutBytes).toBe(marks.at(-1)!.end - marks.at(-2)!.end);
});

test('a bad block below the durable end is cut off and reported as damage', async () => {
  const directory = scratchDirectory();
  const { log } = await openTestLog(directory);
  for (const transaction of numbered([2, 2, 2])) append(log, messagesOf(transaction));
  await log.close();
  const [segment] = segmentsIn(directory);
  flipByte(segment!.path, statSync(segment!.path).size - 1);
  const again = await openTestLog(directory);
  expect(again.log.recovered).toMatchObject({ lastCommitLsn: 200n, damaged: true, created: false });
  await again.log.close();
  const third = await openTestLog(directory);
  expect(third.log.recovered).toMatchObject({ lastCommitLsn: 200n, damaged: false });
});

test('a durable end that the files do not reach is damage', async () => {
  const directory = scratchDirectory();
  const { log } = await openTestLog(directory);
  for (const transaction of numbered([2, 2])) append(log, messagesOf(transaction));
  await log.close();
  const end = log.writtenEnd;
  for (const segment of segmentsIn(directory)) rmSync(segment.path);
  const again = await openTestLog(directory);
  expect(again.log.recovered).toMatchObject({ lastCommitLsn: 0n, damaged: true, created: false });
  expect(again.log.writtenEnd).toBeGreaterThan(end);
});

/** Five segments of a transaction each, all durable. */
async function settledLog() {
  const directory = scratchDirectory();
  const settings = { ...SETTINGS, segmentBytes: 1 };
  const { log } = await openTestLog(directory, { settings });
  for (const transaction of numbered([1, 1, 1, 1, 1])) append(log, messagesOf(transaction));
  await log.sync();
  await log.close();
  const segments = segmentsIn(directory);
  expect(segments.length).toBeGreaterThanOrEqual(5);
  return { directory, settings, segments };
}

test.each([
  ['a file that is gone', (path: string) => rmSync(path), 1, 1],
  ['a file that is cut', (path: string, bytes: number) => truncateSync(path, bytes - 7), 2, 7],
])('a hole far below the end is found, and everything else goes on: %s', async (_, harm, next, missing) => {
  const { directory, settings, segments } = await settledLog();
  const [, harmed] = segments;
  const bytes = harmed!.end - harmed!.start;
  harm(harmed!.path, bytes);
  const { log } = await openTestLog(directory, { settings });
  expect(log.recovered).toMatchObject({ lastCommitLsn: 500n, damaged: false, cutBytes: 0 });
  expect(log.recovered.holes).toEqual([
    {
      after: next === 1 ? segments[0]!.path : harmed!.path,
      before: segments[2]!.path,
      bytes: missing === 1 ? bytes : missing,
    },
  ]);
});

test('a log from whose beginning files are gone, or whose end was cut, has no hole', async () => {
  const { directory, settings, segments } = await settledLog();
  rmSync(segments[0]!.path);
  flipByte(segments.at(-1)!.path, segments.at(-1)!.end - segments.at(-1)!.start - 1);
  const { log } = await openTestLog(directory, { settings });
  append(log, messagesOf({ commitLsn: 900n, rows: 1 }));
  await log.sync();
  await log.close();
  const again = await openTestLog(directory, { settings });
  expect([log.recovered.holes, again.log.recovered.holes]).toEqual([[], []]);
});

test('a state file in which nothing can be read is damage where there are transactions, and its cure mends it', async () => {
  const directory = scratchDirectory();
  const { log } = await openTestLog(directory);
  append(log, messagesOf({ commitLsn: 100n, rows: 1 }));
  await log.close();
  const path = join(directory, 'state');
  writeFileSync(path, Buffer.alloc(8192, 'garbage '));
  const error: unknown = await openTestLog(directory).catch((error: unknown) => error);
  expect(error).toMatchObject({
    code: 'LOG_STATE_DAMAGED',
    message: expect.stringContaining(path) as string,
  });
  const { hint } = error as TailraceError;
  execFileSync('sh', ['-c', /\((rm [^)]+)\)/.exec(hint!)![1]!]);
  const again = await openTestLog(directory);
  expect(again.log.recovered).toMatchObject({ lastCommitLsn: 100n, stateLost: true, damaged: false });
});

test('a state file that a crash tore before the first transaction is none', async () => {
  const directory = scratchDirectory();
  const { log } = await openTestLog(directory);
  await log.close();
  writeFileSync(join(directory, 'state'), Buffer.alloc(100, 'garbage '));
  expect((await openTestLog(directory)).log.recovered).toMatchObject({ created: true, damaged: false });
});

test('a torn state file falls back to what was remembered before', async () => {
  const directory = scratchDirectory();
  const { log } = await openTestLog(directory);
  append(log, messagesOf({ commitLsn: 100n, rows: 1 }));
  await log.remember({ flushed: log.context.lastEndLsn });
  await log.close();
  const path = join(directory, 'state');
  const bytes = readFileSync(path);
  for (const slot of [0, 4096]) {
    const torn = Buffer.from(bytes);
    torn.fill(0xee, slot + 20, slot + 60);
    writeFileSync(path, torn);
    const again = await openTestLog(directory);
    expect(again.log.recovered).toMatchObject({ lastCommitLsn: 100n, flushed: 116n });
    await again.log.close();
  }
});

test('a log of another slot, database or cluster is refused by name and left alone', async () => {
  const directory = scratchDirectory();
  const { log } = await openTestLog(directory);
  append(log, messagesOf({ commitLsn: 100n, rows: 1 }));
  await log.close();
  const identity = { systemIdentifier: '7000000000000000002', databaseOid: 5, slot: 'other' };
  await expect(openTestLog(directory, { identity })).rejects.toMatchObject({
    code: 'LOG_IDENTITY',
    message: expect.stringMatching(/systemIdentifier .*1, now .*2; slot tailrace, now other/) as string,
  });
  const again = await openTestLog(directory);
  expect(again.log.recovered.lastCommitLsn).toBe(100n);
});

test('a segment in a later format is refused, naming the version that wrote it', async () => {
  const directory = scratchDirectory();
  const { log } = await openTestLog(directory, { version: '9.9.9' });
  await log.close();
  const [segment] = segmentsIn(directory);
  const fd = openSync(segment!.path, 'r+');
  writeSync(fd, Buffer.from([0x7f, 0xff]), 0, 2, 6);
  closeSync(fd);
  await expect(openTestLog(directory)).rejects.toMatchObject({
    code: 'LOG_VERSION',
    message: expect.stringContaining('9.9.9') as string,
  });
});

test('a directory that cannot be written is refused with the cure', async () => {
  const directory = scratchDirectory();
  const { log } = await openTestLog(directory);
  await log.close();
  chmodSync(join(directory, 'state'), 0o400);
  // Root may write anywhere: become nobody where the tests run as root.
  const root = process.geteuid?.() === 0;
  if (root) process.seteuid!(65_534);
  try {
    await expect(openTestLog(directory)).rejects.toMatchObject({ code: 'LOG_READ_ONLY' });
  } finally {
    if (root) process.seteuid!(0);
  }
});
