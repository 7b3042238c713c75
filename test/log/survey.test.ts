import { readdirSync, readFileSync, statSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { openLogReader } from '../../src/log/reader.ts';
import { LogSignals } from '../../src/log/signals.ts';
import { showLog } from '../../src/log/survey.ts';
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
} from './stream.ts';

const IDENTITY = { systemIdentifier: '7000000000000000001', databaseOid: 5, slot: 'tailrace' };

const transactions = (count: number) =>
  Array.from({ length: count }, (_, i) => ({ commitLsn: BigInt((i + 1) * 100), rows: 1 + (i % 3) }));

const show = (directory: string, options: { slot?: string; knownEpoch?: number } = {}) => {
  const { slot = IDENTITY.slot, knownEpoch = -1 } = options;
  const signals = new LogSignals();
  const identity = { ...IDENTITY, slot };
  const shown = showLog({ directory, identity, signals, version: '0.0.0-test', knownEpoch });
  return { shown, signals };
};

const contentOf = (directory: string) =>
  readdirSync(directory).map((name) => [name, readFileSync(join(directory, name)).toString('base64')]);

const lastSegment = (directory: string): string =>
  join(
    directory,
    readdirSync(directory)
      .filter((name) => name.endsWith('.log'))
      .sort()
      .at(-1)!,
  );

test('whole transactions are shown, an unfinished one is not, and no byte of the files changes', async () => {
  const directory = scratchDirectory();
  const settings = { ...SETTINGS, segmentBytes: 500 };
  const { log } = await openTestLog(directory, { settings });
  const all = transactions(20);
  for (const transaction of all) append(log, messagesOf(transaction));
  append(log, [begin({ commitLsn: 999_999n, rows: 3 }), row(1), row(2)]);
  await log.close();
  const before = contentOf(directory);
  const { shown, signals } = show(directory);
  expect(shown).toMatchObject({ birth: log.birth });
  expect((await readAll(openLogReader(directory, signals), signals)).rows).toEqual(rowsOf(all));
  expect(contentOf(directory)).toEqual(before);
  // The writer goes on above what readers were shown, and they follow it.
  const again = await openTestLog(directory, { settings, signals });
  const more = transactions(25).slice(20);
  for (const transaction of more) append(again.log, messagesOf(transaction));
  expect((await readAll(openLogReader(directory, signals), signals)).rows).toEqual(rowsOf([...all, ...more]));
});

test('a torn end is not shown, and left for the writer to cut', async () => {
  const directory = scratchDirectory();
  const { log } = await openTestLog(directory);
  const all = transactions(5);
  for (const transaction of all.slice(0, 4)) append(log, messagesOf(transaction));
  await log.close();
  const { log: second } = await openTestLog(directory);
  append(second, messagesOf(all[4]!));
  // Killed: what was appended last is not known to be durable, and half of it is missing.
  const path = lastSegment(directory);
  truncateSync(path, statSync(path).size - 10);
  const size = statSync(path).size;
  const { signals } = show(directory);
  expect((await readAll(openLogReader(directory, signals), signals)).rows).toEqual(rowsOf(all.slice(0, 4)));
  expect(statSync(path).size).toBe(size);
});

test('a log that lost what was durable is not shown: how much of it counts depends on the server', async () => {
  const directory = scratchDirectory();
  const { log } = await openTestLog(directory);
  for (const transaction of transactions(5)) append(log, messagesOf(transaction));
  await log.close();
  const path = lastSegment(directory);
  truncateSync(path, statSync(path).size - 10);
  const { shown, signals } = show(directory);
  expect(shown).toBeUndefined();
  expect(signals.writtenEnd()).toBe(0);
});

test('nothing is shown where there is no log, or an empty one; one of another slot is refused', async () => {
  const directory = scratchDirectory();
  expect(show(directory).shown).toBeUndefined();
  const { log } = await openTestLog(directory);
  await log.close();
  expect(show(directory).shown).toBeUndefined();
  const { log: used } = await openTestLog(directory);
  append(used, messagesOf({ commitLsn: 1n, rows: 1 }));
  await used.close();
  expect(show(directory).shown).toBeDefined();
  expect(() => show(directory, { slot: 'another' })).toThrow(
    expect.objectContaining({ code: 'LOG_IDENTITY' }),
  );
  writeFileSync(join(directory, 'state'), '');
  expect(show(directory).shown).toBeUndefined();
});

test('the epoch that is shown is the one that a writer would go on with', async () => {
  const directory = scratchDirectory();
  const { log } = await openTestLog(directory);
  append(log, messagesOf({ commitLsn: 1n, rows: 1 }));
  await log.close();
  expect(show(directory).signals.epoch()).toBe(0);
  expect(show(directory, { knownEpoch: 0 }).signals.epoch()).toBe(0);
  expect(show(directory, { knownEpoch: 4 }).signals.epoch()).toBe(5);
});
