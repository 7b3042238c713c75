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

test('stored generated columns come where a key has one; other tables’ messages stay as they were, but where a sink names them (C104, C105)', async () => {
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

test.each([
  { how: 'by a publication that sends none', also: '' },
  {
    how: 'by one that sends them for another table’s sake',
    also: `create table full_one (id int primary key, twice int generated always as (id * 2) stored);
      alter table full_one replica identity full`,
  },
])(
  'rows from before a column became generated have its value, those from after have not, $how',
  async ({ also }) => {
    await sql(`create table t (id int primary key, total int);
    create table made (id int primary key, twice int generated always as (id * 2) stored, dead int); ${also}`);
    const tables = ['t', 'made', ...(also === '' ? [] : ['full_one'])];
    const config = world.config({ sinks: [{ name: 'usual', queue: 'usual.fifo', tables }] });
    await world.start({ config });
    await world.service.stop();
    await sql('insert into t values (1, 7)');
    await sql(
      'alter table t drop column total; alter table t add column total int generated always as (id * 2) stored',
    );
    await sql('insert into t values (2)');
    // Whoever drops another column leaves this one what it was.
    await sql('insert into made values (3)');
    await sql('alter table made drop column dead');
    await world.start({ config });
    await waitFor(() => records('usual.fifo').length === 3, 'three changes');
    const byId = new Map(records('usual.fifo').map(({ record }) => [record['id'], record]));
    expect([...byId.values()]).toHaveLength(3);
    expect(byId.get(1)).toEqual({ id: 1, total: 7 });
    expect(byId.get(2)).toEqual({ id: 2 });
    expect(byId.get(3)).toEqual({ id: 3, dead: null });
  },
);
