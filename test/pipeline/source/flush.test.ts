// What Postgres is told to forget, and in which order: the two loops beside the reading one, without a server.
import { beforeEach, describe, expect, onTestFinished, test } from 'vitest';
import { toLsn, type Lsn } from '../../../src/core/lsn.ts';
import { LogSignals } from '../../../src/log/signals.ts';
import { FlushKeeper } from '../../../src/pipeline/source/flush.ts';
import { SourceState } from '../../../src/pipeline/source/status.ts';
import type { ReplicationStream } from '../../../src/postgres/replication/stream.ts';
import { databaseSettings } from '../../support/database-settings.ts';
import { fakeLog, type FakeLog } from '../../support/fake-log.ts';
import { waitFor } from '../../support/wait.ts';

const MIB = 1024 * 1024;
const HISTORY = { epoch: 3, timeline: 2 };
const MAX_RETAINED = 1000;

/** What happened, in order: calls of the log, and `confirm` with what Postgres was told. */
let calls: string[];
let log: FakeLog;
let signals: LogSignals;
let state: SourceState;
let keeper: FlushKeeper;
const stream = {
  confirm: (flush: Lsn) => void calls.push(`confirm ${flush}`),
} as unknown as ReplicationStream;

type Ack = 'auto' | 'delivered' | 'durable';

function create(
  ack: Ack,
  options: { created?: boolean; lastEndLsn?: bigint; durableDirectory?: boolean } = {},
): void {
  const { created = false, lastEndLsn = 0n, durableDirectory = true } = options;
  const settings = databaseSettings(
    { name: 'shop', host: 'nowhere', port: 0 },
    { slot: { ack, maxRetainedBytes: MAX_RETAINED } },
  );
  calls = [];
  log = fakeLog((call) => void calls.push(call), { created, lastEndLsn: toLsn(lastEndLsn) });
  signals = new LogSignals();
  state = new SourceState(settings, () => 0);
  keeper = new FlushKeeper({ log, signals, settings, durableDirectory, state });
}

beforeEach(() => create('delivered'));

/** A sink has settled everything up to this end LSN. */
function settle(lsn: bigint, slot = 0): void {
  signals.setHolding(slot, true);
  signals.publishSettled(slot, { offset: Number(lsn), lsn: toLsn(lsn) });
}

async function begin(confirmed: bigint): Promise<void> {
  await keeper.begin(toLsn(confirmed), HISTORY, toLsn(confirmed));
  calls.length = 0;
}

/** A batch came: the log now ends with a transaction at `lastEndLsn`; the server's WAL is known up to `walEnd`. */
function receive(
  lastEndLsn: bigint,
  options: { walEnd?: bigint; open?: boolean; bytes?: number } = {},
): void {
  const { walEnd = 0n, open = false, bytes = 10 } = options;
  log.grow(bytes, lastEndLsn);
  keeper.appended(toLsn(walEnd), open, true);
}

