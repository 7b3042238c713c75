// The life of a log: made with it, kept with it, adopted where an older version made the log; and epochs that never go back.
import { cpSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { crc32 } from 'node:zlib';
import { expect, test } from 'vitest';
import { toLsn } from '../../src/core/lsn.ts';
import { openLogReader } from '../../src/log/reader.ts';
import { append, messagesOf, openTestLog, readAll, rowsOf, scratchDirectory, SETTINGS } from './stream.ts';

const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/;
const beganAt = toLsn(700n);
const transactions = [
  { commitLsn: 1000n, rows: 2 },
  { commitLsn: 2000n, rows: 1 },
];

/** A log with two transactions, closed. */
async function usedLog(): Promise<{ directory: string; life: string }> {
  const directory = scratchDirectory();
  const { log } = await openTestLog(directory, { beganAt });
  for (const transaction of transactions) append(log, messagesOf(transaction));
  await log.remember({ flushed: toLsn(1000n) });
  await log.close();
  return { directory, life: log.birth.life };
}

const segmentsIn = (directory: string): string[] =>
  readdirSync(directory)
    .filter((name) => name.endsWith('.log'))
    .map((name) => join(directory, name));

/** Makes every segment and the state file what format version 1 would have written. */
function turnIntoVersion1(directory: string): void {
  for (const path of segmentsIn(directory)) {
    const bytes = readFileSync(path);
    const length = bytes.readUInt32BE(8);
    const { birth: _, ...header } = JSON.parse(bytes.toString('utf8', 16, 16 + length)) as { birth: unknown };
    // As long as before, so that no offset changes: blanks are JSON too.
    const json = Buffer.from(JSON.stringify(header).padEnd(length));
    bytes.writeUInt16BE(1, 6);
    bytes.writeUInt32BE(crc32(json), 12);
    json.copy(bytes, 16);
    writeFileSync(path, bytes);
  }
  const state = readFileSync(join(directory, 'state'));
  for (const slot of [0, 4096]) {
    const length = state.readUInt32BE(slot + 4);
    if (length === 0) continue;
    const { birth: _, ...known } = JSON.parse(state.toString('utf8', slot + 8, slot + 8 + length)) as {
      birth: unknown;
    };
    const json = Buffer.from(JSON.stringify({ ...known, format: 1 }).padEnd(length));
    json.copy(state, slot + 8);
    state.writeUInt32BE(crc32(state.subarray(slot + 4, slot + 8 + length)), slot);
  }
  writeFileSync(join(directory, 'state'), state);
}

test('a new log gets a life of its own and remembers where it began, before anybody reads from it', async () => {
  const directory = scratchDirectory();
  const { log } = await openTestLog(directory, { beganAt });
  expect(log.birth).toEqual({
    life: expect.stringMatching(UUID) as string,
    beganAt,
    adoptedEpoch: undefined,
  });
  // As a kill would leave it.
  const copy = join(scratchDirectory(), 'log');
  cpSync(directory, copy, { recursive: true });
  const { log: again } = await openTestLog(copy, { beganAt: toLsn(9999n) });
  expect(again.birth).toEqual(log.birth);
  const { log: other } = await openTestLog(scratchDirectory(), { beganAt });
  expect(other.birth.life).not.toBe(log.birth.life);
});

test('a log keeps its life, and has it in every segment should the state file be lost', async () => {
  const { directory, life } = await usedLog();
  const { log } = await openTestLog(directory);
  expect(log.birth).toEqual({ life, beganAt, adoptedEpoch: undefined });
  await log.close();
  rmSync(join(directory, 'state'));
  const { log: withoutState } = await openTestLog(directory);
  expect(withoutState.birth).toEqual({ life, beganAt, adoptedEpoch: undefined });
  expect(withoutState.recovered.created).toBe(false);
  await withoutState.close();
  for (const path of segmentsIn(directory)) rmSync(path);
  const { log: withoutSegments } = await openTestLog(directory);
  expect(withoutSegments.birth.life).toBe(life);
});

test('a directory that was moved away leaves another life behind, with an epoch above all that is known', async () => {
  const { life } = await usedLog();
  for (const [knownEpoch, epoch] of [
    [-1, 0],
    [0, 1],
    [6, 7],
  ] as const) {
    const { log, signals } = await openTestLog(scratchDirectory(), { knownEpoch });
    expect(log.birth.life).not.toBe(life);
    expect(log.recovered).toMatchObject({ created: true, epoch });
    expect(signals.epoch()).toBe(epoch);
    await log.close();
  }
});

test('the epoch of a log that died before its first row is the same at its next start', async () => {
  const directory = scratchDirectory();
  const { log } = await openTestLog(directory, { knownEpoch: 6 });
  await log.close();
  const { log: again } = await openTestLog(directory, { knownEpoch: 6 });
  expect(again.recovered.epoch).toBe(7);
  await again.close();
});

test('an older copy of a log goes on above what others know, and what it holds stays as it was', async () => {
  const { directory } = await usedLog();
  const { log, signals } = await openTestLog(directory, { knownEpoch: 3 });
  expect(log.recovered).toMatchObject({ epoch: 4, behind: true, lastCommitLsn: 2000n });
  const epoch = log.recovered.epoch;
  append(log, messagesOf({ commitLsn: 1500n, rows: 1 }), { epoch, timeline: 1 });
  const { rows } = await readAll(openLogReader(directory, signals), signals);
  expect(rows).toEqual([...rowsOf(transactions), ...rowsOf([{ commitLsn: 1500n, rows: 1 }], 4)]);
  await log.close();
  const { log: again } = await openTestLog(directory, { knownEpoch: 4 });
  expect(again.recovered).toMatchObject({ epoch: 4, behind: false });
});

test.each([
  ['an epoch lost its beginning', 2500n, { epoch: 2, behind: true }],
  ['the last epoch is still there', 3500n, { epoch: 1, behind: false }],
] as const)(
  'a damaged log goes on in another epoch where %s, and in its own else',
  async (_, lost, goesOn) => {
    const directory = scratchDirectory();
    const { log } = await openTestLog(directory);
    const ends = new Map<bigint, number>();
    for (const [commitLsn, epoch] of [
      [1000n, 0],
      [2500n, 0],
      [3000n, 1],
      [3500n, 1],
    ] as const) {
      append(log, messagesOf({ commitLsn, rows: 1 }), { epoch, timeline: 1 });
      ends.set(commitLsn, log.writtenEnd);
    }
    await log.remember({ flushed: toLsn(1000n) });
    await log.close();
    const [segment] = segmentsIn(directory);
    const bytes = readFileSync(segment!);
    bytes[ends.get(lost)! - 1]! ^= 1;
    writeFileSync(segment!, bytes);
    const { log: again } = await openTestLog(directory);
    expect(again.recovered).toMatchObject({ damaged: true, ...goesOn });
    await again.close();
  },
);

test('a log of format version 1 is adopted: it opens as it was, and has a life from its first open on', async () => {
  const { directory } = await usedLog();
  turnIntoVersion1(directory);
  const { log, signals } = await openTestLog(directory, { beganAt });
  expect(log.birth).toEqual({
    life: expect.stringMatching(UUID) as string,
    beganAt: undefined,
    adoptedEpoch: 0,
  });
  expect(log.recovered).toMatchObject({ created: false, flushed: 1000n, lastCommitLsn: 2000n });
  expect((await readAll(openLogReader(directory, signals), signals)).rows).toEqual(rowsOf(transactions));
  // As a kill right after the start would leave it.
  const copy = join(scratchDirectory(), 'log');
  cpSync(directory, copy, { recursive: true });
  const { log: again } = await openTestLog(copy);
  expect(again.birth).toEqual(log.birth);
});

test('files of two logs in one directory are refused, whichever of them the state file is of', async () => {
  const settings = { ...SETTINGS, segmentBytes: 200 };
  const one = scratchDirectory();
  const { log } = await openTestLog(one, { settings });
  for (const transaction of transactions) append(log, messagesOf(transaction, 200));
  await log.close();
  const { directory: other } = await usedLog();
  const [first] = segmentsIn(other);
  cpSync(first!, segmentsIn(one)[0]!);
  await expect(openTestLog(one)).rejects.toMatchObject({
    code: 'LOG_IDENTITY',
    message: expect.stringContaining('two logs') as string,
    hint: expect.stringContaining('move') as string,
  });
  rmSync(join(one, 'state'));
  await expect(openTestLog(one)).rejects.toMatchObject({ code: 'LOG_IDENTITY' });
});
