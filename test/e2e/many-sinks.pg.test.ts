// Ten sinks on the same tables, with formats, rules and filters of their own, under load and through kill -9: each has exactly what it
// has without the others, also the one that is far behind and reads alone.
import { expect, test } from 'vitest';
import { endToEnd } from '../support/end-to-end.ts';
import { connect } from '../support/postgres.ts';
import { startLoad } from '../support/load.ts';
import { waitFor } from '../support/wait.ts';
import { createTables, seededRandom, TABLES, type ChangeMessage } from '../support/workload.ts';

const world = endToEnd();

const KILLS = 3;
const SINKS = {
  one: '',
  other: '',
  // Its queue does not exist before the others have everything.
  late: '',
  rich: 'format: tailrace',
  wal: 'format: wal2json',
  wal_too: 'format: wal2json',
  narrow: 'tables: [{ name: public.*, columns: [id, version] }]',
  five: 'where: id = 5',
  few: 'where: id in (7, 8, 9, 100, 101)',
  third: 'where: version % 3 <> 0',
} as const;
type Name = keyof typeof SINKS;
const NAMES = Object.keys(SINKS) as Name[];

type Sent = { readonly body: string; readonly group: string | undefined };

const sentTo = (name: Name): Sent[] =>
  world.recorder.messagesOf(`${name}.fifo`).map(({ body, group }) => ({ body, group }));

const changeOf = ({ body }: Sent): ChangeMessage => JSON.parse(body) as ChangeMessage;

/** The message as if the sink had no name. */
const nameless = ({ body, ...rest }: Sent): Sent => ({
  body: body.replace(/"consumer":\{"id":"[^"]*","name":"[^"]*"/, '"consumer":{"id":"","name":""'),
  ...rest,
});

/** Queues take the groups in any order: each group's is what counts. */
const byGroup = (messages: readonly Sent[]): Record<string, Sent[]> =>
  Object.fromEntries(
    [...Map.groupBy(messages, ({ group }) => group ?? '')].sort(([a], [b]) => (a < b ? -1 : 1)),
  );

test('ten sinks beside each other have exactly what each has alone, through kills, a new column and a queue that is not there', async () => {
  const { client } = world.database;
  await createTables(client);
  for (const name of NAMES) if (name !== 'late') world.recorder.createQueue(`${name}.fifo`);
  const config = world.config({
    sinks: NAMES.map((name) => ({
      name,
      tables: TABLES,
      extra: SINKS[name],
      to: `type: sqs\nqueue_name: ${name}.fifo\nregion: us-east-1\nemulator_base_url: ${world.recorder.url}`,
    })),
  });
  // The slot must be there before the first change.
  await world.start({ config });
  expect(await world.service.stop()).toBe(0);
  const random = seededRandom(11);
  const { counts } = world.recorder;
  const load = startLoad({
    client,
    random,
    maxCount: 300,
    ids: { from: 0, to: 400 },
    // Six of them have every change as it comes.
    delivered: () => counts.accepted / 6,
    maxAhead: 1500,
  });
  for (let kill = 0; kill < KILLS; kill++) {
    world.launch({ config });
    const from = counts.accepted;
    await waitFor(() => counts.accepted > from + 3000, 'more messages');
    await world.service.kill();
  }
  await world.start({ config });
  const before = counts.accepted;
  const writer = await connect(world.database.url);
  await writer.query(`alter table ${TABLES[0]} add column extra text default 'new'`);
  await writer.end();
  await waitFor(() => counts.accepted > before + 6000, 'messages behind the new column');
  const events = await load.stop();
  const settled = (names: readonly Name[]) =>
    waitFor(
      async () =>
        (await world.service.health()).sinks
          .filter(({ name }) => names.includes(name as Name))
          .every(({ lagBytes, state }) => state === 'running' && lagBytes === 0),
      `${names.join(', ')} to have everything`,
      120_000,
    );
  await settled(NAMES.filter((name) => name !== 'late'));
  expect(sentTo('late')).toEqual([]);
  world.recorder.createQueue('late.fifo');
  await settled(NAMES);
  const { sinks } = await world.service.health();
  expect(sinks.map(({ deadLetters }) => deadLetters)).toEqual(NAMES.map(() => 0));
  expect(await world.service.stop()).toBe(0);

  const one = sentTo('one');
  expect(one).toHaveLength(events);
  expect(byGroup(sentTo('other').map(nameless))).toEqual(byGroup(one.map(nameless)));
  expect(byGroup(sentTo('late').map(nameless))).toEqual(byGroup(one.map(nameless)));
  expect(byGroup(sentTo('wal_too'))).toEqual(byGroup(sentTo('wal')));
  const keysOf = (messages: readonly Sent[]) =>
    new Set(messages.map((sent) => changeOf(sent).metadata.idempotency_key));
  expect(sentTo('rich')).toHaveLength(events);
  expect(keysOf(sentTo('rich'))).toEqual(keysOf(one));
  expect(one.some((sent) => changeOf(sent).record['extra'] === 'new')).toBe(true);

  for (const sent of sentTo('narrow'))
    expect(Object.keys(changeOf(sent).record).every((column) => ['id', 'version'].includes(column))).toBe(
      true,
    );
  expect(sentTo('narrow')).toHaveLength(events);
  const ids = (wanted: readonly number[]): Sent[] =>
    one.filter((sent) => wanted.includes(Number(changeOf(sent).record['id'])));
  const third = one.filter((sent) => {
    const { version } = changeOf(sent).record;
    return version === undefined || Number(version) % 3 !== 0;
  });
  for (const [name, expected] of [
    ['five', ids([5])],
    ['few', ids([7, 8, 9, 100, 101])],
    ['third', third],
  ] as const) {
    expect(expected.length).toBeGreaterThan(0);
    expect(expected.length).toBeLessThan(events);
    expect({ name, ...byGroup(sentTo(name).map(nameless)) }).toEqual({
      name,
      ...byGroup(expected.map(nameless)),
    });
  }
});
