// Another publication at a restart in the middle of a transaction: its changes are numbered otherwise, and none is lost.
import { expect, onTestFinished, test } from 'vitest';
import { endToEnd } from '../support/end-to-end.ts';
import { startWireProxy } from '../support/postgres-wire.ts';
import { waitFor } from '../support/wait.ts';
import type { ChangeMessage } from '../support/workload.ts';

const world = endToEnd();
const ROWS = 20_000;
/** A part of what these rows are. */
const ALLOWED_BYTES = 3 * 1024 * 1024;

const sql = (text: string) => world.database.client.query(text);

test('a kill in the middle of a large transaction, and another publication after it, loses no row', async () => {
  const { database } = world;
  await sql('create table a (id int primary key, note text); create table b (id int primary key, note text)');
  await sql('create publication a_and_b for table a, b; create publication only_b for table b');
  const proxy = await startWireProxy({ host: database.host, port: database.port });
  onTestFinished(() => proxy.close());
  const config = (publication: string): string =>
    world
      // One group: there the queue knows every key again, not only those of one row.
      .config({ sinks: [{ tables: ['b'], extra: 'same_group: ordered', destination: 'group_id: all' }] })
      .replace(`port: ${database.port}`, `port: ${proxy.port}`)
      .replace(`publication: { name: ${database.name}`, `publication: { name: ${publication}`);
  await world.start({ config: config('a_and_b') });
  await sql(`insert into b values (${ROWS + 3})`);
  await waitFor(() => world.recorder.counts.accepted === 1, 'the first row');
  proxy.silenceAfter(ALLOWED_BYTES);
  // Of each pair only the second is the sink's: its number is odd under one publication, and any under the other.
  await sql(`do $$ begin for i in 1..${ROWS} loop
    insert into a values (i, repeat('x', 500)); insert into b values (i, repeat('x', 500)); end loop; end $$`);
  await waitFor(async () => {
    const { databases, sinks } = await world.service.health();
    const isThere = databases[0]!.receivedBytes > ALLOWED_BYTES / 2;
    return isThere && sinks[0]!.delivered > 1 && sinks[0]!.lagBytes === 0;
  }, 'what has come to be delivered');
  const delivered = world.recorder.counts.accepted - 1;
  expect(delivered).toBeGreaterThan(0);
  expect(delivered).toBeLessThan(ROWS);
  await world.service.kill();
  proxy.restore();
  // The server does not know that nobody listens any more.
  await sql(
    `select pg_terminate_backend(active_pid) from pg_replication_slots where slot_name = '${database.name}'`,
  );
  await world.start({ config: config('only_b') });
  await sql(`insert into b values (${ROWS + 1})`);
  const ids = (): number[] =>
    world.recorder.messages.map(({ body }) => Number((JSON.parse(body) as ChangeMessage).record['id']));
  await waitFor(() => ids().includes(ROWS + 1), 'everything to be delivered', 100_000);
  expect(new Set(ids()).size).toBe(ROWS + 2);
  // What had been delivered comes again, under keys of its own: a FIFO queue would have swallowed others in its place.
  expect(world.recorder.messages).toHaveLength(ROWS + 2 + delivered);
  expect(world.recorder.counts.duplicates).toBe(0);
  // And once more over a restart: the salt stays.
  expect(await world.service.stop()).toBe(0);
  await world.start({ config: config('only_b') });
  await sql(`insert into b values (${ROWS + 2})`);
  await waitFor(() => ids().includes(ROWS + 2), 'the next row');
  expect(world.recorder.messages).toHaveLength(ROWS + 3 + delivered);
}, 300_000);
