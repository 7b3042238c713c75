// Generated columns: sent where a table's key has one, and in messages where a sink asks for them.
import { expect, test } from 'vitest';
import { serverVersion } from '../support/database-settings.ts';
import { endToEnd } from '../support/end-to-end.ts';
import { waitFor } from '../support/wait.ts';
import type { ChangeMessage } from '../support/workload.ts';

const world = endToEnd({ createMissing: true });
const sql = (text: string) => world.database.client.query(text);
const records = (queue: string) =>
  world.recorder
    .messagesOf(queue)
    .map(({ body }) => JSON.parse(body) as ChangeMessage)
    .map(({ action, record }) => ({ action, record }));

test('stored generated columns come where a key has one; other tables’ messages stay as they were, but where a sink names them', async () => {
  await sql(`create table plain (id int primary key, twice int generated always as (id * 2) stored);
    create table full_one (id int primary key, twice int generated always as (id * 2) stored);
    alter table full_one replica identity full`);
  const config = world.config({
    publication: 'refresh_interval: 100ms',
    sinks: [
      { name: 'usual', queue: 'usual.fifo', tables: ['plain', 'full_one', 'keyed'] },
      {
        name: 'asking',
        queue: 'asking.fifo',
        tables: ['plain'],
        extra: 'tables: [{ name: plain, columns: [twice] }]',
      },
    ],
  });
  await sql(
    'create table keyed (id int not null, twice int generated always as (id * 2) stored primary key)',
  );
  await world.start({ config });
  await sql(`insert into plain values (1); insert into full_one values (2); insert into keyed values (3)`);
  await sql(`update plain set id = 4; update full_one set id = 5; update keyed set id = 6`);
  await sql('delete from plain; delete from full_one; delete from keyed');
  await waitFor(() => records('usual.fifo').length === 9, 'nine changes');
  const sends = (await serverVersion(world.database.client)) >= 180_000;
  const of = (action: string) =>
    records('usual.fifo')
      .filter((message) => message.action === action)
      .map(({ record }) => record);
  expect(of('insert')).toEqual([{ id: 1 }, { id: 2 }, sends ? { id: 3, twice: 6 } : { id: 3 }]);
  // Before 18 nobody sends what a generated key holds: that is said, and nothing is invented.
  expect(of('delete')).toEqual([{ id: 4 }, { id: 5 }, sends ? { twice: 12 } : {}]);
  await waitFor(() => records('asking.fifo').length === 3, 'three changes');
  expect(records('asking.fifo')[0]!.record).toEqual(sends ? { id: 1, twice: 2 } : { id: 1 });
  const { warnings } = (await world.service.health()).databases[0]!;
  expect(warnings.some((warning) => warning.includes('a delete comes without it'))).toBe(!sends);
});
