// Appending, durability, rolling, retention and failing disks.
import { cpSync, readdirSync, rmSync, statSync, utimesSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { toLsn } from '../../src/core/lsn.ts';
import { FILE_DEVICE } from '../../src/log/device.ts';
import { openLogReader } from '../../src/log/reader.ts';
import { LogSignals } from '../../src/log/signals.ts';
import {
  append,
  begin,
  commit,
  endLsnOf,
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
import { tightDevice } from '../support/tight-device.ts';

const transactions = (count: number, rows = 3): Transaction[] =>
  Array.from({ length: count }, (_, number) => ({ commitLsn: BigInt(1000 * (number + 1)), rows }));

test('what is appended is read in order, and the signals say where the log ends', async () => {
  const directory = scratchDirectory();
  const { log, signals } = await openTestLog(directory);
  const all = transactions(5);
  for (const transaction of all) append(log, messagesOf(transaction));
  const reader = openLogReader(directory, signals);
  expect((await readAll(reader, signals)).rows).toEqual(rowsOf(all));
  expect(signals.writtenEnd()).toBe(log.writtenEnd);
  expect(signals.lastCommitLsn()).toBe(5000n);
  expect(signals.lastEndLsn()).toBe(endLsnOf(all[4]!));
});

test('the context tells commit, xid and next row of a transaction in progress', async () => {
  const { log } = await openTestLog(scratchDirectory());
  append(log, messagesOf({ commitLsn: 50n, rows: 2 }));
  append(log, [begin({ commitLsn: 123n, rows: 2 }), row(0), row(1)]);
  expect(log.context).toMatchObject({
    inTransaction: true,
    commitLsn: 123n,
    xid: 123,
    index: 2,
    lastCommitLsn: 50n,
    lastEndLsn: 66n,
    before: { epoch: 0, commitLsn: 123n, index: 1 },
  });
});

test('TRUNCATE counts one row event a table; relations, types, markers and pieces count none', async () => {
  const { log } = await openTestLog(scratchDirectory());
  const truncate = Buffer.alloc(6 + 3 * 4);
  truncate[0] = 0x54;
  truncate.writeInt32BE(3, 1);
  const oversize = Buffer.alloc(14, 0x6f);
  const noise = ['O', 'R', 'Y', 'M', 'e', 'p'].map((type) => Buffer.from(`${type}payload`));
  append(log, [begin({ commitLsn: 9n, rows: 0 }), ...noise, truncate, oversize, ...noise]);
  expect(log.context.index).toBe(4);
});

test('a transaction without rows leaves the position of the last row event', async () => {
  const { log } = await openTestLog(scratchDirectory());
  append(log, [...messagesOf({ commitLsn: 10n, rows: 2 }), ...messagesOf({ commitLsn: 20n, rows: 0 })]);
  expect(log.context).toMatchObject({
    lastCommitLsn: 20n,
    before: { epoch: 0, commitLsn: 10n, index: 1 },
  });
});

test('bytes that are not whole frames are refused', async () => {
  const { log } = await openTestLog(scratchDirectory());
  expect(() => log.append(Buffer.from([0, 0, 0, 9, 0x42]), 5, { epoch: 0, timeline: 1 })).toThrow(
    expect.objectContaining({ code: 'LOG_MALFORMED_FRAMES' }),
  );
});

test('calls of sync share one fdatasync, and the durable end is what was appended before', async () => {
  let syncs = 0;
  const device = {
    ...FILE_DEVICE,
    sync: (fd: number) => {
      syncs++;
      return FILE_DEVICE.sync(fd);
    },
  };
  const { log, signals } = await openTestLog(scratchDirectory(), { device });
  syncs = 0;
  append(log, messagesOf({ commitLsn: 1n, rows: 1 }));
  const end = log.writtenEnd;
  expect(await Promise.all([log.sync(), log.sync(), log.sync()])).toEqual([end, end, end]);
  expect(syncs).toBe(1);
  expect(signals.durableEnd()).toBe(end);
  await log.sync();
  expect(syncs).toBe(1);
});

test('sync covers the segments that were filled since the last one', async () => {
  const synced = new Set<number>();
  const device = {
    ...FILE_DEVICE,
    sync: (fd: number) => {
      synced.add(fd);
      return FILE_DEVICE.sync(fd);
    },
  };
  const directory = scratchDirectory();
  const { log } = await openTestLog(directory, { device, settings: { ...SETTINGS, segmentBytes: 300 } });
  for (const transaction of transactions(10)) append(log, messagesOf(transaction));
  await log.sync();
  const segments = readdirSync(directory).filter((name) => name.endsWith('.log'));
  expect(segments.length).toBeGreaterThan(2);
  expect(synced.size).toBe(segments.length);
});

test('a full segment is followed by one that opens with the relations in force', async () => {
  const directory = scratchDirectory();
  const { log, signals } = await openTestLog(directory, {
    settings: { ...SETTINGS, segmentBytes: 2000 },
  });
  const all = transactions(60);
  append(log, [relation(1)]);
  for (const transaction of all) append(log, messagesOf(transaction));
  await log.sync();
  const segments = readdirSync(directory).filter((name) => name.endsWith('.log'));
  expect(segments.length).toBeGreaterThan(3);
  const reader = openLogReader(directory, signals);
  expect((await readAll(reader, signals)).rows).toEqual(rowsOf(all));
  const fromSecond = await readAll(reader, signals, { offset: Number(segments[1]!.slice(0, 20)) });
  expect([...fromSecond.relations]).toEqual([1]);
});

test('a block larger than a segment has one of its own, and leaves no empty one', async () => {
  const directory = scratchDirectory();
  const { log } = await openTestLog(directory, { settings: { ...SETTINGS, segmentBytes: 300 } });
  for (const transaction of transactions(3, 40)) append(log, messagesOf(transaction));
  expect(readdirSync(directory).filter((name) => name.endsWith('.log')).length).toBe(3);
});

test('the directory is private, and so are its files', async () => {
  const directory = join(scratchDirectory(), 'log', 'shop');
  await openTestLog(directory);
  expect(statSync(directory).mode & 0o777).toBe(0o700);
  const modes = readdirSync(directory).map((name) => statSync(join(directory, name)).mode & 0o777);
  expect(modes.length).toBe(2);
  expect(new Set(modes)).toEqual(new Set([0o600]));
});

test('a full disk is told with the cure, what was logged before is kept, and once there is room the log goes on', async () => {
  const directory = scratchDirectory();
  const disk = tightDevice();
  const { device } = disk;
  const { log, signals } = await openTestLog(directory, { device });
  const [first, second] = transactions(2);
  append(log, messagesOf(first!));
  const end = signals.writtenEnd();
  disk.room = 100;
  expect(() => append(log, messagesOf(second!))).toThrow(expect.objectContaining({ code: 'LOG_DISK_FULL' }));
  expect(() => append(log, messagesOf(second!))).toThrow(expect.objectContaining({ code: 'LOG_DISK_FULL' }));
  expect(signals.writtenEnd()).toBe(end);
  expect(await log.sync()).toBe(end);

  disk.room = Infinity;
  append(log, messagesOf(second!));
  const reader = openLogReader(directory, signals);
  expect((await readAll(reader, signals)).rows).toEqual(rowsOf([first!, second!]));
});

test('what a full disk took of a block is gone when something smaller comes instead, and the segment ends there', async () => {
  const directory = scratchDirectory();
  const disk = tightDevice();
  const { device } = disk;
  const settings = { ...SETTINGS, segmentBytes: 2000 };
  const { log, signals } = await openTestLog(directory, { device, settings });
  const [first, small, large] = [1000n, 2000n, 3000n].map((commitLsn, i) => ({
    commitLsn,
    rows: [1, 1, 150][i]!,
  }));
  append(log, messagesOf(first!));
  disk.room = 400;
  expect(() => append(log, messagesOf({ commitLsn: 2000n, rows: 30 }))).toThrow('full');
  disk.room = Infinity;
  append(log, messagesOf(small!));
  append(log, messagesOf(large!));
  expect((await readAll(openLogReader(directory, signals), signals)).rows).toEqual(
    rowsOf([first!, small!, large!]),
  );
  await log.close();
  const again = await openTestLog(directory, { settings });
  expect(again.log.recovered).toMatchObject({ cutBytes: 0, damaged: false });
});

test('a disk that is full again and again leaves nothing behind in the files, whichever write it refuses', async () => {
  const directory = scratchDirectory();
  const disk = tightDevice();
  const { device } = disk;
  // So small that most transactions need a new segment.
  const settings = { ...SETTINGS, segmentBytes: 300 };
  const { log, signals } = await openTestLog(directory, { device, settings });
  const all = transactions(40);
  let refused = 0;
  for (const [i, transaction] of all.entries()) {
    for (let given = (i * 37) % 400; ; given += 150) {
      disk.room = given;
      try {
        append(log, messagesOf(transaction));
        break;
      } catch (error) {
        if ((error as { code?: string }).code !== 'LOG_DISK_FULL') throw error;
        refused++;
      }
    }
  }
  expect(refused).toBeGreaterThan(30);
  disk.room = Infinity;
  expect((await readAll(openLogReader(directory, signals), signals)).rows).toEqual(rowsOf(all));
  await log.close();
  const again = await openTestLog(directory, { settings });
  expect(again.log.recovered).toMatchObject({ cutBytes: 0, damaged: false });
  expect((await readAll(openLogReader(directory, again.signals), again.signals)).rows).toEqual(rowsOf(all));
});

test('a failed fdatasync ends the writer: nothing is announced as durable, and every later call fails', async () => {
  let broken = false;
  const device = {
    ...FILE_DEVICE,
    sync: (fd: number) =>
      broken ? Promise.reject(Object.assign(new Error('bad'), { code: 'EIO' })) : FILE_DEVICE.sync(fd),
  };
  const { log, signals } = await openTestLog(scratchDirectory(), { device });
  const durable = signals.durableEnd();
  append(log, messagesOf({ commitLsn: 1n, rows: 1 }));
  broken = true;
  await expect(log.sync()).rejects.toMatchObject({ code: 'LOG_SYNC_FAILED' });
  broken = false;
  await expect(log.sync()).rejects.toMatchObject({ code: 'LOG_SYNC_FAILED' });
  await expect(log.remember({ flushed: toLsn(1n) })).rejects.toMatchObject({ code: 'LOG_SYNC_FAILED' });
  expect(() => append(log, [row(1)])).toThrow(expect.objectContaining({ code: 'LOG_SYNC_FAILED' }));
  expect(signals.durableEnd()).toBe(durable);
});

test('the flush position, the history and the stream options are remembered', async () => {
  const directory = scratchDirectory();
  const first = await openTestLog(directory);
  expect(first.log.recovered).toMatchObject({ created: true, flushed: 0n, streamOptionsChanged: false });
  append(first.log, messagesOf({ commitLsn: 1n, rows: 1 }));
  for (const flushed of [1n, 2n, 17n]) await first.log.remember({ flushed: toLsn(flushed) });
  await first.log.remember({ flushed: toLsn(17n), history: { epoch: 3, timeline: 4 } });
  await first.log.close();
  const second = await openTestLog(directory);
  expect(second.log.recovered).toMatchObject({
    created: false,
    flushed: 17n,
    epoch: 3,
    timeline: 4,
    lastCommitLsn: 1n,
    lastEndLsn: 17n,
    streamOptionsChanged: false,
  });
  await second.log.close();
});

test('a new log remembers its stream options although it crashes before anything is flushed', async () => {
  const directory = scratchDirectory();
  const { log } = await openTestLog(directory);
  append(log, messagesOf({ commitLsn: 1n, rows: 1 }));
  const copy = join(scratchDirectory(), 'copy');
  cpSync(directory, copy, { recursive: true });
  const again = await openTestLog(copy);
  expect(again.log.recovered).toMatchObject({
    created: false,
    lastCommitLsn: 1n,
    streamOptionsChanged: false,
  });
});

test('changed stream options are reported until the flush position is remembered under them', async () => {
  const directory = scratchDirectory();
  const streamOptions = { publication_names: 'other' };
  const changed = async (options: object): Promise<boolean> => {
    const { log } = await openTestLog(directory, options);
    const { streamOptionsChanged } = log.recovered;
    append(log, messagesOf({ commitLsn: 1n, rows: 1 }));
    await log.close();
    return streamOptionsChanged;
  };
  expect(await changed({})).toBe(false);
  expect(await changed({ streamOptions })).toBe(true);
  expect(await changed({ streamOptions })).toBe(true);
  const { log } = await openTestLog(directory, { streamOptions });
  await log.remember({ flushed: toLsn(1n) });
  await log.close();
  expect(await changed({ streamOptions })).toBe(false);
});

/** A log of several segments, all written long ago. */
async function oldLog(maxBytes = SETTINGS.maxBytes) {
  const directory = scratchDirectory();
  const settings = { ...SETTINGS, segmentBytes: 1000, retentionMs: 3_600_000, maxBytes };
  const opened = await openTestLog(directory, { settings });
  for (const transaction of transactions(40)) append(opened.log, messagesOf(transaction));
  const names = readdirSync(directory).filter((name) => name.endsWith('.log'));
  const longAgo = new Date(Date.now() - 24 * 3_600_000);
  for (const name of names) utimesSync(join(directory, name), longAgo, longAgo);
  const starts = names.map((name) => Number(name.slice(0, 20))).sort((a, b) => a - b);
  return { ...opened, directory, starts };
}

test('retention deletes old segments that are settled, and never the last one', async () => {
  const { log, signals, starts } = await oldLog();
  expect(await log.retain(0, Date.now() + 1000)).toBe(log.bytes());
  expect(signals.firstOffset()).toBe(0);
  await log.retain(starts[2]! + 1, Date.now() + 1000);
  expect(signals.firstOffset()).toBe(starts[2]);
  await log.retain(log.writtenEnd, Date.now() + 1000);
  expect(signals.firstOffset()).toBe(starts.at(-1));
  expect(log.bytes()).toBe(log.writtenEnd - starts.at(-1)!);
});

test('a segment written lately stays although it is settled', async () => {
  const { log, signals, directory, starts } = await oldLog();
  utimesSync(join(directory, `${String(starts[1]).padStart(20, '0')}.log`), new Date(), new Date());
  await log.retain(log.writtenEnd, Date.now() + 1000);
  expect(signals.firstOffset()).toBe(starts[1]);
});

test('above log.max_bytes settled segments go whatever their age, unsettled ones stay', async () => {
  const { log, signals, starts } = await oldLog(1500);
  await log.retain(starts[3]!, 0);
  expect(signals.firstOffset()).toBe(starts[3]);
  const kept = await log.retain(log.writtenEnd, 0);
  expect(kept).toBeLessThanOrEqual(1500);
  expect(kept).toBeGreaterThan(500);
});

test('an abandoned transaction of an older history is followed by the new one', async () => {
  const directory = scratchDirectory();
  const { log, signals } = await openTestLog(directory);
  append(log, [begin({ commitLsn: 100n, rows: 9 }), row(0)]);
  append(log, messagesOf({ commitLsn: 60n, rows: 1 }), { epoch: 1, timeline: 2 });
  expect(log.context).toMatchObject({ inTransaction: false, epoch: 1, timeline: 2, lastCommitLsn: 60n });
  const reader = openLogReader(directory, signals);
  expect((await readAll(reader, signals)).rows).toEqual(['0:0/64:0', '1:0/3C:0']);
});

test('a writer that starts again in the same process goes on above everything announced before', async () => {
  const directory = scratchDirectory();
  const signals = new LogSignals();
  const first = await openTestLog(directory, { signals });
  append(first.log, messagesOf({ commitLsn: 1n, rows: 1 }));
  append(first.log, [begin({ commitLsn: 40n, rows: 2 }), row(0)]);
  const announced = signals.writtenEnd();
  await first.log.close();
  const second = await openTestLog(directory, { signals });
  expect(second.log.recovered.lastCommitLsn).toBe(1n);
  expect(second.log.writtenEnd).toBeGreaterThan(announced);
  append(second.log, [
    begin({ commitLsn: 40n, rows: 2 }),
    row(0),
    row(1),
    commit({ commitLsn: 40n, rows: 2 }),
  ]);
  const reader = openLogReader(directory, signals);
  expect((await readAll(reader, signals)).rows).toEqual(['0:0/1:0', '0:0/28:0', '0:0/28:1']);
});

test('a log whose files are gone begins anew above everything announced before', async () => {
  const directory = scratchDirectory();
  const signals = new LogSignals();
  const first = await openTestLog(directory, { signals });
  for (const transaction of transactions(5)) append(first.log, messagesOf(transaction));
  await first.log.close();
  const announced = signals.writtenEnd();
  for (const name of readdirSync(directory)) rmSync(join(directory, name));
  const second = await openTestLog(directory, { signals });
  expect(second.log.recovered.created).toBe(true);
  expect(second.log.writtenEnd).toBeGreaterThan(announced);
});
