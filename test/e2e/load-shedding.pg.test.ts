// `load_shedding_policy: discard_on_full`: a dead sink cannot fill the disk, and what it gives up is on record.
import { expect, test } from 'vitest';
import { endToEnd } from '../support/end-to-end.ts';
import { waitFor } from '../support/wait.ts';

const world = endToEnd({ createMissing: true });

const ROWS = 12_000;
const BATCH = 1000;
const NOTE_BYTES = 2000;
const MAX_LOG_BYTES = 8 * 1024 * 1024;
const SEGMENT_BYTES = 1024 * 1024;
/** As many changes have no room in the log, whatever else stands in it. */
const TOO_MANY = ROWS - Math.floor(MAX_LOG_BYTES / NOTE_BYTES);

const queue = (name: string, endpoint: string): string =>
  `{ type: sqs, queue_name: ${name}, region: us-east-1, emulator_base_url: "${endpoint}" }`;
const config = (): string => `
databases:
  - { name: shop, hostname: ${world.database.host}, port: ${world.database.port}, database: ${world.database.name},
      username: postgres, password: postgres, slot: { name: ${world.database.name}, create_if_not_exists: true, ack: durable },
      publication: { name: ${world.database.name}, create_if_not_exists: true } }
sinks:
  - { name: healthy, database: shop, source: { include_tables: [public.t] }, destination: ${queue('healthy.fifo', world.recorder.url)} }
  - { name: dead, database: shop, source: { include_tables: [public.t] }, load_shedding_policy: discard_on_full,
      retry: { max_backoff: 300ms }, destination: ${queue('dead.fifo', world.proxy.url)} }
log: { max_bytes: ${MAX_LOG_BYTES}, segment_bytes: ${SEGMENT_BYTES}, retention: 0s }
api: { listen: "127.0.0.1:0" }
metrics: { listen: off }
`;

const idsOf = (name: string): number[] =>
  world.recorder
    .messagesOf(`${name}.fifo`)
    .map(({ body }) => (JSON.parse(body) as { record: { id: number } }).record.id);

test('a dead sink gives up what the log has no room for, with a record; the others never notice (C250)', async () => {
  await world.database.client.query('create table t (id int primary key, note text)');
  let isDead = true;
  world.proxy.decide = ({ action }) =>
    action === 'SendMessageBatch' && isDead
      ? { kind: 'error', status: 503, code: 'ServiceUnavailable', message: 'down' }
      : undefined;
  await world.start({ config: config() });
  const dead = async () => (await world.service.health()).sinks.find(({ name }) => name === 'dead')!;
  for (let from = 1; from <= ROWS; from += BATCH) {
    await world.database.client.query(
      `insert into t select i, repeat('x', ${NOTE_BYTES}) from generate_series($1::int, $2::int) i`,
      [from, from + BATCH - 1],
    );
  }
  await waitFor(() => idsOf('healthy').length === ROWS, 'the healthy sink to have everything', 60_000);
  // What a thread has done is told a little after it was done.
  await waitFor(
    async () => {
      const { databases } = await world.service.health();
      return databases[0]!.logBytes < MAX_LOG_BYTES && (await dead()).discarded >= TOO_MANY;
    },
    'the log to be within its budget, and what that cost to be told',
    30_000,
  );
  isDead = false;
  const after = await waitFor(
    async () => {
      const status = await dead();
      return status.delivered + status.discarded === ROWS && status.status === 'healthy' ? status : undefined;
    },
    'every change to be delivered or discarded',
    60_000,
  );
  expect(after.discarded).toBeGreaterThanOrEqual(TOO_MANY);
  expect(idsOf('dead').toSorted((a, b) => a - b)).toEqual(
    Array.from({ length: ROWS - after.discarded }, (_, i) => after.discarded + 1 + i),
  );
  expect(after.gaps.reduce((sum, { changes = 0 }) => sum + changes, 0)).toBe(after.discarded);
  expect(after.gaps[0]!.reason).toContain('discard_on_full');
  expect(idsOf('healthy')).toHaveLength(ROWS);
  expect(await world.service.stop()).toBe(0);
  expect(world.service.log.some(({ msg }) => msg === 'the sink has discarded these changes')).toBe(true);
}, 180_000);
