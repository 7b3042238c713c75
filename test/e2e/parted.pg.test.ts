// A failover to a standby that had not received the last transactions, with a real one: what the new primary has arrives, what only the
// old one had is accounted for.
import { createServer, connect as connectTcp, type AddressInfo, type Server, type Socket } from 'node:net';
import { afterEach, expect, onTestFinished, test } from 'vitest';
import type { EmbeddedPostgres } from '../../src/cli/demo/embedded-postgres.ts';
import type { StartedRepair } from '../../src/pipeline/service/repairs.ts';
import { configText } from '../support/config.ts';
import { startFaultProxy } from '../support/fault-proxy.ts';
import { createWorkDirectory, startService, type ServiceProcess } from '../support/service.ts';
import { askCommand, runCommand } from '../support/operator.ts';
import { startSqsRecorder } from '../support/sqs-recorder.ts';
import {
  ask,
  startPrimary,
  startStandby,
  waitForReplay,
  waitForSyncedSlot,
  type Standby,
} from '../support/standby.ts';
import { waitFor } from '../support/wait.ts';
import { HAS_FAILOVER_SLOTS } from '../../src/postgres/versions.ts';

const DATABASE = 'postgres';
const PATIENCE_MS = 120_000;

/** An address that leads to one server after the other. */
async function startAddress(first: number): Promise<{ port: number; lead(port: number): void }> {
  let target = first;
  const sockets = new Set<Socket>();
  const server: Server = createServer((socket) => {
    const onward = connectTcp(target, '127.0.0.1');
    for (const [one, other] of [
      [socket, onward],
      [onward, socket],
    ] as const) {
      sockets.add(one);
      one.on('error', () => other.destroy());
      one.on('close', () => {
        sockets.delete(one);
        other.destroy();
      });
      one.pipe(other);
    }
  });
  await new Promise<void>((listening) => server.listen(0, '127.0.0.1', listening));
  const drop = (): void => {
    for (const socket of sockets) socket.destroy();
  };
  onTestFinished(() => {
    drop();
    server.close();
  });
  return {
    port: (server.address() as AddressInfo).port,
    lead: (port) => {
      target = port;
      drop();
    },
  };
}

let primary: EmbeddedPostgres | undefined;
let standby: Standby | undefined;
let service: ServiceProcess | undefined;
afterEach(async ({ task }) => {
  await service?.end(task);
  await standby?.remove();
  await primary?.stop('immediate').catch(() => undefined);
  await primary?.remove();
  [primary, standby, service] = [undefined, undefined, undefined];
});

const insert = (server: EmbeddedPostgres, ids: string): Promise<unknown> =>
  // A transaction a row.
  ask(
    server,
    `do $$ declare i int; begin for i in select * from ${ids} loop insert into t values (i); commit; end loop; end $$`,
  );
const range = (from: number, to: number): number[] =>
  Array.from({ length: to - from + 1 }, (_, i) => from + i);

