// `tailrace gaps`: over the API while the service runs, in the store while none does, and the SQL that it shows, run.
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, onTestFinished, test } from 'vitest';
import { readLsn } from '../../src/core/lsn.ts';
import { lockDirectory } from '../../src/data-directory/lock.ts';
import type { FoundGap } from '../../src/cli/gaps/ports.ts';
import { openStore, type Store } from '../../src/store/sqlite.ts';
import { startTestApi } from '../support/api.ts';
import { startCli } from '../support/cli.ts';
import { configText } from '../support/config.ts';
import { testControl } from '../support/control.ts';
import { look } from '../support/looks.ts';
import { createTestDatabase, type TestDatabase } from '../support/postgres.ts';
import { createWorkDirectory } from '../support/service.ts';

let database: TestDatabase;
let directory: ReturnType<typeof createWorkDirectory>;
beforeEach(async () => {
  database = await createTestDatabase();
  directory = createWorkDirectory();
  mkdirSync(join(directory.path, 'data'));
});
afterEach(async () => {
  await database.drop();
  directory.remove();
});

const sql = async <Row extends object>(text: string): Promise<Row[]> =>
  (await database.client.query<Row>(text)).rows;

const idsOf = async (look: string): Promise<number[]> =>
  (await sql<{ id: number }>(look)).map(({ id }) => id).toSorted((a, b) => a - b);

/** A command line in the directory of the service. */
async function run(...argv: string[]) {
  const cli = startCli(argv, {
    cwd: directory.path,
    env: { TAILRACE_DATA_DIR: join(directory.path, 'data') },
  });
  return { code: await cli.code, stdout: cli.stdout(), stderr: cli.stderr() };
}

const inStore = <T>(work: (store: Store) => T): T => {
  const store = openStore(join(directory.path, 'data', 'tailrace.db'));
  try {
    return work(store);
  } finally {
    store.close();
  }
};

/** As the source looks at the server: where the WAL ends, which transactions have ended, which have not begun. */
async function takeLook(store: Store): Promise<string> {
  const [seen] = await sql<{ lsn: string; xmin: string; begun: string }>(
    `select pg_current_wal_insert_lsn()::text as lsn, pg_snapshot_xmin(pg_current_snapshot())::text as xmin,
       pg_snapshot_xmax(pg_current_snapshot())::text as begun`,
  );
  const at = readLsn(seen!.lsn);
  store.looks.add(
    'shop',
    look({ walBefore: at, walAfter: at, xmin: BigInt(seen!.xmin), begun: BigInt(seen!.begun) }),
    true,
  );
  return seen!.lsn;
}

function configure(port: string): void {
  const text = configText({ database, endpoint: 'http://127.0.0.1:1', sinks: [{ tables: ['Users'] }] });
  writeFileSync(join(directory.path, 'tailrace.yaml'), text.replace('127.0.0.1:0', `127.0.0.1:${port}`));
}

