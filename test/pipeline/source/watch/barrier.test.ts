// What a barrier lets go, asked of pretended standbys: behind, silent, of another cluster, passed over and back.
import { expect, onTestFinished, test } from 'vitest';
import { formatLsn, toLsn } from '../../../../src/core/lsn.ts';
import { Barrier } from '../../../../src/pipeline/source/watch/barrier.ts';
import { SourceState } from '../../../../src/pipeline/source/status.ts';
import { databaseSettings } from '../../../support/database-settings.ts';
import { startFakePostgres, type FakePostgres } from '../../../support/fake-postgres.ts';
import { waitFor } from '../../../support/wait.ts';

const OURS = '7000000000000000001';

type Standby = FakePostgres & { replayed: bigint };

async function standby(replayed: bigint, systemIdentifier = OURS): Promise<Standby> {
  const started: Standby = Object.assign(
    await startFakePostgres({
      systemIdentifier,
      override: (sql) =>
        sql.includes('pg_last_wal_replay_lsn') ? [{ lsn: formatLsn(toLsn(started.replayed)) }] : undefined,
    }),
    { replayed },
  );
  return started;
}

function start(standbys: readonly { readonly port: number }[], timeoutMs?: number) {
  const settings = databaseSettings({ name: 'app', host: '', port: 0 });
  const state = new SourceState(settings, () => 0);
  state.streams();
  const released: number[] = [];
  const hosts = standbys.map(({ port }) => ({ host: '127.0.0.1', port }));
  const barrier = new Barrier(
    { hosts, ...(timeoutMs !== undefined && { timeoutMs }) },
    {
      settings,
      signals: { release: (offset) => void released.push(offset), partings: () => [] },
      state,
      warn: () => undefined,
    },
  );
  barrier.follows(OURS);
  const stopping = new AbortController();
  const running = barrier.run(stopping.signal);
  onTestFinished(async () => {
    stopping.abort();
    await running;
  });
  const add = (offset: number): void =>
    barrier.add({ offset, endLsn: toLsn(BigInt(offset)), epoch: 0, timeline: 1 });
  const isReleased = (offset: number) =>
    waitFor(() => released.at(-1) === offset || undefined, `${offset} to be let go`);
  const says = (text: string) =>
    waitFor(() => JSON.stringify(state.status()).includes(text) || undefined, `the status to say: ${text}`);
  return { add, released, isReleased, says, state };
}
/** So often was it asked how far it is. */
const askedOf = ({ asked }: FakePostgres): number =>
  asked.filter((sql) => sql.includes('pg_last_wal_replay_lsn')).length;

test('what every standby has replayed is let go, and no more', async () => {
  const [one, other] = [await standby(300n), await standby(200n)];
  const { add, released, isReleased } = start([one, other]);
  for (const offset of [100, 200, 300]) add(offset);
  await isReleased(200);
  const asked = askedOf(other);
  await waitFor(() => askedOf(other) > asked + 3 || undefined, 'more questions');
  expect(released.at(-1)).toBe(200);
  other.replayed = 300n;
  await isReleased(300);
});

test('a standby that has never answered has nothing: it holds all', async () => {
  const there = await standby(900n);
  const { add, released, says } = start([{ port: 1 }, there]);
  add(100);
  await says('changes wait until they are replayed by 127.0.0.1:1');
  expect(released).toEqual([]);
});

test('one of another cluster has nothing, however far it is, and is named', async () => {
  const [ours, other] = [await standby(900n), await standby(900n, '7000000000000000002')];
  const { add, released, isReleased, says } = start([ours, other]);
  add(100);
  await says(`127.0.0.1:${other.port} is of another cluster`);
  expect(released).toEqual([]);
  other.server.systemIdentifier = OURS;
  await isReleased(100);
});

test('one that stands still is passed over after its time, and counts again only once it has all that was let go without it', async () => {
  const late = await standby(50n);
  const { add, isReleased, says, state } = start([late], 100);
  add(100);
  await isReleased(100);
  await says('are not replayed yet');
  // It has moved, and is still behind what consumers have.
  late.replayed = 99n;
  const asked = askedOf(late);
  await waitFor(() => askedOf(late) > asked + 1 || undefined, 'more questions');
  expect(JSON.stringify(state.status())).toContain('are not replayed yet');
  late.replayed = 100n;
  await waitFor(
    () => !JSON.stringify(state.status()).includes('are not replayed yet') || undefined,
    'it to count',
  );
});
