// What is looked after while the stream runs, asked of a pretended server: our role in its commits, and the slot.
import { describe, expect, onTestFinished, test, vi } from 'vitest';
import { ZERO_LSN } from '../../../src/core/lsn.ts';
import { LogSignals } from '../../../src/log/signals.ts';
import { FlushKeeper } from '../../../src/pipeline/source/flush.ts';
import { SourceState } from '../../../src/pipeline/source/status.ts';
import { watchServer } from '../../../src/pipeline/source/watch.ts';
import { closeConnection } from '../../../src/postgres/connection/connection.ts';
import { findPrimary } from '../../../src/postgres/connection/hosts.ts';
import { databaseSettings } from '../../support/database-settings.ts';
import { fakeLog } from '../../support/fake-log.ts';
import { fakeDatabase, startFakePostgres } from '../../support/fake-postgres.ts';
import { gap } from '../../support/status.ts';
import { waitFor } from '../../support/wait.ts';

// The watch looks every two seconds; here it sleeps a hundredth of that.
vi.mock('node:timers/promises', async (importOriginal) => {
  const timers = await importOriginal<typeof import('node:timers/promises')>();
  const setTimeout: typeof timers.setTimeout = (ms = 0, ...rest) => timers.setTimeout(ms / 100, ...rest);
  return { ...timers, setTimeout };
});

/** Watches a pretended server until the test ends. */
async function watch() {
  const postgres = await startFakePostgres();
  const settings = databaseSettings(fakeDatabase(postgres));
  const { client } = await findPrimary(settings);
  const state = new SourceState(settings, () => 0);
  state.streams();
  const log = fakeLog(() => undefined);
  const keeper = new FlushKeeper({ log, signals: new LogSignals(), settings, durableDirectory: true, state });
  const stream = { confirmed: ZERO_LSN, receivedBytes: 0 };
  const warned: string[] = [];
  const stopping = new AbortController();
  const watching = watchServer(
    {
      client,
      writer: client,
      pid: 1234,
      settings,
      keeper,
      stream,
      sinkSlots: new Map(),
      isReading: () => true,
      markers: undefined,
      state,
      warn: (error) => void warned.push(error.code),
    },
    stopping.signal,
  );
  watching.catch(() => undefined);
  onTestFinished(async () => {
    stopping.abort();
    await closeConnection(client);
  });
  return { postgres, keeper, state, warned, watching, stop: () => stopping.abort() };
}

/** The watch has looked so many times more. */
async function looks(asked: readonly string[], count: number): Promise<void> {
  const seen = (): number => asked.filter((sql) => sql.includes('pg_replication_slots')).length;
  const before = seen();
  await waitFor(() => seen() >= before + count || undefined, `${count} looks`);
}

describe('a server that is watched', () => {
  test('and takes us for a synchronous standby gets its commits confirmed at once, with one warning and an alarm', async () => {
    const { postgres, keeper, state, warned } = await watch();
    postgres.server.synchronousState = 'sync';
    await waitFor(() => keeper.synchronous || undefined, 'the keeper to know');
    await looks(postgres.asked, 2);
    expect(warned).toEqual(['SYNCHRONOUS_STANDBY']);
    expect(state.status()).toMatchObject({ health: 'degraded' });
    postgres.server.synchronousState = 'async';
    await waitFor(() => !keeper.synchronous || undefined, 'the keeper to know');
    expect(state.status().health).toBe('healthy');
  });

  test('and whose slot is near its limit raises an alarm with the cure, for as long as it is (C164)', async () => {
    const { postgres, state, warned } = await watch();
    postgres.server.slot = { confirmedFlush: 100n, walStatus: 'unreserved' };
    await waitFor(() => warned.length > 0 || undefined, 'the warning');
    await looks(postgres.asked, 2);
    expect(warned).toEqual(['SLOT_NEAR_LIMIT']);
    expect(state.status()).toMatchObject({
      health: 'degraded',
      cure: expect.stringContaining('max_slot_wal_keep_size') as string,
    });
    postgres.server.slot = { confirmedFlush: 100n };
    await waitFor(() => state.status().health === 'healthy' || undefined, 'the alarm to end');
  });

  test('and whose slot was near its limit before the stream began, and is not any more, is spared that notice', async () => {
    const { postgres, state } = await watch();
    // As the pretended server names it.
    const notice = 'slot "slot": it is about to be invalidated';
    state.notices = [notice, 'markers.skip: nothing is skipped'];
    await looks(postgres.asked, 2);
    expect(state.status().warnings).toEqual(['markers.skip: nothing is skipped']);
  });

  test('and keeps WAL for a gap that nobody has accepted says how much more it can keep, if there is a limit', async () => {
    const { postgres, state, warned } = await watch();
    state.gaps = [gap()];
    await looks(postgres.asked, 1);
    expect(warned).toEqual([]);
    postgres.server.slot = { confirmedFlush: 100n, safeWalBytes: 5 * 1024 ** 2 };
    await waitFor(() => warned.length > 0 || undefined, 'the warning');
    await looks(postgres.asked, 1);
    expect(warned).toEqual(['GAP_HOLDS_WAL']);
    expect(state.status().reason).toContain('when 5 MB more are written');
    state.gaps = [];
    await waitFor(() => state.status().health === 'healthy' || undefined, 'the alarm to end');
  });

  test('and has nothing to complain of is left alone', async () => {
    const { postgres, keeper, state, warned } = await watch();
    await looks(postgres.asked, 1);
    expect(warned).toEqual([]);
    expect(keeper.synchronous).toBe(false);
    expect(state.status().health).toBe('healthy');
  });

  test('and that no longer answers ends the watch with the error', async () => {
    const { postgres, watching } = await watch();
    postgres.terminateOrdinary();
    await expect(watching).rejects.toThrow(/terminat(?:ed|ing)|ended|queryable/i);
  });

  test('is left in peace once nobody watches it', async () => {
    const { postgres, watching, stop } = await watch();
    stop();
    await watching;
    expect(postgres.asked.filter((sql) => sql.includes('sync_state'))).toEqual([]);
  });
});
