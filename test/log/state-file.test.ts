// The log's small memory on a disk that is nearly full.
import { watchDisk } from '../support/power-cut.ts';
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { toLsn } from '../../src/core/lsn.ts';
import { EMPTY_STATE, STATE_FILE, StateFile } from '../../src/log/state-file.ts';
import { append, messagesOf, openTestLog, scratchDirectory } from './stream.ts';

test('a state that the disk has no room for is not taken for saved, and the one before it stands', async () => {
  const directory = join(scratchDirectory(), 'data');
  mkdirSync(directory);
  const disk = watchDisk(directory);
  onTestFinished(() => disk.unwatch());
  const open = (): StateFile => new StateFile(join(directory, STATE_FILE), '0.0.0-test');
  const flushed = (lsn: bigint) => ({ ...EMPTY_STATE, flushed: toLsn(lsn) });
  const state = open();
  onTestFinished(() => state.close());
  await state.save(flushed(1n));
  disk.leaveRoom(100);
  await expect(state.save(flushed(2n))).rejects.toMatchObject({ code: 'LOG_DISK_FULL' });
  const read = open();
  expect(read.found).toMatchObject({ flushed: 1n });
  read.close();
  disk.leaveRoom(Infinity);
  await state.save(flushed(3n));
  const again = open();
  expect(again.found).toMatchObject({ flushed: 3n });
  again.close();
});

test.skipIf(!existsSync('/proc/self/fd'))(
  'a log that finds no room for it when it is opened keeps none of its files open',
  async () => {
    const directory = join(scratchDirectory(), 'data');
    mkdirSync(directory);
    const disk = watchDisk(directory);
    onTestFinished(() => disk.unwatch());
    const openFiles = (): number => readdirSync('/proc/self/fd').length;
    const before = openFiles();
    // A segment fits.
    disk.leaveRoom(2000);
    for (let tries = 0; tries < 3; tries++) {
      await expect(openTestLog(directory)).rejects.toMatchObject({ code: 'LOG_DISK_FULL' });
    }
    expect(readdirSync(directory)).toHaveLength(2);
    expect(openFiles()).toBe(before);
  },
);

/** Only the newest of its two places, as a power cut may leave it: the next note wants room for the other. */
function keepNewestOnly(path: string): void {
  const bytes = readFileSync(path);
  const places = [bytes.subarray(0, 4096), bytes.subarray(4096)];
  const sequenceOf = (place: Buffer): number =>
    (JSON.parse(place.toString('utf8', 8, 8 + place.readUInt32BE(4))) as { sequence: number }).sequence;
  const [newest] = places.toSorted((a, b) => sequenceOf(b) - sequenceOf(a));
  writeFileSync(path, newest!);
}

test('a log that is there is opened, and made durable, on a disk that has no room to note that: what was noted before holds', async () => {
  const directory = join(scratchDirectory(), 'data');
  mkdirSync(directory);
  const { log } = await openTestLog(directory);
  append(log, messagesOf({ commitLsn: 100n, rows: 1 }));
  await log.close();
  const path = join(directory, STATE_FILE);
  keepNewestOnly(path);
  const disk = watchDisk(directory);
  onTestFinished(() => disk.unwatch());
  disk.leaveRoom(0);
  const again = await openTestLog(directory);
  expect(again.log.recovered).toMatchObject({ lastCommitLsn: 100n, damaged: false, stateLost: false });
  expect(await again.log.sync()).toBe(again.log.writtenEnd);
  expect(readFileSync(path)).toHaveLength(4096);
  disk.leaveRoom(Infinity);
});
