// The pull stream, end to end: real Postgres, the real process, workers over HTTP.
import { expect, test } from 'vitest';
import { endToEnd } from '../support/end-to-end.ts';
import { PullClient, runWorkers, type PulledMessage } from '../support/pull-workers.ts';
import { waitFor } from '../support/wait.ts';
import { createTables, Replica, seededRandom, TABLES, writeTransaction } from '../support/workload.ts';

const world = endToEnd();

const KILLS = 4;
const WORKERS = 12;

const streamConfig = (destination = '', extra = ''): string =>
  world.config({
    sinks: [{ name: 'changes', type: 'sequin_stream', tables: TABLES, destination, extra }],
  });

const clientOf = async (): Promise<PullClient> => new PullClient(await world.service.apiUrl(), 'changes');

/** Waits for messages. */
const messagesOf = (client: PullClient, { batchSize = 1 } = {}): Promise<PulledMessage[]> =>
  waitFor(async () => {
    const messages = await client.receive({ batchSize, waitFor: '10s' });
    return messages.length > 0 && messages;
  }, 'messages');

async function manage(method: string, path: string, body: unknown): Promise<void> {
  const response = await fetch(`${await world.service.apiUrl()}/api/sinks/changes${path}`, {
    method,
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify(body),
  });
  if (!response.ok) throw new Error(`${path}: ${response.status} ${await response.text()}`);
}

const pullStatus = async () => {
  const [sink] = (await world.service.health()).sinks;
  return sink?.pull;
};

test('a change is received as Sequin’s clients know it, acknowledged once, and settled', async () => {
  await createTables(world.database.client);
  await world.start({ config: streamConfig() });
  const client = await clientOf();
  const waiting = client.receive({ waitFor: '60s' });
  await world.database.client.query(`insert into users values (1, 1, 'a')`);
  const [message, ...others] = await waiting;
  expect(others).toEqual([]);
  expect(message).toMatchObject({
    ack_id: expect.stringMatching(/^[0-9a-f-]{36}$/),
    data: {
      record: { id: 1, version: 1, note: 'a' },
      changes: null,
      action: 'insert',
      metadata: { table_schema: 'public', table_name: 'users', consumer: { name: 'changes' } },
    },
  });
  await client.ack(message!);
  await waitFor(async () => (await world.service.health()).sinks[0]?.delivered === 1, 'it to be settled');
  expect(await client.receive()).toEqual([]);
  expect(await world.service.stop()).toBe(0);
});

test('workers that ack, give back, forget and die, over kill -9 of the service, get the exact set in order (C247)', async () => {
  await createTables(world.database.client);
  const config = streamConfig('visibility_timeout_ms: 1500');
  await world.start({ config });
  expect(await world.service.stop()).toBe(0);
  const random = seededRandom(9);
  const replica = new Replica();
  let client: PullClient | undefined;
  let version = 0;
  let events = 0;
  const stopped = new AbortController();
  const workers = runWorkers(
    {
      count: WORKERS,
      random,
      client: () => client,
      process: (message) => replica.apply(message),
    },
    stopped.signal,
  );
  for (let kill = 0; kill <= KILLS; kill++) {
    world.launch({ config });
    client = await clientOf();
    for (let transaction = 0; transaction < 8; transaction++) {
      events += await writeTransaction(world.database.client, {
        random,
        count: 1 + Math.floor(random() * 200),
        ids: { from: 0, to: 400 },
        nextVersion: () => ++version,
      });
    }
    if (kill === KILLS) break;
    const from = replica.changes;
    await waitFor(() => replica.changes > from + 100, '100 more changes');
    client = undefined;
    await world.service.kill();
  }
  await waitFor(() => replica.changes === events, `${events} changes`, 100_000);
  // The last leases end: everything is settled, and the stream is empty.
  await waitFor(
    async () =>
      (await world.service.health()).sinks[0]?.lagBytes === 0 && (await pullStatus())?.outstanding === 0,
    'everything to be settled',
  );
  stopped.abort();
  const log = await workers;
  expect(log.returned).toEqual([]);
  await replica.compareWith(world.database.client);
  // Work was repeated only where its acknowledgement had no answer, or came after a kill.
  expect(replica.repeats).toBeLessThanOrEqual(log.unanswered + KILLS * WORKERS * 40);
  expect(log.received).toBeLessThanOrEqual(events + log.failed + replica.repeats + KILLS * WORKERS * 40);
  expect(await world.service.stop()).toBe(0);
});

