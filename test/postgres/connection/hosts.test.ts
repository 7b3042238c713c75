// Which host is followed, asked of pretended servers: promoted ones, old ones, silent ones, and names that mean something else by now.
import { createServer, type AddressInfo, type Socket } from 'node:net';
import { beforeEach, describe, expect, onTestFinished, test, vi } from 'vitest';
import { closeConnection, connectOrdinary } from '../../../src/postgres/connection/connection.ts';
import { findPrimary, type Standing } from '../../../src/postgres/connection/hosts.ts';
import type { DatabaseSettings } from '../../../src/postgres/settings.ts';
import { databaseSettings } from '../../support/database-settings.ts';
import type { WireAnswer } from '../../support/fake-backend.ts';
import { startFakePostgres, type FakePostgres } from '../../support/fake-postgres.ts';
import { waitFor } from '../../support/wait.ts';

const { names } = vi.hoisted(() => ({ names: new Map<string, readonly string[]>() }));
vi.mock('node:dns/promises', () => ({
  lookup: (name: string) => {
    const addresses = names.get(name);
    if (addresses === undefined) return Promise.reject(Object.assign(new Error(name), { code: 'ENOTFOUND' }));
    return Promise.resolve(addresses.map((address) => ({ address, family: 4 })));
  },
}));
beforeEach(() => names.clear());

const OURS = '7000000000000000001';

type Host = FakePostgres & { role: 'primary' | 'standby'; timeline: number; system: string };

async function host(
  role: Host['role'],
  { timeline = 1, system = OURS }: { readonly timeline?: number; readonly system?: string } = {},
): Promise<Host> {
  const override = (sql: string): WireAnswer | undefined => {
    if (sql.includes('pg_is_in_recovery')) return [{ standby: started.role === 'standby' }];
    if (sql.includes('pg_walfile_name')) return [{ timeline: started.timeline }];
    return sql.includes('pg_control_system') ? [{ system: started.system }] : undefined;
  };
  const started: Host = Object.assign(await startFakePostgres({ override }), { role, timeline, system });
  return started;
}

/** Takes connections, and never says a word. */
async function silentHost(): Promise<{ readonly port: number; readonly taken: readonly Socket[] }> {
  const taken: Socket[] = [];
  const server = createServer((socket) => {
    taken.push(socket);
    socket.on('error', () => undefined);
  });
  await new Promise<void>((done) => server.listen(0, '127.0.0.1', done));
  onTestFinished(() => {
    for (const socket of taken) socket.destroy();
    server.close();
  });
  return { port: (server.address() as AddressInfo).port, taken };
}

const DEAD = { port: 1 };

const settingsFor = (
  hosts: readonly { readonly port: number; readonly host?: string }[],
): DatabaseSettings => ({
  ...databaseSettings({ name: 'app', host: '', port: 0 }),
  hosts: hosts.map(({ port, host: name = '127.0.0.1' }) => ({ host: name, port })),
});

async function found(hosts: Parameters<typeof settingsFor>[0], known: Standing = {}) {
  const { client, target, refused } = await findPrimary(settingsFor(hosts), known);
  await closeConnection(client);
  return { port: target.port, refused: refused.map(({ code, message }) => ({ code, message })) };
}

const nameOf = ({ port }: { readonly port: number }): string => `127.0.0.1:${port}`;

