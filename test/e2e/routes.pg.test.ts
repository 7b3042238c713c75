// Routes from rows, end to end: order and accounting over fifty queues with kills, a queue that is down beside others, rows without a
// route, tables whose deletes would have none, and rows that move.
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { startCli } from '../support/cli.ts';
import { endToEnd } from '../support/end-to-end.ts';
import { startLoad } from '../support/load.ts';
import { askCommand } from '../support/operator.ts';
import { FAKE_AWS, saidBy } from '../support/service.ts';
import { waitFor } from '../support/wait.ts';
import { createTables, Replica, seededRandom, TABLES } from '../support/workload.ts';

const world = endToEnd({ createMissing: true });

const QUEUES = 50;
const KILLS = 3;

/** A command that reads the configuration anew. */
async function run(...argv: string[]) {
  const cli = startCli(argv, {
    cwd: world.directory,
    env: { TAILRACE_DATA_DIR: join(world.directory, 'data'), ...FAKE_AWS },
  });
  return { code: await cli.code, stdout: cli.stdout(), stderr: cli.stderr() };
}

type Letter = { id: number; action: string; code: string; state: string; route: string; reason: string };
const letters = async (): Promise<Letter[]> =>
  (await askCommand<{ dead_letters: Letter[] }>(world.service, 'dead-letters', 'list', 'sink-0'))
    .dead_letters;
type Body = { action: string; record: Record<string, unknown>; metadata: { moved?: string } };
const arrived = (): { queue: string; action: string; id: unknown; moved: string | undefined }[] =>
  world.recorder.messages.map(({ queue, body }) => {
    const { action, record, metadata } = JSON.parse(body) as Body;
    return { queue, action, id: record['id'], moved: metadata.moved };
  });

test(`rows that go from queue to queue of ${QUEUES}: each change once, in the order of its row, whatever kill -9 does`, async () => {
  const { client } = world.database;
  await createTables(client);
  // Every change takes the row to another queue.
  await client.query(`create function place() returns trigger language plpgsql as
    $$ begin new.region = 'r' || new.version % ${QUEUES}; return new; end $$`);
  for (const table of TABLES) {
    await client.query(`alter table ${table} add region text, replica identity full`);
    await client.query(
      `create trigger place before insert or update on ${table} for each row execute function place()`,
    );
  }
  const columns = TABLES.map((name) => `{ name: ${name}, columns: [version, note, amount] }`);
  const config = world.config({
    sinks: [{ queue: '"q-${row.region}.fifo"', tables: TABLES, extra: `tables: [${columns.join(', ')}]` }],
  });
  await world.start({ config });
  expect(await world.service.stop()).toBe(0);
  const random = seededRandom(11);
  const { recorder } = world;
  const load = startLoad({
    client,
    random,
    maxCount: 200,
    ids: { from: 0, to: 2000 },
    delivered: () => recorder.counts.accepted,
    maxAhead: 2500,
  });
  for (let kill = 0; kill < KILLS; kill++) {
    world.launch({ config });
    const from = recorder.counts.accepted;
    const more = 50 + Math.floor(random() * 800);
    await waitFor(() => recorder.counts.accepted > from + more, `${more} more messages`);
    await world.service.kill();
  }
  const events = await load.stop();
  world.launch({ config });
  await waitFor(() => recorder.counts.accepted >= events, `${events} messages`, 100_000);
  const replica = Replica.of(recorder.messages);
  expect([replica.changes, replica.repeats]).toEqual([events, 0]);
  await replica.compareWith(client);
  expect(new Set(recorder.messages.map(({ queue }) => queue)).size).toBe(QUEUES);
  const [sink] = (await world.service.health()).sinks;
  expect(sink!.deadLetters).toBe(0);
  expect(await world.service.stop()).toBe(0);
}, 300_000);