test('a message stays with its worker over kill -9, who acknowledges it afterwards', async () => {
  await createTables(world.database.client);
  const config = streamConfig();
  await world.start({ config });
  await world.database.client.query(`insert into users select g, 1 from generate_series(1, 10) g`);
  const before = await clientOf();
  const held = await messagesOf(before, { batchSize: 4 });
  await world.service.kill();
  await world.start({ config });
  const after = await clientOf();
  // At once, most likely before the log was read again.
  await after.ack(...held);
  const others: number[] = [];
  await waitFor(async () => {
    const messages = await after.receive({ batchSize: 10, waitFor: '10s' });
    others.push(...messages.map(({ data }) => Number(data.record['id'])));
    if (messages.length > 0) await after.ack(...messages);
    return others.length + held.length >= 10;
  }, 'the other messages');
  const heldIds = held.map(({ data }) => Number(data.record['id']));
  expect([...heldIds, ...others].sort((a, b) => a - b)).toEqual([1, 2, 3, 4, 5, 6, 7, 8, 9, 10]);
  const settled = await waitFor(async () => {
    const status = await pullStatus();
    return status?.outstanding === 0 && status;
  }, 'everything to be settled');
  expect(settled).toMatchObject({ available: 0, unknownAcks: 0 });
});

test('while the stream is paused nothing comes, and what workers have can be acknowledged', async () => {
  await createTables(world.database.client);
  await world.start({ config: streamConfig() });
  await world.database.client.query(`insert into users values (1, 1), (2, 1)`);
  const client = await clientOf();
  const held = await messagesOf(client, { batchSize: 1 });
  await manage('PATCH', '', { status: 'paused' });
  expect(await client.receive({ batchSize: 10 })).toEqual([]);
  const waiting = client.receive({ batchSize: 10, waitFor: '5m' });
  await client.ack(...held);
  await manage('PATCH', '', { status: 'active' });
  // Who waited is sent away without messages, and finds the rest.
  expect(await waiting).toEqual([]);
  const rest = await messagesOf(client, { batchSize: 10 });
  const idsOf = (messages: typeof rest): unknown[] => messages.map(({ data }) => data.record['id']);
  expect(new Set([...idsOf(held), ...idsOf(rest)])).toEqual(new Set([1, 2]));
});

test('after a rewind everything comes again from there, under other ids', async () => {
  await createTables(world.database.client);
  await world.start({ config: streamConfig() });
  await world.database.client.query(`insert into users values (1, 1)`);
  const client = await clientOf();
  const first = await messagesOf(client);
  await client.ack(...first);
  await manage('POST', '/rewind', { to: 'earliest' });
  const again = await messagesOf(client);
  expect(again.map(({ data }) => data)).toEqual(first.map(({ data }) => data));
  expect(again[0]!.ack_id).not.toBe(first[0]!.ack_id);
  await client.ack(...again);
  await waitFor(async () => (await pullStatus())?.outstanding === 0, 'the stream to be empty');
});

test('requests that wait end without messages when the service stops, and it stops at once', async () => {
  await createTables(world.database.client);
  await world.start({ config: streamConfig() });
  const client = await clientOf();
  await world.database.client.query(`insert into users values (1, 1)`);
  expect(await client.receive({ waitFor: '60s' })).toHaveLength(1);
  const waiting = client.receive({ waitFor: '5m' });
  await waitFor(async () => (await pullStatus())?.waiting === 1, 'the request to wait');
  const stopped = world.service.stop();
  expect(await waiting).toEqual([]);
  expect(await stopped).toBe(0);
});

test('a message that every worker gives back becomes a dead letter, the others pass, and it can be replayed', async () => {
  await createTables(world.database.client);
  await world.start({ config: streamConfig('', 'max_retry_count: 3') });
  await world.database.client.query(`insert into users select g, 1 from generate_series(1, 50) g`);
  const client = await clientOf();
  let refused = 0;
  const passed = new Set<unknown>();
  await waitFor(async () => {
    for (const message of await client.receive({ batchSize: 7, waitFor: '1s' })) {
      const { id } = message.data.record;
      if (id !== 13) passed.add(id);
      else refused++;
      await (id === 13 ? client.nack(message) : client.ack(message));
    }
    const [sink] = (await world.service.health()).sinks;
    return sink?.deadLettered === 1 && sink.lagBytes === 0;
  }, 'one dead letter and an empty stream');
  expect(passed.size).toBe(49);
  expect(refused).toBe(4);
  await manage('POST', '/dead_letters/replay', { all: true });
  const [replayed] = await messagesOf(client);
  expect(replayed!.data.record['id']).toBe(13);
  await client.ack(replayed!);
  await waitFor(async () => (await world.service.health()).sinks[0]?.deadLetters === 0, 'no dead letter');
});
