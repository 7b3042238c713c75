// Positions that threads share belong together, however the writer is caught between two of them.
import { Worker } from 'node:worker_threads';
import { expect, test } from 'vitest';
import { toLsn } from '../../src/core/lsn.ts';
import { LogSignals } from '../../src/log/signals.ts';

test('where the log ends, and how far it is quiet, are each read as of one moment', async () => {
  const signals = new LogSignals();
  const done = new Int32Array(new SharedArrayBuffer(4));
  const writer = new Worker(
    `const { workerData } = require('node:worker_threads');
     import(workerData.signals).then(({ LogSignals }) => {
       const signals = new LogSignals(workerData.buffer);
       for (let n = 1; Atomics.load(workerData.done, 0) === 0; n++) {
         const lsn = BigInt(n);
         signals.publishAppend({ writtenEnd: n, epoch: n, lastCommitLsn: lsn, lastEndLsn: lsn });
         signals.publishQuiet({ offset: n, lsn, timeline: n });
       }
     });`,
    {
      eval: true,
      workerData: {
        buffer: signals.buffer,
        done,
        signals: new URL('../../src/log/signals.ts', import.meta.url).href,
      },
    },
  );
  await signals.waitForAppend(0, new AbortController().signal);
  let last = 0;
  let changes = 0;
  while (changes < 20_000) {
    const { writtenEnd, epoch, lastCommitLsn, lastEndLsn } = signals.end();
    const quiet = signals.quiet();
    if (writtenEnd !== epoch || lastCommitLsn !== BigInt(epoch) || lastEndLsn !== lastCommitLsn) {
      throw new Error(`torn: ${writtenEnd} ${epoch} ${lastCommitLsn} ${lastEndLsn}`);
    }
    if (quiet.lsn !== BigInt(quiet.offset) || quiet.timeline !== quiet.offset) {
      throw new Error(`torn: ${quiet.offset} ${quiet.lsn} ${quiet.timeline}`);
    }
    if (writtenEnd !== last) changes++;
    last = writtenEnd;
  }
  Atomics.store(done, 0, 1);
  await writer.terminate();
  expect(changes).toBe(20_000);
});

test('of sinks at one place of the log the one that knows least says what is settled', () => {
  const signals = new LogSignals();
  expect(signals.lowestSettled()).toBeUndefined();
  for (const [slot, [offset, lsn]] of (
    [
      [70, 900n],
      [50, 400n],
      [50, 300n],
      [50, 350n],
      [10, 0n],
    ] as const
  ).entries()) {
    signals.setHolding(slot, offset !== 10);
    signals.publishSettled(slot, { offset, lsn: toLsn(lsn) });
  }
  expect(signals.lowestSettled()).toEqual({ offset: 50, lsn: 300n });
});

test('a sink that reads again what it has settled needs the log from there on, and Postgres may forget as before', () => {
  const signals = new LogSignals();
  signals.setHolding(0, true);
  signals.setHolding(1, true);
  signals.publishSettled(0, { offset: 500, lsn: toLsn(300n) });
  signals.publishSettled(1, { offset: 900, lsn: toLsn(700n) });
  signals.readAgain(1, 0);
  expect([signals.needs(0), signals.needs(1), signals.needed()]).toEqual([500, 0, 0]);
  expect(signals.lowestSettled()).toEqual({ offset: 500, lsn: 300n });
  signals.readAgain(1, undefined);
  expect([signals.needs(1), signals.needed()]).toEqual([900, 500]);
});
