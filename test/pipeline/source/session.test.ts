// One connection's life, against a pretended server at the wire: where it starts, what it tells Postgres, and what ends it.
import { readFileSync, writeFileSync } from 'node:fs';
import { pino } from 'pino';
import { beforeEach, describe, expect, onTestFinished, test, vi, type MockInstance } from 'vitest';
import { maxLsn, toLsn } from '../../../src/core/lsn.ts';
import { listSegments } from '../../../src/log/segments.ts';
import { LogSignals } from '../../../src/log/signals.ts';
import type { FlushKeeper } from '../../../src/pipeline/source/flush.ts';
import type { SourceLog } from '../../../src/pipeline/source/log.ts';
import type { SourceOptions, SourceReady } from '../../../src/pipeline/source/options.ts';
import type { StoppedDecoding } from '../../../src/pipeline/source/joining.ts';
import { runSession, type SessionPorts } from '../../../src/pipeline/source/session.ts';
import { Backfills } from '../../../src/pipeline/source/backfill/backfills.ts';
import { GapKeeper } from '../../../src/pipeline/source/gaps.ts';
import { LookKeeper } from '../../../src/pipeline/source/looks.ts';
import { SourceState } from '../../../src/pipeline/source/status.ts';
import { RepeatedLines } from '../../../src/telemetry/repeated-lines.ts';
import { openStore, type Store } from '../../../src/store/sqlite.ts';
import type { DatabaseSettings } from '../../../src/postgres/settings.ts';
import { begin, commit, scratchDirectory, SETTINGS, type Transaction } from '../../log/stream.ts';
import { databaseSettings } from '../../support/database-settings.ts';
import type { Walsender } from '../../support/fake-backend.ts';
import { fakeDatabase, INT4, startFakePostgres, type FakePostgres } from '../../support/fake-postgres.ts';
import { insertMessage, relationMessage } from '../../support/pgoutput-messages.ts';
import { readLog } from '../../support/source.ts';
import { timersInUse, waitFor } from '../../support/wait.ts';

const LIFE = { instance: 'test', life: 1, nonce: 'a' };

const RELATION = 16_400;
const relation = relationMessage({
  id: RELATION,
  schema: 'public',
  table: 'items',
  identity: 'd',
  columns: [{ name: 'id', type: INT4, identity: true }],
});
const row = (id: number): Buffer => insertMessage(RELATION, [String(id)]);
/** A transaction of one row at this commit LSN; it ends 16 bytes later. */
const at = (commitLsn: bigint): Transaction => ({ commitLsn, rows: 1 });
const whole = (commitLsn: bigint, id: number): Buffer[] => [
  begin(at(commitLsn)),
  relation,
  row(id),
  commit(at(commitLsn)),
];

type Session = {
  readonly ended: Promise<void>;
  readonly opened: () => SourceLog;
  readonly ready: () => SourceReady | undefined;
  stop(): Promise<void>;
};

let server: FakePostgres;
let directory: string;
let signals: LogSignals;
let store: Store;
let state: SourceState;
let lines: { level: number; msg: string }[];

beforeEach(async () => {
  server = await startFakePostgres();
  directory = scratchDirectory();
  signals = new LogSignals();
  store = openStore(':memory:');
  lines = [];
});

type Changes = Partial<Omit<SourceOptions, 'settings'>> & {
  readonly settings?: Parameters<typeof databaseSettings>[1];
  /** What a session before this one has opened. */
  readonly before?: SourceLog;
  /** Decoding stopped at the log's end. */
  readonly stopped?: StoppedDecoding;
};

function optionsOf({ settings, ...changes }: Omit<Changes, 'before' | 'stopped'>): SourceOptions {
  return {
    settings: settingsOf(settings),
    selections: [{}],
    streamed: () => undefined,
    store,
    log: SETTINGS,
    directory,
    knownEpoch: -1,
    life: LIFE,
    signals,
    sinkSlots: new Map([['users', 0]]),
    version: '0.0.0-test',
    durableDirectory: true,
    logger: pino(
      { level: 'debug' },
      { write: (line: string) => void lines.push(JSON.parse(line) as (typeof lines)[number]) },
    ),
    ...changes,
  };
}

const settingsOf = (changes: Changes['settings'] = {}): DatabaseSettings =>
  databaseSettings(fakeDatabase(server), {
    publication: { refreshIntervalMs: 0 },
    statusIntervalMs: 100,
    ...changes,
    slot: { ack: 'delivered', ...changes.slot },
  });

/** What a source keeps over all connections. */
function keepers(
  options: SourceOptions,
): Pick<
  SessionPorts,
  | 'gaps'
  | 'looks'
  | 'backfills'
  | 'stopped'
  | 'isFollowedAlone'
  | 'walsender'
  | 'ownEncoding'
  | 'inProgress'
  | 'lines'
  | 'onReached'
