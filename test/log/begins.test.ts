import { expect, test } from 'vitest';
import { toLsn } from '../../src/core/lsn.ts';
import { loggedBegins } from '../../src/log/begins.ts';
import { listSegments } from '../../src/log/segments.ts';
import { append, messagesOf, openTestLog, scratchDirectory, SETTINGS } from './stream.ts';

const small = { settings: { ...SETTINGS, segmentBytes: 4096 } };

/** Transactions at 100, 200, …, of three rows each, several to a segment. */
async function logOf(count: number, rows = 3) {
  const directory = scratchDirectory();
  const opened = await openTestLog(directory, small);
  for (let n = 1; n <= count; n++) {
    const messages = messagesOf({ commitLsn: BigInt(n * 100), rows, timeUs: BigInt(n) }, 300);
    // A large one comes in several reads of the socket.
    for (let at = 0; at < messages.length; at += 10) append(opened.log, messages.slice(at, at + 10));
  }
  const begins = (from: bigint, limit = opened.log.writtenEnd) =>
    [...loggedBegins(directory, { from: toLsn(from), limit, partings: [] })].map(({ commitLsn }) =>
      Number(commitLsn),
    );
  return { ...opened, directory, begins };
}

test('the beginnings from a commit on are all of them, over segments, with id and time', async () => {
  const { directory, begins, log } = await logOf(20);
  expect(listSegments(directory).length).toBeGreaterThan(2);
  expect(begins(0n)).toEqual(Array.from({ length: 20 }, (_, i) => (i + 1) * 100));
  expect(begins(1500n)).toEqual([1500, 1600, 1700, 1800, 1900, 2000]);
  expect(begins(1501n)).toEqual([1600, 1700, 1800, 1900, 2000]);
  expect(begins(2001n)).toEqual([]);
  const [first] = loggedBegins(directory, { from: toLsn(700n), limit: log.writtenEnd, partings: [] });
  expect(first).toEqual({ commitLsn: 700n, commitTimeUs: 7n, xid: 700 });
});

test('a transaction that fills segments is found by its beginning', async () => {
  const { directory, begins } = await logOf(3, 100);
  expect(listSegments(directory).length).toBeGreaterThan(10);
  expect([begins(200n), begins(201n), begins(300n)]).toEqual([[200, 300], [300], [300]]);
});

test('of a log that has let go of its beginning those that are retained are told, and nothing above the limit', async () => {
  const { log, begins, directory } = await logOf(20);
  await log.sync();
  const whole = begins(0n);
  await log.retain(log.writtenEnd, Date.now() + 1000);
  const retained = begins(0n);
  expect(retained.length).toBeGreaterThan(0);
  expect(retained.length).toBeLessThan(20);
  expect(whole.slice(-retained.length)).toEqual(retained);
  const { startOffset } = listSegments(directory).at(-1)!;
  expect(begins(0n, startOffset)).toEqual([]);
});
