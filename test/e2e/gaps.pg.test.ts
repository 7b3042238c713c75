// A gap, end to end: it halts the sinks that it concerns, outlives a kill, and lets them go on once somebody accepts it.
import { expect, test } from 'vitest';
import type { HealthDocument } from '../../src/pipeline/service/health.ts';
import { gapName, type Gap } from '../../src/core/gaps.ts';
import { endToEnd } from '../support/end-to-end.ts';
import { waitFor } from '../support/wait.ts';
import type { ChangeMessage } from '../support/workload.ts';

const world = endToEnd();
const QUICK = 'refresh_interval: 100ms';

const sql = (text: string) => world.database.client.query(text);
const sinks = [
  { name: 'users', tables: ['users'], queue: 'users.fifo' },
  { name: 'orders', tables: ['orders'], queue: 'orders.fifo' },
];
const config = (databaseExtra = '') => world.config({ publication: QUICK, sinks, databaseExtra });

/** Ids that arrived in the sink's queue, in order. */
const arrived = (queue: string): number[] =>
  world.recorder
    .messagesOf(`${queue}.fifo`)
    .map(({ body }) => Number((JSON.parse(body) as ChangeMessage).record['id']));
const receive = (queue: string, ...ids: readonly number[]): Promise<unknown> =>
  waitFor(
    () => ids.every((id) => arrived(queue).includes(id)),
    `${ids.join(', ')} among ${arrived(queue).join(', ')} in ${queue}`,
  );

async function sinkStatus(name: string): Promise<HealthDocument['sinks'][number]> {
  return (await world.service.health()).sinks.find((sink) => sink.name === name)!;
}
const gaps = async (): Promise<readonly Gap[]> => (await world.service.health()).databases[0]!.gaps;
const theGap = (): Promise<Gap> => waitFor(async () => (await gaps())[0], 'the gap in the status');
const isHalted = (name: string): Promise<unknown> =>
  waitFor(async () => (await sinkStatus(name)).state === 'halted', `sink ${name} to halt`);

async function api(path: string, request: RequestInit = {}): Promise<{ status: number; body: unknown }> {
  const response = await fetch(`${await world.service.apiUrl()}${path}`, {
    ...request,
    headers: { 'content-type': 'application/json' },
  });
  return { status: response.status, body: await response.json() };
}

/** Both tables are delivered; then one of them is out of the publication for a while, with a change that is lost. */
async function loseOneUser(databaseExtra = ''): Promise<void> {
  await sql('create table users (id int primary key); create table orders (id int primary key)');
  await world.start({ config: config(databaseExtra) });
  await sql('insert into users values (1); insert into orders values (1)');
  await receive('users', 1);
  await receive('orders', 1);
  await world.service.stop();
  const { name } = world.database;
  await sql(`alter publication ${name} drop table users`);
  await sql('insert into users values (2)');
  await sql(`alter publication ${name} add table users`);
}

test('a gap halts the sinks of its tables alone, over a kill, until it is accepted over the API', async () => {
  await loseOneUser();
  await world.start({ config: config() });
  await isHalted('users');
  const gap = await theGap();
  expect(gap).toMatchObject({ tables: [{ schema: 'public', table: 'users' }], cause: 'member_changed' });
  expect(await sinkStatus('users')).toMatchObject({
    status: 'halted',
    reason: expect.stringContaining('public.users'),
    cure: expect.stringContaining(`/api/databases/shop/gaps/${gap.id}/accept`),
  });
  expect((await api('/health')).status).toBe(503);
  await sql('insert into users values (3); insert into orders values (3)');
  await receive('orders', 3);
  await world.service.kill();
  await world.start({ config: config() });
  await isHalted('users');
  await sql('insert into users values (4); insert into orders values (4)');
  await receive('orders', 4);
  expect(arrived('users')).toEqual([1]);
  expect(await gaps()).toEqual([gap]);

  expect(await api('/api/databases/shop/gaps')).toMatchObject({
    status: 200,
    body: { gaps: [{ id: gap.id, name: gapName(gap), tables: ['public.users'], accepted_at: null }] },
  });
  const accepted = await api(`/api/databases/shop/gaps/${gap.id}/accept`, { method: 'POST', body: '{}' });
  expect(accepted).toMatchObject({ status: 200, body: { accepted_at: expect.any(String) } });
  await receive('users', 3, 4);
  expect(arrived('users')).toEqual([1, 3, 4]);
  await waitFor(async () => (await world.service.health()).status === 'healthy', 'everything to be well');
  expect(await gaps()).toEqual([]);
  expect(await world.service.stop()).toBe(0);
});

test('while it runs, nothing that is written after the gap is delivered before it is accepted', async () => {
  await sql('create table users (id int primary key); create table orders (id int primary key)');
  await world.start({ config: config() });
  await sql('insert into users values (1)');
  await receive('users', 1);
  const { name } = world.database;
  await sql(`alter publication ${name} drop table users`);
  // It is ours to keep: the table joins it again.
  await isHalted('users');
  await sql('insert into users values (3); insert into orders values (3)');
  await receive('orders', 3);
  expect(arrived('users')).toEqual([1]);
  const gap = await theGap();
  await api(`/api/databases/shop/gaps/${gap.id}/accept`, { method: 'POST', body: '{}' });
  await receive('users', 3);
});

test('a gap is accepted in the configuration by its name, and by no other', async () => {
  await loseOneUser();
  await world.start({ config: config() });
  await isHalted('users');
  const gap = await theGap();
  await world.service.stop();
  await world.start({ config: config('accepted_gaps: ["0/1..0/2"]') });
  await isHalted('users');
  await world.service.stop();
  await world.start({ config: config(`accepted_gaps: ["${gapName(gap)}"]`) });
  await sql('insert into users values (3)');
  await receive('users', 3);
  expect(world.service.log.some(({ msg }) => msg?.includes('the configuration accepts a gap'))).toBe(true);
});

test('on_gap: resume delivers on and stays degraded until somebody accepts it', async () => {
  const resume = 'on_gap: resume';
  await loseOneUser(resume);
  await world.start({ config: config(resume) });
  await sql('insert into users values (3)');
  await receive('users', 3);
  expect(await world.service.health()).toMatchObject({ status: 'degraded' });
  expect((await api('/health')).status).toBe(200);
  const metrics = await (await fetch(`${await world.service.apiUrl()}/metrics`)).text();
  expect(metrics).toContain('tailrace_database_gaps{database="shop"} 1');
  const gap = await theGap();
  await api(`/api/databases/shop/gaps/${gap.id}/accept`, { method: 'POST', body: '{}' });
  await waitFor(async () => (await world.service.health()).status === 'healthy', 'everything to be well');
});
