// A wall clock that is set while the service runs, back and forth by an hour: nothing waits for it.
import { expect, test } from 'vitest';
import { endToEnd } from '../support/end-to-end.ts';
import { PullClient } from '../support/pull-workers.ts';
import { waitFor } from '../support/wait.ts';
import type { Fault } from '../support/fault-proxy.ts';
import { createTables, Replica, seededRandom, TABLES, writeTransaction } from '../support/workload.ts';

const world = endToEnd();

const CLOCK = new URL('../support/jumping-clock.ts', import.meta.url).href;
const env = { NODE_OPTIONS: `--import=${CLOCK}` };
const VISIBILITY_MS = 3000;
const TRANSACTIONS = 40;
const HALF_AN_HOUR_MS = 1_800_000;

test('a wall clock that jumps by an hour holds up no delivery, acknowledgement, retry or lease', async () => {
  await createTables(world.database.client);
  const random = seededRandom(14);
  const faults: readonly Fault[] = [
    { kind: 'error', status: 500, code: 'InternalError' },
    { kind: 'error', status: 400, code: 'ThrottlingException' },
    { kind: 'entries', senderFault: false, refuse: () => random() < 0.3 },
  ];
  world.proxy.decide = ({ action }) =>
    action === 'SendMessageBatch' && random() < 0.2
      ? faults[Math.floor(random() * faults.length)]
      : undefined;
  const config = world.config({
    faulty: true,
    sinks: [
      { name: 'queue', tables: TABLES, extra: 'retry: { initial_backoff: 20ms, max_backoff: 200ms }' },
      {
        name: 'pull',
        type: 'sequin_stream',
        tables: ['held'],
        destination: `visibility_timeout_ms: ${VISIBILITY_MS}`,
      },
    ],
  });
  await world.database.client.query('create table held (id int primary key)');
  await world.start({ config, env });

  await world.database.client.query('insert into held values (1), (2)');
  const client = new PullClient(await world.service.apiUrl(), 'pull');
  const receive = (batchSize: number) =>
    waitFor(async () => {
      const messages = await client.receive({ batchSize, waitFor: '1s' });
      return messages.length > 0 && messages;
    }, 'a message');
  const receivedAt = performance.now();
  const [first] = await receive(1);
  const [second] = await receive(1);
  expect(second!.data.record['id']).not.toEqual(first!.data.record['id']);

  let events = 0;
  let version = 0;
  for (let i = 0; i < TRANSACTIONS; i++) {
    events += await writeTransaction(world.database.client, {
      random,
      count: 1 + Math.floor(random() * 60),
      ids: { from: 0, to: 200 },
      nextVersion: () => ++version,
    });
    await new Promise((done) => setTimeout(done, 50));
  }
  await waitFor(() => world.recorder.messages.length >= events, `${events} messages`, 60_000);
  const replica = Replica.of(world.recorder.messages);
  expect(replica.changes).toBe(events);
  await replica.compareWith(world.database.client);

  // The lease of each ends once, when its time is over and not before.
  const again = await receive(2);
  const heldMs = performance.now() - receivedAt;
  expect(heldMs).toBeGreaterThanOrEqual(VISIBILITY_MS);
  const ids = new Set(
    [...again, ...(again.length === 2 ? [] : await receive(1))].map(({ ack_id: id }) => id),
  );
  expect(ids).toEqual(new Set([first!.ack_id, second!.ack_id]));
  await client.ack(first!, second!);

  const {
    rows: [end],
  } = await world.database.client.query<{ lsn: string }>('select pg_current_wal_lsn()::text as lsn');
  await waitFor(async () => {
    const { rows } = await world.database.client.query<{ passed: boolean }>(
      `select confirmed_flush_lsn >= $1::pg_lsn as passed from pg_replication_slots where database = current_database()`,
      [end!.lsn],
    );
    return rows[0]?.passed === true;
  }, 'Postgres to be told that all of it is delivered');

  // The log lines say that it was set indeed.
  const times = world.service.log
    .map(({ time }) => Date.parse(String(time)))
    .filter((time) => !Number.isNaN(time));
  expect(times.some((time) => Math.abs(time - Date.now()) > HALF_AN_HOUR_MS)).toBe(true);
  expect(await world.service.stop()).toBe(0);
});
