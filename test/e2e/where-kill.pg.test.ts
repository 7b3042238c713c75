// Filters at full speed through kill -9: what passes arrives once and in order, what does not never, and a copy that follows its rows in
// and out is what the filter selects.
import { expect, test } from 'vitest';
import { endToEnd } from '../support/end-to-end.ts';
import { startLoad } from '../support/load.ts';
import { waitFor } from '../support/wait.ts';
import { createTables, seededRandom, TABLES, type ChangeMessage } from '../support/workload.ts';

const world = endToEnd();

const KILLS = 4;

type Arrived = { readonly group: string | undefined; readonly message: ChangeMessage };

const arrived = (queue: string): Arrived[] =>
  world.recorder
    .messagesOf(queue)
    .map(({ body, group }) => ({ group, message: JSON.parse(body) as ChangeMessage }));

const placeOf = ({ metadata }: ChangeMessage): string => `${metadata.commit_lsn}:${metadata.commit_idx}`;
const compare = (a: ChangeMessage, b: ChangeMessage): number =>
  a.metadata.commit_lsn - b.metadata.commit_lsn || a.metadata.commit_idx - b.metadata.commit_idx;

/** What `version % 3 <> 0` lets through; a delete without its columns passes. */
const passes = ({ record }: ChangeMessage): boolean =>
  record['version'] === undefined || Number(record['version']) % 3 !== 0;

/** Neighbours in one group that arrived the other way round. */
function inversions(messages: readonly Arrived[]): string[] {
  const last = new Map<string | undefined, ChangeMessage>();
  return messages.flatMap(({ group, message }) => {
    const before = last.get(group);
    last.set(group, message);
    return before === undefined || compare(before, message) < 0
      ? []
      : `${placeOf(before)} ${placeOf(message)}`;
  });
}

/** What a consumer has of a table that upserts and deletes by key. */
function copyOf(table: string, messages: readonly Arrived[]): Record<string, unknown>[] {
  const copy = new Map<unknown, Record<string, unknown>>();
  for (const { message } of messages) {
    const { action, record, changes, metadata } = message;
    if (metadata.table_name !== table) continue;
    if (changes?.['id'] !== undefined) copy.delete(changes['id']);
    if (action === 'delete') copy.delete(record['id']);
    else copy.set(record['id'], record);
  }
  return [...copy.values()].sort((a, b) => Number(a['id']) - Number(b['id']));
}

test('kill -9 under load: a filter lets through exactly what it should, in order, and a filtered copy is what it selects', async () => {
  const { client } = world.database;
  await createTables(client);
  await client.query('alter table events replica identity using index events_pkey');
  const config = world.config({
    sinks: [
      { name: 'all', queue: 'all.fifo', tables: TABLES },
      { name: 'some', queue: 'some.fifo', tables: TABLES, extra: 'where: version % 3 <> 0' },
      {
        name: 'copy',
        queue: 'copy.fifo',
        tables: TABLES,
        extra: `where: "amount % 4 < 2 and note is not null"\nwhere_moves: convert`,
      },
    ],
  });
  // The slot must be there before the first change.
  await world.start({ config });
  expect(await world.service.stop()).toBe(0);
  const random = seededRandom(5);
  const { counts } = world.recorder;
  const load = startLoad({
    client,
    random,
    maxCount: 300,
    ids: { from: 0, to: 1600 },
    delivered: () => world.recorder.messagesOf('all.fifo').length,
    maxAhead: 6000,
  });
  for (let kill = 0; kill < KILLS; kill++) {
    world.launch({ config });
    const from = counts.accepted;
    const more = 50 + Math.floor(random() * 4000);
    await waitFor(() => counts.accepted > from + more, `${more} more messages`);
    await world.service.kill();
  }
  const events = await load.stop();
  await world.start({ config });
  await waitFor(() => world.recorder.messagesOf('all.fifo').length >= events, `${events} messages`, 100_000);
  const { sinks } = await world.service.health();
  expect(sinks.map(({ deadLetters }) => deadLetters)).toEqual([0, 0, 0]);
  await waitFor(
    async () =>
      (await world.service.health()).sinks.every(
        ({ state, lagBytes }) => state === 'running' && lagBytes === 0,
      ),
    'everything to settle',
  );
  expect(await world.service.stop()).toBe(0);

  const all = arrived('all.fifo').map(({ message }) => message);
  expect(all).toHaveLength(events);
  const some = arrived('some.fifo');
  const places = (messages: readonly ChangeMessage[]): string[] => messages.map(placeOf).sort();
  expect(places(some.map(({ message }) => message))).toEqual(places(all.filter(passes)));
  expect(some.length).toBeLessThan(events);
  expect(inversions(some)).toEqual([]);

  const copy = arrived('copy.fifo');
  expect(inversions(copy)).toEqual([]);
  const moved = ({ message }: Arrived): unknown => (message.metadata as Record<string, unknown>)['moved'];
  expect(new Set(copy.map(moved))).toEqual(new Set([undefined, 'in', 'out']));
  for (const table of TABLES) {
    const { rows } = await client.query<Record<string, unknown>>(
      `select id, version::int8::float8 as version, note, amount::text as amount from ${table}
       where amount % 4 < 2 and note is not null order by id`,
    );
    expect(rows.length).toBeGreaterThan(0);
    expect(copyOf(table, copy)).toEqual(rows);
  }
});