test('of a stopped service the store is asked under the lock, and the SQL shows what was written in the gap', async () => {
  configure('1'); // Nobody listens there.
  await sql(`create table "Users" (id int primary key, "name" text)`);
  await sql(`create publication ${database.name} for table "Users"`);
  await sql(`insert into "Users" values (1, 'before')`);
  const store = openStore(join(directory.path, 'data', 'tailrace.db'));
  const from = await takeLook(store);
  await sql(`insert into "Users" values (2, 'within')`);
  await sql(`update "Users" set name = 'within, too' where id = 1`);
  const to = await takeLook(store);
  await sql(`insert into "Users" values (3, 'after')`);
  const declared = {
    cause: 'slot_moved',
    from,
    to,
    reason: 'because',
    halts: true,
    skips: false,
    ends: [],
  } as const;
  const tables = [{ schema: 'public', table: 'Users' }];
  store.gaps.declare('shop', { ...declared, tables }, new Date('2026-01-02T03:04:05Z'));
  store.gaps.declare('shop', declared, new Date('2026-01-02T03:04:06Z'));
  store.close();

  const list = await run('gaps', 'list');
  expect(list).toMatchObject({ code: 0, stderr: '' });
  expect(list.stdout).toMatch(/^ID +DATABASE +FROM +TO +CAUSE +TABLES/);
  expect(list.stdout).toMatch(/1 +shop +\S+ +\S+ +slot_moved +public\.Users +2026-01-02T03:04:05.000Z +open/);

  const named = JSON.parse((await run('gaps', 'show', '1', '--json')).stdout) as FoundGap;
  expect(named).toMatchObject({
    id: 1,
    database: 'shop',
    from,
    to,
    tables: ['public.Users'],
    accepted_at: null,
  });
  expect(named.look).toHaveLength(1);
  expect(await idsOf(named.look[0]!)).toEqual([1, 2]);
  expect(named.rereads).toContain('"public"."Users" that transactions');
  // Of any table: the SQL makes the SQL.
  const any = JSON.parse((await run('gaps', 'show', '2', '--json')).stdout) as FoundGap;
  const made = await sql<{ format: string }>(any.look[0]!);
  expect(await idsOf(made[0]!.format)).toEqual([1, 2]);
  const shown = await run('gaps', 'show', '1');
  expect(shown.stdout).toContain(named.look[0]);
  expect(shown.stdout).toMatch(/accepted_at: +by nobody yet/);

  expect((await run('gaps', 'accept', '1', '9')).stderr).toContain('there is no gap 9');
  expect(inStore((store) => store.gaps.unaccepted('shop'))).toHaveLength(2);
  const accepted = await run('gaps', 'accept', '1', '2');
  expect(accepted).toMatchObject({ code: 0, stderr: '' });
  expect(accepted.stdout).toContain(`gap 1 of shop (${from}..${to}) is accepted`);
  expect(accepted.stdout).toContain('at the next start');
  expect(inStore((store) => store.gaps.unaccepted('shop'))).toEqual([]);
  expect((await run('gaps', 'list')).stdout).toBe('no gaps that wait to be accepted\n');
  expect((await run('gaps', 'list', '--all')).stdout.match(/accepted/g)).toHaveLength(2);
});

test('a gap that no look bounds concerns every row, and one that goes on all that was written since', async () => {
  configure('1');
  await sql('create table "Users" (id int primary key)');
  await sql('insert into "Users" values (1)');
  const store = openStore(join(directory.path, 'data', 'tailrace.db'));
  const tables = [{ schema: 'public', table: 'Users' }];
  const declared = { cause: 'member_lost', reason: 'because', tables, halts: true, skips: false } as const;
  store.gaps.declare('shop', { ...declared, from: '0/1', to: '0/2', ends: [] }, new Date());
  const from = await takeLook(store);
  await sql('insert into "Users" values (2)');
  const ends = [{ when: 'table_published', oid: 1 }] as const;
  store.gaps.declare('shop', { ...declared, from, ends }, new Date());
  store.close();
  const { gaps } = JSON.parse((await run('gaps', 'list', '--json')).stdout) as { gaps: FoundGap[] };
  const [all, open] = gaps;
  expect(all?.rereads).toMatch(/^every row of/);
  expect(await sql(all!.look[0]!)).toEqual([{ id: 1 }, { id: 2 }]);
  expect(open?.to).toBe(null);
  // More, where somebody else's transaction is open meanwhile; never less.
  expect(open?.look[0]).toContain('xmin');
  expect(await sql(open!.look[0]!)).toContainEqual({ id: 2 });
});

test('a running service is asked over its API; with its API off nothing is read beside it', async () => {
  const control = testControl();
  const declared = {
    cause: 'slot_moved',
    from: '0/1',
    to: '0/2',
    reason: 'because',
    halts: true,
    skips: false,
  } as const;
  control.store.gaps.declare('shop', { ...declared, ends: [] }, new Date());
  const { url } = await startTestApi({ control });
  configure(new URL(url).port);
  expect((await run('gaps', 'list')).stdout).toMatch(/1 +shop +0\/1 +0\/2/);
  expect((await run('gaps', 'accept', '1')).stdout).toBe(
    'gap 1 of shop (0/1..0/2) is accepted: the sinks that it concerns go on\n',
  );
  expect(control.store.gaps.unaccepted('shop')).toEqual([]);
  expect(await run('gaps', 'show', '7')).toMatchObject({ code: 1 });

  configure('1');
  expect((await run('gaps', 'list')).stderr).toContain('there is no store');
  openStore(join(directory.path, 'data', 'tailrace.db')).close();
  const lock = lockDirectory(join(directory.path, 'data'));
  onTestFinished(() => lock.release());
  expect(await run('gaps', 'list')).toMatchObject({
    code: 1,
    stderr: expect.stringContaining('in use') as string,
  });
});
