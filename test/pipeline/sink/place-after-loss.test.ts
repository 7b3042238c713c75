// Where a sink begins when its log, its ledger or its store's record is not the one of before: nothing is skipped, and what
// is missing is said. Every hint that tells somebody to move or to delete something is done here, with real files.
import {
  closeSync,
  cpSync,
  existsSync,
  openSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { pino } from 'pino';
import { beforeEach, expect, test } from 'vitest';
import { lifeOf, type FollowedLog } from '../../../src/core/log-life.ts';
import { toLsn } from '../../../src/core/lsn.ts';
import type { LogSignals } from '../../../src/log/signals.ts';
import type { LogWriter } from '../../../src/log/writer.ts';
import type { SinkSettings } from '../../../src/pipeline/settings.ts';
import { openPlace, type PlaceOptions, type SinkPlace } from '../../../src/pipeline/sink/place.ts';
import { rewindSink } from '../../../src/pipeline/sink/rewind.ts';
import { highestEpochIn, readLedger } from '../../../src/store/ledger.ts';
import { openStore } from '../../../src/store/sqlite.ts';
import { append, messagesOf, openTestLog, scratchDirectory, SETTINGS } from '../../log/stream.ts';
import { FOLLOWED, ledgerOfVersion1, openLedger } from '../../support/ledger.ts';
import { SINK } from '../../support/letters.ts';
import { PLACE_SETTINGS } from '../../support/sink-place.ts';

/** 2026-01-02T00:00:00Z and so many seconds. */
const timeUs = (seconds: number): bigint => BigInt(Date.UTC(2026, 0, 2) + seconds * 1000) * 1000n;

let directory: string;
let logDirectory: string;
let options: PlaceOptions;
let log: LogWriter;
let signals: LogSignals;
/** What was said at level `warn` or above. */
let warnings: { msg: string }[];

/** Opens the log as a source does that streams from `beganAt` on; in another life of it where its directory is empty. */
async function openTheLog(beganAt: number, changes: Partial<FollowedLog> = {}): Promise<void> {
  const knownEpoch = Math.max(
    options?.store.sinks.highestEpoch(SINK.database) ?? -1,
    highestEpochIn(directory),
  );
  ({ log, signals } = await openTestLog(logDirectory, {
    settings: { ...SETTINGS, segmentBytes: 4096 },
    beganAt: toLsn(BigInt(beganAt)),
    knownEpoch,
    ...(changes.systemIdentifier && {
      identity: { systemIdentifier: changes.systemIdentifier, databaseOid: 5, slot: 'tailrace' },
    }),
  }));
  signals.setHolding(0, true);
  options = { ...options, signals, log: { ...FOLLOWED, ...log.birth, ...changes } };
}

beforeEach(async () => {
  directory = scratchDirectory();
  logDirectory = join(directory, 'log');
  warnings = [];
  options = {
    settings: PLACE_SETTINGS,
    logDirectory,
    slot: 0,
    ledgerFile: join(directory, 'users.ledger'),
    newSinkStart: 'end',
    store: openStore(':memory:'),
    logger: pino(
      { level: 'warn' },
      { write: (line: string) => void warnings.push(JSON.parse(line) as { msg: string }) },
    ),
  } as unknown as PlaceOptions;
  await openTheLog(50);
});

/** Transactions at 100, 200, … of three rows each, one a second. */
async function write(from: number, to: number, epoch = log.recovered.epoch): Promise<void> {
  for (let n = from; n <= to; n++) {
    const transaction = { commitLsn: BigInt(n * 100), rows: 3, timeUs: timeUs(n) };
    append(log, messagesOf(transaction, 300), { epoch, timeline: 1 });
  }
  await log.sync();
}

/** What the log's own hints say: stop, move its directory away, start again. */
async function moveLogAway(beganAt: number, changes?: Partial<FollowedLog>): Promise<void> {
  await log.close();
  renameSync(logDirectory, `${logDirectory}.moved-${readdirSync(directory).length}`);
  await openTheLog(beganAt, changes);
}

type Opened = SinkPlace & { readonly delivers: readonly string[] };

/** Opens the place, reads from it what it would deliver, and gives it back. */
async function place(): Promise<Opened> {
  const opened = await openPlace(options);
  const { ledger, reader, readFrom } = opened;
  const delivers: string[] = [];
  const stopping = new AbortController();
  const end = signals.writtenEnd();
  for await (const block of reader.read(readFrom, stopping.signal)) {
    let { commitLsn, index } = block.context;
    for (let at = block.start; !block.relationsOnly && at < block.end;) {
      const body = at + 4;
      if (block.buffer[body] === 0x42) {
        commitLsn = toLsn(block.buffer.readBigUInt64BE(body + 1));
        index = 0;
      } else if (block.buffer[body] === 0x49) {
        const { epoch } = block.context;
        if (!ledger.wasSettled(epoch, commitLsn, index)) delivers.push(`${epoch}:${commitLsn}:${index}`);
        index++;
      }
      at = body + block.buffer.readUInt32BE(at);
    }
    if (block.blockEnd >= end) stopping.abort();
  }
  ledger.close();
  reader.close();
  return { ...opened, delivers };
}

/** The sink has settled everything before the transaction at `commit`. */
function settleTo(commit: number, epoch = 0): void {
  const ledger = openLedger(options.ledgerFile, SINK, { log: lifeOf(options.log) });
  ledger.advance({
    position: { epoch, commitLsn: toLsn(BigInt(commit)), index: 0 },
    endLsn: toLsn(BigInt(commit - 100 + 16)),
    timeline: 1,
  });
  ledger.close();
}

const rows = (from: number, to: number, epoch = 0): string[] =>
  Array.from({ length: to - from + 1 }, (_, i) => from + i).flatMap((n) =>
    [0, 1, 2].map((index) => `${epoch}:${n * 100}:${index}`),
  );

test('a log made anew under an old ledger delivers everything it holds, in an epoch of its own', async () => {
  await write(1, 20);
  await place();
  settleTo(2000);
  await moveLogAway(1916);
  await write(20, 25);
  // The LSNs of a restored server may be lower, too.
  const { delivers, gaps } = await place();
  expect(delivers).toEqual(rows(20, 25, 1));
  expect(gaps).toEqual([]);
  expect(readLedger(options.ledgerFile, SINK)?.identity.log?.life).toBe(log.birth.life);
  expect(warnings.map(({ msg }) => msg)).toEqual([expect.stringContaining('comes again')]);
  // Said once.
  await place();
  expect(warnings).toHaveLength(1);
});

test('after an epoch had changed the new log is above it, and its rows are not those of before', async () => {
  await write(1, 3);
  await write(4, 6, 1);
  options = { ...options, newSinkStart: 'earliest' };
  expect((await place()).delivers).toEqual([...rows(1, 3), ...rows(4, 6, 1)]);
  settleTo(600, 1);
  await moveLogAway(516);
  await write(6, 9);
  expect((await place()).delivers).toEqual(rows(6, 9, 2));
});

test('what a moved log alone had is a gap, also where the new one begins elsewhere than at its first row', async () => {
  await write(1, 20);
  await place();
  settleTo(1000);
  // The slot was told up to there on the disk’s word.
  await moveLogAway(1500);
  await write(16, 18);
  const { delivers, gaps } = await place();
  expect(delivers).toEqual(rows(16, 18, 1));
  expect(gaps).toEqual([
    { from: '0/394', to: '0/5DC', reason: expect.stringContaining('made anew') as string },
  ]);
  expect((await place()).gaps).toHaveLength(1);
});

test('another server with lower LSNs is no reason to skip anything', async () => {
  await write(1, 20);
  await place();
  settleTo(2000);
  await moveLogAway(100, { systemIdentifier: '8' });
  await write(2, 5);
  const { delivers, gaps } = await place();
  expect(delivers).toEqual(rows(2, 5, 1));
  expect(gaps).toEqual([
    { from: '0/0', to: '0/64', reason: expect.stringContaining('up to 0/77C in another history') as string },
  ]);
});

test('a log of yesterday goes on as another history: what it holds stays settled, what comes now does not', async () => {
  await write(1, 5);
  options = { ...options, newSinkStart: 'earliest' };
  await place();
  const yesterday = join(directory, 'yesterday');
  cpSync(logDirectory, yesterday, { recursive: true });
  await write(6, 8, 1);
  settleTo(800, 1);
  await log.close();
  rmSync(logDirectory, { recursive: true });
  renameSync(yesterday, logDirectory);
  const { life } = options.log;
  await openTheLog(50);
  expect(log.birth.life).toBe(life);
  // The server sends again what is above the end of the copy.
  await write(6, 9);
  const { delivers, gaps } = await place();
  expect(delivers).toEqual(rows(6, 9, 2));
  expect(gaps).toEqual([]);
});

test('a known sink whose ledger was deleted begins at the first change retained, not at the end', async () => {
  await write(1, 20);
  await place();
  settleTo(2100);
  await place();
  rmSync(options.ledgerFile);
  const { delivers, gaps } = await place();
  expect(delivers).toEqual(rows(1, 20));
  expect(gaps).toEqual([]);
  expect(warnings.map(({ msg }) => msg)).toEqual([expect.stringContaining('comes again')]);
});

test('what the log no longer has of it is a gap, from where the sink was last seen', async () => {
  await write(1, 30);
  await place();
  settleTo(500);
  await place();
  await log.retain(signals.writtenEnd(), Date.now() + 1000);
  rmSync(options.ledgerFile);
  const { start, gaps } = await place();
  expect(start.position.commitLsn).toBeGreaterThan(500n);
  expect(gaps).toEqual([
    { from: '0/1A0', to: expect.any(String) as string, reason: expect.stringContaining('ledger') as string },
  ]);
});

test('a sink that an older version knew, without a note of where it stood, has a gap from the beginning', async () => {
  await write(1, 5);
  options.store.sinks.started(SINK, [], { configured: 'active', now: new Date() });
  const { delivers, gaps } = await place();
  expect(delivers).toEqual(rows(1, 5));
  expect(gaps).toMatchObject([{ from: '0/0', to: '0/32' }]);
});

test('an empty or half-written ledger of a known sink is a lost one, not a new sink', async () => {
  await write(1, 5);
  await place();
  settleTo(600);
  const whole = readFileSync(options.ledgerFile);
  for (const bytes of [Buffer.alloc(0), whole.subarray(0, 30), Buffer.alloc(whole.length)]) {
    writeFileSync(options.ledgerFile, bytes);
    expect((await place()).delivers).toEqual(rows(1, 5));
    settleTo(600);
  }
  // Where no sink of that name has begun, it was never finished.
  closeSync(openSync(options.ledgerFile, 'w'));
  options = { ...options, store: openStore(':memory:') };
  expect((await place()).delivers).toEqual([]);
});

test('a damaged ledger halts the sink, and what its hint says loses nothing', async () => {
  await write(1, 5);
  await place();
  settleTo(600);
  writeFileSync(options.ledgerFile, 'this is not a ledger');
  const error = await openPlace(options).catch((failure: unknown) => failure);
  expect(error).toMatchObject({
    code: 'LEDGER_DAMAGED',
    hint: expect.stringContaining('delete it') as string,
  });
  rmSync(options.ledgerFile);
  expect((await place()).delivers).toEqual(rows(1, 5));
});

test('a new sink is known only once its ledger says where it begins, and begins there whatever crashes', async () => {
  await write(1, 5);
  const { store } = options;
  const crash = new Error('killed');
  const started = store.sinks.started.bind(store.sinks);
  store.sinks.started = () => {
    // By then its first cursor is on the disk.
    expect(readLedger(options.ledgerFile, SINK)?.restored.cursor.position.commitLsn).toBe(500n);
    throw crash;
  };
  await expect(openPlace(options)).rejects.toBe(crash);
  expect(store.sinks.names('shop')).toEqual([]);
  store.sinks.started = started;
  await write(6, 8);
  // It began at the end of then, not of now.
  expect((await place()).delivers).toEqual(rows(6, 8));
  expect(store.sinks.names('shop')).toEqual(['users']);
});

test('a new sink whose ledger cannot be made stays unknown', async () => {
  await write(1, 5);
  const gone = { ...options, ledgerFile: join(directory, 'nowhere', 'users.ledger') };
  await expect(openPlace(gone)).rejects.toMatchObject({ code: 'LEDGER_WRITE_FAILED' });
  expect(options.store.sinks.names('shop')).toEqual([]);
});

test('what is missing is on record before a ledger forgets where the sink stood', async () => {
  await write(1, 20);
  await place();
  settleTo(1000);
  await moveLogAway(1500);
  await write(16, 18);
  const { store } = options;
  const crash = new Error('killed');
  const started = store.sinks.started.bind(store.sinks);
  store.sinks.started = () => {
    throw crash;
  };
  await expect(openPlace(options)).rejects.toBe(crash);
  store.sinks.started = started;
  expect((await place()).gaps).toMatchObject([{ from: '0/394', to: '0/5DC' }]);
});

test('the LSN of a sink that stands in an earlier epoch tells Postgres nothing: it may name other changes by now', async () => {
  await write(1, 5);
  await write(3, 9, 1);
  settleTo(500, 0);
  await place();
  expect(signals.settled(0).lsn).toBe(0n);
  settleTo(500, 1);
  await place();
  expect(signals.settled(0).lsn).toBe(416n);
});

test('a lost place halts its sink whatever crashes in between, and not again once that was accepted', async () => {
  await write(1, 20);
  await place();
  settleTo(1000);
  await moveLogAway(1500);
  await write(16, 18);
  options = { ...options, onGap: 'halt' };
  const { store } = options;
  const crash = new Error('killed');
  const declare = store.gaps.declare.bind(store.gaps);
  store.gaps.declare = () => {
    throw crash;
  };
  await expect(openPlace(options)).rejects.toBe(crash);
  store.gaps.declare = declare;
  // Whoever comes next finds the ledger as it was, and says it.
  const started = store.sinks.started.bind(store.sinks);
  store.sinks.started = () => {
    throw crash;
  };
  await expect(openPlace(options)).rejects.toBe(crash);
  const [gap] = store.gaps.unaccepted(SINK.database);
  expect(gap).toMatchObject({ cause: 'place_lost', from: '0/394', to: '0/5DC', halts: true });
  expect(signals.isHalted(0)).toBe(true);
  store.gaps.accept(SINK.database, gap!.id, new Date(0));
  signals.setHalted(0, false);
  store.sinks.started = started;
  await place();
  expect(signals.isHalted(0)).toBe(false);
});

test('a sink that begins at the end, at a time or at an LSN delivers nothing from before, of no block', async () => {
  // All in one block.
  const messages = [1, 2, 3].flatMap((n) =>
    messagesOf({ commitLsn: BigInt(n * 100), rows: 3, timeUs: timeUs(n) }),
  );
  append(log, messages, { epoch: 0, timeline: 1 });
  await log.sync();
  const starts = [
    [{ from: 'default' }, []],
    [{ from: 'lsn', lsn: 200n }, rows(2, 3)],
    [{ from: 'lsn', lsn: 201n }, rows(3, 3)],
    [{ from: 'time', timeUs: timeUs(3) }, rows(3, 3)],
    [{ from: 'time', timeUs: timeUs(4) }, []],
  ] as const;
  for (const [start, delivered] of starts) {
    rmSync(options.ledgerFile, { force: true });
    options = {
      ...options,
      store: openStore(':memory:'),
      settings: { ...options.settings, start },
    };
    expect((await place()).delivers, `from ${start.from}`).toEqual(delivered);
  }
});

test('a start and a rewind by LSN find the epoch that the LSN is of, wherever the log has it', async () => {
  await write(1, 12);
  // After a failover that lost nothing, and to a new cluster with lower LSNs.
  await write(13, 15, 1);
  await write(2, 9, 2);
  const startAt = async (lsn: bigint): Promise<readonly string[]> => {
    const ledgerFile = join(directory, `at-${lsn}.ledger`);
    const settings = { ...options.settings, start: { from: 'lsn', lsn } } as SinkSettings;
    const before = options;
    options = { ...options, ledgerFile, settings, store: openStore(':memory:') };
    const { delivers } = await place();
    options = before;
    return delivers;
  };
  expect(await startAt(1400n)).toEqual([...rows(14, 15, 1), ...rows(2, 9, 2)]);
  // Used twice: from the first time on.
  expect(await startAt(500n)).toEqual([...rows(5, 12), ...rows(13, 15, 1), ...rows(2, 9, 2)]);
  expect(await startAt(1501n)).toEqual([]);
  options = { ...options, newSinkStart: 'earliest' };
  await place();
  settleTo(900, 2);
  expect(await rewindSink(options, { from: 'lsn', lsn: 1200n })).toMatchObject({ from: '0/4B0' });
  expect((await place()).delivers).toEqual([...rows(12, 12), ...rows(13, 15, 1), ...rows(2, 9, 2)]);
  settleTo(900, 2);
  await place();
  await log.retain(signals.settled(0).offset, Date.now() + 1000);
  // Gone from the first epoch, and there in the last.
  const { from } = await rewindSink(options, { from: 'lsn', lsn: 850n });
  expect(from).toBe('0/352');
  expect((await place()).delivers).toEqual(rows(9, 9, 2));
});

test('a rewind that was decided for the log of before is not done in another one', async () => {
  await write(1, 20);
  options = { ...options, newSinkStart: 'earliest' };
  await place();
  settleTo(2000);
  await rewindSink(options, { from: 'lsn', lsn: 1800n });
  await moveLogAway(1700);
  await write(17, 22);
  const { delivers, gaps } = await place();
  expect(delivers).toEqual(rows(17, 22, 1));
  expect(gaps).toEqual([]);
});

test('a ledger of version 1 goes on in the log that was adopted with it, and not in one made since', async () => {
  await write(1, 5);
  const old = ledgerOfVersion1({
    owner: SINK,
    records: [{ cursor: { position: { epoch: 0, commitLsn: toLsn(300n), index: 1 }, endLsn: toLsn(216n) } }],
  });
  writeFileSync(options.ledgerFile, old);
  options = { ...options, log: { ...options.log, adoptedEpoch: 0 } };
  expect((await place()).delivers).toEqual(rows(3, 5).slice(1));
  expect(readLedger(options.ledgerFile, SINK)?.identity.log?.life).toBe(log.birth.life);
  writeFileSync(options.ledgerFile, old);
  options = { ...options, log: { ...options.log, adoptedEpoch: undefined } };
  const { delivers, gaps } = await place();
  expect(delivers).toEqual(rows(1, 5));
  expect(gaps).toHaveLength(1);
});

test('a sink that was away for more than a week, in a log made anew meanwhile, has its gap', async () => {
  await write(1, 10);
  await place();
  settleTo(500);
  options.store.sinks.choose(SINK, 'disabled', {
    configured: 'active',
    now: new Date(Date.now() - 8 * 86_400_000),
  });
  await moveLogAway(100, { systemIdentifier: '8' });
  await write(2, 3);
  const { delivers, gaps } = await place();
  expect(delivers).toEqual([]);
  expect(gaps).toMatchObject([{ from: '0/0', reason: expect.stringContaining('0/1A0') as string }]);
  expect(existsSync(options.ledgerFile)).toBe(true);
});
