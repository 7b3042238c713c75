// A log that goes on in another history: its end, what is remembered of it, and what readers are told.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { toLsn } from '../../src/core/lsn.ts';
import { MAX_PARTINGS } from '../../src/core/partings.ts';
import { loggedBegins } from '../../src/log/begins.ts';
import { openLogReader } from '../../src/log/reader.ts';
import { LogSignals } from '../../src/log/signals.ts';
import { showLog } from '../../src/log/survey.ts';
import type { LogWriter } from '../../src/log/writer.ts';
import { append, begin, messagesOf, openTestLog, readAll, row, scratchDirectory } from './stream.ts';

const lsn = (value: number) => toLsn(BigInt(value));
const partAt = (value: number, epoch = 1) => ({
  lsn: lsn(value),
  flushed: lsn(50),
  history: { epoch, timeline: epoch + 1 },
});
const whole = (commitLsn: bigint, rows = 1) => messagesOf({ commitLsn, rows });
const commits = (directory: string, { writtenEnd: limit, partings }: LogWriter): number[] =>
  [...loggedBegins(directory, { from: lsn(0), limit, partings })].map(({ commitLsn }) => Number(commitLsn));

test('it ends at the parting, whatever it holds above, and an unfinished transaction is given up', async () => {
  const directory = scratchDirectory();
  const { log, signals } = await openTestLog(directory);
  append(log, [...whole(100n), ...whole(300n), begin({ commitLsn: 400n, rows: 2 }), row(1)]);
  await log.part(partAt(200));
  const end = { epoch: 1, timeline: 2, inTransaction: false, lastCommitLsn: 199n, lastEndLsn: 200n };
  expect(log.context).toMatchObject(end);
  expect(signals.end()).toMatchObject({ epoch: 1, lastCommitLsn: 199n, lastEndLsn: 200n });
  expect(signals.quiet()).toEqual({ offset: log.writtenEnd, lsn: 200n, timeline: 2 });
  expect([signals.partings(), signals.parted()]).toEqual([[{ epoch: 1, lsn: 200n }], 1]);
  append(log, whole(250n), { epoch: 1, timeline: 2 });
  expect(log.context).toMatchObject({ lastCommitLsn: 250n, lastEndLsn: 266n });
  const reader = openLogReader(directory, signals);
  expect((await readAll(reader, signals)).rows).toEqual(['0:0/64:0', '0:0/12C:0', '0:0/190:0', '1:0/FA:0']);
  expect(commits(directory, log)).toEqual([100, 250]);
});

test('a transaction that was given up, and came again whole in a later epoch, is told once', async () => {
  const directory = scratchDirectory();
  const { log } = await openTestLog(directory);
  append(log, [...whole(100n), begin({ commitLsn: 300n, rows: 2 }), row(1)]);
  append(log, [...whole(300n), ...whole(400n)], { epoch: 1, timeline: 2 });
  expect(commits(directory, log)).toEqual([100, 300, 400]);
});

test('it is remembered before anything of the new history comes, and told to whoever follows without a server', async () => {
  const directory = scratchDirectory();
  const first = await openTestLog(directory);
  append(first.log, [...whole(100n), ...whole(300n)]);
  await first.log.part(partAt(200));
  // Nothing more: as a kill leaves it.
  const shown = new LogSignals();
  const identity = { systemIdentifier: '7000000000000000001', databaseOid: 5, slot: 'tailrace' };
  expect(showLog({ directory, identity, signals: shown, version: '0.1.0', knownEpoch: -1 })).toMatchObject({
    lastEndLsn: 200n,
  });
  expect([shown.partings(), shown.epoch()]).toEqual([[{ epoch: 1, lsn: 200n }], 1]);
  const { log, signals } = await openTestLog(directory);
  expect(log.context).toMatchObject({ epoch: 1, timeline: 2, lastCommitLsn: 199n, lastEndLsn: 200n });
  expect(log.recovered).toMatchObject({ flushed: 50n, lastEndLsn: 200n });
  expect(signals.partings()).toEqual([{ epoch: 1, lsn: 200n }]);
  // Behind what came of it, the log ends where that does.
  append(log, whole(220n), { epoch: 1, timeline: 2 });
  await log.close();
  expect((await openTestLog(directory)).log.context).toMatchObject({ lastCommitLsn: 220n, lastEndLsn: 236n });
});

test('several partings are told apart, one that lies below takes in those before, and too many are refused', async () => {
  const directory = scratchDirectory();
  const { log } = await openTestLog(directory);
  append(log, [...whole(100n), ...whole(300n)]);
  await log.part(partAt(200));
  append(log, [...whole(250n), ...whole(500n)], { epoch: 1, timeline: 2 });
  await log.part(partAt(400, 2));
  expect(commits(directory, log)).toEqual([100, 250]);
  await log.part(partAt(150, 3));
  expect([log.partings, commits(directory, log)]).toEqual([[{ epoch: 3, lsn: 150n }], [100]]);
  for (let epoch = 4; log.partings.length < MAX_PARTINGS; epoch++) {
    await log.part(partAt(200 + epoch, epoch));
  }
  await expect(log.part(partAt(900, 99))).rejects.toMatchObject({ code: 'LOG_PARTINGS' });
});

test('a version that knows no partings refuses the log: its state says the format', async () => {
  const directory = scratchDirectory();
  const { log } = await openTestLog(directory);
  const formats = (): number[] =>
    [...readFileSync(join(directory, 'state'), 'latin1').matchAll(/"format":(\d+)/g)].map(([, format]) =>
      Number(format),
    );
  append(log, whole(100n));
  await log.remember({ flushed: lsn(50) });
  const before = Math.max(...formats());
  await log.part(partAt(80));
  expect(Math.max(...formats())).toBe(before + 1);
  await log.close();
});
