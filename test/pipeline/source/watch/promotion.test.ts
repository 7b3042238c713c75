import { expect, onTestFinished, test, vi } from 'vitest';
import { watchPromotions } from '../../../../src/pipeline/source/watch/promotion.ts';
import { closeConnection, connectOrdinary } from '../../../../src/postgres/connection/connection.ts';
import { databaseSettings } from '../../../support/database-settings.ts';
import { startFakePostgres } from '../../../support/fake-postgres.ts';
import { waitFor } from '../../../support/wait.ts';

// It asks every few seconds; here it sleeps a hundredth of that.
vi.mock('node:timers/promises', async (importOriginal) => {
  const timers = await importOriginal<typeof import('node:timers/promises')>();
  const setTimeout: typeof timers.setTimeout = (ms = 0, ...rest) => timers.setTimeout(ms / 100, ...rest);
  return { ...timers, setTimeout };
});

async function host(role: { standby: boolean; timeline: number }) {
  const server = await startFakePostgres({
    override: (sql) => {
      if (sql.includes('pg_is_in_recovery')) return [{ standby: role.standby }];
      return sql.includes('pg_walfile_name') ? [{ timeline: role.timeline }] : undefined;
    },
  });
  return { server, role };
}

async function watch(...servers: readonly { readonly port: number }[]) {
  const hosts = servers.map(({ port }) => ({ host: '127.0.0.1', port }));
  const settings = { ...databaseSettings({ name: 'app', host: '', port: 0 }), hosts };
  const client = await connectOrdinary(settings, hosts[0]!);
  const stopping = new AbortController();
  const primary = { client, target: hosts[0]!, refused: [] };
  const watching = watchPromotions({ primary, settings }, stopping.signal);
  watching.catch(() => undefined);
  onTestFinished(async () => {
    stopping.abort();
    await watching.catch(() => undefined);
    await closeConnection(client);
  });
  return { watching };
}

test('a standby that is promoted while the primary lives on is asked for its role alone, and followed', async () => {
  const old = await host({ standby: false, timeline: 1 });
  const standby = await host({ standby: true, timeline: 1 });
  const { watching } = await watch(old.server, standby.server);
  const asked = (): number => standby.server.asked.filter((sql) => sql.includes('pg_is_in_recovery')).length;
  await waitFor(() => asked() > 1, 'it to be asked again');
  expect(standby.server.asked.some((sql) => sql.includes('pg_replication_slots'))).toBe(false);
  // One that stands beside on the same timeline is none of the same history that is further on.
  standby.role.standby = false;
  await waitFor(
    () => standby.server.asked.filter((sql) => sql.includes('pg_walfile_name')).length > 1,
    'its timeline to be asked',
  );
  standby.role.timeline = 2;
  await expect(watching).rejects.toMatchObject({ code: 'OLD_PRIMARY', mend: 'retry' });
});

test('nobody is asked where one host is listed, or a standby is read from', async () => {
  const standby = await host({ standby: true, timeline: 1 });
  await (
    await watch(standby.server)
  ).watching;
  const other = await host({ standby: false, timeline: 2 });
  await (
    await watch(standby.server, other.server)
  ).watching;
  expect(other.server.asked).toEqual([]);
});