> {
  const gaps = new GapKeeper(options, state);
  const looks = new LookKeeper(options, gaps);
  const ports = {
    stopped: undefined,
    isFollowedAlone: false,
    walsender: { ...LIFE, connection: 1 },
    ownEncoding: false,
    inProgress: false,
    lines: new RepeatedLines(options.logger),
    onReached: () => undefined,
  };
  return { gaps, looks, backfills: new Backfills(options), ...ports };
}

function start({ before, stopped, ...changes }: Changes = {}): Session {
  const options = optionsOf(changes);
  const stopping = new AbortController();
  state = new SourceState(options.settings, () => 0);
  let opened = before;
  let ready: SourceReady | undefined;
  const ended = runSession({
    options,
    state,
    ...keepers(options),
    stopped,
    opened: before,
    onOpened: (log) => (opened = log),
    onStreaming: (_, source) => (ready = source),
    signal: stopping.signal,
  });
  ended.catch(() => undefined);
  const stop = (): Promise<void> => {
    stopping.abort();
    return ended;
  };
  onTestFinished(async () => {
    await stop().catch(() => undefined);
    await opened?.log.close().catch(() => undefined);
  });
  return { ended, opened: () => opened!, ready: () => ready, stop };
}

/** A sink has settled all that is in the log, and has taken note of the keepalives. */
function settleAll(): void {
  const offset = signals.writtenEnd();
  const quiet = signals.quiet();
  const end = signals.lastEndLsn();
  signals.setHolding(0, true);
  signals.publishSettled(0, { offset, lsn: quiet.offset <= offset ? maxLsn(end, quiet.lsn) : end });
}

/** Another decision about the flush was made, and a reply sent since. */
async function afterNextFlush(flush: MockInstance<FlushKeeper['flush']>, stream: Walsender): Promise<void> {
  const { length } = flush.mock.results;
  await waitFor(() => flush.mock.results.length > length || undefined, 'the next flush');
  await flush.mock.results[length]!.value;
  const replies = stream.replies.length;
  await waitFor(() => stream.replies.length > replies || undefined, 'the next reply');
}

const loggedUpTo = (endLsn: bigint): Promise<true> =>
  waitFor(() => signals.lastEndLsn() === endLsn || undefined, `the log to end at ${endLsn}`).then(() => true);
const ids = async (): Promise<number[]> =>
  (await readLog(directory, signals)).rows.map(({ values }) => Number(values[0]));
const startLsnOf = (command: string): string => /LOGICAL (\S+)/.exec(command)![1]!;

/** A reply of zero keeps the connection alive, and says nothing of what is safe. */
const flushesIn = (replies: readonly bigint[]): Set<bigint> => new Set(replies.filter((lsn) => lsn > 0n));

