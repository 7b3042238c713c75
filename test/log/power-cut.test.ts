// What a power cut leaves of the log: all that was announced as durable, and never less than was remembered.
import { watchDisk, type WatchedDisk } from '../support/power-cut.ts';
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { beforeEach, describe, expect, onTestFinished, test, vi } from 'vitest';
import { toLsn } from '../../src/core/lsn.ts';
import { openLogReader } from '../../src/log/reader.ts';
import { LogSignals } from '../../src/log/signals.ts';
import { syncDirectory } from '../../src/data-directory/directory.ts';
import { EMPTY_STATE, StateFile } from '../../src/log/state-file.ts';
import type { LogWriter, Recovered } from '../../src/log/writer.ts';
import type { Chance } from '../support/power-cut-survivors.ts';
import { readsOf } from '../support/reads.ts';
import { seededRandom } from '../support/workload.ts';
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

const SEEDS = 20;
const MIB = 1024 * 1024;
/** Some transactions a segment. */
const SMALL_SEGMENTS = { ...SETTINGS, segmentBytes: 2000 };

let directory: string;
let disk: WatchedDisk;
let cuts: number;

beforeEach(() => {
  directory = scratchDirectory();
  const watched = (disk = watchDisk(directory));
  onTestFinished(() => watched.unwatch());
  cuts = 0;
});

const numbered = (from: number, to: number): Transaction[] =>
  Array.from({ length: to - from + 1 }, (_, i) => ({ commitLsn: BigInt(100 * (from + i)), rows: 3 }));

type Left = { readonly recovered: Recovered; readonly rows: readonly string[] };

/** A directory as a power cut now leaves it. Synchronous: nothing becomes durable meanwhile. */
function cut(chance?: Chance): string {
  const target = join(scratchDirectory(), String(++cuts));
  disk.record.writeSurvivors(target, chance);
  return target;
}

/** The same with chance, a way for each seed. */
const cutInManyWays = (ways = SEEDS): string[] =>
  Array.from({ length: ways }, (_, seed) => cut(seededRandom(seed)));

/** The log that is found there. */
async function logIn(target: string): Promise<Left> {
  const signals = new LogSignals();
  const { log } = await openTestLog(target, { signals, settings: SMALL_SEGMENTS });
  const { recovered } = log;
  // Something to read up to.
  append(log, messagesOf({ commitLsn: 1_000_000n, rows: 1 }));
  const { rows } = await readAll(openLogReader(target, signals), signals);
  await log.close();
  return { recovered, rows: rows.slice(0, -1) };
}

const segmentCount = (): number => readdirSync(directory).filter((name) => name.endsWith('.log')).length;

test('what was synced is there, over all segments that were begun meanwhile, and what came later is not', async () => {
  const { log } = await openTestLog(directory, { settings: SMALL_SEGMENTS });
  const synced = numbered(1, 40);
  for (const transaction of synced) append(log, messagesOf(transaction));
  await log.sync();
  for (const transaction of numbered(41, 60)) append(log, messagesOf(transaction));
  expect(segmentCount()).toBeGreaterThan(3);
  const { rows, recovered } = await logIn(cut());
  expect(rows).toEqual(rowsOf(synced));
  expect(recovered.damaged).toBe(false);
});

test('whatever part of the rest survives, what was synced is whole, and the rest is whole transactions', async () => {
  const { log, signals } = await openTestLog(directory, { settings: SMALL_SEGMENTS });
  const all = numbered(1, 60);
  for (const transaction of all.slice(0, 40)) append(log, messagesOf(transaction));
  await log.sync();
  expect(signals.durableEnd()).toBe(log.writtenEnd);
  for (const transaction of all.slice(40)) append(log, messagesOf(transaction));
  for (const target of cutInManyWays()) {
    const { rows, recovered } = await logIn(target);
    expect(recovered.damaged).toBe(false);
    const whole = all.filter(({ commitLsn }) => commitLsn <= recovered.lastCommitLsn);
    expect(whole.length).toBeGreaterThanOrEqual(40);
    expect(rows).toEqual(rowsOf(whole));
  }
});

