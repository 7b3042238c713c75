// Status changes of running sinks: a paused one holds its place, a disabled one nothing; a new destination takes over in order.
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import type { Health } from '../../src/core/status.ts';
import { listSegments } from '../../src/log/segments.ts';
import { endToEnd } from '../support/end-to-end.ts';
import { askCommand, runCommand } from '../support/operator.ts';
import { waitFor } from '../support/wait.ts';
import { createTables, Replica, seededRandom, TABLES, writeTransaction } from '../support/workload.ts';

const world = endToEnd();

const random = seededRandom(91);
let version = 0;
async function write(transactions: number): Promise<number> {
  let events = 0;
  for (let i = 0; i < transactions; i++) {
    events += await writeTransaction(world.database.client, {
      random,
      count: 1 + Math.floor(random() * 60),
      ids: { from: 0, to: 300 },
      nextVersion: () => ++version,
    });
  }
  return events;
}

const sinkNow = async (name = 'sink-0') => {
  const { sinks } = await world.service.health();
  return sinks.find((sink) => sink.name === name)!;
};

/** /health, /metrics, the table and the probe say one thing. */
async function saysEverywhere(
  word: Health,
  { exitCode, reason }: { readonly exitCode: number; readonly reason: string },
): Promise<void> {
  expect((await world.service.health()).status).toBe(word);
  const metrics = await (await fetch(`${await world.service.apiUrl()}/metrics`)).text();
  expect(metrics).toContain(`\ntailrace_status{status="${word}"} 1\n`);
  expect(metrics).toContain(`\ntailrace_sink_status{database="shop",sink="sink-0",status="${word}"} 1\n`);
  const shown = await runCommand(world.service, 'status');
  expect(shown.stdout).toMatch(new RegExp(`^shop/sink-0 +${word} `, 'm'));
  const check = await runCommand(world.service, 'status', '--check');
  expect(check).toMatchObject({ code: exitCode, stdout: expect.stringContaining(reason) as string });
}

test('a sink paused under load holds its place, over a restart too, and after resume everything comes once in order', async () => {
  await createTables(world.database.client);
  const config = world.config({ sinks: [{ tables: TABLES }] });
  await world.start({ config });
  let events = 0;
  const writer = (async () => {
    for (let i = 0; i < 10; i++) events += await write(3);
  })();
  await waitFor(() => world.recorder.messages.length > 20, 'the first messages');
  expect(await askCommand(world.service, 'pause', 'sink-0')).toEqual({
    database: 'shop',
    name: 'sink-0',
    status: 'paused',
  });
  const whenPaused = world.recorder.counts.accepted;
  await writer;
  events += await write(5);
  await waitFor(async () => (await sinkNow()).lagBytes > 0, 'the changes to wait in the log');
  expect(await sinkNow()).toMatchObject({ state: 'paused', status: 'degraded', inFlight: 0 });
  await saysEverywhere('degraded', { exitCode: 1, reason: 'paused: nothing is delivered' });
  expect(world.recorder.counts.accepted).toBe(whenPaused);

  const { log } = world.service;
  expect(await world.service.stop()).toBe(0);
  const said = log.map(({ msg = '' }) => msg).join('\n');
  expect(said).toMatch(/^stopping: nothing is in flight; .* until \d\d:\d\d:\d\d at the latest/m);
  expect(said).toMatch(/^sink shop\/sink-0 stays behind: .* undelivered.*; delivered once it is resumed$/m);
  await world.start({ config });
  await waitFor(async () => {
    const { state, lagBytes } = await sinkNow();
    return state === 'paused' && lagBytes > 0;
  }, 'the choice to be remembered, and what waits');
  expect(world.recorder.counts.accepted).toBe(whenPaused);

  const resumed = await runCommand(world.service, 'resume', 'shop/sink-0');
  expect(resumed).toMatchObject({ code: 0, stdout: 'shop/sink-0 runs\n' });
  await waitFor(() => world.recorder.messages.length >= events, `${events} messages`);
  await waitFor(async () => (await sinkNow()).status === 'healthy', 'the sink to be well');
  await saysEverywhere('healthy', { exitCode: 0, reason: 'tailrace healthy: 1 database, 1 sink' });
  const replica = Replica.of(world.recorder.messages);
  expect({ changes: replica.changes, repeats: replica.repeats }).toEqual({ changes: events, repeats: 0 });
  expect(world.recorder.counts.duplicates).toBe(0);
  await replica.compareWith(world.database.client);
});