describe('a session', () => {
  test('that is stopped leaves no timer behind', async () => {
    const before = timersInUse();
    const session = start();
    const stream = await server.stream();
    stream.send(...whole(200n, 1));
    await loggedUpTo(216n);
    await session.stop();
    expect(timersInUse()).toBeLessThanOrEqual(before);
  });

  test('of a new log starts where the slot stands, logs what comes, and says that it streams', async () => {
    const session = start();
    const stream = await server.stream();
    expect(stream.command).toContain('LOGICAL 0/0 ');
    expect(stream.command).toContain(`publication_names '"pub_app"'`);
    stream.send(...whole(200n, 1));
    stream.send(...whole(300n, 2));
    await loggedUpTo(316n);
    expect(await ids()).toEqual([1, 2]);
    expect(state.status()).toMatchObject({ state: 'streaming', health: 'healthy', gaps: [] });
    expect(session.ready()).toMatchObject({
      log: {
        systemIdentifier: server.server.systemIdentifier,
        databaseOid: server.server.databaseOid,
        slot: 'slot_app',
        beganAt: 100n,
      },
    });
  });

  test('tells Postgres nothing of what no sink has settled, and the end of it once all have (C147, C148)', async () => {
    start();
    signals.setHolding(0, true);
    const stream = await server.stream();
    stream.send(...whole(200n, 1));
    await loggedUpTo(216n);
    stream.keepalive(5000n);
    await waitFor(() => stream.replies.length >= 5, 'some replies');
    expect(flushesIn(stream.replies)).toEqual(new Set([100n]));
    settleAll();
    await waitFor(() => stream.replies.at(-1)! > 100n, 'the flush');
    expect(stream.replies.at(-1)).toBe(5000n);
  });

  test('tells Postgres of the log’s end though no keepalive ever comes, as from servers that send none while there is something to send', async () => {
    start();
    const stream = await server.stream();
    stream.send(...whole(200n, 1));
    await loggedUpTo(216n);
    settleAll();
    await waitFor(() => stream.replies.at(-1) === 216n || undefined, 'the end of the first');
    stream.send(...whole(300n, 2));
    await loggedUpTo(316n);
    settleAll();
    await waitFor(() => stream.replies.at(-1) === 316n || undefined, 'the end of the second');
    expect(state.status().flushed).toBe('0/13C');
  });

  test('flushes no keepalive that came inside a transaction, though all that is whole is settled (C145)', async () => {
    start();
    const stream = await server.stream();
    stream.send(...whole(200n, 1));
    stream.send(begin(at(300n)), row(2));
    stream.keepalive(5000n);
    await waitFor(() => state.status().walEnd === '0/1388', 'the keepalive to be taken');
    settleAll();
    await waitFor(() => stream.replies.at(-1) === 216n, 'the flush of what is whole');
    stream.send(commit(at(300n)));
    await waitFor(() => signals.quiet().lsn === 5000n, 'the keepalive to count');
    settleAll();
    await waitFor(() => stream.replies.at(-1)! > 216n, 'the next flush');
    expect(flushesIn(stream.replies)).toEqual(new Set([100n, 216n, 5000n]));
  });

  test('flushes no keepalive that came with what is not in the log yet (C145)', async () => {
    const session = start();
    const stream = await server.stream();
    settleAll();
    await waitFor(() => state.status().state === 'streaming', 'what is asked at the start to be answered');
    const flush = vi.spyOn(session.opened().keeper, 'flush');
    const catalog = server.holdOrdinary();
    stream.together(() => {
      stream.send(...whole(200n, 1));
      stream.keepalive(5000n);
    });
    await waitFor(() => server.asked.some((sql) => /transactionid = /.test(sql)), 'the server to be asked');
    await afterNextFlush(flush, stream);
    expect(flushesIn(stream.replies)).toEqual(new Set([100n]));
    catalog.release();
    await loggedUpTo(216n);
  });

  test('flushes no keepalive that came inside a transaction that the log holds already', async () => {
    const first = start();
    (await server.stream()).send(...whole(200n, 1));
    await loggedUpTo(216n);
    await first.stop();
    const second = start({ before: first.opened() });
    const stream = await server.stream(2);
    const flush = vi.spyOn(second.opened().keeper, 'flush');
    stream.send(begin(at(200n)), relation, row(1));
    stream.keepalive(5000n);
    await waitFor(() => second.opened().keeper.walEnd === 5000n || undefined, 'the keepalive to be taken');
    settleAll();
    await afterNextFlush(flush, stream);
    expect(stream.replies.at(-1)).toBe(216n);
  });

  test('answers a keepalive that asks for a reply at once, with what is safe (C146)', async () => {
    start({ settings: { statusIntervalMs: 3_600_000 } });
    signals.setHolding(0, true);
    const stream = await server.stream();
    stream.send(...whole(200n, 1));
    await loggedUpTo(216n);
    const before = stream.replies.length;
    stream.keepalive(5000n);
    stream.keepalive(5000n, true);
    await waitFor(() => stream.replies.length > before, 'the reply');
    expect(stream.replies.slice(before)).toEqual([100n]);
  });

  test('remembers on disk what it told, with the history that the server has', async () => {
    server.server.timeline = 2;
    server.server.timelineHistory = '1\t0/10\tno recovery target specified\n';
    const session = start();
    const stream = await server.stream();
    stream.send(...whole(200n, 1));
    await loggedUpTo(216n);
    settleAll();
    await session.stop();
    expect(stream.replies.at(-1)).toBe(216n);
    await session.opened().log.close();
    const again = start();
    await server.stream(2);
    expect(again.opened().log.recovered).toMatchObject({
      created: false,
      flushed: 216n,
      settled: 216n,
      timeline: 2,
    });
  });

  test('whose log is there goes on at its end, and says again what the slot says until the server has sent more', async () => {
    const first = start();
    (await server.stream()).send(...whole(200n, 1));
    await loggedUpTo(216n);
    settleAll();
    await first.stop();
    const second = start({ before: first.opened() });
    const stream = await server.stream(2);
    expect(startLsnOf(stream.command)).toBe('0/D8');
    await waitFor(() => stream.replies.length > 0, 'a reply');
    expect(stream.replies[0]).toBe(100n);
    stream.keepalive(216n);
    await waitFor(() => stream.replies.at(-1) === 216n, 'what is settled to be told');
    stream.send(...whole(200n, 1));
    stream.send(...whole(300n, 2));
    await loggedUpTo(316n);
    expect(await ids()).toEqual([1, 2]);
    await second.stop();
  });

  test('that is stopped makes durable what it has, says so, and parts in good order', async () => {
    const session = start({ settings: { slot: { ack: 'durable' } } });
    const stream = await server.stream();
    stream.send(...whole(200n, 1));
    await loggedUpTo(216n);
    await session.stop();
    expect(signals.durableEnd()).toBe(signals.writtenEnd());
    expect(stream.replies.at(-1)).toBe(216n);
    await waitFor(() => stream.done && stream.ended, 'CopyDone and Terminate');
  });

  test('that is stopped makes durable what came after the last sync, before it says so', async () => {
    const session = start({ settings: { slot: { ack: 'durable' } } });
    const stream = await server.stream();
    const { log } = session.opened();
    const sync = log.sync.bind(log);
    // While the disk answers, more comes and the session is stopped: the loop has nothing left to do.
    vi.spyOn(log, 'sync').mockImplementationOnce(async () => {
      const end = await sync();
      stream.send(...whole(300n, 2));
      await loggedUpTo(316n);
      void session.stop();
      return end;
    });
    stream.send(...whole(200n, 1));
    await session.ended;
    expect(signals.durableEnd()).toBe(signals.writtenEnd());
    expect(stream.replies.at(-1)).toBe(316n);
  });

  test('that is stopped waits for the sync under way', async () => {
    const session = start();
    const stream = await server.stream();
    const { log } = session.opened();
    const events: string[] = [];
    const sync = log.sync.bind(log);
    const disk = Promise.withResolvers<void>();
    vi.spyOn(log, 'sync').mockImplementationOnce(async () => {
      events.push('sync');
      await disk.promise;
      events.push('synced');
      return sync();
    });
    stream.send(...whole(200n, 1));
    await waitFor(() => events.length > 0 || undefined, 'the sync to begin');
    void session.stop().then(() => events.push('ended'));
    await waitFor(
      () => stream.done || stream.replies.length > 2 || undefined,
      'the session to go on meanwhile',
    );
    disk.resolve();
    await session.ended;
    expect(events).toEqual(['sync', 'synced', 'ended']);
  });

  test('that is stopped before it streams does not begin to', async () => {
    const stopping = new AbortController();
    server.server.override = (sql) => {
      if (sql === 'select pg_backend_pid() as pid') throw new Error('it went on');
      if (sql.startsWith('IDENTIFY_SYSTEM')) stopping.abort();
      return undefined;
    };
    const options = optionsOf({});
    let opened: SourceLog | undefined;
    state = new SourceState(options.settings, () => 0);
    await runSession({
      options,
      state,
      ...keepers(options),
      opened: undefined,
      onOpened: (log) => (opened = log),
      onStreaming: () => expect.fail('it streams'),
      signal: stopping.signal,
    });
    expect(server.streams).toEqual([]);
    await opened?.log.close();
  });
});

