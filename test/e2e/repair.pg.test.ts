// A gap is repaired: the rows that it can concern are read again, and no others, as far as anything tells which.
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import type { FoundGap } from '../../src/cli/gaps/ports.ts';
import type { StartedRepair } from '../../src/pipeline/service/repairs.ts';
import { endToEnd } from '../support/end-to-end.ts';
import { askCommand, runCommand } from '../support/operator.ts';
import { waitFor } from '../support/wait.ts';
import type { ChangeMessage } from '../support/workload.ts';

const world = endToEnd();
const QUICK = 'refresh_interval: 100ms';
const sql = (text: string) => world.database.client.query(text);
const config = () =>
  world.config({
    publication: QUICK,
    sinks: [
      { name: 'users', tables: ['users'], queue: 'users.fifo' },
      { name: 'orders', tables: ['orders'], queue: 'orders.fifo' },
    ],
    databaseExtra: 'on_gap: resume',
  });

/** `read 3` … in order. */
const arrived = (queue: string): string[] =>
  world.recorder.messagesOf(`${queue}.fifo`).map(({ body }) => {
    const { action, record } = JSON.parse(body) as ChangeMessage;
    return `${action} ${String(record['id'])}`;
  });
const receive = (queue: string, what: string): Promise<unknown> =>
  waitFor(() => arrived(queue).includes(what), `${what} among ${arrived(queue).join(', ')}`);
const gaps = async (...argv: readonly string[]): Promise<readonly FoundGap[]> =>
  (await askCommand<{ gaps: FoundGap[] }>(world.service, 'gaps', 'list', ...argv)).gaps;

/** Of users, 1 and 2 come; what then writes 3, 4 and 2 is lost; 5 comes. */
async function loseUsers(): Promise<FoundGap> {
  await sql(
    'create table users (id int primary key, note text, seen bool); alter table users alter note set storage external; create table orders (id int primary key)',
  );
  await world.start({ config: config() });
  await sql(`insert into users values (1, ''), (2, '')`);
  await sql('insert into orders values (1)');
  await receive('users', 'insert 2');
  await receive('orders', 'insert 1');
  await world.service.stop();
  const { name } = world.database;
  await sql(`alter publication ${name} drop table users`);
  await sql(`insert into users values (3, '')`);
  // A savepoint has an id of its own.
  await sql(`begin; savepoint s; insert into users values (4, ''); release s; commit`);
  await sql(`update users set note = repeat('lost', 2000) where id = 2`);
  await sql(`alter publication ${name} add table users`);
  await world.start({ config: config() });
  await sql(`insert into users values (5, '')`);
  await receive('users', 'insert 5');
  return waitFor(async () => (await gaps())[0], 'the gap');
}

test('the rows that were written in a gap are read again, and none from before; the gap says what repaired it', async () => {
  const gap = await loseUsers();
  const planned = await waitFor(async () => {
    const plan = await askCommand<StartedRepair>(world.service, 'repair', 'shop', '--dry-run');
    return plan.tables[0]!.where!.includes('tableoid') && plan;
  }, 'a look behind the gap to bound its transactions');
  // It comes without its large value, which was lost.
  await sql('update users set seen = true where id = 2');
  await receive('users', 'update 2');
  expect(planned).toMatchObject({
    gap: gap.id,
    backfill: null,
    sinks: ['users'],
    tables: [{ table: 'public.users', where: expect.stringContaining('xmin') as string }],
  });
  expect(await askCommand(world.service, 'backfill', 'list')).toEqual({ backfills: [] });

  const { stdout, code } = await runCommand(world.service, 'repair', 'shop', '--gap', String(gap.id));
  expect(code).toBe(0);
  expect(stdout).toContain(`repairs gap ${gap.id} for users`);
  const repaired = await waitFor(async () => {
    const [found] = await gaps('--all');
    return found?.repair?.state === 'completed' ? found : undefined;
  }, 'the gap to be repaired');
  expect(repaired.repair).toMatchObject({ ended_at: expect.any(String) as string });
  await receive('users', 'read 2');
  // A superset, never less: what came after the gap may be among them.
  const read = arrived('users').filter((what) => what.startsWith('read'));
  expect(read).toEqual(expect.arrayContaining(['read 2', 'read 3', 'read 4']));
  expect(read).not.toContain('read 1');
  const records = world.recorder
    .messagesOf('users.fifo')
    .map(({ body }) => (JSON.parse(body) as ChangeMessage).record);
  expect(records).toContainEqual({ id: 2, note: 'lost'.repeat(2000), seen: true });
  expect(repaired.repair?.rows).toBe(read.length);
  expect(arrived('orders')).toEqual(['insert 1']);
  expect((await runCommand(world.service, 'gaps', 'show', String(gap.id))).stdout).toMatch(
    /repair: +backfill \S+ completed at \S+, \d+ rows sent again/,
  );
  // Repaired is not accepted: somebody says so.
  expect(await gaps()).toHaveLength(1);
  expect((await runCommand(world.service, 'gaps', 'list')).stdout).toContain('open, repaired');
  expect((await runCommand(world.service, 'repair', 'shop')).stderr).toContain('there is no gap to repair');
});

