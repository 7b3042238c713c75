// What a power cut leaves of a sink's place: what others rely on is on the disk before they do.
import { watchDisk, type WatchedDisk } from '../../support/power-cut.ts';
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { beforeEach, expect, onTestFinished, test, vi } from 'vitest';
import { toLsn, type Lsn } from '../../../src/core/lsn.ts';
import type { LogSignals } from '../../../src/log/signals.ts';
import type { LogWriter } from '../../../src/log/writer.ts';
import { openPlace, type PlaceOptions, type SinkPlace } from '../../../src/pipeline/sink/place.ts';
import { rewindSink } from '../../../src/pipeline/sink/rewind.ts';
import { Settlement } from '../../../src/pipeline/sink/settlement.ts';
import { readLedger, type Cursor } from '../../../src/store/ledger.ts';
import { append, messagesOf, openTestLog, scratchDirectory } from '../../log/stream.ts';
import { SINK } from '../../support/letters.ts';
import { lookAtPlace, placeOptions } from '../../support/sink-place.ts';
import { waitFor } from '../../support/wait.ts';

let options: PlaceOptions;
let log: LogWriter;
let signals: LogSignals;
let disk: WatchedDisk;
let cuts: number;

beforeEach(async () => {
  const directory = scratchDirectory();
  ({ log, signals } = await openTestLog(join(directory, 'log')));
  mkdirSync(join(directory, 'ledger'));
  const watched = (disk = watchDisk(directory));
  onTestFinished(() => watched.unwatch());
  cuts = 0;
  options = placeOptions({
    logDirectory: join(directory, 'log'),
    signals,
    ledgerFile: join(directory, 'ledger/users.ledger'),
    newSinkStart: 'end',
  });
  for (let n = 1; n <= 10; n++) append(log, messagesOf({ commitLsn: BigInt(n * 100), rows: 3 }));
  await log.sync();
});

const place = (): Promise<SinkPlace> => lookAtPlace(options);

/** The cursor in the ledger that is found after a power cut now. */
function cursorAfterCut(): Cursor | undefined {
  const target = `${scratchDirectory()}/${++cuts}`;
  disk.record.writeSurvivors(target);
  const found = readLedger(join(target, 'ledger/users.ledger'), SINK);
  found?.restored.close();
  return found?.restored.cursor;
}
const commitAfterCut = (): Lsn | undefined => cursorAfterCut()?.position.commitLsn;

test('a new sink counts as known once the disk has its first cursor: it must not begin anywhere else', async () => {
  const { sinks } = options.store;
  const started = sinks.started.bind(sinks);
  let found: Lsn | undefined;
  vi.spyOn(sinks, 'started').mockImplementation((...all) => {
    found = commitAfterCut();
    return started(...all);
  });
  await place();
  expect(found).toBe(1000n);
});

test('a rewind counts as done once the disk has the ledger that was made anew', async () => {
  const { ledger } = await openPlace(options);
  ledger.advance({ position: { epoch: 0, commitLsn: toLsn(900n), index: 0 }, endLsn: toLsn(816n) });
  await ledger.sync();
  ledger.close();
  await rewindSink(options, { from: 'lsn', lsn: 400n });
  // Decided, and not done yet.
  expect(commitAfterCut()).toBe(900n);
  const rewound = vi.spyOn(options.store.sinks, 'rewound').mockImplementationOnce(() => {
    expect(commitAfterCut()).toBe(400n);
  });
  await place();
  expect(rewound).toHaveBeenCalledOnce();
});

test('what is published as settled is in the ledger that is found after a cut', async () => {
  const { ledger, reader } = await openPlace(options);
  onTestFinished(() => {
    ledger.close();
    reader.close();
  });
  const head = {
    position: { epoch: 0, commitLsn: toLsn(2000n), index: 0 },
    endLsn: toLsn(1916n),
    timeline: 1,
    offset: 77,
  };
  const found: (Lsn | undefined)[] = [];
  const publish = signals.publishSettled.bind(signals);
  vi.spyOn(signals, 'publishSettled').mockImplementation((slot, settled) => {
    found.push(cursorAfterCut()?.endLsn);
    publish(slot, settled);
  });
  const settlement = new Settlement({
    ledger,
    signals,
    slot: 0,
    unsettled: { oldest: undefined, all: nobody },
    walker: { head, isInHand: false },
    restored: { isOver: true },
    start: { endLsn: toLsn(0n) },
    beforeMove: () => undefined,
    note: () => undefined,
    fail: (error) => expect.fail(String(error)),
    nowMs: () => 0,
  });
  settlement.soon();
  await waitFor(() => found.length > 0 || undefined, 'the position to be published');
  expect(found).toEqual([1916n]);
  expect(signals.settled(0)).toEqual({ offset: 77, lsn: 1916n });
});

function* nobody(): Generator<never> {}