describe('a gap', () => {
  /** A log that ends at 216, flushed and settled. */
  async function logBefore(): Promise<SourceLog> {
    const session = start();
    (await server.stream()).send(...whole(200n, 1));
    await loggedUpTo(216n);
    settleAll();
    await session.stop();
    return session.opened();
  }

  test('is declared when the slot stands beyond all that we know, and a new epoch begins', async () => {
    const before = await logBefore();
    server.server.slot = { confirmedFlush: 900n };
    start({ before });
    const stream = await server.stream(2);
    expect(state.status().gaps).toEqual([
      expect.objectContaining({ cause: 'slot_moved', from: '0/D8', to: '0/384', halts: true }),
    ]);
    expect(lines.filter(({ level }) => level === 50).map(({ msg }) => msg)).toEqual([
      expect.stringContaining('between 0/D8 and 0/384 may be missing'),
    ]);
    stream.send(...whole(950n, 2));
    await loggedUpTo(966n);
    expect((await readLog(directory, signals)).epochs).toEqual(new Set([0, 1]));
    expect(signals.epoch()).toBe(1);
  });

  test('is declared when the slot was gone, made anew from there on', async () => {
    const before = await logBefore();
    server.server.slot = undefined;
    server.server.walEnd = 700n;
    start({ before });
    await server.stream(2);
    expect(state.status().gaps).toEqual([
      expect.objectContaining({ cause: 'slot_remade', from: '0/D8', to: '0/2BC' }),
    ]);
  });

  test('is none where the slot stands behind us: what it sends again is skipped, and our flush does not go back (C149, C153)', async () => {
    const before = await logBefore();
    server.server.slot = { confirmedFlush: 100n };
    signals.publishSettled(0, { offset: 0, lsn: toLsn(0n) });
    const session = start({ before });
    await server.stream(2);
    expect(state.status().gaps).toEqual([]);
    await session.stop();
    await before.log.close();
    const again = start();
    await server.stream(3);
    expect(again.opened().log.recovered.flushed).toBe(216n);
  });

  test('is none where the slot stands at what the connection before had flushed, beyond the log', async () => {
    const session = start();
    const first = await server.stream();
    first.send(...whole(200n, 1));
    first.keepalive(900n);
    await loggedUpTo(216n);
    settleAll();
    await waitFor(() => first.replies.at(-1) === 900n || undefined, 'the flush of the keepalive');
    await session.stop();
    server.server.slot = { confirmedFlush: 900n };
    start({ before: session.opened() });
    await server.stream(2);
    expect(state.status().gaps).toEqual([]);
  });

  test('is none at the second connection to a log that was damaged: by then all of it was read again', async () => {
    const before = await logBefore();
    await before.log.close();
    const { path } = listSegments(directory)[0]!;
    const bytes = readFileSync(path);
    bytes[bytes.length - 1]! ^= 1;
    writeFileSync(path, bytes);
    server.server.slot = { confirmedFlush: 100n };
    signals = new LogSignals();
    const session = start();
    const again = await server.stream(2);
    expect(session.opened().log.recovered.damaged).toBe(true);
    again.send(...whole(200n, 1));
    again.keepalive(900n);
    await loggedUpTo(216n);
    settleAll();
    await waitFor(() => again.replies.at(-1) === 900n || undefined, 'the flush of the keepalive');
    await session.stop();
    server.server.slot = { confirmedFlush: 900n };
    start({ before: session.opened() });
    await server.stream(3);
    expect(state.status().gaps).toEqual([]);
  });

  test('that no server can decode is declared, and passed over only once that is decided', async () => {
    const before = await logBefore();
    const waits = start({ before, stopped: {} });
    await expect(waits.ended).rejects.toMatchObject({ code: 'GAP_WAITS' });
    expect(server.streams).toHaveLength(1);
    const [gap] = state.status().gaps;
    expect(gap).toMatchObject({ cause: 'publication_missing', from: '0/D8' });
    store.gaps.accept('shop', gap!.id, new Date());
    start({ before });
    const stream = await server.stream(2);
    expect(startLsnOf(stream.command)).toBe(gap!.to);
  });

  test('after a gap begins another epoch, though nothing was logged in between', async () => {
    const before = await logBefore();
    server.server.slot = { confirmedFlush: 700n };
    const session = start({ before });
    await server.stream(2);
    await session.stop();
    server.server.slot = { confirmedFlush: 900n };
    start({ before });
    const stream = await server.stream(3);
    stream.send(...whole(950n, 2));
    await loggedUpTo(966n);
    expect(signals.epoch()).toBe(2);
  });
});

