// A large transaction while the sink takes nothing, and while its thread does nothing: the server never takes us for dead.
import { existsSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { expect, test } from 'vitest';
import { readSlot } from '../../src/postgres/preflight/slot.ts';
import { endToEnd } from '../support/end-to-end.ts';
import { waitFor } from '../support/wait.ts';

const world = endToEnd();
const BLOCKED_THREAD = resolve(import.meta.dirname, '../support/blocked-thread.ts');

/** How long the sink is blocked is the promise itself: several times what the server waits for a sign of life. */
const BLOCK_MS = Number(process.env['TAILRACE_TEST_BLOCK_MS'] ?? 12_000);
const SENDER_TIMEOUT = process.env['TAILRACE_TEST_SENDER_TIMEOUT'] ?? '2s';
const ROWS = Number(process.env['TAILRACE_TEST_BLOCK_ROWS'] ?? 100_000);
const THREAD_MS = 3_000;

test('neither a blocked sink nor a blocked thread of it costs the connection, or begins the transaction anew', async () => {
  const { client, name } = world.database;
  await client.query('create table users (id int primary key, note text)');
  await client.query(`alter database ${name} set wal_sender_timeout = '${SENDER_TIMEOUT}'`);
  const file = join(world.directory, 'block');
  await world.start({
    config: world.config({
      faulty: true,
      sinks: [
        { name: 'users', tables: ['users'], extra: 'message_grouping: false', destination: 'timeout: 10m' },
      ],
    }),
    env: { TAILRACE_TEST_BLOCK_FILE: file },
    nodeArgs: ['--import', BLOCKED_THREAD],
  });
  const before = await readSlot(client, name);
  expect(before?.activePid).toBeDefined();
  // Nothing is answered any more.
  world.proxy.decide = ({ action }) => (action === 'SendMessageBatch' ? { kind: 'hang' } : undefined);
  const blockedAt = performance.now();
  await client.query(
    `insert into users select i, repeat(md5(i::text), 8) from generate_series(1, $1::int) i`,
    [ROWS],
  );
  await waitFor(() => world.proxy.counts.hanging > 0, 'the sink to hang', 120_000);
  writeFileSync(file, String(THREAD_MS));
  await waitFor(() => existsSync(`${file}.done`), 'the thread to have been blocked');
  await waitFor(
    () => performance.now() - blockedAt > BLOCK_MS,
    'the sink to have been blocked',
    BLOCK_MS * 3,
  );
  await waitFor(
    async () => (await world.service.health()).databases[0]!.changes === ROWS,
    'the whole transaction to be read',
    300_000,
  );
  const { databases } = await world.service.health();
  expect(databases[0]).toMatchObject({ state: 'streaming', reconnects: 0, transactions: 1 });
  expect((await readSlot(client, name))?.activePid).toBe(before?.activePid);
});
