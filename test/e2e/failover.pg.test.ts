// A primary is killed under load and its standby promoted: the service follows by itself, and every change that the new primary has is accounted for.
import { readLsn } from '../../src/core/lsn.ts';
import { afterEach, beforeEach, expect, test } from 'vitest';
import type { EmbeddedPostgres } from '../../src/cli/demo/embedded-postgres.ts';
import { HAS_FAILOVER_SLOTS } from '../../src/postgres/versions.ts';
import { configText } from '../support/config.ts';
import { connect } from '../support/postgres.ts';
import { startWireProxy } from '../support/postgres-wire.ts';
import { createWorkDirectory, startService, type ServiceProcess } from '../support/service.ts';
import { startSqsRecorder, type SqsRecorder } from '../support/sqs-recorder.ts';
import {
  ask,
  killServer,
  serverVersion,
  startPrimary,
  startStandby,
  waitForReplay,
  waitForSyncedSlot,
  type Standby,
} from '../support/standby.ts';
import { waitFor } from '../support/wait.ts';
import type { ChangeMessage } from '../support/workload.ts';

const SLOT = 'tailrace';

let primary: EmbeddedPostgres;
let standby: Standby;
let version: number;
let recorder: SqsRecorder;
let directory: ReturnType<typeof createWorkDirectory>;
let service: ServiceProcess | undefined;

beforeEach(async () => {
  primary = await startPrimary();
  standby = await startStandby(primary);
  version = await serverVersion(primary);
  recorder = await startSqsRecorder({ createMissing: false });
  directory = createWorkDirectory();
  await ask(primary, 'create table item (id int primary key)');
}, 240_000);
afterEach(async ({ task }) => {
  await service?.end(task);
  await recorder.stop();
  directory.remove();
  await standby.remove();
  await primary.remove();
}, 240_000);

async function follow(hosts: readonly number[]): Promise<ServiceProcess> {
  const config = configText({
    database: { name: 'postgres', host: hosts.map((port) => `127.0.0.1:${port}`).join(',') } as never,
    endpoint: recorder.url,
    sinks: [{ tables: ['item'] }],
  })
    .replace('port: undefined', 'port: 5432')
    .replace(/name: postgres\n( +)create_if/, `name: ${SLOT}\n$1create_if`);
  service = startService({ config, directory: directory.path });
  await service.ready();
  return service;
}

/** A row, with LSNs between which it was committed. */
type Written = { readonly id: number; readonly after: string; readonly before: string };

/** Writes one row after the other until it is told to stop, or the server goes. */
function startWriter(server: EmbeddedPostgres, from: number) {
  const written: Written[] = [];
  let stopped = false;
  const insert = async (): Promise<void> => {
    const client = await connect(server.url());
    const where = async (): Promise<string> =>
      (await client.query<{ lsn: string }>('select pg_current_wal_insert_lsn()::text as lsn')).rows[0]!.lsn;
    try {
      for (let id = from; !stopped; id++) {
        const after = await where();
        await client.query('insert into item values ($1)', [id]);
        written.push({ id, after, before: await where() });
      }
    } finally {
      await client.end().catch(() => undefined);
    }
  };
  const ended = insert().catch(() => undefined);
  return {
    written,
    stop: () => {
      stopped = true;
      return ended;
    },
  };
}

const delivered = (): number[] =>
  recorder.messages.map(({ body }) => Number((JSON.parse(body) as ChangeMessage).record['id']));

async function idsOf(server: EmbeddedPostgres): Promise<readonly number[]> {
  return (await ask(server, `select coalesce(json_agg(id order by id), '[]') from item`)) as number[];
}

const databaseHealth = async () => (await service!.health()).databases[0]!;

test('no change that the new primary has is missing where the slot was carried over, and none comes twice', async ({
  skip,
}) => {
  if (version < HAS_FAILOVER_SLOTS) skip();
  await ask(primary, `alter system set synchronized_standby_slots = '${standby.name}'`);
  await ask(primary, 'select pg_reload_conf()');
  await follow([primary.port, standby.port]);
  const before = startWriter(primary, 1);
  await waitForSyncedSlot(primary, standby, SLOT);
  await waitFor(() => recorder.messages.length > 50, 'changes to flow');
  await killServer(primary);
  await before.stop();
  const promotedAt = performance.now();
  await standby.promote();
  const after = startWriter(standby, 1_000_000);
  await waitFor(() => delivered().some((id) => id >= 1_000_000), 'the first change of the new primary');
  const failoverMs = performance.now() - promotedAt;
  await waitFor(() => after.written.length > 50, 'more of them');
  await after.stop();
  const expected = await idsOf(standby);
  await waitFor(() => new Set(delivered()).size >= expected.length, 'every change of the new primary');
  expect(delivered().toSorted((a, b) => a - b)).toEqual(expected);
  expect((await databaseHealth()).gaps).toEqual([]);
  console.log(`failover ${failoverMs.toFixed(0)} ms, ${expected.length} rows`);
}, 240_000);
