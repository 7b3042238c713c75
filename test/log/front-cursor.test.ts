// The cursor with which the readers of a thread read together: over large segments, and where a file cannot be opened.
import * as fc from 'fast-check';
import {
  closeSync,
  fstatSync,
  openSync,
  readdirSync,
  readlinkSync,
  renameSync,
  writeFileSync,
} from 'node:fs';
import { expect, test } from 'vitest';
import { BlockCursor } from '../../src/log/block-cursor.ts';
import { FrontCursor } from '../../src/log/front-cursor.ts';
import { openLogReader } from '../../src/log/reader.ts';
import { listSegments } from '../../src/log/segments.ts';
import { SharedBlocks } from '../../src/log/shared-blocks.ts';
import { reading } from './reading.ts';
import { append, messagesOf, openTestLog, scratchDirectory, SETTINGS } from './stream.ts';

async function logOf(transactions: number, segmentBytes: number, bytesOf: (number: number) => number) {
  const directory = scratchDirectory();
  const { log, signals } = await openTestLog(directory, { settings: { ...SETTINGS, segmentBytes } });
  for (let number = 0; number < transactions; number++)
    append(log, messagesOf({ commitLsn: BigInt(1000 + number * 100), rows: 1 }, bytesOf(number)));
  return { directory, signals };
}

const openFilesIn = (directory: string): number =>
  readdirSync('/proc/self/fd').filter((fd) => {
    try {
      return readlinkSync(`/proc/self/fd/${fd}`).startsWith(directory);
    } catch {
      return false;
    }
  }).length;

test('readers that take turns as they like read what one alone does, in segments larger than a buffer', async () => {
  const sizes = [400_000, 120_000, 5_000, 120_000, 120_000];
  const log = await logOf(60, 2_500_000, (number) => sizes[number % sizes.length]!);
  const readingOf = (shared?: SharedBlocks) =>
    reading(openLogReader(log.directory, log.signals), log.signals, shared);
  const alone = readingOf();
  while (!alone.isDone) await alone.next();
  await alone.end();
  const before = openFilesIn(log.directory);
  let nowMs = 0;
  const ports = { nowMs: () => (nowMs += 101), spareMs: () => 0, sleep: () => Promise.resolve() };
  const turn = fc.record({ who: fc.nat(3), times: fc.constantFrom(1, 1, 2, 5, 20) });
  await fc.assert(
    fc.asyncProperty(
      fc.array(turn, { maxLength: 80 }),
      fc.constantFrom(16_000_000, 300_000, 130_000, 100),
      async (turns, maxBytes) => {
        const shared = new SharedBlocks(maxBytes, ports);
        const readers = Array.from({ length: 4 }, () => readingOf(shared));
        for (const { who, times } of turns)
          for (let i = 0; i < times; i++) if (!readers[who]!.isDone) await readers[who]!.next();
        while (!readers.every(({ isDone }) => isDone))
          for (const reader of readers) if (!reader.isDone) await reader.next();
        for (const reader of readers) await reader.end();
        for (const { read } of readers) expect(read).toEqual(alone.read);
        expect([shared.count, shared.bytes, openFilesIn(log.directory)]).toEqual([0, 0, before]);
      },
    ),
    { numRuns: 12 },
  );
});

test('a segment that cannot be opened is tried again, and no file is closed twice: its descriptor may be of another by then', async () => {
  const { directory, signals } = await logOf(40, 900, () => 50);
  const [first, second] = listSegments(directory);
  const front = new FrontCursor();
  expect(front.next(new BlockCursor(first!), signals.writtenEnd())).toBeTypeOf('object');
  const own = new BlockCursor(second!);
  renameSync(second!.path, `${second!.path}.away`);
  writeFileSync(second!.path, Buffer.alloc(4096));
  expect(() => front.next(own, signals.writtenEnd())).toThrow('header');
  const other = openSync(first!.path, 'r');
  renameSync(`${second!.path}.away`, second!.path);
  expect(front.next(own, signals.writtenEnd())).toBeTypeOf('object');
  front.close();
  front.close();
  expect(fstatSync(other).isFile()).toBe(true);
  closeSync(other);
});
