// The endpoint down for minutes: no dead letter, nothing flushed that was not delivered, then every change.
import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { endToEnd } from '../support/end-to-end.ts';
import { waitFor } from '../support/wait.ts';

const world = endToEnd({ createMissing: true });

/** The length of the outage is the promise itself: retries would have run out long before. */
const OUTAGE_MS = Number(process.env['TAILRACE_TEST_OUTAGE_MS'] ?? 180_000);

test('an endpoint down for three minutes makes no dead letter, and losing the directory then loses no change (C234)', async () => {
  const { client } = world.database;
  await client.query('create table users (id int primary key, email text)');
  await client.query('create publication users_pub for table users');
  await client.query("select pg_create_logical_replication_slot($1, 'pgoutput')", [world.database.name]);
  const env = {
    PG2SQS_POSTGRES_CONN_HOST: world.database.host,
    PG2SQS_POSTGRES_CONN_PORT: String(world.database.port),
    PG2SQS_POSTGRES_CONN_DATABASE: world.database.name,
    PG2SQS_POSTGRES_CONN_USER: 'postgres',
    PG2SQS_POSTGRES_CONN_PASSWORD: 'postgres',
    PG2SQS_POSTGRES_REPL_PUB: 'users_pub',
    PG2SQS_POSTGRES_REPL_SLOT: world.database.name,
    PG2SQS_RETRYPOLICY_MAXRETRIES: '5',
    PG2SQS_RETRYPOLICY_INITIALBACKOFF: '1s',
    PG2SQS_RETRYPOLICY_MULTIPLIER: '1',
    PG2SQS_RETRYPOLICY_MAXBACKOFF: '2s',
    PG2SQS_T_0_NAME: 'public.users',
    PG2SQS_T_0_COLUMNS: 'all',
    PG2SQS_T_0_Q_NAME: 'users.fifo',
    PG2SQS_T_0_Q_GROUPID: '${%table%}${id}',
    AWS_ENDPOINT_URL_SQS: world.proxy.url,
    SERVER_PORT: '0',
  };
  const ids = (): number[] =>
    world.recorder.messages.map(({ body }) => (JSON.parse(body) as { id: number }).id);
  const confirmed = async (): Promise<string> => {
    const { rows } = await client.query<{ lsn: string }>(
      'select confirmed_flush_lsn::text as lsn from pg_replication_slots where slot_name = $1',
      [world.database.name],
    );
    return rows[0]!.lsn;
  };
  await world.start({ env });
  await client.query("insert into users select i, 'u' || i from generate_series(1, 100) i");
  await waitFor(async () => (await world.service.health()).sinks[0]!.delivered === 100, 'the first messages');
  await world.proxy.down();
  const downAt = performance.now();
  let written = 100;
  while (performance.now() - downAt < OUTAGE_MS) {
    await client.query("insert into users select i, 'u' || i from generate_series($1::int, $2::int) i", [
      written + 1,
      written + 100,
    ]);
    written += 100;
    await new Promise((done) => setTimeout(done, OUTAGE_MS / 60));
  }
  // More failures than maxRetries, and still no dead letter.
  const sink = await waitFor(async () => {
    const { sinks } = await world.service.health();
    return sinks[0]!.failedRequests > 5 ? sinks[0]! : undefined;
  }, 'more failed requests than maxRetries');
  expect(sink).toMatchObject({ deadLettered: 0, delivered: 100, status: 'degraded' });
  // The outage is said once, and once a minute while it lasts.
  const said = world.service.log.filter(({ msg }) => msg?.startsWith('route is') === true);
  expect(said.map(({ msg }) => msg)).toContain('route is down');
  expect(said.length).toBeLessThanOrEqual(3 + (performance.now() - downAt) / 60_000);
  // Postgres may not have been told of anything that was not delivered.
  const { rows } = await client.query<{ n: number }>(
    `select count(*)::int as n from pg_logical_slot_peek_binary_changes($1, null, null, 'proto_version', '1', 'publication_names', 'users_pub')
     where get_byte(data, 0) = ascii('I')`,
    [await copyOfSlot(await killed())],
  );
  expect(rows[0]!.n).toBeGreaterThanOrEqual(written - 100);
  rmSync(join(world.directory, 'data'), { recursive: true });
  await world.proxy.up();
  world.launch({ env });
  await waitFor(() => new Set(ids()).size >= written, `${written} changes`, 100_000);
  expect([...new Set(ids())].sort((a, b) => a - b)).toEqual(Array.from({ length: written }, (_, i) => i + 1));
  expect((await world.service.health()).sinks[0]).toMatchObject({ deadLettered: 0 });
  expect(await confirmed()).toMatch(/\//);

  /** kill -9, so that nothing is tidied up; then the slot is free. */
  async function killed(): Promise<string> {
    await world.service.kill();
    await waitFor(async () => {
      const { rows } = await client.query(
        'select 1 from pg_replication_slots where slot_name = $1 and not active',
        [world.database.name],
      );
      return rows.length === 1;
    }, 'the slot to be free');
    return world.database.name;
  }
  async function copyOfSlot(name: string): Promise<string> {
    await client.query("select pg_copy_logical_replication_slot($1::text, $1::text || '_copy')", [name]);
    return `${name}_copy`;
  }
}, 420_000);
