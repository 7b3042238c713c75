// Several databases in one process: independent of each other, also where they feed one queue.
import { afterEach, beforeEach, expect, test } from 'vitest';
import { endToEnd } from '../support/end-to-end.ts';
import { createTestDatabase, type TestDatabase } from '../support/postgres.ts';
import { waitFor } from '../support/wait.ts';

const world = endToEnd({ createMissing: true });
const ROWS = 200;

let other: TestDatabase;
beforeEach(async () => {
  other = await createTestDatabase();
});
afterEach(() => other.drop());

const database = (name: string, at: TestDatabase, port = at.port): string =>
  `  - { name: ${name}, hostname: ${at.host}, port: ${port}, database: ${at.name}, username: postgres, password: postgres,
      slot: { name: ${at.name}, create_if_not_exists: true }, publication: { name: ${at.name}, create_if_not_exists: true } }`;
const sink = (name: string, of: string): string =>
  `  - { name: ${name}, database: ${of}, source: { include_tables: [public.t] },
      destination: { type: sqs, queue_name: shared.fifo, region: us-east-1, emulator_base_url: "${world.recorder.url}" } }`;
const config = (databases: readonly string[]): string => `
databases:
${databases.join('\n')}
sinks:
${sink('a', 'first')}
${sink('b', 'second')}
${sink('c', 'second')}
api: { listen: "127.0.0.1:0" }
metrics: { listen: off }
`;

type Sent = { record: { id: number }; metadata: { consumer: { name: string } } };
const idsBySink = (): Record<string, number[]> => {
  const ids: Record<string, number[]> = {};
  for (const { body } of world.recorder.messages) {
    const { record, metadata } = JSON.parse(body) as Sent;
    (ids[metadata.consumer.name] ??= []).push(record.id);
  }
  return ids;
};
const sorted = (ids: readonly number[] = []): number[] => ids.toSorted((a, b) => a - b);
const ALL = Array.from({ length: ROWS }, (_, i) => i + 1);

test('the same keys of two databases, through several sinks into one queue, do not meet', async () => {
  for (const { client } of [world.database, other]) await client.query('create table t (id int primary key)');
  await world.start({ config: config([database('first', world.database), database('second', other)]) });
  for (const { client } of [world.database, other]) {
    await client.query('insert into t select generate_series(1, $1::int)', [ROWS]);
  }
  await waitFor(() => world.recorder.counts.accepted >= 3 * ROWS, 'every change of every sink');
  const ids = idsBySink();
  expect(sorted(ids['a'])).toEqual(ALL);
  expect(sorted(ids['b'])).toEqual(ALL);
  expect(sorted(ids['c'])).toEqual(ALL);
  expect(world.recorder.counts.duplicates).toBe(0);
});

test('a database that cannot be reached is named, and the others go on', async () => {
  const NOBODY = 1;
  await world.database.client.query('create table t (id int primary key)');
  world.launch({ config: config([database('first', world.database), database('second', other, NOBODY)]) });
  const health = await waitFor(async () => {
    const found = await world.service.health().catch(() => undefined);
    return found?.databases[0]?.state === 'streaming' ? found : undefined;
  }, 'the first database to stream');
  expect(health.status).not.toBe('healthy');
  expect(health.databases[1]).toMatchObject({ name: 'second', status: 'degraded' });
  await world.database.client.query('insert into t select generate_series(1, $1::int)', [ROWS]);
  await waitFor(() => world.recorder.counts.accepted >= ROWS, 'the changes of the first');
  expect(sorted(idsBySink()['a'])).toEqual(ALL);
});
