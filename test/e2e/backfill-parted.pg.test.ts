// A failover to a standby that had not received everything, while rows are read: what was read of the lost history is read again.
import { afterEach, beforeEach, expect, test } from 'vitest';
import type { FoundBackfill } from '../../src/cli/backfill/ports.ts';
import type { EmbeddedPostgres } from '../../src/cli/demo/embedded-postgres.ts';
import { HAS_FAILOVER_SLOTS } from '../../src/postgres/versions.ts';
import { configText } from '../support/config.ts';
import { askCommand } from '../support/operator.ts';
import { connect } from '../support/postgres.ts';
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

const SLOT = 'tailrace';
const ROWS = 1000;

let primary: EmbeddedPostgres;
let standby: Standby;
let recorder: SqsRecorder;
let directory: ReturnType<typeof createWorkDirectory>;
let service: ServiceProcess | undefined;

beforeEach(async () => {
  primary = await startPrimary();
  standby = await startStandby(primary);
  recorder = await startSqsRecorder({ createMissing: false });
  directory = createWorkDirectory();
}, 240_000);
afterEach(async ({ task }) => {
  await service?.end(task);
  service = undefined;
  await recorder.stop();
  directory.remove();
  await standby.remove();
  await primary.remove();
}, 240_000);

type Message = { readonly action: string; readonly record: { readonly id: number; readonly v: number } };
const messages = (): Message[] => recorder.messages.map(({ body }) => JSON.parse(body) as Message);
const reads = (): Message[] => messages().filter(({ action }) => action === 'read');

/** As a consumer has the rows that keeps the last message of each. */
function consumed(): string {
  const rows = new Map<number, number>();
  for (const { action, record } of messages()) {
    if (action === 'delete') rows.delete(record.id);
    else rows.set(record.id, record.v);
  }
  return JSON.stringify([...rows].toSorted(([a], [b]) => a - b));
}

const present = async (): Promise<string> =>
  JSON.stringify(await ask(standby, 'select json_agg(json_build_array(id, v) order by id) from t'));

async function run(server: EmbeddedPostgres, sql: string): Promise<void> {
  const client = await connect(server.url());
  await client.query(sql);
  await client.end();
}

const shown = (id: string) => askCommand<FoundBackfill>(service!, 'backfill', 'show', id);

/** The standby stays as it is, and another history begins on the primary. */
async function cutOff(): Promise<void> {
  await waitForSyncedSlot(primary, standby, SLOT);
  await waitForReplay(primary, standby);
  await ask(standby, `alter system set primary_conninfo = ''`);
  await ask(standby, 'select pg_reload_conf()');
  await waitFor(
    async () => (await ask(standby, 'select count(*)::int from pg_stat_wal_receiver')) === 0,
    'the standby to receive no more',
  );
}

/** Reads nothing until it is told to go on. */
async function pause(id: string): Promise<void> {
  await askCommand(service!, 'backfill', 'pause', id);
  let appended = -1;
  await waitFor(async () => {
    const before = appended;
    const { state, rows_appended: now } = await shown(id);
    appended = now;
    return state === 'paused' && now === before;
  }, 'the backfill to stand still');
}

/** Rows that are all 0, their history on a standby that a failover goes to, and a backfill of them that has begun. */
async function beginBackfill({
  barrier = false,
  tables = ['t'],
  sql = '',
  publication,
}: {
  readonly barrier?: boolean;
  readonly tables?: readonly string[];
  /** Makes more of them. */
  readonly sql?: string;
  readonly publication?: string;
}): Promise<string> {
  await run(
    primary,
    `create table t (id int primary key, v int); insert into t select i, 0 from generate_series(1, ${ROWS}) i; ${sql}`,
  );
  const config = configText({
    database: { name: 'postgres', host: '127.0.0.1', port: `${primary.port},${standby.port}` },
    endpoint: recorder.url,
    sinks: [{ name: 'rows', tables, extra: 'backfill: { max_rows_per_second: 200 }' }],
    slot: 'failover: true',
    ...(publication !== undefined && { publication }),
    databaseExtra: barrier ? `barrier: "127.0.0.1:${standby.port}"` : '',
  })
    .replace('hostname: 127.0.0.1', 'hostname: 127.0.0.1,127.0.0.1')
    .replace(/name: postgres\n( +)create_if/, `name: ${SLOT}\n$1create_if`);
  service = startService({ config, directory: directory.path });
  await service.ready();
  const { backfill } = await askCommand<{ backfill: FoundBackfill }>(service, 'backfill', 'start', 'rows');
  await waitFor(() => reads().length > 0, 'the first rows');
  await cutOff();
  return backfill.id;
}