test('a standby 200 transactions behind: each of its own changes arrives, and of the lost ones what was delivered is listed and the rest is not sent', async ({
  skip,
}) => {
  primary = await startPrimary();
  if (Number(await ask(primary, 'show server_version_num')) < HAS_FAILOVER_SLOTS) skip();
  await ask(primary, 'create table t (id int primary key)');
  await ask(primary, `create publication ${DATABASE} for table t`);
  await ask(
    primary,
    `select pg_create_logical_replication_slot('${DATABASE}', 'pgoutput', false, false, true)`,
  );
  standby = await startStandby(primary);
  const address = await startAddress(primary.port);
  const recorder = await startSqsRecorder({ createMissing: true });
  const proxy = await startFaultProxy(recorder.url);
  const directory = createWorkDirectory();
  onTestFinished(async () => {
    await proxy.stop();
    await recorder.stop();
    directory.remove();
  });
  const arrived = new Map<string, number[]>([
    ['quick', []],
    ['stuck', []],
  ]);
  /** What came last of each row of a queue. */
  const last = new Map<string, Map<number, string>>([...arrived.keys()].map((queue) => [queue, new Map()]));
  let isRepaired = false;
  recorder.onMessage = ({ queue, body }) => {
    const { action, record } = JSON.parse(body) as { action: string; record: { id: number } };
    last.get(queue)!.set(record.id, action);
    if (!isRepaired) arrived.get(queue)!.push(record.id);
  };
  const has = (queue: string, ids: readonly number[]): Promise<unknown> =>
    waitFor(
      () => ids.every((id) => arrived.get(queue)!.includes(id)) || undefined,
      `${ids[0]} to ${ids.at(-1)} in ${queue}`,
      PATIENCE_MS,
    );
  const config = configText({
    database: { name: DATABASE, host: '127.0.0.1', port: address.port },
    endpoint: proxy.url,
    sinks: [
      { name: 'quick', queue: 'quick', tables: ['t'] },
      { name: 'stuck', queue: 'stuck', tables: ['t'] },
    ],
  });
  service = startService({ directory: directory.path, config });
  await service.ready();
  await insert(primary, 'generate_series(1, 50)');
  for (const queue of arrived.keys()) await has(queue, range(1, 50));
  await waitForSyncedSlot(primary, standby, DATABASE);
  await waitForReplay(primary, standby);

  // The standby loses its primary first; 200 transactions go on there, and one queue takes them.
  await ask(standby, "alter system set primary_conninfo = ''");
  await ask(standby, 'select pg_reload_conf()');
  await waitFor(
    async () => (await ask(standby!, 'select count(*) from pg_stat_wal_receiver')) === '0' || undefined,
    'the standby to receive no more',
    PATIENCE_MS,
  );
  proxy.decide = ({ action, queue }) =>
    action === 'SendMessageBatch' && queue === 'stuck'
      ? { kind: 'error', status: 503, code: 'ServiceUnavailable' }
      : undefined;
  await insert(primary, 'generate_series(51, 250)');
  await has('quick', range(51, 250));
  const logEnd = String(await ask(primary, 'select pg_current_wal_lsn()'));
  await primary.stop('immediate');
  await standby.promote();
  await insert(standby, 'generate_series(1001, 1100)');
  // All of that lies below where the log ends.
  expect(await ask(standby, `select pg_current_wal_lsn() < '${logEnd}'::pg_lsn`)).toBe(true);
  address.lead(standby.port);
  await has('quick', range(1001, 1100));
  proxy.decide = undefined;
  await has('stuck', range(1001, 1100));

  const api = `${await service.apiUrl()}/api/databases/shop`;
  const { partings } = (await (await fetch(`${api}/partings`)).json()) as { partings: { sinks: unknown }[] };
  expect(partings).toMatchObject([
    {
      timeline: 2,
      sinks: [
        { sink: 'quick', orphaned: 200, discarded: 0 },
        { sink: 'stuck', orphaned: 0, discarded: 200 },
      ],
    },
  ]);
  const { orphans } = (await (await fetch(`${api}/orphans?limit=1000`)).json()) as {
    orphans: { key: string; table: string }[];
  };
  expect(orphans.map(({ key }) => key)).toEqual(range(51, 250).map((id) => `public.t:${id}`));

  // A crash behind that, and keys that the lost history had used.
  await service.kill();
  await insert(standby, 'generate_series(51, 60)');
  service = startService({ directory: directory.path });
  await service.ready();
  await has('stuck', range(51, 60));
  await insert(standby, 'generate_series(2001, 2300)');
  for (const queue of arrived.keys()) await has(queue, range(2001, 2300));
  const quick = arrived.get('quick')!;
  await waitFor(
    () => quick.filter((id) => id >= 51 && id <= 60).length >= 20 || undefined,
    'the new changes of keys that were used',
    PATIENCE_MS,
  );
  const once = [...range(1, 50), ...range(1001, 1100)];
  expect(quick.filter((id) => id <= 50 || (id > 1000 && id <= 1100)).toSorted((a, b) => a - b)).toEqual(once);
  expect(
    arrived
      .get('stuck')!
      .filter((id) => id <= 250 || id <= 1100)
      .toSorted((a, b) => a - b),
  ).toEqual([...range(1, 60), ...range(1001, 1100)]);
  expect((await service.health()).databases[0]).toMatchObject({ gaps: [] });

  // What the queue has, and the server does not: keys that the lost history wrote, some of which are there again.
  isRepaired = true;
  const planned = await askCommand<StartedRepair>(service, 'repair', 'shop', '--orphans', '--dry-run');
  expect(planned).toMatchObject({
    gap: null,
    backfill: null,
    tables: [{ table: 'public.t', where: '200 keys', looked_for: 200 }],
  });
  expect((await runCommand(service, 'repair', 'shop', '--orphans')).stdout).toContain(
    'repairs what lost histories have left for quick, stuck',
  );
  await waitFor(
    () => range(61, 250).every((id) => last.get('quick')!.get(id) === 'delete') || undefined,
    'the orphans to be deleted',
    PATIENCE_MS,
  );
  await waitFor(
    () => range(51, 60).every((id) => last.get('quick')!.get(id) === 'read') || undefined,
    'those that are there again to be read',
    PATIENCE_MS,
  );
  expect([...last.get('quick')!].filter(([, action]) => action === 'delete')).toHaveLength(190);
}, 600_000);