describe('a parting', () => {
  test('is looked for where the server’s WAL ends before our log does, and refused where nothing tells (C157, C191)', async () => {
    const session = start();
    (await server.stream()).send(...whole(2000n, 1));
    await loggedUpTo(2016n);
    await session.stop();
    server.server.walEnd = 1999n;
    const next = start({ before: session.opened() });
    const stream = await server.stream(2);
    expect(startLsnOf(stream.command)).toBe('0/0');
    stream.keepalive(1999n);
    await expect(next.ended).rejects.toMatchObject({ code: 'HISTORY_PARTED', mend: 'operator' });
  });

  test('at a switch below the log’s end: what the new primary wrote in its place comes, in a new epoch, from the switch on', async () => {
    signals.setHolding(0, true);
    const session = start();
    (await server.stream()).send(
      ...whole(200n, 1),
      ...whole(300n, 2),
      ...whole(600n, 3),
      begin(at(700n)),
      relation,
      row(4),
    );
    await waitFor(() => session.opened().log.context.inTransaction || undefined, 'the unfinished one');
    await session.stop();
    // A promotion at 400: the log has 600, and 700 in part.
    server.server.timeline = 2;
    server.server.timelineHistory = '1\t0/190\tno recovery target specified\n';
    const next = start({ before: session.opened() });
    const stream = await server.stream(2);
    expect(startLsnOf(stream.command)).toBe('0/0');
    expect(signals.partings()).toEqual([{ epoch: 1, lsn: 400n }]);
    expect([signals.lastEndLsn(), signals.quiet().lsn]).toEqual([400n, 400n]);
    stream.send(...whole(200n, 1), ...whole(300n, 2), ...whole(500n, 5));
    await loggedUpTo(516n);
    expect(await ids()).toEqual([1, 2, 3, 4, 5]);
    expect(store.partings.list('shop')).toMatchObject([
      { epoch: 1, lsn: '0/190', logEnd: '0/268', timeline: 2 },
    ]);
    expect(state.status().gaps).toEqual([]);
    // A sink that does not know of the parting says nothing of this history.
    signals.publishSettled(0, { offset: signals.writtenEnd(), lsn: toLsn(616n) });
    expect(signals.lowestSettled()?.lsn).toBe(0n);
    await next.stop();
    await next.opened().log.close();
    // After a restart, too: it goes on where the new history has come to.
    const again = start({});
    expect(startLsnOf((await server.stream(3)).command)).toBe('0/204');
    expect(again.opened().log.partings).toEqual([{ epoch: 1, lsn: 400n }]);
  });

  test('is remembered when the process ends before anything has come of the new history', async () => {
    const session = start();
    (await server.stream()).send(...whole(200n, 1), ...whole(600n, 2));
    await loggedUpTo(616n);
    await session.stop();
    server.server.timeline = 2;
    server.server.timelineHistory = '1\t0/190\tno recovery target specified\n';
    const next = start({ before: session.opened() });
    await server.stream(2);
    await next.stop();
    await next.opened().log.close();
    server.server.walEnd = 500n;
    const again = start({});
    await server.stream(3);
    expect(again.opened().log.context).toMatchObject({
      epoch: 1,
      timeline: 2,
      lastCommitLsn: 399n,
      lastEndLsn: 400n,
    });
  });

  test('is refused: another cluster answers (C156)', async () => {
    const session = start();
    await server.stream();
    await session.stop();
    server.server.systemIdentifier = '7000000000000000002';
    await expect(start({ before: session.opened() }).ended).rejects.toMatchObject({
      code: 'HISTORY_PARTED',
      message: expect.stringContaining('7000000000000000002') as string,
    });
  });

  test('is refused: another database of the cluster answers', async () => {
    const session = start();
    await server.stream();
    await session.stop();
    server.server.databaseOid = 6;
    await expect(start({ before: session.opened() }).ended).rejects.toMatchObject({ code: 'HISTORY_PARTED' });
  });

  test('is none at a promotion behind our end: a new epoch goes on from there', async () => {
    const session = start();
    (await server.stream()).send(...whole(200n, 1));
    await loggedUpTo(216n);
    await session.stop();
    server.server.timeline = 2;
    server.server.timelineHistory = '1\t0/190\tno recovery target specified\n';
    start({ before: session.opened() });
    const stream = await server.stream(2);
    expect(startLsnOf(stream.command)).toBe('0/0');
    expect(state.status().gaps).toEqual([]);
    stream.send(...whole(200n, 1));
    stream.send(...whole(500n, 2));
    await loggedUpTo(516n);
    const { epochs, timelines } = await readLog(directory, signals);
    expect([epochs, timelines]).toEqual([new Set([0, 1]), new Set([1, 2])]);
  });
});