describe('a flush', () => {
  test('is remembered on disk before Postgres is told of it, with the history it belongs to', async () => {
    await begin(100n);
    receive(200n);
    settle(200n);
    const disk = log.hold();
    const flush = keeper.flush(stream);
    await waitFor(() => calls.includes('remember'), 'the flush to be remembered');
    expect(calls).toEqual(['remember']);
    expect(keeper.flushed).toBe(100n);
    disk.release();
    await flush;
    expect(calls).toEqual(['remember', 'remembered', 'confirm 200']);
    expect(log.remembered.at(-1)).toEqual({ flushed: 200n, settled: 200n, history: HISTORY });
  });

  test('that cannot be remembered is never told, and ends the loop', async () => {
    await begin(100n);
    receive(200n);
    settle(200n);
    const disk = log.hold();
    const loop = keeper.flushLoop(stream, new AbortController().signal);
    disk.release(new Error('the disk is gone'));
    await expect(loop).rejects.toThrow('the disk is gone');
    expect(calls.filter((call) => call.startsWith('confirm'))).toEqual([]);
    expect(keeper.flushed).toBe(100n);
  });

  test('is sent once: what was told is not told again', async () => {
    await begin(100n);
    receive(200n);
    settle(200n);
    await keeper.flush(stream);
    await keeper.flush(stream);
    expect(calls).toEqual(['remember', 'remembered', 'confirm 200']);
  });

  test('does not go back when a sink is rewound below it', async () => {
    await begin(100n);
    receive(200n);
    settle(200n);
    await keeper.flush(stream);
    settle(150n);
    await keeper.flush(stream);
    expect(keeper.flushed).toBe(200n);
    expect(calls.filter((call) => call.startsWith('confirm'))).toEqual(['confirm 200']);
  });

  test('is the lowest of what the sinks have settled, one that holds nothing aside', async () => {
    await begin(100n);
    receive(300n);
    settle(300n, 0);
    settle(200n, 1);
    settle(150n, 2);
    signals.setHolding(2, false);
    await keeper.flush(stream);
    expect(keeper.flushed).toBe(200n);
  });

  test('goes on by a keepalive once the sinks have taken note of it, and not by their deliveries alone', async () => {
    await begin(100n);
    receive(200n, { walEnd: 900n });
    expect(signals.quiet()).toEqual({ offset: log.writtenEnd, lsn: 900n, timeline: HISTORY.timeline });
    settle(200n);
    await keeper.flush(stream);
    expect(keeper.flushed).toBe(200n);
    settle(900n);
    await keeper.flush(stream);
    expect(keeper.flushed).toBe(900n);
  });

  test('without a sink goes on by a keepalive only where nothing before it is outstanding', async () => {
    await begin(100n);
    receive(200n, { walEnd: 900n });
    await keeper.flush(stream);
    expect(keeper.flushed).toBe(100n);
    await keeper.sync();
    await keeper.flush(stream);
    expect(keeper.flushed).toBe(900n);
  });

  test('passes no keepalive while a transaction is open: a restart would skip it', async () => {
    await begin(100n);
    receive(200n, { walEnd: 900n, open: true });
    await keeper.sync();
    expect(signals.quiet().lsn).toBe(0n);
    await keeper.flush(stream);
    expect(keeper.flushed).toBe(200n);
    receive(200n, { walEnd: 950n });
    await keeper.sync();
    expect(signals.quiet().lsn).toBe(950n);
    await keeper.flush(stream);
    expect(keeper.flushed).toBe(950n);
  });

  test('passes no keepalive while the log holds the beginning of a transaction from before', async () => {
    await begin(100n);
    log.grow(10, 200n, true);
    keeper.appended(toLsn(900n), false, true);
    await keeper.sync();
    expect(signals.quiet().lsn).toBe(0n);
    await keeper.flush(stream);
    expect(keeper.flushed).toBe(200n);
  });

  test('is the lower of two sinks at the end of the log where one has not heard of the keepalive', async () => {
    await begin(100n);
    receive(200n, { walEnd: 900n });
    for (const [slot, lsn] of [900n, 200n, 900n].entries()) {
      signals.setHolding(slot, true);
      signals.publishSettled(slot, { offset: 10, lsn: toLsn(lsn) });
    }
    await keeper.flush(stream);
    expect(keeper.flushed).toBe(200n);
  });

  test('is not taken from a keepalive whose batch is not in the log yet', async () => {
    await begin(100n);
    settle(100n);
    log.grow(10, 200n);
    await keeper.flush(stream);
    expect(keeper.flushed).toBe(100n);
  });
});

describe('under ack: durable', () => {
  beforeEach(() => create('durable'));

  test('a flush is what the disk has, not what is written', async () => {
    await begin(100n);
    settle(0n);
    receive(200n);
    await keeper.flush(stream);
    expect(keeper.flushed).toBe(100n);
    await keeper.sync();
    await keeper.flush(stream);
    expect(keeper.flushed).toBe(200n);
  });

  test('a sync covers what was in the log when it began', async () => {
    await begin(100n);
    settle(0n);
    receive(200n);
    const disk = log.hold();
    const sync = keeper.sync();
    receive(300n);
    disk.release();
    await sync;
    await keeper.flush(stream);
    expect(keeper.flushed).toBe(200n);
  });

  test('what is flushed on the disk’s word does not count as settled by the sinks', async () => {
    await begin(100n);
    settle(120n);
    receive(200n);
    await keeper.sync();
    await keeper.flush(stream);
    expect(log.remembered.at(-1)).toEqual({ flushed: 200n, history: HISTORY });
  });
});

describe('under ack: auto', () => {
  test('the disk answers for the sinks once Postgres keeps too much, until they have caught up', async () => {
    create('auto');
    await begin(100n);
    settle(100n);
    receive(2000n, { walEnd: 2000n });
    await keeper.sync();
    await keeper.flush(stream);
    expect(state.acknowledging).toBe('durable');
    expect(keeper.flushed).toBe(2000n);
    settle(1999n);
    await keeper.flush(stream);
    expect(state.acknowledging).toBe('durable');
    settle(2000n);
    await keeper.flush(stream);
    expect(state.acknowledging).toBe('delivered');
  });

  test('a directory that dies with the process answers for nobody, and that is an alarm while it lasts', async () => {
    create('auto', { durableDirectory: false });
    await begin(100n);
    state.streams();
    settle(100n);
    receive(2000n, { walEnd: 2000n });
    await keeper.sync();
    await keeper.flush(stream);
    expect(keeper.flushed).toBe(100n);
    expect(state.status()).toMatchObject({ health: 'degraded', cure: expect.stringContaining('volume') });
    settle(2000n);
    await keeper.flush(stream);
    expect(state.status().health).toBe('healthy');
  });
});

