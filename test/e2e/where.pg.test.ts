// Filters in SQL, end to end: what passes is sent, what does not is settled, and what the README shows works as it says.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { parse } from 'yaml';
import { endToEnd } from '../support/end-to-end.ts';
import { waitFor } from '../support/wait.ts';
import type { ChangeMessage } from '../support/workload.ts';

const world = endToEnd();

const sql = (text: string) => world.database.client.query(text);
const arrived = (queue: string): string[] =>
  world.recorder
    .messagesOf(queue)
    .map(({ body }) => JSON.parse(body) as ChangeMessage)
    .map(({ action, record }) => `${action} ${String(record['id'])}`);

/** The filter that the README shows. */
const README_FILTER = (
  parse(
    /```yaml\n(sinks:[^]*?where:[^]*?)```/.exec(
      readFileSync(join(import.meta.dirname, '../../README.md'), 'utf8'),
    )![1]!,
  ) as {
    readonly sinks: readonly { readonly where: string }[];
  }
).sinks[0]!.where;

test('a sink gets what its condition says, before and after a kill, and its dead letters and counts say the rest', async () => {
  await sql(`
    create type mood as enum ('sad', 'ok');
    create table orders (id int primary key, status text, amount numeric, mood mood, note text);
    alter table orders alter column note set storage external`);
  const config = world.config({
    sinks: [
      {
        name: 'readme',
        queue: 'readme.fifo',
        tables: ['orders'],
        extra: `where: ${JSON.stringify(README_FILTER)}`,
      },
      {
        name: 'moods',
        queue: 'moods.fifo',
        tables: ['orders'],
        extra: `where: "mood >= 'ok' and lower(status) <> 'x'"\ndeletes_outside: drop`,
      },
      {
        name: 'notes',
        queue: 'notes.fifo',
        tables: ['orders'],
        extra: `where: |\n  -- long ones\n  length(note) > 10`,
      },
      { name: 'all', queue: 'all.fifo', tables: ['orders'] },
    ],
  });
  await world.start({ config });
  await sql(`
    insert into orders values (1, 'paid', 100.01, 'ok', repeat('x', 5000)), (2, 'paid', 100.00, 'sad', 'short'), (3, 'open', 500, 'ok', null);
    update orders set amount = 7 where id = 1;
    delete from orders where id = 3`);
  const whole = ['insert 1', 'insert 2', 'insert 3', 'update 1', 'delete 3'];
  await waitFor(() => arrived('all.fifo').length === whole.length, 'everything without a filter');
  // Said when the table's first row comes, and at each start from then on.
  const told = () =>
    world.service.log
      .filter(({ msg }) => msg?.startsWith('deletes of a table are not judged by where'))
      .map(({ sink, columns }) => `${String(sink)} ${String(columns)}`)
      .sort();
  const unjudged = ['moods status,mood', 'notes note', 'readme status,amount'];
  expect(told()).toEqual(unjudged);
  await world.service.kill();
  await world.start({ config });
  await waitFor(() => told().length === unjudged.length, 'the start to tell whose deletes are not judged');
  expect(told()).toEqual(unjudged);
  await sql(`insert into orders values (4, 'paid', 1000, 'ok', null)`);
  await waitFor(
    () => ['readme.fifo', 'moods.fifo', 'all.fifo'].every((queue) => arrived(queue).includes('insert 4')),
    'what was written last',
  );
  const sinks = async () => (await world.service.health()).sinks;
  await waitFor(
    async () => (await sinks()).every(({ state, lagBytes }) => state === 'running' && lagBytes === 0),
    'everything to settle',
  );
  // Rows have groups of their own: what waits for nothing may go first.
  const distinct = (queue: string): string[] => [...new Set(arrived(queue))].toSorted();
  expect(distinct('readme.fifo')).toEqual(['delete 3', 'insert 1', 'insert 4']);
  expect(distinct('moods.fifo')).toEqual(['insert 1', 'insert 3', 'insert 4', 'update 1']);
  expect(distinct('notes.fifo')).toEqual(['delete 3', 'insert 1']);
  // The long note of the update did not change, so it was not sent.
  const letters = async () => (await sinks()).map(({ name, deadLetters }) => `${name} ${deadLetters}`).join();
  await waitFor(async () => (await letters()) === 'readme 0,moods 0,notes 1,all 0', 'its dead letter');
});