describe('a server that may be another one', () => {
  /** A log of the transactions 200, 300 and 400, none of them settled, and a server that was restarted. */
  async function restarted(): Promise<SourceLog> {
    signals.setHolding(0, true);
    const session = start();
    const stream = await server.stream();
    for (const commitLsn of [200n, 300n, 400n]) stream.send(...whole(commitLsn, Number(commitLsn)));
    await loggedUpTo(416n);
    await session.stop();
    server.server.startedAtUs = '1800000000000000';
    return session.opened();
  }

  test('is asked for what the slot still has, and is the same when all of that comes again', async () => {
    start({ before: await restarted() });
    const stream = await server.stream(2);
    expect(startLsnOf(stream.command)).toBe('0/0');
    for (const commitLsn of [200n, 300n, 400n, 500n]) stream.send(...whole(commitLsn, Number(commitLsn)));
    await loggedUpTo(516n);
    expect(await ids()).toEqual([200, 300, 400, 500]);
  });

  test('is not asked again once it was proved to be the same', async () => {
    const first = start({ before: await restarted() });
    const stream = await server.stream(2);
    for (const commitLsn of [200n, 300n, 400n]) stream.send(...whole(commitLsn, Number(commitLsn)));
    stream.keepalive(416n);
    await waitFor(
      () => store.looks.newest('shop', { proved: true })?.server.startedAtUs === server.server.startedAtUs,
      'the proof',
    );
    await first.stop();
    start({ before: first.opened() });
    expect(startLsnOf((await server.stream(3)).command)).toBe('0/1A0');
  });

  test('may have gone back where its slot was moved: no LSN of a look from before bounds anything in it', async () => {
    const before = await restarted();
    server.server.slot = { confirmedFlush: 900n };
    server.server.nextXid = 2000n;
    start({ before });
    (await server.stream(2)).send(...whole(950n, 950));
    await waitFor(
      () => store.looks.newest('shop', { proved: true })?.server.startedAtUs === server.server.startedAtUs,
      'the proof',
    );
    const here = { systemIdentifier: server.server.systemIdentifier, switches: [] };
    expect(store.looks.endBefore('shop', here, 1999n)).toBe(0n);
    expect(store.looks.endBefore('shop', here, 2000n)).toBe(1000n);
  });

  test('stays in doubt over a connection that was cut before all had come', async () => {
    const first = start({ before: await restarted() });
    (await server.stream(2)).send(...whole(200n, 200));
    await first.stop();
    start({ before: first.opened() });
    expect(startLsnOf((await server.stream(3)).command)).toBe('0/0');
  });

  test('has parted where a transaction is missing, which the next one behind the log shows', async () => {
    const session = start({ before: await restarted() });
    (await server.stream(2)).send(...whole(200n, 200), ...whole(300n, 300), ...whole(450n, 450));
    await expect(session.ended).rejects.toMatchObject({
      code: 'HISTORY_PARTS',
      mend: 'retry',
      message: expect.stringContaining('at 0/12D') as string,
    });
    expect(await ids()).toEqual([200, 300, 400]);
    // What was looked at of the other one is forgotten.
    expect(store.looks.newest('shop')?.server.startedAtUs).toBe('1700000000000000');
    // The log ends there now: what both have is compared once more, and what follows is the other one's.
    expect(session.opened().log.context).toMatchObject({ epoch: 1, lastCommitLsn: 300n, lastEndLsn: 301n });
    start({ before: session.opened() });
    const stream = await server.stream(3);
    expect(startLsnOf(stream.command)).toBe('0/0');
    for (const commitLsn of [200n, 300n, 350n, 450n]) stream.send(...whole(commitLsn, Number(commitLsn)));
    await loggedUpTo(466n);
    expect(await ids()).toEqual([200, 300, 400, 350, 450]);
    expect(signals.partings()).toEqual([{ epoch: 1, lsn: 301n }]);
  });

  test('has parted where a keepalive says that all has come, and something has not', async () => {
    const session = start({ before: await restarted() });
    const stream = await server.stream(2);
    stream.send(...whole(200n, 200));
    stream.keepalive(5000n);
    await expect(session.ended).rejects.toMatchObject({
      code: 'HISTORY_PARTS',
      message: expect.stringContaining('at 0/C9') as string,
    });
    expect(flushesIn(stream.replies).isSubsetOf(new Set([100n]))).toBe(true);
  });

  test('has parted where another transaction stands in the place of ours', async () => {
    const session = start({ before: await restarted() });
    const other = begin({ commitLsn: 300n, rows: 1, timeUs: 1_000_000_000_000_000n });
    const stream = await server.stream(2);
    stream.send(...whole(200n, 200), other, relation, row(3), commit(at(300n)), ...whole(500n, 500));
    await expect(session.ended).rejects.toMatchObject({
      message: expect.stringContaining('at 0/C9') as string,
    });
  });

  test.each([
    ['rolled back what we hold', { transactionState: 'aborted' }],
    ['has not given out the id of what we hold', { nextXid: 400n }],
  ])(
    'has parted somewhere when it %s: refused where nothing that it sends tells where',
    async (_, changes) => {
      const before = await restarted();
      Object.assign(server.server, changes);
      const session = start({ before });
      (await server.stream(2)).keepalive(5000n);
      await expect(session.ended).rejects.toMatchObject({ code: 'HISTORY_PARTED' });
    },
  );

  test('has parted from the log at its end where another transaction stands in the place of the unfinished one', async () => {
    const session = start();
    (await server.stream()).send(...whole(200n, 1), begin(at(300n)), relation, row(2));
    await waitFor(() => session.opened().log.context.inTransaction || undefined, 'the unfinished one');
    await session.stop();
    const next = start({ before: session.opened() });
    (await server.stream(2)).send(...whole(250n, 3));
    await expect(next.ended).rejects.toMatchObject({ code: 'HISTORY_PARTS' });
    start({ before: next.opened() });
    const stream = await server.stream(3);
    expect(startLsnOf(stream.command)).toBe('0/D8');
    stream.send(...whole(250n, 3));
    await loggedUpTo(266n);
    expect(signals.partings()).toEqual([{ epoch: 1, lsn: 216n }]);
  });
});

