// Where sinks begin, with a real log, a real ledger and a real store.
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { beforeEach, expect, test } from 'vitest';
import { toLsn } from '../../../src/core/lsn.ts';
import { listSegments } from '../../../src/log/segments.ts';
import type { LogSignals } from '../../../src/log/signals.ts';
import type { LogWriter } from '../../../src/log/writer.ts';
import { openPlace, type PlaceOptions, type SinkPlace } from '../../../src/pipeline/sink/place.ts';
import { rewindSink } from '../../../src/pipeline/sink/rewind.ts';
import { append, messagesOf, openTestLog, scratchDirectory, SETTINGS } from '../../log/stream.ts';
import { FOLLOWED, openLedger } from '../../support/ledger.ts';
import { SINK } from '../../support/letters.ts';
import { lookAtPlace, placeOptions } from '../../support/sink-place.ts';

const DAY_MS = 86_400_000;
/** 2026-01-02T00:00:00Z and so many seconds. */
const timeUs = (seconds: number): bigint => BigInt(Date.UTC(2026, 0, 2) + seconds * 1000) * 1000n;

let options: PlaceOptions;
let log: LogWriter;
let signals: LogSignals;

beforeEach(async () => {
  const directory = scratchDirectory();
  const logDirectory = join(directory, 'log');
  ({ log, signals } = await openTestLog(logDirectory, { settings: { ...SETTINGS, segmentBytes: 4096 } }));
  const ledgerFile = join(directory, 'users.ledger');
  options = placeOptions({ logDirectory, signals, ledgerFile });
});

/** Transactions at 100, 200, … of three rows each, one a second, several to a segment. */
async function write(from: number, to: number): Promise<void> {
  for (let n = from; n <= to; n++) {
    append(log, messagesOf({ commitLsn: BigInt(n * 100), rows: 3, timeUs: timeUs(n) }, 300));
  }
  await log.sync();
}

const place = (): Promise<SinkPlace> => lookAtPlace(options);

/** The sink has settled everything before the transaction at `commit`. */
function settleTo(commit: number): void {
  const ledger = openLedger(options.ledgerFile, SINK);
  ledger.advance({
    position: { epoch: 0, commitLsn: toLsn(BigInt(commit)), index: 0 },
    endLsn: toLsn(BigInt(commit - 100 + 16)),
  });
  ledger.close();
}

/** Lets the log go up to where the sink has settled. */
const retain = async (): Promise<void> =>
  void (await log.retain(signals.lowestSettled()!.offset, Date.now() + 1000));
const cursorOf = ({ start }: SinkPlace): string => `${start.position.commitLsn}:${start.position.index}`;

test('a new sink holds the log from its place on before it reads, another from its cursor on', async () => {
  await write(1, 20);
  expect(await place()).toMatchObject({ readFrom: 'earliest', offset: signals.firstOffset(), gaps: [] });
  expect(options.store.sinks.names('shop')).toEqual(['users']);
  settleTo(1000);
  const restored = await place();
  expect(cursorOf(restored)).toBe('1000:0');
  expect(signals.settled(0)).toEqual({ offset: restored.offset, lsn: 916n });
  const before = listSegments(options.logDirectory).length;
  await retain();
  const after = listSegments(options.logDirectory);
  expect(after.length).toBeLessThan(before);
  expect(after[0]!.startOffset).toBeLessThanOrEqual(restored.offset);
  expect((await place()).gaps).toEqual([]);
});

test('a sink whose changes the log has let go goes on at the first one retained, with the gap on record', async () => {
  await write(1, 20);
  await place();
  settleTo(300);
  // Nobody held for it: another sink had settled all.
  await log.retain(signals.writtenEnd(), Date.now() + 1000);
  const first = (await place()).start.position;
  expect(first.commitLsn).toBeGreaterThan(300n);
  const { gaps } = await place();
  expect(gaps).toHaveLength(1);
  expect(gaps[0]).toMatchObject({
    from: '0/D8',
    reason: expect.stringContaining('no longer held') as string,
  });
  expect((await place()).start.position).toEqual(first);
  // The log lets go only of what nobody holds, by the user's word: that is for nobody to decide.
  expect(options.store.gaps.unaccepted(SINK.database)).toEqual([]);
  expect(signals.isHalted(0)).toBe(false);
});

test('a sink whose place is of another log halts where changes may be missing, unless it is to go on', async () => {
  await write(1, 20);
  await place();
  settleTo(300);
  await log.retain(signals.writtenEnd(), Date.now() + 1000);
  options = { ...options, log: { ...FOLLOWED, life: 'another life' } };
  const { gaps } = await place();
  expect(gaps).toHaveLength(1);
  const { from, to } = gaps[0]!;
  const [lost] = options.store.gaps.unaccepted(SINK.database);
  expect(lost).toMatchObject({ cause: 'place_lost', sink: SINK.sink, from, to, halts: true });
  expect(signals.isHalted(0)).toBe(true);
  // Once declared, whoever takes the place again finds it on record.
  await place();
  expect(options.store.gaps.unaccepted(SINK.database)).toHaveLength(1);

  signals.setHalted(0, false);
  options = { ...options, log: { ...FOLLOWED, life: 'a third life' }, onGap: 'resume' };
  settleTo(300);
  await place();
  expect(signals.isHalted(0)).toBe(false);
});