test('with --whole every row of its tables is read again', async () => {
  await loseUsers();
  const { stderr } = await runCommand(world.service, 'repair', 'shop', '--whole');
  expect(stderr).toContain('every row is sent again');
  for (const id of [1, 2, 3, 4, 5]) await receive('users', `read ${id}`);
});

test('of the keys that a consumer has, those that the table does not have are deleted, and one that is inserted meanwhile stays', async () => {
  await sql('create table users (id int primary key, note text); create table orders (id int primary key)');
  await world.start({ config: config() });
  await sql(`insert into users select i, '' from generate_series(1, 60) i`);
  await receive('users', 'insert 60');
  await world.service.stop();
  const { name } = world.database;
  await sql(`alter publication ${name} drop table users`);
  await sql('delete from users where id > 2');
  await sql(`alter publication ${name} add table users`);
  await world.start({ config: config() });
  await sql(`insert into users values (61, '')`);
  await receive('users', 'insert 61');
  await waitFor(async () => (await gaps())[0], 'the gap');
  const repair = (...argv: string[]) => runCommand(world.service, 'repair', 'shop', ...argv);
  expect((await repair('--dry-run')).stderr).toContain(
    'what was deleted of public.users, or taken by a TRUNCATE, cannot be found',
  );
  const file = join(world.directory, 'keys.txt');
  // As a consumer may write them, and some that nobody ever had.
  writeFileSync(file, ['01', ...Array.from({ length: 98 }, (_, i) => String(i + 2)), '[61]'].join('\n'));
  expect((await repair('--keys', file)).stderr).toContain('--keys and --table go together');
  expect((await repair('--keys', file, '--table', 'orders')).stderr).toMatch(
    /does not concern public\.orders.*name one of public\.users/,
  );
  const planned = await repair('--keys', file, '--table', 'users', '--dry-run');
  expect(planned.stderr).not.toContain('cannot be found');
  expect(planned.stdout).toMatch(/public\.users .* 99/);

  const { stdout } = await repair('--keys', file, '--table', 'users');
  expect(stdout).toContain('repairs gap');
  // While they are looked for, every other one comes back.
  for (let id = 4; id <= 99; id += 2) if (id !== 61) await sql(`insert into users values (${id}, 'again')`);
  await waitFor(
    async () => (await gaps('--all'))[0]?.repair?.state === 'completed',
    'the gap to be repaired',
  );
  await receive('users', 'delete 99');
  await receive('users', 'insert 98');
  const { rows } = await world.database.client.query<{ id: number }>('select id from users order by id');
  const present = new Set(rows.map(({ id }) => id));
  await waitFor(() => {
    const last = new Map(arrived('users').map((what) => [Number(what.split(' ')[1]), what.split(' ')[0]]));
    return [...last].every(([id, action]) => present.has(id) === (action !== 'delete'));
  }, 'what came last of each key to be what the table says');
  expect(arrived('users').filter((what) => what === 'delete 1' || what === 'delete 2')).toEqual([]);
  // Each of those that are not there, and that the consumer has.
  expect(arrived('users')).toEqual(
    expect.arrayContaining(['delete 3', 'delete 5', 'delete 59', 'delete 97']),
  );
  const deleted = world.recorder
    .messagesOf('users.fifo')
    .find(({ body }) => body.includes('"action":"delete"'))!;
  const { record, metadata } = JSON.parse(deleted.body) as ChangeMessage;
  expect(Object.keys(record)).toEqual(['id']);
  expect(metadata.idempotency_key).toMatch(/-gone$/);
  expect(deleted.group).toBe(`public.users:${String(record['id'])}`);
});
