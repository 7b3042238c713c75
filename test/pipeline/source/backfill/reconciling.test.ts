// What a source believes of its backfills when it begins: the store, and behind that the log, as far as its history goes on.
import { beforeEach, expect, onTestFinished, test } from 'vitest';
import { NO_PROGRESS, type Backfill } from '../../../../src/core/backfill.ts';
import { toLsn } from '../../../../src/core/lsn.ts';
import { LogSignals } from '../../../../src/log/signals.ts';
import type { LogWriter } from '../../../../src/log/writer.ts';
import { firstPlace, marked, type PlacedProgress } from '../../../../src/pipeline/source/backfill/place.ts';
import { readUpTo as readUpToOf, reconcile } from '../../../../src/pipeline/source/backfill/reconciling.ts';
import { openStore, type Store } from '../../../../src/store/sqlite.ts';

import { databaseSettings } from '../../../support/database-settings.ts';
import { readsOf } from '../../../support/reads.ts';
import { append, messagesOf, openTestLog, scratchDirectory } from '../../../log/stream.ts';

const NOTES = { schema: 'public', table: 'notes' };

const NOW = new Date('2026-01-02T03:04:05Z');
const ID = 'first';
const settings = databaseSettings({ name: 'x', host: '127.0.0.1', port: 1 });
const said: string[] = [];
const logger = { warn: (_: unknown, message: string) => void said.push(message) } as never;

let store: Store;
let directory: string;
let log: LogWriter;
let signals: LogSignals;
beforeEach(async () => {
  said.length = 0;
  store = openStore(':memory:');
  onTestFinished(() => store.close());
  directory = scratchDirectory();
  ({ log, signals } = await openTestLog(directory));
  append(log, messagesOf({ commitLsn: 100n, rows: 1 }));
  store.backfills.create(
    { database: settings.name, sinks: [], tables: [NOTES], limits: { queryTimeoutMs: 5000 } },
    { id: ID, now: NOW },
  );
});

const leafAt = (id: number) => ({
  oid: 1,
  key: [{ name: 'id', type: 'pg_catalog.int4' }],
  fileNode: 10,
  cursor: { by: 'key' as const, values: [String(id)] },
  again: [],
});
/** Rows up to `appended` are in the log, which the server had written up to there. */
const readUpTo = (progress: PlacedProgress, appended: number): PlacedProgress => ({
  ...progress,
  appended,
  cursor: {
    ...progress.cursor,
    leaf: leafAt(appended),
    last: { epoch: 0, watermark: `0/${(appended * 100).toString(16)}` },
  },
});
const begun = (): PlacedProgress => ({ ...NO_PROGRESS, cursor: firstPlace(log.birth.life, log.writtenEnd) });
const note = (progress: PlacedProgress): void => store.backfills.note(ID, NOTES, progress);
const appendReads = (progress: PlacedProgress, id = ID): void =>
  append(
    log,
    readsOf({ rows: [['a', null]], firstIndex: log.readIndex, progress: { id, ...NOTES, progress } }),
  );
const reconciled = async (isKnown = false): Promise<Backfill> => {
  await reconcile({ settings, store, signals, logger }, { log, directory }, { isKnown });
  return store.backfills.find(settings.name, ID)!;
};
const progressIn = ({ tables }: Backfill) => tables![0]!.progress as PlacedProgress;

test('what the log has behind what the store remembers counts, the last of it', async () => {
  note(begun());
  appendReads(readUpTo(begun(), 1));
  appendReads(readUpTo(begun(), 9), 'another');
  append(log, messagesOf({ commitLsn: 200n, rows: 1 }));
  appendReads(readUpTo(begun(), 2));
  const progress = progressIn(await reconciled());
  expect(progress.appended).toBe(2);
  expect(progress.cursor.leaf).toEqual(leafAt(2));
});

test('what the store remembers counts where the log has nothing behind it', async () => {
  note(begun());
  appendReads(readUpTo(begun(), 1));
  const noted = readUpTo(begun(), 5);
  note({ ...noted, cursor: marked(noted.cursor, log.writtenEnd) });
  append(log, messagesOf({ commitLsn: 200n, rows: 1 }));
  expect(progressIn(await reconciled()).appended).toBe(5);
});

test('of a log that has lost what was durable, what it still has counts, and without anything the table is begun again', async () => {
  note(begun());
  appendReads(readUpTo(begun(), 2));
  const ahead = readUpTo(begun(), 5);
  note({ ...ahead, cursor: marked(ahead.cursor, log.writtenEnd) });
  const cut = {
    ...log,
    recovered: { ...log.recovered, damaged: true },
    birth: log.birth,
    partings: [],
    writtenEnd: log.writtenEnd,
  };
  await reconcile({ settings, store, signals, logger }, { log: cut, directory }, { isKnown: false });
  const kept = progressIn(store.backfills.find(settings.name, ID)!);
  expect(kept.appended).toBe(2);
  expect(kept.cursor.marks).toEqual([]);
  note({ ...ahead, cursor: { ...ahead.cursor, offset: 0 } });
  const empty = await openTestLog(scratchDirectory());
  append(empty.log, messagesOf({ commitLsn: 100n, rows: 1 }));
  const without = { ...cut, writtenEnd: empty.log.writtenEnd };
  const at = { log: without as LogWriter, directory: scratchDirectory() };
  await reconcile({ settings, store, signals: new LogSignals(), logger }, at, { isKnown: false });
  expect(progressIn(store.backfills.find(settings.name, ID)!).cursor).toMatchObject({ turn: 1, done: [] });
});

