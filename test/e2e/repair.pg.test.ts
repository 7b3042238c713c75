// A gap is repaired: the rows that it can concern are read again, and no others, as far as anything tells which.
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
