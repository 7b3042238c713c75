// A primary is killed under load and its standby promoted: the service follows by itself, and every change that the new primary has is accounted for.
import { join } from 'node:path';
import { readLsn } from '../../src/core/lsn.ts';
import { afterEach, beforeEach, expect, test } from 'vitest';
import type { EmbeddedPostgres } from '../../src/cli/demo/embedded-postgres.ts';
import { HAS_FAILOVER_SLOTS, STANDBYS_DECODE } from '../../src/postgres/versions.ts';
import { startCli } from '../support/cli.ts';
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
/** Failovers in a row, at random moments; none unless asked for. */
const FAILOVERS = Number(process.env['TAILRACE_TEST_FAILOVERS'] ?? 0);

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

async function follow(
  hosts: readonly number[],
  { slot = '', extra = '' }: { readonly slot?: string; readonly extra?: string } = {},
): Promise<ServiceProcess> {
  const config = configText({
    database: { name: 'postgres', host: '127.0.0.1', port: hosts.join(',') },
    endpoint: recorder.url,
    sinks: [{ tables: ['item'] }],
    slot,
    databaseExtra: extra,
  })
    .replace('hostname: 127.0.0.1', `hostname: ${hosts.map(() => '127.0.0.1').join(',')}`)
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

/** Until the source's health says this, and how. */
const healthSays = (said: string) =>
  waitFor(
    async () => {
      const database = await databaseHealth();
      return JSON.stringify(database).includes(said) ? database : undefined;
    },
    `the health to say: ${said}`,
    120_000,
  );

const isHealthy = () =>
  waitFor(async () => (await databaseHealth()).status === 'healthy' || undefined, 'health', 120_000);

/** Each of them once, and nothing else. */
async function deliveredOnce(expected: readonly number[]): Promise<void> {
  await waitFor(() => new Set(delivered()).size >= expected.length, 'every change', 120_000);
  expect(delivered().toSorted((a, b) => a - b)).toEqual(expected);
}

/** What was delivered, and lost by the server that it came from, as the service has it on record. */
async function orphans(): Promise<readonly number[]> {
  const url = `${await service!.apiUrl()}/api/databases/shop/orphans?limit=1000`;
  const found = (await (await fetch(url)).json()) as { orphans: readonly { key: string }[] };
  return found.orphans.map(({ key }) => Number(key.replace('public.item:', '')));
}

/** Each change of the new primary once; beside them only what the old one had alone, and that is on record. */
async function accounted(server: EmbeddedPostgres): Promise<void> {
  const expected = await idsOf(server);
  const isExpected = new Set(expected);
  await waitFor(
    () => delivered().filter((id) => isExpected.has(id)).length >= expected.length,
    'every change',
  );
  const ids = delivered();
  expect(ids.filter((id) => isExpected.has(id)).toSorted((a, b) => a - b)).toEqual(expected);
  const lost = ids.filter((id) => !isExpected.has(id)).toSorted((a, b) => a - b);
  expect((await orphans()).toSorted((a, b) => a - b)).toEqual(lost);
  expect((await databaseHealth()).gaps).toEqual([]);
}

const slotOn = (server: EmbeddedPostgres): Promise<unknown> =>
  ask(server, `select confirmed_flush_lsn::text from pg_replication_slots where slot_name = '${SLOT}'`);

const isReady = () =>
  waitFor(
    async () => (await databaseHealth()).standbys?.some(({ ready }) => ready) || undefined,
    'the standby to be ready',
    120_000,
  );

async function run(server: EmbeddedPostgres, sql: string): Promise<void> {
  for (const statement of sql.split(/;\s*/).filter((text) => text !== '')) await ask(server, statement);
}

test('a slot that standbys take over is ready when they say so; no change is missing after a failover, none comes twice, and the old primary is refused (C190, C192)', async ({
  skip,
}) => {
  if (version < HAS_FAILOVER_SLOTS) skip();
  // As somebody made it by hand.
  await ask(primary, `select pg_create_logical_replication_slot('${SLOT}', 'pgoutput')`);
  await run(
    primary,
    `alter system set synchronized_standby_slots = '${standby.name}'; select pg_reload_conf()`,
  );
  await follow([primary.port, standby.port]);
  expect(await ask(primary, `select failover from pg_replication_slots where slot_name = '${SLOT}'`)).toBe(
    true,
  );
  await healthSays(`a failover to it now would lose slot \\"${SLOT}\\"`);
  await waitForSyncedSlot(primary, standby, SLOT);
  await isHealthy();
  expect((await databaseHealth()).standbys).toEqual([
    {
      host: `127.0.0.1:${standby.port}`,
      ready: true,
      retainedBytes: expect.any(Number) as number,
      detail: expect.stringContaining(`slot "${SLOT}" is synchronized`),
    },
  ]);

  await standby.stop();
  await ask(primary, 'insert into item values (-1)');
  const { cure } = await healthSays(
    'Postgres holds changes back until the standby of slot \\"standby_a\\" (not connected',
  );
  expect(delivered()).toEqual([]);
  await run(primary, /ALTER SYSTEM.*/.exec(cure!)![0]);
  await waitFor(() => delivered().length === 1, 'the change that was held back');
  await standby.start();
  await run(
    primary,
    `alter system set synchronized_standby_slots = '${standby.name}'; select pg_reload_conf()`,
  );
  await waitForSyncedSlot(primary, standby, SLOT);

  const before = startWriter(primary, 1);
  await waitFor(() => recorder.messages.length > 50, 'changes to flow');
  await killServer(primary);
  await before.stop();
  await standby.promote();
  const promotedAt = performance.now();
  const after = startWriter(standby, 1_000_000);
  await waitFor(() => delivered().some((id) => id >= 1_000_000), 'the first change of the new primary');
  const failoverMs = performance.now() - promotedAt;
  await waitFor(() => after.written.length > 50, 'more of them');
  await after.stop();
  await deliveredOnce(await idsOf(standby));
  expect((await databaseHealth()).gaps).toEqual([]);
  console.log(`failover on ${version}: ${failoverMs.toFixed(0)} ms, ${delivered().length} rows`);

  await primary.start();
  await ask(primary, 'insert into item values (-2)');
  const isOld = `127.0.0.1:${primary.port} is an old primary on timeline 1`;
  await healthSays(isOld);
  expect(await service!.stop()).toBe(0);
  const again = await follow([primary.port, standby.port]);
  expect(again.log.some(({ msg }) => msg?.includes(isOld))).toBe(true);
  await ask(standby, 'insert into item values (2000000)');
  await deliveredOnce(await idsOf(standby));
}, 400_000);

test('a slot that is kept on a standby is made, moved along and dropped with its host; no change is missing after a failover, and none comes twice (C189)', async ({
  skip,
}) => {
  if (version < STANDBYS_DECODE || version >= HAS_FAILOVER_SLOTS) skip();
  const both = [primary.port, standby.port];
  await follow(both);
  await isReady();
  await isHealthy();
  const made = String(await slotOn(standby));
  expect((await databaseHealth()).standbys).toEqual([
    {
      host: `127.0.0.1:${standby.port}`,
      ready: true,
      detail: expect.stringContaining('kept by Tailrace'),
      retainedBytes: expect.any(Number),
    },
  ]);
  expect(await service!.stop()).toBe(0);
  await follow([primary.port]);
  await waitFor(async () => (await slotOn(standby)) === undefined, 'the slot to be gone with its host');
  expect(await service!.stop()).toBe(0);
  await follow(both);
  await isReady();
  expect(await service!.stop()).toBe(0);
  const cli = startCli(['slots', 'drop', 'shop', '--yes'], {
    cwd: directory.path,
    env: { TAILRACE_DATA_DIR: join(directory.path, 'data') },
  });
  expect(await cli.code).toBe(0);
  expect([await slotOn(standby), await slotOn(primary)]).toEqual([undefined, expect.any(String)]);
  await follow(both);
  await isReady();

  const before = startWriter(primary, 1);
  await waitFor(
    async () => readLsn(String(await slotOn(standby))) > readLsn(made) + 5_000n,
    'the slot to move',
  );
  const flushed = await ask(
    primary,
    `select confirmed_flush_lsn::text from pg_replication_slots where slot_name = '${SLOT}'`,
  );
  expect(readLsn(String(await slotOn(standby)))).toBeLessThanOrEqual(readLsn(String(flushed)));
  await killServer(primary);
  await before.stop();
  await standby.promote();
  const promotedAt = performance.now();
  const after = startWriter(standby, 1_000_000);
  await waitFor(() => delivered().some((id) => id >= 1_000_000), 'the first change of the new primary');
  const failoverMs = performance.now() - promotedAt;
  await waitFor(() => after.written.length > 50, 'more of them');
  await after.stop();
  await accounted(standby);
  console.log(`failover on ${version}: ${failoverMs.toFixed(0)} ms, ${delivered().length} rows`);
}, 400_000);

test('where standbys do not take the slot over, everything outside the declared gap arrives (C188)', async () => {
  const proxy = await startWireProxy({ host: '127.0.0.1', port: primary.port });
  await follow([proxy.port, standby.port], { slot: 'failover: false', extra: 'on_gap: resume' });
  expect((await databaseHealth()).notes.join()).toContain('a promoted standby does not have the slot');
  const before = startWriter(primary, 1);
  await waitFor(() => recorder.messages.length > 50, 'changes to flow');
  // What comes now is the standby's, and not the log's.
  proxy.silence();
  const count = before.written.length;
  await waitFor(() => before.written.length > count + 50, 'changes that we do not get');
  await before.stop();
  await waitForReplay(primary, standby);
  await killServer(primary);
  await proxy.close();
  await standby.promote();
  const after = startWriter(standby, 1_000_000);
  const [gap] = await waitFor(async () => {
    const { gaps, state } = await databaseHealth();
    return gaps.length > 0 && state === 'streaming' ? gaps : undefined;
  }, 'the gap');
  await waitFor(() => delivered().some((id) => id >= 1_000_000), 'the first change of the new primary');
  await after.stop();
  expect((await databaseHealth()).gaps).toHaveLength(1);
  const written = [...before.written, ...after.written];
  const [from, to] = [readLsn(gap!.from), readLsn(gap!.to!)];
  const isInside = ({ after: began, before: ended }: Written): boolean =>
    readLsn(ended) > from && readLsn(began) < to;
  const outside = written.filter((row) => !isInside(row)).map(({ id }) => id);
  await waitFor(() => outside.every((id) => delivered().includes(id)), 'everything outside the gap');
  expect(new Set(delivered()).size).toBe(delivered().length);
  // Nothing of what is inside has come: the gap says no more than is missing.
  const missing = written.filter(({ id }) => !delivered().includes(id)).map(({ id }) => id);
  expect(missing.length).toBeGreaterThan(50);
  const surely = written.filter((row) => readLsn(row.after) >= from && readLsn(row.before) <= to);
  expect(missing).toEqual(expect.arrayContaining(surely.map(({ id }) => id)));
  expect(written.filter(isInside).length - missing.length).toBeLessThanOrEqual(2);
}, 400_000);

/** What the old and the new primary wrote while one gap after the other was declared: outside of them everything has come. */
async function accountedOutside(server: EmbeddedPostgres, written: readonly Written[]): Promise<void> {
  const there = new Set(await idsOf(server));
  const missing = async (): Promise<readonly Written[]> => {
    // The last one may be a moment old.
    const gaps = (await databaseHealth()).gaps.map(
      (gap) => [readLsn(gap.from), readLsn(gap.to ?? '')] as const,
    );
    const isInside = ({ after, before }: Written): boolean =>
      gaps.some(([from, to]) => readLsn(before) > from && readLsn(after) < to);
    const came = new Set(delivered());
    return written.filter((row) => there.has(row.id) && !came.has(row.id) && !isInside(row));
  };
  await waitFor(async () => (await missing()).length === 0, 'everything outside the gaps').catch(
    () => undefined,
  );
  expect(await missing()).toEqual([]);
  expect(new Set(delivered()).size).toBe(delivered().length);
  const lost = delivered().filter((id) => !there.has(id));
  expect((await orphans()).toSorted((a, b) => a - b)).toEqual(lost.toSorted((a, b) => a - b));
}

test.skipIf(FAILOVERS === 0)(
  'failovers in a row, at random moments under load, lose nothing and repeat nothing',
  async () => {
    const keepsSlot = version >= STANDBYS_DECODE;
    const synchronizes = version >= HAS_FAILOVER_SLOTS;
    const setStandbys = async (): Promise<void> => {
      if (synchronizes)
        await run(
          primary,
          `alter system set synchronized_standby_slots = '${standby.name}'; select pg_reload_conf()`,
        );
    };
    const keeps = async (): Promise<void> => {
      if (synchronizes) await waitForSyncedSlot(primary, standby, SLOT);
      else if (keepsSlot) await isReady();
    };
    await setStandbys();
    await follow([primary.port, standby.port], { extra: keepsSlot ? '' : 'on_gap: resume' });
    const times: number[] = [];
    const written: Written[] = [];
    for (let round = 1; round <= FAILOVERS; round++) {
      await keeps();
      const before = startWriter(primary, round * 1_000_000);
      const many = Math.floor(Math.random() * 300);
      await waitFor(() => before.written.length > many, `${many} rows`);
      const isKilled = Math.random() < 0.8;
      // Else it lives on beside the promoted standby, cut off from nobody.
      if (isKilled) await killServer(primary);
      await standby.promote();
      // What it writes from here on is nobody's, and only the first of it is listed.
      if (!synchronizes) await before.stop();
      const promotedAt = performance.now();
      const first = round * 1_000_000 + 500_000;
      const after = startWriter(standby, first);
      await waitFor(() => delivered().some((id) => id >= first), `round ${round}: the new primary`, 120_000);
      times.push(Math.round(performance.now() - promotedAt));
      console.log(
        `round ${round} on ${version}: ${isKilled ? 'killed' : 'lived on'} after ${many} rows, ${times.at(-1)} ms`,
      );
      await Promise.all([before.stop(), after.stop()]);
      written.push(...before.written, ...after.written);
      if (keepsSlot) await accounted(standby);
      else await accountedOutside(standby, written);
      const { port } = primary;
      await primary.remove();
      primary = standby;
      standby = await startStandby(primary, { port });
      await setStandbys();
      await waitFor(async () => (await databaseHealth()).state === 'streaming' || undefined, 'the stream');
    }
    expect(times).toHaveLength(FAILOVERS);
    const lost = (await orphans()).length;
    console.log(
      `failover ms on ${version}: ${times.toSorted((a, b) => a - b).join(' ')}; ${delivered().length} changes, ${lost} of lost histories`,
    );
  },
  1_800_000,
);