test.for([
  { barrier: false, title: 'rows that were read of a history that is lost are read again' },
  { barrier: true, title: 'behind a barrier, no row of a history that is lost is delivered' },
])(
  '$title, and the consumer has at the end what the new primary has',
  { timeout: 300_000 },
  async ({ barrier }, { skip }) => {
    if ((await serverVersion(primary)) < HAS_FAILOVER_SLOTS) skip();
    const id = await beginBackfill({ barrier });
    await pause(id);
    const before = (await shown(id)).rows_appended;
    // Rows that are read in a moment, as no one else will ever see them.
    await run(primary, `update t set v = 1 where id > ${before}; delete from t where id = ${ROWS}`);
    await askCommand(service!, 'backfill', 'resume', id);
    await waitFor(async () => (await shown(id)).rows_appended > before + 150, 'rows that will be lost');
    if (!barrier) {
      await waitFor(() => reads().some(({ record }) => record.v === 1), 'such a row at the consumer');
    }
    await killServer(primary);
    await standby.promote();
    await run(standby, `update t set v = 2 where id % 100 = 0; delete from t where id % 100 = 1`);
    await waitFor(async () => (await shown(id)).state === 'completed', 'it to be complete', 120_000);
    const expected = await present();
    await waitFor(() => consumed() === expected, 'the consumer to have what the table has', 120_000);
    const { tables } = await shown(id);
    expect(tables).toMatchObject([{ restarts: 1 }]);
    expect(reads().some(({ record }) => record.v === 1)).toBe(!barrier);
    expect(messages().some(({ record }) => record.v === 1)).toBe(!barrier);
  },
);

test.for<{ readonly title: string; readonly publication?: string }>([
  { title: 'rows that were not there any more, in a history that is lost, are read' },
  {
    title: 'rows whose deletes are not published, and lost, are read',
    publication: `init_sql: "create publication postgres for table t with (publish = 'insert')"`,
  },
])('$title', { timeout: 300_000 }, async ({ title: _title, ...published }, { skip }) => {
  if ((await serverVersion(primary)) < HAS_FAILOVER_SLOTS) skip();
  const id = await beginBackfill(published);
  await pause(id);
  const before = (await shown(id)).rows_appended;
  await run(primary, `delete from t where id > ${before}`);
  await askCommand(service!, 'backfill', 'resume', id);
  await waitFor(async () => (await shown(id)).state === 'completed', 'the end of the table');
  await killServer(primary);
  await standby.promote();
  const expected = await present();
  await waitFor(() => consumed() === expected, 'the consumer to have what the table has', 120_000);
  expect((await shown(id)).tables).toMatchObject([{ restarts: 1 }]);
});

/** Another table, read behind `t`, that looks empty in the history that is lost, and of which nothing is read therefore. */
test.for([
  {
    title: 'a table without a key that was emptied',
    make: '(id int, v int); alter table u replica identity full',
    lost: 'truncate u',
  },
  {
    title: 'a table whose only partition was detached',
    make: '(id int primary key, v int) partition by range (id); create table u1 partition of u default',
    lost: 'alter table u detach partition u1',
  },
])('$title in a history that is lost is read', { timeout: 300_000 }, async ({ make, lost }, { skip }) => {
  if ((await serverVersion(primary)) < HAS_FAILOVER_SLOTS) skip();
  const id = await beginBackfill({
    tables: ['t', 'u'],
    sql: `create table u ${make}; insert into u select i, 7 from generate_series(10001, 10100) i`,
  });
  await pause(id);
  await run(primary, lost);
  await askCommand(service!, 'backfill', 'resume', id);
  await waitFor(async () => (await shown(id)).state === 'completed', 'the end of both tables');
  await killServer(primary);
  await standby.promote();
  const wanted = (): number =>
    new Set(reads().flatMap(({ record: { id, v } }) => (v === 7 ? [id] : []))).size;
  await waitFor(() => wanted() === 100, 'the rows of the other table', 120_000);
  expect((await shown(id)).tables?.find(({ table }) => table.endsWith('u'))).toMatchObject({ restarts: 1 });
});
