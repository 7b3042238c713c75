// What the other hosts of the list mean while one is followed, asked of pretended servers: promoted, old, unready, gone.
import { expect, onTestFinished, test, vi } from 'vitest';
import { formatLsn, toLsn } from '../../../../src/core/lsn.ts';
import { SourceState } from '../../../../src/pipeline/source/status.ts';
import { watchHosts } from '../../../../src/pipeline/source/watch/hosts.ts';
import { closeConnection, connectOrdinary } from '../../../../src/postgres/connection/connection.ts';
import { databaseSettings } from '../../../support/database-settings.ts';
import type { WireAnswer } from '../../../support/fake-backend.ts';
import { startFakePostgres, type FakePostgres } from '../../../support/fake-postgres.ts';
import { waitFor } from '../../../support/wait.ts';

// It looks every half minute; here it sleeps a hundredth of that.
vi.mock('node:timers/promises', async (importOriginal) => {
  const timers = await importOriginal<typeof import('node:timers/promises')>();
  const setTimeout: typeof timers.setTimeout = (ms = 0, ...rest) => timers.setTimeout(ms / 100, ...rest);
  return { ...timers, setTimeout };
});

type Slot = { synced: boolean; temporary: boolean; invalidation_reason: string | null };
const SYNCED: Slot = { synced: true, temporary: false, invalidation_reason: null };

type Host = FakePostgres & { standby: boolean; timeline: number; system: string; slotThere: Slot | null };

async function host(standby: boolean, timeline = 1): Promise<Host> {
  const override = (sql: string): WireAnswer | undefined => {
    if (sql.includes('pg_is_in_recovery')) return [{ standby: started.standby }];
    if (sql.includes('pg_walfile_name')) return [{ timeline: started.timeline }];
    if (sql.includes('pg_control_system')) return [{ system: started.system }];
    if (!sql.includes('hot_standby_feedback')) return undefined;
    const { slotThere } = started;
    const slot = slotThere && { ...slotThere, confirmed_flush_lsn: formatLsn(toLsn(100n)) };
    return [
      {
        slot,
        replayed: '0/64',
        synchronizes: 'on',
        feedback: 'on',
        primarySlot: 'a',
        conninfo: 'host=a dbname=postgres',
      },
    ];
  };
  const started: Host = Object.assign(await startFakePostgres({ override }), {
    standby,
    timeline,
    system: '7000000000000000001',
    slotThere: SYNCED,
  });
  return started;
}

async function watch(followed: Host, others: readonly { readonly port: number }[]) {
  const hosts = [followed, ...others].map(({ port }) => ({ host: '127.0.0.1', port }));
  const settings = { ...databaseSettings({ name: 'app', host: '', port: 0 }), hosts };
  const client = await connectOrdinary(settings, hosts[0]!);
  const state = new SourceState(settings, () => 0);
  state.streams();
  state.flushed = toLsn(300n);
  const stopping = new AbortController();
  const warned: string[] = [];
  const watching = watchHosts(
    {
      primary: { client, target: hosts[0]!, refused: [], inRecovery: false },
      settings,
      keeper: 'postgres',
      state,
      warn: ({ code }) => void warned.push(code),
    },
    stopping.signal,
  );
  watching.catch(() => undefined);
  onTestFinished(async () => {
    stopping.abort();
    await watching.catch(() => undefined);
    await closeConnection(client);
  });
  const becomes = (health: string) =>
    waitFor(() => state.status().health === health || undefined, `the source to be ${health}`);
  return { state, watching, warned, becomes };
}

test('a standby is ready while its slot is synchronized, and how far behind it is is said', async () => {
  const [primary, standby] = [await host(false), await host(true)];
  const { state, becomes, warned } = await watch(primary, [standby]);
  await waitFor(() => state.status().standbys?.[0]?.ready, 'the standby to be ready');
  expect(state.status().standbys![0]!.detail).toContain('200 bytes behind');
  expect(state.status().health).toBe('healthy');
  for (const unready of [
    null,
    { ...SYNCED, temporary: true },
    { ...SYNCED, invalidation_reason: 'rows_removed' },
    { ...SYNCED, synced: false },
  ]) {
    standby.slotThere = unready;
    await becomes('degraded');
    expect(state.status()).toMatchObject({
      reason: expect.stringContaining('a failover to it now would lose slot'),
      standbys: [{ ready: false }],
    });
    standby.slotThere = SYNCED;
    await becomes('healthy');
  }
  expect(warned).toEqual(Array(4).fill('STANDBY_NOT_READY'));
});

test('a standby of another cluster is named, whatever slots it has', async () => {
  const [primary, standby] = [await host(false), await host(true)];
  standby.system = '7000000000000000002';
  const { state, becomes } = await watch(primary, [standby]);
  await becomes('degraded');
  expect(state.status().reason).toContain(`127.0.0.1:${standby.port} is of another cluster`);
  standby.system = '7000000000000000001';
  await becomes('healthy');
});

test('of several standbys each has to be ready, and one that does not answer hides none that is', async () => {
  const [primary, ready, unready] = [await host(false), await host(true), await host(true)];
  unready.slotThere = null;
  const { state, becomes } = await watch(primary, [ready, unready]);
  await becomes('degraded');
  expect(state.status().reason).toContain(`127.0.0.1:${unready.port}`);
  const other = await watch(primary, [{ port: 1 }, ready]);
  await waitFor(() => other.state.status().standbys?.length === 2, 'both to be asked');
  expect(other.state.status().health).toBe('healthy');
});

test('no standby that answers is a failover that loses the slot', async () => {
  const { becomes, state } = await watch(await host(false), [{ port: 1 }]);
  await becomes('degraded');
  expect(state.status().reason).toMatch(/no standby answers .*127\.0\.0\.1:1/);
});

test('a host that is further on in the same history ends the connection to the old primary', async () => {
  const [old, standby] = [await host(false), await host(true)];
  const { watching } = await watch(old, [standby]);
  await waitFor(() => standby.asked.some((sql) => sql.includes('pg_is_in_recovery')), 'a look');
  standby.timeline = 2;
  standby.standby = false;
  await expect(watching).rejects.toMatchObject({
    code: 'OLD_PRIMARY',
    mend: 'retry',
    message: expect.stringMatching(
      new RegExp(`127.0.0.1:${old.port} is an old primary .*127.0.0.1:${standby.port} on timeline 2`),
    ),
  });
});

test('an old primary that comes back is named, for as long as it is one', async () => {
  const [promoted, old] = [await host(false, 2), await host(false)];
  const { becomes, state } = await watch(promoted, [old]);
  await becomes('degraded');
  expect(state.status().reason).toContain(`127.0.0.1:${old.port} is an old primary on timeline 1`);
  old.standby = true;
  await becomes('healthy');
});