test('a sync announces what it covers, not what came while it ran', async () => {
  const { log, signals } = await openTestLog(directory);
  append(log, messagesOf({ commitLsn: 100n, rows: 3 }));
  const covered = log.writtenEnd;
  const sync = log.sync();
  await Promise.resolve();
  append(log, messagesOf({ commitLsn: 200n, rows: 3 }));
  expect(await sync).toBe(covered);
  expect(signals.durableEnd()).toBe(covered);
});

test('a recovery makes durable what it keeps, in every segment, before anybody reads it', async () => {
  const before = await openTestLog(directory, { settings: SMALL_SEGMENTS });
  const all = numbered(1, 40);
  for (const transaction of all) append(before.log, messagesOf(transaction));
  // Nothing was synced, and the process is killed: another one opens the log.
  const { log, signals } = await openTestLog(directory, { settings: SMALL_SEGMENTS });
  expect(signals.durableEnd()).toBe(log.writtenEnd);
  expect((await logIn(cut())).rows).toEqual(rowsOf(all));
});

test('a recovery makes its cut durable: what it cut off does not come back', async () => {
  const before = await openTestLog(directory);
  const whole = numbered(1, 10);
  for (const transaction of whole) append(before.log, messagesOf(transaction));
  append(before.log, [begin({ commitLsn: 5000n, rows: 2 }), row(0)]);
  await before.log.sync();
  // The durable end is on record, the unfinished transaction before it.
  await before.log.remember({ flushed: toLsn(1n) });
  const { log } = await openTestLog(directory);
  expect(log.recovered.cutBytes).toBeGreaterThan(0);
  const later = { commitLsn: 6000n, rows: 2 };
  append(log, messagesOf(later));
  await log.sync();
  const { rows, recovered } = await logIn(cut());
  expect(rows).toEqual(rowsOf([...whole, later]));
  expect(recovered).toMatchObject({ cutBytes: 0, damaged: false });
});

test('after a failed sync a recovery writes anew what the page cache shows and the disk may not have', async () => {
  const before = await openTestLog(directory);
  const all = Array.from({ length: 30 }, (_, n): Transaction => ({
    commitLsn: BigInt(100 * (n + 1)),
    rows: 3,
  }));
  await before.log.sync();
  for (const transaction of all) append(before.log, messagesOf(transaction, MIB / 64));
  disk.fail(true);
  await expect(before.log.sync()).rejects.toMatchObject({ code: 'LOG_SYNC_FAILED' });
  disk.fail(false);
  await openTestLog(directory);
  expect((await logIn(cut())).rows).toEqual(rowsOf(all));
});

test('the durable end is noted when the disk has it: noted too early, the log would pass for damaged', async () => {
  // The note is made once a second.
  const clock = vi.spyOn(performance, 'now').mockReturnValue(0);
  onTestFinished(() => clock.mockRestore());
  const { log, signals } = await openTestLog(directory);
  const before = signals.durableEnd();
  clock.mockReturnValue(10_000);
  append(log, messagesOf({ commitLsn: 100n, rows: 3 }));
  const sync = log.sync();
  await Promise.resolve();
  expect(signals.durableEnd()).toBe(before);
  const cuts = cutInManyWays();
  await sync;
  for (const target of cuts) expect((await logIn(target)).recovered.damaged).toBe(false);
  expect(signals.durableEnd()).toBe(log.writtenEnd);
});

test('a flush that was remembered is known after a cut, also one in the middle of remembering the next', async () => {
  const { log } = await openTestLog(directory);
  append(log, messagesOf({ commitLsn: 100n, rows: 3 }));
  for (const flushed of [10n, 20n, 30n]) await log.remember({ flushed: toLsn(flushed) });
  const next = log.remember({ flushed: toLsn(40n) });
  // The bytes are handed to the system, and the disk has not answered.
  await Promise.resolve();
  const cuts = cutInManyWays();
  await next;
  const found = new Set<bigint>();
  for (const target of cuts) found.add((await logIn(target)).recovered.flushed);
  expect(found).toEqual(new Set([30n, 40n]));
});

