// The promise, end to end: real Postgres, the real process, the wire of SQS.
import { expect, test } from 'vitest';
import { endToEnd } from '../support/end-to-end.ts';
import { waitFor } from '../support/wait.ts';
import { connect } from '../support/postgres.ts';
import {
  createTables,
  Replica,
  seededRandom,
  TABLES,
  writeTransaction,
  type ChangeMessage,
} from '../support/workload.ts';

const world = endToEnd();

const bodies = (): ChangeMessage[] =>
  world.recorder.messages.map(({ body }) => JSON.parse(body) as ChangeMessage);

test('thousands of random changes on several tables arrive exactly once and make the same tables', async () => {
  await createTables(world.database.client);
  const running = await world.start({ config: world.config({ sinks: [{ tables: TABLES }] }) });
  const random = seededRandom(1);
  let version = 0;
  let events = 0;
  for (let transaction = 0; transaction < 60; transaction++) {
    events += await writeTransaction(world.database.client, {
      random,
      count: transaction % 20 === 0 ? 1000 : 1 + Math.floor(random() * 60),
      ids: { from: 0, to: 2000 },
      nextVersion: () => ++version,
    });
  }
  await waitFor(() => world.recorder.messages.length >= events, `${events} messages`);
  const replica = Replica.of(world.recorder.messages);
  expect(replica.changes).toBe(events);
  expect(replica.repeats).toBe(0);
  expect(world.recorder.counts.duplicates).toBe(0);
  await replica.compareWith(world.database.client);
  expect(await running.stop()).toBe(0);
});

test('a row updated twice in one transaction arrives twice, in order, on a FIFO queue (C227)', async () => {
  await createTables(world.database.client);
  await world.start({ config: world.config({ sinks: [{ tables: ['users'] }] }) });
  await world.database.client.query(`
    begin;
    insert into users values (1, 1, 'a');
    update users set version = 2 where id = 1;
    update users set version = 3 where id = 1;
    commit`);
  await waitFor(() => world.recorder.messages.length >= 3, 'three messages');
  expect(bodies().map(({ action, record }) => [action, record['version']])).toEqual([
    ['insert', 1],
    ['update', 2],
    ['update', 3],
  ]);
  expect(new Set(world.recorder.messages.map(({ dedup }) => dedup)).size).toBe(3);
  expect(new Set(world.recorder.messages.map(({ group }) => group)).size).toBe(1);
});

test('a clean stop and start repeats nothing and loses nothing (C151)', async () => {
  await createTables(world.database.client);
  const config = world.config({ sinks: [{ tables: TABLES }] });
  const random = seededRandom(2);
  let version = 0;
  let events = 0;
  for (let round = 0; round < 4; round++) {
    const running = await world.start({ config });
    for (let transaction = 0; transaction < 10; transaction++) {
      events += await writeTransaction(world.database.client, {
        random,
        count: 100,
        ids: { from: 0, to: 500 },
        nextVersion: () => ++version,
      });
    }
    expect(await running.stop()).toBe(0);
    // Written while nobody listens.
    events += await writeTransaction(world.database.client, {
      random,
      count: 50,
      ids: { from: 0, to: 500 },
      nextVersion: () => ++version,
    });
  }
  await world.start({ config });
  await waitFor(() => world.recorder.messages.length >= events, `${events} messages`);
  const replica = Replica.of(world.recorder.messages);
  expect(replica.changes).toBe(events);
  expect(world.recorder.counts.duplicates).toBe(0);
  await replica.compareWith(world.database.client);
});

test('transactions whose commit begins exactly where the last one ended are delivered across restarts (C147)', async () => {
  await world.database.client.query(
    'create table t (id bigint generated always as identity primary key, w int)',
  );
  const config = world.config({ sinks: [{ tables: ['t'] }] });
  // The slot must be there before the first change.
  expect(await (await world.start({ config })).stop()).toBe(0);
  const writers = await Promise.all(Array.from({ length: 8 }, () => connect(world.database.url)));
  let stop = false;
  let written = 0;
  const writing = writers.map(async (client, w) => {
    while (!stop) {
      await client.query('insert into t (w) values ($1)', [w]);
      written++;
    }
    await client.end();
  });
  for (let round = 0; round < 4; round++) {
    const before = written;
    const running = await world.start({ config });
    await waitFor(() => written > before + 400, 'more transactions');
    await (round % 2 === 0 ? running.kill() : running.stop());
  }
  stop = true;
  await Promise.all(writing);
  await world.start({ config });
  await waitFor(() => world.recorder.counts.accepted >= written, `${written} messages`);
  const ids = bodies().map(({ record }) => Number(record['id']));
  expect(new Set(ids).size).toBe(written);
  expect(ids.length).toBe(written);
});
