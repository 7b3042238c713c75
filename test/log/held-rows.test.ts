// What a log remembers of a transaction that it has in part: over segments, retention, kills, and on a disk that lies.
import { execFileSync } from 'node:child_process';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { HELD_FILE } from '../../src/log/held-file.ts';
import type { HeldRows } from '../../src/log/held-rows.ts';
import { RowDigest } from '../../src/pgoutput/row-digest.ts';
import {
  append,
  begin,
  commit,
  messagesOf,
  openTestLog,
  relation,
  row,
  scratchDirectory,
  SETTINGS,
} from './stream.ts';

const BEFORE = { commitLsn: 1000n, rows: 3 };
const OPEN = { commitLsn: 2000n, rows: 100, timeUs: 1_700_000_000_000_000n };
const rows = Array.from({ length: OPEN.rows }, (_, i) => row(i, 200));

const digestOf = (messages: readonly Buffer[]): string => {
  const digest = new RowDigest();
  for (const message of messages) digest.add(message, 0, message.length);
  return digest.end();
};
const expected = (from: number, to: number): HeldRows => ({
  epoch: 0,
  commitLsn: OPEN.commitLsn as HeldRows['commitLsn'],
  commitTimeUs: OPEN.timeUs,
  xid: 0,
  firstRow: from,
  rows: to,
  digest: digestOf(rows.slice(from, to)),
});
const open = (directory: string, changes: Partial<typeof SETTINGS> = {}) =>
  openTestLog(directory, { settings: { ...SETTINGS, segmentBytes: 2000, ...changes } });
type Log = Awaited<ReturnType<typeof open>>['log'];

function logPart(log: Log, to: number): void {
  append(log, [begin(OPEN)]);
  for (let i = 0; i < to; i += 5) append(log, [relation(1), ...rows.slice(i, i + 5)]);
}

test('a log that ends within a transaction tells its rows, however many segments they are in', async () => {
  const { log } = await open(scratchDirectory());
  expect(await log.held()).toEqual([]);
  append(log, messagesOf(BEFORE));
  expect(await log.held()).toEqual([]);
  append(log, [begin(OPEN)]);
  expect(await log.held()).toEqual([]);
  logPart(log, 60);
  expect(await log.held()).toEqual([expected(0, 60)]);
  append(log, [...rows.slice(60), commit(OPEN)]);
  expect(await log.held()).toEqual([]);
});

test('of one whose beginning retention has deleted, those that are left', async () => {
  const directory = scratchDirectory();
  const { log } = await open(directory, { maxBytes: 4000 });
  append(log, messagesOf(BEFORE));
  logPart(log, 60);
  await log.sync();
  await log.retain(log.writtenEnd, Date.now() + 1000);
  const [held] = await log.held();
  expect(held!.firstRow).toBeGreaterThan(0);
  expect(held).toEqual(expected(held!.firstRow, 60));
});

test('what a kill has cut off is remembered over more of them, until the transaction is whole', async () => {
  const directory = scratchDirectory();
  const { log: first } = await open(directory);
  append(first, messagesOf(BEFORE));
  logPart(first, 60);
  await first.close();
  const { log: second } = await open(directory);
  expect(second.context.inTransaction).toBe(false);
  expect(await second.held()).toEqual([expected(0, 60)]);
  logPart(second, 20);
  expect(await second.held()).toEqual([expected(0, 60), expected(0, 20)]);
  await second.close();
  const { log: third } = await open(directory);
  expect(await third.held()).toEqual([expected(0, 20), expected(0, 60)]);
  append(third, [begin(OPEN), ...rows, commit(OPEN)]);
  expect(await third.held()).toEqual([]);
  await third.close();
  const { log: fourth } = await open(directory);
  expect(await fourth.held()).toEqual([]);
  expect(existsSync(join(directory, HELD_FILE))).toBe(false);
});

test('the first transaction of a log is no other', async () => {
  const directory = scratchDirectory();
  const { log } = await open(directory);
  logPart(log, 60);
  await log.close();
  const { log: again } = await open(directory);
  expect(await again.held()).toEqual([expected(0, 60)]);
});

test('what is remembered and cannot be read, or is of a newer version, stops the log; its cure lets it go on', async () => {
  const directory = scratchDirectory();
  const { log } = await open(directory);
  logPart(log, 60);
  await log.close();
  await (await open(directory)).log.close();
  const path = join(directory, HELD_FILE);
  const sound = readFileSync(path, 'utf8');
  const { crc: _, ...document } = JSON.parse(sound) as Record<string, unknown>;
  writeFileSync(path, JSON.stringify({ ...document, format: 99 }));
  await expect(open(directory)).rejects.toMatchObject({ code: 'LOG_VERSION' });
  writeFileSync(path, sound.replace('"rows":60', '"rows":61'));
  const failure = await open(directory).catch((error: unknown) => error as { code: string; hint: string });
  expect(failure).toMatchObject({ code: 'LOG_HELD_DAMAGED' });
  const [, command] = /\((rm [^)]+)\)/.exec((failure as { hint: string }).hint)!;
  execFileSync('sh', ['-c', command!]);
  expect(await (await open(directory)).log.held()).toEqual([]);
});