test('for a synchronous standby the disk answers at once: commits wait for us', async () => {
  await begin(100n);
  settle(100n);
  receive(200n);
  await keeper.sync();
  keeper.synchronous = true;
  await keeper.flush(stream);
  expect(keeper.flushed).toBe(200n);
});

describe('a connection', () => {
  test('begins with what Postgres was told, remembered with the history before anything else', async () => {
    await keeper.begin(toLsn(500n), HISTORY, toLsn(500n));
    expect(log.remembered).toEqual([{ flushed: 500n, history: HISTORY }]);
    expect(state.status()).toMatchObject({ flushed: '0/1F4', walEnd: '0/1F4' });
  });

  test('on a new log is owed nothing from before: that counts as settled', async () => {
    create('delivered', { created: true });
    await keeper.begin(toLsn(500n), HISTORY, toLsn(500n));
    expect(log.remembered).toEqual([{ flushed: 500n, settled: 500n, history: HISTORY }]);
  });

  test('forgets the WAL end that the one before had heard of', async () => {
    await begin(100n);
    settle(100n);
    receive(100n, { walEnd: 900n, open: true });
    await keeper.begin(toLsn(100n), HISTORY, toLsn(100n));
    expect(keeper.walEnd).toBe(100n);
  });
});

describe('the log', () => {
  /** Runs the loop until the test ends. */
  function runSyncLoop(): { readonly stop: () => Promise<void> } {
    const stopping = new AbortController();
    const loop = keeper.syncLoop(stopping.signal);
    const stop = (): Promise<void> => {
      stopping.abort();
      return loop;
    };
    onTestFinished(stop);
    return { stop };
  }

  test('is synced when something new is in it, and left alone when not', async () => {
    const { stop } = runSyncLoop();
    receive(200n);
    await waitFor(() => calls.includes('synced'), 'the first sync');
    await stop();
    expect(log.syncs).toBe(1);
  });

  test('is synced again when it grew during a sync', async () => {
    const { stop } = runSyncLoop();
    const disk = log.hold();
    receive(200n);
    await waitFor(() => calls.includes('sync'), 'the first sync to begin');
    receive(300n);
    disk.release();
    await waitFor(() => calls.filter((call) => call === 'synced').length === 2, 'the second sync');
    await stop();
    expect(log.syncs).toBe(2);
  });

  test('is behind while more is in the page cache than may be lost', async () => {
    expect(keeper.behind).toBe(false);
    receive(200n, { bytes: 64 * MIB });
    expect(keeper.behind).toBe(false);
    receive(300n, { bytes: 1 });
    expect(keeper.behind).toBe(true);
    await keeper.sync();
    expect(keeper.behind).toBe(false);
  });

  test('that the disk refuses ends the loop with the disk’s error', async () => {
    const disk = log.hold();
    receive(200n);
    const loop = keeper.syncLoop(new AbortController().signal);
    disk.release(new Error('the disk is gone'));
    await expect(loop).rejects.toThrow('the disk is gone');
  });

  test('that was opened is durable as far as it goes, and Postgres is told once it has sent that much', async () => {
    create('durable', { lastEndLsn: 700n });
    await begin(100n);
    settle(0n);
    await keeper.flush(stream);
    expect(keeper.flushed).toBe(100n);
    keeper.appended(toLsn(700n), false, false);
    await keeper.flush(stream);
    expect(keeper.flushed).toBe(700n);
  });

  test('remembers the highest that was told, also on a server whose crash has taken it back', async () => {
    await keeper.begin(toLsn(100n), HISTORY, toLsn(900n));
    expect([keeper.flushed, keeper.told]).toEqual([100n, 900n]);
    expect(log.remembered.at(-1)).toMatchObject({ flushed: 900n });
    receive(200n);
    settle(200n);
    await keeper.flush(stream);
    expect([keeper.flushed, keeper.told]).toEqual([200n, 900n]);
    expect(log.remembered.at(-1)).toMatchObject({ flushed: 900n, settled: 200n });
  });
});