describe('what breaks first ends the session, and its error is the one thrown:', () => {
  test('the server ends the stream', async () => {
    const session = start();
    (await server.stream()).end();
    await expect(session.ended).rejects.toMatchObject({ code: 'SERVER_NOT_READY' });
  });

  test('the server lets go of the ordinary connection, as a fast shutdown does first', async () => {
    const session = start();
    const stream = await server.stream();
    await waitFor(() => state.state === 'streaming' || undefined, 'the session to stream');
    server.terminateOrdinary();
    await expect(session.ended).rejects.toMatchObject({ code: 'SERVER_NOT_READY' });
    await waitFor(() => stream.done, 'the stream to be let go, too');
  });

  test('decoding fails', async () => {
    const session = start();
    (await server.stream()).fail('42704', '', 'get_publication_oid');
    await expect(session.ended).rejects.toMatchObject({ code: 'DECODING_STOPPED', mend: 'retry' });
  });

  test('a message is none that we know (C242)', async () => {
    const session = start();
    (await server.stream()).send(Buffer.from('?'));
    await expect(session.ended).rejects.toMatchObject({
      code: 'STREAM_CORRUPT',
    });
  });

  test('the log cannot be made durable', async () => {
    const session = start();
    const stream = await server.stream();
    vi.spyOn(session.opened().log, 'sync').mockRejectedValue(new Error('the disk is gone'));
    stream.send(...whole(200n, 1));
    await expect(session.ended).rejects.toThrow('the disk is gone');
    expect(flushesIn(stream.replies).isSubsetOf(new Set([100n]))).toBe(true);
  });

  test('the flush cannot be remembered', async () => {
    const session = start();
    const stream = await server.stream();
    stream.send(...whole(200n, 1));
    await loggedUpTo(216n);
    vi.spyOn(session.opened().log, 'remember').mockRejectedValue(new Error('the disk is gone'));
    settleAll();
    await expect(session.ended).rejects.toThrow('the disk is gone');
    expect(flushesIn(stream.replies).isSubsetOf(new Set([100n]))).toBe(true);
  });

  test('two things break: the first is the one', async () => {
    const session = start();
    const stream = await server.stream();
    const { log, budget } = session.opened();
    const later = Promise.withResolvers<void>();
    vi.spyOn(log, 'sync').mockImplementation(() => {
      setImmediate(() => later.reject(new Error('the second')));
      return Promise.reject(new Error('the first'));
    });
    const check = vi.spyOn(budget, 'check').mockReturnValue(later.promise);
    await waitFor(() => check.mock.calls.length > 0 || undefined, 'the other loop to wait');
    stream.send(...whole(200n, 1));
    await expect(session.ended).rejects.toThrow('the first');
  });

  test('our walsender is a synchronous standby from the start', async () => {
    server.server.synchronousState = 'sync';
    const session = start();
    await expect(session.ended).rejects.toMatchObject({ code: 'SYNCHRONOUS_STANDBY', kind: 'fatal' });
    expect(session.ready()).toBeUndefined();
  });

  test('START_REPLICATION is refused', async () => {
    server.server.override = (sql) =>
      sql.startsWith('START_REPLICATION')
        ? { sqlState: '55006', message: 'replication slot "slot" is active for PID 7' }
        : undefined;
    await expect(start().ended).rejects.toMatchObject({ code: 'SLOT_IN_USE' });
  });
});

