// A table's primary key is replaced under load, live and in a backlog: the changes of no row pass each other.
import { expect, test } from 'vitest';
import { endToEnd } from '../support/end-to-end.ts';
import { connect } from '../support/postgres.ts';
import { waitFor } from '../support/wait.ts';
import type { ChangeMessage } from '../support/workload.ts';

const world = endToEnd();

const ROWS = 40;
const ROUNDS_AFTER = 20;

const messages = (): ChangeMessage[] =>
  world.recorder.messages.map(({ body }) => JSON.parse(body) as ChangeMessage);
const sink = async () => (await world.service.health()).sinks[0]!;

test('a primary key replaced while rows are written, and one of them is refused, lets no change pass an earlier one of its row', async () => {
  const { client } = world.database;
  await client.query('create table t (a int primary key, b int not null unique, n int not null)');
  await client.query(`insert into t select i, 1000 + i, 0 from generate_series(1, ${ROWS}) i`);
  let refused = 0;
  world.proxy.decide = ({ action }) =>
    action === 'SendMessageBatch' && refused < 12
      ? {
          kind: 'entries',
          senderFault: false,
          refuse: ({ MessageGroupId }) => MessageGroupId?.endsWith(':1') === true && refused++ < 12,
        }
      : undefined;
  const config = world.config({
    faulty: true,
    sinks: [{ tables: ['t'], extra: 'retry: { initial_backoff: 100ms, max_backoff: 100ms }' }],
  });
  await world.start({ config });
  const writer = await connect(world.database.url);
  let isReplaced = false;
  let rounds = 0;
  const load = (async () => {
    for (let left = ROUNDS_AFTER; left > 0; left -= isReplaced ? 1 : 0) {
      await writer.query('update t set n = $1', [++rounds]);
    }
  })();
  await waitFor(() => refused > 0, 'the row 1 to be refused');
  await client.query('alter table t drop constraint t_pkey, add primary key (b)');
  isReplaced = true;
  await load;
  await writer.end();
  await waitFor(() => world.recorder.messages.length >= ROWS * rounds, 'every update');
  const ofRows = new Map<unknown, number[]>();
  for (const { record } of messages()) {
    const seen = ofRows.get(record['b']) ?? [];
    ofRows.set(record['b'], [...seen, record['n'] as number]);
  }
  const inOrder = Array.from({ length: rounds }, (_, i) => i + 1);
  expect(ofRows.size).toBe(ROWS);
  for (const [row, seen] of ofRows) expect(seen, `row ${String(row)}`).toEqual(inOrder);
  const groups = new Set(world.recorder.messages.map(({ group }) => group));
  expect(groups.size).toBe(2 * ROWS);
  await waitFor(async () => (await sink()).delivered === ROWS * rounds, 'the sink to say so');
  expect(await sink()).toMatchObject({ inversions: 0, deadLettered: 0, parked: 0 });
});

test('a backlog under identity FULL that is older than the key is not grouped by it, and what comes after is', async () => {
  const { client } = world.database;
  await client.query('create table f (a int primary key, b int not null unique, n int not null)');
  await client.query('alter table f replica identity full');
  const config = world.config({
    faulty: true,
    sinks: [{ tables: ['f'], extra: 'retry: { initial_backoff: 100ms, max_backoff: 100ms }' }],
  });
  await world.start({ config });
  await client.query('insert into f values (1, 1, 0), (2, 2, 0)');
  await waitFor(() => messages().length === 2, 'the rows');
  expect(
    world.recorder.messages.map(({ group }) => group).toSorted((a, b) => String(a).localeCompare(String(b))),
  ).toEqual(['public.f:1', 'public.f:2']);
  await world.service.kill();
  let refused = 0;
  world.proxy.decide = ({ action }) =>
    action === 'SendMessageBatch' && refused < 5
      ? {
          kind: 'entries',
          senderFault: false,
          refuse: ({ MessageBody }) => MessageBody.includes('"action":"delete"') && refused++ < 5,
        }
      : undefined;
  // By the key of then one row, by the key of now two.
  await client.query('delete from f where a = 1');
  await client.query('insert into f values (1, 7, 1)');
  await client.query('alter table f drop constraint f_pkey, add primary key (b)');
  await client.query('update f set n = 2');
  await world.start({ config });
  await waitFor(() => messages().length === 6, 'the backlog');
  await client.query('update f set n = 3 where b = 7');
  await waitFor(() => messages().length === 7, 'what comes after');
  const said = world.recorder.messages.slice(2).map(({ body, group }) => {
    const { action, record } = JSON.parse(body) as ChangeMessage;
    return `${action} ${String(record['b'])} ${group}`;
  });
  expect(said.slice(0, 2)).toEqual(['delete 1 public.f', 'insert 7 public.f']);
  expect(said.slice(2, 4).toSorted()).toEqual(['update 2 public.f:2', 'update 7 public.f:7']);
  expect(said[4]).toBe('update 7 public.f:7');
});
