// Dead letters: a poison message stops nobody, and is delivered by a replay once its cause is gone.
import { expect, test } from 'vitest';
import { endToEnd } from '../support/end-to-end.ts';
import { askCommand, runCommand } from '../support/operator.ts';
import { waitFor } from '../support/wait.ts';

const world = endToEnd();

type Body = { record: { id: number; n: number; account: number } };
const bodyOf = (message: { readonly body: string }) => (JSON.parse(message.body) as Body).record;
type Letter = { id: number; code: string; state: string; attempts: number; table: string; payload: string };

let refuses: (record: Body['record']) => boolean = () => false;
const refusing = (): void => {
  world.proxy.decide = ({ action }) =>
    action === 'SendMessageBatch'
      ? {
          kind: 'entries',
          senderFault: true,
          code: 'InvalidMessageContents',
          refuse: (entry) => refuses((JSON.parse(entry.MessageBody) as Body).record),
        }
      : undefined;
};
const letters = async (): Promise<Letter[]> =>
  (
    await askCommand<{ dead_letters: Letter[] }>(
      world.service,
      'dead-letters',
      'list',
      'sink-0',
      '--limit',
      '1000',
    )
  ).dead_letters;

test('a poison message among 10,000: the others come once, and a replay delivers it when its cause is gone (C240)', async () => {
  await world.database.client.query('create table t (id int primary key, n int, account int)');
  refuses = ({ id }) => id === 4711;
  refusing();
  await world.start({
    config: world.config({ faulty: true, sinks: [{ tables: ['t'], destination: 'lanes: 8' }] }),
  });
  await world.database.client.query('insert into t select i, i, i from generate_series(1, 10000) i');
  await waitFor(() => world.recorder.messages.length === 9999, '9,999 messages');
  const [letter, ...others] = await waitFor(async () => {
    const found = await letters();
    return found.length > 0 && found;
  }, 'the dead letter');
  expect(others).toEqual([]);
  expect(letter).toMatchObject({
    code: 'InvalidMessageContents',
    state: 'dead',
    attempts: 1,
    table: 'public.t',
  });
  const shown = await askCommand<Letter>(world.service, 'dead-letters', 'show', 'sink-0', String(letter!.id));
  expect(bodyOf({ body: shown.payload }).id).toBe(4711);

  // The cause is still there: it comes back, with one more try.
  await askCommand(world.service, 'dead-letters', 'replay', 'sink-0', String(letter!.id));
  await waitFor(async () => {
    const [again] = await letters();
    return again?.state === 'dead' && again.attempts === 2;
  }, 'the letter to come back');
  refuses = () => false;
  expect(await askCommand(world.service, 'dead-letters', 'replay', 'sink-0', '--all')).toEqual({
    replaying: 1,
    without_payload: 0,
    of_lost_history: 0,
    sink_state: 'running',
  });
  await waitFor(async () => (await letters()).length === 0, 'the letter to be delivered');
  expect(world.recorder.messages).toHaveLength(10_000);
  expect(new Set(world.recorder.messages.map((message) => bodyOf(message).id)).size).toBe(10_000);
  expect(bodyOf(world.recorder.messages.at(-1)!).id).toBe(4711);
  expect(world.recorder.counts.duplicates).toBe(0);
  const sink = await waitFor(async () => {
    const [sink] = (await world.service.health()).sinks;
    return sink!.deadLetters === 0 && sink;
  }, 'the status to say so');
  expect(sink).toMatchObject({ delivered: 10_000, deadLettered: 1, replaying: 0, lagBytes: 0 });
  expect((await runCommand(world.service, 'dead-letters', 'replay', 'sink-0', '--all')).code).toBe(1);
});

test('a replay killed in the middle goes on after the restart: each letter once, in the order of its group', async () => {
  await world.database.client.query('create table t (id int primary key, n int, account int)');
  const GROUPS = 5;
  const LETTERS = 400;
  refuses = ({ n }) => n > 0;
  refusing();
  const config = world.config({
    faulty: true,
    sinks: [{ tables: ['t'], destination: 'group_id: "acct-${account}"' }],
  });
  await world.start({ config });
  await world.database.client.query(
    `insert into t select i, i, i % ${GROUPS} from generate_series(1, ${LETTERS}) i`,
  );
  await waitFor(async () => (await letters()).length === LETTERS, `${LETTERS} dead letters`);
  expect(world.recorder.messages).toEqual([]);
  refuses = () => false;
  await askCommand(world.service, 'dead-letters', 'replay', 'sink-0', '--table', 'public.t');
  for (const count of [20, 150]) {
    await waitFor(() => world.recorder.messages.length >= count, `${count} replayed`);
    await world.service.kill();
    await world.start({ config });
  }
  // Live changes of the same groups meanwhile.
  await world.database.client.query(`insert into t select -i, 0, i from generate_series(1, ${GROUPS - 1}) i`);
  await waitFor(async () => (await letters()).length === 0, 'all to be delivered');
  await waitFor(() => world.recorder.messages.length >= LETTERS + GROUPS - 1, 'the live ones');
  const records = world.recorder.messages.map(bodyOf);
  expect(records).toHaveLength(LETTERS + GROUPS - 1);
  for (let account = 0; account < GROUPS; account++) {
    const ns = records.filter((record) => record.account === account && record.n > 0).map(({ n }) => n);
    expect(ns).toEqual(ns.toSorted((a, b) => a - b));
    expect(ns).toHaveLength(LETTERS / GROUPS);
  }
});