describe('reading', () => {
  test('takes a batch in to its last whole message before what breaks in it is thrown', async () => {
    const session = start();
    (await server.stream()).send(...whole(200n, 1), Buffer.from('?'));
    await expect(session.ended).rejects.toMatchObject({
      code: 'STREAM_CORRUPT',
    });
    expect(await ids()).toEqual([1]);
  });

  test('asks the catalog about each relation before the rows that follow it', async () => {
    start();
    const stream = await server.stream();
    stream.send(...whole(200n, 1));
    await loggedUpTo(216n);
    const { relations } = await readLog(directory, signals);
    expect(relations.map(({ table, key }) => [table, key])).toEqual([['items', ['id']]]);
    expect(server.asked.filter((sql) => /as "keyPlace"/.test(sql))).toHaveLength(1);
  });

  test.each([
    [
      'the log’s budget is spent',
      ({ budget }: SourceLog) => {
        let spent = true;
        // Whatever a look that is under way finds.
        Object.defineProperty(budget, 'spent', { get: () => spent, set() {} });
        return () => (spent = false);
      },
    ],
    [
      'the disk is behind',
      ({ keeper }: SourceLog) => {
        const behind = vi.spyOn(keeper, 'behind', 'get').mockReturnValue(true);
        return () => behind.mockReturnValue(false);
      },
    ],
  ])('stops while %s, the replies do not, and goes on once there is room', async (_, stopReading) => {
    const session = start();
    const stream = await server.stream();
    const goOn = stopReading(session.opened());
    stream.send(...whole(200n, 1));
    await loggedUpTo(216n);
    stream.send(...whole(300n, 2));
    const seen = stream.replies.length;
    await waitFor(() => stream.replies.length >= seen + 5, 'replies while nothing is read');
    expect(await ids()).toEqual([1]);
    goOn();
    await loggedUpTo(316n);
    expect(await ids()).toEqual([1, 2]);
  });

  test('that has stopped for want of room can still be stopped', async () => {
    const session = start();
    const stream = await server.stream();
    const { budget } = session.opened();
    vi.spyOn(budget, 'check').mockResolvedValue(undefined);
    budget.spent = true;
    stream.send(...whole(200n, 1));
    await loggedUpTo(216n);
    await session.stop();
    expect(await ids()).toEqual([1]);
  });
});

test('warnings of preflight are logged once, however often the server is connected to', async () => {
  server.server.slot = { confirmedFlush: 100n, walStatus: 'unreserved' };
  const first = start();
  await server.stream();
  const notices = state.notices;
  expect(notices).toEqual([expect.stringContaining('about to be invalidated')]);
  await first.stop();
  const known = lines.filter(({ msg }) => notices.includes(msg)).length;
  expect(known).toBe(1);
  // The state is the source's, over all connections.
  const options = optionsOf({});
  const stopping = new AbortController();
  const second = runSession({
    options,
    state,
    ...keepers(options),
    opened: first.opened(),
    onOpened: () => undefined,
    onStreaming: () => stopping.abort(),
    signal: stopping.signal,
  });
  await second;
  expect(lines.filter(({ msg }) => notices.includes(msg))).toHaveLength(known);
});

test('tables that the publication was made with are recorded with the position they are streamed from', async () => {
  const postgres = server.server;
  postgres.publication = undefined;
  const streamed: unknown[] = [];
  postgres.override = (sql) => {
    if (!sql.startsWith('CREATE PUBLICATION')) return sql.startsWith('COMMENT') ? [] : undefined;
    postgres.publication = ['items'];
    return [];
  };
  start({
    selections: [{ includeTables: [{ schema: ['public'], table: ['items'] }] }],
    streamed: (tables) => void streamed.push(...tables),
  });
  await server.stream();
  expect(streamed).toEqual([expect.objectContaining({ schema: 'public', table: 'items', from: '0/3E8' })]);
});