test('a log is looked through once, as far as it goes then', async () => {
  note(begun());
  appendReads(readUpTo(begun(), 1));
  expect(progressIn(await reconciled()).cursor.offset).toBe(log.writtenEnd);
});

test('what the log has behind what the store remembers is taken back to what that remembers', async () => {
  const first = readUpTo(begun(), 1);
  appendReads(first);
  note({ ...first, cursor: marked(first.cursor, log.writtenEnd) });
  // Of these there was no time to write down anything.
  appendReads(readUpTo(begun(), 2));
  await log.part({ lsn: toLsn(150n), flushed: toLsn(100n), history: { epoch: 1, timeline: 2 } });
  const { cursor } = progressIn(await reconciled());
  expect(cursor).toMatchObject({ leaf: leafAt(1), turn: 1 });
});

test('rows that were read under other keys are what counts, also where they are fewer', async () => {
  note(readUpTo(begun(), 5));
  const again = readUpTo(begun(), 5);
  appendReads({ ...again, cursor: { ...again.cursor, leaf: leafAt(1), turn: 1 } });
  expect(progressIn(await reconciled()).cursor).toMatchObject({ leaf: leafAt(1), turn: 1 });
});

test('what was told behind the end of the log comes again', async () => {
  note({
    ...readUpTo(begun(), 1),
    cursor: { ...readUpTo(begun(), 1).cursor, watchedTo: log.writtenEnd + 9 },
  });
  expect(progressIn(await reconciled()).cursor.watchedTo).toBe(log.writtenEnd);
});

test('with another log than the one that held its rows a table is begun again', async () => {
  note({ ...readUpTo(begun(), 5), cursor: { ...readUpTo(begun(), 5).cursor, life: 'another life' } });
  const { cursor, restarts } = progressIn(await reconciled());
  expect(cursor).toMatchObject({ life: log.birth.life, turn: 1, done: [] });
  expect(cursor).not.toHaveProperty('leaf');
  expect(restarts).toBe(1);
});

test('rows of a history that is lost are read again, also those of a backfill that was complete', async () => {
  let progress = begun();
  for (const appended of [1, 2, 3]) {
    progress = readUpTo(progress, appended);
    appendReads(progress);
    progress = { ...progress, cursor: marked(progress.cursor, log.writtenEnd) };
    note(progress);
  }
  note({ ...progress, endedAt: NOW.toISOString() });
  for (const state of ['running', 'completed'] as const)
    store.backfills.setState({ database: settings.name, id: ID }, state, { now: NOW });
  expect((await reconciled()).state).toBe('completed');
  // The second one showed what was committed below 200, the third what was below 300.
  await log.part({ lsn: toLsn(250n), flushed: toLsn(100n), history: { epoch: 1, timeline: 2 } });
  const backfill = await reconciled(true);
  expect(backfill.state).toBe('waiting');
  expect(backfill.reason).toContain('a history that is lost');
  expect(said).toEqual([expect.stringContaining('a history that is lost')]);
  const { cursor, ...others } = progressIn(backfill);
  expect(cursor.leaf).toEqual(leafAt(2));
  expect(cursor.turn).toBe(1);
  expect(others).not.toHaveProperty('endedAt');
  // Once.
  expect(progressIn(await reconciled(true)).cursor.turn).toBe(1);
});

test('one that is killed while a backfill that was complete is taken back does so when it begins again', async () => {
  note({ ...readUpTo(begun(), 3), endedAt: NOW.toISOString() });
  for (const state of ['running', 'completed'] as const)
    store.backfills.setState({ database: settings.name, id: ID }, state, { now: NOW });
  await log.part({ lsn: toLsn(100n), flushed: toLsn(100n), history: { epoch: 1, timeline: 2 } });
  const { backfills } = store;
  const killed = {
    list: (name: string) => backfills.list(name),
    reopen: (id: string, reason: string) => backfills.reopen(id, reason),
    note: () => {
      throw new Error('killed');
    },
  };
  const dying = { settings, store: { ...store, backfills: killed as never }, signals, logger };
  await expect(reconcile(dying, { log, directory }, { isKnown: false })).rejects.toThrow('killed');
  const backfill = await reconciled();
  expect(backfill.state).toBe('waiting');
  expect(progressIn(backfill).endedAt).toBeUndefined();
});

test('up to where backfills have read is said of an epoch of the log, without those that were cancelled', () => {
  note(readUpTo(begun(), 3));
  const upTo = (epoch: number, birth = log.birth) =>
    readUpToOf({ settings, store }, { epoch, log: { birth } as never });
  expect(upTo(0)).toBe(300n);
  expect(upTo(1)).toBe(0n);
  expect(upTo(0, { ...log.birth, life: 'another' })).toBe(0n);
  store.backfills.setState({ database: settings.name, id: ID }, 'cancelled', { now: NOW });
  expect(upTo(0)).toBe(0n);
});

test('a backfill that was cancelled is left as it is', async () => {
  note(begun());
  appendReads(readUpTo(begun(), 1));
  store.backfills.setState({ database: settings.name, id: ID }, 'cancelled', { now: NOW });
  expect(progressIn(await reconciled()).appended).toBe(0);
});