test('a disabled sink holds nothing: what the log has let go meanwhile is a gap on record, the rest is delivered', async () => {
  await world.database.client.query('create table t (id int primary key, note text)');
  const config = `${world.config({
    sinks: [
      { tables: ['t'], queue: 'a.fifo' },
      { tables: ['t'], queue: 'b.fifo' },
    ],
  })}
log: { retention: 0, segment_bytes: 64KB }
`;
  await world.start({ config });
  const insert = (from: number, to: number) =>
    world.database.client.query(
      "insert into t select i, repeat('x', 2000) from generate_series($1::int, $2::int) i",
      [from, to],
    );
  const bodiesOf = (queue: string) =>
    world.recorder
      .messagesOf(queue)
      .map(({ body }) => (JSON.parse(body) as { record: { id: number } }).record.id);
  await insert(1, 5);
  await waitFor(() => bodiesOf('b.fifo').length === 5, 'both sinks to deliver');
  await askCommand(world.service, 'disable', 'sink-1');
  const log = join(world.directory, 'data/log/shop');
  const [first] = listSegments(log);
  for (let i = 0; i < 5; i++) await insert(6 + i * 100, 105 + i * 100);
  await waitFor(() => bodiesOf('a.fifo').length === 505, 'the other sink to deliver');
  await waitFor(() => !existsSync(first!.path), 'the log to let go of what only the disabled sink lacks');
  expect(await sinkNow('sink-1')).toMatchObject({ state: 'disabled', gaps: [] });

  await askCommand(world.service, 'resume', 'sink-1');
  await insert(1001, 1001);
  await waitFor(() => bodiesOf('b.fifo').includes(1001), 'the sink to deliver again');
  // Requests in flight together arrive in any order.
  await waitFor(async () => (await sinkNow('sink-1')).lagBytes === 0, 'all of them to be settled');
  const gaps = await waitFor(async () => {
    const { gaps } = await sinkNow('sink-1');
    return gaps.length > 0 && gaps;
  }, 'the gap to show');
  expect(gaps).toHaveLength(1);
  expect(gaps[0]!.reason).toContain('no longer held');
  const delivered = bodiesOf('b.fifo');
  // From some change on everything, without a hole.
  const second = delivered.slice(5).toSorted((a, b) => a - b);
  const all = [...Array.from({ length: 505 }, (_, i) => i + 1), 1001];
  expect(second).toEqual(all.slice(-second.length));
  expect(second.length).toBeLessThan(500);
});

test('another destination in the configuration takes over where the old one ended', async () => {
  await world.database.client.query('create table t (id int primary key)');
  const config = (queue: string) => world.config({ sinks: [{ tables: ['t'], queue }] });
  await world.start({ config: config('old.fifo') });
  await world.database.client.query('insert into t select generate_series(1, 300)');
  await waitFor(() => world.recorder.messagesOf('old.fifo').length > 50, 'some messages');
  expect(await world.service.stop()).toBe(0);
  await world.start({ config: config('new.fifo') });
  await world.database.client.query('insert into t values (301)');
  await waitFor(() => world.recorder.messages.length === 301, 'all messages');
  const ids = world.recorder.messages.map(
    ({ body }) => (JSON.parse(body) as { record: { id: number } }).record.id,
  );
  expect(new Set(ids).size).toBe(301);
  expect(world.recorder.messagesOf('new.fifo').length).toBeGreaterThan(0);
});

test('a sink that leaves the configuration and comes back within the week goes on where it was', async () => {
  await world.database.client.query('create table t (id int primary key)');
  const a = { name: 'a', tables: ['t'], queue: 'a.fifo' };
  const b = { name: 'b', tables: ['t'], queue: 'b.fifo' };
  await world.start({ config: world.config({ sinks: [a, b] }) });
  await world.database.client.query('insert into t values (1)');
  await waitFor(() => world.recorder.messages.length === 2, 'both');
  expect(await world.service.stop()).toBe(0);
  await world.start({ config: world.config({ sinks: [a] }) });
  await world.database.client.query('insert into t values (2)');
  await waitFor(() => world.recorder.messages.length === 3, 'the one');
  expect(await world.service.stop()).toBe(0);
  await world.start({ config: world.config({ sinks: [a, b] }) });
  await waitFor(() => world.recorder.messagesOf('b.fifo').length === 2, 'what it missed');
  expect((await sinkNow('b')).gaps).toEqual([]);
});
