// A sequin.yaml with functions of type path: each sink's messages are what stands there.
import { expect, test } from 'vitest';
import { endToEnd } from '../support/end-to-end.ts';
import { waitFor } from '../support/wait.ts';

const world = endToEnd();

const bodies = (queue: string): readonly unknown[] =>
  world.recorder.messagesOf(queue).map(({ body }) => JSON.parse(body) as unknown);

test('each sink sends what its path names, of live changes and of rows that were there', async () => {
  await world.database.client.query(
    `create table users (id int primary key, address jsonb); insert into users values (1, '{"city": "Köln"}')`,
  );
  const sink = (name: string, more = '') => ({
    name,
    tables: ['users'],
    queue: `${name}.fifo`,
    extra: `transform: ${name}\n${more}`,
  });
  await world.start({
    config: `${world.config({
      sinks: [
        sink('record', 'initial_backfill: true'),
        sink('city'),
        sink('keys'),
        { name: 'whole', tables: ['users'], queue: 'whole.fifo', extra: 'transform: none' },
      ],
    })}
functions:
  - { name: record, type: path, path: record }
  - { name: city, type: path, path: record.address.city }
  - { name: keys, description: to look them up, type: path, path: metadata.record_pks }
`,
  });
  await waitFor(() => bodies('record.fifo').length === 1, 'the row that was there');
  await world.database.client.query(
    `insert into users values (2, '{"city": "a\\"b"}'); update users set address = null where id = 2; delete from users where id = 2`,
  );
  await waitFor(
    () => ['record', 'city', 'keys', 'whole'].every((name) => bodies(`${name}.fifo`).length >= 3),
    'the changes',
  );
  await waitFor(() => bodies('record.fifo').length === 4, 'the deleted row');
  expect(bodies('record.fifo')).toEqual([
    { id: 1, address: { city: 'Köln' } },
    { id: 2, address: { city: 'a"b' } },
    { id: 2, address: null },
    { id: 2 },
  ]);
  expect(bodies('city.fifo')).toEqual(['a"b', null, null]);
  expect(bodies('keys.fifo')).toEqual([['2'], ['2'], ['2']]);
  expect(bodies('whole.fifo')).toMatchObject([
    { action: 'insert' },
    { action: 'update' },
    { action: 'delete' },
  ]);
  expect(await world.service.stop()).toBe(0);
});