test('a queue that is down holds back its own rows; rows without a route are dead letters, which a default sends on', async () => {
  const { client } = world.database;
  await client.query('create table t (id int primary key, region text)');
  world.proxy.decide = ({ action, queue }) =>
    action === 'SendMessageBatch' && queue === 'q-dead.fifo'
      ? { kind: 'error', status: 503, code: 'ServiceUnavailable' }
      : undefined;
  const configFor = (queue: string): string =>
    world.config({
      faulty: true,
      sinks: [{ queue: `"${queue}"`, tables: ['t'], extra: 'actions: [insert, update]' }],
    });
  await world.start({ config: configFor('q-${row.region}.fifo') });
  const bad = ['x'.repeat(10_000), 'a/b', '%2e', '..', '\u{1F600}', 'line\nbreak', ''];
  await client.query(
    'insert into t select i, case when i % 3 = 0 then $1 else $2 end from generate_series(1, 300) i',
    ['dead', 'live'],
  );
  await client.query('insert into t select 1000 + i, v from unnest($1::text[]) with ordinality as u (v, i)', [
    bad,
  ]);
  await client.query('insert into t values (2000, null)');
  await client.query(`insert into t values (3000, 'live')`);
  await waitFor(() => world.recorder.messages.length === 201, 'what can be delivered');
  const found = await waitFor(async () => {
    const all = await letters();
    return all.length === bad.length + 1 && all;
  }, 'the dead letters');
  expect(new Set(found.map(({ code }) => code))).toEqual(new Set(['ROUTE_VALUE_UNFIT', 'ROUTE_VALUE_NULL']));
  expect(new Set(found.map(({ route }) => route))).toEqual(new Set(['q-${row.region}.fifo']));
  expect(JSON.stringify(found)).not.toMatch(/xxxx|a\/b|%2e/);
  expect(saidBy(world.service)).toContain('a change has no route or no group');
  // It says so twice a second.
  const routes = await waitFor(async () => {
    const [sink] = (await world.service.health()).sinks;
    return sink?.state === 'running' && sink.routes.length === 2 && sink.routes;
  }, 'the state of both routes');
  expect(Object.fromEntries(routes.map(({ id, health }) => [id, health]))).toEqual({
    'q-dead.fifo': 'degraded',
    'q-live.fifo': 'healthy',
  });
  const explained = await run('explain', 'sink-0', '--last', '2');
  expect(explained.stdout).toMatch(/dead .*q-\$\{row\.region\}\.fifo: .*row\.region is NULL/);
  expect(explained.stdout).toMatch(/sent to .*q-live\.fifo/);

  world.proxy.decide = () => undefined;
  await waitFor(() => world.recorder.messages.length === 301, 'what the queue did not take');
  expect(await world.service.stop()).toBe(0);

  // The cure that the letters name.
  await world.start({ config: configFor('q-${row.region:-other}.fifo') });
  await askCommand(world.service, 'dead-letters', 'replay', 'sink-0', '--all');
  await waitFor(() => world.recorder.messages.length === 301 + bad.length + 1, 'the letters');
  expect(world.recorder.messagesOf('q-other.fifo')).toHaveLength(bad.length + 1);
  await waitFor(async () => (await letters()).length === 0, 'no letters any more');
  expect(await world.service.stop()).toBe(0);
});

test('a table whose deletes would have no route is refused until the cure was run; then rows that move leave a delete behind', async () => {
  const { client } = world.database;
  await client.query('create table t (id int primary key, region text)');
  const config = world.config({
    sinks: [
      {
        queue: '"q-${row.region}.fifo"',
        tables: ['t'],
        extra: 'route_moves: convert\nretry: { max_backoff: 1s }',
      },
    ],
  });
  await world.start({ config });
  const halted = await waitFor(async () => {
    const [sink] = (await world.service.health()).sinks;
    return sink!.state === 'halted' && sink;
  }, 'the sink to be refused');
  expect(halted.reason).toMatch(
    /queue_name asks for region of public\.t, and a row that is deleted comes with its replica identity alone/,
  );
  const [cure] = /ALTER TABLE [^;]*;/.exec(halted.cure!)!;
  const doctor = await run('doctor');
  expect(doctor.stdout).toContain(cure);
  await client.query(cure);
  await client.query(`insert into t values (1, 'eu'), (2, 'eu')`);
  await askCommand(world.service, 'resume', 'sink-0');
  await waitFor(() => world.recorder.messages.length === 2, 'the rows', 60_000);
  await client.query(`update t set region = 'us' where id = 1`);
  await client.query(`update t set region = 'us', id = 3 where id = 2`);
  await client.query('delete from t where id = 1');
  await waitFor(() => world.recorder.messages.length === 7, 'the moves');
  const moves = arrived().slice(2);
  expect(moves.filter(({ id }) => id === 1)).toEqual([
    { queue: 'q-eu.fifo', action: 'delete', id: 1, moved: 'out' },
    { queue: 'q-us.fifo', action: 'insert', id: 1, moved: 'in' },
    { queue: 'q-us.fifo', action: 'delete', id: 1, moved: undefined },
  ]);
  expect(moves.filter(({ id }) => id !== 1)).toEqual([
    { queue: 'q-eu.fifo', action: 'delete', id: 2, moved: 'out' },
    { queue: 'q-us.fifo', action: 'insert', id: 3, moved: 'in' },
  ]);
  // To no route and from there to one, and to no route for good.
  await client.query(`insert into t values (4, 'eu')`);
  await client.query(`update t set region = 'a/b' where id = 4`);
  await client.query(`update t set region = 'us' where id = 4`);
  await client.query('update t set region = null where id = 4');
  await client.query('delete from t where id = 4');
  const found = await waitFor(async () => {
    const all = await letters();
    return all.length === 3 && all;
  }, 'the dead letters');
  expect(found.map(({ action, code }) => `${action} ${code}`).toSorted()).toEqual([
    'delete ROUTE_VALUE_NULL',
    'insert ROUTE_VALUE_NULL',
    'insert ROUTE_VALUE_UNFIT',
  ]);
  expect(arrived().slice(7)).toEqual([
    { queue: 'q-eu.fifo', action: 'insert', id: 4, moved: undefined },
    { queue: 'q-eu.fifo', action: 'delete', id: 4, moved: 'out' },
    { queue: 'q-us.fifo', action: 'insert', id: 4, moved: 'in' },
    { queue: 'q-us.fifo', action: 'delete', id: 4, moved: 'out' },
  ]);
  expect(await world.service.stop()).toBe(0);
});