test('the cursor of a disabled sink is kept for seven days, then it starts anew with a gap on record', async () => {
  await write(1, 10);
  await place();
  settleTo(500);
  const { sinks } = options.store;
  const wish = (daysAgo: number) =>
    ({ configured: 'active', now: new Date(Date.now() - daysAgo * DAY_MS) }) as const;
  sinks.choose(SINK, 'disabled', wish(6.9));
  expect(cursorOf(await place())).toBe('500:0');
  expect(sinks.find(SINK)?.letGoAt).toBeUndefined();
  sinks.choose(SINK, 'disabled', wish(7.1));
  options = { ...options, newSinkStart: 'end' };
  const anew = await place();
  expect(anew.start.position.commitLsn).toBe(1000n);
  expect(anew.gaps).toEqual([
    { from: '0/1A0', to: '0/3F8', reason: expect.stringContaining('7 days') as string },
  ]);
  expect(sinks.find(SINK)).toMatchObject({ letGoAt: undefined, leftLsn: undefined });
});

test('a rewind that was decided is done by whoever takes the place next, once', async () => {
  await write(1, 10);
  await place();
  settleTo(900);
  const reply = await rewindSink(options, { from: 'lsn', lsn: 400n });
  expect(reply).toEqual({ rewinds: 1, from: '0/190', withdrawnDeadLetters: 0 });
  // Held at once: the log must not let go of what the rewind will read.
  expect(signals.settled(0).offset).toBeLessThan(signals.writtenEnd());
  // The ledger still stands where it was: a crash here loses nothing.
  const ledger = openLedger(options.ledgerFile, SINK);
  expect(ledger.restored?.position.commitLsn).toBe(900n);
  ledger.close();
  expect(cursorOf(await place())).toBe('400:0');
  settleTo(900);
  expect(cursorOf(await place())).toBe('900:0');
});

test('a rewound ledger knows nothing of what was settled above it', async () => {
  await write(1, 10);
  await place();
  settleTo(900);
  await rewindSink(options, { from: 'time', timeUs: timeUs(4) });
  const { ledger, reader, start } = await openPlace(options);
  expect(start.position).toEqual({ epoch: 0, commitLsn: 400n, index: 0 });
  expect(ledger.wasSettled(0, toLsn(300n), 2)).toBe(true);
  expect(ledger.wasSettled(0, toLsn(400n), 0)).toBe(false);
  expect(ledger.wasSettled(0, toLsn(800n), 0)).toBe(false);
  ledger.close();
  reader.close();
});

test('a rewind forward, to nowhere, or to what the log has let go is refused, and nothing has changed', async () => {
  await write(1, 30);
  await place();
  settleTo(2000);
  await place();
  await retain();
  const held = signals.settled(0);
  const refused = async (to: Parameters<typeof rewindSink>[1]): Promise<string> =>
    rewindSink(options, to).then(
      () => 'done',
      (error: { code: string }) => error.code,
    );
  expect(await refused({ from: 'lsn', lsn: 2001n })).toBe('REWIND_FORWARD');
  expect(await refused({ from: 'time', timeUs: timeUs(25) })).toBe('REWIND_FORWARD');
  expect(await refused({ from: 'time', timeUs: timeUs(999) })).toBe('REWIND_FORWARD');
  expect(await refused({ from: 'lsn', lsn: 100n })).toBe('REWIND_NOT_RETAINED');
  expect(await refused({ from: 'time', timeUs: timeUs(1) })).toBe('REWIND_NOT_RETAINED');
  options = { ...options, settings: { ...options.settings, status: 'disabled' } };
  expect(await refused({ from: 'earliest' })).toBe('SINK_DISABLED');
  expect(signals.settled(0)).toEqual(held);
  expect(options.store.sinks.find(SINK)).toMatchObject({ rewinds: 0, rewindTo: undefined });
  expect(existsSync(options.ledgerFile)).toBe(true);
});

test('the earliest is the first change that the log still has whole', async () => {
  await write(1, 30);
  await place();
  settleTo(2000);
  await place();
  await retain();
  const { from } = await rewindSink(options, { from: 'earliest' });
  const { start, gaps } = await place();
  expect(start.position.commitLsn.toString(16).toUpperCase()).toBe(from.slice(2));
  expect(start.position.commitLsn).toBeGreaterThan(100n);
  expect(gaps).toEqual([]);
});