describe('of several hosts', () => {
  test('the primary is followed, wherever it stands in the list', async () => {
    const [standby, primary] = [await host('standby'), await host('primary')];
    expect(await found([standby, primary])).toEqual({ port: primary.port, refused: [] });
    expect(await found([primary, standby])).toEqual({ port: primary.port, refused: [] });
  });

  test('a primary is followed although one before it never answers', async () => {
    const [silent, primary] = [await silentHost(), await host('primary')];
    expect(await found([silent, primary])).toEqual({ port: primary.port, refused: [] });
    expect(silent.taken).toHaveLength(1);
  });

  test('a standby that is promoted while another host keeps silent is followed', async () => {
    const [silent, standby] = [await silentHost(), await host('standby')];
    const finding = found([silent, standby]);
    await waitFor(() => standby.asked.some((sql) => sql.includes('pg_is_in_recovery')), 'the first answer');
    standby.role = 'primary';
    expect(await finding).toEqual({ port: standby.port, refused: [] });
  });

  test('the highest timeline wins, and a lower one is refused by name', async () => {
    const [old, promoted] = [await host('primary'), await host('primary', { timeline: 3 })];
    const { port, refused } = await found([old, promoted]);
    expect(port).toBe(promoted.port);
    expect(refused).toMatchObject([{ code: 'OLD_PRIMARY' }]);
    expect(refused[0]!.message).toContain(`${nameOf(old)} is an old primary on timeline 1`);
    expect(refused[0]!.message).toContain(`${nameOf(promoted)} on timeline 3`);
  });

  test('an old primary that is back alone is not followed, and said to be old', async () => {
    const old = await host('primary');
    const finding = found([DEAD, old], { systemIdentifier: OURS, timeline: 2 });
    await expect(finding).rejects.toMatchObject({
      mend: 'retry',
      message: expect.stringContaining(`${nameOf(old)} is an old primary on timeline 1`),
    });
  });

  test('that of the known cluster is followed, however far another cluster has come', async () => {
    const other = await host('primary', { timeline: 9, system: '7000000000000000002' });
    const ours = await host('primary', { timeline: 2 });
    const known = { systemIdentifier: OURS, timeline: 2 };
    expect(await found([other, ours], known)).toEqual({ port: ours.port, refused: [] });
    // On a lower timeline it is no old primary of ours: there is none to be made of it.
    const another = await host('primary', { timeline: 1, system: '7000000000000000002' });
    expect(await found([another, ours], known)).toEqual({ port: ours.port, refused: [] });
    // Alone it is judged by its whole history, and refused there with what that says.
    expect(await found([other, DEAD], known)).toEqual({ port: other.port, refused: [] });
  });

  test('no primary says whom it asked and what each said, and that a promotion is awaited', async () => {
    const standby = await host('standby');
    const finding = found([DEAD, standby]);
    await expect(finding).rejects.toMatchObject({
      code: 'AWAITS_PROMOTION',
      mend: 'retry',
      message: expect.stringMatching(
        new RegExp(`127\\.0\\.0\\.1:1 \\(ECONNREFUSED\\).*${nameOf(standby)} is a standby`),
      ),
    });
    await expect(found([DEAD, { port: 2 }])).rejects.toMatchObject({ code: 'NO_PRIMARY' });
  });
});

test('an only host on a lower timeline than was read last is left to the comparison of histories', async () => {
  const restored = await host('primary');
  expect(await found([restored], { systemIdentifier: OURS, timeline: 4 })).toMatchObject({
    port: restored.port,
  });
});

describe('a name', () => {
  test('is looked up anew each time, and what it meant stays for the connections that belong together', async () => {
    const primary = await host('primary');
    const named = [{ host: 'db.internal', port: primary.port }];
    names.set('db.internal', ['127.0.0.2']);
    await expect(found(named)).rejects.toMatchObject({ code: 'ECONNREFUSED' });
    names.set('db.internal', ['127.0.0.1']);
    const settings = settingsFor(named);
    const { client, target } = await findPrimary(settings);
    expect(target).toMatchObject({ host: 'db.internal', address: '127.0.0.1' });
    names.set('db.internal', ['127.0.0.2']);
    await closeConnection(await connectOrdinary(settings, target));
    await closeConnection(client);
  });

  test('of several addresses is followed to the one that is the primary', async () => {
    const primary = await host('primary');
    const named = [{ host: 'db.internal', port: primary.port }];
    names.set('db.internal', ['127.0.0.2', '127.0.0.1']);
    expect(await found(named)).toEqual({ port: primary.port, refused: [] });
    primary.role = 'standby';
    await expect(found(named)).rejects.toMatchObject({
      message: expect.stringMatching(/db\.internal:\d+ \(127\.0\.0\.2\).*db\.internal:\d+ \(127\.0\.0\.1\)/),
    });
  });

  test('that means nothing is said with the other hosts', async () => {
    const primary = await host('primary');
    expect(await found([{ host: 'gone.internal', port: 5432 }, primary])).toMatchObject({
      port: primary.port,
    });
    await expect(found([{ host: 'gone.internal', port: 5432 }, DEAD])).rejects.toMatchObject({
      message: expect.stringContaining('gone.internal:5432 (ENOTFOUND)'),
    });
  });
});