describe('the numbers of rows that backfills read', () => {
  const readsAt = (log: LogWriter, rows: number): void => {
    const messages = readsOf({
      rows: Array.from({ length: rows }, (_, i) => [`k${i}`, null]),
      firstIndex: log.readIndex,
    });
    append(log, messages);
  };

  test('are remembered durably before one of them is given out', async () => {
    const { log } = await openTestLog(directory);
    append(log, messagesOf({ commitLsn: 100n, rows: 3 }));
    expect(log.readIndex).toBe(0);
    expect(log.hasNumbers(1)).toBe(false);
    const reserved = log.reserveNumbers(10);
    expect(log.hasNumbers(10)).toBe(false);
    await reserved;
    expect(log.hasNumbers(10)).toBe(true);
  });

  test('that the power took are not given out again, behind the same transaction or a later one that was lost with them', async () => {
    const { log } = await openTestLog(directory);
    append(log, messagesOf({ commitLsn: 100n, rows: 3 }));
    await log.reserveNumbers(20);
    await log.sync();
    readsAt(log, 5);
    append(log, messagesOf({ commitLsn: 200n, rows: 1 }));
    readsAt(log, 7);
    expect(log.context.before).toEqual({ epoch: 0, commitLsn: 201n, index: 6 });
    const target = cut();
    const { log: after } = await openTestLog(target);
    expect(after.context.lastCommitLsn).toBe(100n);
    expect(after.readIndex).toBeGreaterThanOrEqual(7);
    append(after, messagesOf({ commitLsn: 200n, rows: 1 }));
    expect(after.readIndex).toBeGreaterThanOrEqual(7);
    const first = after.readIndex;
    await after.reserveNumbers(1);
    readsAt(after, 1);
    expect(after.context.before).toEqual({ epoch: 0, commitLsn: 201n, index: first });
    expect(after.readIndex).toBe(first + 1);
  });

  test('that were durable are behind the present ones, too', async () => {
    const { log } = await openTestLog(directory);
    append(log, messagesOf({ commitLsn: 100n, rows: 3 }));
    await log.reserveNumbers(20);
    readsAt(log, 20);
    await log.sync();
    const { log: after } = await openTestLog(cut());
    expect(after.readIndex).toBeGreaterThanOrEqual(20);
  });

  test('end before a position could hold no more of them', async () => {
    const { log } = await openTestLog(directory);
    append(log, messagesOf({ commitLsn: 100n, rows: 1 }));
    await expect(log.reserveNumbers(0xffff_fff1)).rejects.toMatchObject({ code: 'LOG_READS_NUMBERED' });
  });
});

test('notes never touch what was saved, before the file was opened or since, nor while the next save is under way', async () => {
  const path = join(directory, 'state');
  const stateAt = (flushed: bigint) => ({ ...EMPTY_STATE, flushed: toLsn(flushed) });
  let file = new StateFile(path, '0.0.0-test');
  onTestFinished(() => file.close());
  syncDirectory(directory);
  await file.save(stateAt(1n));
  await file.save(stateAt(2n));
  file.note(stateAt(3n));
  file.note(stateAt(4n));
  expect(leastFound()).toBe(2n);
  await file.save(stateAt(5n));
  file.close();
  file = new StateFile(path, '0.0.0-test');
  file.note(stateAt(6n));
  expect(leastFound()).toBe(5n);
  const saved = file.save(stateAt(7n));
  await Promise.resolve();
  file.note(stateAt(8n));
  // A sector is seldom torn where it matters.
  expect(leastFound(8 * SEEDS)).toBe(5n);
  await saved;
});

/** Of many power cuts now, the least that the state file remembers. */
function leastFound(ways = SEEDS): bigint {
  const found = cutInManyWays(ways).map((target) => {
    const file = new StateFile(join(target, 'state'), '0.0.0-test');
    file.close();
    return file.found?.flushed ?? 0n;
  });
  return found.reduce((least, flushed) => (flushed < least ? flushed : least));
}
